"""Stops with formulas: articles 000, 002 and 003."""

from __future__ import annotations

from typing import Any

import chainrule.optim as optim
from chainrule.explain import Explanation, explain
from chainrule.explain.numbers import count_text, number_text
from chainrule.formula import Formula, formula
from chainrule.ops import sigmoid
from chainrule.tensor import tensor
from chainrule.tour.stop import Check, Stop
from chainrule.transforms import grad, jvp, value_and_grad

_ARTICLE = "article"


def product_of_sums() -> Stop:
    """(a+b)*(b+c), the example of article 000."""
    explanation = explain(formula("(a+b)*(b+c)")(a=-1, b=3, c=4))
    said = {"f": 14.0, "∂f/∂a": 7.0, "∂f/∂b": 9.0, "∂f/∂c": 2.0}
    computed = {"f": explanation.value, **_gradients(explanation)}
    checks = [Check(what, _ARTICLE, said[what], computed[what]) for what in said]
    through = explanation.derivation("b").paths.listed
    checks += [
        Check(f"∂f/∂b through {explanation.named(path.nodes[1])}", _ARTICLE, number, float(path.product))
        for number, path in zip((7.0, 2.0), through, strict=True)
    ]
    return Stop(
        "both passes of (a+b)·(b+c)",
        "000",
        "Values travel forward, gradients back. Each node multiplies the gradient that arrives by its "
        "own local derivative; b is used twice, so its two contributions add.",
        checks,
        explanation=explanation,
    )


def _gradients(explanation: Explanation) -> dict[str, float]:
    return {f"∂{explanation.result}/∂{name}": g.item() for name, g in explanation.gradients.items()}


def forward_against_reverse() -> Stop:
    """Three sweeps against one, and both give the same gradients."""
    f, at = formula("(a+b)*(b+c)"), (-1.0, 3.0, 4.0)
    explanation = explain(f(*at))
    modes = explanation.modes
    reverse, parameters = _gradients(explanation), _resnet_152()
    checks = [Check("ratio of sweeps", _ARTICLE, 3.0, modes.forward.sweeps / modes.reverse.sweeps)]
    for i, name in enumerate(f.variables):
        direction = tuple(float(i == k) for k in range(3))
        _, tangent = jvp(f, at, direction)
        checks.append(Check(f"∂f/∂{name}", "a forward sweep", tangent.item(), reverse[f"∂f/∂{name}"]))
    return Stop(
        "forward against reverse",
        "000",
        "A forward sweep carries the change of one variable to every node, so three variables "
        "take three sweeps. One reverse sweep carries the change of the result back to every node, all variables "
        "among them.",
        checks,
        [
            f"forward: {modes.forward.sweeps} sweeps × {modes.reverse.products} edges = "
            f"{modes.forward.products} products; reverse: 1 × {modes.reverse.products}.",
            f"Forward sweeps that skip what does not change yet need {modes.forward.nonzero_products} in all.",
            f"With {count_text(parameters)} parameters (ResNet-152): that many sweeps against one.",
        ],
        slip='000 gives ResNet-152 "close to a billion" parameters. Its layers add up to '
        f"{count_text(parameters)}: a billion is {number_text(1e9 / parameters, 2)} times too many.",
    )


def _resnet_152() -> int:
    """Parameters of ResNet-152, added up over its layers.

    Source: He et al., CVPR 2016, table 1, DOI 10.1109/CVPR.2016.90.
    """

    def convolution(size: int, before: int, after: int) -> int:
        return size * size * before * after + 2 * after  # with its batch norm's scale and shift

    total, channels = convolution(7, 3, 64), 64
    for blocks, width in ((3, 64), (8, 128), (36, 256), (3, 512)):
        for block in range(blocks):
            wide = 4 * width
            total += (
                convolution(1, channels, width) + convolution(3, width, width) + convolution(1, width, wide)
            )
            if block == 0:
                total += convolution(1, channels, wide)
            channels = wide
    return total + channels * 1000 + 1000


def sensitivity() -> Stop:
    """x*y: what a derivative says."""
    f, epsilon = formula("x*y"), 0.01
    explanation = explain(f(x=-2, y=3))
    found = _gradients(explanation)
    rise = (f(x=-2 + epsilon, y=3).item() - f(x=-2, y=3).item()) / epsilon
    return Stop(
        "what a derivative says",
        "000",
        "f = x·y at x = −2, y = 3: raise x by ε and f rises by 3ε; raise y by ε and f falls by 2ε.",
        [
            Check("∂f/∂x", _ARTICLE, 3.0, found["∂f/∂x"]),
            Check("∂f/∂y", _ARTICLE, -2.0, found["∂f/∂y"]),
            Check(f"rise of f / ε, ε = {epsilon}", _ARTICLE, 3.0, rise, tolerance=1e-10),
        ],
    )


def sensitivity_again() -> Stop:
    """x*y at the point of article 003."""
    f, h = formula("x*y"), 0.5
    slope = explain(f(x=2, y=-6), "x").gradient.item()
    change = f(x=2 + h, y=-6).item() - f(x=2, y=-6).item()
    return Stop(
        "a negative gradient",
        "003",
        "f(x, y) = x·y at x = 2, y = −6: raise x by h and f falls by 6h: the way down is along "
        "minus the gradient.",
        [
            Check("∂f/∂x", _ARTICLE, -6.0, slope),
            Check(f"change of f for h = {h}", _ARTICLE, -6.0 * h, change),
        ],
    )


def used_twice() -> Stop:
    """x*x: one node, two edges."""
    explanation = explain(formula("x*x")(x=3))
    paths = explanation.derivation("x").paths
    return Stop(
        "a variable used twice",
        "000",
        "x·x uses x twice, and each use contributes 3: gradients add at branches.",
        [
            Check("∂f/∂x", "the rule 2x", 6.0, explanation.gradient.item()),
            Check("∂f/∂x, sum over 2 paths", "the rule 2x", 6.0, sum(float(p.product) for p in paths.listed)),
        ],
        slip="002 draws a variable once for each time it is written. A graph has one node for it: that "
        "is where the contributions add.",
        explanation=explanation,
    )


def square_of_line() -> Stop:
    """(4x+1)^2, step by step as article 002 goes."""
    explanation = explain(formula("(4*x+1)^2")(x=1))
    by_expression = {explanation.expression(n.index): n.gradient for n in explanation.nodes}
    steps = [("∂g/∂e, below the square", "y + 1", 10.0), ("∂g/∂c, below the sum", "4·x", 10.0)]
    checks = [Check("g(1)", _ARTICLE, 25.0, explanation.value)]
    for what, expression, said in steps:
        checks.append(Check(what, _ARTICLE, said, _number(by_expression[expression])))
    checks.append(Check("∂g/∂x", _ARTICLE, 40.0, explanation.gradient.item()))
    return Stop(
        "(4x+1)² one node at a time",
        "002",
        "g(x) = (4x+1)² at x = 1. The gradient goes down the tree: 10 below the square, 10 below the sum, "
        "40 at x.",
        checks,
        explanation=explanation,
    )


def _number(value: Any) -> float:
    assert isinstance(value, float)
    return value


def sigmoid_from_parts() -> Stop:
    """1/(1+e^(-x)): a function built from four operations has the derivative s(1-s)."""
    point = 1.0
    explanation = explain(formula("1/(1+e^(-x))")(x=point))
    s = sigmoid(point).item()
    return Stop(
        "the sigmoid from its parts",
        "002",
        "1/(1+e⁻ˣ) is a composition of four operations. The chain rule through all of them gives s·(1 − s), "
        "which is the rule that cr.sigmoid has built in.",
        [
            Check(f"s({number_text(point)})", "cr.sigmoid", s, explanation.value),
            Check("∂s/∂x", "the formula s·(1 − s)", s * (1 - s), explanation.gradient.item()),
            Check("∂s/∂x", "cr.grad(cr.sigmoid)", grad(sigmoid)(point).item(), explanation.gradient.item()),
        ],
    )


def descent() -> Stop:
    """Gradient descent on one parameter."""
    loss: Formula = formula("L(p) = (4*p+1)^2")
    optimizer = optim.gradient_descent(0.02)
    p: Any = tensor(1.0)
    state, lines = optimizer.init(p), list[str]()
    for step in range(13):
        value, slope = value_and_grad(loss)(p)
        if step < 3 or step == 12:
            at, high, steep = (number_text(x.item()) for x in (p, value, slope))
            lines.append(f"step {step:>2}: p = {at:<6}  L = {high:<11}  ∂L/∂p = {steep}")
        p, state = optimizer.update(slope, state, p)
    return Stop(
        "descent on one parameter",
        "002",
        "Follow the slope downhill: p ← p − 0.02 · ∂L/∂p, from p = 1 on L(p) = (4p+1)², whose valley is "
        "at p = −1/4.",
        [Check("p after 13 steps", "the valley", -0.25, p.item(), tolerance=1e-4)],
        lines,
    )
