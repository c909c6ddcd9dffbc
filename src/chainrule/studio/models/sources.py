"""What can be opened: a model in hand, a program, the folder of a run, a model of the catalogue."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chainrule import models, nn, train
from chainrule.data import Dataset
from chainrule.errors import ArgumentError, ChainruleError, DataError
from chainrule.explain.diagnosis import diagnose, diagnose_program
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.diagnosis.subject import FEWEST, Subject, rows_of, some_of, untouched
from chainrule.explain.numbers import counted
from chainrule.nn import Module
from chainrule.optim import Optimizer
from chainrule.studio.models.curves import Curves
from chainrule.studio.models.opening import Opening
from chainrule.studio.models.places import Calls
from chainrule.studio.models.view import View, looked_at
from chainrule.train.checkpoint import found as checkpoints
from chainrule.train.folder import ABOUT, CHECKPOINTS, LOG, TABLE, WEIGHTS, RunFolder
from chainrule.train.plan import Plan, Work, prepare

MOST_NUMBERS = 200_000_000
"""Numbers in the graph of the pass that is shown: of a larger batch some examples are taken."""
MOST_AT_ALL = 800_000_000
"""The same where already the fewest examples have more."""
MOST_EXAMINED = 150_000_000
"""Numbers in the graph of one pass of the doctor, who keeps several."""
_FEWEST = 2
_LOOKED_AT = 64
"""Examples of a run's data that go through its model."""

Task = Callable[[Opening], object]


def pass_through(
    model: Any,
    loss: Callable[..., Any],
    x: Any,
    y: Any,
    key: Any = None,
    tell: Callable[[str, float], object] = lambda doing, share: None,
) -> tuple[View, int]:
    """One pass forward and back, measured; and how many examples went through.

    Raises:
        ArgumentError: one example alone is too large.
        ChainruleError: the model or its loss raises.
    """
    with untouched():
        tell("going forward", 0.0)
        subject, calls = Subject(model, loss, key), Calls()
        few_x, few_y = some_of(x, y, subject, MOST_NUMBERS, _FEWEST)
        if few_x is None:
            few_x, few_y = some_of(x, y, subject, MOST_AT_ALL, _FEWEST)
        if few_x is None:
            raise ArgumentError(
                f"the graph of {_FEWEST} examples has more than {MOST_AT_ALL:,} numbers",
                fix="pass smaller examples: images of fewer pixels, shorter sequences",
            )
        watch = {"watch": calls.watched} if isinstance(model, Module) else {}
        observed, _ = subject.run(subject.values, few_x, few_y, 0, **watch)
        return looked_at(observed, calls, lambda share: tell("measuring", share)), rows_of(few_x)


def python_task(
    model: Any, loss: Callable[..., Any], batch: tuple[Any, Any], optimizer: Optimizer | None, key: Any
) -> Task:
    """Opens a model with its loss and a batch."""

    def work(opening: Opening) -> None:
        x, y = batch
        view, rows = pass_through(model, loss, x, y, key, opening.tell)
        given = rows_of(x)
        if rows < given:
            opening.note(
                f"{rows} of {counted(given, 'example')} went through: the graph of all would be too large."
            )
        opening.show(view)
        _examine(opening, view, min(given, FEWEST), model, loss, batch, optimizer, key)

    return work


def _examine(
    opening: Opening,
    view: View,
    rows: int,
    model: Any,
    loss: Callable[..., Any],
    batch: Any,
    optimizer: Optimizer | None,
    key: Any,
) -> None:
    """Ask the doctor, unless the graph of the ``rows`` examples that he takes at least would be too large."""
    of_examples = sum(n.size for n in view.observed.order if n.ndim and n.shape[0] == view.anatomy.batch)
    each = of_examples / max(1, view.anatomy.batch)
    whole = sum(n.size for n in view.observed.order) - of_examples + each * rows
    if whole > MOST_EXAMINED:
        opening.note(
            f"The doctor has not looked: {counted(rows, 'example')} would be {whole / 1e6:,.0f} million numbers a pass."
        )
        return
    opening.examine()
    report = diagnose(model, loss, batch, optimizer, key=key, progress=opening.tell)
    opening.diagnosed(report, optimizer is not None)


def script_task(path: str, arguments: Sequence[str] = ()) -> Task:
    """Runs a program as ``chainrule doctor`` does, and shows the first pass of its largest network."""

    def work(opening: Opening) -> None:
        largest = 0
        doing = f"{Path(path).name} has not made a backward pass yet"

        def see(observed: Observed) -> None:
            nonlocal largest
            size = sum(node.size for node in observed.parameters.values())
            if size == largest and observed.finite is False:
                count = len(opening.curves.series["loss"]) + 1
                opening.note(f"This is backward pass {count:,}, the first one that is not finite.")
            if size > largest or (size == largest and observed.finite is False):
                largest = size
                opening.show(looked_at(observed, None, lambda share: opening.tell("measuring", share)))
            if size == largest:
                series = opening.curves.series.get("loss", ())
                opening.curves.add("loss", len(series) + 1.0, observed.loss)

        def seen(count: int) -> None:
            opening.tell(f"{Path(path).name} runs: backward pass {count:,}")

        opening.tell(doing)
        with contextlib.redirect_stdout(sys.stderr):
            opening.examine()
            report = diagnose_program(path, arguments, seen=seen, examining=opening.tell, watch=see)
        opening.curves.state = "ended"
        opening.diagnosed(report, True)

    return work


def run_task(folder: str | os.PathLike[str]) -> Task:
    """Shows the curves of a run, and its model on the run's own data."""

    def work(opening: Opening) -> None:
        run = checked_run(folder)
        opening.curves = Curves(run)
        opening.curves.refresh()
        opening.tell("reading the data of the run")
        try:
            model, loaded = _trained(run, opening)
        except ChainruleError as error:
            opening.fail(error)
            return
        x, y = _some_examples(loaded.data)
        view, _ = pass_through(model, loaded.loss, x, y, None, opening.tell)
        opening.show(view)
        # without its optimizer: that would begin anew, with updates that the run does not make; its own are in the log
        _examine(opening, view, FEWEST, model, loaded.loss, loaded.data, None, None)

    return work


def _trained(run: RunFolder, opening: Opening) -> tuple[Any, Work]:
    """The model of a run with its newest weights, and what it is trained with."""
    if "plan" not in run.about:
        raise DataError(
            f"{run.path} was trained by a program: its curves are known, its model is not",
            fix="chainrule studio program.py; or chainrule.studio.models.examine(model, loss, x, y) in it",
        )
    work = prepare(Plan.from_dict(run.about["plan"]))
    if not (run.path / WEIGHTS).exists() and not checkpoints(run.path / CHECKPOINTS):
        opening.note("The run has no checkpoint yet: this is the model as it starts.")
        return work.model, work
    return train.load(run.path, work.model).model, work


def _some_examples(data: Dataset) -> tuple[Any, Any]:
    order = np.random.default_rng(0).permutation(len(data.train_y))[:_LOOKED_AT]
    return data.preparation(data.train_x[order]), data.train_y[order]


def checked_run(folder: str | os.PathLike[str]) -> RunFolder:
    """A run's folder, none of whose files leads out of it.

    Raises:
        DataError: it is no run, or a file in it is a link to somewhere else.
    """
    try:
        run = RunFolder.open(folder)
        whole = run.path.resolve()
        inside = [run.path / name for name in (ABOUT, LOG, TABLE, WEIGHTS, CHECKPOINTS)]
        if (run.path / CHECKPOINTS).is_dir():
            inside += list((run.path / CHECKPOINTS).iterdir())
        for path in inside:
            if not path.resolve().is_relative_to(whole):
                raise DataError(
                    f"{path} is a link that leads out of the run's folder", fix="put the file itself there"
                )
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a name with a zero byte
        raise DataError(
            f"{os.fspath(folder)!r} cannot be read: {error}", fix="pass the folder of a run"
        ) from None
    return run


def catalogue_task(name: str) -> Task:
    """Opens an example by its name, one of `EXAMPLES`."""

    def work(opening: Opening) -> None:
        opening.tell("drawing weights")
        model, loss, batch = EXAMPLES[name][1]()
        python_task(model, loss, batch, None, None)(opening)

    return work


def _pictures(size: int, count: int, channels: int = 3) -> tuple[Any, Any]:
    """Handwritten digits, enlarged: real pictures that travel with the package."""
    from chainrule.data import digits

    data = digits()
    small = data.train_x[:count].reshape(-1, 8, 8)
    times = -(-size // 8)
    large = small.repeat(times, 1).repeat(times, 2)[:, :size, :size, None].repeat(channels, 3)
    large = (large - large.mean()) / large.std()
    return large.astype(np.float32), data.train_y[:count]


def _key() -> Any:
    from chainrule.ops import random

    return random.key(0)


def _resnet(depth: int, size: int, count: int) -> Any:
    return models.resnet(depth, classes=10, key=_key()), nn.softmax_cross_entropy, _pictures(size, count)


def _digits() -> Any:
    recipe = models.digits_classifier()
    return recipe.model, recipe.loss, (recipe.data.train_x[:128], recipe.data.train_y[:128])


def _dead() -> Any:
    """The same, with biases so low that its units never answer."""
    model, loss, batch = _digits()
    found = {path: node.numpy().copy() for path, node in model.parameters().items()}
    found["layers.0.bias"] -= 4.0
    return model.with_parameters(found), loss, batch


def _text(batch: int, length: int) -> tuple[int, Any, Any]:
    """Windows of a text that is there wherever chainrule is: one of its own files, as numbers of characters."""
    text = Path(__file__).read_text(encoding="utf-8")
    letters = sorted(set(text))
    ids = np.array([letters.index(c) for c in text])
    starts = np.linspace(0, len(ids) - length - 2, batch).astype(int)
    x = np.stack([ids[i : i + length] for i in starts])
    return len(letters), x, np.stack([ids[i + 1 : i + length + 1] for i in starts])


def _transformer() -> Any:
    letters, x, y = _text(8, 32)
    return models.transformer(letters, 64, 4, 4, 32, key=_key()), nn.softmax_cross_entropy, (x, y)


def _char_rnn() -> Any:
    letters, x, y = _text(16, 32)
    return models.char_rnn(letters, 64, "lstm", 2, key=_key()), nn.softmax_cross_entropy, (x, y)


EXAMPLES: dict[str, tuple[str, Callable[[], Any]]] = {
    "digits": ("A network of one hidden layer that reads digits, at its start", _digits),
    "dead-units": ("The same with a fault: biases so low that units never answer", _dead),
    "resnet20": ("ResNet-20 on digits of 32 × 32 pixels", lambda: _resnet(20, 32, 16)),
    "resnet152": ("ResNet-152 on digits of 64 × 64 pixels: 50 blocks", lambda: _resnet(152, 64, 4)),
    "transformer": ("A transformer of 4 blocks that reads characters", _transformer),
    "char-rnn": ("Two LSTM layers that read characters", _char_rnn),
}
"""What can be opened by name: a sentence about it, and what makes model, loss and batch."""
