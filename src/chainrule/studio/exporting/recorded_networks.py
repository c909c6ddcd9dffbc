"""A network's training, recorded: the document that a page without a server plays back, and that programs read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.studio.exporting.recording import MOST_BYTES, Full, Recorder
from chainrule.studio.networks.addresses import Address, with_view
from chainrule.studio.networks.building import Setting
from chainrule.studio.networks.choices import choices
from chainrule.studio.networks.frames import losses_of, of_point, of_update
from chainrule.studio.networks.inspecting import Sample, inspected
from chainrule.studio.networks.questions import as_table, handed_on, plugged, points
from chainrule.studio.networks.replaying import Replay
from chainrule.studio.networks.schema import FORMAT, VERSION
from chainrule.studio.networks.training import Selection, View
from chainrule.studio.networks.training_schema import KIND

MOST_ANSWERS = 4000
"""However small they are: each takes some milliseconds to make, and people wait for the file."""
_FRAMES, _ENDS = 0.5, 3
"""The part of the room that all updates with the shown example may take; and how many there are in any case."""
_NEAREST, _FIRST, _FEW = 36, 240, 12
"""How many examples come first: with all units at the update that is shown; at this update; and at all updates."""

Place = tuple[int, int, "int | None"]
"""Layer, unit, and the unit that a weight comes from; 0 for a bias, None for the unit itself."""


def training_trace(
    setting: Setting,
    view: View,
    address: Address,
    *,
    packs: bool,
    most: int = MOST_BYTES,
    answers: int = MOST_ANSWERS,
    tell: Callable[[int, float], object] = lambda count, part: None,
) -> dict[str, Any]:
    """A training, recorded, JSON-ready; `TRAINING_TRACE` describes it.

    Args:
        setting: of the training.
        view: what is shown of it: the update, the example and the selection that are nearest. Nothing of it changes.
        address: says what the lanes show, and which options were given.
        packs: whether the answers are packed, as a page has them, or plain.
        most: bytes that the document may take.
        answers: how many there may be.
        tell: called with the number of answers so far, and the part of the room that they take.
    """
    selection, here = view.selection, with_view(address, setting.options, view.shot.update, view.selection)
    found: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "kind": KIND,
        "command": here.command,
        "address": here.fragment,
        "options": setting.options.to_dict(),
        "choices": choices(),
        "data": points(setting.examples),
        "table": as_table(setting),
        "sizes": setting.sizes,
        "activations": setting.activations,
        "losses": losses_of(view),
        "shown": {
            "update": view.shot.update,
            "point": selection.point,
            "layer": selection.layer,
            "unit": selection.unit,
            "into": selection.into,
            "show": address.show,
        },
    }
    recorder = Recorder(most - len(json.dumps(found)), tell, packs, answers)
    with np.errstate(all="ignore"):  # what overflows is shown
        views = dict(Replay(setting, view).views())
        updates = _record(setting, view, _Asking(setting, views, recorder), list(views))
    recording = recorder.recording()
    return {**found, "updates": updates, "recorded": recording.packed if packs else recording.pairs}


def _record(setting: Setting, view: View, asking: _Asking, updates: list[int]) -> list[int]:
    """Ask what is nearest to the view first, until the answers are too large; gives the updates that have room.

    All updates with the example and the selection that are shown; then, at the update that is shown, all else; then
    what goes on in units, in weights and for other examples at all updates.
    """
    here, point = view.shot.update, view.selection.point
    place = view.selection.layer, view.selection.unit, view.selection.into
    held: list[int] = []
    try:
        for update in spread(updates, here):
            asking.frame(update, point, place)
            held.append(update)
            if asking.part > _FRAMES and len(held) > _ENDS:
                break
        _record_around(setting, asking, held, point, place)
    except Full:
        pass
    return sorted(held)


def _record_around(setting: Setting, asking: _Asking, updates: list[int], point: int, place: Place) -> None:
    """All that can be looked at beside what is shown, at the first of some updates and then at all."""
    here, near = updates[0], _nearest(setting, asking, updates[0], point)
    units, weights = list(_units(setting)), list(_weights(setting))
    asking.places([here], [point], units)
    asking.handed(here)
    asking.frames([here], near[:_NEAREST], place)
    asking.places([here], [point], weights)
    asking.places([here], near[:_NEAREST], units)
    asking.frames([here], near[:_FIRST], place)
    asking.places(updates, [point], units)
    for update in updates:
        asking.handed(update)
    asking.frames(updates, near[:_FEW], place)
    asking.places(updates, [point], weights)
    asking.frames(updates, near, place)
    asking.places([here], near, [*units, *weights])
    asking.places(updates, near, [*units, *weights])


class _Asking:
    """Questions about a training: what is shown of it at an update, for an example, of a selection."""

    def __init__(self, setting: Setting, views: dict[int, View], recorder: Recorder) -> None:
        self.setting, self.views, self._recorder = setting, views, recorder
        # Of as many samples as are looked at again and again: the shown example at each update.
        self.sample = lru_cache(maxsize=len(views) + 1)(self._sample)

    @property
    def part(self) -> float:
        """Of the room, how much is taken."""
        return self._recorder.part

    def _sample(self, update: int, point: int) -> Sample:
        return Sample(self.setting, self.views[update].shot.model, point)

    def frame(self, update: int, point: int, place: Place) -> None:
        """All that a frame has."""
        view, ask = self.views[update], self._recorder.ask
        ask(("update", update), lambda: of_update(self.setting, view))
        ask(("point", update, point), lambda: of_point(self.setting, self.sample(update, point)))
        self.selected(update, point, place)

    def frames(self, updates: Sequence[int], points: Sequence[int], place: Place) -> None:
        """All that frames have, of some examples at some updates."""
        for point in points:
            for update in updates:
                self.frame(update, point, place)

    def places(self, updates: Sequence[int], points: Sequence[int], places: Sequence[Place]) -> None:
        """What the page says of units and weights, for some examples at some updates."""
        for point in points:
            for place in places:
                for update in updates:
                    self.selected(update, point, place)

    def selected(self, update: int, point: int, place: Place) -> None:
        """What the page says of a unit or a weight."""
        chosen = Selection(point, *place)
        question = ("selected", update, point, *place)
        self._recorder.ask(question, lambda: inspected(self.sample(update, point), chosen))
        self._recorder.keep()

    def handed(self, update: int) -> None:
        """The whole network as a formula and as a program."""
        view = self.views[update]
        self._recorder.ask(("formula", update), lambda: plugged(self.setting, view))
        self._recorder.ask(("program", update), lambda: handed_on(self.setting, view))
        self._recorder.keep()


def spread(updates: Sequence[int], first: int) -> list[int]:
    """The same updates, so that however early one stops, those that were taken lie all over: ``first``, both ends, and
    then always the middle of each gap.

    Example:
        >>> spread([0, 1, 2, 3, 4, 8, 16], 3)
        [3, 16, 0, 1, 4, 2, 8]
    """
    found = [first, updates[-1], updates[0]]
    gaps = [(0, len(updates) - 1)]
    while gaps:
        middles = [(low, (low + high) // 2, high) for low, high in gaps if high - low > 1]
        found += [updates[middle] for _, middle, _ in middles]
        gaps = [gap for low, middle, high in middles for gap in ((low, middle), (middle, high))]
    return list(dict.fromkeys(found))


def _units(setting: Setting) -> Iterator[Place]:
    for layer, size in enumerate(setting.sizes, 1):
        shown = 1 if layer == 1 and setting.examples.picture is not None else size
        yield from ((layer, unit, None) for unit in range(1, shown + 1))


def _weights(setting: Setting) -> Iterator[Place]:
    least = 0 if setting.options.biases else 1
    for layer, (below, size) in enumerate(zip(setting.sizes, setting.sizes[1:], strict=False), 2):
        for unit in range(1, size + 1):
            yield from ((layer, unit, into) for into in range(least, below + 1))


def _nearest(setting: Setting, asking: _Asking, update: int, point: int) -> list[int]:
    """Examples in the order in which a reader comes to them: what the page offers, then neighbours of the shown one."""
    count = len(setting.examples.x)
    offered: list[int] = []
    if setting.examples.picture is not None:
        tests = np.flatnonzero(setting.examples.tests)
        answers = setting.examples.y[tests].tolist()
        offered = [int(tests[answers.index(k)]) for k in range(len(setting.examples.classes)) if k in answers]
        offered += of_update(setting, asking.views[update])["pictures"]["wrong"]
    beside = (at for step in range(count) for at in (point + step, point - step))
    return list(dict.fromkeys([point, *offered, *(at % count for at in beside)]))
