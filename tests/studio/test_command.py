"""``chainrule studio``: what is opened first, what is printed, and how it stops."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from websockets.sync.client import connect

import chainrule
from chainrule.cli import main
from chainrule.cli.studying import formula_page, kind_of
from chainrule.errors import ArgumentError, FormulaError

ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(chainrule.__file__).parents[1]),
    "PYTHONUTF8": "1",
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


@contextlib.contextmanager
def started(*arguments: str, program: str | None = None) -> Iterator[subprocess.Popen[str]]:
    called = ["-m", "chainrule", "studio"] if program is None else ["-c", program]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, *called, *arguments], **pipes, text=True, env=ENVIRONMENT
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def stopped(process: subprocess.Popen[str], by: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
    """Status and what was still printed; it must take no longer than a person waits."""
    process.send_signal(by)
    out, err = process.communicate(timeout=10)
    return process.returncode, out, err


def fetched(url: str, token: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_from_start_to_stop():
    with started("(a+b)*(b+c)", "a=-1", "b=1/2", "--no-browser", "--json") as process:
        told = json.loads(line(process))
        assert set(told) == {"url", "token", "port"}
        root = f"http://127.0.0.1:{told['port']}/"
        assert (
            told["url"]
            == f"{root}?token={told['token']}#/formula?f=%28a%2Bb%29%2A%28b%2Bc%29&at=a%3D-1%2Cb%3D0.5"
        )
        assert fetched(root)[0] == 401
        status, page = fetched(root, told["token"])
        assert status == 200 and b"chainrule studio" in page
        status, trace = fetched(f"{root}api/formula?text=x*x", told["token"])
        assert status == 200 and json.loads(trace)["kind"] == "formula"
        assert stopped(process) == (0, "", "")


def test_a_network_is_opened_as_it_was_asked_for():
    with started("network", "data=circles", "layers=4-2", "update=30", "--no-browser", "--json") as process:
        told = json.loads(line(process))
        assert told["url"].endswith("#/network?data=circles&layers=4-2&at=30")
        assert stopped(process) == (0, "", "")


def test_a_table_too_long_for_an_address_is_refused(capsys: pytest.CaptureFixture[str]):
    Path("long.csv").write_text(
        "x,y,kind\n" + "".join(f"{i},{i * i % 7},{'ab'[i % 2]}\n" for i in range(900))
    )
    with pytest.raises(SystemExit) as status:
        main(["studio", "--json", "--no-browser", "network", "table=long.csv"])
    assert status.value.code == 2
    said = json.loads(capsys.readouterr().out)["error"]
    assert (
        "more than the 4,000 that an address may hold" in said["message"] and "drop the file" in said["fix"]
    )


def test_what_a_person_reads():
    with started("--no-browser") as process:
        first = line(process)
        assert (
            first.startswith("The studio is at http://127.0.0.1:") and "?token=" in first and "#" not in first
        )
        assert line(process) == "Ctrl-C stops it.\n"
        assert stopped(process) == (0, "", "")


@pytest.mark.parametrize(
    ("given", "note"),
    [
        (("nowhere",), "There is no file or folder nowhere: it is read as a formula of one variable.\n"),
        (("my_model2",), "There is no file or folder my_model2: it is read as a formula of one variable.\n"),
        (("nowhere", "nowhere=1"), ""),
        (("nowhere", "--json"), ""),
        (("theta",), ""),
        (("lambda",), ""),
        (("w_1",), ""),
        (("2*nowhere",), ""),
    ],
)
def test_a_word_that_may_be_a_mistyped_name_is_noted(given: tuple[str, ...], note: str):
    with started("--no-browser", *given) as process:
        line(process)
        assert stopped(process)[2] == note


def test_the_browser_is_opened_at_an_address_that_opens_once():
    program = """
import sys, webbrowser
webbrowser.open = lambda address: print(address, flush=True)
from chainrule.cli import main
main(["studio", "x", "x=2", "--json"])
"""
    with started(program=program) as process:
        told = json.loads(line(process))
        address = line(process).strip()
        assert address.startswith(f"http://127.0.0.1:{told['port']}/?ticket=") and address.endswith(
            "#/formula?f=x&at=x%3D2"
        )
        assert told["token"] not in address
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor()
        )
        with opener.open(address, timeout=20) as page:
            assert page.status == 200 and page.url == f"http://127.0.0.1:{told['port']}/"
        assert fetched(address)[0] == 401
        assert stopped(process) == (0, "", "")


SLOW = """
import threading, time
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving import Server
class Training:
    version = 0
    def watch(self): pass
    def unwatch(self): pass
    def command(self, message): time.sleep(60)
    def wait(self, version, timeout): return threading.Event().wait(timeout)
    def frame(self): return {}
def count(given):
    while True:
        sum(range(1000))
server = Server([
    Endpoint("GET", "/api/count", "Counts.", count, {}, {}),
    Endpoint("GET", "/api/sleep", "Sleeps.", lambda given: time.sleep(60), {}, {}),
    Live("/api/{session}/live", "Live.", lambda session: Training(), {}, {}),
])
server.run(lambda: print(server.port, server.token, flush=True))
print("ended")
"""


SCRIPT = """
import sys
import numpy as np
import chainrule as cr
print("the script says", sys.argv[1:])
model = cr.models.mlp((2, 4, 2), cr.tanh, key=cr.random.key(0))
x = np.random.default_rng(0).standard_normal((16, 2)).astype("f")
for _ in range(3):
    loss = cr.nn.softmax_cross_entropy(model(x), np.arange(16) % 2)
    loss.backward()
"""


def test_ctrl_c_ends_it_whatever_is_going_on():
    """With a page connected, a command being obeyed, and two questions being answered, one of which cannot be ended."""
    with started(program=SLOW) as process, contextlib.ExitStack() as pages:
        port, token = line(process).split()
        sent = {"Authorization": f"Bearer {token}"}
        live = pages.enter_context(
            connect(f"ws://127.0.0.1:{port}/api/s/live", additional_headers=sent, proxy=None)
        )
        assert live.recv(20) == "{}"
        live.send("{}")
        asking = [socket.create_connection(("127.0.0.1", int(port)), timeout=20) for _ in range(2)]
        for path, one in zip(("count", "sleep"), asking, strict=True):
            pages.enter_context(one).sendall(
                f"GET /api/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
            )
        time.sleep(0.3)  # until they are being answered
        assert stopped(process) == (0, "ended\n", "")


def test_a_terminal_that_is_closed_ends_it():
    with started("--no-browser", "--json") as process:
        line(process)
        assert stopped(process, signal.SIGTERM)[0] == -signal.SIGTERM


@pytest.mark.parametrize(
    ("arguments", "message", "fix"),
    [
        (("3 +* x",), 'got "*"', 'delete "+" or "*"'),
        (("x", "y=1"), "the formula has no variable y", "it has x"),
        (("alpha", "alhpa=1"), "the formula has no variable alhpa", "did you mean alpha?"),
        (("x", "x=?"), '"?" does not belong in a formula', "use letters"),
        (("x", "x"), 'expected name=value, got "x"', "one pair of quotes"),
        (("x", "--prot", "3"), 'expected name=value, got "--prot"', "did you mean --port?"),
        ((".", "x=1"), 'expected no more than a run, got "x=1"', "leave it out"),
        ((".",), ". is no run: it has no run.json", "pass the folder"),
        (("nowhere.py",), "there is no file or folder nowhere.py", "look for its name"),
        (("runs/latest",), "there is no file or folder runs/latest", "(runs/latest)"),
        (("./x",), "there is no file or folder ./x", "(./x)"),
        (("data.txt",), "data.txt is a file, but no Python program", "pass a formula"),
        (("--port", "0"), "port must be from 1 to 65535, got 0", "--port 8000"),
        (("--port", "x"), "", ""),
        (("x", "--step", "3"), "--step is for files", "add --export FILE"),
        (("x", "--theme", "dark"), "--theme is for files", "add --export FILE"),
        (("x", "--export", "x.svg"), "--export serves nothing, and --no-browser is for", "leave it out"),
    ],
)  # fmt: skip
def test_mistakes(arguments: tuple[str, ...], message: str, fix: str, capsys: pytest.CaptureFixture[str]):
    Path("data.txt").write_text("1")
    with pytest.raises(SystemExit) as status:
        main(["studio", "--json", "--no-browser", *arguments])
    said = json.loads(capsys.readouterr().out)["error"]
    assert status.value.code == 2
    assert message in said["message"] and fix in said["fix"]


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as status:
            main(["studio", "--no-browser", "--port", str(port)])
    assert status.value.code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"error: port {port} is taken by another program" in said
    assert "Fix: leave out --port 8000 for one that is free" in said


def test_what_an_argument_is(tmp_path: Path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "train.py").write_text("")
    assert kind_of("runs/a") == kind_of(str(tmp_path)) == kind_of("runs") == "run"
    assert kind_of("train.py") == kind_of("./train.py") == "script"
    for text in ("network", "#/network?at=3", "http://127.0.0.1:8000/#/network"):
        assert kind_of(text) == "network"
    for text in ("#/model?of=run:a", "http://127.0.0.1:8000/", "https://example.org/#/networks"):
        with pytest.raises(ArgumentError, match="is no address of the network page"):
            kind_of(text)
    for text in ("a/b", "1/2x", "x.y" * 3000, "a\0b", "2.5/x", "sin(x)/x", "z = x; z/2", "x\n+1"):
        assert kind_of(text) == "formula"
    for text in ("runs/b", "a/b.py", "~/x", "~nobody-here/x", "../x", "/x", "model.safetensors", "C:\\x"):
        with pytest.raises(ArgumentError, match="there is no file or folder"):
            kind_of(text)


def test_the_address_of_a_formula():
    text = 'z = w*x + "&#=%" + é'
    with pytest.raises(FormulaError):
        formula_page(text, [])
    page = formula_page("δ = w*x + b\nsigmoid(δ)", ["w=-1.5", "x=2e-3", "b=1e20"])
    path, _, query = page.partition("?")
    assert path == "#/formula" and query.isascii() and " " not in query
    assert dict(parse_qsl(query)) == {"f": "δ = w*x + b\nsigmoid(δ)", "at": "w=-1.5,x=0.002,b=1e+20"}


def until_ready(root: str, token: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        (model,) = json.loads(fetched(f"{root}api/models", token)[1])["models"]
        if not model["running"]:
            return model
        time.sleep(0.1)
    raise AssertionError("it did not become ready")


def test_a_run_and_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["train", "digits", "--model", "linear", "--epochs", "1", "--run", "r"])
    Path("train.py").write_text(SCRIPT)
    for arguments, kind in ((("r",), "run"), (("train.py", "--wide", "7"), "script")):
        with started("--no-browser", "--json", *arguments) as process:
            told = json.loads(line(process))
            assert told["url"].endswith("#/model")
            model = until_ready(f"http://127.0.0.1:{told['port']}/", told["token"])
            assert (model["source"]["kind"], model["state"], model["error"]) == (kind, "ready", None)
            status, out, err = stopped(process)
            assert (status, out) == (0, "")
            assert err == ("" if kind == "run" else "the script says ['--wide', '7']\n")


def test_other_commands_load_no_server():
    program = "import sys, chainrule.cli; print({'starlette', 'uvicorn', 'jsonschema'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=ENVIRONMENT)
    assert ran.stdout == "set()\n", ran.stderr
