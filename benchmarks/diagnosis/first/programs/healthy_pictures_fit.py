import chainrule as cr


class Net(cr.nn.Module):
    def __init__(self, key):
        k = cr.random.split(key, 3)
        self.a = cr.nn.Conv2d(1, 8, 3, padding="same", bias=False, key=k[0])
        self.norm = cr.nn.BatchNorm(8)
        self.b = cr.nn.Conv2d(8, 16, 3, padding="same", stride=2, key=k[1])
        self.drop = cr.nn.Dropout(0.2)
        self.head = cr.nn.Linear(256, 10, key=k[2], initializer=cr.nn.lecun_normal)

    def __call__(self, x, training=None):
        h = cr.relu(self.b(cr.relu(self.norm(self.a(x), training))))
        return self.head(self.drop(h.reshape((h.shape[0], 256)), training))


data = cr.data.digits().as_images()
finished = cr.train.fit(
    Net(cr.random.key(18)),
    data,
    cr.nn.softmax_cross_entropy,
    cr.optim.adamw(2e-3),
    epochs=1,
    batch_size=64,
    key=cr.random.key(19),
)
print(finished.test_accuracy)
