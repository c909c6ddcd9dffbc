"""A deep classifier does not learn at all: the loss stays at 2.31, about ln 10, whatever the learning rate."""

import chainrule as cr

data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(2))
model = cr.models.mlp((64, *[48] * 8, 10), cr.sigmoid, key=weights)
step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(0.05))
for epoch in range(1, 21):
    losses = [
        step(x, y).item()
        for x, y in cr.data.batches(data.train_x, data.train_y, 32, cr.random.fold_in(order, epoch))
    ]
    if epoch % 4 == 0:
        print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
right = step.model.predict(data.test_x).argmax(-1) == data.test_y
print(f"test accuracy {right.mean():.1%}")
