"""Walking through both passes, forwards and back."""

import io
import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import errors
from chainrule.cli import main
from chainrule.explain import obey


def walk(formula="(a+b)*(b+c)", **values):
    return cr.steps(cr.formula(formula)(**(values or {"a": -1, "b": 3, "c": 4})))


def test_every_value_every_edge_and_where_gradients_add():
    steps = walk()
    assert [steps.describe(e) for e in steps.events] == [
        "x = a + b = −1 + 3 = 2",
        "y = b + c = 3 + 4 = 7",
        "f = x·y = 2·7 = 14",
        "∂f/∂f = 1: the backward pass begins",
        "∂f/∂x ← ∂f/∂f · ∂f/∂x = y: 1 · 7 = 7",
        "∂f/∂y ← ∂f/∂f · ∂f/∂y = x: 1 · 2 = 2",
        "∂f/∂y = 2 is complete",
        "∂f/∂b ← ∂f/∂y · ∂y/∂b: 2 · 1 = 2",
        "∂f/∂c ← ∂f/∂y · ∂y/∂c: 2 · 1 = 2",
        "∂f/∂x = 7 is complete",
        "∂f/∂a ← ∂f/∂x · ∂x/∂a: 7 · 1 = 7",
        "∂f/∂b += ∂f/∂x · ∂x/∂b: 7 · 1 = 7, added: 2 + 7 = 9",
        "∂f/∂c = 2 is complete",
        "∂f/∂b = 9 is complete, the sum of 2 terms",
        "∂f/∂a = 7 is complete",
    ]


def test_back_and_forth_gives_what_was_there():
    steps = walk()
    assert steps.current is None
    assert steps.step(12).after == 9.0
    assert steps.gradient("b") == 9.0
    assert steps.back(1).input_name == "a"
    assert steps.gradient("b") == 2.0
    assert steps.back(100) is None
    assert steps.gradient("b") is None
    assert steps.step(100).place == len(steps) - 1


@pytest.mark.parametrize(
    ("until", "place"),
    [
        ("b", 7),
        ("delta > 8", 11),
        ("abs(delta - 2) < 1e-9 and not value == 14", 6),
        ("local == 7", 4),
        ("0 < contribution <= 2", 5),
        (lambda e: e.kind == "edge" and e.input_name == "c", 8),
    ],
)
def test_it_runs_to_a_node_or_a_comparison_and_back(until, place):
    steps = walk()
    assert steps.run(until).place == place
    steps.go(len(steps))
    found = steps.run_back(until)
    assert found.place >= place
    while found is not None:
        last, found = found, steps.run_back(until)
    assert last.place == place


def test_breakpoints_stop_a_run_until_they_are_cleared():
    steps = walk()
    number = steps.break_at("y")
    steps.break_at("delta == 9")
    assert [steps.run().place for _ in range(3)] == [1, 5, 6]
    steps.clear(number)
    assert steps.run().place == 11
    steps.clear()
    assert steps.run() is None
    assert steps.position == len(steps) - 1


def test_lines_layers_and_nan():
    model = cr.models.mlp([2, 3, 1], cr.tanh, key=cr.random.key(0))
    x = np.ones((4, 2), np.float32)
    loss = cr.mean(cr.sqrt(model(x) * 0.0))
    steps = cr.steps(loss, model)
    here = "test_steps.py:" + str(loss.source.line)
    assert steps.run(here).source.line == loss.source.line
    assert steps.run("layers.0").input_name in ("layers.0.weight", "layers.0.bias")
    steps.go(-1)
    assert steps.run("isfinite(delta) == 0").phase == "backward"


def test_gradients_of_arrays_are_those_of_backward():
    x = cr.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True, name="x")
    y = cr.sum(x * x) + cr.sum(cr.exp(x))
    steps = cr.steps(y)
    steps.go(len(steps))
    y.backward()
    np.testing.assert_array_equal(steps.gradient("x"), x.grad.numpy())


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("delta >", "cannot be read"),
        ("z", "no node is called 'z'"),
        ("delta.bar()", "means nothing"),
        ("__import__('os')", "means nothing"),
        ("delta < 'a'", "means nothing"),
        ("[x for x in (1,)]", "means nothing"),
        ("1" * 400, "cannot be read"),
        ("delta < 1" + "0" * 190, ""),
    ],
)
def test_a_breakpoint_that_means_nothing(where, message):
    if message:
        with pytest.raises(errors.ArgumentError, match=message):
            walk().break_at(where)
    else:
        assert walk().run(where).phase == "backward"


def test_numbers_without_end_do_not_keep_it_busy():
    assert walk().run("delta > 9 ** 9 ** 9 ** 9") is None
    assert walk().run("value / 0 > 1").place == 0


def test_commands_as_a_person_types_them():
    said = list(
        obey(
            walk(),
            ["n\n", "\n", "r delta == 9", "p b", "b 2", "x", "r z", "break y", "R", "clear 1", "q", "n"],
        )
    )
    assert said[0].startswith("1 of 15 events")
    assert said[1].startswith("2 of 15 events")
    assert "▶   12  backward" in said[2]
    assert said[3] == "b is not computed here; its gradient so far: 9"
    assert said[4].startswith("10 of 15")
    assert "no command" in said[5]
    assert "no node is called 'z'" in said[6]
    assert said[7] == "breakpoint 1: y"
    assert said[8].startswith("9 of 15")
    assert said[9] == "0 breakpoints left"
    assert len(said) == 10


def test_json_has_all_events():
    data = json.loads(json.dumps(walk().to_dict(), allow_nan=False))
    assert len(data["events"]) == 15
    assert data["events"][11] | {"text": ""} == {
        "place": 11,
        "phase": "backward",
        "kind": "edge",
        "node": 3,
        "name": "x",
        "source": data["events"][0]["source"],
        "value": 2.0,
        "delta": 7.0,
        "input": 1,
        "input_name": "b",
        "slot": 1,
        "local": 1.0,
        "contribution": 7.0,
        "before": 2.0,
        "after": 9.0,
        "text": "",
    }


def test_the_command_reads_lines_and_writes_json(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("n\nr delta == 9\np b\nq\n"))
    with pytest.raises(SystemExit) as stopped:
        main(["step", "(a+b)*(b+c)", "a=-1", "b=3", "c=4"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out.endswith("its gradient so far: 9\n")
    with pytest.raises(SystemExit) as stopped:
        main(["step", "x^2", "x=3", "--until", "x", "--json"])
    data = json.loads(capsys.readouterr().out)
    assert data["events"][data["position"]]["input_name"] == "x"


def test_the_command_says_what_a_breakpoint_cannot_be(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["step", "x^2", "x=3", "--until", "y"])
    assert stopped.value.code == 2
    assert "no node is called 'y'" in capsys.readouterr().err
