"""Explanations: the chain rule in numbers, paths that add up to the gradient, forms, and mistakes."""

from __future__ import annotations

import itertools
import json
import math
import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, GradientError, OperandError, TracedValueError
from chainrule.explain import Explanation, explain, mathml
from chainrule.primitive import REGISTRY


def formula(text: str, wrt: Any = None, **values: float) -> Explanation:
    return explain(cr.formula(text)(**values), wrt)


def variable(value: Any, name: str | None = None, dtype: Any = None) -> Any:
    return cr.tensor(value, dtype, requires_grad=True, name=name)


ARTICLE = """\
f = 14, ∂f/∂b = 9

Forward: every node's value, and its local derivatives
  a = −1
  b = 3
  c = 4
  x = a + b = −1 + 3 = 2   ∂x/∂a = 1, ∂x/∂b = 1
  y = b + c = 3 + 4 = 7    ∂y/∂b = 1, ∂y/∂c = 1
  f = x·y = 2·7 = 14       ∂f/∂x = y = 7, ∂f/∂y = x = 2

Backward: upstream gradient times local derivative, added where a variable is used more than once
  ∂f/∂b = ∂f/∂x·∂x/∂b + ∂f/∂y·∂y/∂b = 7·1 + 2·1 = 9

2 paths from f to b
  f ← x ← b   7·1 = 7   77.8 %
  f ← y ← b   2·1 = 2   22.2 %
  sum         9

Reverse mode: 1 sweep, 6 products, gives all 3 gradients.
Forward mode: 3 sweeps, one for each variable, 18 products, 8 not zero.
Deltas reused: 6 multiplications; path by path: 8 (1.33 times as many).
Used more than once: ∂f/∂y 2 times, ∂f/∂x 2 times."""


def test_the_article_in_text():
    assert formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4).text == ARTICLE


def test_every_node_and_edge():
    explanation = formula("(a+b)*(b+c)", a=-1, b=3, c=4)
    found = {n.name: (n.value, n.gradient, n.kind) for n in explanation.nodes}
    assert found == {
        "a": (-1.0, 7.0, "variable"),
        "b": (3.0, 9.0, "variable"),
        "c": (4.0, 2.0, "variable"),
        "x": (2.0, 7.0, "intermediate"),
        "y": (7.0, 2.0, "intermediate"),
        "f": (14.0, 1.0, "result"),
    }
    edges = [(explanation.named(e.node), explanation.named(e.input), e.local, e.contribution)
             for n in explanation.nodes for e in n.edges]  # fmt: skip
    assert edges == [
        ("x", "a", 1.0, 7.0),
        ("x", "b", 1.0, 7.0),
        ("y", "b", 1.0, 2.0),
        ("y", "c", 1.0, 2.0),
        ("f", "x", 7.0, 7.0),
        ("f", "y", 2.0, 2.0),
    ]


def test_gradient_is_a_tensor_like_what_it_belongs_to():
    w = variable(np.ones((2, 3)), "w", cr.float32)
    gradient = explain((w * w).sum(), w).gradient
    assert isinstance(gradient, cr.Tensor)
    assert (gradient.shape, gradient.dtype) == ((2, 3), cr.float32)
    several = formula("a*b", a=2, b=3)
    assert {name: g.item() for name, g in several.gradients.items()} == {"a": 3.0, "b": 2.0}
    with pytest.raises(ArgumentError, match="gradient: 2 variables are explained: a, b") as raised:
        _ = several.gradient
    assert raised.value.fix == "explanation.gradients['a'], or cr.explain(y, 'a').gradient"


def test_a_node_used_twice_by_one_node_has_two_edges_and_two_paths():
    x = variable(3.0, "x")
    explanation = explain(x * x, x)
    assert [p.product for p in explanation.paths] == [3.0, 3.0]
    assert explanation.gradient.item() == 6.0
    assert "∂f/∂x = (∂f/∂x)₁ + (∂f/∂x)₂ = 3 + 3 = 6" in explanation.text
    beside = explain(x * x + x, "x")
    assert "∂f/∂y·(∂y/∂x)₁ + ∂f/∂y·(∂y/∂x)₂ + (∂f/∂x direct) = 1·3 + 1·3 + 1 = 7" in beside.text


def test_local_derivatives_are_written_in_letters():
    explanation = formula("sin(x)*exp(-x^2)/sqrt(q)", x=1, q=2)
    symbols = {
        explanation.expression(n.index): explanation.symbols(n.index) for n in explanation.nodes if n.edges
    }
    assert symbols == {
        "sin(x)": ("cos(x)",),
        "x²": ("2·x", ""),  # the exponent is a constant, whose derivative tells cases apart
        "−z": ("",),
        "exp(u)": ("v",),
        "y·v": ("v", "y"),
        "sqrt(q)": ("0.5/p",),
        "w/p": ("1/p", "−f/p"),
    }


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("x*sin(x)+exp(-x*y)/y", {"x": 0.7, "y": 1.3}),
        ("(x+y)*(x-y)*(x*y)", {"x": 2.0, "y": -3.0}),
        ("max(x,y)*abs(x-y)+x^y", {"x": 1.5, "y": 0.4}),
    ],
)
def test_paths_terms_and_differences_agree(text: str, values: dict[str, float]):
    f = cr.formula(text)
    explanation = explain(f(**values))
    for name in explanation.wrt:
        d = explanation.derivation(name)
        step = 1e-6
        above, below = ({**values, name: values[name] + s * step} for s in (1, -1))
        difference = (f(**above).item() - f(**below).item()) / (2 * step)
        assert d.gradient == pytest.approx(difference, rel=1e-6)
        assert sum(float(p.product) for p in d.paths.listed) == pytest.approx(d.gradient, rel=1e-12)
        assert sum(float(e.contribution) for e in d.terms) == pytest.approx(d.gradient, rel=1e-12)
        assert d.agrees


@given(
    st.lists(
        st.tuples(st.sampled_from("+-*"), st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=12
    )
)
def test_paths_add_up_on_any_graph(steps: list[tuple[str, int, int]]):
    x = variable(0.5, "x")
    nodes = [x, variable(-1.25)]
    for sign, i, j in steps:
        a, b = nodes[i % len(nodes)], nodes[j % len(nodes)]
        nodes.append(a + b if sign == "+" else a - b if sign == "-" else a * b)
    y = nodes[-1] + x
    d = explain(y, x).derivation("x")
    assert d.agrees
    assert d.paths.count is not None
    assert len(d.paths.listed) == min(d.paths.count, 100)
    sizes = [abs(float(p.product)) for p in d.paths.listed]
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(sizes))


def doubled(x: Any, times: int) -> Any:
    for _ in range(times):
        x = x * 0.75 + x * 0.5
    return x


def test_two_to_the_fifty_paths():
    x = variable(2.0, "x")
    paths = explain(doubled(x, 50), x).derivation("x").paths
    assert paths.count == 2**50
    assert len(paths.listed) == 100
    assert paths.listed[0].product == pytest.approx(0.75**50)
    assert paths.listed[1].product == pytest.approx(0.75**49 * 0.5)
    assert float(paths.rest) + sum(float(p.product) for p in paths.listed) == pytest.approx(1.25**50)


def test_the_strongest_paths_come_first():
    x = variable(2.0, "x")
    every = sorted((0.75 ** (8 - k) * 0.5**k for k in range(9) for _ in range(math.comb(8, k))), reverse=True)
    listed = [float(p.product) for p in explain(doubled(x, 8), x).paths]
    assert listed == pytest.approx(every[:100])


def test_paths_beyond_counting():
    x = variable(1.0, "x")
    y = x
    for _ in range(1_500):
        y = (y + y) * 0.5
    explanation = explain(y, x)
    d = explanation.derivation("x")
    assert d.paths.count is None
    assert d.agrees
    assert "more than 10³⁰⁰ paths from f to x" in explanation.text
    assert explanation.to_dict()["derivations"][0]["path_count"] is None


def test_long_chains_and_wide_sums_are_explained_in_linear_time():
    x = variable(1.0, "x")
    y = x
    for _ in range(20_000):
        y = y * 1.0001
    explanation = explain(y, x)
    assert len(explanation.text) < 10_000
    assert "… 19,988 nodes …" in explanation.text
    json.dumps(explanation.to_dict(), allow_nan=False)
    wide = x * 0.0
    for i in range(3_000):
        wide = wide + x * float(i)
    d = explain(wide, x).derivation("x")
    assert d.paths.count == 3_001
    assert d.agrees


def test_arrays_with_a_scalar_loss(rng: np.random.Generator):
    weights = variable(rng.normal(size=(4, 3)), "W")
    bias = variable(rng.normal(size=3), "b")
    x = cr.tensor(rng.normal(size=(5, 4)), name="X")
    hidden = cr.tanh(x @ weights + bias)
    loss = (hidden * hidden).mean() + (weights * weights).sum() * 0.01
    explanation = explain(loss)
    loss.backward()
    for leaf, name in ((weights, "W"), (bias, "b")):
        d = explanation.derivation(name)
        np.testing.assert_allclose(np.asarray(d.gradient), leaf.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(
            np.array([p.product for p in d.paths.listed]).sum(0), d.gradient, rtol=1e-12
        )
        np.testing.assert_allclose(np.array([e.contribution for e in d.terms]).sum(0), d.gradient, rtol=1e-12)
        assert d.agrees
    assert explanation.derivation("W").paths.count == 4
    assert explanation.derivation("b").paths.count == 2
    by_name = {n.name: n for n in explanation.nodes}
    tanh = next(n for n in explanation.nodes if n.op == "tanh")
    assert np.asarray(tanh.edges[0].local) == pytest.approx(1 - np.asarray(tanh.value) ** 2)
    matmul = next(n for n in explanation.nodes if n.op == "matmul")
    assert matmul.edges[0].local is None
    assert "(matmul carries gradients back by its own rule)" in explanation.text
    assert "W = 4×3, " in explanation.text
    assert by_name["X"].kind == "constant"
    assert by_name["X"].gradient is None


def test_arrays_with_more_paths_than_are_listed(rng: np.random.Generator):
    v = variable(rng.normal(size=3), "v")
    y = v
    for _ in range(9):
        y = cr.sin(y) + y * 0.5
    d = explain(y.sum(), v).derivation("v")
    assert d.paths.count == 2**9
    assert len(d.paths.listed) == 100
    assert d.agrees


def test_intermediates_can_be_explained():
    explanation = formula("(a+b)*(b+c)", "x", a=-1, b=3, c=4)
    assert explanation.gradient.item() == 7.0
    a = variable(2.0, "a")
    middle = a * 3
    assert explain(middle * middle, middle).gradient.item() == 12.0
    assert explain(middle, middle).gradient.item() == 1.0


def test_a_variable_alone():
    x = variable(5.0, "x")
    explanation = explain(x, x)
    assert explanation.gradient.item() == 1.0
    assert [p.nodes for p in explanation.paths] == [(0,)]
    assert explanation.latex.count("x") >= 1


def test_where_no_derivative_passes_the_gradient_is_zero():
    x = variable(1.5, "x")
    explanation = explain(cr.floor(x) * 2.0, x)
    assert explanation.gradient.item() == 0.0
    assert explanation.derivation("x").paths.count == 1


def test_strong_zeros_are_said():
    z = variable(0.0, "z")
    u = cr.log(z)
    explanation = explain(u - u, z)
    assert explanation.gradient.item() == 0.0
    assert not explanation.derivation("z").agrees
    assert "(strong zeros)" in explanation.text
    assert json.loads(json.dumps(explanation.to_dict(), allow_nan=False))["value"] == "NaN"


def test_float32_paths_agree_up_to_rounding(rng: np.random.Generator):
    x = variable(np.float32(0.7), "x", cr.float32)
    y = x
    for _ in range(6):
        y = cr.sin(y * 1.3) + y * y
    d = explain(y, x).derivation("x")
    assert d.agrees
    assert explain(y, x).gradient.dtype == cr.float32


def test_modes_are_counted():
    modes = formula("(a+b)*(b+c)", a=-1, b=3, c=4).modes
    assert (modes.reverse.sweeps, modes.reverse.products) == (1, 6)
    assert (modes.forward.sweeps, modes.forward.products, modes.forward.nonzero_products) == (3, 18, 8)


def test_names_stay_distinct():
    a, b = variable(1.0, "w"), variable(2.0, "w")
    explanation = explain(a * b)
    assert explanation.wrt == ("w", "w_2")
    with pytest.raises(ArgumentError, match="2 tensors of this computation are called 'w'"):
        explain(a * b, "w")
    assert explain(a * b, b).gradient.item() == 1.0


def test_several_variables_in_a_list():
    explanation = formula("a*b*c", ["a", "c"], a=1, b=2, c=3)
    assert explanation.wrt == ("a", "c")
    assert [p.variable for p in explanation.paths] == ["a", "c"]


def test_to_dict_is_json_and_versioned():
    explanation = formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4)
    data = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert data["version"] == 1
    assert (data["value"], data["gradient"]) == (14.0, 9.0)
    assert [(p["nodes"], p["factors"], p["contribution"]) for p in data["paths"]] == [
        (["f", "x", "b"], [7.0, 1.0], 7.0),
        (["f", "y", "b"], [2.0, 1.0], 2.0),
    ]
    assert data["nodes"][-1]["edges"][0] == {
        "input": 3, "slot": 0, "local": 7.0, "symbol": "y", "contribution": 7.0,
    }  # fmt: skip


def test_latex_is_an_align_environment():
    latex = formula("x_1*alpha+x_1^2", "x_1", x_1=-3, alpha=2).latex
    assert latex.startswith("\\begin{align*}\n")
    assert latex.endswith("\n\\end{align*}")
    assert latex.count("{") == latex.count("}")
    assert latex.count(r"\left") == latex.count(r"\right")
    for part in (
        r"x_{1} &= -3",
        r"\alpha &= 2",
        r"\frac{\partial f}{\partial x_{1}} &=",
        r"\left(-3\right)^{2}",
    ):
        assert part in latex


def plain(html: str) -> str:
    """What a reader sees of it, without its layout."""
    return unescape(re.sub(r"<[^>]*>", "", html)).replace("\u2061", "")


CORE = {
    *(
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "mtext",
        "mspace",
        "mfrac",
        "msqrt",
        "mroot",
        "msub",
        "msup",
        "msubsup",
    ),
    *("mtable", "mtr", "mtd"),
}
ARGUMENTS = {"mfrac": 2, "mroot": 2, "msub": 2, "msup": 2, "msubsup": 3}


def parsed(mathml: str) -> ElementTree.Element:
    """Well-formed, and no element or number of arguments that MathML Core does not have."""
    root = ElementTree.fromstring(mathml)
    for element in root.iter():
        namespace, _, tag = element.tag[1:].partition("}")
        assert (namespace, tag in CORE) == ("http://www.w3.org/1998/Math/MathML", True)
        assert len(element) == ARGUMENTS.get(tag, len(element)), tag
    return root


def rows(mathml: str) -> list[str]:
    found = parsed(mathml).iter("{http://www.w3.org/1998/Math/MathML}mtr")
    return ["".join(row.itertext()) for row in found]


def test_mathml_says_what_latex_says():
    explanation = formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4)
    assert rows(explanation.mathml) == [
        "a=−1", "b=3", "c=4", "x=a+b=−1+3=2", "y=b+c=3+4=7", "f=x·y=2·7=14",
        "∂f∂b=∂f∂x·∂x∂b+∂f∂y·∂y∂b", "=7·1+2·1", "=9",
    ]  # fmt: skip
    assert len(explanation.latex.splitlines()) == 2 + 9
    (fraction, *_) = parsed(explanation.mathml).iter("{http://www.w3.org/1998/Math/MathML}mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["∂f", "∂b"]


@pytest.mark.parametrize(
    ("text", "values", "row"),
    [
        ("x_1*alpha+x_1^2", {"x_1": -3, "alpha": 2}, "y=x12=(−3)2=9"),
        ("sqrt(max(q, 2))/exp(-q)", {"q": 3}, "y=x=3=1.732"),
        ("rate/3e7", {"rate": 2}, "f=rate3·107=23·107=6.667·10−8"),
    ],
)
def test_mathml_of_powers_roots_and_names(text, values, row):
    assert row in rows(explain(cr.formula(text)(**values)).mathml)


def test_small_arrays_are_matrices_in_latex_and_mathml():
    w = variable([[1.0, 2.0]], "w")
    explanation = explain((w * w).sum())
    assert (
        r"&= \begin{bmatrix} 1 & 2 \end{bmatrix} + \begin{bmatrix} 1 & 2 \end{bmatrix}" in explanation.latex
    )
    assert "=[12]+[12]" in rows(explanation.mathml)


def test_mathml_reads_what_every_primitive_declares():
    for op in REGISTRY.values():
        shown = mathml.inline(op.latex.format("x", "y", "z"))
        parsed(shown)
        assert "mtext>\\" not in shown, op.name


@pytest.mark.parametrize(
    "latex", [r"\frac{1}", r"\left( x", "}", "x_", r"\sqrt[3", r"\begin{cases} a", "{0}}&<", "\\"]
)
def test_mathml_shows_as_it_is_what_it_cannot_read(latex):
    assert plain(mathml.inline(latex)) == latex
    parsed(mathml.inline(latex))


def test_names_of_users_cannot_break_latex_or_html():
    w = variable(2.0, r"\evil{<b>_%&")
    explanation = explain(w * w)
    assert "<b>" not in explanation._repr_html_()
    assert "&lt;b&gt;" in explanation._repr_html_()
    parsed(explanation.mathml)
    parsed(explain(variable(2.0, "\x00\ud800<") * w).mathml)
    assert explanation.latex.count("{") - explanation.latex.count(r"\{") == (
        explanation.latex.count("}") - explanation.latex.count(r"\}")
    )


def test_html_shows_value_and_gradient():
    html = formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4)._repr_html_()
    assert "77.8 %" in html
    (rule,) = re.findall(r"<div>(<math.*?)</div>", html)
    assert plain(rule) == "∂f∂b=∂f∂x·∂x∂b+∂f∂y·∂y∂b=7·1+2·1= 9"


def test_printing():
    explanation = formula("a*b", a=2, b=3)
    assert str(explanation) == explanation.text
    assert repr(explanation) == "<Explanation of f with respect to a, b>"


def test_mistakes():
    y = cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4)
    with pytest.raises(ArgumentError) as raised:
        explain(y, "q")
    assert raised.value.message == "explain: the result does not depend on 'q'; variables are: a, b, c"
    with pytest.raises(ArgumentError, match="does not depend on 'B'") as raised:
        explain(y, "B")
    assert raised.value.fix == "did you mean b?"
    with pytest.raises(ArgumentError, match="the result does not depend on 'other' float64"):
        explain(y, variable(1.0, "other"))
    with pytest.raises(OperandError, match="wrt is int, expected a tensor or the name of one"):
        explain(y, 3)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="wrt is empty"):
        explain(y, [])


def test_results_that_cannot_be_explained():
    x = variable([1.0, 2.0], "x")
    with pytest.raises(GradientError, match=r"the result has shape \(2,\)") as raised:
        explain(x * 2)
    assert raised.value.fix == "reduce with .sum() or .mean(), or pick an element by index"
    with pytest.raises(GradientError, match="does not depend on any tensor that requires a gradient"):
        explain(cr.tensor(1.0) * 2)
    with pytest.raises(GradientError, match="the result is int64, which has no derivative"):
        explain(cr.tensor(3))
    with pytest.raises(OperandError, match="expected a tensor that chainrule computed, got float"):
        explain(3.0)
    with pytest.raises(OperandError, match="got Formula") as raised_operand:
        explain(cr.formula("a*b"))
    assert raised_operand.value.fix == "call the formula with values first, and pass the result"
    with pytest.raises(TracedValueError, match=r"explain\(\)"):
        cr.trace(lambda x: explain(x * x), 1.0)


def test_constants_cannot_be_explained():
    x, k, n = variable(2.0, "x"), cr.tensor(3.0, name="k"), cr.tensor([1, 0], name="n")
    with pytest.raises(GradientError, match="'k' is a constant of this computation") as raised:
        explain(x * k, "k")
    assert raised.value.fix == "make it a variable: cr.tensor(data, requires_grad=True, name='k')"
    y = cr.where(n > 0, x, x * 2).sum()
    with pytest.raises((GradientError, ArgumentError)):
        explain(y, "n")


def test_equal_paths_stand_as_they_are_written():
    a, b, c = (variable(v, n) for v, n in ((0.1, "a"), (0.2, "b"), (0.3, "c")))
    x = variable(2.0, "x")
    explanation = explain((a * b) * (c * x) + (x * c) * (b * a) + (b * x) * (a * c), x)
    assert [p.edges[0].slot for p in explanation.paths] == [0, 0, 1]
    assert len({f"{p.product:.12e}" for p in explanation.paths}) == 1
    assert [p.edges[1].slot for p in explanation.paths] == [0, 1, 0]


def test_what_is_not_listed_is_explained():
    text = formula("(a+b)*(b+c)", a=-1, b=3, c=4).text
    assert "One path each leads to a and c, which the chain rule above shows." in text
    assert "paths from f to b" in text
    assert "One path leads to y," in formula("x*x*y", x=1, y=2).text
    assert "leads to" not in formula("2*x", x=1).text


def test_counts_agree_in_number():
    assert "1 sweep, 2 products, gives both gradients." in formula("a*b", a=1, b=2).text
    v = variable([1.0, 2.0], "v")
    assert "gives the gradient.\nForward mode: 2 sweeps, one for each number in it" in explain(v.sum()).text


def test_small_arrays_are_written_out_with_their_own_brackets():
    w = variable([[1.0, 2.0]], "w")
    assert "= [[1, 2]] + [[1, 2]] = [[2, 4]]" in explain((w * w).sum()).text
    large = variable(np.arange(12.0), "v")
    assert "= (12, 0 to 11) + (12, 0 to 11) = 12, 0 to 22" in explain((large * large).sum()).text


@pytest.mark.parametrize(
    ("text", "at"), [("x^2", 2.5e12), ("x^2", 1e12), ("hypot(x, 3)", 1e12), ("2^x", 1e-9)]
)
def test_latex_has_no_double_superscript(text, at):
    assert "}^{" not in explain(cr.formula(text)(x=at), "x").latex


def test_one_element_is_explained_by_what_each_use_and_path_brings_to_it():
    w = cr.tensor([1.0, 2.0], requires_grad=True, name="w")
    why = cr.explain(cr.sum(w * w) + cr.max(w), ("w", -1))
    (derivation,) = why.derivations
    assert why.wrt == ("w[1]",) and why.gradient.item() == 5
    assert [edge.contribution for edge in derivation.terms] == [2, 2, 1]
    assert [path.product for path in why.paths] == [2, 2, 1] and derivation.agrees
    assert "= 2 + 2 + 1 = 5" in why.text and why.to_dict()["gradient"] == 5


def test_a_model_names_the_parameters():
    model = cr.models.mlp([4, 8, 3], cr.tanh, key=cr.random.key(0))
    loss = cr.nn.softmax_cross_entropy(model(np.ones((5, 4), np.float32)), np.arange(5) % 3)
    why = cr.explain(loss, [("layers.0.weight", 3, 7), "layers.2.bias"], model)
    (expected,) = cr.grad(lambda w: _loss_of(model, w))(model.layers[0].weight)[3:4, 7].tolist()
    assert why.gradients["layers.0.weight[3, 7]"].item() == pytest.approx(expected, rel=1e-6)
    assert list(why.gradients) == ["layers.0.weight[3, 7]", "layers.2.bias"]
    with pytest.raises(ArgumentError, match=r"did you mean layers\.0\.weight"):
        cr.explain(loss, "layer.0.weight", model)


def _loss_of(model, weight):
    changed = model.with_parameters({**model.parameters(), "layers.0.weight": weight})
    return cr.nn.softmax_cross_entropy(changed(np.ones((5, 4), np.float32)), np.arange(5) % 3)


def test_elements_that_do_not_exist_are_refused():
    w = cr.tensor([1.0, 2.0], requires_grad=True, name="w")
    for index in ((2,), (0, 0)):
        with pytest.raises(ArgumentError, match="has no element"):
            cr.explain(cr.sum(w), (w, *index))
    with pytest.raises(OperandError, match="model is str, expected"):
        cr.explain(cr.sum(w), w, model="net")


def test_hats():
    assert mathml.row(r"\hat{y}_1") == (
        '<msub><mover accent="true"><mi>y</mi><mo stretchy="false">^</mo></mover><mn>1</mn></msub>'
    )
