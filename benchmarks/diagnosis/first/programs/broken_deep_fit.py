import chainrule as cr

data = cr.data.digits()
model = cr.models.mlp(
    (64, *[40] * 10, 10), cr.sigmoid, key=cr.random.key(6), initializer=cr.nn.glorot_uniform
)
finished = cr.train.fit(
    model,
    data,
    cr.nn.softmax_cross_entropy,
    cr.optim.adam(2e-3),
    epochs=2,
    batch_size=128,
    key=cr.random.key(7),
)
print(finished.test_accuracy)
