"""Runs that begin from a plan, and runs that go on."""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from chainrule.errors import ArgumentError, DataError
from chainrule.train.events import Event
from chainrule.train.fitting import run
from chainrule.train.folder import RunFolder, make_folder, point_latest
from chainrule.train.plan import Plan, Work, prepare

RUNS = Path("runs")
"""Where runs are kept that are given no folder."""


def begin(
    plan: Plan,
    folder: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    checkpoint_every: int | None = None,
) -> Iterator[Event]:
    """Train by a plan.

    Args:
        plan: what to train.
        folder: for the run; None for a new one in ``runs/``, for which ``runs/latest`` then stands.
        threads, checkpoint_every: as for :func:`chainrule.train.run`.

    Returns:
        What :func:`chainrule.train.run` yields.

    Raises:
        DataError: the data is missing or not what it should be, or the folder holds something.
        ArgumentError: a name is unknown, or a number out of its range.
    """
    work = prepare(plan)
    with _new_folder(work.plan) if folder is None else nullcontext(Path(folder)) as chosen:
        events = _run(work, folder=chosen, threads=threads, checkpoint_every=checkpoint_every)
    if folder is None:
        point_latest(chosen)
    return events


def resume(
    folder: str | os.PathLike[str],
    *,
    data: str | None = None,
    epochs: int | None = None,
    threads: int | None = None,
    checkpoint_every: int | None = None,
) -> Iterator[Event]:
    """Go on with a run that ``begin`` began.

    Args:
        folder: of the run.
        data: where its data are now, if they were moved.
        epochs: how many in all, if not as many as it began with; only with a constant learning rate, since schedules
            are stretched over all epochs.
        threads, checkpoint_every: as for :func:`begin`.

    Returns:
        What :func:`chainrule.train.run` yields.

    Raises:
        DataError: it is no run, was trained by a program, or its data are missing.
        ArgumentError: the data are others, or the number of epochs cannot change.
    """
    kept = RunFolder.open(folder)
    if "plan" not in kept.about:
        raise DataError(
            f"{kept.path} was trained by a program",
            fix="go on with that program: cr.train.fit(..., folder=..., resume=True)",
        )
    plan = Plan.from_dict(kept.about["plan"])
    if epochs not in (None, plan.epochs) and plan.schedule != "constant":
        raise ArgumentError(
            f"the number of epochs cannot change: the learning rate follows {plan.schedule} over all {plan.epochs}",
            fix='train into a new folder, with schedule="constant" if the number is to be open',
        )
    changes = {"data": data, "epochs": epochs}
    work = prepare(dataclasses.replace(plan, **{n: v for n, v in changes.items() if v is not None}))
    return _run(work, folder=kept.path, resume=True, threads=threads, checkpoint_every=checkpoint_every)


def _run(work: Work, **settings: Any) -> Iterator[Event]:
    return run(work.model, work.data, work.loss, work.optimizer, **work.settings, **settings)


@contextmanager
def _new_folder(plan: Plan) -> Iterator[Path]:
    """``runs/digits-mlp-1``, or the next number that is free, made here so that no other process takes it.

    Raises:
        DataError: it cannot be made.
    """
    stem = re.sub(r"[^\w.-]+", "-", Path(plan.data).stem) or "data"
    names = (RUNS / f"{stem}-{plan.model}-{number}" for number in itertools.count(1))
    folder = next(filter(make_folder, names))
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            folder.rmdir()  # the run was refused before it began
        raise
