"""`cr.compile` and `cr.train.compile_step`: calls, versions, errors."""

import os
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, AxisError, ShapeError, StructureError, TracedValueError

X = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def test_nested_arguments_and_results():
    f = cr.compile(lambda batch, scale: {"y": [batch["x"] * scale, batch["x"].sum()], "n": (batch["x"] + 1,)})
    found = f({"x": X}, scale=np.float32(2))
    assert found["y"][0].tolist() == (X * 2).tolist()
    assert found["y"][1].item() == 15
    assert found["n"][0].dtype == np.float32
    assert isinstance(found["y"][0], cr.Tensor)


def test_one_version_for_each_shape_dtype_and_python_value():
    f = cr.compile(lambda x, n, flag=None: x * n if flag else x + n)
    for _ in range(2):
        assert f(X, 2).tolist() == (X + 2).tolist()
        assert f(X.astype(np.float64), 2).dtype == np.float64
        assert f(X[:1], 2).shape == (1, 3)
        assert f(X, 3).tolist() == (X + 3).tolist()
        assert f(X, 2, flag="yes").tolist() == (X * 2).tolist()
    assert f.versions == 5


def test_many_versions_are_mentioned_once():
    f = cr.compile(lambda x: x * 2)
    for n in range(1, 8):
        f(np.ones(n))
    with pytest.warns(UserWarning, match="8 times"):
        f(np.ones(8))
    for n in range(9, 12):
        f(np.ones(n))
    assert f.versions == 11


def test_views_tensors_and_python_lists_of_arrays():
    f = cr.compile(lambda xs: xs[0] + xs[1])
    assert f([X.T, cr.tensor(X).T]).tolist() == (2 * X.T).tolist()
    assert f([X[:, ::2], X[:, ::2]]).tolist() == (2 * X[:, ::2]).tolist()
    assert f([np.float32(1), np.float32(2)]).item() == 3


def test_a_module_is_an_argument_and_its_static_parts_count():
    class Scaled(cr.nn.Module):
        def __init__(self, power):
            self.w = cr.tensor(np.ones(3, np.float32), requires_grad=True)
            self.power = power

        def __call__(self, x):
            return (x * self.w) ** self.power

    f = cr.compile(lambda model, x: model(x))
    assert f(Scaled(2), X).tolist() == (X**2).tolist()
    assert f(Scaled(3), X).tolist() == (X**3).tolist()
    assert f(Scaled(2), X + 1).tolist() == ((X + 1) ** 2).tolist()
    assert f.versions == 2


def test_gradients_inside_and_through():
    def f(x):
        return (cr.sin(x) * x).sum()

    slope = cr.compile(cr.grad(f))(X).numpy()
    np.testing.assert_allclose(slope, cr.grad(f)(X).numpy(), rtol=1e-5)
    np.testing.assert_allclose(cr.grad(cr.compile(f))(X).numpy(), slope, rtol=1e-5)
    np.testing.assert_allclose(
        cr.compile(cr.hessian(f))(X[0]).numpy(), cr.hessian(f)(X[0]).numpy(), rtol=1e-4
    )


def test_as_a_decorator():
    @cr.compile(threads=1)
    def double(x):
        """Twice x."""
        return x * 2

    assert double.__name__ == "double" and double.__doc__ == "Twice x."
    assert double(X).tolist() == (X * 2).tolist()
    assert "kernel" in str(double.explain())
    assert "1 versions" in repr(double)


def test_results_are_new_each_time():
    f = cr.compile(lambda x: (x * 2, x))
    first, second = f(X), f(X + 1)
    assert first[0].tolist() == (X * 2).tolist()
    assert second[0].tolist() == (X * 2 + 2).tolist()
    given = X.copy()
    same = f(given)[1]
    given += 1
    assert same.tolist() == X.tolist()


def test_bad_calls_say_what_is_wrong():
    with pytest.raises(ArgumentError, match="expected a function, got int"):
        cr.compile(3)
    with pytest.raises(ArgumentError, match="threads"):
        cr.compile(lambda x: x, threads=0)
    with pytest.raises(TracedValueError, match=r"cr\.where"):
        cr.compile(lambda x: x if x.sum() > 0 else -x)(X)
    with pytest.raises(ShapeError, match="matmul"):
        cr.compile(lambda x: x @ x)(X)
    with pytest.raises(StructureError, match="neither an array nor hashable"):
        cr.compile(lambda x, s: x)(X, {1, 2})
    with pytest.raises(ArgumentError, match="call the function first"):
        cr.compile(lambda x: x).explain()


def test_two_threads_call_one_function():
    f = cr.compile(lambda x: cr.softmax(x @ x.T, axis=1).sum(axis=0))
    arrays = [np.random.default_rng(i).normal(size=(64, 32)).astype(np.float32) for i in range(4)]
    expected = [f(a).numpy().tobytes() for a in arrays]
    wrong = []

    def work(i):
        for _ in range(50):
            if f(arrays[i]).numpy().tobytes() != expected[i]:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_machine_without_native_code_runs_through_numpy_with_one_warning():
    code = (
        "import numpy as np, warnings, chainrule as cr\n"
        "with warnings.catch_warnings(record=True) as seen:\n"
        "    warnings.simplefilter('always')\n"
        "    f = cr.compile(lambda x: cr.exp(x).sum()); g = cr.compile(lambda x: x * 2)\n"
        "    f(np.zeros(3)), g(np.ones(2))\n"
        "print(len(seen), f(np.zeros(3)).item(), f.explain().target)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CHAINRULE_ISA": "none"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1", "3.0", "numpy"]


class Network(cr.nn.Module):
    def __init__(self, *sizes):
        rng = np.random.default_rng(0)
        self.weights = [
            cr.tensor(rng.normal(size=s).astype(np.float32) / 4, requires_grad=True) for s in pairwise(sizes)
        ]
        self.biases = [cr.tensor(np.zeros(n, np.float32), requires_grad=True) for n in sizes[1:]]

    def __call__(self, x):
        for w, b in zip(self.weights, self.biases, strict=True):
            x = cr.tanh(x @ w + b)
        return x


def batch(n=20):
    rng = np.random.default_rng(1)
    return rng.normal(size=(n, 8)).astype(np.float32), rng.integers(0, 4, n)


OPTIMIZERS = [
    cr.optim.gradient_descent(0.1),
    cr.optim.momentum(0.1),
    cr.optim.nesterov(cr.optim.step_decay(0.1, 2, 0.5), weight_decay=0.1, decays="weights.*"),
    cr.optim.adagrad(0.1),
    cr.optim.rmsprop(0.01),
    cr.optim.adam(0.01),
    cr.optim.adam(lambda u: 0.01 / (1 + u), weight_decay=0.1),
    cr.optim.adamw(cr.optim.warm_up(cr.optim.cosine(0.01, 4), 2), weight_decay=1.0),
    cr.optim.clip_by_norm(cr.optim.adamw(cr.optim.one_cycle(0.01, 5)), 0.1),
    cr.optim.clip_by_value(cr.optim.momentum(0.1), 0.01),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda o: o.name)
def test_a_compiled_step_is_the_eager_step(optimizer):
    model, (x, y) = Network(8, 16, 4), batch()
    step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, optimizer)
    params, state = model, optimizer.init(model)
    for _ in range(5):
        loss, gradients = cr.value_and_grad(lambda m: cr.nn.softmax_cross_entropy(m(x), y))(params)
        params, state = optimizer.update(gradients, state, params)
        assert step(x, y).item() == pytest.approx(loss.item(), rel=1e-5)
    assert step.updates == 5 and step.state["updates"].item() == 5
    for a, b in zip(step.model.weights + step.model.biases, params.weights + params.biases, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-3, atol=2e-5)
        assert a.requires_grad
    assert model.weights[0].tolist() == Network(8, 16, 4).weights[0].tolist()


@pytest.mark.parametrize(
    "optimizer",
    [
        cr.optim.adam(0.01),
        cr.optim.adamw(cr.optim.warm_up(cr.optim.cosine(0.01, 90), 10), decays="weights.*"),
        cr.optim.clip_by_value(cr.optim.nesterov(cr.optim.one_cycle(0.1, 90), weight_decay=0.1), 0.1),
    ],
    ids=lambda o: o.name,
)
def test_the_update_is_made_where_the_gradient_is(optimizer):
    """Each weight's gradient is a product, and neither schedules nor decay part it from the update."""
    step = cr.train.compile_step(Network(8, 16, 4), cr.nn.softmax_cross_entropy, optimizer)
    step(*batch())
    updates = [line for line in step.explain().lines if len(line.results) == 1 + len(optimizer.kept)]
    products = {line.results[0] for line in updates if line.nodes[0] == "matmul" and "subtract" in line.nodes}
    assert products == {"float32[8, 16]", "float32[16, 4]"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_step_whose_norm_is_not_finite_shows_it(bad):
    optimizer = cr.optim.clip_by_norm(cr.optim.gradient_descent(0.1), 1.0)
    step = cr.train.compile_step(Network(8, 16, 4), lambda out, y: (out * y).sum(), optimizer)
    x, y = batch()[0], np.ones((20, 4), np.float32)
    step(x, y)
    assert all(np.isfinite(w.numpy()).all() for w in step.model.weights)
    y[3, 1] = bad
    step(x, y)
    assert all(np.isnan(p.numpy()).all() for p in step.model.weights + step.model.biases)


def test_clipping_by_norm_gives_the_same_bits_for_any_number_of_threads():
    optimizer = cr.optim.clip_by_norm(cr.optim.adam(cr.optim.one_cycle(0.1, 10)), 0.01)
    steps = [
        cr.train.compile_step(Network(8, 512, 4), cr.nn.softmax_cross_entropy, optimizer, threads=n)
        for n in (1, 2, 3)
    ]
    for _ in range(3):
        assert len({step(*batch(64)).item() for step in steps}) == 1
    assert len({step.model.weights[0].numpy().tobytes() for step in steps}) == 1


def test_batches_of_other_sizes_share_the_parameters():
    model = Network(8, 16, 4)
    step = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(0.01))
    other = cr.train.compile_step(model, cr.nn.softmax_cross_entropy, cr.optim.adam(0.01), threads=1)
    for n in (20, 7, 20, 7):
        assert step(*batch(n)).item() == other(*batch(n)).item()
    for a, b in zip(step.model.weights, other.model.weights, strict=True):
        assert a.tolist() == b.tolist()


def test_a_bad_label_leaves_the_parameters_alone():
    step = cr.train.compile_step(Network(8, 16, 4), cr.nn.softmax_cross_entropy, cr.optim.adam(0.01))
    x, y = batch()
    step(x, y)
    before = [w.tolist() for w in step.model.weights]
    y = y.copy()
    y[3] = 4
    with pytest.raises(AxisError):
        step(x, y)
    assert [w.tolist() for w in step.model.weights] == before
    assert step.updates == 1


@pytest.mark.parametrize(
    ("params", "place"),
    [
        (
            {"w": 1.0, "layers": [{"b": 1.0}]},
            "params.layers: expected list of length 2, got list of length 1",
        ),
        (
            {"w": 1.0, "layers": [{"b": 1.0}, {"c": 1.0}]},
            "params.layers.1: expected dict with keys ['b'], got dict with keys ['c']",
        ),
        (
            {"w": 1.0, "layers": [{"b": 1.0}, 1.0]},
            "params.layers.1: expected dict with keys ['b'], got a leaf",
        ),
        ({"w": [1.0], "layers": [{"b": 1.0}, {"b": 1.0}]}, "params.w: expected a leaf, got list of length 1"),
        (1.0, "params: expected dict with keys ['w', 'layers'], got a leaf"),
    ],
)
def test_arguments_nested_in_another_way(params, place):
    f = cr.compile(lambda params, x: x * params["w"] + params["layers"][0]["b"])
    x = np.ones(3)
    first = {"w": 1.0, "layers": [{"b": 1.0}, {"b": 2.0}]}
    expected = f(first, x).tolist()
    with pytest.raises(cr.errors.StructureError) as caught:
        f(params, x)
    assert place in caught.value.message and "cr.compile" in caught.value.fix
    assert caught.value.source.file == __file__
    assert f(first, x).tolist() == expected and f.versions == 1


def test_what_may_change_from_call_to_call():
    """Arguments that are left out, keys in another order, shapes, Python numbers, models."""
    f = cr.compile(
        lambda x, mask=None, scale=1.0: (x["a"] - x["b"]) * scale * (1.0 if mask is None else mask)
    )
    a, b = np.ones(3), np.full(3, 2.0)
    assert f({"a": a, "b": b}).tolist() == [-1, -1, -1]
    assert f({"b": b, "a": a}, scale=2.0).tolist() == [-2, -2, -2]
    assert f({"a": a[:2], "b": b[:2]}, np.zeros(2)).tolist() == [0, 0]
    forward = cr.compile(lambda model, x: model(x))
    x = np.ones((1, 2), np.float32)
    for model in (cr.nn.Linear(2, 3, key=cr.random.key(0)), Network(2, 4, 3)):
        np.testing.assert_allclose(forward(model, x).numpy(), model(x).numpy(), rtol=1e-6)


def test_a_batch_nested_in_another_way():
    step = cr.train.compile_step(Network(8, 16, 4), cr.nn.softmax_cross_entropy, cr.optim.adam(0.01))
    x, y = batch()
    step(x, y)
    with pytest.raises(cr.errors.StructureError, match="structure differs at x: expected a leaf, got tuple"):
        step((x, x), y)
    assert step.updates == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_denormals_are_zero_in_a_step_unless_they_are_wanted(threads):
    """Adam's moments of a unit without a gradient shrink forever; elsewhere numbers are as in NumPy."""
    x, y, tiny = np.zeros((4096, 256), np.float32), np.zeros(4096, np.int64), np.float32(1e-40)

    def moments(denormals):
        model = cr.nn.Linear(256, 2, key=cr.random.key(0))
        step = cr.train.compile_step(
            model, cr.nn.softmax_cross_entropy, cr.optim.adam(0.01), threads=threads, denormals=denormals
        )
        step(x, y)
        for moment in step._owned:
            if moment.shape == (256, 2):
                moment[...] = np.where(np.arange(256)[:, None] % 2, 1e-38, 1)
        step(x, y)
        assert tiny * np.float32(1) == tiny  # Python computes as before
        return [m for m in step._owned if m.shape == (256, 2)][1]

    kept, flushed = moments(True), moments(False)
    assert (kept[1::2] > 0).all() and (flushed[1::2] == 0).all()
    assert (kept[::2] == flushed[::2]).all()


def test_compiled_functions_compute_with_denormals():
    tiny = np.full(100_000, 1e-40, np.float32)
    assert (cr.compile(lambda x: x * 0.5, threads=2)(tiny).numpy() == tiny * np.float32(0.5)).all()


def test_batches_of_any_kind():
    """Arrays, tensors, other orders and dtypes: the same numbers are the same step."""
    x, y = batch()
    kinds = [
        (x, y),
        (x.copy(), y.copy()),
        (cr.tensor(x), cr.tensor(y)),
        (x.astype(">f4"), y),
        (x.astype(">f4"), y.astype(">i8")),
        (np.asfortranarray(x), y),
        (np.repeat(x, 2, axis=0)[::2], np.repeat(y, 2)[::2]),
        (x, y),
    ]
    steps = [
        cr.train.compile_step(Network(8, 16, 4), cr.nn.softmax_cross_entropy, cr.optim.adam(0.01))
        for _ in range(2)
    ]
    for a, b in kinds:
        assert steps[0](a, b).item() == steps[1](x, y).item()
    for a, b in reversed(kinds):
        assert steps[0](a, b).item() == steps[1](x, y).item()


def test_a_batch_that_was_changed_in_place_is_read_again():
    step = cr.train.compile_step(
        Network(8, 16, 4), cr.nn.softmax_cross_entropy, cr.optim.gradient_descent(1e-12)
    )
    x, y = batch()
    first = step(x, y).item()
    x *= 2
    assert abs(step(x, y).item() - first) > 1e-3
    x /= 2
    assert step(x, y).item() == pytest.approx(first)


def test_the_same_program_is_the_same_code():
    code = (
        "import numpy as np, chainrule as cr\n"
        "m = cr.models.mlp([20, 16, 16, 4], cr.relu, key=cr.random.key(0))\n"
        "step = cr.train.compile_step(m, cr.nn.softmax_cross_entropy, cr.optim.adam(0.1))\n"
        "step(np.ones((8, 20), np.float32), np.arange(8) % 4); print(step.explain().from_cache)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(3)
    ]
    assert runs == ["False", "True", "True"]


def test_a_function_without_arguments_is_called_again():
    f = cr.compile(lambda: cr.exp(cr.arange(3.0)))
    for _ in range(3):
        np.testing.assert_allclose(f().numpy(), np.exp(np.arange(3.0)))
