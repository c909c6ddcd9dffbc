import numpy as np

import chainrule as cr

# A teacher, the running average of the student, gives targets for unlabelled pictures.
data = cr.data.digits()
rng = np.random.default_rng(0)
k = cr.random.split(cr.random.key(0), 2)
student = cr.nn.Sequential(cr.nn.Linear(64, 64, key=k[0]), cr.relu, cr.nn.Linear(64, 10, key=k[1]))
teacher = student
opt = cr.optim.adam(2e-3)
state = opt.init(student)
labelled, free = np.arange(200), np.arange(200, 1400)
for i in range(200):
    a, b = rng.choice(labelled, 32), rng.choice(free, 64)
    soft = teacher(data.train_x[b]).detach()

    def objective(m):
        noisy = data.train_x[b] + 0.1 * rng.standard_normal((64, 64)).astype(np.float32)
        return cr.nn.softmax_cross_entropy(m(data.train_x[a]), data.train_y[a]) + 0.3 * cr.nn.kl_divergence(
            m(noisy), soft
        )

    value, g = cr.value_and_grad(objective)(student)
    student, state = opt.update(g, state, student)
    old, new = teacher.parameters(), student.parameters()
    teacher = teacher.with_parameters({n: 0.95 * old[n].numpy() + 0.05 * new[n].numpy() for n in new})
print(value.item(), np.mean(np.argmax(teacher.predict(data.test_x), 1) == data.test_y))
