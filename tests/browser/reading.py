"""What tests read of any page: the state in its address, a network that rests."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from browser.waiting import eventually

RESTS = """() => {
  const [transport, play] = ['.transport', '.play'].map(one => document.querySelector(`.network ${one}`));
  return transport && `update ${transport.dataset.update}${play.textContent.includes('Pause') ? ', on its way' : ''}`;
}"""


def state_of(page: Any) -> dict[str, str]:
    """The state that the address holds now; what a page shows may be written a while later, so wait for it."""
    return dict(parse_qsl(page.evaluate("location.hash").partition("?")[2]))


def at_rest(page: Any, update: int) -> Any:
    """The page, once its network rests at an update."""
    eventually(lambda: page.evaluate(RESTS), f"update {update}")
    return page


def labels(page: Any) -> list[str]:
    """What the units of a network say, to compare two views."""
    return page.eval_on_selector_all(".unit", "els => els.map(e => e.getAttribute('aria-label'))")


def said(page: Any) -> str:
    """What the network page says of its training."""
    return page.locator(".network .said").inner_text()


def has_state(page: Any, **wanted: str) -> None:
    """Wait until the address holds this and nothing else."""
    eventually(lambda: state_of(page), wanted)


def forgives(page: Any, status: int) -> None:
    """Answers with this status are expected on the page; the browser tells of them too."""
    page.forgiven.append(f"status of {status}")
