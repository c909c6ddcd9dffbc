"""Backward over graphs of scalars by native code: the gradients of the sweep, to the last bit."""

from __future__ import annotations

import copy
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule import construction
from chainrule.autodiff import reverse
from chainrule.compiler import large as large_graphs
from chainrule.compiler import objects, scalar_graphs
from chainrule.compiler.on_native.target import host
from chainrule.modes import on_bare_values
from chainrule.node import apply, constant
from chainrule.primitive import REGISTRY, Linear, Pointwise, register
from chainrule.shapes import FLOATS
from compiler.same_bits import SPECIAL, bits

pytestmark = pytest.mark.skipif(
    host() is None or objects.fields_of(cr.Tensor) is None,
    reason="native code does not look into objects here",
)

SCALAR_RULES = {n: op for n, op in sorted(REGISTRY.items()) if issubclass(op, Pointwise) and op.bare}
LEFT_TO_PYTHON = {"gelu", "leaky_relu", "elu"}
"""They have parameters."""


def natively(y, seed=1.0):
    return scalar_graphs.gradients(y, y.dtype.type(seed))


def swept(y, seed=1.0):
    found = reverse.leaf_gradients(y, constant(seed, y.dtype), record=False)
    return {node: delta.value for node, delta in found.items()}


def require_same(y, seed=1.0):
    """Both ways agree on which nodes get a gradient, and on its bits."""
    found, wanted = natively(y, seed), swept(y, seed)
    assert found is not None and found.keys() == wanted.keys()
    for node in wanted:
        assert bits(found[node]) == bits(wanted[node]), (node, found[node], wanted[node])


def leaves(*values, dtype=cr.float64):
    return [cr.tensor(v, dtype=dtype, requires_grad=True) for v in values]


def test_gradients_add_in_the_order_of_the_sweep():
    x, y = leaves(0.1, 0.7)
    z = x
    for i in range(300):
        z = z * y + x * (1 / 3) - (z / (i + 1.7) if i % 3 else cr.sin(x))
    require_same(z)
    require_same(z, -0.0)
    require_same(z, np.inf)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("name", SCALAR_RULES)
def test_each_rule_gives_the_bits_that_it_gives_on_numpy(name, dtype):
    op = SCALAR_RULES[name]
    if dtype not in op.accepts or not op.differentiable or op.result is not None:
        return
    example = next(iter(op.examples(np.random.default_rng(3))))
    numbers = [*SPECIAL, 0.3, -2.5, 7.0]
    for i in range(len(numbers)):
        for k in (1, 4, 5):
            for tracked in (range(op.arity), (0,), (op.arity - 1,)):
                xs = [cr.tensor(numbers[(i + k * j) % len(numbers)], dtype=dtype) for j in range(op.arity)]
                for j in tracked:
                    xs[j].requires_grad_()
                for seed in (1.0, 0.3, 0.0, np.inf):
                    require_same(apply(op, tuple(xs), example.params), seed)


def test_rules_are_native_but_for_those_known_not_to_be():
    left = set()
    for name, op in SCALAR_RULES.items():
        if op.differentiable and op.result is None:
            signature = op.arity << 4 | 1 << 1
            for _ in range(op.arity):
                signature = signature << 4 | 0b0011
            example = next(iter(op.examples(np.random.default_rng(3))))
            rules = scalar_graphs.Rules(host())
            if example.params or not on_bare_values(rules.add, op, signature):
                left.add(name)
    assert left == LEFT_TO_PYTHON


CHOICES = [op for name, op in SCALAR_RULES.items() if op.differentiable and op.result is None]


@st.composite
def programs(draw):
    """Steps of a program: a primitive and which earlier values it takes."""
    steps = []
    for place in range(draw(st.integers(1, 40))):
        op = draw(st.sampled_from(CHOICES))
        steps.append((op, [draw(st.integers(0, place + 3)) for _ in range(op.arity)]))
    return steps


@settings(max_examples=60, deadline=None)
@given(programs(), st.sampled_from(FLOATS), st.integers(0, 2**32 - 1))
def test_random_programs(steps, dtype, seed):
    rng = np.random.default_rng(seed)
    values = [cr.tensor(rng.normal(), dtype=dtype, requires_grad=bool(rng.integers(4))) for _ in range(4)]
    for op, inputs in steps:
        xs = tuple(values[i] for i in inputs)
        values.append(apply(op, xs, next(iter(op.examples(rng))).params))
    total = values[0]
    for value in values[1:]:
        if value.dtype.kind == "f":
            total = total + value
    if total.tracked:
        require_same(total)


def test_two_floating_dtypes_in_one_graph():
    (x,), (y,) = leaves(0.3), leaves(0.7, dtype=cr.float32)
    z = x * y + cr.astype(x, cr.float32) * y
    for _ in range(20):
        z = z * y + cr.exp(-x)
    require_same(z)
    require_same(cr.astype(z, cr.float32) * y)


def test_arrays_among_scalars():
    w = cr.tensor(np.linspace(-1, 1, 7), requires_grad=True)
    (x,) = leaves(0.3)
    z = x
    for i in range(60):
        z = cr.tanh(z * w[i % 7] + w.sum() * 0.01)
        if i % 10 == 0:
            z = z + cr.stack([z, x, w[0] * x] * 5).mean() + (w * z).sum()
    require_same(z)


def test_choices_by_condition_and_numbers_held_as_arrays():
    x, y = leaves(0.3, -0.7)
    z = x
    for i in range(20):
        z = cr.where(z > y, z * x, y - z) + cr.clip(z, -0.5, 0.5) + cr.maximum(z, y) * (i % 2)
    require_same(z)


def test_retained_gradients_are_kept():
    x, y = leaves(0.3, -0.7)
    z = (x * y).retain_grad()
    u = cr.sin(z) * z
    u.retain_grad()
    found = natively(u)
    assert set(found) == {x, y, z, u}
    require_same(u)


def test_paths_that_carry_no_gradient_are_cut():
    x, y = leaves(2.0, 3.0)
    z = cr.floor(x) * y + x.detach() * y
    assert natively(z) == {y: 4.0}
    require_same(z)


def test_strong_zeros():
    (x,) = leaves(0.0)
    require_same(cr.where(x > 0, x * cr.log(x), 0.0) * 0.0)
    require_same(cr.sqrt(cr.relu(x - 1)))


@pytest.fixture
def made_by_python():
    native = scalar_graphs._native(cr.Tensor)
    construction.set_maker(None)
    yield
    native.ring.start()


def test_numbers_of_nodes_far_apart(made_by_python, monkeypatch):
    monkeypatch.setattr(
        "chainrule.construction._next_index", iter([*range(9), *range(2**31, 2**31 + 99)]).__next__
    )
    x, y = leaves(0.3, -0.7)
    z = x * y + x
    for _ in range(20):
        z = z * y + x
    assert z.index > 2**31
    require_same(z)


def test_two_nodes_with_one_number_are_swept():
    x, y = leaves(0.3, -0.7)
    y.index = x.index
    assert natively(x * y + x) is None


def test_a_copy_is_a_node_of_its_own():
    (x,) = leaves(0.3)
    require_same(copy.copy(x) * x)


class Doubled(Pointwise):
    """Twice the number, by a rule of a user."""

    name, label = "doubled_by_a_user", "2x"
    evaluate = staticmethod(lambda x: x * 2)
    partials = staticmethod(lambda y, x: (2.0,))


class Failing(Linear):
    """The number, with a rule that fails."""

    name, label = "failing", "!"
    infer = classmethod(lambda cls, x: (x.shape, x.dtype))
    evaluate = staticmethod(lambda x: x * 1)

    @staticmethod
    def transpose(g, i, x):
        raise KeyError("of the user's own")


@pytest.fixture
def users():
    yield register(Doubled), register(Failing)
    for op in (Doubled, Failing):
        del REGISTRY[op.name]


def test_rules_of_users(users):
    doubled, failing = users
    (x,) = leaves(0.3)
    z = x
    for _ in range(5):
        z = apply(doubled, (z,)) * x
    require_same(z)
    with pytest.raises(KeyError, match="of the user's own"):
        natively(apply(failing, (z,)) * x)
    assert x.grad is None
    require_same(z)


def large(n=3000):
    (x,) = leaves(0.3)
    y = x
    for i in range(n):
        y = y * 0.999 + x if i % 2 else cr.tanh(y)
    return x, y


@pytest.fixture
def asked(monkeypatch):
    """Graphs that native code was asked to sweep, once it is loaded."""
    monkeypatch.setattr(large_graphs.natively, "most", large_graphs.LOADED)
    graphs = []
    real = scalar_graphs.gradients
    monkeypatch.setattr(scalar_graphs, "gradients", lambda *given: graphs.append(given) or real(*given))
    return graphs


def test_backward_of_a_large_graph_is_native_and_accumulates(asked):
    x, y = large()
    y.backward()
    wanted = swept(y)[x]
    assert bits(x.grad.numpy()) == bits(wanted)
    y.backward(gradient=2.0)
    assert x.grad.item() == wanted + swept(y, 2.0)[x]
    assert len(asked) == 2


def steps(x, w):
    y = x
    for k in range(1000):
        y = cr.sin(y * w) + x * (1.0 / (k + 1))
    return y


def test_transforms_of_functions_with_many_scalars_are_native(asked, monkeypatch):
    def derivatives():
        value, (x, w) = cr.value_and_grad(steps, argnums=(0, 1))(0.5, 1.25)
        (alone,) = cr.grad(lambda xs: steps(xs[0], 1.25))([0.5])
        return [bits(n.numpy()) for n in (value, x, w, alone)]

    found = derivatives()
    assert len(asked) == 2
    monkeypatch.setattr(large_graphs.natively, "most", 10**9)
    assert found == derivatives()
    assert len(asked) == 2


def test_derivatives_of_derivatives_are_swept(asked):
    second = cr.grad(lambda x: cr.grad(steps)(x, 1.25))(0.5)
    small = 1e-5
    near = [cr.grad(steps)(0.5 + d, 1.25).item() for d in (small, -small)]
    assert len(asked) == 3  # the inner pass of the second derivative is recorded, so it is swept
    assert second.item() == pytest.approx((near[0] - near[1]) / (2 * small), rel=1e-6)


def test_a_transform_leaves_no_mark_on_what_the_function_reached(asked):
    outside = cr.tensor(1.25, requires_grad=True)
    seen = []

    def f(x):
        seen.append(x)
        return steps(x, outside)

    with cr.no_grad():
        found = cr.grad(f)(0.5)
    assert len(asked) == 1
    assert bits(found.numpy()) == bits(cr.grad(steps)(0.5, 1.25).numpy())
    assert outside.grad is None and not seen[0].retains_grad


def test_small_graphs_arrays_and_graphs_of_gradients_are_swept(asked):
    x, y = large(100)
    y.backward()
    x, y = large()
    y.backward(create_graph=True)
    z = cr.tensor(np.ones(3), requires_grad=True)
    u = z
    for _ in range(1500):
        u = u * 1.001
    u.sum().backward()
    assert not asked
    assert x.grad.tracked


def test_where_native_code_cannot_look_into_objects_gradients_are_swept(monkeypatch):
    monkeypatch.setattr(scalar_graphs, "_native", lambda kind: None)
    x, y = large(large_graphs.AT_FIRST)
    y.backward()
    assert bits(x.grad.numpy()) == bits(swept(y)[x])


def test_unknown_objects_have_no_layout(monkeypatch):
    monkeypatch.setattr(objects, "_items", lambda: None)
    assert objects.fields_of.__wrapped__(cr.Tensor) is None
    monkeypatch.undo()
    monkeypatch.setattr(objects.sysconfig, "get_config_var", lambda name: 1)
    assert objects.fields_of.__wrapped__(cr.Tensor) is None


def test_a_thousand_leaves_each_get_theirs():
    xs = leaves(*np.linspace(-1, 1, 5000))
    total = xs[0]
    for i, x in enumerate(xs):
        total = total + x * float(i)
    require_same(total)


def test_objects_are_neither_kept_nor_lost():
    _, y = large()
    held = [y, y.inputs, y.value, y.op, None, True]
    natively(y)
    before = [sys.getrefcount(thing) for thing in held[:3]]
    for _ in range(10):
        natively(y)
    assert [sys.getrefcount(thing) for thing in held[:3]] == before


def test_threads_at_once():
    x, y = large()
    wanted = bits(swept(y)[x])
    found = []
    threads = [
        threading.Thread(target=lambda: found.extend(natively(y)[x] for _ in range(20))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and {bits(value) for value in found} == {wanted}


def test_turns_are_given_back_so_that_ctrl_c_is_heard(monkeypatch):
    monkeypatch.setattr(scalar_graphs, "TURNS", 1)
    x, y = large(30_000)
    require_same(y)
    native = scalar_graphs._native(type(y))
    met = []

    def interrupted(address):
        if len(met) == 5:
            raise KeyboardInterrupt
        met.append(address)
        return native.walk(address)

    class Broken:
        walk = staticmethod(interrupted)
        give, rules, spare, ring = native.give, native.rules, native.spare, native.ring

    monkeypatch.setattr(scalar_graphs, "_native", lambda kind: Broken)
    monkeypatch.setattr(large_graphs.natively, "most", large_graphs.LOADED)
    with pytest.raises(KeyboardInterrupt):
        y.backward()
    assert x.grad is None
    monkeypatch.undo()
    require_same(y)
