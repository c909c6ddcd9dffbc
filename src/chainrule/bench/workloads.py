"""What is measured: each workload once, for all libraries; and how much faster than the best of them is wanted."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from chainrule.bench.networks import Cnn, Mlp, Network, ResNet, start
from chainrule.errors import ArgumentError
from chainrule.formula.mistakes import closest
from chainrule.optim import Optimizer, adam, gradient_descent, momentum
from chainrule.primitive import Array
from chainrule.shapes import Shape, float32

_SEED = 20
_COLUMNS = 100
"""Elements in a row, where a function works on rows."""
Loss: TypeAlias = Literal["squared_error", "cross_entropy"]


@dataclass(frozen=True, slots=True)
class Training:
    """One training step: forward, backward and update.

    Attributes:
        name: as it is asked for.
        summary: shapes, batch and optimizer in words.
        network, loss, optimizer: what is trained, and how.
        make_batch: input and target from a generator of random numbers.
        goal: how many times as fast as the best other library the step should be.
        checked: so many steps are compared with float64; fewer where those would take minutes.
    """

    name: str
    summary: str
    network: Network
    loss: Loss
    optimizer: Optimizer
    make_batch: Callable[[np.random.Generator], tuple[Array, Array]] = field(repr=False)
    goal: float
    checked: int = 20
    limit: Literal["arithmetic", "memory"] = "arithmetic"

    @property
    def family(self) -> str:
        return self.name

    def parameters(self) -> dict[str, Array]:
        """Before the first step."""
        return start(self.network, _SEED)

    def batch(self) -> tuple[Array, Array]:
        """Input and target, the same in every step."""
        return self.make_batch(np.random.default_rng(_SEED + 1))


@dataclass(frozen=True, slots=True)
class Function:
    """One call of a function of arrays, which returns a new array.

    Attributes:
        name: as it is asked for.
        summary: what is computed, in words.
        family: name of the workloads that differ from it in size only.
        formula: a word for the function, which each library has.
        shapes: of the arguments.
        limit: what bounds the speed of the larger sizes.
        goal: as for `Training`.
    """

    name: str
    summary: str
    family: str
    formula: Literal["matmul", "bias_relu", "tanh_chain", "gelu", "softmax"]
    shapes: tuple[Shape, ...]
    limit: Literal["arithmetic", "memory"] = "memory"
    goal: float = 1.0

    def arguments(self) -> list[Array]:
        rng = np.random.default_rng(_SEED)
        return [rng.standard_normal(shape, float32) for shape in self.shapes]


Workload: TypeAlias = "Training | Function"


def moons(rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Points of two interleaved half circles, (count, 2), and on which one each lies: -1 or 1, (count, 1)."""
    angle = rng.uniform(0, np.pi, count)
    side = np.arange(count) % 2
    x = np.where(side, 1 - np.cos(angle), np.cos(angle))
    y = np.where(side, 0.5 - np.sin(angle), np.sin(angle))
    points = np.stack([x, y], 1) + 0.1 * rng.standard_normal((count, 2))
    return points.astype(float32), (2 * side[:, None] - 1).astype(float32)


def _one(rng: np.random.Generator) -> tuple[Array, Array]:
    return np.array([[0.5, 1.0]], float32), np.array([[0.8]], float32)


def _moons(rng: np.random.Generator) -> tuple[Array, Array]:
    return moons(rng, 100)


def _classes(shape: Shape, rng: np.random.Generator) -> tuple[Array, Array]:
    return rng.standard_normal(shape, float32), rng.integers(0, 10, shape[0])


def _adam(rate: float) -> Optimizer:
    """With an epsilon far above rounding: gradients that are 0 but for rounding would else be steps of full size."""
    return adam(rate, epsilon=1e-6)


def _perceptron(sizes: tuple[int, ...], batch: int, goal: float, name: str = "") -> Training:
    written = "-".join(map(str, sizes))
    make = functools.partial(_classes, (batch, sizes[0]))
    summary = f"{written}, batch {batch}, cross-entropy, Adam"
    return Training(name or written, summary, Mlp(sizes), "cross_entropy", _adam(1e-4), make, goal)


def _trainings() -> Iterator[Training]:
    yield Training(
        "2-2-1", "2-2-1, batch 1, squared error, gradient descent", Mlp((2, 2, 1)),
        "squared_error", gradient_descent(0.05), _one, 10.0,
    )  # fmt: skip
    yield Training(
        "2-16-16-1", "2-16-16-1, batch 100, squared error, Adam", Mlp((2, 16, 16, 1)),
        "squared_error", _adam(1e-2), _moons, 40.0,
    )  # fmt: skip
    yield _perceptron((784, 128, 10), 128, 3.0)
    yield _perceptron((784, 512, 512, 10), 128, 1.4)
    yield _perceptron((1024, 1024, 1024, 1024, 10), 512, 1.15, "1024x4-10")
    yield Training(
        "cnn3", "3x3 convolutions 32, 64, 128, pooling, 64x32x32x3, Adam", Cnn((3, 32, 64, 128), 10),
        "cross_entropy", _adam(1e-3), functools.partial(_classes, (64, 32, 32, 3)), 3.0,
    )  # fmt: skip
    yield Training(
        "resnet20", "ResNet-20 with batch norm, 128x32x32x3, momentum", ResNet(),
        "cross_entropy", momentum(1e-2), functools.partial(_classes, (128, 32, 32, 3)), 1.8, checked=1,
    )  # fmt: skip


def _functions() -> Iterator[Function]:
    for n in (16, 32, 64, 128, 256, 512, 1024, 2048):
        yield Function(f"sgemm-{n}", f"a @ b, {n}x{n}", "sgemm", "matmul", ((n, n), (n, n)), "arithmetic")
    for power in (3, 4, 5, 6, 7):
        n, label = 10**power, f"1e{power}"
        rows = (n // _COLUMNS, _COLUMNS)
        yield Function(
            f"bias-relu-{label}", f"relu(x + bias), {n} elements", "bias-relu", "bias_relu", (rows, rows[1:])
        )
        yield Function(
            f"tanh-{label}", f"tanh(x * a + b) * c, {n} elements", "tanh", "tanh_chain", ((n,),) * 4
        )
        yield Function(f"gelu-{label}", f"gelu(x), {n} elements", "gelu", "gelu", ((n,),))
        yield Function(f"softmax-{label}", f"softmax of rows, {n} elements", "softmax", "softmax", (rows,))


def _in_order() -> dict[str, Workload]:
    found: list[Workload] = [*_trainings(), *_functions()]
    families = list(dict.fromkeys(w.family for w in found))
    return {w.name: w for w in sorted(found, key=lambda w: families.index(w.family))}


WORKLOADS: dict[str, Workload] = _in_order()


def chosen(names: Sequence[str]) -> list[Workload]:
    """Workloads by the names of workloads and families; all of them for no names.

    Raises:
        ArgumentError: a name that there is not.

    Example:
        >>> [w.name for w in chosen(["2-2-1", "gelu"])]
        ['2-2-1', 'gelu-1e3', 'gelu-1e4', 'gelu-1e5', 'gelu-1e6', 'gelu-1e7']
    """
    known = {*WORKLOADS, *(w.family for w in WORKLOADS.values())}
    for name in names:
        if name not in known:
            meant = closest(name, sorted(known))
            raise ArgumentError(
                f"bench: there is no workload {name!r}",
                fix=f"did you mean {meant}?" if meant else "chainrule bench --list shows them all",
            )
    wanted = set(names) or known
    return [w for w in WORKLOADS.values() if w.name in wanted or w.family in wanted]
