"""What a page of another origin, opened in the same browser, can do to a studio that runs: nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from playwright.sync_api import expect

from browser.waiting import PATIENCE, eventually, slowed
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.serving import Server

CALLED: list[str] = []
ATTACK = """
async ([target, patience]) => {
  const found = {};
  const attempt = async (name, work) => {
    try {
      found[name] = await Promise.race([work(), new Promise(done => setTimeout(() => done('nothing'), patience))]);
    } catch (error) {
      found[name] = 'refused';
    }
  };
  const loaded = (kind, attributes) => () =>
    new Promise(done => {
      const element = document.createElement(kind);
      element.onload = () => done('loaded');
      element.onerror = () => done('refused');
      Object.assign(element, attributes);
      document.body.append(element);
    });
  const json = { 'Content-Type': 'application/json' };
  const ask = options => async () => (await fetch(target + '/api/call', { credentials: 'include', ...options })).text();
  await attempt('read', ask({}));
  await attempt('simple post', ask({ method: 'POST', body: '{}' }));
  await attempt('json post', ask({ method: 'POST', body: '{}', headers: json }));
  await attempt('delete', ask({ method: 'DELETE' }));
  await attempt('blind post', async () => {
    await fetch(target + '/api/call', { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' });
    return 'sent';
  });
  await attempt('beacon', async () => (navigator.sendBeacon(target + '/api/call', '{}') ? 'sent' : 'refused'));
  await attempt('script', loaded('script', { src: target + '/main.js' }));
  await attempt('data as script', loaded('script', { src: target + '/api/call' }));
  await attempt('image', loaded('img', { src: target + '/icon.svg' }));
  await attempt('style', loaded('link', { rel: 'stylesheet', href: target + '/page.css' }));
  await attempt('socket', () =>
    new Promise(done => {
      const socket = new WebSocket(target.replace('http', 'ws') + '/api/s/live');
      socket.onopen = () => done('open');
      socket.onerror = () => done('refused');
    }));
  await attempt('frame', () =>
    new Promise(done => {
      const frame = document.createElement('iframe');
      frame.onload = () => {
        try {
          done(frame.contentDocument.body.textContent);
        } catch {
          done('unreadable');
        }
      };
      frame.src = target + '/';
      document.body.append(frame);
    }));
  await attempt('form', () =>
    new Promise(done => {
      const frame = document.createElement('iframe');
      frame.name = 'sink';
      frame.onload = () => done('unreadable');
      const form = document.createElement('form');
      Object.assign(form, { method: 'POST', action: target + '/api/call', enctype: 'text/plain', target: 'sink' });
      document.body.append(frame, form);
      form.submit();
    }));
  return found;
}
"""

OURS = """
const tries = {
  html: () => { document.body.innerHTML = '<img src=x onerror="window.ran = 1">'; },
  program: () => new Function('window.ran = 2')(),
  policy: () => trustedTypes.createPolicy('mine', { createHTML: text => text }),
  inline: () => {
    const script = document.createElement('script');
    script.textContent = 'window.ran = 3';
    document.body.append(script);
  },
  handler: () => document.body.setAttribute('onclick', 'window.ran = 4'),
};
const done = [];
for (const [name, work] of Object.entries(tries)) {
  try { work(); done.push(name); } catch { continue; }
}
document.body.click();
document.title = `done: ${done.join(', ') || 'none'}; ran: ${window.ran ?? 'nothing'}`;
document.body.dataset.done = '';
"""
"""A script of the studio's own, which tries to make programs of text."""


class Evil(BaseHTTPRequestHandler):
    """Another program's page on the same machine, which browsers hold to be of the same site."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>evil</title><body>")

    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def find(session: str) -> Any:
    CALLED.append(session)
    raise AssertionError


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    def called(given: Any) -> str:
        CALLED.append("called")
        return "a secret"

    folder = tmp_path_factory.mktemp("static")
    (folder / "index.html").write_text(
        "<!doctype html><script type=module src=main.js></script><h1>ours</h1>"
    )
    (folder / "main.js").write_text(OURS)
    (folder / "page.css").write_text("h1 {}")
    (folder / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>')
    server = Server(
        [
            Endpoint("GET", "/api/call", "Tells.", called, {}, {}),
            Endpoint("POST", "/api/call", "Does.", called, {}, {}),
            Endpoint("DELETE", "/api/call", "Does.", called, {}, {}),
            Live("/api/{session}/live", "Shows.", find, {}, {}),
        ],
        folder=folder,
    )
    started = threading.Event()
    thread = threading.Thread(target=server.run, args=(started.set,))
    thread.start()
    assert started.wait(PATIENCE)
    yield server
    server.stop()
    thread.join(PATIENCE)


@pytest.fixture(scope="module")
def evil() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Evil) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(PATIENCE)


@pytest.fixture
def context(new_page: Callable[..., Any], target: Server) -> Any:
    """A browser in which the studio is open."""
    CALLED.clear()
    page = new_page()
    page.goto(target.url)
    page.wait_for_selector("h1")
    return page.context


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_on_another_port_gets_nothing_and_does_nothing(
    context: Any, target: Server, evil: int, host: str
):
    page = slowed(context.new_page())
    under_way: set[Any] = set()
    page.on("request", lambda request: under_way.add(request))
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))
    page.goto(f"http://{host}:{evil}/")
    found = page.evaluate(ATTACK, [f"http://127.0.0.1:{target.port}", 1000 * PATIENCE])
    eventually(lambda: page.evaluate("1") and len(under_way), 0)  # also what nobody hears the end of
    assert CALLED == []
    sent = {"blind post": "refused", "beacon": "sent", "form": "unreadable", "frame": "unreadable"}
    for name, result in found.items():
        assert result in (sent.get(name, "refused"), "refused"), (name, result)


def test_a_name_that_leads_here_is_no_way_in(new_page: Callable[..., Any], target: Server):
    """DNS rebinding: ``localhost.`` is such a name, which every machine has."""
    page = new_page()
    answer = page.goto(f"http://localhost.:{target.port}/?token={target.token}")
    assert answer.status == 421 and "is not the studio's" in page.content()


def test_the_token_is_gone_from_the_address_and_hidden_from_scripts(context: Any, target: Server):
    page = context.pages[0]
    root = f"http://127.0.0.1:{target.port}/"
    expect(page).to_have_url(root)
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("history.length") <= 2  # the empty page that a tab begins with, and ours
    (cookie,) = context.cookies()
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict" and cookie["value"] != target.token
    assert page.evaluate("fetch('/api/call').then(answer => answer.json())") == "a secret"
    page.goto(f"{root}?token={target.token}#/formula?f=x*x&x=3")  # the part behind # goes along
    expect(page).to_have_url(re.compile(f"^{re.escape(root)}#/formula\\?f=x"))


def test_a_link_on_another_site_opens_the_page(new_page: Callable[..., Any], target: Server, evil: int):
    page = new_page()
    page.goto(f"http://localhost:{evil}/")
    page.evaluate("to => { location.href = to }", target.url)
    page.wait_for_selector("h1")
    expect(page).not_to_have_url(re.compile("token"))


def test_text_never_becomes_a_program(context: Any):
    """The policy holds even where a script of ours would make the mistake."""
    page = context.pages[0]
    page.wait_for_selector("[data-done]")
    done, _, ran = page.title().partition("; ")
    assert ran == "ran: nothing"
    assert done in ("done: none", "done: handler")  # older ones let it be set; the policy does not let it run
