"""Formulas: how they are read, what they evaluate to, their letters, calls and LaTeX."""

from __future__ import annotations

import ast
import inspect
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import chainrule as cr
from chainrule.formula.functions import FUNCTIONS
from chainrule.primitive import REGISTRY


def value(text: str, /, **values: float) -> float:
    return cr.formula(text)(**values).item()


def gradient(x: cr.Tensor) -> float:
    assert x.grad is not None
    return x.grad.item()


def definitions(text: str) -> dict[str, str]:
    """What each intermediate is called, and what it is: ``{"x": "a add b"}``."""
    graph = cr.formula(text).graph.verify()
    names = graph.names()
    return {names[n]: f" {n.op.name} ".join(names[x] for x in n.inputs) for n in graph.nodes if n.op}


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2+3*4", 14),
        ("(2+3)*4", 20),
        ("10-4-3", 3),
        ("100/5/2", 10),
        ("2^3^2", 512),
        ("2**3**2", 512),
        ("(2^3)^2", 64),
        ("2^-1", 0.5),
        ("2^-2^2", 1 / 16),
        ("2^-1*4", 2),
        ("-2^2", -4),
        ("(-2)^2", 4),
        ("--2", 2),
        ("+2 - -3", 5),
        ("2*-3", -6),
        ("-3*2+1", -5),
        ("2(3)", 6),
        ("(1+2)(3+4)", 21),
        ("2(3)(4)", 24),
        ("1/2(4)", 2),
        ("2 pi", 2 * math.pi),
        ("2π", 2 * math.pi),
        ("2e", 2 * math.e),
        ("2e - 1", 2 * math.e - 1),
        ("2e-1", 0.2),
        ("2e+1", 20),
        ("2E1", 20),
        ("3sqrt(4)", 6),
        ("sqrt(4)sqrt(9)", 6),
        (".5", 0.5),
        ("5.", 5),
        ("2e−3", 2e-3),
        ("9007199254740993", 9007199254740992),
        ("2·3×4÷6−1", 3),
        ("3²", 9),
        ("2³²", 2.0**32),
        ("-3²", -9),
        ("2^3²", 512),
        ("2⁻¹", 0.5),
        ("√(16)", 4),
        ("1\N{NO-BREAK SPACE}+\t1", 2),
        ("e^0", 1),
        ("log2(8) + log10(100) + ln(e) + log(e)", 7),
        ("h() = 3", 3),
        ("max(1, 3, 2) - min(1, 3, 2)", 2),
        ("arcsin(1) - asin(1) + swish(0)", 0),
        ("clip(5, 0, 1) + sign(-3) + abs(-2)", 2),
        ("(1\n+\n2)", 3),
        ("a = 2; b = 3a\n\na b;", 12),
    ],
)
def test_what_a_formula_without_variables_is_worth(text: str, expected: float):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("5x+3", {"x": 2}, 13),
        ("-x^2", {"x": 3}, -9),
        ("2x^2", {"x": 3}, 18),
        ("2^3x", {"x": 3}, 24),
        ("1/2x", {"x": 8}, 4),
        ("x/2y", {"x": 8, "y": 3}, 12),
        ("x y", {"x": 3, "y": 4}, 12),
        ("xy", {"xy": 5}, 5),
        ("x(y+1)", {"x": 3, "y": 4}, 15),
        ("x_1(w1+1)", {"x_1": 3, "w1": 4}, 15),
        ("2 pi r", {"r": 3}, 6 * math.pi),
        ("2πr²", {"r": 3}, 18 * math.pi),
        ("2e3x", {"x": 2}, 4000),
        ("2e-x", {"x": 2}, 2 * math.e - 2),
        ("2ex", {"ex": 2}, 4),
        ("2exp(x)", {"x": 0}, 2),
        ("e^-x", {"x": 0}, 1),
        ("x²y³", {"x": 3, "y": 2}, 72),
        ("x²y", {"x": 3, "y": 2}, 18),
        ("w₁x", {"w_1": 3, "x": 2}, 6),
        ("w₁ - w_1", {"w_1": 3}, 0),
        ("δ·α", {"δ": 3, "α": 2}, 6),
        ("alpha - α", {"alpha": 3, "α": 2}, 1),
        ("\N{MICRO SIGN} - \N{GREEK SMALL LETTER MU}", {"μ": 3}, 0),
        ("σ²", {"σ": 3}, 9),
        ("σ(x)", {"x": 0}, 0.5),
        ("E", {"E": 3}, 3),
        ("sin(x)cos(x)", {"x": 0}, 0),
        ("sin (x)^2 + cos(x)²", {"x": 0.3}, 1),
        ("rate*(1+t)", {"rate": 2, "t": 1}, 4),
        ("f(rate, t) = rate(1+t)", {"rate": 2, "t": 1}, 4),
    ],
)
def test_what_a_formula_with_variables_is_worth(text: str, values: dict[str, float], expected: float):
    assert value(text, **values) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function(name: str):
    """Each computes one of the registered primitives, and its derivative is finite somewhere."""
    count = FUNCTIONS[name].arity[0]
    f = cr.formula(f"{name}({', '.join('abcd'[:count])})")
    for node in f.graph.nodes:
        assert node.op is None or node.op is REGISTRY[node.op.name]
    point = {"a": 1.25 if "cosh" in name else 0.25, "b": 0.5, "c": 0.75}
    result = f(*(point[v] for v in f.variables))
    result.backward()
    assert math.isfinite(result.item())


def test_the_docstring_lists_every_function():
    words = set(re.findall(r"[\w√σ]+", cr.formula.__doc__ or ""))
    arcs = {name for name in FUNCTIONS if name.startswith("arc")}
    assert set(FUNCTIONS) - arcs <= words


# The graph and its letters


def test_the_formula_of_article_000():
    f = cr.formula("(a+b)*(b+c)")
    assert f.variables == ("a", "b", "c")
    assert definitions(f.text) == {"x": "a add b", "y": "b add c", "f": "x multiply y"}
    assert f(a=-1, b=3, c=4).item() == 14


def test_the_formulas_of_article_002():
    assert definitions("g(x)=(4x+1)^2") == {"y": "4 multiply x", "z": "y add 1", "g": "z power 2"}
    assert definitions("f(x) = 1/(1+e^(-x))") == {
        "y": "x",
        "z": "e power y",
        "u": "1 add z",
        "f": "1 divide u",
    }
    x = cr.tensor(1.0, requires_grad=True)
    cr.formula("g(x) = (4x+1)^2")(x).backward()
    assert gradient(x) == 40
    assert cr.formula("f(x) = 1")(5).item() == 1
    assert cr.formula("g(x) = x")(5).item() == 5


def test_a_variable_is_one_node_however_often_it_occurs():
    f = cr.formula("x*x + x")
    product = next(n for n in f.graph.nodes if n.op is REGISTRY["multiply"])
    assert product.inputs[0] is product.inputs[1] is f.graph.inputs[0]
    x = cr.tensor(3.0, requires_grad=True)
    f(x).backward()
    assert gradient(x) == 7


def test_every_number_is_a_node_of_its_own_and_has_no_letter():
    graph = cr.formula("1/(1+x)").graph
    assert [n.value.item() for n in graph.constants] == [1, 1]
    assert all(n.name is None and not n.tracked and n.dtype == np.float64 for n in graph.constants)


def test_what_has_no_variables_becomes_one_constant():
    assert [n.value.item() for n in cr.formula("(2^3-1)x").graph.constants] == [7]
    assert definitions("-2x") == {"f": "-2 multiply x"}


def test_e_and_pi_keep_their_names():
    assert definitions("e^x + pi") == {"y": "e power x", "f": "y add π"}
    assert {n.name for n in cr.formula("e^x + pi").graph.constants} == {"e", "π"}


def test_letters_leave_out_the_names_in_use():
    assert list(definitions("x*z + x/z - 1")) == ["y", "u", "v", "f"]
    assert list(definitions("f*x + 1")) == ["y", "g"]
    assert list(definitions("y = (a+b)c; y^2 - y")) == ["x", "y", "z", "f"]


def test_letters_go_on_with_numbers():
    names = list(definitions("+".join(["x1"] * 24)))
    assert names[:6] == ["x", "y", "z", "u", "v", "w"]
    assert names[-5:] == ["n", "x2", "x3", "x4", "f"]


def test_assigned_names_are_the_names_of_their_nodes():
    f = cr.formula("z = w*x + b\na = σ(z)\nL = (a - y)^2 / 2")
    assert f.name == "L"
    assert f.variables == ("w", "x", "b", "y")
    assert definitions(f.text) == {
        "u": "w multiply x",
        "z": "u add b",
        "a": "z",
        "v": "a subtract y",
        "p": "v power 2",
        "L": "p divide 2",
    }
    assert [n.name for n in cr.formula("k = 3; k x").graph.constants] == ["k"]


@pytest.mark.parametrize(
    ("text", "name", "variables"),
    [
        ("x + y", "f", ("x", "y")),
        ("y - x", "f", ("y", "x")),
        ("L = w^2", "L", ("w",)),
        ("h(y, x) = x + y", "h", ("y", "x")),
        ("h(x) = a x + b", "h", ("x", "a", "b")),
        ("h(x, t) = x", "h", ("x", "t")),
        ("z = w x; h(x) = z^2", "h", ("x", "w")),
        ("z = 2x; z", "z", ("x",)),
        ("z = x; f = z", "f", ("x",)),
        ("x", "f", ("x",)),
        ("3", "f", ()),
    ],
)
def test_name_and_variables(text: str, name: str, variables: tuple[str, ...]):
    f = cr.formula(text)
    assert (f.name, f.variables) == (name, variables)
    f.graph.verify()
    assert f(*range(len(variables))).dtype == np.float64


def test_spans_show_where_each_node_came_from():
    f = cr.formula("z = (w₁ + b)·2π; max(z, σ(w₁), 0)")
    assert set(f.spans) == set(f.graph.nodes)
    parts = {f.graph.names()[n]: f.text[slice(*span)] for n, span in f.spans.items()}
    assert parts == {
        "w_1": "w₁",
        "b": "b",
        "x": "w₁ + b",
        "2": "2",
        "y": "(w₁ + b)·2",
        "π": "π",
        "z": "(w₁ + b)·2π",
        "u": "σ(w₁)",
        "v": "max(z, σ(w₁), 0)",
        "0": "0",
        "f": "max(z, σ(w₁), 0)",
    }


def test_the_source_of_a_node_is_the_line_that_called_formula():
    node = cr.formula("a + b").graph.outputs[0]
    assert node.source is not None
    assert node.source.text.startswith('node = cr.formula("a + b")')


# Calling


def test_values_by_place_and_by_name():
    f = cr.formula("a - b")
    assert [f(3, 1).item(), f(3, b=1).item(), f(b=1, a=3).item(), f(True, 0.5).item()] == [2, 2, 2, 0.5]
    assert cr.formula("self + 1")(self=1).item() == 2
    assert cr.formula("w₁ + ϕ")(**{"w₁": 1, "ϕ": 2}).item() == 3


def test_plain_values_become_tracked_float64_leaves_with_the_variables_names():
    result = cr.formula("(a+b)*(b+c)")(-1, np.float32(3), [4, 5])
    assert isinstance(result, cr.Tensor)
    assert (result.name, result.dtype, result.tolist()) == ("f", np.float64, [14, 16])
    x, y = result.inputs
    assert (x.name, y.name) == ("x", "y")
    assert [(n.name, n.tracked, n.dtype) for n in (*x.inputs, y.inputs[1])] == [
        ("a", True, np.float64),
        ("b", True, np.float64),
        ("c", True, np.float64),
    ]


def test_tensors_are_used_as_they_are():
    b = cr.tensor(3.0, requires_grad=True, name="other")
    result = cr.formula("(a+b)*(b+c)")(-1, b, 4)
    result.backward()
    assert gradient(b) == 9
    assert any(node is b for node in result.inputs[0].inputs)


def test_arrays_broadcast_and_are_copied():
    x = np.arange(3.0)
    result = cr.formula("x*y")(x, np.ones((2, 1)))
    x[:] = 9
    assert result.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_a_formula_is_traced_and_differentiated_like_any_function():
    assert cr.grad(cr.formula("x^3"))(2.0).item() == 12
    assert cr.grad(cr.grad(cr.formula("x^3")))(2.0).item() == 12


@pytest.mark.parametrize(
    ("args", "values", "message", "fix"),
    [
        ((1,), {}, "f(rate, t): no value for t", "pass one for each of rate, t, for example t=1"),
        ((), {}, "f(rate, t): no value for rate, t", "pass one for each of rate, t, for example rate=1"),
        ((1, 2, 3), {}, "f(rate, t): expected 2 values, got 3", "pass one for each of rate, t"),
        ((1, 2), {"t": 3}, "f(rate, t): t has two values", "pass it by its place or by its name, once"),
        (
            (),
            {"rat": 1, "t": 1},
            "f(rate, t): there is no variable rat",
            "expected rate, t; did you mean rate?",
        ),
        ((), {"q": 1}, "f(rate, t): there is no variable q", "expected rate, t"),
        (
            (),
            {"e": 1},
            "f(rate, t): there is no variable e",
            "expected rate, t; e is the number 2.71828 in every formula",
        ),
    ],
)
def test_wrong_values(args: tuple[float, ...], values: dict[str, float], message: str, fix: str):
    with pytest.raises(cr.errors.ArgumentError) as caught:
        cr.formula("rate^t")(*args, **values)
    assert (caught.value.message, caught.value.fix) == (message, fix)


def test_names_that_run_together_and_formulas_without_variables():
    with pytest.raises(cr.errors.ArgumentError) as caught:
        cr.formula("xy + 1")(x=2, y=3)
    assert caught.value.fix == "expected xy; xy is one name: a product is written x*y"
    with pytest.raises(cr.errors.ArgumentError, match="expected 0 values, got 1"):
        cr.formula("3")(1)


@pytest.mark.parametrize("wrong", ["3", None, object(), [[1], [1, 2]], 10**400])
def test_values_that_are_no_numbers(wrong: object):
    with pytest.raises(cr.errors.OperandError, match=r"^rate: "):
        cr.formula("rate^2")(wrong)  # pyright: ignore[reportArgumentType]


def test_text_that_is_no_text():
    for wrong in (None, 3, b"x", ["x"], cr.formula("x")):
        with pytest.raises(cr.errors.ArgumentError, match="formula: expected text, got") as caught:
            cr.formula(wrong)  # pyright: ignore[reportArgumentType]
        assert caught.value.fix == 'write it in quotes: "(a+b)*(b+c)"'


# LaTeX


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("(a+b)*(b+c)", r"f = \left(a + b\right) \cdot \left(b + c\right)"),
        ("(a+b)(b+c)", r"f = \left(a + b\right) \left(b + c\right)"),
        ("g(x) = (4x+1)^2", r"g\left(x\right) = \left(4 x + 1\right)^{2}"),
        ("1/(1+e^-x)", r"f = \frac{1}{1 + e^{-x}}"),
        ("1/2x", r"f = \frac{1}{2} x"),
        ("2(3)", r"f = 2 \cdot 3"),
        ("a-(b-c)-(-d)", r"f = a - \left(b - c\right) - \left(-d\right)"),
        ("-(a+b)*-c", r"f = -\left(a + b\right) \cdot \left(-c\right)"),
        ("a*(b*c)", r"f = a \cdot \left(b \cdot c\right)"),
        ("x^y^z", "f = x^{y^{z}}"),
        ("(x^y)^z", r"f = \left(x^{y}\right)^{z}"),
        ("(-x)^2", r"f = \left(-x\right)^{2}"),
        ("(a/b)²", r"f = \left(\frac{a}{b}\right)^{2}"),
        ("sqrt(x²+y²)", r"f = \sqrt{x^{2} + y^{2}}"),
        ("abs(x) + σ(x)", r"f = \left|x\right| + \sigma\left(x\right)"),
        ("max(a, b)", r"f = \max\left(a, b\right)"),
        ("sin(x)^2", r"f = \sin\left(x\right)^{2}"),
        ("relu(x)", r"f = \operatorname{ReLU}\left(x\right)"),
        ("1.5e-3x", r"f = 1.5 \cdot 10^{-3} x"),
        (".5 + 5.", "f = 0.5 + 5"),
        ("w_12 + x1 + w_in_1", r"f = w_{12} + x_{1} + w_{\mathrm{in}, 1}"),
        (
            "rate + alpha + δ + Δw + Γ_α",
            r"f = \mathrm{rate} + \alpha + \delta + {\Delta w} + \Gamma_{\alpha}",
        ),
        ("2πr", r"f = 2 \pi r"),
        ("z = w x; σ(z)", r"\begin{aligned} z &= w x \\ f &= \sigma\left(z\right) \end{aligned}"),
    ],
)
def test_latex(text: str, latex: str):
    f = cr.formula(text)
    assert f.latex == latex
    assert f._repr_latex_() == rf"$\displaystyle {latex}$"


@given(st.sampled_from("ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξορςστυφχψωϑϕϱϵϰµ"))
def test_every_greek_letter_is_a_name(letter: str):
    f = cr.formula(f"{letter}_1 + 1")
    assert f(1).item() == 2
    assert f.latex.isascii()


def test_repr():
    assert repr(cr.formula("z = a\nz+1")) == "formula('z = a\\nz+1')"
    assert cr.formula("a + b").text == "a + b"


# Size


def test_large_formulas_are_read():
    assert value("+".join(["x"] * 2500), x=2) == 5000
    assert value("(" * 200 + "x" + ")" * 200, x=2) == 2
    assert value("sin(" * 199 + "x" + ")" * 199, x=0) == 0
    assert value("0" * 999 + "1") == 1


# Random trees, written down and read again

OPERATIONS = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide, "**": np.power}
LEVELS = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3, "**": 4}
POINT = {"x": 1.5, "y": -0.75, "z": 3.0, "e": math.e}
trees = st.recursive(
    st.sampled_from([*POINT, "0", "1", "2", "3.5", "0.25"]),
    lambda inner: st.one_of(
        st.tuples(st.just("neg"), inner), st.tuples(st.sampled_from(list(OPERATIONS)), inner, inner)
    ),
    max_leaves=25,
)


def write(tree: Any, spaces: str = "") -> tuple[str, int]:
    """The tree in Python, with as few parentheses as it allows, and how tightly it binds."""
    if isinstance(tree, str):
        return tree, 5
    sign, *operands = tree
    level = LEVELS[sign]
    parts = [write(operand, spaces) for operand in operands]
    if sign == "neg":
        return f"-{bracket(*parts[0], level)}", level
    left = bracket(*parts[0], level + (sign == "**"))
    right = bracket(*parts[1], 3 if sign == "**" else level + 1)
    return f"{left}{spaces}{sign}{spaces}{right}", level


def bracket(text: str, level: int, least: int) -> str:
    return text if level >= least else f"({text})"


def python_tree(node: Any) -> Any:
    """The tree that Python itself reads."""
    match node:
        case ast.UnaryOp():
            return ("neg", python_tree(node.operand))
        case ast.BinOp():
            signs = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
            return (signs[type(node.op)], python_tree(node.left), python_tree(node.right))
    return ast.unparse(node)


def compute(tree: Any) -> tuple[np.float64, bool]:
    """The tree's value by NumPy, and whether it has variables; trees with infinite constants are dropped."""
    if isinstance(tree, str):
        return np.float64(POINT.get(tree, tree)), tree in "xyz"
    sign, *operands = tree
    parts = [compute(operand) for operand in operands]
    numbers = [number for number, _ in parts]
    result = -numbers[0] if sign == "neg" else OPERATIONS[sign](*numbers)
    varies = any(varies for _, varies in parts)
    assume(varies or np.isfinite(result))
    return result, varies


@given(trees, st.sampled_from(["", " "]), st.sampled_from(["**", "^"]))
def test_a_random_tree_evaluates_as_in_python(tree: Any, spaces: str, power: str):
    text, _ = write(tree, spaces)
    assert python_tree(ast.parse(text, mode="eval").body) == tree
    with np.errstate(all="ignore"):
        expected, _ = compute(tree)
    f = cr.formula(text.replace("**", power))
    np.testing.assert_equal(f(**{name: POINT[name] for name in f.variables}).item(), expected)


def test_variables_are_its_parameters():
    """Whoever asks a function what its arguments are called is told, as `cr.trace` asks."""
    f = cr.formula("(a+b)*(b+c)")
    assert list(inspect.signature(f).parameters) == ["a", "b", "c"]
    assert [x.name for x in cr.trace(f, 1.0, 2.0, 3.0).inputs] == ["a", "b", "c"]
