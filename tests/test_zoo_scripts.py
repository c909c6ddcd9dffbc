"""Every script of the zoo trains badly, and its healthy twin, which differs in a few lines, trains well."""

from __future__ import annotations

import difflib
import re
import runpy
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("own_primitives")

ZOO = Path(__file__).parents[1] / "examples" / "zoo"

# Of the last line: percent that the twin exceeds, or minus the error or loss that it stays below.
LIMITS = {
    "batch_norm_constant": -0.2,
    "broadcast_targets": -0.2,
    "cancelling_paths": 80,
    "clipped": -1.0,
    "clipping_too_tight": 85,
    "dead_relu": 80,
    "detached": -0.028,
    "division_by_zero": -3.0,
    "double_softmax": 85,
    "exploding_by_depth": -1.0,
    "exploding_recurrence": -1.0,
    "gradients_accumulate": -0.2,
    "learning_rate_too_high": -0.2,
    "learning_rate_too_low": 80,
    "log_of_zero": -0.1,
    "loss_averaged_twice": 80,
    "loss_summed": 80,
    "never_selected": -0.2,
    "no_grad": 80,
    "no_nonlinearity": 80,
    "norm_at_zero": 70,
    "not_used": 80,
    "power_at_pole": -0.01,
    "rounded_away": -5.0,
    "samples_mixed": 80,
    "saturated": 92,
    "sees_the_answer": -1.4,
    "shifted_targets": 80,
    "softmax_by_hand": 80,
    "sorted_batches": 75,
    "sqrt_at_zero": -0.1,
    "step_function": -5.0,
    "symmetric_initialisation": 80,
    "training_mode": 80,
    "unnormalised_inputs": 80,
    "unreachable_targets": -2.0,
    "uphill": -1.0,
    "user_rule": 80,
    "vanishing_by_depth": 80,
    "vanishing_recurrence": 80,
    "weight_decay_too_strong": 80,
    "weights_too_large": 80,
    "weights_too_small": 80,
    "wrong_rule": -0.05,
    "zero_over_zero": -0.01,
}


def figure(printed: str) -> float:
    """The figure in the last line, larger if better: a share, or an error with a minus."""
    last = printed.strip().splitlines()[-1]
    share = re.search(r"([\d.]+)%", last)
    if share:
        return float(share[1])
    error = re.search(r"\b(nan|inf|\d[\d.]*(e[+-]\d+)?)\b", last)
    assert error, last
    return -float(error[1])


@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_trains_badly_and_its_twin_well(kind: str, capsys: pytest.CaptureFixture[str]):
    runpy.run_path(str(ZOO / f"{kind}.py"), run_name="__main__")
    assert not figure(capsys.readouterr().out) > LIMITS[kind]  # it may be nan
    runpy.run_path(str(ZOO / "healthy" / f"{kind}.py"), run_name="__main__")
    assert figure(capsys.readouterr().out) > LIMITS[kind]


def test_is_complete():
    scripts, twins = ({path.stem for path in folder.glob("*.py")} for folder in (ZOO, ZOO / "healthy"))
    listed = re.findall(r"^\| `(\w+)` \|", (ZOO / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert scripts == twins == set(LIMITS)
    assert sorted(listed) == sorted(LIMITS)


@pytest.mark.parametrize("kind", sorted(LIMITS))
def test_differs_from_its_twin_in_a_few_lines(kind: str):
    codes = (
        (folder / f"{kind}.py").read_text(encoding="utf-8").split('"""', 2)[2].splitlines()
        for folder in (ZOO, ZOO / "healthy")
    )
    changed = [line for line in difflib.ndiff(*codes) if line[0] in "+-" and line[1:].strip()]
    assert 0 < len(changed) <= 5
