import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
x = rng.normal(size=(96, 6)).astype(np.float32)
y = (np.tanh(x[:, :1]) + 0.5 * x[:, 1:2]).astype(np.float32)

a, b = cr.random.split(cr.random.key(0))
w1 = (cr.random.normal(a, (6, 24), cr.float32) * 0.4).detach().requires_grad_()
b1 = cr.tensor(np.zeros(24, np.float32), requires_grad=True)
w2 = (cr.random.normal(b, (24, 1), cr.float32) * 0.2).detach().requires_grad_()


def stepped(p, rate):
    new = (p - rate * p.grad).detach().requires_grad_()
    new.grad = p.grad  # kept for the log
    return new


for number in range(120):
    loss = cr.mean((cr.tanh(x @ w1 + b1) @ w2 - y) ** 2)
    loss.backward()
    w1, b1, w2 = (stepped(p, 0.05) for p in (w1, b1, w2))
    if number % 20 == 0:
        print(number, loss.item(), abs(w1.grad).max().item())
