"""What is live: the newest frame as often as there is one, commands, mistakes, and clients that leave."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from chainrule.errors import ArgumentError
from chainrule.studio.endpoints import Live
from chainrule.studio.serving import Limits
from studio.servers import Client, running


class Counting:
    """A training that counts: each command ``{"to": n}`` is a new version."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.version = 0
        self.watchers = 0
        self.frames = 0
        self.text = "δ"
        self.unwell: Exception | None = None

    def watch(self) -> None:
        with self._changed:
            self.watchers += 1

    def unwatch(self) -> None:
        with self._changed:
            self.watchers -= 1

    def command(self, message: Mapping[str, Any]) -> None:
        if message["to"] == 13:
            raise ArgumentError("13 is refused", fix="take 12")
        if message["to"] == 666:
            raise KeyError("lost")
        self.count_to(message["to"])

    def count_to(self, version: int) -> None:
        with self._changed:
            self.version = version
            self._changed.notify_all()

    def wait(self, version: int, timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.version != version, timeout)

    def frame(self) -> Mapping[str, Any]:
        if self.unwell is not None:
            raise self.unwell
        self.frames += 1
        return {"version": self.version, "loss": float("nan"), "text": self.text}


SESSIONS: dict[str, Counting] = {}
TO = {"properties": {"to": {"type": "integer", "minimum": 0}, "data": {"type": "string"}}, "required": ["to"]}


def find(session: str) -> Counting:
    if session not in SESSIONS:
        raise ArgumentError(f"there is no session {session!r}", fix="open a new one")
    return SESSIONS[session]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    live = Live("/api/count/{session}/live", "Counts.", find, TO, {"type": "object"})
    with running([live], limits=Limits(message=10_000, sockets=4)) as client:
        yield client


@pytest.fixture
def training() -> Iterator[Counting]:
    SESSIONS["s"] = Counting()
    yield SESSIONS["s"]
    until(lambda: SESSIONS["s"].watchers == 0)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def told(live: ClientConnection) -> Any:
    return json.loads(live.recv(20), parse_constant=lambda c: pytest.fail(c))


def test_the_first_frame_comes_at_once_and_others_at_each_version(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live:
        assert told(live) == {"version": 0, "loss": "NaN", "text": "δ"}
        assert training.watchers == 1
        for version in (1, 2, 7):
            live.send(json.dumps({"to": version}))
            assert told(live)["version"] == version
        with pytest.raises(TimeoutError):
            live.recv(0.5)
    until(lambda: training.watchers == 0)


def test_who_reconnects_gets_the_newest_frame(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live:
        told(live)
    training.count_to(99)
    with client.live("/api/count/s/live") as live:
        assert told(live)["version"] == 99


def test_two_pages_see_the_same_training(client: Client, training: Counting):
    with client.live("/api/count/s/live") as first, client.live("/api/count/s/live") as second:
        assert told(first) == told(second)
        assert training.watchers == 2
        first.send('{"to": 5}')
        assert told(second)["version"] == told(first)["version"] == 5


def test_frames_that_nobody_could_see_are_left_out(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live:
        told(live)
        began = time.monotonic()
        for version in range(1, 20_001):
            training.count_to(version)
        seen = [0]
        while seen[-1] != 20_000:
            seen.append(told(live)["version"])
        took = time.monotonic() - began
    assert seen == sorted(seen)
    assert training.frames <= 3 + 30 * took


def test_no_frames_are_made_for_a_client_that_does_not_read(client: Client, training: Counting):
    training.text = "x" * 4_000_000
    with client.live("/api/count/s/live", max_queue=1) as live:
        for version in range(1, 61):  # more than the buffers of the connection take
            training.count_to(version)
            time.sleep(0.04)
        assert training.frames < 30
        while told(live)["version"] != 60:
            pass


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", "the body is no JSON"),
        ("{", "the body is no JSON"),
        ("[1]", "the message must be a JSON object, got [1]"),
        ("3", "the message must be a JSON object, got 3"),
        ("{}", "there is no to"),
        ('{"to": "x"}', 'to must be a whole number, got "x"'),
        ('{"to": -1}', "to must be at least 0, got -1"),
        ('{"to": NaN}', "JSON has no NaN"),
        ('{"to": 1, "extra": 2}', "there is no argument 'extra'"),
        ('{"to": 1, "data": "\\u0000"}', "a character that no text has"),
        ("[" * 9_000, "the body is nested too deeply"),
        (b"\x00\x01", "the message is binary"),
        ('{"to": 13}', "13 is refused"),
        ('{"to": 666}', "'lost'"),
    ],
)
def test_a_mistake_is_told_and_the_socket_stays_open(
    client: Client, training: Counting, message: str | bytes, says: str
):
    with client.live("/api/count/s/live") as live:
        told(live)
        live.send(message)
        error = told(live)["error"]
        assert says in error["message"]
        assert error["fix"] or error["type"] == "KeyError"
        live.send('{"to": 4}')
        assert told(live)["version"] == 4


def test_a_message_that_is_too_large_ends_its_socket_only(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live, client.live("/api/count/s/live") as other:
        told(live), told(other)
        live.send(json.dumps({"to": 1, "data": "x" * 20_000}))
        with pytest.raises(ConnectionClosed) as closed:
            live.recv(20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        other.send('{"to": 2}')
        assert told(other)["version"] == 2


def test_a_session_that_is_gone(client: Client):
    with client.live("/api/count/none/live") as live:
        assert told(live)["error"]["message"] == "there is no session 'none'"
        with pytest.raises(ConnectionClosed) as closed:
            live.recv(20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4404


def test_a_frame_that_cannot_be_made_is_told(client: Client, training: Counting):
    training.unwell = ArgumentError("the loss is lost", fix="rewind")
    with client.live("/api/count/s/live") as live:
        assert told(live)["error"]["message"] == "the loss is lost"
        training.unwell = None
        training.count_to(1)
        assert told(live)["version"] == 1
        training.unwell = KeyError("lost")
        training.count_to(2)
        assert told(live)["error"] == {"type": "KeyError", "message": "'lost'", "fix": None}


def test_there_is_an_end_to_sockets(client: Client, training: Counting):
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            told(stack.enter_context(client.live("/api/count/s/live")))
        with client.live("/api/count/s/live") as fifth:
            assert told(fifth)["error"]["message"] == "4 pages are connected already"
            with pytest.raises(ConnectionClosed) as closed:
                fifth.recv(20)
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1013
    until(lambda: training.watchers == 0)
    with client.live("/api/count/s/live") as live:
        assert told(live)["version"] == 0


def test_a_client_that_vanishes_watches_no_more(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live:
        told(live)
        # a reset, without a word of WebSocket
        live.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        live.socket.close()
        until(lambda: training.watchers == 0)


def test_pings_are_answered(client: Client, training: Counting):
    with client.live("/api/count/s/live") as live:
        told(live)
        assert live.ping().wait(20)


def test_the_server_stops_while_a_page_is_connected():
    SESSIONS["s"] = training = Counting()
    live = Live("/api/count/{session}/live", "Counts.", find, TO, {"type": "object"})
    with contextlib.ExitStack() as pages:
        with running([live]) as client:
            connected = pages.enter_context(client.live("/api/count/s/live"))
            told(connected)
        with pytest.raises(ConnectionClosed) as closed:
            connected.recv(20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1012
    until(lambda: training.watchers == 0)
