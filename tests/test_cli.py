"""The command line: what it prints, its exit status, and how it fails."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chainrule
import chainrule as cr
from chainrule.cli import main
from chainrule.cli.training import OptimizerName
from chainrule.errors import Source

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(chainrule.__file__).parents[1]),
    "PYTHONUTF8": "1",
    "COLUMNS": "80",
    "NO_COLOR": "1",
}


class Ran:
    """What one run of the command printed, and its exit status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs are kept in the folder where the command is called."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Run the command in this process, which is faster than in one of its own."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def call(*arguments: str) -> Ran:
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        captured = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return Ran(stopped.value.code, captured.out, captured.err)

    return call


def process(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chainrule", *arguments],
        capture_output=True, encoding="utf-8", env=ENVIRONMENT, timeout=120, **options,
    )  # fmt: skip


ARTICLE = ("explain", "(a+b)*(b+c)", "a=-1", "b=3", "c=4")


def test_explain(run):
    ran = run(*ARTICLE)
    assert (ran.status, ran.err) == (0, "")
    for part in ("╔═ f = x·y ═╗", "▲ 3  ▼ 7 + 2 = 9", "b · used twice", "7·1 + 2·1 = 9", "77.8 %"):
        assert part in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out


def test_explain_as_json(run):
    ran = run(*ARTICLE, "--wrt", "b", "--json")
    assert (ran.status, ran.err) == (0, "")
    assert (ran.json["value"], ran.json["gradient"]) == (14.0, 9.0)
    assert [path["contribution"] for path in ran.json["paths"]] == [7.0, 2.0]


def test_explain_as_latex(run):
    assert run(*ARTICLE, "--latex").out.startswith("\\begin{align*}\n")
    assert "exclude each other" in run(*ARTICLE, "--latex", "--json").json["error"]["message"]


def test_explain_as_mathml(run):
    ran = run(*ARTICLE, "--mathml")
    assert ran.out == f"{cr.explain(cr.formula('(a+b)*(b+c)')(a=-1, b=3, c=4)).mathml}\n"
    assert run(*ARTICLE, "--latex", "--mathml").err.startswith(
        "error: --latex and --mathml exclude each other"
    )


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        (("-x^2", "x=3"), -9.0),
        (("--x", "x=3"), 3.0),
        (("--", "-x^2", "x=-3"), -9.0),
        (("-(a+b)", "a=-1", "b=-.5"), 1.5),
        (("z = a*b\nz + 1", "a=2", "b=−3"), -5.0),
        (("w₁ + δ", "w₁=1", "δ=2e-3"), 1.002),
    ],
)
def test_formulas_and_values_that_look_like_options(run, arguments: tuple[str, ...], value: float):
    ran = run("explain", "--json", *arguments)
    assert (ran.status, ran.json["value"]) == (0, value)


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (("2*a", "a="), 'a: expected a number, got ""', "a formula of numbers: a=-1.5, a=1/2 or a=2e-3"),
        (("2*a", "a=xyz"), 'a: expected a number, got "xyz", which has the variable xyz', "write a number"),
        (("2*a", "a=1e999"), "a: 1e999 overflows", "write smaller numbers"),
        (("2*a", "a=1/0"), "a: 1/0 divides by zero\n    1/0\n    ^", "divide by something else"),
        (("2*a", "a=2+*3"), 'after "+", got "*"\n    2+*3\n      ^', 'delete "+" or "*"'),
        (("2*a", "a=b=3"), 'a: expected a number, got "b=3"', "write a number"),
        (("2*a", "a=nan"), 'a: expected a number, got "nan"', "write a number"),
        (("2*a", "a=1", "a=2"), "a has two values", "give each variable one value"),
        (("2*a", "3"), 'expected name=value, got "3"', "put the whole formula in one pair of quotes"),
        (("2*a", "a=1", "--jsn"), 'expected name=value, got "--jsn"', "did you mean --json?"),
        (("2+3",), "2+3 is constant: nothing can change", "put a variable in it, as in 2*x"),
        (("2*a",), "f(a): no value for a", "pass one for each of a, for example a=1"),
        (("a*beta", "a=1", "bta=2"), "f(a, beta): there is no variable bta", "did you mean beta?"),
        (("2*a", "a=1", "--wrt", "q"), "does not depend on 'q'; variables are: a", "ask for one of these"),
        (("2*[b]", "b=1"), '"[" does not belong in a formula\n    2*[b]\n      ^', "use round parentheses"),
    ],
)
def test_mistakes(run, arguments: tuple[str, ...], message: str, fix: str):
    ran = run("explain", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert f"Fix: {fix}" in ran.err or fix in ran.err
    assert "Traceback" not in ran.err
    as_json = run("explain", *arguments, "--json")
    assert (as_json.status, as_json.err) == (2, "")
    assert message in as_json.json["error"]["message"]
    assert fix in as_json.json["error"]["fix"]


@pytest.mark.parametrize(
    ("written", "value"), [("1/2", 0.5), ("pi", math.pi), ("-2^2", -4.0), ("2pi", 2 * math.pi), ("+3", 3.0)]
)
def test_values_may_be_formulas_of_numbers(run, written: str, value: float):
    assert run("explain", "x", f"x={written}", "--json").json["value"] == value


def test_errors_fit_on_one_screen(run):
    for text in ("x+" * 4_999 + ")", "x" * 10_000, "(" * 10_000, "+".join(f"v_{i}" for i in range(2_000))):
        ran = run("explain", text)
        assert ran.status == 2
        assert len(ran.err.splitlines()) <= 8
        assert len(ran.err) < 2_000


def test_usage_errors(run):
    for arguments in (("bogus",), ("explain",), ("train", "digits", "--epochs", "x")):
        ran = run(*arguments)
        assert (ran.status, ran.out) == (2, "")
        assert ran.err.startswith("error: ")
        assert run(*arguments, "--json").json["error"]["type"] == "UsageError"


def test_help_and_version(run):
    assert run("--version").out == f"chainrule {chainrule.__version__}\n"
    for command in ("explain", "train", "tour"):
        assert command in run("--help").out
        assert "--json" in run(command, "--help").out
        assert run(command, "-h").out == run(command, "--help").out
    assert run("-h").out == run("--help").out
    assert run("explain", "-h^2", "h=3", "--json").json["value"] == -9.0
    assert run("explain", "--json", "--", "-h", "h=3").json["value"] == -3.0
    for part in ("1/2x is (1/2)*x", "docs/formulas.md", "sigmoid"):
        assert part in run("explain", "--help").out
    assert "Usage: chainrule" in run().out


def test_train(run):
    ran = run("train", "digits", "--epochs", "2", "--seed", "1")
    assert (ran.status, ran.err) == (0, "")
    for part in ("epoch   2", "test accuracy", "true ↓", "layers.0"):
        assert part in ran.out
    as_json = run("train", "digits", "--epochs", "2", "--optimizer", "momentum", "--drop-last", "--json").json
    assert as_json["started"]["steps"] == 1437 // 64
    assert as_json["started"]["optimizer"]["name"] == "momentum"
    assert [epoch["epoch"] for epoch in as_json["epochs"]] == [1, 2]
    assert as_json["finished"]["test"]["accuracy"] > 0.5


def test_train_predict_and_plot(run, tmp_path: Path):
    """What a person does first: train, look at a picture, look at figures; each also as JSON."""
    assert run("train", "digits", "--epochs", "3").status == 0
    assert "the run is in runs/digits-mlp-2" in run("train", "digits", "--epochs", "3").out
    digit = cr.data.digits().test_x[0].reshape(8, 8)
    Image.fromarray((digit * 255).astype(np.uint8)).resize((64, 64)).save("some.png")
    seen = run("predict", "runs/latest", "some.png")
    label = str(cr.data.digits().test_y[0])
    assert (seen.status, seen.err) == (0, "")
    assert seen.out.splitlines()[1].split()[0] == label
    assert "scaled and cut from 64 × 64 to 8 × 8 pixels" in seen.out
    (one,) = run("predict", "runs/latest", "some.png", "--json").json["predictions"]
    assert one["label"] == label and sum(one["scores"].values()) == pytest.approx(1)
    inverted = run("predict", "runs/latest", "some.png", "--invert", "--json").json["predictions"][0]
    assert inverted["scores"] != one["scores"]
    drawn = run("plot", "runs/latest", "--json").json
    assert set(drawn["files"]) == {"curves", "gradients", "confusion", "templates", "weights"}
    for path in drawn["files"].values():
        with Image.open(path) as picture:
            assert picture.size[0] > 200
    assert "without filters" in run("plot", "runs/digits-mlp-1", "--into", "figures").out


def test_resume(run):
    whole = run("train", "digits", "--epochs", "3", "--run", "whole", "--json").json["finished"]
    again = run("train", "--resume", "whole", "--json").json
    assert again["started"]["done"] == 69 and again["epochs"] == []
    for name in ("test", "confusion", "gradients", "epochs"):
        assert again["finished"][name] == whole[name]
    said = " ".join(run("train", "--resume", "whole").out.split())
    assert "69 steps done before" in said
    assert "The run had ended already, after 3 epochs: nothing was left to train." in said
    for option, value in (("--label", "x"), ("--learning-rate", "0.1"), ("--seed", "0"), ("--run", "other")):
        said = " ".join(run("train", "--resume", "whole", option, value).err.split())
        assert f"--resume goes on as the run began: {option} cannot change" in said


def test_a_run_is_made_longer(run):
    run("train", "digits", "--epochs", "2", "--run", "short")
    run("train", "digits", "--epochs", "4", "--run", "long")
    run("train", "--resume", "short", "--epochs", "4")
    assert Path("short/model.safetensors").read_bytes() == Path("long/model.safetensors").read_bytes()
    again = run("train", "--resume", "short", "--json").json  # which is a run of four epochs now
    assert again["started"]["epochs"] == 4 and again["finished"]["epochs"] == 4
    run("train", "digits", "--epochs", "2", "--schedule", "cosine", "--run", "cosine")
    said = run("train", "--resume", "cosine", "--epochs", "4", "--json").json["error"]
    assert "follows cosine over all 2" in said["message"] and "--schedule constant" in said["fix"]


def write_table(path: Path, shift: int = 0) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a},{round(30 + 5 * a) + shift},{b}" for a, b in rng.normal(size=(60, 2)).round(3)]
    path.write_text("\n".join(["height,age,noise", *rows]) + "\n")


def test_a_run_on_own_data_goes_on_in_another_folder(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_table(tmp_path / "t.csv")
    run("train", "t.csv", "--epochs", "2", "--run", "r")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert run("train", "--resume", "../r").status == 0
    (tmp_path / "t.csv").rename(tmp_path / "moved.csv")
    assert "t.csv is neither a data set's name nor a path" in run("train", "--resume", "../r").err
    assert run("train", "../moved.csv", "--resume", "../r").status == 0
    assert run("train", "--resume", "../r").status == 0  # where it is now was noted
    write_table(tmp_path / "moved.csv", shift=1)
    assert "another data" in run("train", "--resume", "../r").err


def test_what_is_learned_from_a_table_is_said(run, tmp_path: Path):
    write_table(tmp_path / "t.csv")
    options = ("--label", "age", "--ignore", "noise", "--targets", "numbers")
    ran = run("train", "t.csv", *options, "--epochs", "1", "--run", "r", "--json")
    assert "mean_absolute_error" in ran.json["finished"]["test"]
    about = json.loads(Path("r/run.json").read_text())
    assert about["data"]["features"] == ["height"] and about["data"]["classes"] is None
    assert run("train", "--resume", "r").status == 0  # the options are part of the run
    by_number = run("train", "t.csv", "--label", "1", "--epochs", "1", "--json").json
    assert len(by_number["finished"]["classes"]) > 5
    Path("s.csv").write_text(Path("t.csv").read_text().replace(",", ";"))
    assert "--delimiter ;" in run("train", "s.csv").err
    assert run("train", "s.csv", "--delimiter", ";", "--epochs", "1").status == 0


def test_pictures_of_several_sizes(run, tmp_path: Path):
    for kind, grey in (("dark", 10), ("bright", 240)):
        Path("photos", kind).mkdir(parents=True)
        for number in range(6):
            shape = (12 + number, 16)
            Image.fromarray(np.full(shape, grey, np.uint8)).save(f"photos/{kind}/{number}.png")
    assert "--size 12x16" in run("train", "photos").err
    ran = run(
        "train", "photos", "--size", "12x16", "--model", "linear", "--epochs", "1", "--run", "r", "--json"
    )
    assert ran.status == 0
    assert json.loads(Path("r/run.json").read_text())["data"]["image_shape"] == [12, 16]
    assert run("train", "photos", "--size", "8", "--model", "linear", "--epochs", "1").status == 0
    assert "--size must be" in run("train", "photos", "--size", "8by8").err


@pytest.mark.parametrize(
    ("arguments", "fix"),
    [
        (("digits", "--epochs", "0"), "pass --epochs 10, or leave it out"),
        (("digits", "--batch-size", "-1"), "pass --batch-size 10, or leave it out"),
        (("digits", "--learning-rate", "-1"), "--learning-rate 0.001"),
        (("digits", "--learning-rate", "1e30"), "lower the learning rate: 0.1 instead of 1e+30"),
        (("digits", "--run", "taken"), "choose another folder, or go on with that run: --resume RUN"),
    ],
)
def test_fixes_name_options(run, arguments: tuple[str, ...], fix: str):
    run("train", "digits", "--epochs", "1", "--run", "taken")
    assert fix in run("train", *arguments, "--json").json["error"]["fix"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train",), "no data is named"),
        (("train", "nothing"), "is neither a data set's name nor a path"),
        (("train", "digits", "--model", "resnet21"), "resnet21"),
        (("train", "digits", "--augment", "blur"), "there is no augmentation 'blur'"),
        (("train", "digits", "--validation", "2"), "split"),
        (("train", "--resume", "nowhere"), "is no run: it has no run.json"),
        (("predict", "nowhere", "some.png"), "is no run"),
        (("plot", "nowhere"), "is no run"),
    ],
)
def test_requests_that_cannot_be_met(run, arguments: tuple[str, ...], message: str):
    ran = run(*arguments)
    assert (ran.status, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())
    assert run(*arguments, "--json").json["error"]["fix"]


def test_what_is_no_picture(run, tmp_path: Path):
    run("train", "digits", "--epochs", "1")
    (tmp_path / "notes.png").write_text("dear diary")
    ran = run("predict", "runs/latest", "notes.png")
    assert ran.status == 2 and "no picture" in ran.err
    assert run("predict", "runs/latest", "missing.png").status == 2


@pytest.mark.parametrize("optimizer", list(OptimizerName))
def test_every_optimizer_learns_at_its_default_rate(run, optimizer: str):
    ran = run("train", "digits", "--epochs", "8", "--optimizer", optimizer, "--json")
    assert ran.json["finished"]["test"]["accuracy"] > 0.9


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--epochs", "0", "epochs must be at least 1"),
        ("--batch-size", "-1", "batch_size must be at least 1"),
        ("--batch-size", "0", "batch_size must be at least 1"),
        ("--learning-rate", "-1", "learning_rate"),
        ("--learning-rate", "1e30", "not finite"),
    ],
)
def test_training_that_cannot_be(run, option: str, value: str, message: str):
    ran = run("train", "digits", option, value)
    assert ran.status == 2
    assert message in ran.err


def test_as_a_process():
    ran = process(*ARTICLE, "--wrt", "b", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert json.loads(ran.stdout)["gradient"] == 9.0
    assert process("explain", "x+").returncode == 2


def test_a_reader_that_leaves_is_no_error():
    script = '"$0" -m chainrule train digits --epochs 3 | head -n 1; exit ${PIPESTATUS[0]}'
    ran = subprocess.run(
        ["bash", "-c", script, sys.executable],
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=120,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert len(ran.stdout.splitlines()) == 1


@pytest.mark.parametrize("form", ["", "--json", "--latex", "--mathml", "--help"])
def test_a_reader_that_never_reads_is_no_error(form: str):
    script = f'"$0" -m chainrule explain "a*b" a=1 b=2 {form} | true; exit ${{PIPESTATUS[0]}}'
    ran = subprocess.run(
        ["bash", "-c", script, sys.executable],
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=120,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_interrupting_is_quiet():
    running = subprocess.Popen(
        [sys.executable, "-m", "chainrule", "train", "digits", "--epochs", "100000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=ENVIRONMENT,
    )  # fmt: skip
    assert running.stdout is not None
    running.stdout.readline()
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert said.splitlines()[-1] == "stopped; go on with: chainrule train --resume runs/digits-mlp-1"


def test_interrupting_as_json_says_how_to_go_on():
    running = subprocess.Popen(
        [sys.executable, "-m", "chainrule", "train", "digits", "--epochs", "100000", "--run", "r", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=ENVIRONMENT,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not Path("r/epochs.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=60)
    assert (running.returncode, errors) == (130, "")
    assert json.loads(said)["error"]["fix"] == "go on with: chainrule train --resume r"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is full is Linux's")
@pytest.mark.parametrize("form", ["", "--json"])
def test_an_output_that_is_full_is_an_error_of_one_line(form: str):
    script = '"$0" -m chainrule explain "a*b" a=1 b=2 $1 > /dev/full'
    ran = subprocess.run(
        ["bash", "-c", script, sys.executable, form],
        capture_output=True,
        encoding="utf-8",
        env=ENVIRONMENT,
        timeout=120,
    )
    assert ran.returncode == 2
    assert ran.stderr.splitlines()[0] == "error: the output cannot be written: No space left on device"
    assert "Traceback" not in ran.stderr


def test_a_terminal_without_unicode_still_gets_the_numbers():
    environment = {**ENVIRONMENT, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ran = subprocess.run(
        [sys.executable, "-m", "chainrule", *ARTICLE], capture_output=True, encoding="ascii",
        env=environment, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    for part in (
        "7 + 2 = 9",
        "df/db = df/dx*dx/db + df/dy*dy/db = 7*1 + 2*1 = 9",
        "f <- x <- b",
        "^ -1  v 7",
    ):
        assert part in ran.stdout
    assert "?" not in ran.stdout
    as_json = subprocess.run(
        [sys.executable, "-m", "chainrule", "explain", "2δ", "δ=1", "--json"],
        capture_output=True, encoding="ascii", env={**environment, "PYTHONUTF8": "1"}, timeout=120,
    )  # fmt: skip
    assert json.loads(as_json.stdout)["variables"] == ["δ"]


def test_importing_chainrule_loads_nothing_that_draws():
    script = "import sys, chainrule; print(sorted({'rich', 'typer'} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", env=ENVIRONMENT
    )
    assert ran.stdout == "[]\n"


def test_a_long_line_of_the_user_is_shortened_in_messages():
    source = Source("a/train.py", 41, "x" * 1_000)
    assert str(source) == f"train.py:41  {'x' * 99}…"
    assert len(f"  At:  {source}") == 120
