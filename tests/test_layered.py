"""Backpropagation in the notation of layers: the article's formulas, and the same numbers as the backward pass."""

import itertools
import json
from xml.etree import ElementTree

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.explain.layered.products import Convolution, Dense
from chainrule.node import ancestors


def leaf(values, name=None):
    return cr.tensor(np.asarray(values, np.float64), requires_grad=True, name=name)


def article():
    """Figure 2: z and a of two hidden units and one output unit, all with f, and half the squared error."""
    x = cr.tensor([0.5, -1.0])
    first, second = leaf([[0.1, 0.2], [0.3, -0.4]], "first"), leaf([[0.7], [-0.6]], "second")
    a = cr.sigmoid(x @ first)
    guess = cr.sigmoid(a @ second)
    return cr.sum((0.9 - guess) ** 2 / 2)


def rows(latex):
    """The equations, each with all of its steps."""
    found = []
    for line in latex.splitlines()[1:-1]:
        line = line.removesuffix(r" \\")
        if line.startswith("&="):
            found[-1].append(line[3:])
        else:
            found.append(line.split(" &= "))
    return found


def test_the_article_s_formulas():
    net = cr.layers(article())
    z1 = r"\frac{\partial E}{\partial z_1^{(2)}}"
    first = {left: steps for left, *steps in rows(net.derive("first", 0, 0).latex)[:-1]}
    assert first["z_1^{(2)}"][0] == "a_1^{(1)} w_1 + a_2^{(1)} w_3"
    assert first["a_1^{(2)}"][0] == "f(z_1^{(2)})"
    assert first["z_1^{(3)}"][0] == "a_1^{(2)} w_5 + a_2^{(2)} w_6"
    assert first["a_1^{(3)}"][0] == "f(z_1^{(3)})"
    assert first[r"\delta_1^{(3)}"][:3] == [
        r"\frac{\partial E}{\partial z_1^{(3)}}",
        r"\frac{\partial E}{\partial a_1^{(3)}} \frac{\partial a_1^{(3)}}{\partial z_1^{(3)}}",
        "(a_1^{(3)} - y) f'(z_1^{(3)})",
    ]
    assert first[r"\delta_1^{(2)}"][:3] == [
        z1,
        r"\frac{\partial E}{\partial z_1^{(3)}} \frac{\partial z_1^{(3)}}{\partial a_1^{(2)}} "
        r"\frac{\partial a_1^{(2)}}{\partial z_1^{(2)}}",
        r"\delta_1^{(3)} w_5 f'(z_1^{(2)})",
    ]
    w1 = r"\frac{\partial E}{\partial w_1}"
    assert first[w1][:2] == [
        rf"{z1} \frac{{\partial z_1^{{(2)}}}}{{\partial w_1}}",
        r"\delta_1^{(2)} a_1^{(1)}",
    ]
    left, product, *_ = rows(net.derive("first", 0, 0).latex)[-1]
    assert (left, product) == (
        w1,
        r"\frac{\partial E}{\partial a_1^{(3)}} \frac{\partial a_1^{(3)}}{\partial z_1^{(3)}} "
        r"\frac{\partial z_1^{(3)}}{\partial a_1^{(2)}} \frac{\partial a_1^{(2)}}{\partial z_1^{(2)}} "
        r"\frac{\partial z_1^{(2)}}{\partial w_1}",
    )
    for index, weight, z in ((1, 6, 2), (0, 5, 1)):
        (last,) = net.derive("second", index).last
        assert last.left.latex == rf"\frac{{\partial E}}{{\partial w_{weight}}}"
        assert last.steps[1].latex == rf"\delta_1^{{(3)}} a_{z}^{{(2)}}"
    assert net.delta(2, 2).backward[-1].steps[2].latex == r"\delta_1^{(3)} w_6 f'(z_2^{(2)})"


def test_the_article_says_what_is_reused():
    net = cr.layers(article())
    text = net.derive("first", 0, 0).text
    assert "δ₁⁽³⁾ is reused for ∂E/∂w₅, ∂E/∂w₆ and for δ₁⁽²⁾, δ₂⁽²⁾." in text
    assert "δ₁⁽²⁾ is reused for ∂E/∂w₁, ∂E/∂w₃." in text
    assert "f is sigmoid, with derivative a·(1 − a) where a = f(z)." in text
    # 1 + 1 for δ₁⁽³⁾, 2 + 2 for δ⁽²⁾, and 1 for each of 6 weights; 3 factors each for w₅ and w₆, else 5.
    assert (net.ledger.reused, net.ledger.separate) == (12, 2 * 3 + 4 * 5)
    assert "deltas reused: 12 multiplications; path by path: 26" in net.text


def mlp(widths, activation, samples, seed, bias=True):
    rng = np.random.default_rng(seed)
    h, parameters = cr.tensor(rng.normal(size=(samples, widths[0]))), {}
    for k, (n, m) in enumerate(itertools.pairwise(widths)):
        w = parameters[f"w{k}"] = leaf(rng.normal(size=(n, m)) / np.sqrt(n), f"w{k}")
        h = h @ w
        if bias:
            b = parameters[f"b{k}"] = leaf(rng.normal(size=m), f"b{k}")
            h = h + b
        if k < len(widths) - 2:
            h = activation(h)
    return h, parameters


def check(net, parameters, gradients):
    """Every equation gives what the passes give: sums, activations, deltas and gradients of every element."""
    for name, parameter in parameters.items():
        for index in np.ndindex(*parameter.shape):
            found = net.derive(name, *index)
            wanted = gradients[name][index]
            assert found.gradient == pytest.approx(wanted, rel=1e-10, abs=1e-14)
            assert found.value == pytest.approx(wanted, rel=1e-10, abs=1e-12)
            for e in found.last + found.chain:
                assert e.value == pytest.approx(wanted, rel=1e-10, abs=1e-12)
            assert found.agrees
    for layer in net.layers:
        for unit, sample in itertools.product(range(1, layer.units + 1), range(1, layer.samples + 1)):
            for at in itertools.product(*(range(1, n + 1) for n in layer.positions)):
                d = net.delta(layer.number, unit, at, sample)
                assert d.value == pytest.approx(d.gradient, rel=1e-10, abs=1e-12)
                z = next(e for e in d.forward if e.left.text.startswith("z"))
                assert z.value == pytest.approx(net.z(layer.number, unit, at, sample), rel=1e-10, abs=1e-12)


def gradients_of(loss, parameters):
    loss.backward()
    return {name: p.grad.numpy() for name, p in parameters.items()}


@pytest.mark.parametrize(
    ("widths", "activation", "samples", "loss"),
    [
        ((2, 3, 1), cr.sigmoid, 1, "squared"),
        ((4, 6, 5, 3), cr.tanh, 7, "squared"),
        ((3, 7, 4), cr.relu, 5, "cross entropy"),
        ((3, 5, 6, 2), lambda z: 1 / (1 + cr.exp(-z)), 4, "cross entropy"),
        ((3, 5, 2), cr.relu, 4, "yes or no"),
        ((3, 5, 2), cr.gelu, 4, "other"),
        ((3, 4), cr.tanh, 1, "other"),
    ],
)
def test_numbers_are_those_of_the_backward_pass(widths, activation, samples, loss):
    for seed in range(2):
        out, parameters = mlp(widths, activation, samples, seed)
        target = np.random.default_rng(seed + 9).normal(size=(samples, widths[-1]))
        y = {
            "squared": lambda out=out, t=target: cr.nn.half_squared_error(out, t),
            "cross entropy": lambda out=out: cr.nn.softmax_cross_entropy(
                out, np.arange(samples) % widths[-1]
            ),
            "yes or no": lambda out=out, t=target: cr.nn.binary_cross_entropy(out, np.float64(t > 0)),
            "other": lambda out=out: cr.sum(cr.sin(out) * out),
        }[loss]()
        net = cr.layers(y)
        assert [layer.units for layer in net.layers] == list(widths[1:])
        assert net.left == {}
        check(net, parameters, gradients_of(y, parameters))


def test_losses_that_everybody_knows_have_their_form():
    out, _ = mlp((3, 2), None, 4, 0)
    yes = np.array([[1.0, 0.0]] * 4)
    forms = {
        cr.nn.half_squared_error(out, yes): "0.125·(a₁⁽²⁾ − y₁)",
        cr.mean(
            cr.sum((yes - out) * (yes - out), axis=1)
        ): "∂E/∂z₁⁽²⁾",  # two nodes, so the square is not seen
        cr.sum((yes - out) ** 2.0): "2·(a₁⁽²⁾ − y₁)",
        cr.sum((yes - out) ** 3.0): "∂E/∂z₁⁽²⁾",
        cr.sum(np.arange(2.0) * (yes - out) ** 2): "∂E/∂z₁⁽²⁾",
        cr.nn.softmax_cross_entropy(out, np.zeros(4, int), reduction="sum"): "(p₁ − y₁)",
        cr.nn.softmax_cross_entropy(out, np.zeros(4, int), label_smoothing=0.1): "∂E/∂z₁⁽²⁾",
        cr.nn.binary_cross_entropy(out, yes): "0.125·(p₁ − y₁)",
    }
    for loss, form in forms.items():
        (delta,) = cr.layers(loss).delta(2, 1).backward
        assert delta.letters[-1].text == form
        assert delta.value == pytest.approx(cr.layers(loss).delta(2, 1).gradient, rel=1e-12)


def test_what_is_not_finite_is_shown_as_it_is():
    w = leaf([[np.nan, 1.0], [2.0, 3.0]], "w")
    d = cr.layers(cr.sum(cr.tanh(np.ones((2, 2)) @ w))).derive("w")
    assert np.isnan(d.value) and d.agrees
    json.dumps(d.to_dict(), allow_nan=False)


def conv_net():
    rng = np.random.default_rng(3)
    p = {
        "k0": leaf(rng.normal(size=(3, 2, 2, 4)), "k0"), "b0": leaf(rng.normal(size=4), "b0"),
        "k1": leaf(rng.normal(size=(2, 2, 2, 2)), "k1"), "b1": leaf(rng.normal(size=2), "b1"),
        "w": leaf(rng.normal(size=(8, 3)), "w"),
    }  # fmt: skip
    images = rng.normal(size=(2, 6, 5, 2))
    h = cr.tanh(cr.conv2d(images, p["k0"], stride=(2, 1), padding=((1, 0), (0, 1))) + p["b0"])
    h = cr.sigmoid(cr.conv2d(h, p["k1"], dilation=(1, 3), groups=2) + p["b1"])
    loss = cr.nn.softmax_cross_entropy(cr.reshape(h, (2, 8)) @ p["w"], np.array([1, 2]))
    return loss, p


def test_convolutions_with_stride_padding_dilation_and_groups():
    loss, parameters = conv_net()
    net = cr.layers(loss)
    assert [(n.units, n.positions, n.next) for n in net.layers] == [
        (4, (3, 5), (3,)),
        (2, (2, 2), (4,)),
        (3, (), ()),
    ]
    check(net, parameters, gradients_of(loss, parameters))
    assert net.ledger is None
    (last,) = net.derive("k0", 1, 1, 0, 2).last
    assert last.steps[1].text == "Σₙ,ᵣ,ₛ δ₃;ᵣ,ₛ,ₙ⁽²⁾·a₁;₂ᵣ₋₁,ₛ₊₁,ₙ⁽¹⁾"
    # Behind a flattening, units keep the names that they have in their own layer.
    assert "δ₁⁽⁴⁾·w₃,₁⁽⁴⁾" in net.delta(3, 1, (1, 2)).text


@pytest.mark.parametrize(
    "product",
    [
        Dense(3, 4, 5, 0), Dense(3, 4, 6, 2), Dense(1, 2, 1, 0),
        Convolution((2, 5, 6, 4), (3, 2, 2, 6), (2, 3, 4, 6), (2, 1), (1, 2), (1, 0), 2),
    ],
)  # fmt: skip
def test_the_three_readings_of_a_product_agree(product):
    dense = isinstance(product, Dense)
    outputs = product.units * product.samples * int(np.prod(product.positions))
    inputs = product.inputs * product.samples if dense else int(np.prod(product.images))
    weights = product.units * product.inputs if dense else int(np.prod(product.kernel))
    met = {(p, x, w) for p in range(outputs) for x, w in zip(*map(list, product.of_output(p)), strict=True)}
    assert met == {
        (p, x, w) for w in range(weights) for p, x in zip(*map(list, product.of_weight(w)), strict=True)
    }
    assert met == {
        (p, x, w) for x in range(inputs) for p, w in zip(*map(list, product.of_input(x)), strict=True)
    }
    assert all(product.output(product.place(p)) == p for p in range(outputs))


def test_models_go_by_the_paths_of_their_parameters():
    key = cr.random.key(0)
    model = cr.nn.Sequential(
        cr.nn.Linear(4, 9, key=key, dtype=cr.float64), cr.tanh, cr.nn.Linear(9, 3, key=key, dtype=cr.float64)
    )
    x = np.random.default_rng(0).normal(size=(6, 4))
    loss = cr.nn.softmax_cross_entropy(model(x), np.arange(6) % 3)
    net = cr.layers(loss, model)
    assert [(n.weight, n.bias, n.activation) for n in net.layers] == [
        ("layers.0.weight", "layers.0.bias", "tanh"), ("layers.2.weight", "layers.2.bias", ""),
    ]  # fmt: skip
    d = net.derive("layers.0.weight", 3, 7)
    loss.backward()
    assert d.value == pytest.approx(model.layers[0].weight.grad.numpy()[3, 7], rel=1e-10)
    assert (d.symbol, d.about) == ("w₄,₈⁽²⁾", "layers.0.weight[3, 7]")
    assert d.last[0].steps[1].text == "Σₙ δ₈,ₙ⁽²⁾·a₄,ₙ⁽¹⁾"
    assert (
        "δ₈⁽²⁾ is reused for ∂E/∂b₈⁽²⁾, ∂E/∂w₁,₈⁽²⁾, ∂E/∂w₂,₈⁽²⁾, ∂E/∂w₃,₈⁽²⁾ and 1 more gradient." in d.text
    )
    assert "p is the softmax of layer 3" in d.text


def test_weights_on_the_left_and_behind_a_transpose():
    rng = np.random.default_rng(1)
    shapes = {"u": (5, 3), "c": (5, 1), "v": (2, 5)}
    p = {name: leaf(rng.normal(size=shape), name) for name, shape in shapes.items()}
    h = cr.tanh(p["u"] @ rng.normal(size=(3, 4)) + p["c"])
    loss = cr.sum(cr.sin(h.T @ p["v"].T))
    net = cr.layers(loss)
    assert [(n.units, n.inputs, n.samples) for n in net.layers] == [(5, 3, 4), (2, 5, 4)]
    check(net, p, gradients_of(loss, p))
    assert net.derive("v", 1, 3).symbol == "w₄,₂⁽³⁾"


def test_other_uses_of_a_variable_bring_their_part():
    out, parameters = mlp((3, 4, 2), cr.tanh, 5, 0)
    w, b = parameters["w0"], parameters["b0"]
    loss = cr.sum(cr.sin(out)) + 0.1 * cr.sum(cr.square(w)) + cr.sum(b * cr.sum(b)) + cr.sum(cr.exp(w.T))
    net = cr.layers(loss)
    assert "(its other uses)" in net.derive("w0", 1, 2).text
    assert "(its other uses)" not in net.derive("w1").text
    check(net, parameters, gradients_of(loss, parameters))


def test_what_is_no_layer_is_left_to_the_general_form():
    rng = np.random.default_rng(0)
    w, u, h = (
        leaf(rng.normal(size=(3, 4)), "w"),
        leaf(rng.normal(size=(4, 4)), "u"),
        cr.tensor(np.zeros((2, 4))),
    )
    v, gain = leaf(rng.normal(size=(4, 2)), "v"), leaf(np.ones(4), "gain")
    for _ in range(3):
        h = cr.tanh(rng.normal(size=(2, 3)) @ w + h @ u) * gain
    net = cr.layers(cr.sum(cr.sin(h @ v)))
    assert [n.weight for n in net.layers] == ["v"]
    assert "as in a recurrence" in net.left["u"]
    assert set(net.left) == {"w", "u", "gain"}
    assert "Left to the general form: w, u: it is in 3 products" in net.text
    assert net.ledger is None
    with pytest.raises(errors.ArgumentError, match="u belongs to no layer: it is in 3 products"):
        net.derive("u", 0, 0)


def test_an_attention_leaves_its_deltas_to_the_general_form():
    model = cr.models.transformer(5, 8, 2, 1, 4, key=cr.random.key(0))
    loss = cr.nn.softmax_cross_entropy(model(np.array([[0, 1, 2, 3]])), np.array([[1, 2, 3, 4]]))
    net = cr.layers(loss, model)
    loss.backward()
    parameters = model.parameters()
    for layer in net.layers:
        d = net.derive(layer.weight)
        index = (0,) * parameters[layer.weight].ndim
        assert d.value == pytest.approx(parameters[layer.weight].grad.numpy()[index], rel=2e-3, abs=1e-6)
    assert any("stand operations that are no layer" in note for note in net.notes)
    assert "norm.scale and 1 more: it is neither the weights of one product nor a bias." in net.notes[0]
    assert "positions.weight" in net.left


def by_paths(widths, activated):
    """Multiplications of every path on its own, walked unit by unit from each weight up."""
    made = 0
    for k, n in enumerate(widths[:-1]):
        for _ in itertools.product(range(n), *(range(w) for w in widths[k + 1 :])):
            layers_above = len(widths) - k - 2
            slopes = sum(activated[k:])
            made += 1 + layers_above + slopes + 1  # a, the weights above, each f′, and ∂E/∂a
    return made


@pytest.mark.parametrize("widths", [(2, 2, 1), (3, 4, 5, 2), (2, 3, 3, 3, 1)])
def test_the_ledger_of_units_counts_every_path(widths):
    out, _ = mlp(widths, cr.tanh, 1, 0, bias=False)
    ledger = cr.layers(cr.sum(cr.sin(out))).ledger
    assert ledger.separate == by_paths(widths, [1] * (len(widths) - 2) + [0])
    pairs = list(itertools.pairwise(widths))
    hidden = sum(n * m + n for n, m in pairs[1:])
    assert ledger.reused == sum(n * m for n, m in pairs) + hidden + widths[-1]


def test_forms_say_the_same():
    d = cr.layers(article()).derive("first", 1, 1)
    data = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert data["version"] == 1
    assert [e["left"] for e in data["backward"]] == ["δ₁⁽³⁾", "δ₂⁽²⁾"]
    assert data["value"] == pytest.approx(d.gradient)
    root = ElementTree.fromstring(d.mathml)
    shown = ["".join(row.itertext()) for row in root.iter("{http://www.w3.org/1998/Math/MathML}mtr")]
    assert len(shown) == len(d.latex.splitlines()) - 2
    assert "=δ1(3)w6f′(z2(2))" in shown
    assert d.mathml in d._repr_html_()
    assert str(d) == d.text
    net = cr.layers(article())
    json.dumps(net.to_dict(), allow_nan=False)
    assert "<math" in net._repr_html_()
    assert str(net) == net.text
    assert repr(net) == "<Layers of E: 2 layers with weights>"


def test_a_sample_can_be_chosen():
    out, _ = mlp((3, 4, 2), cr.tanh, 5, 0)
    net = cr.layers(cr.sum(cr.sin(out)))
    d = net.derive("w0", 1, 2, sample=4)
    assert "those of sample 4 of 5." in d.headline
    assert d.forward[0].value == pytest.approx(net.z(2, 3, sample=4))
    assert d.backward[-1].value == pytest.approx(net.delta(2, 3, sample=4).value)


def test_nothing_of_the_users_changes():
    loss, parameters = conv_net()
    before = [(n.index, np.array(n.value)) for n in ancestors([loss])]
    cr.layers(loss).derive("k0")
    assert all(p.grad is None for p in parameters.values())
    for (index, value), n in zip(before, ancestors([loss]), strict=True):
        assert index == n.index
        np.testing.assert_array_equal(value, n.value)


def test_names_of_users_are_escaped():
    w = leaf([[1.0], [2.0]], "<b>")
    d = cr.layers(cr.sum(np.ones((2, 2)) @ w)).derive("<b>", 1)
    assert "<b>" not in d._repr_html_()
    ElementTree.fromstring(d.mathml)


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda net, w: cr.layers(3.0), errors.OperandError, "layers: expected a tensor"),
        (lambda net, w: cr.layers(cr.sum(w), 3), errors.OperandError, "model is int"),
        (
            lambda net, w: cr.layers(cr.sum(w * w)),
            errors.ArgumentError,
            "nothing in this computation is a product",
        ),
        (lambda net, w: cr.layers(w @ w), errors.GradientError, "the result has shape"),
        (lambda net, w: net.derive("q"), errors.ArgumentError, "does not depend on 'q'"),
        (lambda net, w: net.derive(leaf(1.0)), errors.ArgumentError, "does not depend on this tensor"),
        (lambda net, w: net.derive(3), errors.OperandError, "expected a variable or its name, got int"),
        (lambda net, w: net.derive("first", 2, 0), errors.ArgumentError, r"has no element \[2, 0\]"),
        (lambda net, w: net.derive("first", 0, 0, sample=2), errors.ArgumentError, "there is no sample 2"),
        (lambda net, w: net.delta(1, 1), errors.ArgumentError, "there is no layer 1 with weights"),
        (lambda net, w: net.z(2, 3), errors.ArgumentError, "layer 2 has no unit 3"),
        (lambda net, w: net.a(2, 1, (1,)), errors.ArgumentError, "layer 2 has 0 axes of positions"),
    ],
)
def test_what_cannot_be_asked(ask, error, message):
    with pytest.raises(error, match=message):
        ask(cr.layers(article()), leaf(np.eye(2), "w"))


def test_units_and_gradients_at_once():
    h, parameters = mlp((3, 4, 2), cr.tanh, 5, 0)
    net = cr.layers(cr.sum(h**2))
    for layer, unit, sample in ((2, 4, 3), (3, 1, 5)):
        row = net.units(layer, sample)
        assert row["z"][unit - 1] == net.z(layer, unit, sample=sample)
        assert row["a"][unit - 1] == net.a(layer, unit, sample=sample)
        assert row["delta"][unit - 1] == net.delta(layer, unit, sample=sample).gradient
    for name, gradient in gradients_of(cr.sum(h**2), parameters).items():
        np.testing.assert_array_equal(net.gradient(name), gradient)
    with pytest.raises(errors.ArgumentError, match="no sample 6"):
        net.units(2, 6)
