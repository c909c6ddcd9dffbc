"""Nodes that native code makes: the same as Python's; and what is remembered of them never stands for another node."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import construction
from chainrule.autodiff import reverse
from chainrule.compiler import large as large_graphs
from chainrule.compiler import objects, scalar_graphs
from chainrule.compiler.making import Ring
from chainrule.compiler.on_native.target import host
from chainrule.node import apply, constant
from chainrule.primitive import REGISTRY, Pointwise
from compiler.same_bits import bits

pytestmark = pytest.mark.skipif(
    host() is None or objects.fields_of(cr.Tensor) is None,
    reason="native code does not look into objects here",
)


def require_same(y):
    """The walk agrees with the sweep on which nodes get a gradient, and on its bits."""
    found = scalar_graphs.gradients(y, y.dtype.type(1.0))
    wanted = {
        node: d.value for node, d in reverse.leaf_gradients(y, constant(1.0, y.dtype), record=False).items()
    }
    assert found is not None and found.keys() == wanted.keys()
    for node in wanted:
        assert bits(found[node]) == bits(wanted[node]), node


def leaf(value, dtype=cr.float64):
    return cr.tensor(value, dtype=dtype, requires_grad=True)


def swapped(monkeypatch, entries):
    """A ring of so many entries, which makes nodes until the test ends."""
    native = scalar_graphs._native(cr.Tensor)
    small = Ring(cr.Tensor, native.fields, host(), entries)
    monkeypatch.setattr(native, "ring", small)
    small.start()
    return small


@pytest.fixture
def ring():
    """The ring that makes nodes now, and again when the test is over."""
    found = scalar_graphs._native(cr.Tensor).ring
    found.start()
    yield found
    found.start()


def remembered(ring, node):
    """Whether a walk finds all that it needs of a node in the ring."""
    stamp, signature = ring.entries[node.index & len(ring.entries) - 1, :1].view(np.uint32)
    return bool(
        stamp == (node.index * 2 + 1) % 2**32
        and signature
        and node.index >= ring.state[scalar_graphs.State.FROM]
    )


KEPT = ("op", "shape", "dtype", "tracked", "name", "position", "retains_grad")


def test_nodes_are_the_same_whoever_makes_them(ring):
    x = leaf(0.3)

    def made():
        return cr.sin(x) * 2.0, cr.tensor([1.0, 2.0]), cr.where(x > 0, x, -x), x.detach()

    by_native = made()
    construction.set_maker(None)
    by_python = made()
    assert by_native[-1].index < by_python[0].index
    for a, b in zip(by_native, by_python, strict=True):
        assert type(a) is type(b)
        for name in KEPT:
            assert getattr(a, name) == getattr(b, name), name
        assert len(a.inputs) == len(b.inputs) and bits(a.numpy()) == bits(b.numpy())
    assert by_native[0].source.text == by_python[0].source.text != ""


def test_numbers_go_on_where_another_begins_to_count(ring):
    before = leaf(1.0)
    construction.set_maker(None)
    between = leaf(1.0)
    ring.start()
    after = [leaf(1.0) for _ in range(3)]
    assert before.index < between.index < after[0].index
    assert [x.index - after[0].index for x in after] == [0, 1, 2]


@pytest.mark.parametrize("first", [2**30 - 20, 2**31 - 20, 2**32 - 20, 2**35], ids=str)
def test_large_numbers_are_remembered_as_small_ones(ring, monkeypatch, first):
    small = swapped(monkeypatch, 256)
    state, number = small.state, scalar_graphs.State.NEXT
    before = program(leaf(0.7), 10)
    went_on = int(state[number]) + (1 << 21)
    state[number] = first
    x = leaf(0.3)
    z = program(x, 20) * x
    assert z.index > first and remembered(small, z)
    require_same(z)
    require_same(program(z * before, 5))
    state[number] = went_on


def test_wrong_arguments_are_refused(ring):
    with pytest.raises(TypeError):
        ring.new_node(None, ())


def test_plain_programs_are_remembered(ring):
    x, y = leaf(0.3), leaf(0.7, cr.float32)
    z = cr.sin(x * 2.0) - x
    u = y * y
    assert remembered(ring, z) and remembered(ring, z.inputs[0]) and remembered(ring, u)
    array = cr.tensor([1.0, 2.0], requires_grad=True)
    assert not remembered(ring, array.sum()) and not remembered(ring, cr.clip(x, 0.0, 1.0))
    require_same(z)
    require_same(u)


def test_nothing_is_kept_alive(ring):
    y = leaf(0.3)
    for _ in range(50):
        y = y * 1.5
    gone = [weakref.ref(y), weakref.ref(y.inputs[0])]
    del y
    gc.collect()
    assert [r() for r in gone] == [None, None]


def program(x, steps):
    y = x
    for i in range(steps):
        y = y * 0.99 + (cr.tanh(y) if i % 3 else x)
    return y


@pytest.mark.parametrize("entries", [1, 8, 64])
def test_what_others_have_taken_the_place_of_is_read_itself(ring, monkeypatch, entries):
    small = swapped(monkeypatch, entries)
    x = leaf(0.3)
    y = program(x, 300)
    assert remembered(small, y)
    require_same(y)
    w = y * x
    program(x, entries)  # the places of y's nodes and the memory of these, which are gone, are taken again
    require_same(w)


def test_memory_that_is_used_again_is_not_mistaken(ring, monkeypatch):
    swapped(monkeypatch, 256)
    rng = np.random.default_rng(7)
    kept = [leaf(v) for v in rng.normal(size=8)]
    for _ in range(2000):
        a, b = rng.integers(0, len(kept), 2)
        made = (kept[a] + kept[b]) * 0.5 if rng.integers(2) else cr.sin(kept[a]) * kept[b]
        kept[rng.integers(0, len(kept))] = made if made.tracked else leaf(0.1)
        if rng.integers(4) == 0:
            kept[rng.integers(0, len(kept))] = leaf(rng.normal())
    total = kept[0]
    for x in kept[1:]:
        total = total + x
    require_same(total)


def test_a_node_where_another_was_is_not_taken_for_it(ring, monkeypatch):
    swapped(monkeypatch, 1)
    x, y = leaf(0.3), leaf(0.7)
    product = x * y
    place = id(product)
    del product
    sine = construction.new_node(
        REGISTRY["sin"], (x,), construction.NO_PARAMS, (), x.dtype, np.sin(x.value), True, None, None
    )
    assert id(sine) == place
    require_same(sine)


def test_a_number_that_was_tampered_with_leads_to_no_other_node(ring):
    x = leaf(0.3)
    a, b = cr.sin(x), cr.exp(x)
    b.index = a.index
    require_same(b * x)
    require_same(b * b)


def test_a_leaf_that_is_asked_for_gradients_after_its_use_gets_one(ring):
    x, c = leaf(0.3), cr.tensor(2.0)
    y = program(x * c, 20)
    c.requires_grad_()
    require_same(y)
    assert c in scalar_graphs.gradients(y, 1.0)
    x.requires_grad_(False)
    require_same(y)
    assert set(scalar_graphs.gradients(y, 1.0)) == {c}


def test_asking_for_gradients_of_a_new_leaf_forgets_nothing(ring):
    y = program(leaf(0.3), 5)
    c = cr.tensor(2.0).requires_grad_()
    z = y * c
    assert remembered(ring, y) and remembered(ring, z)
    require_same(z)


def test_gradients_that_are_retained_later_are_kept(ring):
    x = leaf(0.3)
    y = cr.sin(x)
    z = y * x
    y.retain_grad()
    assert set(scalar_graphs.gradients(z, 1.0)) == {x, y}
    require_same(z)


def test_threads_that_record_and_walk_at_once(ring, monkeypatch):
    swapped(monkeypatch, 4096)
    wanted = bits(
        reverse.leaf_gradients(program(x := leaf(0.3), 400), constant(1.0), record=False)[x].numpy()
    )
    found = []

    def run():
        for _ in range(20):
            own = leaf(0.3)
            y = program(own, 400)
            found.append(bits(scalar_graphs.gradients(y, 1.0)[own]))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80 and set(found) == {wanted}


def test_cycles_through_recorded_gradients_are_collected(ring):
    def recorded(y, x):
        y.backward(create_graph=True)

    def assigned(y, x):
        x.grad = y * 2.0

    def retained(y, x):
        y.inputs[0].retain_grad()
        y.backward(create_graph=True)

    for close in (recorded, assigned, retained):
        x = leaf(0.3)
        y = cr.sin(x) * x
        for _ in range(30):
            y = y * x + x
        close(y, x)
        assert x.grad.inputs
        gone = [weakref.ref(node) for node in (x, y, y.inputs[0], x.grad)]
        del x, y
        gc.collect()
        assert [r() for r in gone] == [None] * 4, close


@pytest.mark.parametrize("shape", [(), (3,)])
def test_of_gradients_that_add_up_each_is_looked_at_once(ring, monkeypatch, shape):
    x = cr.tensor(np.full(shape, 0.3), requires_grad=True)
    looked, watch = [], ring._watch
    monkeypatch.setattr(ring, "_watch", lambda thing: looked.append(thing) or watch(thing))
    counts = []
    for _ in range(20):
        cr.sum(x * x).backward(create_graph=True)
        counts.append(len(looked))
        looked.clear()
    assert counts[0] and len(set(counts[2:])) == 1, counts
    gone = weakref.ref(x.grad)
    looked.clear()
    del x
    gc.collect()
    assert gone() is None


def test_python_does_not_search_large_graphs_for_cycles(ring):
    x = leaf(0.3)
    y = x * x
    assert not gc.is_tracked(y) and not gc.is_tracked(y.inputs)
    assert gc.is_tracked(x) and gc.is_tracked(cr.stack([x, y]))


class Held(Pointwise):
    """The number; with a parameter that is whatever a user likes."""

    name, label = "held_by_a_user", "x"
    infer = classmethod(lambda cls, x, holder: (x.shape, x.dtype))
    evaluate = staticmethod(lambda x, holder: x * 1)
    partials = staticmethod(lambda y, x, holder: (1.0,))


def test_graphs_that_may_lead_back_to_what_holds_them_are_searched(ring):
    """A parameter may hold anything, such as the model that holds the loss."""

    class Model:
        def run(self, x):
            self.loss = apply(Held, (x,), {"holder": self}) * 2.0 + x

    model, x = Model(), leaf(0.3)
    model.run(x)
    gone = [weakref.ref(model), weakref.ref(model.loss)]
    del model
    gc.collect()
    assert [r() for r in gone] == [None, None]


@pytest.fixture
def prepared(ring, monkeypatch):
    """For which classes of nodes native code was loaded, as in a process that begins."""
    construction.set_maker(None)
    found = []
    monkeypatch.setattr(scalar_graphs, "prepare", found.append)
    large_graphs.growing.stop()
    growing = large_graphs.Growing()
    growing.start()
    yield found
    growing.stop()


def test_a_graph_of_scalars_that_grows_large_is_noticed_once(prepared):
    y = leaf(0.3)
    for _ in range(30_000):
        y = y * 0.999
    assert prepared == [cr.Tensor]


def test_small_graphs_arrays_and_traces_are_no_large_graphs_of_scalars(prepared):
    x, w = leaf(0.3), cr.tensor(np.ones(3), requires_grad=True)
    for _ in range(300):
        program(x, 50).backward()
    u = w
    for _ in range(15_000):
        u = u * 0.999
    with cr.no_grad():
        found = [x * 1.5 for _ in range(15_000)]
    assert len(found) == 15_000 and not prepared


def test_long_graphs_go_without_recursion(ring):
    y = x = leaf(0.3)
    for _ in range(200_000):
        y = y + x
    last = weakref.ref(y.inputs[0])
    del y
    assert last() is None
