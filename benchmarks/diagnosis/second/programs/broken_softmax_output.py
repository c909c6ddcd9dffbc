import chainrule as cr


class Net(cr.nn.Module):
    def __init__(self, key):
        a, b = cr.random.split(key)
        self.conv, self.out = cr.nn.Conv2d(1, 8, 3, key=a), cr.nn.Linear(288, 10, key=b)

    def __call__(self, x):
        h = cr.relu(self.conv(x)).reshape((x.shape[0], -1))
        return cr.softmax(self.out(h), axis=1)


data = cr.data.digits().as_images()
end = cr.train.fit(
    Net(cr.random.key(0)),
    data,
    cr.nn.softmax_cross_entropy,
    cr.optim.adam(1e-3),
    epochs=3,
    batch_size=64,
    key=cr.random.key(1),
)
print(end.test_accuracy)
