"""The cost ledger: what it counts, says, draws and refuses."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.explain import TradeOff, Way
from chainrule.explain.costs.memory import Storage, peak_bytes
from chainrule.primitive import Cost

W1, W2, W3 = np.ones((10, 1000)), np.ones((1000, 10)), np.ones((5, 1000))


def bottleneck(x):
    return W3 @ cr.tanh(W2 @ cr.tanh(W1 @ x))


@pytest.fixture(scope="module")
def narrow():
    return cr.cost(bottleneck, np.ones(1000))


def example():
    return cr.cost(lambda a, b, c: (a + b) * (b + c), -1.0, 3.0, 4.0, argnums=(0, 1, 2))


# What it counts.


def test_the_first_article():
    """Reverse mode gives all three gradients in one sweep, forward mode needs three."""
    ledger = example()
    function, reverse, forward = ledger.ways
    assert function.cost == Cost(multiplications=1, additions=2, bytes=72)
    assert (reverse.sweeps, forward.sweeps) == (1, 3)
    assert reverse.cost.multiplications == 1 + 2, "upstream times the other factor, twice"
    assert reverse.cost.additions == 2 + 1, "gradients add at b"
    assert forward.cost.multiplications == 1 + 1 + 2 + 1, "b moves both factors"
    assert ledger.derivative == "gradient" and ledger.cheapest is reverse


def test_the_third_article(narrow):
    """The sums of both directions, with the sizes of a network put in."""
    chain = narrow.chain
    assert chain.sizes == (1000, 10, 1000, 5)
    assert chain.reverse.terms == ((5, 1000, 10), (5, 10, 1000))
    assert chain.forward.terms == ((1000, 10, 1000), (5, 1000, 1000))
    assert (chain.reverse.multiplications, chain.forward.multiplications) == (100_000, 15_000_000)
    assert chain.best.multiplications == 100_000
    assert "O(5·1000·10) + O(5·10·1000) = 100,000 as (J₃·J₂)·J₁" in narrow.text
    assert "O(1000·10·1000) + O(5·1000·1000) = 15,000,000 as J₃·(J₂·J₁)" in narrow.text


def test_an_order_that_is_neither():
    """Sizes 10 → 2 → 10 → 2 → 10 are multiplied best from both ends to the middle."""
    pairs = [np.ones((2, 10)), np.ones((10, 2)), np.ones((2, 10)), np.ones((10, 2))]

    def f(x):
        for w in pairs:
            x = cr.sin(w @ x)
        return x

    ledger = cr.cost(f, np.ones(10))
    chain = ledger.chain
    assert chain.sizes == (10, 2, 10, 2, 10)
    assert chain.best.text == "(J₄·(J₃·J₂))·J₁" and chain.best.multiplications == 280
    assert chain.reverse.multiplications == chain.forward.multiplications == 600
    assert ledger.cheapest.key == "elimination"
    assert "in a better order" in ledger.verdict
    way = ledger.way("chain")
    products = sum(rows * columns for rows, _, columns in chain.best.terms)
    assert way.cost.multiplications - ledger.function.cost.multiplications == chain.best.multiplications
    assert way.cost.additions - ledger.function.cost.additions == chain.best.multiplications - products


@pytest.mark.parametrize(
    ("f", "args", "sizes"),
    [
        (lambda x: cr.tanh(x) * 2.0, (np.ones(5),), None),
        (lambda x: cr.sum(cr.tanh(x)), (np.ones(5),), None),
        (lambda x: cr.sum(x) * np.ones(4), (np.ones(5),), (5, 1, 4)),
        (lambda x: cr.sum(W1 @ x + W1 @ cr.sin(x)), (np.ones(1000),), (1000, 10, 1)),
        (lambda x: cr.sum((W1 @ x) * (W1 @ x).sum()), (np.ones(1000),), (1000, 10, 1)),
        (lambda x: cr.silu(W1 @ x) @ W1, (np.ones(1000),), (1000, 10, 1000)),
        (lambda x, y: cr.sum(W1 @ x) * y, (np.ones(1000), 2.0), None),
    ],
)
def test_where_a_function_is_a_chain(f, args, sizes):
    chain = cr.cost(f, *args, argnums=tuple(range(len(args)))).chain
    assert (chain and chain.sizes) == sizes


def test_forward_mode_where_few_numbers_go_in():
    ledger = cr.cost(lambda t: cr.sin(t * np.arange(50.0)), 0.1)
    assert ledger.cheapest.key == "forward" and ledger.derivative == "derivative"
    assert "one number goes in, and 50 numbers come out" in ledger.verdict


def test_values_do_not_matter_and_nothing_is_computed():
    first, second = (cr.cost(bottleneck, x) for x in (np.zeros(1000), np.full(1000, np.nan)))
    assert first.to_dict() == second.to_dict()


def test_resnet_152():
    """60 million parameters are traced, never computed."""
    model = cr.models.resnet(152, key=cr.random.key(0))
    images = np.broadcast_to(np.float32(0), (256, 224, 224, 3))

    def loss(model, x, y):
        return cr.nn.softmax_cross_entropy(model(x), y)

    ledger = cr.cost(loss, model, images, np.zeros(256, np.int64))
    forward, reverse = ledger.way("forward"), ledger.way("reverse")
    assert ledger.numbers_in == 60_192_808
    assert 11.5e9 < ledger.function.cost.multiplications / 256 < 11.6e9, "He et al. write 11.3 billion"
    assert forward.sweeps == 60_192_808 and reverse.sweeps == 1
    assert 2.9 < ledger.bound.total < 3.0
    assert forward.cost.flops > 10**7 * reverse.cost.flops
    assert reverse.kept_bytes > 100 * ledger.function.peak_bytes / 256
    assert "conv.weight" in ledger.text
    assert isinstance(ledger.to_dict()["ways"][2]["flops"], str), "no reader of JSON keeps that exact"


def test_several_results_and_arguments():
    """Sweeps start from each result, and along each argument, by themselves."""
    a, b = np.ones((3, 4)), np.ones(4)
    ledger = cr.cost(lambda a, b: {"p": a @ b, "s": cr.sum(cr.sin(b))}, a, b, argnums=(0, 1))
    assert (ledger.numbers_in, ledger.numbers_out) == (16, 4)
    reverse = ledger.way("reverse")
    of_product, of_sum = 3 * (12 + 12), 4
    assert reverse.cost.multiplications == 12 + of_product + of_sum
    assert cr.cost(lambda a, b: a @ b, a, b).numbers_in == 12, "the first argument alone, as cr.grad has it"


def test_derivatives_within_a_function_cost_what_they_do():
    def slope(x):
        return cr.grad(lambda x: cr.sum(cr.sin(x) * x))(x)

    ledger = cr.cost(slope, np.ones(4))
    graph = cr.trace(slope, np.ones(4))
    stated = [n.op.cost(n.inputs, n.shape, n.dtype, **n.params) for n in graph.nodes if n.op]
    assert ledger.function.cost == sum(stated, Cost())
    assert all(node.operation != "identity" for node in ledger.nodes)


def test_the_cheap_gradient_bound():
    products = cr.cost(lambda x: cr.prod(x * x), np.ones(8)).bound
    assert products.function == 8 + 7
    chain = cr.cost(lambda x: cr.sin(cr.sin(cr.sin(x))), 0.5).bound
    assert (chain.function, chain.gradient) == (3, 3 + 3 + 2), "cosines, and products with what moves"
    assert chain.ratio < 3
    linear = cr.cost(lambda x: cr.sum(W1 @ x), np.ones(1000)).bound
    assert (linear.function, linear.ratio) == (0, None), "products with constants are free"


# Memory.


def test_peak_is_what_is_alive_at_once():
    n = 1000

    def f(x):
        for _ in range(10):
            x = cr.sin(x)
        return x

    graph = cr.trace(f, np.ones(n))
    assert peak_bytes(graph, Storage(graph.nodes)) == 8 * n * 3, "the argument, and two steps"
    ledger = cr.cost(f, np.ones(n))
    assert ledger.function.peak_bytes == 8 * n * 3
    assert ledger.way("reverse").kept_bytes == 8 * n * 9, "each sine's argument but the first, which is given"


def test_views_take_no_memory():
    graph = cr.trace(lambda x: cr.sum(cr.reshape(x, (100, 10)).mT, axis=0), np.ones(1000))
    assert peak_bytes(graph, Storage(graph.nodes)) == 8 * 1000 + 8 * 100
    graph = cr.trace(lambda x: cr.sin(x) + cr.sin(x), np.ones(10))
    assert peak_bytes(graph, Storage(graph.nodes)) == 8 * 30, "the same sine is computed once"


def test_reverse_mode_keeps_what_its_rules_read():
    ledger = cr.cost(lambda x: cr.sum(cr.exp(x) * 2.0 + 1.0), np.ones(100))
    kept = {node.operation: node.kept_bytes for node in ledger.nodes}
    assert kept == {"exp": 800, "multiply": 0, "add": 0, "sum": 0}


# What it says.


def test_text_of_the_example():
    text = example().text
    assert text.splitlines()[0] == "Cost of <lambda>: 3 numbers in, 1 out, 3 steps"
    assert "(1.33 times as many): one number comes out, and 3 numbers go in." in text
    assert "test_cost.py" in text and "lambda a, b, c" in text
    assert len(example().text_of(1).splitlines()) == len(text.splitlines()) - 2


def test_lines_of_long_ledgers_stay_short(narrow):
    assert max(map(len, narrow.text.splitlines()[2:8])) < 100
    assert repr(narrow) == "<CostLedger of bottleneck: 11 steps, 4 ways to its Jacobian>"


def test_json_is_documented(narrow):
    document = json.loads(json.dumps(narrow.to_dict(), allow_nan=False))
    page = (Path(__file__).parents[2] / "docs" / "cost.md").read_text(encoding="utf-8")

    def keys(x):
        if isinstance(x, dict):
            return {*x, *(k for v in x.values() for k in keys(v))} - {
                "function",
                "reverse",
                "forward",
                "markowitz",
            }
        return {k for v in x for k in keys(v)} if isinstance(x, list) else set()

    with_curve = narrow.plus(tradeoff=[TradeOff(8, 4, 2)]).to_dict()
    undocumented = {key for key in keys(with_curve) if f"`{key}`" not in page}
    assert not undocumented
    assert document["cheapest"] == "elimination"
    assert [way["key"] for way in document["ways"]] == [
        "function",
        "reverse",
        "forward",
        "chain",
        "elimination",
    ]


def test_nodes_have_lines_and_names():
    def f(w, x):
        hidden = cr.tanh(x @ w["first"])
        return cr.sum(hidden)

    ledger = cr.cost(f, {"first": np.ones((3, 4))}, np.ones((2, 3)))
    product, activation, _ = ledger.nodes
    assert product.reads == ("x", "w.first") and product.source.text == 'hidden = cr.tanh(x @ w["first"])'
    assert activation.source.file == __file__
    assert "matmul x, w.first" in ledger.text


# Rows and curves of others.


def test_further_rows():
    ledger = example()
    found = Way("elimination", "elimination order found", Cost(3, 2), note="proved optimal")
    more = ledger.plus(found)
    assert more.cheapest is found and ledger.cheapest.key == "reverse"
    assert "elimination order found: proved optimal." in more.text
    assert "it multiplies the local derivatives in a better order" in more.verdict
    assert more.plus(Way("elimination", "another", Cost(9, 9))).cheapest.key == "reverse"
    assert "elimination order found" in more.svg()


def test_a_curve_of_memory_against_work(narrow):
    points = [TradeOff(1 << k, 1 << k, (20 - k) * 1000) for k in range(10, 20)]
    ledger = narrow.plus(tradeoff=points)
    assert [p.budget for p in ledger.tradeoff] == sorted((p.budget for p in points), reverse=True)
    assert "Memory against work:" in ledger.text and "512 KiB" in ledger.text
    assert "Memory against work" in ledger.svg() and "Memory against work" not in narrow.svg()
    assert ledger.to_dict()["tradeoff"][0] == {
        "budget": 1 << 19,
        "peak_bytes": 1 << 19,
        "recomputed_flops": 1000,
    }
    assert ledger.plus().tradeoff == ledger.tradeoff


# The picture.

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_picture(narrow, theme):
    root = ElementTree.fromstring(narrow.svg(theme))
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert "Reverse mode: 309,090 FLOPs" in description.text
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert "✓ elimination" in texts and "matrix chain" in texts and "309,090 FLOPs" in texts
    width = float(root.get("width"))
    for bar in root.iter(f"{SVG}rect"):
        assert 0 <= float(bar.get("x", 0)) <= float(bar.get("x", 0)) + float(bar.get("width")) <= width
    fills = {e.get("fill") for e in root.iter()}
    assert not fills & {"#1a1c1f" if theme == "dark" else "#eef0f2"}, "each theme its own ink"


def test_picture_in_a_notebook_follows_its_page():
    html = example()._repr_html_()
    assert "light-dark(" in html and "<script" not in html


def test_picture_of_many_orders_of_magnitude(narrow):
    assert "logarithmic" in narrow.svg() and "logarithmic" not in example().svg()


def test_text_of_the_user_is_escaped():
    def f(x):
        return cr.sum(x)

    f.__name__ = "<script>alert(1)</script>"
    ledger = cr.cost(f, np.ones(2))
    assert "<script" not in ledger.svg() and "<script" not in ledger._repr_html_()
    ElementTree.fromstring(ledger.svg())


def test_other_themes_are_refused(narrow):
    with pytest.raises(errors.ArgumentError, match="no theme 'sepia'"):
        narrow.svg("sepia")


# What it refuses.


@pytest.mark.parametrize(
    ("f", "args", "kind", "said", "fix"),
    [
        (3, (1.0,), errors.ArgumentError, "expected a function, got int", "cr.cost(f, x)"),
        (cr.sin, (), errors.ArgumentError, "there are no arguments", "arrays of the sizes"),
        (lambda x: x > 0, (np.ones(3),), errors.DTypeError, "the result is bool", "y.astype(cr.float64)"),
        (
            lambda x: (cr.sum(x), cr.argmax(x)),
            (np.ones(3),),
            errors.DTypeError,
            "result 1 is int64",
            "return float32 or float64",
        ),
        (lambda x: "loss", (np.ones(3),), errors.OperandError, "the function returned str", None),
        (lambda x: None, (np.ones(3),), errors.ChainruleError, "the function returned", None),
        (lambda x: cr.sum(x), (np.arange(3),), errors.DTypeError, "it is int64", "astype(cr.float64)"),
        (lambda x: cr.ones(3), (1.0,), errors.GradientError, "does not depend on", "argnums"),
        (lambda x: x.detach() * 2.0, (1.0,), errors.GradientError, "does not depend on", "detach"),
        (lambda s, x: x, ("text", 1.0), errors.ChainruleError, "", None),
    ],
)
def test_refusals(f, args, kind, said, fix):
    with pytest.raises(kind) as caught:
        cr.cost(f, *args)
    assert said in caught.value.message
    assert caught.value.fix and (fix is None or fix in caught.value.fix)


def test_a_function_that_asks_for_numbers():
    with pytest.raises(errors.TracedValueError) as caught:
        cr.cost(lambda x: x if x > 0 else -x, 1.0)
    assert caught.value.fix


def test_what_a_function_raises_is_passed_on():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cr.cost(broken, 1.0)


@pytest.mark.parametrize("argnums", [2, -3, (0, 0), "x"])
def test_arguments_that_there_are_not(argnums):
    with pytest.raises(errors.ArgumentError) as caught:
        cr.cost(lambda a, b: a * b, 1.0, 2.0, argnums=argnums)
    assert caught.value.fix


def test_empty_arrays_cost_nothing():
    ledger = cr.cost(lambda x: cr.sum(x * x), np.ones((0, 3)))
    assert ledger.function.cost.flops == 0 and ledger.bound.ratio is None
    assert "Cheapest" in ledger.text
    ElementTree.fromstring(ledger.svg())


def test_sweeps_of_many_arrays_are_counted_at_once():
    """One of ResNet's weights alone is not worth a graph of its own; the ledger says what that means."""

    def f(weights, x):
        for w in weights:
            x = cr.tanh(x @ w)
        return cr.sum(x)

    few, many = ([np.ones((2, 2))] * n for n in (10, 150))
    exact, bound = (cr.cost(f, weights, np.ones((1, 2))).way("forward") for weights in (few, many))
    assert exact.note == "" and "at most this" in bound.note
    assert bound.sweeps == 600


def test_each_argument_moves_what_lies_behind_it():
    """The last weight's sweeps are short: they do not pass through the layers before it."""

    def f(w, v, x):
        return cr.sum((x @ w) @ v)

    w, v, x = np.ones((4, 5)), np.ones((5, 6)), np.ones((3, 4))
    forward = cr.cost(f, w, v, x, argnums=(0, 1)).way("forward")
    function = 3 * 4 * 5 + 3 * 5 * 6
    assert forward.cost.multiplications == function + 20 * function + 30 * 3 * 5 * 6
