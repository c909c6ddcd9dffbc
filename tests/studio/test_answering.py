"""Questions to the studio's server: arguments, answers, and everything that can be wrong with a request."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import chainrule as cr
from chainrule.errors import ArgumentError
from chainrule.studio.endpoints import Endpoint
from chainrule.studio.serving import Limits
from studio.servers import Client, running

ANY = {"type": "object"}
KEEP = threading.Event()


def spin(given: Any) -> Any:
    """Work that never ends by itself, and that takes no Exception for an answer."""
    KEEP.clear()
    try:
        while True:
            try:
                sum(range(1000))
            except Exception:
                continue
    finally:
        KEEP.set()


def ignore(given: Any) -> Any:
    """Work that does not listen at first, as where Python drops an exception."""
    with contextlib.suppress(BaseException):
        spin(given)
    KEEP.clear()
    return spin(given)


def fail(given: Any) -> Any:
    raise {"key": KeyError("lost"), "exit": SystemExit(3), "stop": StopIteration(), "empty": RuntimeError()}[
        given["how"]
    ]


def circle(given: Any) -> Any:
    found: list[Any] = []
    found.append(found)
    return found


ECHO = {
    "type": "object",
    "properties": {
        "session": {"type": "string"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
        "rate": {"type": "number", "exclusiveMinimum": 0},
        "on": {"type": "boolean"},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
        "kind": {"enum": ["relu", "tanh"]},
        "maybe": {"type": ["integer", "null"]},
        "free": {},
        "nested": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
    },
}
ENDPOINTS = [
    Endpoint("GET", "/api/echo", "What was given.", dict, ECHO, ANY),
    Endpoint("POST", "/api/echo", "What was given.", dict, ECHO, ANY),
    Endpoint("GET", "/api/echo/{session}", "What was given.", dict, ECHO, ANY),
    Endpoint("GET", "/api/echo/names", "Names.", lambda given: ["names"], {}, ANY),
    Endpoint("DELETE", "/api/echo/{session}", "What was given.", dict, ECHO, ANY),
    Endpoint("POST", "/api/echo/{session}", "What was given.", dict, {**ECHO, "required": ["count"]}, ANY),
    Endpoint(
        "GET", "/api/read", "A formula.", lambda given: cr.formula(given["f"]).variables,
        {"properties": {"f": {"type": "string"}}, "required": ["f"]}, ANY,
    ),
    Endpoint("GET", "/api/fail", "Fails.", fail, {"properties": {"how": {"type": "string"}}}, ANY),
    Endpoint("GET", "/api/circle", "No JSON.", circle, {}, ANY),
    Endpoint("GET", "/api/object", "No JSON.", lambda given: object(), {}, ANY),
    Endpoint(
        "GET", "/api/infinite", "Numbers.",
        lambda given: {"x": [float("nan"), float("inf"), -float("inf"), 1.5], "y": {"z": (float("nan"),)}}, {}, ANY,
    ),
    Endpoint("GET", "/api/large", "Much.", lambda given: list(range(200_000)), {}, ANY),
    Endpoint("GET", "/api/half", "Half a character.", lambda given: "\ud800", {}, ANY),
]  # fmt: skip


@pytest.fixture(scope="module")
def ask() -> Iterator[Client]:
    with running(ENDPOINTS, limits=Limits(body=10_000)) as client:
        yield client


def test_arguments_come_from_path_query_and_body(ask: Client):
    assert ask.get("/api/echo/s1?count=3&rate=1e-3&on=true&kind=relu").json == {
        "session": "s1", "count": 3, "rate": 0.001, "on": True, "kind": "relu",
    }  # fmt: skip
    assert ask.post("/api/echo/s1?rate=2", {"count": 4, "words": ["a"]}).json == {
        "session": "s1", "rate": 2.0, "count": 4, "words": ["a"],
    }  # fmt: skip
    assert ask("DELETE", "/api/echo/a%20b%C3%A9").json == {"session": "a bé"}
    assert ask.get("/api/echo?words=%5B%22a%22%5D&maybe=null").json == {"words": ["a"], "maybe": None}
    assert ask.get("/api/echo?maybe=3&free=3").json == {"maybe": 3, "free": "3"}
    assert ask.post("/api/echo", b"").json == {}
    assert ask.post("/api/echo", {"free": {"é": [1, None, "δ\n\"'<script>"]}}).json["free"] == {
        "é": [1, None, "δ\n\"'<script>"]
    }


def test_a_name_in_the_path_does_not_hide_a_path_of_its_own(ask: Client):
    assert ask.get("/api/echo/names").json == ["names"]


@pytest.mark.parametrize(
    ("query", "message", "fix"),
    [
        ("count=x", 'count must be a whole number, got "x"', "write 3"),
        ("count=1.5", 'count must be a whole number, got "1.5"', "write 3"),
        ("count=10", "count must be at most 9, got 10", "write another number, such as 9"),
        ("count=0", "count must be at least 1, got 0", "write another number, such as 1"),
        ("count=" + "9" * 5000, "count must be a whole number, got ", "write 3"),
        ("rate=0", "rate must be more than 0, got 0.0", "write another number"),
        ("rate=nan", 'rate must be a number, got "nan"', "write 0.5"),
        ("rate=1_0", 'rate must be a number, got "1_0"', "write 0.5"),
        ("rate=1e999", 'rate must be a number, got "1e999"', "write 0.5"),
        ("on=1", 'on must be true or false, got "1"', "write true"),
        ("kind=rleu", 'kind must be "relu" or "tanh", got "rleu"', 'did you mean "relu"?'),
        ("words=a", 'words must be a list, got "a"', "write [1, 2]"),
        ('words=["a",2]', "words.1 must be text, got 2", 'write "x"'),
        ('words=["abcdef"]', "words.0 must have at most 5 characters, got 6", "send fewer"),
        ('words=["a","b","c","d"]', "words must have at most 3 elements, got 4", "send fewer"),
        ("maybe=x", 'maybe must be a whole number or null, got "x"', "write 3"),
        ("cuont=3", "there is no argument 'cuont'", "did you mean count?"),
        ("q=3", "there is no argument 'q'", "the arguments are session, count, rate"),
        ("count=1&count=2", "'count' is given twice", "give each argument once"),
        ('nested={"y":1}', "there is no x in nested", "pass it: x=0.5"),
        ("free=%00", "an argument has a character that no text has", "leave it out"),
        ("free=%FF", "the query is not UTF-8", "encode it"),
        ("&".join(f"q{i}=1" for i in range(300)), "the query has more than 200 arguments", "as JSON in a POST"),
    ],
)  # fmt: skip
def test_wrong_arguments(ask: Client, query: str, message: str, fix: str):
    answer = ask.get(f"/api/echo?{query.replace(' ', '%20').replace(chr(34), '%22')}")
    assert answer.status == 400
    assert answer.error["type"] == "ArgumentError"
    assert message in answer.error["message"] and fix in answer.error["fix"]
    assert len(answer.body) < 1_000


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "the body must be a JSON object, got [1]"),
        (b"null", "the body must be a JSON object, got None"),
        (b'{"count": 3', "the body is no JSON: "),
        (b"{'count': 3}", "in line 1, column 2"),
        (b'{"free": NaN}', "JSON has no NaN"),
        (b'{"free": [-Infinity]}', "JSON has no -Infinity"),
        (b'{"free": 1e999}', "1e999 is beyond the numbers of 64 bits"),
        (b'{"free": ' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b'{"free": ' + b"[" * 4000 + b"]" * 4000 + b"}", "the body is nested too deeply"),
        (b'{"free": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}", None),
        (b"[" * 9000, "the body is nested too deeply"),
        (b'{"free": "\xff"}', "the body is not UTF-8: byte 10 is 0xff"),
        (b'\xef\xbb\xbf{"free": 1}', "the body is no JSON"),
        ('{"free": 1}'.encode("utf-16"), "the body is not UTF-8"),
        (b'{"free": "a\\u0000b"}', "a character that no text has"),
        (b'{"free": {"\\ud800": 1}}', "a character that no text has"),
        (b'{"free": "\x00"}', "the body is no JSON"),
        (b'{"free": 1, "free2": 2}', "there is no argument 'free2'"),
        (b'{"count": "3"}', 'count must be a whole number, got "3"'),
        (b'{"count": true}', "count must be a whole number, got true"),
        (b'{"count": [[[[1]]]]}', "count must be a whole number, got [[[[1]]]]"),
        (b'{"count": ' + b"[" * 900 + b"]" * 900 + b"}", "count must be a whole number, got [[["),
    ],
)
def test_wrong_bodies(ask: Client, body: bytes, message: str | None):
    answer = ask.post("/api/echo", body)
    if message is None:  # deep, but not too deep
        assert answer.status in (200, 400)
    else:
        assert answer.status == 400
        assert message in answer.error["message"] and answer.error["fix"]
    assert ask.get("/api/echo").json == {}


def test_text_that_looks_like_an_escape_is_text(ask: Client):
    assert ask.post("/api/echo", b'{"free": "\\\\u0000 \\ud83d\\ude00"}').json == {"free": "\\u0000 😀"}


def test_a_formula_error_says_where(ask: Client):
    answer = ask.get("/api/read?f=3+%2B*+x")
    assert (answer.status, answer.error["type"], answer.error["at"]) == (400, "FormulaError", 3)
    assert answer.error["message"].endswith("\n    3 +* x\n       ^")
    assert answer.error["fix"]


def test_defects_are_told_and_the_server_lives_on(ask: Client, caplog: pytest.LogCaptureFixture):
    for how, kind, message in (
        ("key", "KeyError", "'lost'"),
        ("exit", "RuntimeError", "SystemExit: 3"),
        ("stop", "StopIteration", "StopIteration"),
        ("empty", "RuntimeError", "RuntimeError"),
    ):
        answer = ask.get(f"/api/fail?how={how}")
        assert (answer.status, answer.error) == (500, {"type": kind, "message": message, "fix": None})
    assert ask.get("/api/circle").status == ask.get("/api/object").status == 500
    assert ask.get("/api/echo").json == {}
    assert "GET /api/fail" in caplog.text


def test_numbers_that_are_not_finite_are_text(ask: Client):
    assert ask.get("/api/infinite").json == {"x": ["NaN", "Infinity", "-Infinity", 1.5], "y": {"z": ["NaN"]}}


def test_half_a_character_in_an_answer_is_escaped(ask: Client):
    assert ask.get("/api/half").json == "\ud800"


def test_large_answers_are_compressed_for_who_accepts_that(ask: Client):
    plain = ask.get("/api/large")
    packed = ask.get("/api/large", {"Accept-Encoding": "br, gzip;q=0.5"})
    refused = ask.get("/api/large", {"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in plain.headers and "content-encoding" not in refused.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body == refused.body
    assert plain.headers["cache-control"] == "no-store"


def test_bodies_that_are_too_large(ask: Client):
    body = json.dumps({"free": "x" * 20_000}).encode()
    answer = ask.post("/api/echo", body)
    assert answer.status == 413
    assert "at most 0.00954 MiB" in answer.error["message"]
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:9_000], body[9_000:])) + b"0\r\n\r\n"
    )
    head = (
        f"POST /api/echo HTTP/1.1\r\nHost: {ask.host}\r\nAuthorization: Bearer {ask.server.token}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert b"HTTP/1.1 413" in ask.raw(head.encode() + chunks)
    endless = head.replace("Transfer-Encoding: chunked", "Content-Length: 99999999999999999999").encode()
    assert b"HTTP/1.1 413" in ask.raw(endless + b"{" * 1000)
    assert ask.get("/api/echo").json == {}


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_body_must_be_called_json(ask: Client, kind: str | None):
    answer = ask.post("/api/echo", b"{}", {"Content-Type": kind})
    assert answer.status == 415
    assert "must be application/json" in answer.error["message"]
    assert ask.post("/api/echo", b"{}", {"Content-Type": "Application/JSON; charset=utf-8"}).status == 200


def test_no_such_question(ask: Client):
    assert ask.get("/api/nothing").status == 404
    answer = ask.get("/api/fail/nothing%00")
    assert answer.status == 404 and answer.error["fix"]
    answer = ask("PUT", "/api/echo", {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert answer.error["fix"] == "use GET, HEAD, POST"
    assert ask("HEAD", "/api/echo").body == b"" and ask("HEAD", "/").status == 200
    assert ask("POST", "/", {}).status == 405 and ask.get("/nothing.js").body == b"404: Not Found.\n"


def test_bytes_that_are_no_http(ask: Client):
    for request in (b"\x00\xff" * 50, b"GET\r\n\r\n", b"GET / HTTP/1.1\nHost\n\n", b"A" * 100_000):
        assert ask.raw(request)[:12] in (b"HTTP/1.1 400", b"")
    assert ask.get("/api/echo").json == {}


def test_what_takes_too_long_is_given_up_and_its_place_is_free_again():
    endpoints = [
        Endpoint("GET", "/api/spin", "Never ends.", spin, {}, ANY),
        Endpoint("GET", "/api/here", "Answers.", lambda given: "here", {}, ANY),
        Endpoint("GET", "/api/ignore", "Never ends.", ignore, {}, ANY),
        Endpoint("GET", "/api/late", "Times out by itself.", _late, {}, ANY),
    ]
    with running(endpoints, limits=Limits(answers=1, seconds=0.5)) as ask:
        answer = ask.get("/api/spin")
        assert answer.status == 503
        assert "there was no answer within 0.5 seconds" in answer.error["message"]
        assert KEEP.wait(10)  # it was ended
        assert ask.get("/api/here").json == "here"
        assert ask.get("/api/ignore").status == 503
        assert ask.get("/api/here").json == "here"
        assert ask.get("/api/late").error["type"] == "TimeoutError"


def _late(given: Any) -> Any:
    raise TimeoutError("of its own")


def test_what_cannot_be_ended_keeps_its_place_but_not_the_server():
    released = threading.Event()
    endpoints = [
        Endpoint("GET", "/api/wait", "Waits.", lambda given: released.wait(30), {}, ANY),
        Endpoint("GET", "/api/here", "Answers.", lambda given: "here", {}, ANY),
    ]
    with running(endpoints, limits=Limits(answers=1, seconds=0.3)) as ask:
        assert ask.get("/api/wait").status == 503
        busy = ask.get("/api/here")
        assert (busy.status, busy.error["message"]) == (503, "all threads are busy with other answers")
        assert ask.get("/api").status == ask.get("/").status == 200
        released.set()
        deadline = time.monotonic() + 20
        while (answer := ask.get("/api/here")).status == 503 and time.monotonic() < deadline:
            pass
        assert answer.json == "here"


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ([ENDPOINTS[0], ENDPOINTS[0]], "GET /api/echo is there twice"),
        ([Endpoint("GET", "/echo", "", dict, ECHO, ANY)], "does not begin with /api/"),
        ([Endpoint("GET", "/api/{name}", "", dict, ECHO, ANY)], "the names in its path are not those"),
    ],
)
def test_endpoints_that_cannot_be(endpoints: list[Endpoint], message: str):
    with pytest.raises(ArgumentError, match=message), running(endpoints):
        pass
