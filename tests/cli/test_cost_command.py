"""``chainrule cost``: of formulas, programs, and functions in modules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import chainrule
from chainrule.autodiff.elimination_files import GraphFile
from chainrule.cli import main

GRAPHS = Path(__file__).parents[1] / "graphs"
EXAMPLES = Path(__file__).parents[2] / "examples"
PROGRAM = """
import numpy as np
import chainrule as cr

x = np.ones(4)
w = np.ones((3, 4))


def loss(w, x, scale=2.0):
    print("traced")
    return scale * cr.sum(cr.tanh(w @ x))


def by_keyword(x, *, scale):
    return x * scale

def counts(n):
    return n + 1


def unknown(z):
    return z


n = np.array([1, 2])
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture
def run(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        said = capsys.readouterr()
        return stopped.value.code, said.out, said.err

    return call


@pytest.fixture
def program():
    path = Path("program.py")
    path.write_text(PROGRAM)
    return path


def test_a_formula(run):
    status, out, err = run("cost", "(a+b)*(b+c)")
    assert (status, err) == (0, "")
    assert out.startswith("Cost of (a+b)*(b+c): 3 numbers in, 1 out, 3 steps\n")
    assert "reverse mode, 6 FLOPs with 1 sweep, against 8 FLOPs with 3 sweeps in forward mode" in out
    assert "line" not in out, "a formula has none"


def test_values_of_a_formula_do_not_matter(run):
    plain = run("cost", "(a+b)*(b+c)", "--json")
    given = run("cost", "(a+b)*(b+c)", "a=-1", "b=3", "c=4", "--json")
    assert plain == given
    ledger = json.loads(plain[1])
    assert ledger["format"] == "chainrule-cost" and ledger["cheapest"] == "reverse"
    assert [node["name"] for node in ledger["nodes"]] == ["x", "y", "f"]


def test_the_example_with_the_flux(run):
    status, out, err = run("cost", str(EXAMPLES / "roe_flux.py"), "--top", "3")
    assert status == 0
    assert out.startswith("Cost of roe_flux: 6 numbers in, 3 out, ")
    assert "roe_flux.py:" in out and "the 3 costliest of" in out
    assert "three sweeps" in err, "what the program prints is not mixed with the ledger"


def test_a_program_with_several_ledgers(run, program):
    program.write_text(
        PROGRAM + "for size in (4, 8):\n    cr.cost(lambda x: cr.sum(cr.sin(x)), np.ones(size))\n"
    )
    status, out, _ = run("cost", "program.py")
    assert status == 0 and out.count("Cost of <lambda>") == 2
    ledgers = json.loads(run("cost", "program.py", "--json")[1])["ledgers"]
    assert [ledger["numbers_in"] for ledger in ledgers] == [4, 8]


def test_arguments_of_a_program(run, program):
    program.write_text(
        PROGRAM + "import sys\ncr.cost(lambda x: cr.sum(x), np.ones(int(sys.argv[1]), np.float64))\n"
    )
    status, out, _ = run("cost", "program.py", "7")
    assert status == 0 and "7 numbers in" in out


def test_a_function_of_a_file(run, program):
    """Its arguments are its defaults, and what the file calls by their names."""
    status, out, err = run("cost", "program.py:loss", "--json")
    assert status == 0 and err == "traced\n"
    ledger = json.loads(out)
    assert ledger["name"] == "loss" and ledger["numbers_in"] == 12 + 4 + 1
    assert json.loads(run("cost", "program.py:loss", "x=1.5", "--json")[1])["error"]["type"] == "ShapeError"


def test_a_function_of_a_module(run, program):
    status, out, _ = run("cost", "program:loss")
    assert status == 0 and "Cost of loss: 17 numbers in" in out
    assert run("cost", "math:sin", "x=1.5")[0] == 2
    sys.modules.pop("program", None)


def test_a_picture(run):
    status, _, _ = run("cost", "exp(x*y)", "--svg", "cost.svg", "--theme", "dark")
    assert status == 0
    picture = Path("cost.svg").read_text(encoding="utf-8")
    assert "#171b20" in picture
    ElementTree.fromstring(picture)


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        (("missing.py",), "missing.py cannot be read", "the path of a Python file"),
        (("missing.py:f",), "missing.py cannot be read", "the path of a Python file"),
        (("missing.module:f",), "there is no module missing", "FILE.py:FUNCTION"),
        (("program.py:los",), "program.py has no function los", "did you mean loss?"),
        (("program.py:w",), "w in program.py is no function", "name a function"),
        (("program.py:unknown",), "the argument z has no value", "define z in program.py"),
        (("program.py:loss", "y=1"), "loss has no argument y", "its arguments are: w, x, scale"),
        (("program.py:by_keyword",), "by_keyword: scale is passed by keyword alone", "lambda x: by_keyword"),
        (("program.py:counts",), "counts has no floating argument", "float32 or float64"),
        (("program.py",), "program.py does not call cr.cost", "program.py:loss"),
        (("notes.txt",), "notes.txt is a file, but no Python program", ".py file"),
        (("2*3",), "2*3 is constant", "put a variable in it"),
        (("2*x", "y=1"), "the formula has no variable y", "its variables are: x"),
        (("2*x", "x"), 'expected name=value, got "x"', "quotes"),
        (("2*(x",), "", ""),
        (("2*x", "--svg", "no/such/folder.svg"), "in a folder that does not exist", "--svg FILE"),
        (("missing.json",), "missing.json: No such file", "the path of a JSON file"),
        (("notes.json",), "notes.json: no JSON", '"inputs": 2'),
        (("shapeless.json",), "shapeless.json: equations is missing", '"inputs": 2'),
        (("cyclic.json",), "cyclic.json: ", ""),
        (("graph.json", "x=1"), "a graph takes no arguments, got x=1", "the file alone"),
        (("graph.json", "--svg", "graph.svg"), "--svg is for functions", "leave out --svg"),
        (("graph.json", "--budgets", "auto"), "--budgets is for functions", "leave out --budgets"),
        (("2*x", "--theme", "sepia"), "there is no theme sepia", "--theme light"),
    ],
)
def test_refusals(run, program, arguments, said, fix):
    Path("notes.txt").write_text("notes")
    Path("notes.json").write_text("notes")
    Path("shapeless.json").write_text('{"inputs": 2}')
    cyclic = {"inputs": 1, "equations": 2, "edges": [[-1, 1], [2, 1], [1, 2]], "outputs": [2]}
    Path("cyclic.json").write_text(json.dumps(cyclic))
    status, out, _ = run("cost", *arguments, "--json")
    error = json.loads(out)["error"]
    assert status == 2
    assert said in error["message"] and fix in error["fix"]


def test_the_graph_of_a_file(run):
    status, out, _ = run("cost", str(GRAPHS / "RobotArm_6DOF.json"))
    assert status == 0
    assert "6 numbers in, 6 out" in out and "proved to be the fewest" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line[:1].islower()}
    assert rows["forward"] == ["397", "397"] and rows["markowitz"] == ["288", "288"]
    assert rows["found"] == ["221"] and rows["alphagrad"] == ["231"]
    document = json.loads(run("cost", str(GRAPHS / "RobotArm_6DOF.json"), "--json", "--seconds", "60")[1])
    graph = GraphFile.read(GRAPHS / "RobotArm_6DOF.json").graph
    assert document["format"] == "chainrule-graph-cost" and document["optimal"]
    assert graph.multiplications(document["order"]) == document["multiplications"] == 221


def test_a_search_that_had_no_time_says_so(run):
    document = json.loads(run("cost", str(GRAPHS / "RoeFlux_1d.json"), "--json", "--seconds", "0.01")[1])
    assert document["stopped"] and not document["optimal"]
    assert document["at_least"] < document["multiplications"]


def test_a_graph_with_nothing_to_eliminate(run):
    Path("flat.json").write_text('{"inputs": 1, "equations": 1, "edges": [[-1, 1]], "outputs": [1]}')
    status, out, _ = run("cost", "flat.json")
    assert status == 0 and "0 multiplications (nothing to eliminate), proved" in out and "Order" not in out


def test_a_program_that_raises(run):
    Path("broken.py").write_text("import chainrule as cr\ncr.cost(lambda x: x > 0, 1.0)\n")
    status, _, err = run("cost", "broken.py")
    assert status == 2 and "the result is bool, which has no derivative" in err and "Fix:" in err


def test_as_a_process():
    environment = {**os.environ, "PYTHONPATH": str(Path(chainrule.__file__).parents[1]), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "chainrule", "cost", "--help"],
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0 and "SCRIPT.py|FORMULA|MODULE:FUNCTION|GRAPH.json" in done.stdout
