"""Training in the terminal: progress while it runs, then what the network can do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from chainrule.explain.numbers import count_text, counted, number_text
from chainrule.show import style
from chainrule.show.figures import Drawn
from chainrule.train import EpochEnded, Event, Finished, Found, Prediction, Started, Stepped

_LINES = 10
_BAR = 24
_CLASSES = 3
"""Of a prediction, the most probable."""
_SMALL, _LARGE = 1e-4, 1e5
_DIVERGED = 2.0
"""Times the loss of the first step: a loss that ends above has not merely stopped falling."""


def show_training(events: Iterable[Event], console: Console) -> Finished:
    """Draw events as they come, then the result.

    Args:
        events: from `cr.train.run`, consumed here.
        console: where to. In a terminal there is a bar that moves; elsewhere a line for every few epochs.

    Returns:
        The last event.
    """
    finished: Finished | None = None
    first = last = 0.0
    trained = False
    rest = iter(events)
    started = next(rest)
    assert isinstance(started, Started)
    try:
        for event in _with_progress(started, rest, console):
            trained = trained or isinstance(event, Stepped)
            if isinstance(event, Stepped) and (event.epoch, event.step) == (1, 1):
                first = event.loss
            elif isinstance(event, EpochEnded):
                last = event.train_loss
            elif isinstance(event, Finished):
                finished = event
    except KeyboardInterrupt:
        if started.folder is not None:
            console.print(f"stopped; go on with: {resuming(started)}", soft_wrap=True)
        raise
    assert finished is not None
    if not trained:
        text = f"The run had ended already, after {counted(finished.epochs, 'epoch')}: nothing was left to train."
        style.print_paragraph(Text(text), console)
    console.print()
    if first and last > _DIVERGED * first:
        style.print_paragraph(_divergence(first, last), console)
        console.print()
    show_result(finished, console)
    return finished


def resuming(started: Started) -> str:
    """The command that goes on with a run that is kept."""
    return f"chainrule train --resume {started.folder}"


def _divergence(first: float, last: float) -> Text:
    return Text(
        f"Training diverged: the loss has grown from {_loss(first)} to {_loss(last)}. Lower the learning rate.",
        style=style.ERROR,
    )


def _opening(event: Started) -> str:
    rate = event.optimizer["learning_rate"]
    how = rate["schedule"].replace("_", " ") if isinstance(rate, dict) else f"{rate:g}"
    line = (
        f"{counted(event.train, 'example')}, {counted(event.parameters, 'parameter')}, "
        f"{event.optimizer['name']}, learning rate {how}, "
        f"{counted(event.epochs, 'epoch')} of {counted(event.steps, 'step')}"
    )
    return line + (f"; {counted(event.done, 'step')} done before" if event.done else "")


def _with_progress(started: Started, events: Iterator[Event], console: Console) -> Iterator[Event]:
    """Hand the events after the first on, and show how far they are."""
    style.print_paragraph(_opening(started), console)
    if not console.is_terminal:
        for event in events:
            if isinstance(event, EpochEnded) and _is_due(event):
                _print_epoch(event, started, console)
            elif isinstance(event, Found):
                _print_findings(event, console)
            yield event
        return
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=_BAR, complete_style=style.GRADIENT, finished_style=style.GRADIENT),
        TextColumn("step {task.completed} of {task.total}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("compiling", total=started.epochs * started.steps, completed=started.done)
        for event in events:
            if isinstance(event, Stepped):
                if (event.epoch - 1) * event.steps + event.step == started.done + 1:
                    progress.update(task, description="training")
                progress.advance(task)
            elif isinstance(event, EpochEnded):
                progress.update(task, description=_state(event, started))
                if _is_due(event):
                    _print_epoch(event, started, progress.console)
            elif isinstance(event, Found):
                _print_findings(event, progress.console)
            yield event


def _print_epoch(event: EpochEnded, started: Started, console: Console) -> None:
    console.print(f"  epoch {event.epoch:>3}  {_state(event, started)}", highlight=False)


def _print_findings(event: Found, console: Console) -> None:
    when = f"after epoch {event.epoch}, step {event.step}" if event.step else "before the first step"
    for finding in event.findings:
        console.print(Text(f"  {when}: {finding.title}", style=style.ERROR), soft_wrap=True)
        for heading, text in finding.rows:
            if heading in ("cause", "remedy"):
                console.print(Text(f"    {heading:<8}{text}"), soft_wrap=True)


def _is_due(event: EpochEnded) -> bool:
    every = -(-event.epochs // _LINES)
    return event.epoch % every == 0 or event.epoch == event.epochs


def _state(event: EpochEnded, started: Started) -> str:
    part = {"valid": "validation"}.get(started.validated_on, started.validated_on)
    return f"loss {_loss(event.train_loss)}  {part} {_quality(event.valid)}"


def _quality(measured: dict[str, float]) -> str:
    """The accuracy where it is measured, else the loss."""
    if "accuracy" in measured:
        return f"accuracy {100 * measured['accuracy']:.1f} %"
    return f"loss {_loss(measured['loss'])}"


def _loss(loss: float) -> str:
    """Four decimals, which line up below each other; very large and very small ones with a power of ten."""
    return f"{loss:.4f}" if loss == 0 or _SMALL <= loss < _LARGE else number_text(loss)


def show_result(finished: Finished, console: Console) -> None:
    """Accuracy, the confusion table, and the size of each layer's gradient."""
    console.print(_outcome(finished), highlight=False)
    console.print()
    if finished.confusion:
        style.print_trimmed(_confusion(finished, console.width), console)
        console.print()
    console.print(
        Text("gradient of each layer in the last step, root mean square"), style="bold", highlight=False
    )
    _print_gradients(finished.gradients, console)
    if finished.folder is not None:
        console.print()
        console.print(f"the run is in {finished.folder}", highlight=False, soft_wrap=True)


def _outcome(finished: Finished) -> Text:
    ended = f"{finished.seconds:.1f} s"
    if finished.reason != "all epochs":
        ended += f", stopped after {counted(finished.epochs, 'epoch')} at {finished.reason}"
    if not finished.confusion:
        found = "   ".join(
            f"{name.replace('_', ' ')} {_loss(value)}" for name, value in finished.test.items()
        )
        return Text.assemble(("test ", "bold"), (found, style.VALUE), f"   {ended}")
    tested = sum(map(sum, finished.confusion))
    right = sum(row[i] for i, row in enumerate(finished.confusion))
    return Text.assemble(
        ("test accuracy ", "bold"),
        (f"{100 * right / tested:.1f} %", style.VALUE),
        f"   {count_text(right)} of {count_text(tested)} unseen examples, {ended}",
    )


def _confusion(finished: Finished, width: int) -> Table | Text:
    """Rows are the true classes, columns what the network said; mistakes alone where that is too wide."""
    cells = max(len(name) for name in (*finished.classes, "999")) + 2
    if cells * (len(finished.classes) + 1) + 14 > width:
        return _mistakes(finished)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("true ↓  read →", justify="right")
    for name in finished.classes:
        table.add_column(Text(name), justify="right", min_width=3)
    for i, (name, row) in enumerate(zip(finished.classes, finished.confusion, strict=True)):
        looks = [style.VALUE if i == j else style.GRADIENT if n else style.QUIET for j, n in enumerate(row)]
        table.add_row(
            Text(name), *(Text(str(n) if n else "·", style=s) for n, s in zip(row, looks, strict=True))
        )
    return table


def _mistakes(finished: Finished) -> Text:
    wrong = [
        (n, f"{finished.classes[i]} read as {finished.classes[j]}: {n}")
        for i, row in enumerate(finished.confusion)
        for j, n in enumerate(row)
        if n and i != j
    ]
    wrong.sort(key=lambda pair: -pair[0])
    return Text("mistakes: " + ("; ".join(text for _, text in wrong[:10]) or "none"))


def _print_gradients(gradients: dict[str, float], console: Console) -> None:
    largest = max(gradients.values(), default=0.0)
    names = [name or "all" for name in gradients]
    width = min(max(map(len, names), default=0), max(8, console.width - _BAR - 16))
    for name, size in zip(names, gradients.values(), strict=True):
        line = (
            Text("  ")
            .append(name[:width].ljust(width))
            .append(f"  {number_text(size, 3):>9}  ", style.GRADIENT)
        )
        line.append_text(style.bar(size / largest if largest else 0.0, _BAR))
        console.print(line, highlight=False)


def show_predictions(predictions: Sequence[Prediction], console: Console) -> None:
    """For each picture the most probable classes, and what was done to it."""
    for number, one in enumerate(predictions):
        if number:
            console.print()
        console.print(Text(one.file, "bold"), highlight=False, soft_wrap=True)
        width = max(map(len, one.scores))
        for name, score in list(one.scores.items())[:_CLASSES]:
            line = Text("  ").append(name.ljust(width)).append(f"  {100 * score:5.1f} %  ", style.VALUE)
            console.print(line.append_text(style.bar(score, _BAR)), highlight=False)
        for note in one.notes:
            style.print_paragraph(Text(note, style.QUIET), console, indent=2)


def show_drawn(drawn: Drawn, console: Console) -> None:
    """The files that were drawn, and why others were not."""
    for name, path in drawn.files.items():
        console.print(f"{name:<12} {path}", highlight=False, soft_wrap=True)
    for name, why in drawn.left_out.items():
        style.print_paragraph(Text(f"without {name}: {why}", style.QUIET), console)
