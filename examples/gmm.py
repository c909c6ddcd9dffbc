"""A Gaussian mixture with a Wishart prior, fitted by gradients of its likelihood, compiled.

The objective of ADBench: Srajer, Kukelova and Fitzgibbon, A benchmark of selected algorithmic differentiation tools,
Optimization Methods and Software 33 (2018) 889-906, DOI 10.1080/10556788.2018.1435651.

python examples/gmm.py
"""

import math

import numpy as np

import chainrule as cr


def factors(icf, d):
    """Lower triangular factors of the inverse covariances: exponentials on the diagonal, the rest column by column."""
    columns, rows = np.triu_indices(d, 1)
    diagonal = np.arange(d)
    strict = cr.zeros((len(icf), d, d)).at[:, rows, columns].set(icf[:, d:])
    return strict.at[:, diagonal, diagonal].set(cr.exp(icf[:, :d]))


def normalizer(d, gamma, m):
    """The logarithm of what normalizes the prior of one component."""
    n = d + m + 1
    gammas = sum(math.lgamma((n - j) / 2) for j in range(d))
    return n * d * (math.log(gamma) - math.log(2) / 2) - d * (d - 1) / 4 * math.log(math.pi) - gammas


def log_posterior(alphas, means, icf, x, gamma=1.0, m=0):
    """The logarithm of likelihood times prior.

    alphas (K,): logarithms of weights, up to a constant; means (K, d); icf (K, d (d + 1) / 2): factors of the inverse
    covariances; x (n, d): points; gamma, m: of the prior.
    """
    n, d = x.shape
    q = factors(icf, d)
    logs = cr.sum(icf[:, :d], axis=1)
    scaled = cr.einsum("kij,nkj->nki", q, x[:, None, :] - means)
    terms = alphas + logs - 0.5 * cr.sum(cr.square(scaled), axis=2)
    likelihood = cr.sum(cr.logsumexp(terms, axis=1)) - n * (
        cr.logsumexp(alphas) + d / 2 * math.log(2 * math.pi)
    )
    prior = 0.5 * gamma**2 * cr.sum(cr.square(q)) - m * cr.sum(logs)
    return likelihood + prior - len(alphas) * normalizer(d, gamma, m)


def main():
    rng = np.random.default_rng(0)
    centers = np.array([[-4.0, 0.0], [3.0, 3.0], [2.0, -4.0]])
    x = np.concatenate(
        [c + rng.normal(size=(1000, 2)) * s for c, s in zip(centers, (0.5, 1.0, 1.5), strict=True)]
    )

    # ADBench adds the prior's squares, so they are not to be made large: this fit leaves them out with a tiny gamma.
    loss = lambda p: -log_posterior(p["alphas"], p["means"], p["icf"], x, gamma=1e-3) / len(x)
    step = cr.compile(cr.value_and_grad(loss))
    p = {"alphas": np.zeros(3), "means": rng.normal(size=(3, 2)) * 2, "icf": np.zeros((3, 3))}
    optimizer = cr.optim.adam(0.05)
    state = optimizer.init(p)
    for i in range(401):
        value, gradients = step(p)
        if i % 100 == 0:
            print(f"step {i:3}  {value.item():.4f}")
        p, state = optimizer.update(gradients, state, p)
    found = np.array(sorted(np.asarray(p["means"]).tolist()))
    print("means", np.round(found, 1).tolist())
    assert np.abs(found - np.array(sorted(centers.tolist()))).max() < 0.2


if __name__ == "__main__":
    main()
