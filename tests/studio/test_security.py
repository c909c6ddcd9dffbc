"""Who is let in: each way in, each refusal, and what every answer says to the browser."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from chainrule.errors import ArgumentError
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving import Server
from chainrule.studio.serving.security import Keys, authorities
from studio.servers import Answer, Client, running

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
CALLED: list[Any] = []


def find(session: str) -> Any:
    CALLED.append(session)
    raise ArgumentError("there is no such session", fix="open another")


ENDPOINTS = [
    Endpoint("GET", "/api/secret", "A secret.", lambda given: CALLED.append(given) or "secret", {}, {}),
    Endpoint("POST", "/api/secret", "A secret.", lambda given: CALLED.append(given) or "secret", {}, {}),
    Endpoint("DELETE", "/api/secret", "A secret.", lambda given: CALLED.append(given) or "secret", {}, {}),
    Live("/api/{session}/live", "Something live.", find, {}, {}),
]


@pytest.fixture(scope="module")
def ask() -> Iterator[Client]:
    with running(ENDPOINTS, page="#/formula?f=x") as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_was_called():
    CALLED.clear()


def without_token(client: Client, path: str, **headers: str) -> Answer:
    return client.get(
        path, {"Authorization": None, **{name.replace("_", "-"): v for name, v in headers.items()}}
    )


def cookie_of(answer: Answer) -> str:
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_printed_address_becomes_a_cookie_and_leaves_no_trace(ask: Client):
    match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/(\?token=[\w-]{43})#/formula\?f=x", ask.server.url)
    assert match is not None and int(match[1]) == ask.server.port
    answer = without_token(ask, f"/{match[2]}")
    assert (answer.status, answer.headers["location"], answer.body) == (303, "/", b"")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert attributes == ["Path=/", "HttpOnly", "SameSite=Strict"]
    assert cookie.startswith(f"chainrule_studio_{ask.server.port}=")
    assert ask.server.token not in cookie
    for path in ("/", "/api/secret"):
        assert without_token(ask, path, Cookie=f"other=1; {cookie}; more=2").status == 200
    assert without_token(ask, "/api/secret", Cookie=cookie.replace("=", "x=")).status == 401
    assert without_token(ask, "/api/secret", Cookie=f"{cookie}x").status == 401
    assert without_token(ask, "/api/secret", Authorization=f"Bearer {cookie.partition('=')[2]}").status == 401


def test_a_link_on_another_site_that_has_the_token_opens_the_page(ask: Client):
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    answer = without_token(ask, f"/?token={ask.server.token}", **link)
    assert answer.status == 200 and b'http-equiv="refresh" content="0;url=/"' in answer.body
    assert ask.server.token.encode() not in answer.body
    assert without_token(ask, "/", Cookie=cookie_of(answer), **link).status == 200


def test_what_the_browser_is_started_with_opens_once(ask: Client, monkeypatch: pytest.MonkeyPatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    ask.server.open_browser()
    (address,) = opened
    assert ask.server.token not in address and address.endswith("#/formula?f=x")
    path = "/" + address.partition("/?")[2].partition("#")[0].join(["?", ""])
    first = without_token(ask, path)
    assert first.status == 303
    assert without_token(ask, path).status == 401
    assert without_token(ask, path, Cookie=cookie_of(first)).status == 303  # opened twice by who is in


@pytest.mark.parametrize(
    "path", ["/", "/?token=", "/?token=wrong", "/?ticket=", "/?ticket=None", "/js/main.js", "/api", "/api/secret",
             "/api/openapi.json", "/nothing", "/api/secret?token={token}", "/index.html?token={token}"],
)  # fmt: skip
def test_without_a_token_nothing_is_told(ask: Client, path: str):
    answer = without_token(ask, path.format(token=ask.server.token))
    assert answer.status == 401
    message = answer.error["fix"] if path.startswith("/api") else answer.body.decode()
    assert "open the address that the terminal printed" in message
    assert path.startswith("/api") or answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert "set-cookie" not in answer.headers and CALLED == []


@pytest.mark.parametrize(
    "given",
    ["Bearer", "Bearer ", "Bearer wrong", "Basic {token}", "{token}", "Bearer {token}x", "Bearer é"],
)
def test_wrong_tokens(ask: Client, given: str):
    assert without_token(ask, "/api/secret", Authorization=given.format(token=ask.server.token)).status == 401
    assert CALLED == []


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}",
             "127.0.0.1:{port}.evil.example", "0.0.0.0:{port}", "127.0.0.2:{port}", "[::]:{port}", "", None,
             "user@127.0.0.1:{port}", "localhost:{port}/"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_host_is_refused_even_with_the_token(ask: Client, host: str | None, method: str):
    """DNS rebinding: a page's own name leads to 127.0.0.1."""
    host = host and host.format(port=ask.server.port)
    answer = ask(method, "/api/secret", {} if method == "POST" and host else None, {"Host": host})
    assert answer.status in (400, 421)  # 400 is HTTP's own for no host
    assert CALLED == []
    if host:
        assert answer.status == 421 and f"http://127.0.0.1:{ask.server.port}/" in answer.error["fix"]


def test_hosts_that_are_ours(ask: Client):
    for host in ("127.0.0.1", "localhost", "LocalHost", "[::1]"):
        assert ask.get("/api/secret", {"Host": f"{host}:{ask.server.port}"}).status == 200
    twice = f"GET / HTTP/1.1\r\nHost: {ask.host}\r\nHost: {ask.host}\r\n\r\n"
    assert ask.raw(twice.encode()).startswith(b"HTTP/1.1 4")
    absolute = f"GET http://evil.example/api/secret HTTP/1.1\r\nHost: {ask.host}\r\n\r\n"
    assert b"HTTP/1.1 401" in ask.raw(absolute.encode())
    assert "127.0.0.1" in authorities(80) and "127.0.0.1" not in authorities(8080)


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Origin": "http://127.0.0.1:{port}.evil.example"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_pages_of_others_are_refused_even_with_the_token(ask: Client, headers: dict[str, str], method: str):
    sent: dict[str, str | None] = {
        name: value.format(port=ask.server.port) for name, value in headers.items()
    }
    answer = ask(method, "/api/secret", {} if method == "POST" else None, sent)
    assert (answer.status, CALLED) == (403, [])
    assert answer.error["fix"] == "ask from the studio's own page"
    assert (
        ask.post("/api/secret", {}, {"Origin": f"http://{ask.host}", "Sec-Fetch-Site": "same-origin"}).status
        == 200
    )


def test_frames_and_images_of_others_are_refused(ask: Client):
    for mode, kind in (
        ("navigate", "iframe"),
        ("no-cors", "image"),
        ("no-cors", "script"),
        ("cors", "empty"),
    ):
        sent = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": kind}
        assert ask.get("/", {**sent}).status == ask.get(f"/?token={ask.server.token}", {**sent}).status == 403


@pytest.mark.parametrize(
    "headers", [*FOREIGN[:-1], {"Host": "evil.example"}, {"Authorization": "Bearer wrong"}, {}]
)
def test_sockets_of_others_are_refused_before_they_open(ask: Client, headers: dict[str, str]):
    sent = {name: value.format(port=ask.server.port) for name, value in headers.items()}
    sent = {} if not headers else {"Authorization": f"Bearer {ask.server.token}", **sent}
    host = sent.pop("Host", ask.host)
    handshake = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    request = (
        f"GET /api/s/live HTTP/1.1\r\nHost: {host}\r\n{handshake}Connection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = ask.raw(request.encode())
    status = 421 if "Host" in headers else 403 if headers and "Authorization" not in headers else 401
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert b"content-security-policy" in answer and CALLED == []


def test_a_socket_opens_with_the_cookie_and_our_origin(ask: Client):
    cookie = cookie_of(without_token(ask, f"/?token={ask.server.token}"))
    with ask.live("/api/s/live", {"Cookie": cookie}, origin=f"http://{ask.host}") as live:
        assert "there is no such session" in str(live.recv(20))
    assert CALLED == ["s"]
    with pytest.raises(InvalidStatus, match="403"), ask.live("/api/s/other"):
        pass


def test_every_answer_tells_the_browser_to_be_strict(ask: Client):
    answers = [
        ask.get("/"), ask.get("/js/main.js"), ask.get("/nothing"), ask.get("/api/secret"), ask.get("/api/nothing"),
        ask.post("/api/secret", b"["), ask("PATCH", "/api/secret"), without_token(ask, "/"),
        without_token(ask, f"/?token={ask.server.token}"), ask.get("/", {"Host": "evil.example"}),
        ask.get("/", {"Origin": "null"}), ask.get("/", {"If-None-Match": "*"}),
    ]  # fmt: skip
    assert sorted({answer.status for answer in answers}) == [200, 303, 304, 400, 401, 403, 404, 405, 421]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert (
            headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        )
        assert "camera=()" in headers["permissions-policy"]
        assert not any(name.startswith("access-control-") for name in headers) and "server" not in headers


def test_preflights_are_refused(ask: Client):
    sent = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    answer = ask("OPTIONS", "/api/secret", headers={**sent, "Authorization": None})
    assert answer.status == 403 and not any(name.startswith("access-control-") for name in answer.headers)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "example.org", "127.0.0.2", ""])
def test_only_this_machine_is_served(host: str):
    with pytest.raises(ArgumentError, match="to this machine alone") as caught:
        Server([], host=host)
    assert "ssh -L" in (caught.value.fix or "")


def test_ports(ask: Client):
    with pytest.raises(ArgumentError, match=f"port {ask.server.port} is taken by another program") as caught:
        Server([], port=ask.server.port)
    assert "port=8000" in (caught.value.fix or "")
    for port in (0, -1, 65536):
        with pytest.raises(ArgumentError, match="port must be from 1 to 65535"):
            Server([], port=port)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with running([], port=port) as client:
        assert client.server.port == port and client.get("/").status == 200


def test_nothing_listens_on_other_addresses(ask: Client):
    for address in ("127.0.0.2", socket.gethostbyname(socket.gethostname())):
        if address != "127.0.0.1":
            with socket.socket() as other:
                other.settimeout(5)
                assert other.connect_ex((address, ask.server.port)) != 0


def test_secrets_are_long_and_new_each_time():
    first, second = Keys(), Keys()
    secrets = {
        first.token,
        first.cookie,
        first.new_ticket(),
        second.token,
        second.cookie,
        second.new_ticket(),
    }
    assert len(secrets) == 6 and min(map(len, secrets)) >= 43


# Files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    above = tmp_path_factory.mktemp("above")
    (above / "secret.js").write_text("secret")
    inside = above / "static"
    (inside / "js" / ".git").mkdir(parents=True)
    (inside / "index.html").write_text("<!doctype html>")
    (inside / "js" / "a.b-c_1.js").write_text("let a;")
    for hidden in (".hidden.js", "js/.hidden.js", "js/.git/config.js", "notes.txt", "program.py", "plain"):
        (inside / hidden).write_text("secret")
    (inside / "link.js").symlink_to(above / "secret.js")
    (inside / "linked").symlink_to(above, target_is_directory=True)
    (inside / "folder.js").mkdir()
    return inside


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Client]:
    with running([], folder=folder) as client:
        yield client


def test_files(site: Client):
    page = site.get("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    script = site.get("/js/a.b-c_1.js?v=1")
    assert (script.body, script.headers["content-type"]) == (b"let a;", "text/javascript; charset=utf-8")
    assert script.headers["cache-control"] == "no-cache"
    tag = script.headers["etag"]
    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    for known in (tag, f'"other", {tag}', f"W/{tag}"):
        again = site.get("/js/a.b-c_1.js", {"If-None-Match": known})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert site.get("/js/a.b-c_1.js", {"If-None-Match": '"other"'}).status == 200


def test_a_file_that_changes_gets_another_tag(site: Client, folder: Path):
    (folder / "changing.css").write_text("a {}")
    before = site.get("/changing.css").headers["etag"]
    (folder / "changing.css").write_text("b {}")
    assert site.get("/changing.css", {"If-None-Match": before}).body == b"b {}"


@pytest.mark.parametrize(
    "path",
    ["/../secret.js", "/js/../../secret.js", "/%2e%2e/secret.js", "/%2e%2e%2fsecret.js", "/..%2fsecret.js",
     "/..%5csecret.js", "/js/..%5c..%5csecret.js", "/%252e%252e/secret.js", "/....//secret.js", "//secret.js",
     "/js//a.b-c_1.js", "/./index.html", "/js/.", "/js", "/js/", "/link.js", "/linked/secret.js", "/.hidden.js",
     "/js/.hidden.js", "/js/.git/config.js", "/notes.txt", "/program.py", "/plain", "/folder.js", "/index.html%00",
     "/%00", "/js/a.b-c_1.js%00.html", "/C:/secret.js", "/C%3a%5csecret.js", "/index.html/", "/index.html/x.js",
     "/index.html::$DATA", "/~root/secret.js", "/%c0%ae%c0%ae/secret.js", "/%ff.js", "/index.html;/../secret.js",
     "/" + "a" * 5000 + ".js", "/" + "a/" * 2000 + "a.js", "/proc/self/environ", "/etc/passwd", "///etc/passwd"],
)  # fmt: skip
def test_no_path_leads_out_or_to_what_is_hidden(site: Client, path: str):
    answer = site.get(path)
    assert answer.status == 404
    assert b"secret" not in answer.body


def test_the_front_end_has_a_type_for_each_of_its_files(ask: Client):
    import chainrule.studio

    folder = Path(chainrule.studio.__file__).parent / "static"
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert folder / "index.html" in files
    for file in files:
        answer = ask.get(f"/{file.relative_to(folder).as_posix()}")
        assert (answer.status, answer.body) == (200, file.read_bytes())
