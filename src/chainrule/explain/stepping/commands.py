"""Steps as a person types them, one line at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from chainrule.errors import ChainruleError
from chainrule.explain.numbers import value_text
from chainrule.explain.stepping.steps import Steps
from chainrule.formula.mistakes import closest

HELP = """\
n [N]   step on          b [N]   step back
r [W]   run to W, or to the next breakpoint         R [W]   the same backwards
break W stop at W when running      clear [N]  take a breakpoint away, or all
p NAME  value and gradient of a node, as far as they are known here
s, e    to the start, to the end     l  list all events     h  this help     q  quit
W is a node, a line (train.py:41), a layer (layers.0) or a comparison (delta.isnan(), abs(delta) < 1e-8)."""


def obey(walk: Steps, lines: Iterable[str]) -> Iterator[str]:
    """Carry out commands until one says to stop; gives what each has to say.

    An empty line repeats the last command. Mistakes are said, and nothing is done.
    """
    last = "n"
    for line in lines:
        text = line.strip() or last
        word, _, rest = text.partition(" ")
        if word in ("q", "quit", "exit"):
            return
        act = COMMANDS.get(word)
        if act is None:
            near = closest(word, COMMANDS)
            yield f"{word[:20]!r} is no command" + (f"; did you mean {near}?" if near else ": h for help")
            continue
        last = text
        try:
            yield act(walk, rest.strip())
        except ChainruleError as error:
            yield error.message + (f"\n  Fix: {error.fix}" if error.fix else "")


def _count(rest: str) -> int:
    return int(rest) if rest.isdecimal() and len(rest) < 10 else 1


def _moved(move: Callable[[Steps, str], object]) -> Callable[[Steps, str], str]:
    def act(walk: Steps, rest: str) -> str:
        move(walk, rest)
        return walk.text

    return act


def _printed(walk: Steps, name: str) -> str:
    gradient = walk.gradient(name)
    known = [e for e in walk.events[: walk.position + 1] if e.kind == "value" and e.name == name]
    value = f"{name} = {value_text(known[-1].value)}" if known else f"{name} is not computed here"
    arrived = "nothing yet" if gradient is None else value_text(gradient)
    return f"{value}; its gradient so far: {arrived}"


def _break(walk: Steps, where: str) -> str:
    number = walk.break_at(where)
    return f"breakpoint {number}: {where}"


def _clear(walk: Steps, rest: str) -> str:
    walk.clear(int(rest) if rest.isdecimal() and len(rest) < 10 else None)
    return f"{len(walk.breakpoints)} breakpoints left"


def _list(walk: Steps, _: str) -> str:
    return "\n".join(
        f"{event.place + 1:>4}  {event.phase:<8}  {walk.describe(event)}" for event in walk.events
    )


COMMANDS: dict[str, Callable[[Steps, str], str]] = {
    "n": _moved(lambda walk, rest: walk.step(_count(rest))),
    "b": _moved(lambda walk, rest: walk.back(_count(rest))),
    "r": _moved(lambda walk, rest: walk.run(rest or None)),
    "R": _moved(lambda walk, rest: walk.run_back(rest or None)),
    "s": _moved(lambda walk, _: walk.go(-1)),
    "e": _moved(lambda walk, _: walk.go(len(walk) - 1)),
    "break": _break,
    "clear": _clear,
    "p": _printed,
    "l": _list,
    "h": lambda _walk, _rest: HELP,
}
