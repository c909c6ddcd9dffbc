"""Square roots without a divider: the correctly rounded ones."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.compiler.on_native import target

pytestmark = pytest.mark.skipif(target.host() is None, reason="this machine has no native code")

root = cr.compile(cr.sqrt)


@pytest.mark.parametrize("scale", [1.0, 2.0, 2.0**-90, 2.0**101])
def test_every_significand(scale):
    """A root depends on the significand and on whether the exponent is even: these are all there are."""
    x = (np.arange(2**23, dtype=np.uint32) | np.uint32(127 << 23)).view(np.float32) * np.float32(scale)
    np.testing.assert_array_equal(root(x).numpy(), np.sqrt(x))


def test_special_values():
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 1.0, 4.0, 3.4028235e38] * 7, np.float32)
    with np.errstate(invalid="ignore"):
        expected = np.sqrt(x)
    found = root(x).numpy()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[x == 0]), np.signbit(x[x == 0]))


def test_small_numbers_are_right_to_the_last_bit_or_the_one_before():
    x = (np.arange(1, 2**16, dtype=np.uint32) * 401).view(np.float32)  # up to 2e-31, denormals first
    np.testing.assert_array_max_ulp(root(x).numpy(), np.sqrt(x), maxulp=1)
