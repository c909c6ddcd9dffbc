"""Lowered operations are remembered, and those that only look alike are told apart."""

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import conv, target
from compiler.test_compiled_graphs import run

HOST: Any = target.host()
pytestmark = pytest.mark.skipif(HOST is None, reason="no native kernels for this machine")


def result(function, *arrays):
    (found,) = run(cr.trace(function, *arrays), arrays, HOST, 2)
    return found


def test_zeros_of_both_signs_are_two_loops():
    x = np.linspace(-1, 1, 40, dtype=np.float32)
    plus, minus = (result(lambda x, zero=zero: cr.where(x > 0, x, zero), x) for zero in (0.0, -0.0))
    assert not np.signbit(plus).any()
    assert np.signbit(minus[:20]).all()


@pytest.mark.parametrize("channels", [8, 32])  # direct sums, and Winograd's filters
def test_zeros_of_both_signs_finish_two_convolutions(channels):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 12, 12, channels)).astype(np.float32)
    w = rng.normal(size=(3, 3, channels, channels)).astype(np.float32)

    def rectified(zero):
        return lambda x, w: cr.where((y := cr.conv2d(x, w)) > 0, y, zero)

    plus, minus = result(rectified(0.0), x, w), result(rectified(-0.0), x, w)
    np.testing.assert_array_equal(plus, minus)
    assert not np.signbit(plus).any()
    assert np.signbit(minus[minus == 0]).all() and (minus == 0).any()


def test_a_layer_is_lowered_once():
    problem = conv.Convolution(2, (9, 9), 8, (3, 3), 8, np.dtype(np.float32))
    assert conv.lower(problem, HOST) is conv.lower(problem, HOST)
    other = conv.Convolution(2, (9, 9), 8, (3, 3), 8, np.dtype(np.float32), packed=True)
    assert conv.lower(other, HOST) is not conv.lower(problem, HOST)
