"""A step writes its loss into the tensor of an earlier one: never into one that anybody could still look at."""

import copy
import gc
import sys
import threading
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import construction
from chainrule.compiler import addresses, large, objects, scalar_graphs
from chainrule.compiler.on_native.target import host
from chainrule.errors import ChainruleError
from chainrule.train.step import EagerStep
from small_networks import ADAM, KEYS, LABELS, SCORES, SQUARES, SUMS, X, mlp

pytestmark = pytest.mark.skipif(
    host() is None or objects.fields_of(cr.Tensor) is None,
    reason="native code does not look into objects here",
)


def line(**options):
    """A step that takes a number towards another, and back again."""
    model = cr.nn.Linear(4, 1, key=KEYS[0])
    return cr.train.compile_step(model, SQUARES, ADAM(0.01), **options)


def numbers(count, step=None):
    """The first losses of a step, each read at once."""
    step = step or line()
    return [step(X, SUMS).item() for _ in range(count)]


def test_the_tensor_of_a_loss_that_nobody_has_is_used_again():
    """So that the other tests here test something. New tensors may be where others were: their numbers are new."""
    step = line()
    step(X, SUMS)
    assert len({step(X, SUMS).index for _ in range(10)}) == 1
    indices = set()
    for _ in range(10):
        loss = step(X, SUMS)  # while the one before is held
        indices.add(loss.index)
    assert len(indices) <= 3


def test_losses_that_are_kept_stay():
    step = line()
    kept = [step(X, SUMS) for _ in range(20)]
    assert len({id(loss) for loss in kept}) == 20
    assert [loss.item() for loss in kept] == numbers(20) and len(set(numbers(20))) == 20
    last = kept[-1]
    del kept
    before = last.item()
    numbers(5, step)
    assert last.item() == before


LOOKS = {
    "its number": lambda loss: (number := loss.value, lambda: float(number)),
    "the bytes of its number": lambda loss: (
        view := memoryview(loss.value),
        lambda: float(np.float32(view[()])),
    ),
    "an array": lambda loss: (array := loss.numpy(), lambda: float(array)),
    "a tensor made of it": lambda loss: (other := cr.tensor(loss), lambda: other.item()),
    "detached": lambda loss: (other := loss.detach(), lambda: other.item()),
    "a copy": lambda loss: (other := copy.copy(loss), lambda: other.item()),
    "computed from it": lambda loss: (other := loss + 0, lambda: other.item()),
    "a method of it": lambda loss: (item := loss.item, lambda: item()),
    "in a cycle": lambda loss: (ring := [loss], ring.append(ring), lambda: ring[0].item()),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_what_was_seen_of_a_loss_stays(look):
    step = line()
    seen = []
    for _ in range(6):
        seen.append(look(step(X, SUMS))[-1])
        gc.collect()
    assert [read() for read in seen] == numbers(6)


def named(loss):
    loss.name = "mine"


CHANGES = {
    "named": named,
    "asked for gradients": lambda loss: loss.requires_grad_(),
    "with a gradient": lambda loss: (loss.requires_grad_() * 3).backward(),
    "given a gradient": lambda loss: setattr(loss, "grad", cr.tensor(1, dtype=loss.dtype)),
    "retaining": lambda loss: loss.requires_grad_().retain_grad(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_done_to_a_loss_is_not_done_to_the_next(change):
    step = line()
    for expected in numbers(6):
        loss = step(X, SUMS)
        assert loss.item() == expected and loss.shape == () and loss.dtype == cr.float32
        assert loss.name is None and not loss.requires_grad and loss.grad is None and loss.is_leaf
        change(loss)
        del loss


def test_weak_references_end():
    step = line()
    gone = [weakref.ref(step(X, SUMS)) for _ in range(6)]
    numbers(4, step)
    assert [found() for found in gone[:3]] == [None] * 3
    table = weakref.WeakKeyDictionary()
    for _ in range(6):
        table[step(X, SUMS)] = 1
    assert len(table) <= 2


def test_gradients_through_losses_of_several_steps():
    step, weight = line(), cr.tensor(2.0, dtype=cr.float32, requires_grad=True)
    total = sum((step(X, SUMS) * weight for _ in range(5)), cr.tensor(0.0, dtype=cr.float32))
    total.backward()
    assert weight.grad.item() == pytest.approx(sum(numbers(5)), rel=1e-6)


def test_numbers_of_nodes_ascend_along_every_computation():
    step = line()
    for _ in range(5):
        loss = step(X, SUMS)
        assert (loss * 2).index > loss.index and construction.index_apart() > loss.index


def test_other_classes_of_tensors():
    class Mine(cr.Tensor):
        __slots__ = ()

    step = line()
    step(X, SUMS)
    construction.set_node_type(Mine)
    try:
        other = line()
        assert {type(other(X, SUMS)) for _ in range(4)} == {Mine}
        assert numbers(4, other) == numbers(8)[4:]
    finally:
        construction.set_node_type(cr.Tensor)
    assert {type(line()(X, SUMS)) for _ in range(4)} == {cr.Tensor}


def test_while_native_code_makes_all_nodes(monkeypatch):
    """It remembers the numbers of nodes: those of losses change."""
    monkeypatch.setattr(large.natively, "most", 10)
    scalar_graphs._native(cr.Tensor).ring.start()
    step = line()
    assert [step(X, SUMS).item() for _ in range(6)] == numbers(6)
    assert len({step(X, SUMS).index for _ in range(10)}) == 1
    x = cr.tensor(1.0, dtype=cr.float32, requires_grad=True)
    for _ in range(3):
        loss = step(X, SUMS)
        x.grad = None
        product = x * loss
        for _ in range(100):
            product = product * 1.0
        product.backward()
        assert x.grad.item() == loss.item()


def test_several_versions_and_batches():
    step, reference = line(), line()
    batches = [
        (X, SUMS),
        (X[:8], SUMS[:8]),
        (X.copy(), SUMS),
        (cr.tensor(X), cr.tensor(SUMS)),
        (X[::-1], SUMS),
    ]
    for _ in range(3):
        for x, y in batches:
            kept = [reference(x, y)]
            assert step(x, y).item() == kept[0].item()


def test_float64():
    model = cr.nn.Linear(4, 1, key=KEYS[0], dtype=cr.float64)
    step = cr.train.compile_step(model, SQUARES, ADAM(0.01))
    x, y = X.astype(np.float64), SUMS.astype(np.float64)
    found = [step(x, y).item() for _ in range(5)]
    other = cr.train.compile_step(model, SQUARES, ADAM(0.01))
    assert found == [loss.item() for loss in [other(x, y) for _ in range(5)]]
    assert step(x, y).dtype == cr.float64


def test_labels_out_of_range_are_said_and_the_step_goes_on():
    step = cr.train.compile_step(mlp(), SCORES, ADAM(0.01))
    wrong = LABELS.copy()
    wrong[3] = 7
    first = step(X, LABELS).item()
    for _ in range(3):
        with pytest.raises(ChainruleError, match="7"):
            step(X, wrong)
    assert step.updates == 1
    assert step(X, LABELS).item() < first and step.updates == 2


def test_updates_are_counted_and_go_back():
    step = line()
    assert step.updates == 0
    numbers(3, step)
    moment = step.moment()
    numbers(4, step)
    assert step.updates == 7 == step.state["updates"].item()
    step.rewind(moment)
    assert step.updates == 3


def test_a_step_that_is_gone_is_gone():
    step = line()
    loss = step(X, SUMS)
    reference = weakref.ref(step)
    number = loss.item()
    gc.disable()
    try:
        del step
        assert reference() is None
    finally:
        gc.enable()
    assert loss.item() == number


def test_nothing_is_kept_or_lost():
    step = line()
    numbers(3, step)
    things = [None, (), cr.float32, np.float32, cr.Tensor, construction.NO_PARAMS]
    before = [sys.getrefcount(thing) for thing in things]
    numbers(1000, step)
    assert all(abs(a - sys.getrefcount(b)) < 100 for a, b in zip(before, things, strict=True))


def test_threads_at_the_same_time():
    """Each loss is that of one of the updates, which are all made."""
    step, seen = line(), []

    def work():
        held = []
        for i in range(200):
            loss = step(X, SUMS)
            if i % 3:
                held.append(loss)
            seen.append(loss.item())
            del held[:-2]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert step.updates == 800 and len(seen) == 800
    assert set(seen) <= set(numbers(800))


def test_where_objects_cannot_be_looked_into(monkeypatch):
    monkeypatch.setattr(addresses, "READABLE", False)
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    found = numbers(5)
    monkeypatch.undo()
    assert found == numbers(5)


def test_a_loss_that_is_a_part_of_an_array():
    model = cr.nn.Linear(4, 1, key=KEYS[0])
    first = lambda scores, y: cr.reshape(cr.square(scores - y), (-1,))[0]
    found, expected = (kind(model, first, ADAM(0.01)) for kind in (cr.train.compile_step, EagerStep))
    for _ in range(5):
        assert found(X, SUMS).item() == pytest.approx(expected(X, SUMS).item(), rel=1e-4)


def test_who_is_told_that_a_loss_is_gone_may_make_a_step():
    step, told, seen = line(), [], []

    def gone(_):
        if len(told) < 5:
            told.append(step(X, SUMS).item())

    references = []
    for _ in range(10):
        loss = step(X, SUMS)
        references.append(weakref.ref(loss, gone))
        seen.append(loss.item())
        del loss
    assert len(told) == 5 and sorted(told + seen) == sorted(numbers(15))


def test_what_is_noted_on_a_tensor_of_another_class_is_not_on_the_next():
    class Noted(cr.Tensor):
        pass

    construction.set_node_type(Noted)
    try:
        step = line()
        for _ in range(5):
            loss = step(X, SUMS)
            assert type(loss) is Noted and not hasattr(loss, "note")
            loss.note = 1
            del loss
    finally:
        construction.set_node_type(cr.Tensor)


def test_a_loss_that_is_a_parameter_is_that_before_the_update():
    class Number(cr.nn.Module):
        def __init__(self):
            self.w = cr.tensor(np.float32(1.0), requires_grad=True)

        def __call__(self, x):
            return self.w

    for optimizer in (ADAM(0.01), cr.optim.gradient_descent(0.01)):
        made = [kind(Number(), lambda w, y: w, optimizer) for kind in (cr.train.compile_step, EagerStep)]
        found, expected = ([step(X, SUMS).item() for _ in range(4)] for step in made)
        assert found == pytest.approx(expected, rel=1e-5) and found[0] == 1
