"""The order in which Jacobians are multiplied: article 003, with real sizes."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from chainrule.explain.numbers import count_text, number_text
from chainrule.ops import matmul
from chainrule.primitive import REGISTRY
from chainrule.tensor import Tensor, no_grad, tensor
from chainrule.tour.stop import Check, Stop

SIZES = {"x": 784, "z1": 512, "z2": 256, "z3": 10}


def multiplication_orders() -> Stop:
    """Four Jacobians from the loss to x, multiplied from the loss and from x."""
    x, z1, z2, z3 = SIZES.values()
    rng = np.random.default_rng(0)
    # ∂loss/∂z3, ∂z3/∂z2, ∂z2/∂z1, ∂z1/∂x
    shapes = [(1, z3), (z3, z2), (z2, z1), (z1, x)]
    jacobians = [tensor(rng.normal(size=shape) / np.sqrt(shape[1])) for shape in shapes]
    loss_first = _multiply(jacobians, from_loss=True)
    input_first = _multiply(jacobians, from_loss=False)
    gap = float(np.max(np.abs(loss_first[0].array() - input_first[0].array())))
    said_loss = 1.0 * z3 * z2 + 1 * z2 * z1 + 1 * z1 * x
    said_input = 1.0 * z2 * z1 * x + z3 * z2 * x + 1 * z3 * x
    return Stop(
        "the order of multiplication",
        "003",
        f"|x| = {x}, |z1| = {z1}, |z2| = {z2}, |z3| = {z3}, one loss. From the loss every product is a "
        "vector times a matrix; from the input it is a matrix times a matrix, with |x| in each.",
        [
            Check("from the loss", "sum of 003", said_loss, float(loss_first[1])),
            Check("from the input", "sum of 003", said_input, float(input_first[1])),
            Check("largest gap", "theory", 0.0, gap, tolerance=1e-10),
        ],
        [
            f"{count_text(loss_first[1])} against {count_text(input_first[1])} products: "
            f"{number_text(input_first[1] / loss_first[1])} times as many; measured just now, "
            f"{number_text(1e3 * loss_first[2], 2)} ms against {number_text(1e3 * input_first[2], 2)} ms.",
            "From the loss, ∂loss/∂z1 is met on the way and serves W1, b1 and x alike; from x it never is.",
        ],
        slip='003 calls the order that starts at the loss "forwards". It is reverse mode, the order of '
        "backpropagation; forward mode starts at the input.",
    )


def _multiply(jacobians: Sequence[Tensor], *, from_loss: bool) -> tuple[Tensor, int, float]:
    """The product, its multiplications as the primitive counts them, and the fastest of three times."""
    seconds: list[float] = []
    first, *others = jacobians if from_loss else jacobians[::-1]
    left, products = first, 0
    for _ in range(3):
        began, left, products = time.perf_counter(), first, 0
        with no_grad():
            for other in others:
                pair = (left, other) if from_loss else (other, left)
                left = matmul(*pair)
                products += REGISTRY["matmul"].cost(pair, left.shape, left.dtype).multiplications
        seconds.append(time.perf_counter() - began)
    return left, products, min(seconds)
