"""The training loop. It emits events and prints nothing; whoever wants to see, listens.

:func:`run` yields events while it trains, :func:`fit` waits for the last one. The same arguments give the same numbers
to the bit, apart from the seconds; so does a run that was stopped at any moment and goes on from its folder.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, Unpack

from chainrule.data import Dataset
from chainrule.optim import Optimizer
from chainrule.train.evaluation import require_scores
from chainrule.train.events import Event, Finished, Found
from chainrule.train.loop import Loop
from chainrule.train.monitor import described
from chainrule.train.options import Settings, options_of, require_arguments


def run(
    model: Any,
    data: Dataset,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    **settings: Unpack[Settings],
) -> Iterator[Event]:
    """Train and yield what happens: `Started`; `Stepped`, `Found`, `Saved` and `EpochEnded` in each epoch; `Finished`.

    Args:
        model: a module; maps ``(n, *features)`` to scores ``(n, classes)``, or to ``(n, *targets)`` for a regression.
            Layers that wait for their first input get it now. In a step it is called with a
            :class:`chainrule.nn.Training`, otherwise without.
        data: what to train and to test on; if it has a validation part, that is looked at after each epoch.
        loss: ``(output, targets) -> one number``, the mean over a batch.
        optimizer: from ``cr.optim``.
        epochs: how often each example is used, at least 1.
        batch_size: examples in a step, at least 1; the last of an epoch may have fewer.
        drop_last: leave out of each epoch what does not fill a batch; the next epoch leaves out others. Batch
            normalization cannot use a batch of one example.
        key: from ``cr.random.key``, for the order of the examples, augmentation and random layers.
        augment: how to change training images at random, such as ``[cr.data.crop(4), cr.data.flip()]``.
        metrics: what to measure beside the loss, by name, ``(output, targets) -> one number`` in operations of
            chainrule; ``"loss"`` is taken. None for accuracy, or the mean absolute error of a regression.
        compile: whether steps are machine code. With False they run node by node through NumPy, for debugging: slow,
            but Python's debugger stops inside the model.
        threads, winograd: as for :func:`chainrule.train.compile_step`.
        patience: stop at a steady loss: when in so many epochs the loss on held-out examples has not fallen by more
            than ``tolerance`` of itself. None trains all epochs.
        tolerance: see patience.
        monitor: updates between two looks at the sizes of gradients and updates. Before the first step, and where a
            look finds something odd, the network is examined as by :func:`chainrule.diagnose`, and what is found comes
            as a `Found` event; `fit` without ``on_event`` warns. None for no monitor. It changes no number of the run.
        folder: where to keep the run: its log and checkpoints, after each epoch. None keeps nothing.
        resume: go on with the run in that folder if there is one; all else must be as it was, ``epochs`` excepted.
            Functions are compared by their names and by what ``functools.partial`` gave them.
        checkpoint_every: steps after which there is a checkpoint within an epoch, too.
        about: more to write down in the run's folder, JSON-ready.

    Raises:
        ShapeError: the model does not give one score for each class, or a metric not one number.
        ArgumentError: an argument is unknown, lacking or out of its range, or a resumed run was another one.
        OperandError: an argument is not what it should be, or in another place.
        DivergenceError: the loss or a parameter is not finite; the step, the layer and the last good checkpoint
            are named.
        DataError: the folder holds something else, or cannot be written to or read.

    Example:
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> for event in run(model, data, loss, optimizer, **{**settings, "epochs": 2}):
        ...     if isinstance(event, cr.train.EpochEnded):
        ...         print(event.epoch, event.valid_accuracy > 0.9)
        1 True
        2 True
    """
    require_arguments(model, data, loss, optimizer)
    options = options_of(settings)
    require_scores(model, data.preparation(data.train_x[:1]), len(data.classes or ()))
    return Loop(model, data, loss, optimizer, options).events()


def fit(
    model: Any,
    data: Dataset,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer,
    *,
    on_event: Callable[[Event], object] | None = None,
    **settings: Unpack[Settings],
) -> Finished:
    """Train to the end.

    Args:
        on_event: called with each event as it happens.
        model, data, loss, optimizer, settings: as for :func:`run`, and so are the errors.

    Returns:
        The last event, which holds the trained model.

    Example:
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> finished = fit(model, data, loss, optimizer, **settings)
        >>> finished.test_accuracy > 0.97
        True
    """
    event: Event | None = None
    for event in run(model, data, loss, optimizer, **settings):
        if on_event is not None:
            on_event(event)
        elif isinstance(event, Found):
            for finding in event.findings:
                warnings.warn(described(finding), UserWarning, stacklevel=2)
    assert isinstance(event, Finished)
    return event
