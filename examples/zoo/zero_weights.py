"""The loss stays at 2.30, which is ln 10. Only the last layer's biases have gradients."""

import chainrule as cr

data = cr.data.digits()
draw = lambda key, shape, dtype: cr.zeros(shape, dtype=dtype)
weights, order = cr.random.split(cr.random.key(8))
model = cr.models.mlp((64, 32, 10), cr.relu, key=weights, initializer=draw)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.nesterov(0.02))
for epoch in range(1, 13):
    for x, y in cr.data.batches(data.train_x, data.train_y, 48, cr.random.fold_in(order, epoch)):
        value = step(x, y)
    if epoch % 3 == 0:
        print(f"epoch {epoch}: loss {value.item():.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"test accuracy {right.mean():.1%}")
