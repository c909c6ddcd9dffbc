import chainrule as cr

data = cr.data.digits().as_images()
k = cr.random.split(cr.random.key(4), 3)
model = cr.nn.Sequential(
    cr.nn.Conv2d(1, 8, 3, padding="same", key=k[0]),
    cr.nn.BatchNorm(8),
    cr.relu,
    cr.nn.MaxPool2d(2),
    cr.nn.Flatten(),
    cr.nn.Dropout(0.25),
    cr.nn.Linear(128, 10, key=k[1]),
)
end = cr.train.fit(
    model, data, cr.nn.softmax_cross_entropy, cr.optim.adamw(3e-3), epochs=4, batch_size=64, key=k[2]
)
print(end.test_accuracy)
