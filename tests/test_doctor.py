"""``chainrule doctor``: what it prints of a script, its exit status, and scripts that do not run to their end."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import errors
from chainrule.cli import main
from chainrule.explain import diagnose_program

HEAD = """
import sys

import numpy as np

import chainrule as cr

rng = np.random.default_rng(0)
x, y = rng.standard_normal((32, 4)).astype("f"), np.arange(32) % 3
params = {"w": cr.tensor(rng.standard_normal((4, 3)).astype("f")), "b": cr.tensor(np.zeros(3, "f"))}
optimizer = cr.optim.gradient_descent(0.1)
state = optimizer.init(params)


def loss(p):
    scores = x @ p["w"] + p["b"]
    return cr.nn.softmax_cross_entropy(CHANGE, y)


print("arguments:", sys.argv[1:])
for i in range(20):
    EACH
    value, gradients = cr.value_and_grad(loss)(params)
    params, state = optimizer.update(gradients, state, params)
    print("step", i)
print("the end")
"""


def program(folder: Path, change: str = "scores", each: str = "pass", before: str = "") -> str:
    file = folder / "train.py"
    file.write_text(before + HEAD.replace("CHANGE", change).replace("EACH", each), encoding="utf-8")
    return str(file)


BROKEN = "cr.softmax(scores, axis=-1)"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the command in this process: its exit status, stdout and stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stopped:
            main(("doctor", *arguments))
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, captured.out, captured.err

    return call


def test_a_finding_has_its_line_and_remedy(run, tmp_path: Path):
    status, out, err = run(program(tmp_path, BROKEN))
    assert status == 1
    first, _, title, *rest = out.splitlines()
    assert first == "1 finding in 20 backward passes, 15 parameters:"
    assert title.startswith("double_softmax in softmax after p")
    assert any(line.startswith("  line") and "train.py:17  " in line and BROKEN in line for line in rest)
    assert any(line.startswith("  remedy    give the scores to the loss") for line in rest)
    assert any(line.startswith("  proof ") for line in rest)
    assert "the end" in err and "step 19" in err and "step" not in out


def test_a_healthy_script_has_no_finding(run, tmp_path: Path):
    status, out, _ = run(program(tmp_path))
    assert status == 0
    assert out.startswith("Nothing wrong was found in 20 backward passes, 15 parameters.\n")
    assert "the program was ended" not in out


def test_json_is_one_document(run, tmp_path: Path):
    status, out, err = run(program(tmp_path, BROKEN), "--json")
    data = json.loads(out)
    assert status == 1 and "step 0" in err
    assert (data["version"], data["healthy"], data["parameters"]) == (1, False, 15)
    assert len(data["losses"]) == 20 and data["raised"] is None
    (finding,) = data["findings"]
    assert finding["kind"] == "double_softmax" and finding["source"]["line"] == 17
    assert run(program(tmp_path), "--json")[0] == 0


def test_html_is_a_page(run, tmp_path: Path):
    page = tmp_path / "report.html"
    status, out, _ = run(program(tmp_path, BROKEN), "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert status == 1 and out.startswith("1 finding")
    assert text.startswith("<!doctype html>") and "double_softmax in softmax after p" in text


def test_a_page_that_cannot_be_written_is_said_before_the_script_runs(run, tmp_path: Path):
    for file, why in ((tmp_path / "no" / "x.html", "does not exist"), (tmp_path, "is a folder")):
        status, out, err = run(program(tmp_path), "--html", str(file))
        assert status == 2 and not out and why in err and "step" not in err


def test_passes_are_limited(run, tmp_path: Path):
    status, out, err = run(program(tmp_path), "--passes", "5")
    assert status == 0 and "in 5 backward passes" in out
    assert "step 3" in err and "step 4" not in err and "the end" not in err
    assert "ended by" not in out
    assert "passes must be at least 1, got 0" in run(program(tmp_path), "--passes", "0")[2]


def test_the_script_gets_its_arguments(run, tmp_path: Path):
    _, _, err = run(program(tmp_path), "data.csv", "--rate", "3", "-v")
    assert "arguments: ['data.csv', '--rate', '3', '-v']" in err
    _, _, err = run(program(tmp_path), "--", "--passes", "3")
    assert "arguments: ['--passes', '3']" in err and "step 19" in err


def test_what_is_raised_before_the_first_pass_is_passed_on(tmp_path: Path):
    for text, kind in (
        ("raise LookupError('early')\n", LookupError),
        ("import chainrule as cr\ncr.ones(2) + cr.ones(3)\n", errors.ShapeError),
        ("raise KeyboardInterrupt\n", KeyboardInterrupt),
    ):
        with pytest.raises(kind):
            diagnose_program(program(tmp_path, before=text))


@pytest.mark.parametrize(
    ("each", "said"),
    [
        ("if i == 7: raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("if i == 7: raise ValueError('no more data\\nreally')", "ValueError: no more data"),
    ],
)
def test_what_is_raised_later_ends_the_script_and_is_reported(run, tmp_path: Path, each: str, said: str):
    status, out, _ = run(program(tmp_path, BROKEN, each))
    assert status == 1 and "1 finding in 7 backward passes" in out
    assert f"the program was ended by {said}" in out.splitlines()
    assert json.loads(run(program(tmp_path, each=each), "--json")[1])["raised"] == said


def test_a_script_that_exits_is_no_error(run, tmp_path: Path):
    status, out, _ = run(program(tmp_path, each="if i == 7: sys.exit(3)"))
    assert status == 0 and "in 7 backward passes" in out and "ended by" not in out


def test_a_handler_of_the_script_does_not_keep_it_running(run, tmp_path: Path):
    file = tmp_path / "train.py"
    body = HEAD.replace("CHANGE", "scores").replace("    EACH\n", "")
    step = "    value, gradients = cr.value_and_grad(loss)(params)\n"
    assert step in body
    body = body.replace(step, "    try:\n    " + step + "    except Exception:\n        print('caught')\n")
    file.write_text(body, encoding="utf-8")
    status, out, err = run(str(file), "--passes", "5")
    assert status == 0 and "in 5 backward passes" in out and "caught" not in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print('no network')\n", "makes no backward pass of one number"),
        ("import sys\nsys.exit(1)\n", "makes no backward pass of one number"),
        ("x = (\n", "line 1 is no Python: '(' was never closed"),
        ("\0", "is no Python"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_examined(run, tmp_path: Path, text: str | None, message: str):
    file = tmp_path / "script.py"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    status, out, err = run(str(file))
    assert status == 2 and not out and message in err and "Fix: " in err
    status, out, _ = run(str(file), "--json")
    assert status == 2 and message in json.loads(out)["error"]["message"]


def test_names_are_those_of_the_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "by_hand.py"
    file.write_text(
        """
import numpy as np

import chainrule as cr

x = np.random.default_rng(0).standard_normal((32, 4))
weights = cr.tensor(np.ones((4, 1)), requires_grad=True)
unused = cr.tensor(np.ones(4), requires_grad=True)
for _ in range(6):
    error = x @ weights - x[:, :1] - x[:, 1:2]
    cr.mean(error * error).backward()
    weights = cr.tensor(weights.numpy() - 0.1 * weights.grad.numpy(), requires_grad=True)
""",
        encoding="utf-8",
    )
    report = diagnose_program(str(file))
    assert report.healthy and [row.name for row in report.layers] == ["weights"]
    assert report.losses[-1] < report.losses[0]


STYLES = {
    "an input is trained, and not the network": (
        """
model = mlp()
image = cr.tensor(x[:1], requires_grad=True)
for _ in range(30):
    (cr.sum(image * image) - model(image)[0, 1]).backward()
    image = cr.tensor(image.numpy() - 0.1 * image.grad.numpy(), requires_grad=True)
""",
        30,
    ),
    "a head on a network that stays": (
        """
model = cr.nn.Sequential(mlp(), cr.relu)
head = cr.tensor(rng.standard_normal((3, 3)).astype("f"), requires_grad=True)
for _ in range(30):
    cr.nn.softmax_cross_entropy(model(x) @ head, y).backward()
    head = cr.tensor(head.numpy() - 0.1 * head.grad.numpy(), requires_grad=True)
""",
        30,
    ),
    "small batches whose gradients are added up": (
        """
w = cr.tensor(rng.standard_normal((4, 3)), requires_grad=True)
for _ in range(10):
    w.grad = None
    for part in np.array_split(np.arange(32), 4):
        (cr.nn.softmax_cross_entropy(x[part] @ w, y[part]) / 4).backward()
    w = cr.tensor(w.numpy() - 0.5 * w.grad.numpy(), requires_grad=True)
""",
        40,
    ),
    "two networks against each other": (
        """
networks = [mlp(classes=4, seed=1), mlp(classes=1, seed=2)]
states = [optimizer.init(network) for network in networks]
bce = cr.nn.binary_cross_entropy
for _ in range(30):
    z, (made, judged) = rng.standard_normal((32, 4)).astype("f"), networks
    losses = [
        lambda model: bce(judged(model(z)), np.ones((32, 1), "f")),
        lambda model: bce(model(x), np.ones((32, 1), "f")) + bce(model(made(z).detach()), np.zeros((32, 1), "f")),
    ]
    for i, loss in enumerate(losses):
        _, gradients = cr.value_and_grad(loss)(networks[i])
        networks[i], states[i] = optimizer.update(gradients, states[i], networks[i])
""",
        30,
    ),
    "a compiled step": (
        """
step = cr.train.compile_step(mlp(), cr.nn.softmax_cross_entropy, optimizer)
for _ in range(30):
    step(x, y)
""",
        30,
    ),
    "one gradient": (
        """
w = cr.tensor(rng.standard_normal((4, 3)), requires_grad=True)
cr.nn.softmax_cross_entropy(x @ w, y).backward()
""",
        1,
    ),
}


@pytest.mark.parametrize("style", STYLES)
def test_nothing_is_found_in_healthy_programs_of_many_styles(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text, passes = STYLES[style]
    file = tmp_path / "train.py"
    head = HEAD.partition("params =")[0]
    file.write_text(
        f"""{head}
optimizer = cr.optim.adam(1e-2)


def mlp(classes=3, seed=0):
    keys = cr.random.split(cr.random.key(seed), 2)
    return cr.nn.Sequential(
        cr.nn.Linear(4, 16, key=keys[0]), cr.relu, cr.nn.Linear(16, classes, key=keys[1])
    )

{text}""",
        encoding="utf-8",
    )
    report = diagnose_program(str(file))
    assert report.healthy, report.text
    assert len(report.losses) == passes and not report.raised


def test_nothing_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]):

    before = sys.argv, list(sys.path), sys.modules["__main__"]
    diagnose_program(program(tmp_path), ["a"], passes=3)
    assert (sys.argv, list(sys.path), sys.modules["__main__"]) == before
    counts = []
    diagnose_program(program(tmp_path), seen=counts.append)
    assert counts == list(range(1, 21))
    w = cr.tensor(2.0, requires_grad=True)
    (w * w).backward()  # nobody listens any more
    assert len(counts) == 20 and w.grad.item() == 4.0
