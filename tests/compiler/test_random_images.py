"""Random graphs of convolutions, views and reductions: loops within a convolution's tasks change no result."""

import numpy as np
import pytest
from hypothesis import settings

import chainrule as cr
from chainrule.compiler.compiled import Executable
from chainrule.compiler.on_native import lowering, target
from chainrule.compiler.passes import by_item
from compiler.test_compiled_graphs import sets

HOST = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="there is no native code for this machine")
PIXELS = (0, 1, 2)
GROWN = [
    lambda a, b, p: cr.relu(a),
    lambda a, b, p: a * p + b,
    lambda a, b, p: (a - cr.mean(a, axis=PIXELS, keepdims=True)) / p,
    lambda a, b, p: cr.flip(a, axis=0),
    lambda a, b, p: cr.flip(a, axis=1),
    lambda a, b, p: a * cr.mean(b, axis=(1, 2), keepdims=True),
    lambda a, b, p: (
        (a - cr.mean(b, axis=PIXELS, keepdims=True)) / cr.sqrt(cr.var(b, axis=PIXELS, keepdims=True) + 0.5)
    ),
    lambda a, b, p: cr.where(a <= 0, 0.0, b),
    lambda a, b, p: a * cr.flip(cr.mean(b, axis=(1, 2), keepdims=True), axis=0),
    lambda a, b, p: a - a[:, :1, :1],
    lambda a, b, p: cr.tanh(a),
    lambda a, b, p: a - cr.max(b, axis=(1, 2), keepdims=True),
]
REDUCED = [
    lambda a, p: cr.sum(a * a, axis=PIXELS),
    lambda a, p: cr.sum(-a * p / 3.0, axis=(1, 2)),
    lambda a, p: cr.var(a, axis=PIXELS),
    lambda a, p: cr.mean(cr.abs(a) * p, axis=PIXELS, keepdims=True),
    lambda a, p: cr.var(a, axis=(1, 2)),
]


def random_network(seed):
    """A graph of two convolutions with what grows around them, or of its gradient; and its inputs."""
    rng = np.random.default_rng(seed)
    size, channels = int(rng.choice([6, 8, 11])), [int(c) for c in rng.choice([16, 32, 8, 3], 3)]
    x = rng.standard_normal((16, size, size, channels[0])).astype("f4")
    kernels = [rng.standard_normal((3, 3, *channels[i : i + 2])).astype("f4") * 0.2 for i in (0, 1)]
    scales = [rng.standard_normal(c).astype("f4") + 2 for c in channels]
    choices = rng.integers(0, 1 << 30, 60).tolist()

    def f(x, w0, w1, *scales):
        left = iter(choices)
        results, given = [], x
        for kernel, scale in zip((w0, w1, None), scales, strict=True):
            values = [given]
            for _ in range(1 + next(left) % 4):
                a, b = (values[next(left) % len(values)] for _ in range(2))
                values.append(GROWN[next(left) % len(GROWN)](a, b, scale))
            for _ in range(1 + next(left) % 2):
                a = values[next(left) % len(values)]
                results.append(REDUCED[next(left) % len(REDUCED)](a, scale))
            if kernel is not None:
                stride = 1 + (next(left) % 4 == 0)
                given = cr.conv2d(values[next(left) % len(values)], kernel, padding=1, stride=stride)
        return results

    arguments = (x, *kernels, *scales)
    if seed % 2:
        loss = lambda *a: sum(cr.sum(cr.tanh(r * 0.1)) for r in f(*a))
        return cr.trace(cr.grad(loss, argnums=(0, 1)), *arguments), arguments
    return cr.trace(f, *arguments), arguments


@pytest.mark.parametrize("machine", [m for m in sets() if m.values[0] is not None])
def test_random_networks(monkeypatch, machine):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    monkeypatch.setattr(by_item, "LARGE", 1)
    monkeypatch.setattr(by_item, "EACH", 4)
    joined = 0
    for seed in range(settings.default.max_examples // 5):
        graph, arrays = random_network(seed)
        executable = Executable(graph, machine, 2)
        found = executable(arrays)
        assert [a.tobytes() for a in Executable(graph, machine, 1)(arrays)] == [a.tobytes() for a in found]
        joined += sum(
            "each task" in line.note or "stored" in line.note for line in executable.explain().lines
        )
        with monkeypatch.context() as patch:
            patch.setattr(lowering, "join_tasks", lambda *_: None)
            separate = Executable(graph, machine, 2)(arrays)
        for a, b in zip(found, separate, strict=True):
            tolerance = 1e-3 * np.abs(b).max(initial=0) + 1e-5
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=tolerance, err_msg=f"seed {seed}")
    assert joined >= 5
