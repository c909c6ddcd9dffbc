"""The eager door: values, .backward(), .grad, immutability, and what it says when it cannot."""

from __future__ import annotations

import copy
import math
import pickle
import threading
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import (
    AxisError,
    ChainruleError,
    DTypeError,
    GradientError,
    ImmutableError,
    OperandError,
    ShapeError,
)


def parameter(value, **options):
    return cr.tensor(value, requires_grad=True, **options)


def test_backward_of_the_article():
    a, b, c = parameter(-1.0), parameter(3.0), parameter(4.0)
    f = (a + b) * (b + c)
    f.backward()
    assert (f.item(), a.grad.item(), b.grad.item(), c.grad.item()) == (14, 7, 9, 2)


def test_backward_accumulates_and_needs_no_retain_graph():
    x = parameter(3.0)
    y = x * x
    y.backward()
    y.backward()
    (2 * x).backward()
    assert x.grad.item() == 14
    x.grad = None
    y.backward()
    assert x.grad.item() == 6


def test_backward_with_a_seed():
    x = parameter([1.0, 2.0])
    (x * x).backward(np.array([1.0, 10.0]))
    assert x.grad.tolist() == [2, 40]
    (x * x).backward([1, 10])
    assert x.grad.tolist() == [4, 80]


def test_create_graph_differentiates_again():
    x = parameter(2.0)
    (x * x * x).backward(create_graph=True)
    assert x.grad.item() == 12 and x.grad.requires_grad
    plain = parameter(2.0)
    (plain**3).backward()
    assert not plain.grad.requires_grad


def test_detach_no_grad_and_enable_grad():
    x = parameter(2.0)
    y = x.detach() * x
    y.backward()
    assert x.grad.item() == 2
    with cr.no_grad():
        assert not (x * 2).requires_grad
        with cr.enable_grad():
            assert (x * 2).requires_grad

    @cr.no_grad()
    def f(x):
        return x * 2

    assert not f(x).requires_grad


def test_the_gradient_of_a_computed_tensor_is_kept_on_request():
    x = parameter(3.0)
    y = x * x
    z = y * 2
    with pytest.warns(UserWarning, match=r"retain_grad\(\)"):
        assert y.grad is None
    y.retain_grad()
    z.backward()
    assert (y.grad.item(), x.grad.item()) == (2, 12)


def test_a_leaf_without_requires_grad_gets_none():
    x, y = parameter(1.0), cr.tensor(2.0)
    (x * y).backward()
    assert y.grad is None and x.grad.item() == 2


def test_sgd_by_hand():
    w = parameter(5.0)
    for _ in range(100):
        ((w - 2.0) * (w - 2.0)).backward()
        with cr.no_grad():
            w = (w - 0.1 * w.grad).requires_grad_()
    assert w.item() == pytest.approx(2.0, abs=1e-8)


def test_in_place_updates_of_a_parameter_are_refused():
    """They would only bind the name anew, and train nothing."""
    w = parameter(5.0)
    for change in ("w += 1.0", "w -= 1.0", "w *= 2.0", "w /= 2.0"):
        with pytest.raises(ImmutableError, match="never change") as caught, cr.no_grad():
            exec(change, {"w": w})
        assert "requires_grad_()" in caught.value.fix
    y = w * 2
    y += 1.0
    assert y.item() == 11
    plain = cr.tensor(1.0)
    plain += 1.0
    assert plain.item() == 2


def test_what_torch_calls_otherwise():
    b = cr.tensor(1.0)
    b.requires_grad = True
    assert b.requires_grad
    for call, text in [
        (lambda: b.sin, r"cr\.sin\(x\)"),
        (lambda: b.numel, r"x\.size"),
        (lambda: cr.optim.SGD, "gradient_descent"),
        (lambda: cr.nn.CrossEntropyLoss, "softmax_cross_entropy"),
    ]:
        with pytest.raises(AttributeError, match=text):
            call()


def test_dtypes_follow_the_standard():
    assert cr.tensor(1.0).dtype == cr.float64
    assert cr.tensor([1, 2]).dtype == cr.int64
    assert cr.tensor(True).dtype == cr.bool
    x32 = cr.tensor([1.0], cr.float32)
    assert (x32 * 2.5).dtype == (2.5 * x32).dtype == (x32 * 2).dtype == cr.float32
    assert (x32 * cr.tensor([1.0])).dtype == cr.float64
    assert (cr.tensor([1], cr.int32) + cr.tensor([1])).dtype == cr.int64
    assert (cr.tensor([3]) * 2).dtype == cr.int64
    g = parameter([1.0], dtype=cr.float32)
    (g * cr.tensor([2.0])).sum().backward()
    assert g.grad.dtype == cr.float32


def test_values_cannot_be_changed():
    source = np.ones(3)
    x = cr.tensor(source)
    source[0] = 99
    assert x.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        x.numpy()[0] = 5
    with pytest.raises(ImmutableError, match="never change") as caught:
        x[0] = 5.0
    assert "x.at[i].set(v)" in caught.value.fix
    batch = np.ones(2)
    w = parameter(3.0)
    y = (w * batch).sum()
    batch[:] = 100
    y.backward()
    assert w.grad.item() == 2


def test_at_builds_changed_copies():
    x = parameter([1.0, 2.0, 3.0])
    y = x.at[1].set(10.0)
    assert (x.tolist(), y.tolist()) == ([1, 2, 3], [1, 10, 3])
    assert x.at[cr.tensor([0, 0])].add(1.0).tolist() == [3, 2, 3]
    assert x.at[:2].multiply(2.0).tolist() == [2, 4, 3]
    y.sum().backward()
    assert x.grad.tolist() == [1, 0, 1]


def test_python_protocols():
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [r.tolist() for r in x] == [[1, 2], [3, 4]]
    assert float(x[0, 1]) == 2 and int(x[1, 1]) == 4 and bool(x[0, 0] > 0)
    assert [10, 20, 30][cr.tensor(1)] == 20
    assert 3.0 in x and 9.0 not in x
    assert f"{x[0, 1]:.2f}" == "2.00"
    assert (x.T.tolist(), x.mT.shape, x.reshape(-1).shape, x.reshape((4, 1)).shape) == (
        [[1, 3], [2, 4]],
        (2, 2),
        (4,),
        (4, 1),
    )
    assert {x: 1}[x] == 1


def test_copies_and_pickles_keep_values_and_flags():
    x = parameter([1.0, 2.0], name="w")
    for y in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert y.tolist() == [1, 2] and y.requires_grad and y.name == "w"
        assert y is not x
    deep = x
    for _ in range(5000):
        deep = deep * 1.0
    assert copy.deepcopy(deep).inputs == ()


def test_dlpack_and_the_array_namespace():
    x = cr.tensor([1.0, 2.0])
    assert np.from_dlpack(x).tolist() == [1, 2]
    assert x.__array_namespace__() is cr
    assert x.device == "cpu"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: cr.tensor(3.0), "tensor(3.0)"),
        (lambda: cr.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: cr.tensor([1.5], cr.float32, True), "tensor([1.5], dtype=float32, requires_grad=True)"),
        (lambda: cr.tensor(np.zeros((0, 2))), "tensor([], shape=(0, 2))"),
        (lambda: cr.tensor([True]), "tensor([ True])"),
    ],
)
def test_repr(value, text):
    assert repr(value()) == text


def test_infinities_and_nans_come_without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cr.log(cr.tensor(0.0)).item() == -math.inf
        assert math.isnan((cr.tensor(0.0) / 0.0).item())
        assert cr.exp(cr.tensor(1e4)).item() == math.inf
        x = parameter(0.0)
        cr.log(x).backward()
        assert x.grad.item() == math.inf


def test_users_keep_numpys_own_error_state():
    with np.errstate(divide="raise"):
        assert cr.log(cr.tensor(0.0)).item() == -math.inf
        with pytest.raises(FloatingPointError):
            np.log(np.array(0.0))


def test_constants_that_are_handed_out_are_not_shared():
    """Marking one must not change what 3.0 means elsewhere."""
    for make in (cr.positive, lambda v: cr.astype(v, cr.float64), lambda v: cr.reshape(v, ())):
        make(3.0).requires_grad_()
        assert not (cr.tensor(1.0) * 3.0).requires_grad
    x = parameter(1.0)
    (x + 1.0).backward(create_graph=True)
    x.grad.name = "mine"
    assert cr.tensor(1.0).name is None and (cr.tensor(2.0) + 1.0).name is None


def test_no_grad_can_be_entered_twice_and_decorates_generators():
    off = cr.no_grad()
    with off:
        with off:
            assert not (parameter(1.0) * 2).requires_grad
        assert not (parameter(1.0) * 2).requires_grad
    assert (parameter(1.0) * 2).requires_grad

    @cr.no_grad()
    def steps():
        for _ in range(2):
            yield (parameter(1.0) * 2).requires_grad

    for inside in steps():
        assert inside is False
        assert (parameter(1.0) * 2).requires_grad


def test_what_cuts_the_path_keeps_nothing_alive():
    x = parameter([1.0, 2.0])
    for cut in (cr.stop_gradient(x * 2), cr.argmax(x * 2), x * 2 > 0, (x * 2).astype(cr.int64)):
        assert not cut.requires_grad and not cut.tracked and cut.inputs == ()


def test_a_tensor_of_tensors_would_lose_their_gradients():
    x = parameter(1.0)
    for make in (cr.tensor, cr.asarray):
        with pytest.raises(GradientError) as caught:
            make([x, 2.0])
        assert "cr.stack" in caught.value.fix
    assert cr.tensor([x.detach(), 2.0]).tolist() == [1, 2]


def test_threads_that_share_a_leaf_lose_no_gradient():
    w = parameter(1.0)

    def work():
        for _ in range(50):
            (w * 2.0).backward()

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert w.grad.item() == 1000


def test_arrays_that_leave_cannot_be_made_writable():
    x = cr.tensor([1.0, 2.0])
    with pytest.raises(ValueError, match="WRITEABLE"):
        x.numpy().flags.writeable = True


def test_threads_record_independently():
    seen = {}

    def work():
        x = parameter(2.0)
        (x * x).backward()
        seen["grad"] = x.grad.item()

    with cr.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen["grad"] == 4


def test_nodes_know_the_users_line():
    x = parameter(2.0)
    y = x * 3.0  # this line
    assert y.source.file == __file__
    assert y.source.text == "y = x * 3.0  # this line"


def test_memory_of_unrecorded_steps_is_freed():
    import gc
    import weakref

    x = cr.tensor(np.ones(10))
    y = x * 2.0
    first = weakref.ref(y)
    for _ in range(10):
        y = y * 2.0
    gc.collect()
    assert first() is None


def small():
    return parameter([1.0, 2.0])


BAD = [
    (lambda: small().backward(), GradientError, r"shape \(2,\)", "gradient="),
    (
        lambda: small().sum().backward(np.ones(2)),
        ShapeError,
        r"float64\[2\], expected float64\[\]",
        "shape ()",
    ),
    (lambda: cr.tensor(1.0).backward(), GradientError, "does not depend on any tensor", "requires_grad=True"),
    (lambda: cr.tensor(1, requires_grad=True), DTypeError, "int64", "3.0"),
    (lambda: (small() > 0).sum().backward(), GradientError, "int64, which has no derivative", "float"),
    (lambda: cr.tensor([[1.0], [1.0, 2.0]]), OperandError, "cannot make an array", "equal lengths"),
    (lambda: cr.tensor("abc"), OperandError, "expected numbers", "numbers"),
    (lambda: cr.tensor(1 + 2j), DTypeError, "complex128", ""),
    (lambda: cr.tensor([1.0], dtype="float16"), DTypeError, "float16", "cr.float"),
    (lambda: small() + cr.tensor([1.0, 2.0, 3.0]), ShapeError, r"\(2,\) with \(3,\)", "equal"),
    (lambda: small() + cr.tensor([1, 2]), DTypeError, "float64 with int64|int64 with float64", "astype"),
    (lambda: cr.tensor([1, 2]) * 0.5, DTypeError, "int64 with float64", "astype"),
    (lambda: cr.exp(cr.tensor([1, 2])), DTypeError, "exp: expected float32 or float64, got int64", "astype"),
    (lambda: small().sum(axis=1), AxisError, "axis 1 is out of range for 1 dimensions", "-1 .. 0"),
    (lambda: small().reshape(3), ShapeError, r"\(2,\)", "-1"),
    (lambda: bool(small()), ShapeError, "exactly one element", ".any()"),
    (lambda: small().item(), ShapeError, "exactly one element", ".sum()"),
    (lambda: (small() * 2).requires_grad_(), GradientError, "only leaves", "detach"),
    (lambda: np.asarray(small()), GradientError, "would be lost", "x.numpy()"),
    (lambda: len(cr.tensor(1.0)), OperandError, "0-dimensional", "size"),
    (lambda: list(cr.tensor(1.0)), OperandError, "0-dimensional", "item"),
    (lambda: cr.tensor(np.zeros((2, 3, 4))).T, ShapeError, "at most 2 axes", "mT"),
    (lambda: cr.tensor([1.0]).retain_grad(), GradientError, "no gradient flows", "requires_grad=True"),
    (lambda: setattr(small(), "grad", cr.tensor([1.0])), ShapeError, "expected a tensor of shape", "None"),
    (lambda: cr.tensor(2**70), OperandError, "does not fit int64", "floats"),
]


@pytest.mark.parametrize(("call", "kind", "text", "fix"), BAD)
def test_bad_input_says_what_how_and_where(call, kind, text, fix):
    with pytest.raises(kind, match=text) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)
    assert fix in caught.value.fix
    assert caught.value.source.file == __file__


@pytest.mark.parametrize(
    ("name", "instead"),
    [("view", "reshape"), ("unsqueeze", "expand_dims"), ("data", "detach"), ("double", "astype")],
)
def test_habits_from_torch_are_answered(name, instead):
    with pytest.raises(AttributeError, match=instead):
        getattr(cr.tensor(1.0), name)
    assert not hasattr(cr.tensor(1.0), "no_such_thing")
