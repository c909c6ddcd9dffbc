"""Benchmarks in the terminal: what is being done, a table for each workload or family, the goals reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chainrule.bench import (
    OWN,
    WORKLOADS,
    Doing,
    Event,
    Figures,
    Finished,
    Measured,
    Result,
    Started,
    Training,
)
from chainrule.explain.numbers import counted, number_text
from chainrule.show import style

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_AMOUNTS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_NONE = "–"


def show_workloads(console: Console) -> None:
    """What there is to measure: names, what they are, and goals."""
    table = _table("workload", "", "goal", left=2)
    for family in dict.fromkeys(w.family for w in WORKLOADS.values()):
        members = [w for w in WORKLOADS.values() if w.family == family]
        sizes = ", ".join(w.name.removeprefix(f"{family}-") for w in members)
        summary = (
            members[0].summary if len(members) == 1 else f"{members[0].summary.partition(',')[0]}: {sizes}"
        )
        table.add_row(Text(family), Text(summary), Text(f"×{members[0].goal:g}"))
    style.print_trimmed(table, console)
    style.print_paragraph(
        "The goal is how many times as fast as the best other library chainrule should be. A size of a family is "
        "a workload as well: sgemm-512.",
        console,
    )


def show_benchmarks(events: Iterable[Event], console: Console) -> Finished:
    """Draw events as they come.

    Args:
        events: from `chainrule.bench.run`, consumed here.
        console: where to. In a terminal a line says what is being done.

    Returns:
        The last event.
    """
    finished: Finished | None = None
    family: list[Result] = []
    for event in _with_status(events, console):
        if isinstance(event, Started):
            _print_opening(event, console)
            continue
        result = event.result if isinstance(event, Measured) else None
        if family and (result is None or result.workload.family != family[0].workload.family):
            _print_family(family, console)
            family = []
        if result is not None and isinstance(result.workload, Training):
            _print_training(result, console)
        elif result is not None:
            family.append(result)
        if isinstance(event, Finished):
            finished = event
    assert finished is not None
    _print_closing(finished, console)
    return finished


def _with_status(events: Iterable[Event], console: Console) -> Iterator[Started | Measured | Finished]:
    """All events but `Doing`, which is shown in a line that goes away."""
    if not console.is_terminal:
        yield from (event for event in events if not isinstance(event, Doing))
        return
    with console.status(Text("looking at the machine"), spinner="line") as status:
        for event in events:
            if isinstance(event, Doing):
                status.update(Text(f"{event.workload}: {event.what}"))
            else:
                yield event


def _print_opening(event: Started, console: Console) -> None:
    machine = event.machine
    about = [machine.processor, machine.instructions or "no native code", counted(machine.threads, "thread")]
    if machine.flops:
        about.append(f"{_amount(machine.flops)}FLOP/s in registers")
    if machine.bandwidth:
        about.append(f"{_amount(machine.bandwidth)}B/s of copying")
    style.print_paragraph(", ".join(about), console)
    for reason in dict.fromkeys(event.missing.values()):
        style.print_paragraph(reason, console)


def _print_training(result: Result, console: Console) -> None:
    console.print()
    style.print_paragraph(Text(result.workload.summary, "bold"), console)
    present = [figures for figures in result.figures if figures.absent is None]
    cells = [_cells(figures) for figures in present]
    titles = [title for title in _cells(result.own) if any(row[title] != _NONE for row in cells)]
    table = _table("", *titles)
    for figures, row in zip(present, cells, strict=True):
        name = Text(figures.library, style.VALUE if figures.library == OWN else "default")
        table.add_row(name, *(Text(row[title]) for title in titles))
    if present:
        style.print_trimmed(table, console)
    _print_notes([result], console)
    if result.speedup is not None:
        style.print_paragraph(_verdict(result), console, indent=2)


def _cells(figures: Figures) -> dict[str, str]:
    """A row, by the titles of its columns."""
    return {
        "median": _time(figures.median),
        "best": _time(figures.best),
        "ratio": _NONE if figures.library == OWN else _number(figures.ratio),
        "compile": _time(figures.compiling),
        "cached": _time(figures.loading),
        "memory": _NONE if figures.memory is None else f"{_amount(figures.memory)}B",
        "error": _number(figures.error, 2),
    }


def _verdict(result: Result) -> Text:
    peer = result.best_peer
    assert peer is not None
    goal = f"goal {result.workload.goal:g}, {'reached' if result.reached else 'not reached'}"
    words = Text.assemble(
        (f"{_number(result.speedup)} times as fast", "bold"), f" as {peer.library} ({goal}); "
    )
    words.append(f"{_amount(result.cost.flops)}FLOP")
    if result.share is not None:
        words.append(f" at {_share(result.share)} of the peak")
    return words


def _print_family(results: Sequence[Result], console: Console) -> None:
    """Sizes below each other, libraries beside each other."""
    family = results[0].workload.family
    console.print()
    style.print_paragraph(Text(results[0].workload.summary.partition(",")[0], "bold"), console)
    timed = any(result.own.median is not None for result in results)
    present = dict.fromkeys(f.library for r in results for f in r.figures if f.median is not None)
    if not timed:
        _print_notes(results, console)
        return
    table = _table(family, *present, "× best", "of peak")
    for result in results:
        times = {f.library: _time(f.median) for f in result.figures}
        table.add_row(
            Text(result.name.removeprefix(f"{family}-")),
            *(Text(times.get(name, _NONE), style.VALUE if name == OWN else "default") for name in present),
            Text(_number(result.speedup)),
            Text(_NONE if result.share is None else _share(result.share)),
        )
    style.print_trimmed(table, console)
    _print_notes(results, console)


def _print_notes(results: Sequence[Result], console: Console) -> None:
    """Who has no figures, and whose numbers are wrong."""
    absent: dict[str, list[str]] = {}
    for result in results:
        for figures in result.figures:
            if figures.absent is not None:
                absent.setdefault(f"{figures.library} is not available: {figures.absent}", []).append(
                    result.name
                )
    for reason, names in absent.items():
        where = "" if len(names) == len(results) else f" ({', '.join(names)})"
        style.print_paragraph(reason + where, console, indent=2, hanging=2)
    wrong = [(result, figures) for result in results for figures in result.wrong]
    for result, figures in wrong:
        words = f"{result.name}: {figures.library} is wrong, error {_number(figures.error, 2)}"
        style.print_paragraph(Text(words, style.ERROR), console, indent=2, hanging=2)
    errors = [f.error for result in results for f in result.figures if f.error is not None]
    if errors and not wrong and not isinstance(results[0].workload, Training):
        words = f"Errors are at most {_number(max(errors), 2)} of the largest element."
        style.print_paragraph(words, console, indent=2)
    steps = {
        f.steps: f.library for result in results for f in reversed(result.figures) if f.error is not None
    }
    for few, library in steps.items():
        if few != max(steps):
            words = f"{library} was compared with float64 after {counted(few, 'step')}."
            style.print_paragraph(words, console, indent=2)


def _print_closing(finished: Finished, console: Console) -> None:
    console.print()
    compared = [result for result in finished.results if result.reached is not None]
    if compared:
        missed = [result.name for result in compared if not result.reached]
        words = f"Goals: {len(compared) - len(missed)} of {len(compared)} reached"
        style.print_paragraph(words + (f"; not {', '.join(missed)}." if missed else "."), console)
    elif not any(result.own.median for result in finished.results) and not finished.failed:
        style.print_paragraph("Each ran once, untimed; the numbers are those of float64.", console)
    trainings = [result for result in finished.results if isinstance(result.workload, Training)]
    if any(figures.compiling is not None for result in trainings for figures in result.figures):
        style.print_paragraph(
            "Compile: what the first step takes longer than others; cached, in a new process with its code on disk.",
            console,
        )
    steps = {max(figures.steps for figures in result.figures) for result in trainings} - {0}
    if steps:
        when = " or ".join(counted(n, "step") for n in sorted(steps))
        style.print_paragraph(
            f"Error: distance of the parameters after {when} from those in float64, relative to the way they "
            "went.",
            console,
        )


def _table(*titles: str, left: int = 1) -> Table:
    """Columns of words, ``left`` of them, then columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for i, title in enumerate(titles):
        table.add_column(Text(title), justify="left" if i < left else "right", no_wrap=i >= left)
    return table


def _share(share: float) -> str:
    """Of a peak, in whole per cent."""
    return f"{100 * share:.0f} %" if share >= 0.01 else "<1 %"


def _number(number: float | None, digits: int = 3) -> str:
    return _NONE if number is None else number_text(number, digits)


def _time(seconds: float | None) -> str:
    """Three digits and a unit: ``126 µs``."""
    if not seconds:
        return _NONE
    unit, name = next((u for u in _TIMES if float(f"{seconds:.2e}") >= u[0]), _TIMES[-1])
    return f"{_digits(seconds / unit)} {name}"


def _amount(amount: float) -> str:
    """Three digits and a prefix, ready for its unit: ``53.8 M``."""
    unit, prefix = next((u for u in _AMOUNTS if float(f"{amount:.2e}") >= u[0]), _AMOUNTS[-1])
    return f"{_digits(amount / unit) if prefix else round(amount)} {prefix}"


def _digits(number: float) -> str:
    """Three digits of a number below 1000; zeros stay, so that columns line up."""
    rounded = float(f"{number:.2e}")
    return f"{rounded:.{0 if rounded >= 100 else 1 if rounded >= 10 else 2}f}"
