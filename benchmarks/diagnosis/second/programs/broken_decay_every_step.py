import chainrule as cr

data = cr.data.digits()
keys = cr.random.split(cr.random.key(1), 2)
model = cr.nn.Sequential(cr.nn.Linear(64, 32, key=keys[0]), cr.relu, cr.nn.Linear(32, 10, key=keys[1]))
rate = 0.1
for i in range(200):
    b = slice((i * 64) % 1400, (i * 64) % 1400 + 64)
    value, g = cr.value_and_grad(lambda m: cr.nn.softmax_cross_entropy(m(data.train_x[b]), data.train_y[b]))(
        model
    )
    opt = cr.optim.gradient_descent(rate)
    model, _ = opt.update(g, opt.init(model), model)
    rate *= 0.7  # meant to be once an epoch
print(value.item())
