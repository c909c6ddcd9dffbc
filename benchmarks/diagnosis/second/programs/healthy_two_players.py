import numpy as np

import chainrule as cr

# A small adversarial pair: each is improved against the other, in turn.
rng = np.random.default_rng(0)
k = cr.random.split(cr.random.key(2), 4)
maker = cr.nn.Sequential(cr.nn.Linear(4, 24, key=k[0]), cr.relu, cr.nn.Linear(24, 2, key=k[1]))
judge = cr.nn.Sequential(cr.nn.Linear(2, 24, key=k[2]), cr.leaky_relu, cr.nn.Linear(24, 1, key=k[3]))
opt = cr.optim.adam(2e-3, beta1=0.5)
ms, js = opt.init(maker), opt.init(judge)
for i in range(150):
    real = (rng.standard_normal((64, 2)) * [0.5, 0.2] + [1, -1]).astype(np.float32)
    z = rng.standard_normal((64, 4)).astype(np.float32)
    fake = maker(z).detach()
    _, g = cr.value_and_grad(lambda j: cr.mean(cr.softplus(-j(real))) + cr.mean(cr.softplus(j(fake))))(judge)
    judge, js = opt.update(g, js, judge)
    value, g = cr.value_and_grad(lambda m: cr.mean(cr.softplus(-judge(m(z)))))(maker)
    maker, ms = opt.update(g, ms, maker)
print(value.item(), maker.predict(z).mean(0))
