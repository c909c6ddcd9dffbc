"""What is in a checkpoint is explained as if it were not in one: values, reasons, findings, with their lines."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.autodiff.opening import opened
from chainrule.nn.module import Module

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 8))


def weights(count=3):
    return [cr.tensor(RNG.normal(size=(8, 8)) * 0.3, requires_grad=True, name=f"w{i}") for i in range(count)]


BLOCKS = {
    "vanishing_factor": lambda w, x: cr.tanh(100 * (x @ w)),
    "dead_relu": lambda w, x: cr.relu(x @ w - 1000),
    "sqrt_at_zero": lambda w, x: cr.sqrt((x @ w) * 0),
    "none": lambda w, x: cr.tanh(x @ w),
}


def told(reason):
    """What a reason says but for the names of intermediate results."""
    at = None if reason.source is None else (reason.source.line, reason.source.text)
    return reason.symptom, reason.cause, reason.op, at, None if reason.proof is None else reason.proof.after


@pytest.mark.parametrize("case", BLOCKS)
@pytest.mark.parametrize("nested", [False, True])
def test_the_reason_is_the_one_without_checkpoints(case, nested):
    plain = BLOCKS[case]
    kept = cr.checkpoint(cr.checkpoint(plain) if nested else plain)
    ws = weights()

    def loss(block):
        x = X
        for w in ws:
            x = block(w, x)
        return cr.mean(x * x)

    expected = cr.why(loss(plain), ws[0])
    assert told(cr.why(loss(kept), ws[0])) == told(expected)
    assert told(cr.why(lambda: loss(kept), "w0")) == told(expected)
    assert expected.op != "checkpoint"


def test_results_of_a_checkpoint_can_be_asked_about():
    w, v = weights(2)
    h, other = cr.checkpoint(lambda w, x: (cr.tanh(x @ w), cr.sum(x @ w)))(w, X)
    assert cr.why(cr.sum(cr.relu(h @ v) * 0.0) + other, h).cause == "times_zero"
    loss = cr.sum(h * h) + other
    assert cr.attribute(loss, w).gradient == pytest.approx(
        float(np.linalg.norm(cr.grad(lambda w: cr.sum(cr.tanh(X @ w) ** 2) + cr.sum(X @ w))(w).numpy()))
    )


def test_values_and_gradients_of_what_is_opened_are_the_same_to_the_bit():
    w, v = weights(2)
    stopped = cr.checkpoint(lambda w, x: cr.tanh(x @ w) * cr.stop_gradient(cr.sum(x @ w)))

    @cr.checkpoint
    def unseen(w, x):
        with cr.no_grad():
            scale = cr.sum(x @ w)
        return cr.sin(x @ w) * scale

    def loss():
        return cr.sum(stopped(v, unseen(w, X)))

    y = loss()
    y.backward()
    expected = w.grad.numpy().copy(), v.grad.numpy().copy()
    w.grad = v.grad = None
    z = opened(y)[y]
    assert z.item() == y.item()
    z.backward()
    assert np.array_equal(w.grad.numpy(), expected[0])
    assert np.array_equal(v.grad.numpy(), expected[1])
    assert opened(z)[z] is z


def test_explanations_steps_and_layers_show_what_is_in_a_checkpoint():
    x, w = (cr.tensor(v, requires_grad=True, name=n) for v, n in ((2.0, "x"), (3.0, "w")))
    h = cr.checkpoint(lambda x, w: cr.sin(x * w) + x)(x, w)
    explanation = cr.explain(h * w)
    assert "sin(y)" in explanation.text
    assert "checkpoint" not in explanation.text
    assert cr.explain(h * w, h).gradient.item() == 3.0
    assert [path.product for path in cr.explain(h * w, "x").paths] == pytest.approx([9 * np.cos(6.0), 3.0])
    assert cr.steps(h * w).run("y").name
    model = cr.nn.Linear(2, 1, key=cr.random.key(0))
    net = cr.layers(cr.sum(cr.checkpoint(lambda m, x: cr.tanh(m(x)))(model, np.ones((1, 2), "f"))), model)
    assert [layer.activation for layer in net.layers] == ["tanh"]


class Deep(Module):
    """Five layers that saturate, each in a checkpoint or not."""

    def __init__(self, kept: bool) -> None:
        keys = cr.random.split(cr.random.key(0), 6)
        self.blocks = [cr.nn.Linear(8, 8, key=key) for key in keys[:5]]
        for block in self.blocks:
            block.weight = cr.tensor(block.weight.numpy() * 12, requires_grad=True)
        self.head = cr.nn.Linear(8, 3, key=keys[5])
        self.kept = kept

    def __call__(self, x):
        for block in self.blocks:
            run = lambda block, x: cr.sigmoid(block(x))
            x = (cr.checkpoint(run) if self.kept else run)(block, x)
        return self.head(x)


def test_the_doctor_sees_through_checkpoints():
    x, y = RNG.normal(size=(32, 8)).astype(np.float32), np.arange(32) % 3
    loss = cr.nn.softmax_cross_entropy
    reports = [
        cr.diagnose(Deep(kept), loss, (x, y), cr.optim.gradient_descent(0.1)) for kept in (False, True)
    ]
    found = [[(f.kind, f.where) for f in report.findings] for report in reports]
    assert found[0]
    assert found[1] == found[0]


@pytest.mark.parametrize(
    ("f", "cause", "said"),
    [
        (lambda x, y: cr.sum(x * x), "stationary_point", "multiplies x with itself, and x is 0"),
        (lambda x, y: x @ x, "stationary_point", "multiplies y with z, and both are 0"),
        (lambda x, y: cr.sum(x * y), "zero_weights", "multiplies with y, which is 0"),
    ],
)
def test_a_product_of_zeros_is_no_cancelling(f, cause, said):
    x, y = (cr.tensor([0.0, 0.0], requires_grad=True, name=name) for name in "xy")
    reason = cr.why(f(x, y), x)
    assert reason.cause == cause
    assert said in reason.explanation


def test_the_first_of_several_ends_is_the_cause():
    """Three dead layers, one behind the other: no single one explains the zero, and the first is a fact."""
    ws = weights()
    x = X
    for w in ws:
        x = cr.relu(x @ w - 1000)
    reason = cr.why(cr.mean(x * x), ws[0])
    assert reason.cause == "dead_relu"
    assert reason.source is not None
    assert "multiplies" in " ".join(reason.others)
