"""Gradients of kernels of one pixel: as products of matrices where packing pays, else as sums over pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import target

pytestmark = pytest.mark.skipif(target.host() is None, reason="no kernels for this machine")

FORMULAS = {
    "plain": lambda w, x, g: (cr.conv2d(x, w) * g).sum(),
    "images computed": lambda w, x, g: (cr.conv2d(cr.relu(x * 2 + 1), w) * g).sum(),
    "upstream computed": lambda w, x, g: (cr.conv2d(x, w) * cr.relu(g * 2 + 1)).sum(),
    "from the result": lambda w, x, g: cr.sin(cr.conv2d(x, w)).sum(),
}


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAINRULE_CACHE", "off")


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize(
    ("images", "side", "channels", "outputs", "product"),
    [
        (1, 6, 8, 8, True),  # few pixels
        (2, 24, 1024, 4, True),  # far apart
        (5, 15, 768, 700, True),  # many sums
        (2, 24, 24, 20, False),
    ],
)
def test_gradient(images: int, side: int, channels: int, outputs: int, product: bool, formula: str):
    rng = np.random.default_rng(0)
    shapes = (1, 1, channels, outputs), (images, side, side, channels), (images, side, side, outputs)
    w, x, g = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    f: Any = FORMULAS[formula]
    slope = cr.compile(cr.grad(f))
    found = slope(w, x, g).numpy()
    exact = cr.grad(f)(*(a.astype(np.float64) for a in (w, x, g))).numpy()
    scale = np.abs(exact).max()
    # The sine's argument has rounding errors of its own, of up to 1e-6 of its size, which is the root of the channels.
    limit = 1e-4 if formula == "from the result" else 1e-5
    np.testing.assert_allclose(found / scale, exact / scale, rtol=0, atol=limit)
    assert ("conv_weight_gradient" in kernels(slope)) is not product


def kernels(compiled: Any) -> str:
    steps = compiled._last.run.lowered.steps
    return " ".join(step.kernel.name for step in steps if step.kernel is not None)


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("stride", [2, (2, 1), (1, 3)])
def test_pixels_between_the_windows_have_no_gradient(stride: Any, padding: int):
    """Rows that no window sees are finished like others, here by the derivative of tanh, which reads an array; with
    padding they come before the rows that windows see."""

    def loss(x: Any, w: Any) -> Any:
        return (cr.conv2d(cr.tanh(x), w, stride=stride, padding=padding) ** 2).sum()

    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 7, 6, 5)).astype(np.float32), rng.normal(size=(1, 1, 5, 8)).astype(np.float32)
    found, expected = (np.asarray(f(x, w)) for f in (cr.compile(cr.grad(loss)), cr.grad(loss)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
