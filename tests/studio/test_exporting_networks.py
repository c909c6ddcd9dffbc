"""Networks as files: a training recorded with the live numbers, in how much room; figures; and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import numpy as np
import pytest

from chainrule import studio
from chainrule.errors import ArgumentError, DataError
from chainrule.studio.exporting import endpoints
from chainrule.studio.exporting.network_figure import network_figure, patches, short_text
from chainrule.studio.exporting.network_svg import network_svg
from chainrule.studio.exporting.recorded_networks import training_trace
from chainrule.studio.exporting.trained import exported_network
from chainrule.studio.networks import NETWORK_TRACE, TRAINING_TRACE, Sessions
from chainrule.studio.networks.addresses import address_of, is_address, read_address
from chainrule.studio.networks.building import linears
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.questions import setting_of
from chainrule.studio.networks.replaying import Replay
from chainrule.studio.networks.training import Training
from studio.test_exporting import HOSTILE, data_of, run

PATIENCE = 60
SVG = "{http://www.w3.org/2000/svg}"
FLOWERS = "height;width;kind\n" + "".join(
    f"{i / 4};{(i * 7) % 10 + (5 if i % 2 else 0)};{'tulip' if i % 2 else 'rose'}\n" for i in range(24)
)
SMALL: dict[str, Any] = {"data": "moons", "points": 20, "layers": [2]}


def trained(update: int = 0, **options: Any) -> Training:
    training = Training(setting_of(options), frame_of)
    go(training, update)
    return training


def go(training: Training, update: int) -> dict[str, Any]:
    """The live frame after so many updates."""
    training.command({"do": "seek", "update": update})
    assert training.rest(PATIENCE)
    return training.frame()


def recorded(training: Training, packs: bool = False, **more: Any) -> dict[str, Any]:
    options = training.setting.options.to_dict()
    return training_trace(training.setting, training.view(), address_of(options), packs=packs, **more)


def answers(trace: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
    return {tuple(question): answer for question, answer in trace["recorded"]}


def frame_at(trace: dict[str, Any], update: int, point: int, *place: int | None) -> dict[str, Any]:
    """A frame as the page puts it together."""
    held = answers(trace)
    after, at = held["update", update], held["point", update, point]
    return {
        **after,
        "losses": trace["losses"],
        "sample": at["sample"],
        "weights": [{**w, **g} for w, g in zip(after["weights"], at["gradients"], strict=True)],
        "selected": held["selected", update, point, *place],
    }


# The trace.


@pytest.mark.parametrize(
    "options",
    [
        SMALL,
        {"data": "sine", "layers": [3], "batch": 16},
        {"data": "article"},
        {"data": "clouds", "layers": [3]},
    ],
)
def test_the_trace_has_what_the_live_page_shows_at_each_update(options: dict[str, Any]):
    training = trained(40, **options)
    training.command({"do": "select", "point": 0, "layer": 3, "unit": 1})
    trace = recorded(training)
    jsonschema.Draft202012Validator(TRAINING_TRACE).validate(trace)
    assert trace["updates"][0] == 0 and trace["updates"][-1] == 40 == trace["shown"]["update"]
    for update in trace["updates"]:
        live = go(training, update)
        held = frame_at(trace, update, 0, 3, 1, None)
        for part in ("pictures", "states", "losses", "sample", "weights", "selected"):
            assert held[part] == live[part], (update, part)
        assert held["status"] == {**live["status"], "speed": held["status"]["speed"]}


def test_the_digits_and_the_inputs_that_they_offer():
    training = trained(3, data="digits")
    trace = recorded(training, most=2_500_000)
    jsonschema.Draft202012Validator(TRAINING_TRACE).validate(trace)
    held = answers(trace)
    y = trace["data"]["y"]
    points = {question[2] for question in held if question[:2] == ("point", 3)}
    assert {y[point] for point in points if point in trace["data"]["tests"]} == set(range(10))
    assert set(held["update", 3]["pictures"]["wrong"]) <= points


def test_all_units_and_weights_can_be_inspected_where_the_training_is():
    training = trained(5, **SMALL)
    trace = recorded(training)
    held = answers(trace)
    sizes = trace["sizes"]
    for layer, size in enumerate(sizes, 1):
        for unit in range(1, size + 1):
            live = training.view()
            training.command({"do": "select", "point": 0, "layer": layer, "unit": unit})
            assert held["selected", 5, 0, layer, unit, None] == training.frame()["selected"]
            assert live.shot.update == 5
            for into in range(sizes[layer - 2] + 1) if layer > 1 else ():
                assert held["selected", 5, 0, layer, unit, into]["kind"] == ("weight" if into else "bias")
    assert held["formula", 5]["update"] == held["program", 5]["update"] == 5
    assert {question[2] for question in held if question[0] == "point"} == set(range(20))


def test_what_is_packed_is_the_same():
    training = trained(6, **SMALL)
    plain, packed = recorded(training, answers=300), recorded(training, packs=True, answers=300)
    jsonschema.Draft202012Validator(TRAINING_TRACE).validate(packed)
    lines = gzip.decompress(base64.b64decode(packed.pop("recorded"))).decode("utf-8").splitlines()
    held = [[json.loads(part) for part in line.split("\t")] for line in lines]
    assert held == plain.pop("recorded")
    assert packed == plain


def test_recording_leaves_the_training_alone():
    training = trained(50, **SMALL)
    go(training, 30)
    before, weights = (
        training.frame(),
        [layer.weight.numpy() for layer in linears(training.view().shot.model)],
    )
    trace = recorded(training)
    assert trace["shown"]["update"] == 30 and trace["updates"][-1] == 50
    assert training.frame() == before
    for layer, weight in zip(linears(training.view().shot.model), weights, strict=True):
        assert np.array_equal(layer.weight.numpy(), weight)
    assert go(training, 31)["status"]["furthest"] == 50


def test_updates_are_dense_at_the_beginning_and_few():
    training = trained(5000, **SMALL)
    replay = Replay(training.setting, training.view())
    steps = np.diff(replay.updates)
    assert replay.updates[:3] == [0, 1, 2] and replay.updates[-1] == 5000
    assert len(replay.updates) < 80 and steps.max() <= 256
    assert np.all(np.diff(steps[: int(np.argmax(steps))]) >= 0)


def test_answers_end_where_the_room_does():
    training = trained(60, layers=[8, 8])
    told: list[float] = []
    trace = recorded(training, most=800_000, tell=lambda count, part: told.append(part))
    assert len(json.dumps(trace, ensure_ascii=False)) < 1_000_000
    assert max(told[:-1]) <= 1 < told[-1]
    updates = trace["updates"]
    # Those that have room lie all over, each can be shown, and some room is left for what can be inspected.
    assert updates[0] == 0 and updates[-1] == 60 and any(20 < update < 40 for update in updates)
    held = answers(trace)
    assert all(("selected", update, 0, 2, 1, None) in held for update in updates)
    assert ("selected", 60, 0, 3, 8, None) in held


def test_a_training_that_left_the_finite_numbers_is_written_with_what_is_said_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    network = {
        "data": "waves",
        "layers": [4],
        "activation": "linear",
        "rate": 500,
        "optimizer": "gradient_descent",
    }
    with pytest.warns(UserWarning, match=r"the file shows update \d+, not 400. Update \d+ does not"):
        path = studio.export_network({**network, "update": 400}, tmp_path / "net.json")
    trace = json.loads(path.read_text())
    jsonschema.Draft202012Validator(TRAINING_TRACE).validate(trace)
    shown = trace["shown"]["update"]
    assert shown < 400
    problem = answers(trace)["update", shown]["status"]["problem"]
    assert "does not give finite numbers" in problem["message"] and "smaller learning rate" in problem["fix"]
    words = [f"{name}={4 if name == 'layers' else value}" for name, value in network.items()]
    assert run("studio", "--export", str(tmp_path / "net.svg"), "network", *words, "update=400") == 0
    told = capsys.readouterr()
    assert told.out.startswith("Wrote ")
    assert told.err.startswith(f"warning: the file shows update {shown}, not 400.")


# Files.


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "net.html"
    network = {**SMALL, "update": 12, "point": 3, "select": "3.1", "show": "weights"}
    return studio.export_network(network, path).read_text(encoding="utf-8")


def test_a_page_holds_the_trace_and_the_command(page: str):
    data = data_of(page)
    assert set(data) == {"trace"}
    trace = data["trace"]
    assert isinstance(trace, dict)
    jsonschema.Draft202012Validator(TRAINING_TRACE).validate(trace)
    assert trace["command"] == (
        "chainrule studio network points=20 layers=2 show=weights update=12 point=3 select=3.1"
    )
    assert trace["address"] == "#/network?points=20&layers=2&show=weights&at=12&pt=3&sel=3.1"
    assert trace["shown"] == {
        "update": 12,
        "point": 3,
        "layer": 3,
        "unit": 1,
        "into": None,
        "show": "weights",
    }
    still = page.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "2-2-1 on moons after 12 updates" in still and "<svg" in still
    assert len(page.encode()) < 5_000_000


@pytest.mark.parametrize("options", [{"layers": [16] * 6}, {"data": "digits", "layers": [16, 16]}])
def test_pages_of_large_networks_stay_small(options: dict[str, Any]):
    training = trained(40, **options)
    address = address_of(options)
    text = exported_network(training.setting, training.view(), address, "html")
    assert len(text.encode()) < 5_000_000


def test_a_page_shows_the_same_however_it_was_asked_for(tmp_path: Path):
    written = [
        studio.export_network(asked, tmp_path / f"{i}.html").read_bytes()
        for i, asked in enumerate(
            (
                {**SMALL, "update": 4, "select": "3.1"},
                "#/network?data=moons&points=20&layers=2&at=4&sel=3.1",
                "http://127.0.0.1:8123/?x=1#/network?points=20&layers=2&at=4&sel=3.1",
            )
        )
    ]
    assert written[0] == written[1] == written[2]


def test_the_question_gives_the_training_as_it_is():
    sessions = Sessions()
    training = trained(9, **SMALL)
    go(training, 7)
    name = sessions.add(training)
    ask = next(one for one in endpoints(sessions) if one.path == "/api/network/{session}/export")
    for kind, media in (
        ("html", "text/html"),
        ("json", "application/json"),
        ("svg", "image/svg+xml"),
        ("tex", "application/x-tex"),
    ):
        found = ask.answer(
            {"session": name, "as": kind, "address": "#/network?points=20&layers=2&show=gradients"}
        )
        jsonschema.validate(found, ask.gives)
        assert found["name"] == f"2-2-1-on-moons-after-7-updates.{kind}" and found["type"] == media
        if kind == "json":
            trace = json.loads(found["content"])
            assert trace["shown"]["update"] == 7 and trace["updates"][-1] == 9
            assert trace["shown"]["show"] == "gradients"
    with pytest.raises(ArgumentError, match="there is no network"):
        ask.answer({"session": "none", "as": "svg"})


def test_a_table_of_ones_own(tmp_path: Path):
    path = studio.export_network({"table": FLOWERS, "label": "kind", "update": 3}, tmp_path / "net.json")
    trace = json.loads(path.read_text())
    assert trace["options"]["data"] == "own" and trace["data"]["classes"] == ["rose", "tulip"]
    assert trace["command"] == "chainrule studio network table=FILE.csv label=kind update=3"
    again = studio.export_network(trace["address"], tmp_path / "again.json")
    assert json.loads(again.read_text()) == trace
    assert trace["table"]["text"].startswith("height,width,kind,part\n")


def test_what_chainrule_wrote_is_replaced_and_nothing_else_is(tmp_path: Path):
    for kind in ("html", "json", "svg", "tex"):
        path = tmp_path / f"mine.{kind}"
        studio.export_network(SMALL, path)
        before = path.read_bytes()
        studio.export_network({**SMALL, "update": 1}, path)
        assert path.read_bytes() != before
        path.write_text("a year of work")
        with pytest.raises(DataError, match="did not write it"):
            studio.export_network(SMALL, path)
        assert path.read_text() == "a year of work"
        studio.export_network(SMALL, path, overwrite=True)
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"layers": [99]}, "expected up to 6 hidden layers"),
        ({"dta": "moons"}, "a network has no 'dta'"),
        ({"update": -1}, "update: expected a whole number"),
        ({"update": "9" * 5000}, "update: expected a whole number"),
        ({"update": 2.5}, "update: expected a whole number"),
        ({"select": "x"}, r"select: expected layer\.unit"),
        ({"select": "9.1"}, "there is no layer 9"),
        ({"select": "2.1.7"}, "has no weight 7"),
        ({"point": 10**9}, "point: expected a whole number"),
        ({"point": 999}, "there is no example 999"),
        ({"show": "all"}, "show: there is no 'all'"),
        ({"data": "own"}, "own data needs a table"),
        ({"data": "moons", "table": FLOWERS}, "table: the data is 'moons'"),
        ({"label": "kind"}, "label: there is no table"),
        ({"table": FLOWERS, "skip": "maybe"}, "skip: expected yes or no"),
        ({"rate": "nan"}, "the learning rate must be a number"),
        ({"seed": "1e999"}, "the seed must be a whole number"),
        ({"data": HOSTILE}, "there is no data"),
        ("#/network?own=5000&data=own", "this address is of a table that only its page has"),
        ("#/formula?f=x", "is no address of the network page"),
        ("#/network?layers=a-b", "expected the units of each hidden layer"),
        ("", "is no address of the network page"),
    ],
)
def test_what_cannot_be_is_told_and_writes_nothing(network: Any, message: str, tmp_path: Path):
    with pytest.raises(ArgumentError, match=message) as caught:
        studio.export_network(network, tmp_path / "net.svg")
    assert caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_table_that_cannot_be_used_is_told_with_its_line(tmp_path: Path):
    broken = FLOWERS.replace("0.5;", "half;", 1)
    with pytest.raises(DataError, match="line"):
        studio.export_network({"table": broken, "label": "kind"}, tmp_path / "net.html")
    assert not list(tmp_path.iterdir())


def test_hostile_names_stay_text(tmp_path: Path):
    table = FLOWERS.replace("tulip", "</script><b>").replace("kind", "<!--k")
    path = studio.export_network({"table": table, "label": "<!--k", "update": 2}, tmp_path / "net.html")
    text = path.read_text(encoding="utf-8")
    assert "</script><b>" not in text and "<!--k" not in text
    trace = data_of(text)["trace"]
    assert isinstance(trace, dict) and "</script><b>" in trace["data"]["classes"]


def test_addresses():
    assert is_address("http://localhost:1/#/network") and is_address("#/network?x") and is_address("#network")
    assert not any(
        map(is_address, ("network", "x#/network", "#/networks", "http://a/network", "#/model?network"))
    )
    found = read_address("#/network?data=digits&layers=none&biases=no&batch=8&noise=0.5&at=3&pt=2")
    assert found.options == {"data": "digits", "layers": [], "biases": False, "batch": 8, "noise": 0.5}
    assert found.update == 3 and found.selection is not None and found.selection.point == 2
    assert read_address(found.fragment).state == found.state


# Figures.


def test_a_figure_has_the_numbers_of_the_frame():
    frame = trained(20, **SMALL).frame()
    figure = network_figure(frame)
    assert [(unit.layer, unit.unit) for unit in figure.units] == [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]
    for unit in figure.units[2:4]:
        row = frame["sample"]["layers"][0]
        assert unit.value == short_text(row["a"][unit.unit - 1], 8)
        assert unit.delta == f"δ\u2009{short_text(row['delta'][unit.unit - 1], 6)}"
    weights = [np.array(layer["w"]) for layer in frame["weights"]]
    for road in figure.roads:
        w = weights[road.layer - 1][road.start, road.end]
        lane = next(lane for lane in road.lanes if lane.hue == "val-line")
        assert lane.negative == (w < 0)
        largest = max(np.abs(layer).max() for layer in weights)
        assert lane.width == pytest.approx(0.5 + 4.2 * np.sqrt(abs(w) / largest))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("data", ["moons", "sine", "digits", "article", "clouds"])
def test_svg_is_of_plain_shapes(data: str, theme: Any, tmp_path: Path):
    path = studio.export_network({"data": data, "update": 2}, tmp_path / "net.svg", theme=theme)
    root = ElementTree.parse(path).getroot()
    kinds = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert kinds <= {"svg", "title", "desc", "g", "rect", "path", "text", "clipPath"}
    assert not re.search(r"NaN|inf|style=|<image|href", path.read_text(encoding="utf-8"))
    said = root.findtext(f"{SVG}desc") or ""
    assert "value" in said and "delta" in said


def test_figures_in_one_document_have_ids_of_their_own():
    """A notebook on a web page holds them side by side; a clip of another one would cut units away."""
    first, second = (
        network_svg(network_figure(trained(1, layers=[size]).frame()), "title") for size in (2, 3)
    )
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, second)]
    assert len(ids[0]) == 7 and not ids[0] & ids[1]
    for text, own in zip((first, second), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", text)) < own


def test_figures_show_weights_or_gradients_alone(tmp_path: Path):
    frame = trained(5, **SMALL).frame()
    hues = {
        show: {lane.hue for road in network_figure(frame, show).roads for lane in road.lanes}
        for show in ("both", "weights", "gradients")
    }
    assert hues == {"both": {"val-line", "grad-line"}, "weights": {"val-line"}, "gradients": {"grad-line"}}
    for width in (0, float("nan"), 1e9, -5):
        with pytest.raises(ArgumentError, match="width: expected a number of pixels"):
            network_figure(frame, "both", width)


@pytest.mark.parametrize("data", ["moons", "sine", "digits"])
def test_tikz_is_closed_and_has_the_numbers(data: str, tmp_path: Path):
    drawn = studio.export_network({"data": data, "update": 3}, tmp_path / "net.tex").read_text(
        encoding="utf-8"
    )
    body = re.sub(r"%.*|\\[{}]", "", drawn)
    assert body.count("{") == body.count("}")
    begun, ended = (re.findall(rf"\\{word}\{{(\w+)\}}", drawn) for word in ("begin", "end"))
    assert sorted(begun) == sorted(ended)
    body = re.sub("%.*", "", drawn)
    assert body.isascii() and r"$\delta\," in body
    assert all(name in drawn for name in ("inputs", "output")) and "gradient " in drawn


def test_patches_cover_what_is_not_paper():
    values = np.random.default_rng(0).uniform(-1, 1, (9, 7))
    found = np.zeros((9, 7))
    for patch in patches(values):
        rows = slice(round(patch.top * 9), round((patch.top + patch.height) * 9))
        columns = slice(round(patch.left * 7), round((patch.left + patch.width) * 7))
        assert not found[rows, columns].any()
        found[rows, columns] = patch.shade
    assert np.array_equal(found, np.rint(values * 8))


# The command.


def test_the_command_writes_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    Path("flowers.csv").write_text(FLOWERS, encoding="utf-8")
    words = ["network", "points=20", "layers=2", "update=3"]
    assert run("studio", "--export", "a.html", *words) == 0
    size = Path("a.html").stat().st_size
    assert capsys.readouterr().out == f"Wrote a.html, {size:,} bytes.\n"
    assert (
        run("studio", "--export", "b.svg", "#/network?points=20&layers=2&at=3", "--theme", "dark", "--json")
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "path": "b.svg",
        "kind": "svg",
        "type": "image/svg+xml",
        "bytes": Path("b.svg").stat().st_size,
    }
    assert run("studio", "--export", "c.json", "network", "table=flowers.csv", "label=kind", "--json") == 0
    trace = json.loads(Path("c.json").read_text())
    jsonschema.Draft202012Validator(NETWORK_TRACE["properties"]["losses"]).validate(trace["losses"])
    assert trace["data"]["features"] == ["height", "width"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["out.png", "network"], "out.png does not say what to write"),
        (
            ["out.svg", "network", "layers=99"],
            "layers: expected up to 6 hidden layers of 1 to 16 units, got [99]",
        ),
        (
            ["out.svg", "network", "layers=8,8"],
            "layers: expected the units of each hidden layer, got '8,8'",
        ),
        (["out.svg", "network", "select=9.9"], "there is no layer 9"),
        (["out.svg", "network", "select=2.1.9"], "unit 1 of layer 2 has no weight 9"),
        (["out.svg", "network", "point=999"], "there is no example 999"),
        (
            ["out.svg", "network", f"table={__file__}", "titled=perhaps"],
            "titled: expected yes or no, got 'perhaps'",
        ),
        (["out.svg", "network", "moons"], 'expected name=value, got "moons"'),
        (["out.svg", "network", "table=none.csv"], "table: there is no file 'none.csv'"),
        (["out.svg", "network", "--step", "3"], "--step is for formulas"),
        (["out.svg", "network", "--theme", "blue"], "there is no theme 'blue'"),
        (["out.svg", "#/model?of=run:first"], "#/model?of=run:first is no address of the network page"),
    ],
)
def test_the_command_refuses(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    assert run("studio", "--export", *arguments, "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["message"] == message
    assert not list(tmp_path.iterdir())
