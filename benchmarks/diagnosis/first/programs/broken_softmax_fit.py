import chainrule as cr

data = cr.data.digits()
k = cr.random.split(cr.random.key(3))
model = cr.nn.Sequential(
    cr.nn.Linear(64, 64, key=k[0]), cr.relu, cr.nn.Linear(64, 10, key=k[1]), lambda z: cr.softmax(z, axis=-1)
)
finished = cr.train.fit(
    model,
    data,
    cr.nn.softmax_cross_entropy,
    cr.optim.adam(1e-3),
    epochs=2,
    batch_size=64,
    key=cr.random.key(4),
)
print(finished.test_accuracy)
