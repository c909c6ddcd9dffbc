"""An autoencoder's pictures stay blurred. Its loss stays at twice what it should be, and the encoder's weights
are the same after training as before.
"""

import chainrule as cr


class Autoencoder(cr.nn.Module):
    def __init__(self, key):
        keys = cr.random.split(key, 4)
        self.encoder = cr.nn.Sequential(
            cr.nn.Linear(64, 48, key=keys[0]), cr.relu, cr.nn.Linear(48, 10, key=keys[1])
        )
        self.decoder = cr.nn.Sequential(
            cr.nn.Linear(10, 48, key=keys[2]), cr.relu, cr.nn.Linear(48, 64, key=keys[3])
        )

    def __call__(self, x):
        code = self.encoder(x).detach()
        return self.decoder(code)


data = cr.data.digits()
weights, order = cr.random.split(cr.random.key(3))
step = cr.train.compile_step(Autoencoder(weights), cr.nn.mean_squared_error, cr.optim.adam(3e-3))
for epoch in range(1, 41):
    for x, _ in cr.data.batches(data.train_x, data.train_y, 64, cr.random.fold_in(order, epoch)):
        value = step(x, x)
    if epoch % 10 == 0:
        print(f"epoch {epoch}: mean squared error {value.item():.4f}")
final = cr.nn.mean_squared_error(step.model(data.test_x), data.test_x).item()
print(f"test error {final:.4f}, that of the mean image is {data.test_x.var(0).mean():.4f}")
