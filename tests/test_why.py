"""Why a gradient is what it is: the cause, its line, and the proof that it is the cause."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors, trees
from chainrule.cli import main


def leaf(values, name, dtype=None):
    return cr.tensor(np.asarray(values, dtype or np.float64), requires_grad=True, name=name)


def normal(*shape, seed=0, scale=1.0, name="w"):
    return leaf(np.random.default_rng(seed).normal(0.0, scale, shape), name)


def softmax_by_hand():
    z = leaf([[1.0, 900.0], [2.0, 3.0]], "z", np.float32)
    e = cr.exp(z)
    p = e / cr.sum(e, axis=1, keepdims=True)
    return -cr.mean(cr.log(p[:, 0])), z, "e = cr.exp(z)"


def log_of_a_softmax():
    z = leaf([[1.0, 900.0], [2.0, 3.0]], "z", np.float32)
    p = cr.softmax(z, axis=1)
    logs = cr.log(p[:, 0])
    return -cr.mean(logs), z, "logs = cr.log(p[:, 0])"


def norm_of_zeros():
    x = leaf([0.0, 0.0], "x")
    length = cr.sqrt(cr.sum(x * x))
    return length * 2.0, x, "length = cr.sqrt(cr.sum(x * x))"


def normalized_zeros():
    x = leaf([0.0, 0.0], "x")
    length = cr.sqrt(cr.sum(x * x))
    unit = x / length
    return cr.sum(unit), x, "unit = x / length"


def two_roots():
    x = leaf([0.0, 4.0], "x")
    inner = cr.sqrt(x)
    outer = cr.sqrt(inner)
    return cr.sum(outer), x, "inner = cr.sqrt(x)"


def root_of_a_difference():
    x = leaf([1.0, 2.0], "x")
    variance = cr.mean(x) ** 2 - cr.mean(x * x)
    spread = cr.sqrt(variance)
    return spread * 1.0, x, "spread = cr.sqrt(variance)"


def division_by_zero():
    x, y = leaf([1.0, 2.0], "x"), leaf([0.0, 1.0], "y")
    ratio = x / y
    return cr.sum(ratio), x, "ratio = x / y"


def negative_power():
    x = leaf([0.0, 2.0], "x")
    raised = x**-0.5
    return cr.sum(raised), x, "raised = x**-0.5"


def overflow_in_float32():
    x = leaf([1e30, 1.0], "x", np.float32)
    large = x * x
    return cr.sum(large), x, "large = x * x"


def nan_in_the_data():
    data = cr.tensor([[1.0, np.nan], [2.0, 3.0]], name="data")
    w = normal(2, 1)
    return cr.sum((data @ w) ** 2), w, ""


def everything_masked():
    scores = normal(2, 3, name="scores")
    mask = cr.tensor([[0.0, 0.0, -np.inf], [-np.inf] * 3])
    weights = cr.softmax(scores + mask, axis=1)
    return cr.sum(weights**2), scores, "weights = cr.softmax(scores + mask, axis=1)"


def dead_relu():
    w, bias = normal(4, 3), leaf([-100.0] * 3, "bias")
    x = np.random.default_rng(1).normal(size=(16, 4))
    hidden = cr.relu(x @ w + bias)
    return cr.sum(hidden * 2.0), w, "hidden = cr.relu(x @ w + bias)"


def clipped_error():
    w = normal(4, 1, scale=30.0)
    x = np.random.default_rng(1).uniform(1.0, 2.0, size=(8, 4))
    error = x @ w - 500.0
    bounded = cr.clip(error, -1.0, 1.0)
    return cr.mean(bounded**2), w, "bounded = cr.clip(error, -1.0, 1.0)"


def saturated_tanh():
    w = normal(4, 3, scale=1e4)
    hidden = cr.tanh(np.ones((5, 4)) @ w)
    return cr.sum(hidden**2), w, "hidden = cr.tanh(np.ones((5, 4)) @ w)"


def zero_initialisation():
    first, second = normal(4, 3, name="first"), leaf(np.zeros((3, 2)), "second")
    hidden = cr.tanh(np.ones((5, 4)) @ first)
    scores = hidden @ second
    return cr.sum(scores * 3.0), first, "scores = hidden @ second"


def rounded():
    x = leaf([0.4, 1.2], "x")
    whole = cr.round(x)
    return cr.sum(whole * x.detach()), x, "whole = cr.round(x)"


def other_branch():
    x = leaf([1.0, 2.0], "x")
    chosen = cr.where(x > 5.0, x * 3.0, 7.0)
    return cr.sum(chosen), x, "chosen = cr.where(x > 5.0, x * 3.0, 7.0)"


def never_the_largest():
    x = leaf([1.0, 5.0, 2.0], "x")
    top = cr.max(x)
    return top * 2.0, ("x", 0), "top = cr.max(x)"


def sum_of_a_softmax():
    z = normal(3, 4, name="z")
    total = cr.sum(cr.softmax(z, axis=1))
    return total, z, "total = cr.sum(cr.softmax(z, axis=1))"


def deep_sigmoids():
    layers = [normal(16, 16, seed=i, scale=0.25, name=f"w{i}") for i in range(14)]
    h = cr.tensor(np.random.default_rng(99).normal(size=(8, 16)))
    for w in layers:
        h = cr.sigmoid(h @ w)
    return cr.mean((h - 1.0) ** 2), layers[0], "h = cr.sigmoid(h @ w)"


def growing_layers():
    layers = [normal(16, 16, seed=i, scale=3.0, name=f"w{i}") for i in range(14)]
    h = cr.tensor(np.random.default_rng(99).normal(size=(8, 16)))
    for w in layers:
        h = cr.relu(h @ w)
    return cr.mean(h) * 1e-3, layers[0], "h = cr.relu(h @ w)"


def scaled_down():
    x, y = normal(3, name="x"), normal(3, name="y")
    small = cr.sum(x) * 1e-9
    return small + cr.sum(y * y), x, "small = cr.sum(x) * 1e-9"


def logarithm_of_a_difference():
    x = leaf([1.0, 2.0], "x")
    logs = cr.log(x - 1.5)
    return cr.sum(logs), x, "logs = cr.log(x - 1.5)"


def zero_over_zero():
    x, count = leaf([0.0, 1.0], "x"), leaf([0.0, 2.0], "count")
    average = x / count
    return cr.sum(average), x, "average = x / count"


def arcsine_at_its_end():
    x = leaf([1.0, 0.2], "x")
    angle = cr.asin(x)
    return cr.sum(angle), x, "angle = cr.asin(x)"


def arcosine_outside():
    x = leaf([1.5, 0.2], "x")
    angle = cr.acos(x)
    return cr.sum(angle), x, "angle = cr.acos(x)"


def acosh_at_its_end():
    x = leaf([1.0, 2.0], "x")
    y = cr.acosh(x)
    return cr.sum(y), x, "y = cr.acosh(x)"


def exponential_alone():
    x = leaf([800.0, 1.0], "x")
    rate = cr.exp(x)
    return cr.sum(rate), x, "rate = cr.exp(x)"


def masked_by_zeros():
    x, mask = normal(4, name="x"), cr.tensor([0.0] * 4, name="mask")
    kept = x * mask
    return cr.sum(kept), x, "kept = x * mask"


def met_exactly():
    x = leaf([1.0, 2.0], "x")
    loss = cr.mean(cr.square(x - np.array([1.0, 2.0])))
    return loss * 1.0, x, "loss = cr.mean(cr.square(x - np.array([1.0, 2.0])))"


def one_saturated_unit():
    x, y = leaf([18.0], "x"), leaf([0.3], "y")
    p = cr.sigmoid(x)
    return cr.sum(p + cr.sigmoid(y)), x, "p = cr.sigmoid(x)"


def tiny_weights():
    x, w = normal(2, 4, name="x"), leaf(np.full((4, 3), 1e-8), "w")
    y = normal(3, name="y")
    h = x @ w
    return cr.sum(h) + cr.sum(y * y), x, "h = x @ w"


def exploding_recurrence():
    w, x = leaf(np.eye(4) * 3.0, "w"), normal(20, 4, name="x")

    def step(h, now):
        h = cr.matmul(h, w) + now
        return h, h

    last, _ = cr.scan(step, cr.tensor(np.zeros(4)), x)
    return cr.sum(last) * 1.0, ("x", 0), "last, _ = cr.scan(step, cr.tensor(np.zeros(4)), x)"


CASES = [
    (softmax_by_hand, "infinite", "softmax_by_hand"),
    (log_of_a_softmax, "infinite", "log_of_zero"),
    (norm_of_zeros, "nan", "norm_at_zero"),
    (normalized_zeros, "nan", "norm_at_zero"),
    (two_roots, "infinite", "sqrt_at_zero"),
    (root_of_a_difference, "nan", "sqrt_of_negative"),
    (division_by_zero, "infinite", "division_by_zero"),
    (negative_power, "infinite", "power_at_pole"),
    (overflow_in_float32, "infinite", "overflow"),
    (nan_in_the_data, "nan", "given_not_finite"),
    (everything_masked, "nan", "infinities_meet"),
    (dead_relu, "zero", "dead_relu"),
    (clipped_error, "zero", "clipped"),
    (saturated_tanh, "zero", "saturated"),
    (zero_initialisation, "zero", "zero_weights"),
    (rounded, "zero", "step_function"),
    (other_branch, "zero", "untaken_branch"),
    (never_the_largest, "zero", "never_selected"),
    (sum_of_a_softmax, "tiny", "cancelling_paths"),
    (deep_sigmoids, "tiny", "vanishing_by_depth"),
    (growing_layers, "huge", "exploding_by_depth"),
    (scaled_down, "tiny", "scaled"),
    (logarithm_of_a_difference, "nan", "log_of_negative"),
    (zero_over_zero, "nan", "zero_over_zero"),
    (arcsine_at_its_end, "infinite", "derivative_at_pole"),
    (arcosine_outside, "nan", "outside_domain"),
    (acosh_at_its_end, "infinite", "derivative_at_pole"),
    (exponential_alone, "infinite", "overflow_in_exp"),
    (masked_by_zeros, "zero", "times_zero"),
    (met_exactly, "zero", "stationary_point"),
    (one_saturated_unit, "tiny", "saturated"),
    (tiny_weights, "tiny", "small_weights"),
    (exploding_recurrence, "huge", "exploding_recurrence"),
]
UNTESTED = {"never_selected", "cancelling_paths"}
"""Causes for which nothing can be put in their place."""


@pytest.mark.parametrize(("case", "symptom", "cause"), CASES, ids=[c[0].__name__ for c in CASES])
def test_the_cause_its_line_and_the_proof(case, symptom, cause):
    y, wrt, line = case()
    reason = cr.why(y, wrt)
    assert (reason.symptom, reason.cause) == (symptom, cause), reason.text
    assert (reason.source.text if reason.source else "") == line
    assert reason.remedy
    if cause in UNTESTED:
        assert reason.proof is None
    else:
        assert reason.proof.cured, reason.text
    for part in (reason.seen, reason.explanation, reason.remedy, *reason.evidence):
        assert part in reason.text
    assert json.loads(json.dumps(reason.to_dict(), allow_nan=False))["cause"] == cause


def detached(x, w):
    return cr.sum(x.detach() * w)


def within_no_grad(x, w):
    with cr.no_grad():
        h = x * x
    return cr.sum(h * w)


def through_integers(x, w):
    return cr.sum(cr.astype(x * 10.0, cr.int64).astype(cr.float64) * w)


def unused(x, w):
    return cr.sum(w * 2.0)


@pytest.mark.parametrize(
    ("function", "cause", "moves"),
    [
        (detached, "detached", True),
        (within_no_grad, "no_grad", True),
        (through_integers, "integer_path", False),
        (unused, "not_used", None),
    ],
)
def test_a_gradient_that_does_not_exist(function, cause, moves):
    x, w = leaf([0.52, 1.27], "x"), leaf([3.0, 4.0], "w")
    reason = cr.why(lambda: function(x, w), x)
    assert (reason.symptom, reason.cause) == ("absent", cause), reason.text
    assert (reason.proof and reason.proof.cured) is moves


def test_a_tensor_that_requires_no_gradient_is_told_from_one_that_is_not_used():
    x, w = cr.tensor([1.0, 2.0], name="x"), leaf([3.0, 4.0], "w")
    assert cr.why(cr.sum(x * w), x).cause == "not_tracked"
    assert cr.why(cr.sum(w * w), x).cause == "not_used"
    assert cr.why(cr.sum(w * w), cr.tensor([1, 2], name="n")).cause == "integer"


def test_the_proof_says_what_the_gradient_would_be():
    x = leaf([0.0, 4.0], "x")
    reason = cr.why(cr.sum(cr.sqrt(x)), x)
    assert reason.proof.change == "x = 0.001 there"
    assert reason.proof.after == "the gradient is 0.25 to 15.81"  # 0.5 / sqrt(0.001)


def test_a_model_is_asked_for_its_worst_parameter_by_its_path():
    model = cr.models.mlp([4, 8, 3], cr.relu, key=cr.random.key(0))
    model = model.with_parameters(
        {**model.parameters(), "layers.0.bias": cr.tensor(np.full(8, -100.0, np.float32), requires_grad=True)}
    )
    x = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
    loss = cr.nn.softmax_cross_entropy(model(x), np.arange(16) % 3)
    reason = cr.why(loss, model)
    assert (reason.variable, reason.cause) == ("layers.0.weight", "dead_relu")


def test_nothing_of_the_users_changes():
    y, x, _ = two_roots()
    before = [(n.index, np.array(n.value), n.requires_grad) for n in (x, y)]
    cr.why(y, x)
    assert x.grad is None
    for (index, value, tracked), n in zip(before, (x, y), strict=True):
        assert (index, tracked) == (n.index, n.requires_grad)
        np.testing.assert_array_equal(value, n.value)


def networks():
    rng = np.random.default_rng(0)
    rows, images = rng.normal(size=(16, 8)), rng.normal(size=(4, 12, 12, 1))
    for seed in range(3):
        key = cr.random.key(seed)
        for name, activation in (("relu", cr.relu), ("tanh", cr.tanh), ("gelu", cr.gelu)):
            yield f"mlp-{name}-{seed}", cr.models.mlp([8, 32, 32, 5], activation, key=key), rows
        yield f"cnn-{seed}", cr.models.cnn((12, 12, 1), 5, key=key), images
    yield "resnet20", cr.models.resnet(20, key=cr.random.key(0), classes=5), rng.normal(size=(4, 16, 16, 3))


NETWORKS = list(networks())


@pytest.mark.parametrize(("name", "model", "x"), NETWORKS, ids=[n[0] for n in NETWORKS])
def test_nothing_is_found_in_a_healthy_network(name, model, x):
    loss = cr.nn.softmax_cross_entropy(model(x.astype(np.float32)), np.arange(len(x)) % 5)
    for parameter in trees.leaves(model):
        reason = cr.why(loss, parameter)
        assert reason.symptom == "none", reason.text


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda x: cr.why(3.0), errors.OperandError, "expected a tensor that chainrule computed, got float"),
        (lambda x: cr.why(x * 2.0, x), errors.GradientError, r"the result has shape \(3,\)"),
        (lambda x: cr.why(cr.argmax(x), x), errors.GradientError, "int64, which has no derivative"),
        (lambda x: cr.why(cr.sum(x), "xs"), errors.ArgumentError, "did you mean x"),
        (lambda x: cr.why(cr.sum(x), ("x", 3)), errors.ArgumentError, r"no element \[3\]"),
        (lambda x: cr.why(cr.sum(x), 3), errors.OperandError, "wrt is int"),
        (lambda x: cr.why(cr.sum(x.detach())), errors.GradientError, "does not depend on any tensor"),
    ],
)
def test_what_cannot_be_asked(ask, error, message):
    with pytest.raises(error, match=message):
        ask(leaf([1.0, 2.0, 3.0], "x"))


def test_html_escapes_what_users_write():
    x = leaf([0.0], "<b>x</b>")
    assert "<b>x</b>" not in cr.why(cr.sum(cr.sqrt(x)), x)._repr_html_()


def test_a_dead_relu_is_found_behind_a_square_that_hides_it():
    w = leaf([1.0, 1.0], "w")
    reason = cr.why(cr.sum(cr.relu(w - 4.0) ** 2), w)
    assert reason.cause == "dead_relu", reason.text
    assert reason.proof.cured


SCRIPT = """
import sys
import numpy as np
import chainrule as cr

model = cr.models.mlp([4, 16, 3], cr.relu, key=cr.random.key(0))
x = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32) * {scale}
y = np.arange(32) % 3


def loss(scores, labels):
    p = cr.exp(scores) / cr.sum(cr.exp(scores), axis=1, keepdims=True)
    return -cr.mean(cr.log(p[np.arange(len(labels)), labels]))


print("training", *sys.argv[1:])
{training}
"""
TRAINING = {
    "step": "step = cr.train.compile_step(model, loss, cr.optim.gradient_descent(0.01))\n"
    "for _ in range(3):\n    step(x, y)",
    "grad": "f = cr.compile(cr.value_and_grad(lambda m: loss(m(x), y)))\nf(model)",
    "backward": "loss(model(x), y).backward()",
    "fit": "cr.train.fit(model, cr.data.Dataset.from_arrays(x, y, test=4), loss, cr.optim.adam(1e-3), epochs=1,"
    " batch_size=16, key=cr.random.key(1))",
}


@pytest.mark.parametrize("way", TRAINING)
def test_a_program_is_run_up_to_its_first_nan(way, tmp_path, capsys):
    file = tmp_path / "train.py"
    file.write_text(SCRIPT.format(scale=20, training=TRAINING[way]))
    with pytest.raises(SystemExit) as stopped:
        main(["why", str(file), "some", "arguments", "--json", "--html", str(tmp_path / "why.html")])
    said = capsys.readouterr()
    assert stopped.value.code == 0, said.err
    assert "training some arguments" in said.err
    found = json.loads(said.out)
    assert (found["cause"], found["proof"]["cured"]) == ("softmax_by_hand", True)
    assert found["source"]["text"].startswith("p = cr.exp(scores) / cr.sum(")
    assert found["variable"].endswith("layers.0.weight")
    assert "a softmax by hand" in (tmp_path / "why.html").read_text(encoding="utf-8")


def test_a_healthy_program_is_said_to_be(tmp_path, capsys):
    file = tmp_path / "train.py"
    file.write_text(SCRIPT.format(scale=1, training=TRAINING["step"]))
    with pytest.raises(SystemExit):
        main(["why", str(file)])
    said = capsys.readouterr().out
    assert said.startswith("In backward pass 3:")
    assert "nothing is wrong with it" in said


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x = (", [], "line 1 is no Python"),
        ("x = 1", [], "makes no backward pass"),
        (
            SCRIPT.format(scale=1, training=TRAINING["backward"]),
            ["--wrt", "model.layer.0.weight"],
            "did you mean",
        ),
        (None, [], "cannot be read"),
    ],
)
def test_programs_that_cannot_be_asked(text, options, message, tmp_path, capsys):
    file = tmp_path / "train.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["why", str(file), *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_units_that_are_copies_are_told():
    w = leaf(np.full((3, 4), 0.5), "w")
    x = np.random.default_rng(0).normal(size=(8, 3))
    reason = cr.why(cr.mean(cr.tanh(x @ w) @ np.full((4, 1), 0.3)), w)
    assert (reason.symptom, reason.cause) == ("alike", "symmetric_initialisation")
    assert "is the same for all units" in reason.text
    different = normal(3, 4)
    assert cr.why(cr.mean(cr.tanh(x @ different) @ np.full((4, 1), 0.3)), different).cause == "none"


def test_a_loop_is_a_recurrence_with_its_spectral_radius():
    w = normal(6, 6, scale=1.2)
    state = start = normal(2, 6, seed=1, name="start")
    for _ in range(40):
        state = state @ w
    reason = cr.why(cr.sum(state), start)
    assert reason.cause == "exploding_recurrence"
    radius = np.abs(np.linalg.eigvals(w.numpy())).max()
    assert f"the spectral radius of its matrix 6×6 is {radius:.4g}" in reason.evidence
    assert "40 steps" in reason.explanation
