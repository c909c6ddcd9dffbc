"""vmap: the same as a loop over the items, nested with everything else, and what it says when it cannot."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import trees
from chainrule.errors import (
    ArgumentError,
    AxisError,
    OperandError,
    ShapeError,
    StructureError,
    TracedValueError,
)
from chainrule.node import apply
from chainrule.primitive import Linear

RNG = np.random.default_rng(0)
ROWS, WEIGHT = RNG.normal(size=(5, 3)), RNG.normal(size=(3, 4))
RECORD = RNG.normal(size=(6, 5, 3))


def close(found, expected, rtol=1e-10):
    np.testing.assert_allclose(cr.asarray(found).numpy(), np.asarray(expected), rtol=rtol, atol=1e-12)


def loop(f, *columns):
    """The results of ``f`` for each item, which returns one array."""
    return np.stack([cr.asarray(f(*row)).numpy() for row in zip(*columns, strict=True)])


def unit(w, x):
    return cr.tanh(x @ w).sum()


def test_items_lie_along_any_axis():
    a, b = RNG.normal(size=(4, 5, 2)), RNG.normal(size=(3, 5))
    f = lambda x, y: cr.outer(x.sum(axis=0), y)
    expected = loop(f, a.transpose(1, 0, 2), b.T)
    close(cr.vmap(f, in_axes=1)(a, b), expected)
    close(cr.vmap(f, in_axes=(-2, -1))(a, b), expected)
    close(cr.vmap(f, in_axes=[1, 1], out_axes=2)(a, b), np.moveaxis(expected, 0, 2))
    close(cr.vmap(f, in_axes=1, out_axes=-1)(a, b), np.moveaxis(expected, 0, -1))


def test_axes_may_be_numbers_of_numpy():
    f = cr.vmap(lambda x: x * 2.0, in_axes=np.int64(1), out_axes=np.int32(-1))
    np.testing.assert_array_equal(f(ROWS).numpy(), 2.0 * ROWS)


def test_axes_are_nested_as_arguments_and_results_are_or_stand_for_all_below():
    p = {"w": RNG.normal(size=(3, 2, 5)), "b": np.ones(3), "more": [np.zeros(2), np.arange(2.0)]}
    f = lambda p, x: {"sum": p["w"] @ x + p["b"], "rest": (p["more"][1], x)}
    x = RNG.normal(size=(5, 2))
    axes = ({"b": None, "w": -1, "more": None}, 0)
    found = cr.vmap(f, in_axes=axes, out_axes={"sum": 1, "rest": (None, 0)})(p, x)
    close(found["sum"], np.stack([p["w"][:, :, i] @ x[i] + p["b"] for i in range(5)], axis=1))
    close(found["rest"][0], p["more"][1])
    close(found["rest"][1], x)


def test_what_does_not_differ_is_repeated_or_given_once():
    f = lambda x: (x + 1.0, np.array([1.0, 2.0]), 7)
    differs, same, number = cr.vmap(f)(np.zeros(3))
    assert (differs.shape, same.shape, number.tolist()) == ((3,), (3, 2), [7, 7, 7])
    _, same, number = cr.vmap(f, out_axes=(0, None, None))(np.zeros(3))
    assert (same.tolist(), number.item()) == ([1, 2], 7)


def test_arguments_that_are_no_arrays_are_handed_on():
    def f(x, how, scale, *, power, options=None):
        assert how == "sum" and options == "fast"
        return (x**power).sum() * scale

    found = cr.vmap(f, in_axes=(0, None, None))(ROWS, "sum", 2.0, power=2, options="fast")
    close(found, 2 * (ROWS**2).sum(axis=1))
    close(cr.vmap(lambda x, *, y: x @ y)(ROWS, y=ROWS), (ROWS**2).sum(axis=1))


def test_nested():
    table = cr.vmap(cr.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    close(table(np.arange(3.0), np.arange(4.0)), np.outer(np.arange(3), np.arange(4)))
    turned = cr.vmap(
        cr.vmap(lambda a, b: a * b, in_axes=(None, 0), out_axes=0), in_axes=(0, None), out_axes=1
    )
    close(turned(np.arange(3.0), np.arange(4.0)), np.outer(np.arange(4), np.arange(3)))
    deep = cr.vmap(cr.vmap(cr.vmap(cr.linalg.det)))
    matrices = RNG.normal(size=(2, 3, 4, 2, 2))
    close(deep(matrices), np.linalg.det(matrices))


def test_gradients_of_each_item():
    each = cr.vmap(cr.grad(unit), in_axes=(None, 0))
    expected = loop(lambda x: cr.grad(unit)(WEIGHT, x), ROWS)
    close(each(WEIGHT, ROWS), expected)
    close(cr.compile(each)(WEIGHT, ROWS), expected)
    value, both = cr.vmap(cr.value_and_grad(unit, (0, 1)), in_axes=(None, 0))(WEIGHT, ROWS)
    close(value, loop(lambda x: unit(WEIGHT, x), ROWS))
    close(both[0], expected)


def test_gradient_of_a_batch():
    def f(w):
        return (cr.vmap(lambda x: unit(w, x))(ROWS) ** 2).sum()

    expected = cr.grad(lambda w: sum(unit(w, x) ** 2 for x in ROWS))(WEIGHT)
    close(cr.grad(f)(WEIGHT), expected.numpy())
    close(cr.compile(cr.grad(f))(WEIGHT), expected.numpy())
    close(cr.jvp(f, (WEIGHT,), (np.ones_like(WEIGHT),))[1], expected.sum().item())


def test_derivatives_flow_to_what_the_function_closes_over():
    w = cr.tensor(WEIGHT, requires_grad=True)
    x = cr.tensor(ROWS, requires_grad=True)
    cr.vmap(lambda x: unit(w, x))(x).sum().backward()
    close(w.grad, cr.grad(lambda w: sum(unit(w, x) for x in ROWS))(WEIGHT).numpy())
    close(x.grad, loop(lambda x: cr.grad(unit, 1)(WEIGHT, x), ROWS))


def test_an_inner_gradient_closes_over_outer_items():
    f = lambda a, b: cr.sin(a * b)
    mixed = cr.vmap(lambda b: cr.grad(lambda a: cr.grad(lambda b: f(a, b))(b))(0.7))
    b = np.array([0.2, 0.5])
    close(mixed(b), np.cos(0.7 * b) - 0.7 * b * np.sin(0.7 * b))


def test_gradient_through_gradients_of_each_item():
    def penalty(w):
        slopes = cr.vmap(cr.grad(unit, 1), in_axes=(None, 0))(w, ROWS)
        return (slopes**2).sum()

    expected = cr.grad(lambda w: sum((cr.grad(unit, 1)(w, x) ** 2).sum() for x in ROWS))(WEIGHT)
    close(cr.grad(penalty)(WEIGHT), expected.numpy())


def test_with_compile_inside_and_outside():
    inner = cr.compile(unit)
    expected = loop(lambda x: unit(WEIGHT, x), ROWS)
    close(cr.vmap(inner, in_axes=(None, 0))(WEIGHT, ROWS), expected)
    close(cr.compile(cr.vmap(inner, in_axes=(None, 0)))(WEIGHT, ROWS), expected)


def recur(w, begin, xs):
    return cr.scan(lambda h, x: (cr.tanh(h @ w + x), h.sum()), begin, xs)


@pytest.mark.parametrize("axes", [(None, None, 0), (0, None, None), (None, 0, None), (0, 0, 0)])
def test_scans(axes):
    given = RNG.normal(size=(4, 3, 3)), RNG.normal(size=(4, 2, 3)), RNG.normal(size=(4, 6, 2, 3))
    given = tuple(x if a == 0 else x[0] for x, a in zip(given, axes, strict=True))
    rows = [tuple(x[i] if a == 0 else x for x, a in zip(given, axes, strict=True)) for i in range(4)]
    last, sums = cr.vmap(recur, in_axes=axes)(*given)
    close(last, np.stack([recur(*row)[0].numpy() for row in rows]))
    close(sums, np.stack([recur(*row)[1].numpy() for row in rows]))
    slope = cr.grad(lambda *args: (recur(*args)[0] ** 2).sum() + recur(*args)[1].sum(), (0, 1, 2))
    for way in (cr.vmap(slope, in_axes=axes), cr.compile(cr.vmap(slope, in_axes=axes))):
        for found, expected in zip(
            way(*given), zip(*[slope(*row) for row in rows], strict=True), strict=True
        ):
            close(found, np.stack([e.numpy() for e in expected]))


def test_gradient_of_a_batch_of_scans():
    w, begin, xs = RNG.normal(size=(3, 3)), RNG.normal(size=(2, 3)), RNG.normal(size=(4, 6, 2, 3))
    whole = lambda w: cr.vmap(lambda x: recur(w, begin, x)[0].sum())(xs).sum()
    expected = cr.grad(lambda w: sum(recur(w, begin, x)[0].sum() for x in xs))(w).numpy()
    close(cr.grad(whole)(w), expected)
    close(cr.compile(cr.grad(whole))(w), expected)


def test_a_scan_that_counts_carries_what_differs_beside_what_does_not():
    def f(x):
        return cr.scan(lambda c, _: ((c[0] + 1, c[1] + x, c[2] * 2.0), c[0]), (0, 0.0, 1.0), length=3)

    (count, total, power), numbers = cr.vmap(f)(np.array([1.0, 2.0]))
    assert (count.tolist(), total.tolist(), power.tolist()) == ([3, 3], [3, 6], [8, 8])
    assert numbers.tolist() == [[0, 1, 2]] * 2


def test_inside_of_a_scan():
    """A step that is a batch, differentiated and compiled."""

    def course(w, step):
        return cr.scan(lambda h, x: (step(w, h) + x, None), np.zeros((5, 3)), RECORD)[0].sum()

    slopes = [
        cr.grad(lambda w, step=step: course(w, step))
        for step in (cr.vmap(lambda w, h: cr.tanh(w @ h), in_axes=(None, 0)), lambda w, h: cr.tanh(h @ w.mT))
    ]
    expected = slopes[1](WEIGHT[:, :3]).numpy()
    close(slopes[0](WEIGHT[:, :3]), expected)
    close(cr.compile(slopes[0])(WEIGHT[:, :3]), expected)


def test_random_keys_give_what_each_gives_alone():
    keys = np.stack([k.numpy() for k in cr.random.split(cr.random.key(1), 4)])

    def f(key, x):
        first, second = cr.random.split(key)
        return cr.random.dropout(first, x, 0.5) + cr.random.normal(cr.random.fold_in(second, 3), x.shape)

    x = RNG.normal(size=(4, 7))
    expected = loop(f, keys, x)
    close(cr.vmap(f)(keys, x), expected)
    close(cr.compile(cr.vmap(f))(keys, x), expected)
    same = cr.vmap(lambda x: cr.random.dropout(cr.random.key(0), x, 0.5))(np.ones((3, 8)))
    assert same.numpy().std(axis=0).max() == 0  # one key: one mask
    close(cr.vmap(f)(cr.asarray(cr.random.split(cr.random.key(1), 4)), x), expected)
    with pytest.raises(
        cr.errors.ArgumentError, match=r"normal: expected one key, got a list of 2 tensors\n.*asarray"
    ):
        cr.vmap(lambda key, x: cr.random.normal(key, x.shape))(cr.random.split(cr.random.key(1)), x[:2])


@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (lambda x, w: x @ w, (3,)),
        (lambda x, w: cr.conv2d(x, w.reshape(1, 1, 3, 4)), (2, 4, 4, 3)),
        (lambda x, w: recur(w[:, :3], x, np.ones((2, 2, 3)))[0], (2, 3)),
        (lambda x, w: cr.sort(x).max() + w.sum(), (3,)),
    ],
)
def test_no_items(f, shape):
    x = np.zeros((0, *shape))
    one = f(np.ones(shape), WEIGHT)
    assert cr.vmap(f, in_axes=(0, None))(x, WEIGHT).shape == (0, *one.shape)
    assert cr.compile(cr.vmap(f, in_axes=(0, None)))(x, WEIGHT).shape == (0, *one.shape)
    slope = cr.grad(lambda w: cr.vmap(lambda x: f(x, w))(x).sum())(WEIGHT)
    np.testing.assert_array_equal(slope.numpy(), np.zeros_like(WEIGHT))


def test_nothing_is_remembered_where_nothing_is_recorded():
    w = cr.tensor(WEIGHT, requires_grad=True)
    with cr.no_grad():
        each, same = cr.vmap(lambda x: (x @ w, w * 2.0), out_axes=(0, None))(ROWS)
    assert not each.requires_grad and not same.requires_grad
    close(same, 2 * WEIGHT)


def test_results_belong_to_nothing_where_nothing_outside_is_differentiated():
    """What an inner gradient starts from is let go."""
    w = cr.tensor(WEIGHT, requires_grad=True)
    each = cr.vmap(cr.grad(unit), in_axes=(None, 0))
    assert not each(WEIGHT, ROWS).requires_grad
    assert not each(w, ROWS).requires_grad  # a leaf given to a transform counts as plain numbers
    assert cr.vmap(lambda x: cr.grad(unit, 1)(w * 1.0, x))(ROWS).requires_grad
    x = cr.tensor(ROWS, requires_grad=True)
    assert cr.vmap(lambda x: x)(x) is x
    assert w.grad is None


def test_modules():
    """Gradients of each sample for a network, whose mean is the gradient of the batch; and several networks at once."""
    keys = cr.random.split(cr.random.key(0), 3)
    model = cr.nn.Sequential(
        cr.nn.Conv2d(1, 2, 3, padding="same", key=keys[0]),
        cr.relu,
        cr.nn.MaxPool2d(2),
        cr.nn.Flatten(),
        cr.nn.Linear(8, 3, key=keys[1]),
    )
    x = RNG.normal(size=(6, 4, 4, 1)).astype(np.float32)
    y = np.arange(6) % 3

    def loss(model, x, y):
        return cr.nn.softmax_cross_entropy(model(x[None]), y[None])

    each = cr.compile(cr.vmap(cr.grad(loss), in_axes=(None, 0, 0)))(model, x, y)
    whole = cr.grad(lambda m: cr.nn.softmax_cross_entropy(m(x), y))(model)
    for name, g in each.parameters().items():
        assert g.shape == (6, *whole.parameters()[name].shape)
        np.testing.assert_allclose(
            g.numpy().mean(axis=0), whole.parameters()[name].numpy(), rtol=1e-4, atol=1e-6
        )
    models = [cr.nn.Linear(3, 2, key=key) for key in keys]
    together = trees.map_leaves(lambda *xs: cr.asarray(np.stack([x.numpy() for x in xs])), *models)
    x = np.ones((4, 3), np.float32)
    close(cr.vmap(lambda m: m(x))(together), loop(lambda m: m(x), models), rtol=1e-5)


class Doubled(Linear):
    """A primitive of a user's own, without a batching rule; not registered, so that no other test sees it."""

    name, label = "doubled", "2x"
    evaluate = staticmethod(lambda x: 2.0 * x)

    @classmethod
    def infer(cls, *xs, **params):
        assert len(xs[0].shape) == 1
        return xs[0].shape, xs[0].dtype

    @staticmethod
    def transpose(g, i, *xs, **params):
        return apply(Doubled, (g,))


def test_a_primitive_without_a_rule_is_applied_item_by_item():
    f = cr.vmap(lambda x: apply(Doubled, (x * x,)))
    close(f(ROWS), 2 * ROWS**2)
    close(cr.grad(lambda x: f(x).sum())(ROWS), 4 * ROWS)
    assert str(cr.trace(f, ROWS)).count("doubled") == 5


def test_the_graph_of_a_batch_does_not_grow_with_it():
    f = cr.vmap(cr.grad(lambda w, x: cr.tanh(x @ w).sum()), in_axes=(None, 0))
    sizes = [len(cr.trace(f, WEIGHT, np.zeros((n, 3)))) for n in (2, 200)]
    assert sizes[0] == sizes[1]


V = np.ones(3)
BAD = [
    (lambda: cr.vmap(3.0), ArgumentError, "expected a function, got float", "function"),
    (
        lambda: cr.vmap(abs, in_axes="rows"),
        ArgumentError,
        "in_axes must hold integers and None, got 'rows'",
        "0",
    ),
    (lambda: cr.vmap(abs, out_axes=True), ArgumentError, "out_axes must hold integers", "out_axes=0"),
    (lambda: cr.vmap(abs, in_axes={"x": 0}), ArgumentError, "got dict", r"in_axes=(axes,)"),
    (
        lambda: cr.vmap(lambda a, b: a, in_axes=(0,))(V, V),
        ArgumentError,
        "1 entries for 2 arguments",
        "keyword",
    ),
    (lambda: cr.vmap(lambda a, b: a)(V, np.ones(4)), ShapeError, "a has 3 items and b has 4", "None"),
    (
        lambda: cr.vmap(lambda p, y: y)({"w": V, "b": np.ones((2, 3))}, V),
        ShapeError,
        "p.w has 3 items and p.b has 2",
        "None",
    ),
    (lambda: cr.vmap(lambda a: a, in_axes=None)(V), ArgumentError, "no argument is mapped", "at least one"),
    (lambda: cr.vmap(lambda: V)(), ArgumentError, "no argument is mapped", "at least one"),
    (lambda: cr.vmap(lambda a: a, in_axes=1)(V), AxisError, r"axis 1 .* for a of shape \(3,\)", "-1 .. 0"),
    (lambda: cr.vmap(lambda a: a, in_axes=-2)(V), AxisError, r"axis -2 .* for a of shape \(3,\)", "-1 .. 0"),
    (lambda: cr.vmap(lambda a, b: a)(V, 2.0), AxisError, "b is one float64 number", "None for it in in_axes"),
    (
        lambda: cr.vmap(lambda p: p["x"], in_axes=({"y": 0},))({"x": V}),
        StructureError,
        "structure differs at 0: expected dict with keys",
        "one leaf",
    ),
    (lambda: cr.vmap(lambda a: a, in_axes=([0],))(V), StructureError, "expected a leaf", "one leaf"),
    (lambda: cr.vmap(lambda a: a, out_axes=2)(V), AxisError, r"out_axes 2 .* shape \(\)", "-1 .. 0"),
    (
        lambda: cr.vmap(lambda a: (a, a), out_axes=(0, None))(V),
        ArgumentError,
        "None for result 1",
        "out_axes=0",
    ),
    (
        lambda: cr.vmap(lambda a: a, out_axes=(0, 0))(V),
        StructureError,
        "another way than the result",
        "one leaf",
    ),
    (lambda: cr.vmap(lambda a: a if a > 0 else -a)(V), TracedValueError, "only being traced", "cr.where"),
    (lambda: cr.vmap(lambda a: float(a))(V), TracedValueError, "a Python float", "cr.where"),
    (lambda: cr.vmap(lambda a: a[a > 0])(np.ones((2, 3))), TracedValueError, "mask", ""),
    (lambda: cr.vmap(lambda a: "text")(V), OperandError, "expected numbers, got str", ""),
    (lambda: cr.vmap(cr.grad(lambda a: a * V))(V), ShapeError, "must return one number", "cr.jacobian"),
]


@pytest.mark.parametrize(("call", "kind", "text", "fix"), BAD)
def test_bad_input_says_what_and_how(call, kind, text, fix):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert fix in (caught.value.fix or "")


def test_a_singular_matrix_is_named_by_its_item():
    a = np.stack([np.eye(2), np.zeros((2, 2))])
    with pytest.raises(ArgumentError, match=r"singular at batch index \(1,\)"):
        cr.vmap(cr.linalg.inv)(a)
