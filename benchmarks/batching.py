"""Gradients of the loss of each sample by itself: a network 784-128-10, batch 128, float32.

`cr.compile(cr.vmap(cr.grad(loss)))` against `torch.func.vmap(torch.func.grad(loss))` and
`jax.jit(jax.vmap(jax.grad(loss)))`, in the same process. All take turns in blocks; the best and the median of all steps
are shown, and the median of the blocks' ratios: below 1, chainrule is faster. The gradients are compared first.

Each result, 49 MiB, is dropped before the next call, so that a library may use its memory again. Where all are kept,
the order is another: see decision 18.

    python benchmarks/batching.py [--once] [--json]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _turns import BLOCKS, measure, options, report, with_peers

import chainrule as cr

BATCH, INPUTS, HIDDEN, CLASSES = 128, 784, 128, 10
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, INPUTS)).astype(np.float32)
Y = RNG.integers(0, CLASSES, BATCH)
PARAMETERS = {
    name: (0.05 * RNG.normal(size=shape)).astype(np.float32)
    for name, shape in {
        "w1": (INPUTS, HIDDEN),
        "b1": (HIDDEN,),
        "w2": (HIDDEN, CLASSES),
        "b2": (CLASSES,),
    }.items()
}

Step = Callable[[], dict[str, Any]]


def on_chainrule() -> Step:
    def loss(p: Any, x: Any, y: Any) -> Any:
        scores = cr.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return -cr.log_softmax(scores)[y]

    step = cr.compile(cr.vmap(cr.grad(loss), in_axes=(None, 0, 0)))
    return lambda: step(PARAMETERS, X, Y)


def on_torch(torch: Any) -> Step:
    p = {name: torch.tensor(value) for name, value in PARAMETERS.items()}
    x, y = torch.tensor(X), torch.tensor(Y)

    def loss(p: Any, x: Any, y: Any) -> Any:
        scores = torch.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return torch.nn.functional.cross_entropy(scores, y)

    step = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    return lambda: step(p, x, y)


def on_jax(jax: Any) -> Step:
    jnp = jax.numpy
    p = {name: jnp.asarray(value) for name, value in PARAMETERS.items()}
    x, y = jnp.asarray(X), jnp.asarray(Y)

    def loss(p: Any, x: Any, y: Any) -> Any:
        scores = jax.nn.relu(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
        return -jax.nn.log_softmax(scores)[y]

    step = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0, 0)))
    return lambda: jax.block_until_ready(step(p, x, y))


def main() -> None:
    chosen = options(__doc__)
    steps = with_peers(on_chainrule, torch=on_torch, jax=on_jax)
    ours = steps["chainrule"]()
    for name, step in steps.items():
        for key, value in step().items():
            np.testing.assert_allclose(
                np.asarray(value), ours[key].numpy(), rtol=1e-3, atol=1e-5, err_msg=name
            )
    report(measure(steps, 1 if chosen.once else BLOCKS), chosen.json)


if __name__ == "__main__":
    main()
