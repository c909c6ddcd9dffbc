"""The loss is the mean over the batch, which the learning rate was meant for, not the sum."""

import functools

import chainrule as cr

data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(5))
model = cr.models.mlp((64, 48, 10), cr.tanh, key=weights, initializer=cr.nn.glorot_normal)
loss = functools.partial(cr.nn.softmax_cross_entropy, reduction="mean")
step = cr.train.compile_step(model, loss, cr.optim.gradient_descent(0.2))
for epoch in range(1, 13):
    for x, y in cr.data.batches(data.train_x, data.train_y, 128, cr.random.fold_in(order, epoch)):
        value = step(x, y)
    if epoch % 2 == 0:
        print(f"epoch {epoch}: loss {value.item():.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"test accuracy {right.mean():.1%}")
