"""The widgets in Python: state is checked, and what a page asks is answered; tests/browser shows them in Jupyter."""

from __future__ import annotations

import importlib.util
import itertools
import json
import math
import queue
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DataError, FormulaError
from chainrule.studio.exporting.colours import palette
from chainrule.studio.models import examine
from chainrule.studio.notebooks.busy import Cells
from chainrule.train.plan import Plan
from chainrule.train.starting import begin

needs_anywidget = pytest.mark.skipif(
    importlib.util.find_spec("anywidget") is None,
    reason="anywidget is not installed: pip install -e '.[notebook]'",
)
FLOWERS = "height,width,kind\n" + "\n".join(f"{i},{i % 7},{'tulip' if i % 2 else 'rose'}" for i in range(24))


class Page:
    """A page in a cell: sends what it sends, and hears what is sent to it."""

    def __init__(self, widget: Any, slow: bool = False) -> None:
        self.widget, self.slow = widget, slow
        self.closed: set[str] = set()
        self._names = map(str, itertools.count())
        self._heard: dict[str, queue.Queue[Any]] = {}
        widget.send = self._hear

    def _hear(self, message: dict[str, Any], buffers: list[bytes]) -> None:
        kinds = ("answer", "opened", "told", "shut", "there", "here")
        (name,) = (message[kind] for kind in kinds if kind in message)
        if "there" in message:
            if name not in self.closed:
                self.tell({"seen": name})
            return
        body = json.loads(buffers[0], parse_constant=pytest.fail) if buffers else None
        if name in self._heard:
            self._heard[name].put((message, body))

    def _listen(self, message: dict[str, Any], kind: str) -> str:
        name = next(self._names)
        self._heard[name] = queue.Queue()
        self.tell({kind: name, **message})
        return name

    def tell(self, message: Any) -> None:
        self.widget._asked(self.widget, message, [])

    def hear(self, name: str, timeout: float = 30) -> Any:
        return self._heard[name].get(timeout=timeout)

    def asked(self, method: str, path: str, **arguments: Any) -> Any:
        """The answer to a question, or the error."""
        told = {"query": urlencode(arguments)} if method == "GET" else {"body": json.dumps(arguments)}
        message, body = self.hear(self._listen({"method": method, "path": path, **told}, "ask"))
        assert message["status"] == 200 or body["error"]["message"]
        return body

    def live(self, session: str) -> str:
        """A socket that is open."""
        name = self._listen({"path": f"/api/network/{session}/live"}, "open")
        assert "opened" in self.hear(name)[0]
        return name

    def frame(self, name: str, timeout: float = 30) -> Any:
        """The next frame, which is seen."""
        message, body = self.hear(name, timeout)
        assert "told" in message
        self.tell({"seen": name})
        return body


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def widget() -> Iterator[Any]:
    made = cr.studio.widget("(a+b)*(b+c)", a=-1, b=3, c=4)
    yield made
    made.close()


@pytest.fixture
def network() -> Iterator[Any]:
    made = cr.studio.network_widget("circles", (4,), points=60)
    yield made
    made.close()


@pytest.fixture
def model() -> Iterator[Any]:
    recipe = cr.models.digits_classifier()
    x, y = recipe.data.train_x[:32], recipe.data.train_y[:32]
    made = cr.studio.model_widget(recipe.model, recipe.loss, x, y)
    made.wait()
    yield made
    made.close()


# A formula.


@needs_anywidget
def test_what_is_shown_can_be_read(widget: Any):
    assert widget.text == "(a+b)*(b+c)"
    assert widget.values == {"a": -1, "b": 3, "c": 4}
    assert (widget.step, widget.selected, widget.mode) == (None, "", "reverse")
    assert widget.trace.to_dict()["nodes"][widget.trace.result]["value"] == 14


@needs_anywidget
def test_formulas_are_taken_as_such_and_missing_values_are_usual_ones():
    widget: Any = cr.studio.widget(cr.formula("x*y"), {"y": 5})
    assert widget.text == "x*y" and widget.values == {"x": 1, "y": 5}


@needs_anywidget
def test_another_text_keeps_the_values_of_variables_that_it_still_has(widget: Any):
    widget.text = "b^2 + q"
    assert widget.values == {"b": 3, "q": 2}


@needs_anywidget
def test_another_formula_keeps_its_step_as_far_as_it_has_one(widget: Any):
    widget.step = 9
    widget.text = "a*b*c"
    assert widget.step is None and widget.still().startswith("<svg")
    widget.step = 2
    widget.text = "b^2 + q"
    assert widget.step == 2
    widget.mode, widget.step = "forward", 8
    widget.mode = "reverse"
    assert widget.step is None and widget.still().startswith("<svg")


@needs_anywidget
def test_values_that_are_not_given_stay(widget: Any):
    widget.values = {"a": 5}
    assert widget.values == {"a": 5, "b": 3, "c": 4}


@needs_anywidget
def test_what_cannot_be_is_refused_and_the_state_stays(widget: Any):
    with pytest.raises(FormulaError):
        widget.text = "(a+"
    with pytest.raises(ArgumentError, match="no variable"):
        widget.values = {"q": 1}
    with pytest.raises(ArgumentError, match="expected a number for b, got 'much'"):
        widget.values = {"b": "much"}
    with pytest.raises(ArgumentError, match="steps go from 0 to 12"):
        widget.step = 99
    assert widget.step is None
    assert widget.text == "(a+b)*(b+c)" and widget.values == {"a": -1, "b": 3, "c": 4}
    for mistake in ({"step": 99}, {"mode": "sideways"}, {"z": 1}):
        with pytest.raises(ArgumentError):
            cr.studio.widget("x*x", **mistake)


@needs_anywidget
def test_state_from_the_page_arrives_as_numbers(widget: Any):
    widget.set_state({"text": "x*y", "values": {"x": "NaN", "y": 2}, "step": 3, "selected": "x"})
    assert math.isnan(widget.values["x"]) and widget.values["y"] == 2
    assert widget.get_state("values")["values"] == {"x": "NaN", "y": 2}
    assert (widget.text, widget.step, widget.selected) == ("x*y", 3, "x")


@needs_anywidget
def test_the_page_gets_what_the_server_would_answer(widget: Any):
    page = Page(widget)
    trace = page.asked("POST", "/api/formula", text="x*x", values={"x": 3})
    assert trace["nodes"][0]["gradient"] == 6
    paths = page.asked("GET", "/api/formula/paths", text="x*x", at="x=3", node="x")
    assert paths["count"] == "2"
    assert page.asked("GET", "/api/formula/examples")[0]["text"] == "(a+b)*(b+c)"


@needs_anywidget
def test_mistakes_are_answered_too(widget: Any):
    page = Page(widget)
    error = page.asked("POST", "/api/formula", text="(a+", values={})["error"]
    assert error["type"] == "FormulaError" and error["at"] == 3
    assert "text must be text, got 7" in page.asked("POST", "/api/formula", text=7)["error"]["message"]
    assert "Not Found" in page.asked("GET", "/api/network/choices")["error"]["message"]


@needs_anywidget
@pytest.mark.parametrize(
    "nonsense", [None, 7, "ask", [], {}, {"ask": 7}, {"say": "9", "text": "x"}, {"shut": "9"}]
)
def test_messages_that_are_none_do_no_harm(widget: Any, nonsense: Any):
    page = Page(widget)
    page.tell(nonsense)
    assert page.asked("GET", "/api/formula/examples")


@needs_anywidget
def test_the_view_is_exported(widget: Any, tmp_path: Path):
    widget.step = 2
    page = widget.export(tmp_path / "view.html").read_text(encoding="utf-8")
    assert '"state":{"step":"2"}' in page


# All of them.


@needs_anywidget
@pytest.mark.parametrize("kind", ["widget", "network", "model"])
def test_where_no_widget_can_be_there_is_a_figure(kind: str, request: pytest.FixtureRequest):
    data, *_ = request.getfixturevalue(kind)._repr_mimebundle_()
    assert data["image/svg+xml"].startswith("<svg") and "application/vnd.jupyter.widget-view+json" in data
    assert (
        data["text/plain"]
        == {
            "widget": "<FormulaWidget: (a+b)*(b+c), a=-1, b=3, c=4>",
            "network": "<NetworkWidget: circles, hidden layers [4]>",
            "model": "<ModelWidget: Sequential, ready>",
        }[kind]
    )


@needs_anywidget
@pytest.mark.parametrize(
    ("kind", "page"), [("widget", "formula"), ("network", "network"), ("model", "model")]
)
def test_its_script_and_sheet_ask_for_nothing_else(kind: str, page: str, request: pytest.FixtureRequest):
    found = request.getfixturevalue(kind)
    for text in (found._esm, found._css):
        assert "http://127" not in text and "@import" not in text
    assert re.search(rf"export default \{{ render: linked\d+\.{page}InCell \}};\n$", found._esm)


@needs_anywidget
@pytest.mark.parametrize("kind", ["widget", "network", "model"])
def test_nothing_but_its_own_is_reachable(kind: str, request: pytest.FixtureRequest):
    page = Page(request.getfixturevalue(kind))
    own = {"widget": "formula", "network": "network", "model": "models"}[kind]
    for path in {"formula/examples", "network/choices", "models"} - {
        f"{own}/examples",
        f"{own}/choices",
        own,
    }:
        assert "Not Found" in page.asked("GET", f"/api/{path}")["error"]["message"]
    assert "Not Found" in page.asked("GET", "/api")["error"]["message"]
    told = page.asked("POST", "/api/models", example="digits")["error"]["message"]
    assert "Not Found" in told or "Method Not Allowed" in told


@needs_anywidget
def test_it_is_known_whether_a_cell_runs():
    from IPython.core.events import EventManager, available_events

    shell, cells = SimpleNamespace(events=EventManager(None, available_events)), Cells()
    cells.follow(shell)
    cells.follow(shell)
    assert cells.runs  # it is a cell that makes a widget
    for event, runs in (("post_run_cell", False), ("pre_run_cell", True), ("post_run_cell", False)):
        shell.events.trigger(event, None)
        assert cells.runs == runs


def test_without_anywidget_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    for make in (cr.studio.widget, cr.studio.network_widget, cr.studio.model_widget):
        with pytest.raises(ArgumentError) as caught:
            make("x*x")
        assert caught.value.fix == "pip install 'chainrule[notebook]'"


def test_the_studio_has_no_other_names():
    with pytest.raises(AttributeError):
        _ = cr.studio.no_such_thing
    assert {"export", "widget", "network_widget", "model_widget"} <= set(cr.studio.__all__)


# A network.


@needs_anywidget
def test_a_network_is_trained_and_rewound_to_the_same_bits(network: Any):
    assert (network.update, network.running) == (0, False)
    network.update = 60
    assert network.wait(60) and network.update == 60
    weights = [p.numpy() for p in network.model.parameters().values()]
    network.update = 7
    assert network.wait(60) and network.frame["status"]["furthest"] == 60
    network.update = 60
    assert network.wait(60)
    again = [p.numpy() for p in network.model.parameters().values()]
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))


@needs_anywidget
def test_the_model_that_is_given_is_of_its_own(network: Any):
    before = network.frame["weights"][0]["w"]
    network.model.layers[0].weight = cr.tensor(np.full((2, 4), 99.0))
    network.selected = (2, 2)
    assert network.frame["weights"][0]["w"] == before


@needs_anywidget
def test_options_that_are_not_given_stay_and_other_data_has_its_own(network: Any):
    network.options = {"rate": 0.5}
    assert (network.options["rate"], network.options["layers"], network.options["data"]) == (
        0.5,
        [4],
        "circles",
    )
    network.options = {"data": "digits"}
    assert network.options["layers"] == [] and network.frame["sizes"] == [64, 10]


@needs_anywidget
def test_options_that_were_left_bring_their_training_back(network: Any):
    first = dict(network.options)
    network.update = 20
    network.wait(60)
    network.options = {"layers": [3, 3]}
    assert network.update == 0
    network.options = first
    assert network.update == 20


@needs_anywidget
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("options", {"layers": [99]}, "hidden layers of 1 to 16"),
        ("options", {"data": "moon"}, "no data"),
        ("options", {"depth": 3}, "no option"),
        ("options", {"data": "own"}, "needs a table"),
        ("selected", (9, 1), "layer must be"),
        ("selected", (2,), "expected layer and unit"),
        ("point", 60, "point must be"),
        ("update", -1, "update must be"),
        ("table", {"text": 3}, "expected text"),
        ("table", 3, "expected text"),
        ("table", "a\nb\n", "column"),
        ("table", "no-such-file.csv", "there is no file"),
    ],
)
def test_what_is_no_network_is_refused_and_the_state_stays(network: Any, name: str, value: Any, said: str):
    before = network.get_state()
    with pytest.raises(ChainruleError, match=said):
        setattr(network, name, value)
    assert network.get_state() == before and network.update == 0
    if name != "update":
        with pytest.raises(ChainruleError, match=said):
            cr.studio.network_widget(points=60, **(value if name == "options" else {name: value}))


@needs_anywidget
def test_a_selection_that_another_network_does_not_have_is_given_up(network: Any):
    network.selected, network.point = (2, 4), 50
    network.options = {"layers": [2], "points": 20}
    assert (network.selected, network.point) == ([2, 1], 0)


@needs_anywidget
def test_own_data_comes_as_text_as_a_file_and_with_names(network: Any, tmp_path: Path):
    network.table = FLOWERS
    assert network.options["data"] == "own" and network.frame["sizes"][0] == 2
    file = tmp_path / "flowers.csv"
    file.write_text(FLOWERS, encoding="utf-16")
    of_file: Any = cr.studio.network_widget(table=file)
    assert of_file.table == {"text": FLOWERS} and of_file.options == network.options
    one: Any = cr.studio.network_widget(
        table={"text": FLOWERS, "inputs": ["width"], "label": "kind"}, layers=(3,), rate=0.1
    )
    assert (one.frame["sizes"], one.options["rate"]) == ([1, 3, 1], 0.1)
    one.table = FLOWERS.replace("tulip", "3").replace("rose", "7.5")  # the loss is none for numbers
    assert one.options["loss"] == "squared"
    one.table = None
    assert one.options["data"] == "moons" and one.frame["sizes"][0] == 2
    with pytest.raises(DataError):
        cr.studio.network_widget(table=tmp_path)


@needs_anywidget
def test_a_first_line_that_is_no_title_is_data(network: Any):
    untitled = {"text": "a,b,c\n" + FLOWERS, "titled": False, "skip": True}
    untitled |= {"inputs": ["column 1", "column 2"], "label": "column 3"}
    network.table = untitled
    assert network.table == untitled and len(network.frame["sample"]["x"]) == 2
    page = Page(network)
    of_page = {**untitled, "inputs": ["column 1"]}
    assert page.asked("POST", "/api/network", options={}, table=of_page)["frame"]["sizes"][0] == 1


@needs_anywidget
def test_a_network_that_was_closed_says_so(network: Any):
    network.close()
    with pytest.raises(ArgumentError, match="this widget was closed"):
        network.update = 3


@needs_anywidget
def test_a_network_is_written_as_it_is_trained(network: Any, tmp_path: Path):
    w = network
    w.update = 20
    assert w.wait(60)
    trace = json.loads(w.export(tmp_path / "net.json").read_text(encoding="utf-8"))
    assert trace["kind"] == "training" and "at=20" in trace["address"]
    w.table = "u,v,kind\n" + "".join(f"{i},{i * i % 7},{'ab'[i % 2]}\n" for i in range(20))
    picture = w.export(tmp_path / "net.svg", theme="dark").read_text(encoding="utf-8")
    assert palette("dark")["surface"] in picture
    assert picture.count("<clipPath") == sum(
        w.frame["sizes"]
    )  # each unit of the table's network has its card
    with pytest.raises(ArgumentError, match="does not say what to write"):
        w.export(tmp_path / "net.docx")


@needs_anywidget
def test_page_and_python_share_one_training(network: Any):
    page = Page(network)
    made = page.asked("POST", "/api/network", options=network.options)
    live = page.live(made["session"])
    assert page.frame(live)["status"]["update"] == 0
    page.tell({"say": live, "text": json.dumps({"do": "seek", "update": 12})})
    until(lambda: network.update == 12)
    network.update = 20
    while page.frame(live)["status"]["update"] != 20:
        pass
    other = page.asked("POST", "/api/network", options={**network.options, "layers": [2]})
    page.live(other["session"])
    network.set_state({"options": other["options"]})  # as the page then says
    assert network.frame["sizes"] == [2, 2, 1] and len(network._networks.sessions) == 2


@needs_anywidget
def test_a_mistake_on_a_socket_is_told_and_the_socket_stays(network: Any):
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    page.frame(live)
    for text, said in (
        ("{", "no JSON"),
        ('{"do": "fly"}', "do must be"),
        ('{"do": "speed", "value": 7}', "none of"),
    ):
        page.tell({"say": live, "text": text})
        while "error" not in (frame := page.frame(live)):
            pass
        assert said in frame["error"]["message"]
    page.tell({"say": live, "text": '{"do": "seek", "update": 3}'})
    until(lambda: network.update == 3)


@needs_anywidget
def test_a_network_that_is_not_there_is_closed(network: Any):
    page = Page(network)
    live = page.live("nobody")
    assert "there is no network" in page.hear(live)[1]["error"]["message"]
    assert page.hear(live)[0]["code"] == 4404


@needs_anywidget
def test_who_sends_too_much_is_hung_up_on(network: Any, monkeypatch: pytest.MonkeyPatch):
    page = Page(network)
    session = page.asked("POST", "/api/network", options=network.options)["session"]
    long, many = page.live(session), page.live(session)
    page.tell({"say": long, "text": " " * (2**20 + 1)})
    monkeypatch.setattr("chainrule.studio.notebooks.messages.MOST_WAITING", 0)
    page.tell({"say": many, "text": '{"do": "pause"}'})
    for live, code in ((long, 1009), (many, 1008)):
        while "shut" not in (message := page.hear(live)[0]):
            pass
        assert message["code"] == code


@needs_anywidget
def test_a_slow_page_gets_fewer_frames_and_the_newest(network: Any):
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    page.tell({"say": live, "text": '{"do": "seek", "update": 400}'})
    until(lambda: network.update == 400)
    found = [page.hear(live) for _ in range(2)]
    with pytest.raises(queue.Empty):
        page.hear(live, 1.5)
    for _ in found:
        page.tell({"seen": live})
    while page.frame(live)["status"]["update"] != 400:
        pass


@needs_anywidget
def test_training_goes_on_while_somebody_looks_and_ends_with_the_widget(network: Any):
    with pytest.raises(ArgumentError, match="shown nowhere"):
        network.train()
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    page.frame(live)
    network.train()
    until(lambda: network.update > 3)
    assert network.running
    network.pause()
    assert network.wait(30) and not network.running
    network.train()
    training = network._networks.training
    network.close()
    assert training.rest(30) and not training.view().status.running
    until(lambda: not training.watched)


@needs_anywidget
def test_training_ends_when_the_page_has_left(network: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.studio.networks.training.GRACE", 0.2)
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    page.frame(live)
    network.train()
    until(lambda: network.update > 3)
    page.tell({"shut": live})
    assert network.wait(30) and not network.running


@needs_anywidget
def test_training_ends_when_the_page_falls_silent(network: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.studio.networks.training.GRACE", 0.2)
    monkeypatch.setattr("chainrule.studio.notebooks.messages.SILENCE", 1.0)
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    until(lambda: network._networks.training.watched)
    network.train()
    until(lambda: network.update > 3)
    assert network.wait(30) and not network.running  # nobody says that a frame was seen
    while "shut" not in (message := page.hear(live)[0]):
        pass
    assert message["code"] == 1001
    page.tell({"say": live, "text": "{}"})  # who comes back hears that the socket is gone
    assert page.hear(live)[0] == {"shut": live, "code": 1001}


@needs_anywidget
def test_while_a_cell_runs_frames_come_though_the_kernel_hears_nothing(
    network: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("chainrule.studio.notebooks.messages.is_busy", lambda: True)
    monkeypatch.setattr("chainrule.studio.notebooks.messages.PATIENCE", 0.05)
    monkeypatch.setattr("chainrule.studio.notebooks.messages.MOST_UNHEARD", 6)
    page = Page(network)
    live = page.live(page.asked("POST", "/api/network", options=network.options)["session"])
    until(lambda: network._networks.training.watched)
    network.train()
    for _ in range(6):
        assert "told" in page.hear(live)[0]
    with pytest.raises(queue.Empty):  # but not for ever
        page.hear(live, 1.0)


@needs_anywidget
def test_a_tab_that_was_closed_gives_its_place_to_the_next(network: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("chainrule.studio.notebooks.messages.SILENCE", 0.5)
    monkeypatch.setattr("chainrule.studio.notebooks.messages.PATIENCE", 0.1)
    page = Page(network)
    session = page.asked("POST", "/api/network", options=network.options)["session"]
    # As when a notebook is loaded again and again.
    stays, *closed = [page.live(session) for _ in range(8)]
    for live in (stays, *closed):
        page.frame(live)
    page.closed.update(closed)  # training is paused: they would hear nothing, nor leave anything unseen
    late = page.live(session)
    assert "8 pages are connected already" in page.frame(late)["error"]["message"]
    assert page.hear(late)[0]["code"] == 1013
    for live in closed:
        assert page.hear(live)[0] == {"shut": live, "code": 1001}
    for live in (page.live(session), stays):  # the one who stays has been asked, and is still served
        page.tell({"say": live, "text": '{"do": "step"}'})
        assert "status" in page.frame(live)


@needs_anywidget
def test_the_kernel_says_that_it_is_there_while_it_works(network: Any):
    page = Page(network)
    page._heard["me"] = queue.Queue()
    page.tell({"there": "me"})
    assert page.hear("me")[0] == {"here": "me"}


# A model.


@needs_anywidget
def test_a_model_is_looked_into(model: Any):
    page = Page(model)
    (listed,) = page.asked("GET", "/api/models")["models"]
    found = page.asked("GET", f"/api/models/{listed['id']}/graph", root="", open="layers.0")
    assert "layers.0" in found["opened"]
    assert page.asked("GET", f"/api/models/{listed['id']}/why", at="layers.0")["by"] == "why"
    assert model.trace["head"]["parameters"] == 9610 and model.findings == []
    assert "layers.0.weight" in model.why("layers.0")
    with pytest.raises(ArgumentError, match="no place is selected"):
        model.why()


@needs_anywidget
def test_the_state_of_a_model_is_read_and_set(model: Any):
    model.set_state({"at": "*", "opened": ["layers.0"], "selected": "layers.0.weight", "asked": "why"})
    assert (model.at, model.opened, model.selected, model.asked) == (
        "*",
        ["layers.0"],
        "layers.0.weight",
        "why",
    )
    assert "layers.0.weight" in model.why()
    model.at = "layers.2"
    for name in ("at", "selected"):
        with pytest.raises(ArgumentError, match="nothing called"):
            setattr(model, name, "layers.9")
    with pytest.raises(Exception, match="asked"):
        model.asked = "how"
    assert (model.at, model.selected) == ("layers.2", "layers.0.weight")


@needs_anywidget
def test_a_model_is_exported(model: Any, tmp_path: Path):
    assert json.loads(model.export(tmp_path / "m.json").read_text(encoding="utf-8"))["kind"] == "model"


@needs_anywidget
def test_an_opening_is_shown_as_it_is_and_not_ended(tmp_path: Path):
    recipe = cr.models.digits_classifier()
    opening = examine(recipe.model, recipe.loss, recipe.data.train_x[:32], recipe.data.train_y[:32])
    widget: Any = cr.studio.model_widget(opening, at="layers.0")
    assert widget.opening is opening and widget.at == "layers.0"
    widget.close()
    opening.wait()
    assert opening.doctor == "done"


@needs_anywidget
def test_what_is_no_model_is_refused(tmp_path: Path):
    for given, said in (
        ((tmp_path,), "no run"),
        (("train.py",), "is a program"),
        ((str(tmp_path), cr.nn.softmax_cross_entropy), "alone"),
        ((cr.relu, cr.nn.softmax_cross_entropy), "loss and a batch"),
    ):
        with pytest.raises(ChainruleError, match=said):
            cr.studio.model_widget(*given)


@needs_anywidget
def test_a_model_that_fails_says_so(tmp_path: Path):
    widget: Any = cr.studio.model_widget(
        cr.nn.relu if hasattr(cr.nn, "relu") else cr.relu, lambda y, t: y / 0, [1.0], [1]
    )
    widget.wait()
    assert widget.opening.state == "failed" and widget._repr_mimebundle_()[0]["image/svg+xml"].startswith(
        "<svg"
    )


@needs_anywidget
def test_work_that_a_widget_began_ends_with_it():
    began = threading.Event()

    def endless(model: Any, x: Any, y: Any) -> Any:
        began.set()
        while True:
            time.sleep(0.01)

    widget: Any = cr.studio.model_widget({"w": np.ones(2)}, endless, np.ones((2, 2)), np.ones(2))
    assert began.wait(30) and widget.opening.state == "opening"
    assert widget._repr_mimebundle_()[0]["text/plain"] == "<ModelWidget: dict, opening>"
    widget.close()
    assert widget.wait(30) and widget.opening.state == "stopped"


@needs_anywidget
def test_a_run_is_opened_alone_and_once_more(tmp_path: Path):
    for _ in begin(Plan("digits", epochs=1), tmp_path / "runs" / "first"):
        pass
    widget: Any = cr.studio.model_widget(tmp_path / "runs" / "first", at="layers.0")
    page = Page(widget)
    listing = page.asked("GET", "/api/models")
    assert [one["name"] for one in listing["models"]] == ["first"]
    assert listing["runs"] == listing["examples"] == []
    widget.wait()
    assert "loss" in widget.trace["curves"]["series"]
    again = page.asked("POST", f"/api/models/{widget.opening.key}/again")
    assert widget.opening.key == again["id"] != listing["models"][0]["id"]
    assert widget.wait(120)
    widget.close()
