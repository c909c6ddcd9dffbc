"""A gradient shared out over paths, branches, layers, examples and terms: the shares add up to it."""

import json
import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.explain.shares.flow import Flow

BY = ("path", "branch", "layer", "sample", "term")
KEY = cr.random.key(0)


def leaf(values, name="x"):
    return cr.tensor(np.asarray(values, np.float64), requires_grad=True, name=name)


class Residual(cr.nn.Module):
    """Convolutions with batch normalization around which shortcuts lead, in float64."""

    def __init__(self, blocks=3, channels=4):
        keys = cr.random.split(KEY, blocks + 2)
        make = lambda cin, k: cr.nn.Conv2d(
            cin, channels, 3, padding=1, bias=False, key=keys[k], dtype=np.float64
        )
        self.stem = make(3, 0)
        self.bodies = [
            cr.nn.Sequential(make(channels, k + 1), cr.nn.BatchNorm(channels, dtype=np.float64))
            for k in range(blocks)
        ]
        self.head = cr.nn.Linear(channels, 5, key=keys[-1], dtype=np.float64)

    def __call__(self, x, training=None):
        y = cr.tanh(self.stem(x))
        for body in self.bodies:
            y = cr.relu(y + body(y, training))
        return self.head(cr.mean(y, axis=(1, 2)))


def data(batch=6):
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, 6, 6, 3)), rng.integers(0, 5, batch)


def residual_loss(penalty=0.01, batch=6):
    model, (x, labels) = Residual(), data(batch)
    loss = cr.nn.softmax_cross_entropy(model(x, cr.nn.Training(KEY)), labels)
    return model, loss + penalty * cr.sum(model.stem.weight**2) if penalty else loss


def mlp_loss():
    model = cr.models.mlp([4, 8, 3], cr.tanh, key=KEY, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(7, 4))
    return model, cr.nn.softmax_cross_entropy(model(x), np.arange(7) % 3)


def recurrent_loss():
    model = cr.nn.RNN(3, 4, key=KEY, dtype=np.float64)
    x = np.random.default_rng(0).normal(size=(5, 6, 3))
    h, (w, u) = cr.tensor(np.zeros((5, 4))), list(model.parameters().values())[:2]
    for t in range(6):
        h = cr.tanh(x[:, t] @ w + h @ u)
    return model, cr.mean(cr.sum(h * h, axis=1))


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (residual_loss, ("stem.weight", 0, 1, 2, 3)),
        (residual_loss, "stem.weight"),
        (residual_loss, ("bodies.0.layers.0.weight", 1)),
        (residual_loss, ("bodies.1.layers.1.shift", 2)),
        (mlp_loss, ("layers.0.weight", 3, 7)),
        (mlp_loss, "layers.0.bias"),
        (recurrent_loss, 0),
        (recurrent_loss, 1),
    ],
)
def test_shares_add_up_to_the_gradient(make, wanted, by):
    model, loss = make()
    parameters = model.parameters()
    path = wanted if isinstance(wanted, str) else wanted[0] if isinstance(wanted, tuple) else None
    path = path or list(parameters)[wanted]
    shared = cr.attribute(loss, wanted if isinstance(wanted, (str, tuple)) else path, by, model)
    loss.backward()
    index = wanted[1:] if isinstance(wanted, tuple) else ()
    part = parameters[path].grad.numpy()[index]
    gradient = float(part) if part.ndim == 0 else float(np.linalg.norm(part))
    assert shared.gradient == pytest.approx(gradient, rel=1e-12) and shared.along == (part.ndim > 0)
    assert shared.splits
    for split in shared.splits:
        assert split.total == pytest.approx(gradient, rel=1e-10)
        assert math.fsum(s.fraction for s in split.shares) == pytest.approx(1, rel=1e-10)


def test_as_much_flows_into_each_node_as_out_of_it():
    model, loss = residual_loss()
    direction = np.zeros(model.stem.weight.shape)
    direction[0, 1, 2, 3] = 1
    flow = Flow(loss, model.stem.weight, direction)
    uses = flow.uses()
    for i in range(1, len(flow.order) - 1):
        into, out = flow.through(i), sum(s.amount for s in uses[i])
        assert into == pytest.approx(
            out, abs=1e-12 * max(abs(s.amount) for s in (*flow.streams[i], *uses[i]))
        )


def test_the_article_s_example_is_shared_out_by_path_and_by_branch():
    y = cr.formula("(a+b)*(b+c)")(a=-1, b=3, c=4)
    shared = cr.attribute(y, "b")
    assert (shared.count, shared.exact) == (2, True)
    assert [(s.name, s.value) for s in shared.shares] == [("f ← x ← b", 7), ("f ← y ← b", 2)]
    (split,) = cr.attribute(y, "b", "branch").splits
    assert [(s.name, s.value) for s in split.shares] == [("into x = a + b", 7), ("into y = b + c", 2)]


@pytest.mark.parametrize("seed", range(8))
def test_among_numbers_the_listed_paths_are_the_strongest(seed):
    rng = np.random.default_rng(seed)
    x = leaf(0.7)
    made = [x]
    for _ in range(7):
        a, b = (made[int(i)] for i in rng.integers(0, len(made), 2))
        made.append(float(rng.normal()) * a + cr.tanh(b * float(rng.normal())))
    y = sum(made[1:], made[-1] * x)
    every = [path.product for path in cr.explain(y, x).paths]
    if len(every) >= 100:
        pytest.skip("more paths than explain lists")
    shared = cr.attribute(y, x, top=5)
    assert shared.exact and shared.count == len(every)
    strongest = sorted(map(abs, every), reverse=True)[:5]
    assert [abs(s.value) for s in shared.shares[:5]] == pytest.approx(strongest, rel=1e-12)
    assert shared.shares[-1].value == pytest.approx(
        sum(every) - sum(s.value for s in shared.shares[:5]), abs=1e-12
    )


def test_each_listed_path_through_arrays_has_its_own_product():
    rng = np.random.default_rng(1)
    w, x = leaf(rng.normal(size=(3, 3)), "w"), rng.normal(size=(4, 3))
    h = cr.tanh(x @ w)
    h = h + cr.tanh(h @ rng.normal(size=(3, 3)))
    y = cr.mean(cr.sum(h * h, axis=1))
    expected = sorted((p.product for p in cr.explain(y, ("w", 1, 2)).paths), key=lambda v: -abs(v))
    shared = cr.attribute(y, ("w", 1, 2))
    assert shared.count == len(expected) == len(shared.shares) == 4 and shared.exact
    assert [s.value for s in shared.shares] == pytest.approx(expected, rel=1e-12)
    two = cr.attribute(y, ("w", 1, 2), top=2).shares
    assert two[-1].name == "2 other paths" and two[-1].value == pytest.approx(sum(expected[2:]), rel=1e-12)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_paths_are_counted_exactly_where_they_cannot_be_listed(shape):
    x = leaf(np.full(shape, 0.1))
    y = x
    for _ in range(50):
        y = y + 0.5 * cr.sin(y)
    shared = cr.attribute(cr.sum(y), x)
    assert shared.count == 2**50 and shared.exact is (not shape)
    assert shared.splits[0].total == pytest.approx(shared.gradient, rel=1e-12)
    assert shared.shares[-1].name == "1,125,899,906,842,614 other paths"
    # The strongest path is the one past all branches, of product 1 (times √3 along three equal elements).
    assert shared.shares[0].value == pytest.approx(math.sqrt(max(1, x.size)), rel=1e-12)


def test_what_comes_past_a_residual_branch_and_what_through_it():
    x = leaf([1.0, 2.0])
    w = leaf(3.0, "w")
    y = cr.sum(x + w * x)
    (branch,) = cr.attribute(y, ("x", 0), "branch").splits
    assert {s.name: s.value for s in branch.shares} == {"into y = w·x": 3, "into z = x + y": 1}
    model, loss = residual_loss(penalty=0)
    layers = {s.name: s for s in cr.attribute(loss, ("stem.weight", 0, 1, 2, 3), "layer", model).splits}
    assert list(layers) == ["bodies.0.layers", "bodies.1.layers", "bodies.2.layers", "head"]
    assert [s.fraction for s in layers["head"].shares] == pytest.approx([1, 0], abs=1e-10)
    through, past = layers["bodies.1.layers"].shares
    images, labels = data()

    def whole(weight):
        return without_body(weight, cut=None)

    def without_body(weight, cut=1):
        y = cr.tanh(model.with_parameters({**model.parameters(), "stem.weight": weight}).stem(images))
        for k, body in enumerate(model.bodies):
            z = body(y, cr.nn.Training(KEY))
            y = cr.relu(y + (cr.stop_gradient(z) if k == cut else z))
        return cr.nn.softmax_cross_entropy(model.head(cr.mean(y, axis=(1, 2))), labels)

    expected = cr.grad(without_body)(model.stem.weight).numpy()[0, 1, 2, 3]
    assert past.value == pytest.approx(float(expected), rel=1e-9)
    assert through.value == pytest.approx(
        cr.grad(whole)(model.stem.weight).numpy()[0, 1, 2, 3] - past.value, rel=1e-9
    )


def test_branches_within_a_normalization_are_told_apart():
    model, loss = residual_loss(penalty=0)
    shared = cr.attribute(loss, ("stem.weight", 0, 1, 2, 3), "branch", model)
    outer = [s for s in shared.splits if not s.inner]
    assert [s.detail for s in outer] == [
        "behind stem",
        "behind bodies.0.layers.1",
        "behind bodies.1.layers.1",
    ]
    assert outer[1].shares[0].name == "into bodies.1.layers.0"
    assert all(s.name.partition(" ")[0] in shared.text for s in outer)


def test_examples_have_the_derivative_of_their_own_loss():
    for batch_norm in (False, True):
        model, (x, labels) = Residual(), data()
        training = cr.nn.Training(KEY) if batch_norm else None

        def losses(weight, model=model, x=x, labels=labels, training=training):
            changed = model.with_parameters({**model.parameters(), "stem.weight": weight})
            return cr.nn.softmax_cross_entropy(changed(x, training), labels, reduction="none")

        each = cr.jacobian(losses)(model.stem.weight).numpy()
        loss = cr.nn.softmax_cross_entropy(model(x, training), labels)
        shared = cr.attribute(loss, ("stem.weight", 0, 1, 2, 3), "sample", model)
        expected = each[:, 0, 1, 2, 3] / len(labels)
        assert [s.value for s in shared.shares] == pytest.approx(list(expected), rel=1e-9, abs=1e-14)
        assert any("mixes the examples" in note for note in shared.notes) is batch_norm


def test_what_belongs_to_no_example_is_said():
    model, loss = residual_loss(penalty=0.01)
    shared = cr.attribute(loss, ("stem.weight", 0, 1, 2, 3), "sample", model)
    assert [s.name for s in shared.shares] == [*(f"example {i}" for i in range(6)), "no example"]
    expected = 0.02 * model.stem.weight.numpy()[0, 1, 2, 3]
    assert shared.shares[-1].value == pytest.approx(expected, rel=1e-12)


def test_terms_of_a_sum_have_their_own_gradients():
    w, x = leaf([1.0, -2.0], "w"), np.array([[1.0, 2.0], [3.0, 5.0]])
    fit, ridge, other = cr.mean((x @ w) ** 2), cr.sum(w**2), cr.sum(cr.abs(leaf([1.0], "v")))
    loss = fit + 0.5 * (ridge - other)
    shared = cr.attribute(loss, ("w", 1), "term")
    expected = [
        cr.grad(f)(w).numpy()[1] for f in (lambda w: cr.mean((x @ w) ** 2), lambda w: 0.5 * cr.sum(w**2))
    ]
    assert [s.value for s in shared.shares] == pytest.approx([*expected, 0], rel=1e-12)
    assert all("test_attribution.py" in s.detail for s in shared.shares)


def test_a_multiple_of_a_sum_that_is_used_elsewhere_too_is_one_term():
    x = leaf(0.5)
    y = cr.sin(x) + 3.0 * x
    shares = cr.attribute(cr.exp(y) + 0.5 * y, x, "term").shares
    assert [s.name for s in shares] == ["v = exp(u)", "w = 0.5·u"]
    (only,) = cr.attribute(cr.exp(y), x, "term").shares
    assert (only.name, only.fraction) == ("f = exp(u)", 1)
    slope = math.cos(0.5) + 3
    assert [s.value for s in shares] == pytest.approx([math.exp(y.item()) * slope, 0.5 * slope], rel=1e-12)


def test_where_there_is_nothing_to_share_out_at_it_is_said():
    model, loss = mlp_loss()
    alone = cr.attribute(loss, ("layers.2.bias", 1), "layer", model)
    assert alone.splits == () and "No other layer lies on the way." in alone.text
    x = leaf(2.0)
    assert "there is one path" in cr.attribute(cr.exp(cr.sin(x)), x, "branch").text


def test_long_chains_add_up_as_well():
    y = x = leaf(0.5)
    for _ in range(3000):
        y = cr.sin(y) + 0.1 * y
    y.backward()
    for by in ("path", "branch", "term"):
        splits = cr.attribute(y, x, by).splits
        assert splits and all(s.total == pytest.approx(x.grad.item(), rel=1e-10) for s in splits)


def test_several_elements_are_shared_out_along_their_gradient():
    model, loss = mlp_loss()
    gradient = cr.attribute(loss, "layers.0.weight", "sample", model)
    loss.backward()
    g = model.layers[0].weight.grad.numpy()
    assert gradient.along and gradient.gradient == pytest.approx(np.linalg.norm(g), rel=1e-12)
    row = cr.attribute(loss, ("layers.0.weight", 1), "sample", model)
    assert row.gradient == pytest.approx(np.linalg.norm(g[1]), rel=1e-12)


def test_asking_changes_nothing_and_resnet_20_adds_up_in_float32():
    model = cr.models.resnet(20, key=KEY)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 3)).astype(np.float32)
    loss = cr.nn.softmax_cross_entropy(model(x, cr.nn.Training(KEY)), np.arange(2))
    before = {path: b.numpy().copy() for path, b in model.buffers().items()}
    for by in BY:
        shared = cr.attribute(loss, ("stages.0.0.layers.0.conv.weight", 0, 0, 3, 7), by, model)
        for split in shared.splits:
            assert split.total == pytest.approx(shared.gradient, rel=1e-3)
    assert all(np.array_equal(before[path], b.numpy()) for path, b in model.buffers().items())
    assert all(p.grad is None for p in model.parameters().values())


@pytest.mark.parametrize("by", BY)
def test_it_is_written_as_text_html_and_json(by):
    model, loss = residual_loss()
    shared = cr.attribute(loss, ("stem.weight", 0, 1, 2, 3), by, model, top=2)
    assert str(shared) == shared.text and shared.text.startswith("∂f/∂stem.weight[0, 1, 2, 3] = ")
    assert len(shared.text.splitlines()) <= 14
    data = json.loads(json.dumps(shared.to_dict()))
    assert (data["version"], data["by"], len(data["splits"])) == (1, by, len(shared.splits))
    values = [s["value"] for s in data["splits"][0]["shares"]]
    assert math.fsum(values) == pytest.approx(data["gradient"], rel=1e-10)
    assert shared._repr_html_().startswith('<div class="chainrule-attribution">')


def test_names_are_escaped_in_html():
    x = leaf([1.0, 2.0], "<b>")
    assert "<b>" not in cr.attribute(cr.sum(x * x), x, "branch")._repr_html_()


def test_a_result_is_a_path_to_itself():
    y = cr.sum(leaf([1.0, 2.0]) ** 2)
    shared = cr.attribute(y, y)
    assert (shared.gradient, shared.count, [s.value for s in shared.shares]) == (1, 1, [1])


def test_a_gradient_of_zero_has_values_and_no_fractions():
    x = leaf([2.0, 1.0])
    shared = cr.attribute(cr.sum(x - x), ("x", 0), "branch")
    assert [(s.value, s.fraction) for s in shared.splits[0].shares] == [(1, None), (-1, None)]


def refusals():
    x = leaf([1.0, 2.0])
    y = cr.sum(x * x)
    model, loss = mlp_loss()
    zero = cr.sum(x * 0.0)
    infinite = cr.sum(cr.sqrt(leaf([0.0], "z")))
    return [
        (lambda: cr.attribute(y, x, "layers"), errors.ArgumentError, "by is 'layers'", "did you mean layer?"),
        (lambda: cr.attribute(y, x, 3), errors.ArgumentError, "by is 3", "one of"),
        (lambda: cr.attribute(y, ("x", 2)), errors.ArgumentError, "attribute: x of shape", "1 whole number"),
        (lambda: cr.attribute(y, "xx"), errors.ArgumentError, "does not depend on 'xx'", ""),
        (
            lambda: cr.attribute(loss, "layer.0.weight", model=model),
            errors.ArgumentError,
            "does not depend on 'layer.0.weight'",
            "did you mean layers.0.weight?",
        ),
        (lambda: cr.attribute(loss, model), errors.ArgumentError, "4 variables are meant", "name one"),
        (lambda: cr.attribute(y, None), errors.OperandError, "wrt is NoneType", "for one element"),
        (lambda: cr.attribute(y, leaf([1.0], "v")), errors.ArgumentError, "does not depend on 'v'", ""),
        (lambda: cr.attribute(y, x, model="net"), errors.OperandError, "model is str", ""),
        (lambda: cr.attribute(cr.tensor(3.0), x), errors.GradientError, "does not depend on any", ""),
        (lambda: cr.attribute(x * x, x), errors.GradientError, "attribute: the result has shape (2,)", ""),
        (lambda: cr.attribute(3.0, x), errors.OperandError, "attribute: expected a tensor", ""),
        (lambda: cr.attribute(y, x, top=0), errors.ArgumentError, "attribute: top", ""),
        (lambda: cr.attribute(zero, x), errors.GradientError, "is 0 in all elements", "one element"),
        (lambda: cr.attribute(infinite, "z"), errors.GradientError, "is not finite", "cr.why"),
        (
            lambda: cr.attribute(cr.formula("x*y")(x=1, y=2), "x", "sample"),
            errors.ArgumentError,
            "batch of examples",
            "one array",
        ),
    ]


@pytest.mark.parametrize("case", range(len(refusals())))
def test_what_cannot_be_asked_is_refused_with_a_way_out(case):
    ask, kind, message, fix = refusals()[case]
    with pytest.raises(kind) as caught:
        ask()
    assert message in caught.value.message and fix in (caught.value.fix or "")
