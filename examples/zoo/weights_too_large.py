"""The first loss of a shallow network is far above that of guessing, 2.30, and after all epochs it is still behind
where it should be.
"""

import chainrule as cr

data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(11))
model = cr.models.mlp((64, 64, 10), cr.relu, key=weights, initializer=cr.random.normal)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(1e-3))
for epoch in range(1, 16):
    for x, y in cr.data.batches(data.train_x, data.train_y, 64, cr.random.fold_in(order, epoch)):
        value = step(x, y)
        if step.updates == 1 or (step.updates % 23 == 0 and epoch % 3 == 0):
            print(f"step {step.updates}: loss {value.item():.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"loss {value.item():.3f}, test accuracy {right.mean():.1%}")
