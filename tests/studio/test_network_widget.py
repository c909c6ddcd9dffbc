"""A network in a cell: trained, rewound, and shared by a page and Python."""

from __future__ import annotations

import json
import queue
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ChainruleError, DataError
from chainrule.studio.exporting.colours import palette
from studio.cells import Page, needs_anywidget, until

FLOWERS = "height,width,kind\n" + "\n".join(f"{i},{i % 7},{'tulip' if i % 2 else 'rose'}" for i in range(24))


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
