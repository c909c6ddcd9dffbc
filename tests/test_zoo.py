"""The cause is found in every script of the zoo, and nothing in its healthy twin."""

from __future__ import annotations

from pathlib import Path

import pytest

from chainrule.explain import diagnose_program

pytestmark = pytest.mark.usefixtures("own_primitives")

ZOO = Path(__file__).parents[1] / "examples" / "zoo"
KINDS = sorted(path.stem for path in ZOO.glob("*.py"))
HALF = 200  # backward passes: what is healthy has shown it by then

# Here the examples of a batch are alike, so that they are also not shuffled.
AS_WELL = {"batch_norm_constant": {"sorted_batches"}}

# Layer, parameter or node, and the line that is to blame.
PLACES = {
    "broadcast_targets": ("the loss", "return cr.mean((model(x) - y) ** 2)"),
    "clipped": ("clip after q.layers.2", "error = cr.clip(target - value, -1.0, 1.0)"),
    "dead_relu": ("model.hidden", "return self.head(cr.relu(self.hidden(x)))"),
    "detached": (None, "code = self.encoder(x).detach()"),
    "division_by_zero": (None, "return cr.mean(cr.abs(pieces - sold) / sold)"),
    "learning_rate_too_low": ("the update", None),
    "log_of_zero": (None, "return -cr.mean(labels * cr.log(p) + (1 - labels) * cr.log(1 - p))"),
    "loss_averaged_twice": ("the loss", "return cr.nn.softmax_cross_entropy(scores, labels) / len(labels)"),
    "never_selected": ("max after planes", "surface = cr.max(x @ planes + offsets, axis=1)"),
    "no_grad": (None, "vectors = cr.mean(self.words(ids), axis=1)"),
    "no_nonlinearity": ("hidden and head", "return self.head(h)"),
    "norm_at_zero": (None, "return v / cr.linalg.vector_norm(v, axis=-1, keepdims=True)"),
    "not_used": ("model.positions.weight", None),
    "rounded_away": ("place", None),
    "samples_mixed": ("matmul after p.kernel", 'return rows @ p["weight"] + p["bias"]'),
    "softmax_by_hand": (None, "e = cr.exp(x @ w + b)"),
    "sqrt_at_zero": (None, "amplitude = cr.sqrt(intensity)"),
    "step_function": (None, 'predicted = cr.round(x @ p["w"] + p["b"])'),
    "symmetric_initialisation": ("model.layers.0", None),
    "unnormalised_inputs": ("input of model.layers.0", None),
    "vanishing_by_depth": ("model.layers.0 to model.layers.16", None),
    "vanishing_recurrence": ("model.layers.0.cell", None),
    "weights_too_large": ("model.layers.2.weight", None),
    "wrong_rule": ("bump", 'curve = bump((t[:, None] - p["places"]) * p["scales"]) @ p["heights"]'),
}


@pytest.mark.parametrize("kind", KINDS)
def test_finds_the_cause(kind: str, capsys: pytest.CaptureFixture[str]):
    found = {f.kind: f for f in diagnose_program(str(ZOO / f"{kind}.py")).findings}
    assert {kind} <= set(found) <= {kind} | AS_WELL.get(kind, set())
    if kind in PLACES:
        where, line = PLACES[kind]
        source = found[kind].source
        assert where is None or found[kind].where == where
        assert line is None or (source is not None and source.text == line and Path(source.file).stem == kind)


@pytest.mark.parametrize("kind", KINDS)
def test_finds_nothing_in_the_healthy_twin(kind: str, capsys: pytest.CaptureFixture[str]):
    report = diagnose_program(str(ZOO / "healthy" / f"{kind}.py"), passes=HALF)
    assert report.healthy, report.text


def test_places_are_of_the_zoo():
    assert set(PLACES) | set(AS_WELL) <= set(KINDS)
