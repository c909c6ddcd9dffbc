"""``chainrule train``, ``predict`` and ``plot``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule import train
from chainrule.cli.printing import Interrupted, Json, make_console, print_json
from chainrule.errors import ArgumentError, shown
from chainrule.show import draw_run, resuming, show_drawn, show_predictions, show_training


class OptimizerName(StrEnum):
    """Optimizers, by their names in ``cr.optim``."""

    adam = "adam"
    adamw = "adamw"
    rmsprop = "rmsprop"
    adagrad = "adagrad"
    momentum = "momentum"
    nesterov = "nesterov"
    gradient_descent = "gradient_descent"


def _column(written: str) -> int | str:
    """A column by its number, from 0 or negative from the end, or by its name."""
    return int(written) if re.fullmatch(r"-?[0-9]{1,9}", written) else written


def _size(written: str) -> list[int]:
    """``64`` or ``48x64`` as rows and columns."""
    match = re.fullmatch(r"([0-9]{1,9})(?:[x×]([0-9]{1,9}))?", written)
    if match is None:
        raise ArgumentError(
            f"--size must be a number or ROWSxCOLUMNS, got {shown(written)}", fix="--size 64, or --size 48x64"
        )
    return [int(match[1]), int(match[2] or match[1])]


class ScheduleName(StrEnum):
    """Learning-rate schedules, by their names in ``cr.optim``."""

    constant = "constant"
    one_cycle = "one_cycle"
    cosine = "cosine"


Run = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, such as runs/latest.", show_default=False)
]


def train_command(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="digits, mnist, fashion-mnist, cifar10; or a folder of pictures, a .csv or an .npz file.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="linear, mlp, lenet, cnn, resnet20 ... resnet152; default: one that suits the data."
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="How often each example is used.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Examples in a step.")] = None,
    drop_last: Annotated[
        bool, typer.Option("--drop-last", help="Leave out of each epoch what does not fill a batch.")
    ] = False,
    optimizer: Annotated[OptimizerName | None, typer.Option(help="How a gradient becomes a step.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Length of a step, the largest if it changes.")
    ] = None,
    schedule: Annotated[ScheduleName | None, typer.Option(help="How the learning rate changes.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Pull of the weights to zero.")] = None,
    augment: Annotated[
        str | None, typer.Option(help="Changes of training images: crop, flip, crop,flip or none.")
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(help="Share of the training examples to watch instead of the test examples."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop at a steady loss: epochs without a smaller one.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random; default: 0.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="N", help="Bring pictures to N × N pixels, or ROWSxCOLUMNS.")
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Of a table, what to learn: a name or a number; default: the last."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Of a table, leave this out; may be repeated.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="Whether a table's label is of classes or numbers.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Between a table's fields; default: a comma.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder for the run; default: a new one in runs/.", show_default=False)
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with this run.", show_default=False)
    ] = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Save within epochs too.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="How many compute, at most.")] = None,
    as_json: Json = False,
) -> None:
    """Train a network, and keep it in a folder.

    The folder holds checkpoints, a log and the trained parameters; a run that was stopped goes on with --resume, and
    ends with the same bits: for more --epochs if the schedule is constant, and from another place if DATA was moved.
    What is not said is chosen to suit the data.

    For example: chainrule train fashion-mnist --model cnn --epochs 6
    """
    asked: dict[str, Any] = {
        "model": model,
        "epochs": epochs,
        "batch_size": batch_size,
        "drop_last": drop_last or None,
        "optimizer": optimizer and optimizer.value,
        "learning_rate": learning_rate,
        "schedule": schedule and schedule.value,
        "weight_decay": weight_decay,
        "augment": None if augment is None else tuple(name for name in augment.split(",") if name != "none"),
        "validation": validation,
        "patience": patience,
        "seed": seed,
    }
    of_data: dict[str, Any] = {
        "size": size and _size(size),
        "label": label and _column(label),
        "ignore": ignore and [_column(one) for one in ignore],
        "targets": targets,
        "delimiter": delimiter,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    loading = {name: value for name, value in of_data.items() if value is not None}
    if resume is not None:
        other = ["--run"] * (run is not None)
        other += [f"--{name.replace('_', '-')}" for name in (*given, *loading) if name != "epochs"]
        if other:
            raise ArgumentError(
                f"--resume goes on as the run began: {other[0]} cannot change", fix="leave it out"
            )
        events = train.resume(
            resume, data=data, epochs=epochs, threads=threads, checkpoint_every=checkpoint_every
        )
    elif data is None:
        raise ArgumentError("train: no data is named", fix="chainrule train digits, or --resume runs/latest")
    else:
        plan = train.Plan(data, **given, options=loading)
        events = train.begin(plan, run, threads=threads, checkpoint_every=checkpoint_every)
    _follow(events, as_json)


def _follow(events: Iterator[train.Event], as_json: bool) -> None:
    if not as_json:
        show_training(events, make_console())
        return
    started = next(events)
    assert isinstance(started, train.Started)
    hidden = train.Stepped, train.Saved
    try:
        visible = [event for event in events if not isinstance(event, hidden)]
    except KeyboardInterrupt:
        raise Interrupted(f"go on with: {resuming(started)}") from None
    ended = [event.to_dict() for event in visible[:-1] if not isinstance(event, train.Found)]
    found = [event.to_dict() for event in visible if isinstance(event, train.Found)]
    parts = {"started": started.to_dict(), "epochs": ended, "found": found, "finished": visible[-1].to_dict()}
    print_json({"version": 2, **parts})


def predict_command(
    run: Run,
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGE...", help="Picture files.", show_default=False)
    ],
    invert: Annotated[
        bool,
        typer.Option(
            "--invert", help="Swap black and white, for ink on paper where training had light on dark."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Say what a trained network sees in pictures.

    A picture of another size is scaled and cut to that of the training pictures, which is said.

    For example: chainrule predict runs/latest photo.png
    """
    found = train.load(run).see(images, invert=invert)
    if as_json:
        print_json({"version": 1, "run": str(run), "predictions": [one.to_dict() for one in found]})
    else:
        show_predictions(found, make_console())


def plot_command(
    run: Run,
    into: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures; default: figures/ in the run.", show_default=False),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write an event file for TensorBoard too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Draw what a run has learned, as PNG files.

    Curves of loss and accuracy, the confusion of classes, the size of gradients and updates, weights as templates,
    filters, and activations for an example.
    """
    drawn = draw_run(run, into)
    if tensorboard:
        drawn.files["tensorboard"] = train.export_tensorboard(run)
    if as_json:
        print_json({"version": 1, **drawn.to_dict()})
    else:
        show_drawn(drawn, make_console())
