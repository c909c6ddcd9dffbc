"""The network page as a widget."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import traitlets

from chainrule.errors import ArgumentError
from chainrule.nn import Sequential
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.exporting.colours import Theme
from chainrule.studio.exporting.trained import exported_network, picture
from chainrule.studio.exporting.writing import checked_path, kind_of, write
from chainrule.studio.networks import Sessions
from chainrule.studio.networks import endpoints as network_endpoints
from chainrule.studio.networks.addresses import address_of
from chainrule.studio.networks.building import Setting
from chainrule.studio.networks.choices import OWN
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.questions import opened, setting_of
from chainrule.studio.networks.training import Selection, Training
from chainrule.studio.notebooks.tables import Table, plain_table, table_of
from chainrule.studio.notebooks.widgets import StudioWidget, script_of

MOST_NETWORKS = 12
"""That a widget keeps: undo brings them back with all of their training."""


class _Networks:
    """The networks of one widget: one for each choice of options, made by Python or by the page, whoever asks first.

    Attributes:
        shown: the name of the one that was asked for last.
    """

    def __init__(self) -> None:
        self.sessions = Sessions(MOST_NETWORKS)
        self.shown = ""
        self._names: dict[str, str] = {}
        self._changing = threading.Lock()

    def endpoints(self) -> list[Endpoint | Live]:
        """What the page asks, about these networks alone."""
        changed: list[Endpoint | Live] = []
        for one in network_endpoints(self.sessions):
            if isinstance(one, Live):
                one = replace(one, find=self._watched)
            elif (one.method, one.path) == ("POST", "/api/network"):
                one = replace(one, answer=self._answer)
            changed.append(one)
        return changed

    def show(self, setting: Setting, table: Table | None) -> Training:
        """The network of a setting is shown from now on."""
        written = json.dumps([setting.options.to_dict(), table], sort_keys=True)
        key = hashlib.sha256(written.encode("utf-8", "backslashreplace")).hexdigest()
        with self._changing:  # the page asks in threads of the studio
            name = self._names.get(key, "")
            training = self.sessions.find(name)
            if training is None:
                training = Training(setting, frame_of)
                name = self._names[key] = self.sessions.add(training)
            self.shown = name
        return training

    @property
    def training(self) -> Training:
        """The one that is shown.

        Raises:
            ArgumentError: the widget was closed.
        """
        found = self.sessions.find(self.shown)
        if found is None:
            raise ArgumentError(
                "this widget was closed", fix="make another one with cr.studio.network_widget"
            )
        return found

    def _answer(self, given: Mapping[str, Any]) -> dict[str, Any]:
        table = plain_table(given.get("table"))
        training = self.show(setting_of(given.get("options", {}), table), table)
        return opened(self.shown, training)

    def _watched(self, name: str) -> Training:
        training = self.sessions.get(name)
        self.shown = name
        return training


class NetworkWidget(StudioWidget):
    """A small network in training; `chainrule.studio.network_widget` makes one.

    Attributes:
        options: all that determines training. Those that are not given stay as they are; with other data they become
            as it suits that.
        table: data of one's own, with ``text``, ``inputs``, ``label``; None without.
        point: number of the example that is sent through, from 0.
        selected: layer, unit, and perhaps which weight of it.
        shows: ``"both"``, ``"weights"`` or ``"gradients"``.
    """

    _esm = script_of("network")
    options = traitlets.Dict().tag(sync=True)
    table = traitlets.Any(None, allow_none=True).tag(sync=True)
    point = traitlets.Int(0).tag(sync=True)
    selected = traitlets.List(traitlets.Int(), [2, 1]).tag(sync=True)
    shows = traitlets.Enum(("both", "weights", "gradients"), "both").tag(sync=True)

    def __init__(
        self,
        options: Mapping[str, Any],
        table: str | PathLike[str] | Table | None,
        update: int,
        point: int,
        selected: Sequence[int],
    ) -> None:
        held = table_of(table)
        self._networks = _Networks()
        setting = setting_of(options, held)
        select(self._networks.show(setting, held), point, selected)
        super().__init__(
            self._networks.endpoints(),
            {
                "options": setting.options.to_dict(),
                "table": held,
                "point": point,
                "selected": list(selected),
            },
        )
        if update:
            self.update = update

    # What training does now.

    @property
    def update(self) -> int:
        """How many updates were made. Set, it trains or rewinds to that one in the background: ``wait()`` for it."""
        return self._networks.training.view().shot.update

    @update.setter
    def update(self, update: int) -> None:
        self._networks.training.command({"do": "seek", "update": update})

    @property
    def running(self) -> bool:
        """Whether it trains, or is on its way to an update."""
        status = self._networks.training.view().status
        return status.running or status.goal is not None

    @property
    def frame(self) -> dict[str, Any]:
        """All that the page draws now: losses, weights, gradients, and what the example gives in each unit."""
        return self._networks.training.frame()

    @property
    def model(self) -> Sequential:
        """The network with its present weights, of its own: changing them changes nothing here."""
        model = self._networks.training.view().shot.model
        weights = {path: node.numpy() for path, node in model.parameters().items()}
        return cast(Sequential, model.with_parameters(weights))

    def train(self) -> None:
        """Train until `pause`, as the page's button does: as long as somebody looks.

        Raises:
            ArgumentError: nobody does.
        """
        training = self._networks.training
        if not training.watched:
            raise ArgumentError(
                "training goes on while somebody looks, and this widget is shown nowhere",
                fix="show it first, in a cell of its own; or set update, which is trained up to in any case",
            )
        training.command({"do": "train"})

    def pause(self) -> None:
        """End training for now."""
        self._networks.training.command({"do": "pause"})

    def wait(self, timeout: float | None = None) -> bool:
        """Until training pauses or has come to its update; returns whether it has within so many seconds."""
        return self._networks.training.rest(timeout)

    def export(self, path: str | PathLike[str], *, theme: Theme = "light", overwrite: bool = False) -> Path:
        """Write what is shown to a file, with its training as it is: see `chainrule.studio.export_network`."""
        goal = checked_path(path, overwrite)
        training = self._networks.training
        table: dict[str, Any] = dict(self.table or {})
        if table:
            table["table"] = table.pop("text")
        address = address_of({**self.options, **table, "show": self.shows})
        text = exported_network(training.setting, training.view(), address, kind_of(goal), theme=theme)
        return write(goal, text, overwrite)

    def close(self) -> None:
        """Remove the widget wherever it is shown, and end its training."""
        networks = getattr(self, "_networks", None)
        if networks is not None:
            networks.sessions.close_all()
        super().close()

    def still(self) -> str:
        """The network as a figure in SVG."""
        training = self._networks.training
        return picture(training.setting, training.view())

    def said(self) -> str:
        """Its data and its hidden layers."""
        return f"{self.options.get('data')}, hidden layers {self.options.get('layers')}"

    # Its state.

    @traitlets.validate("options")
    def _are_possible(self, proposal: Any) -> dict[str, Any]:
        given = dict(proposal["value"])
        if given.get("data", self.options.get("data")) == self.options.get("data"):
            given = {**self.options, **given}
        return setting_of(given, self._table_for(given)).options.to_dict()

    @traitlets.validate("table")
    def _is_table(self, proposal: Any) -> dict[str, Any] | None:
        found = table_of(proposal["value"])
        if found is not None:
            setting_of({}, found)  # says what cannot be used
        return found

    @traitlets.validate("point", "selected")
    def _is_there(self, proposal: Any) -> Any:
        value = proposal["value"]
        of_point = proposal["trait"].name == "point"
        point, selected = (value, self.selected) if of_point else (self.point, value)
        select(self._networks.training, point, selected)
        return value

    @traitlets.observe("options", "table")
    def _show(self, change: Any) -> None:
        """Another network is shown; where the table has changed one that suits it, if the options do not."""
        options, table = self.options, self.table
        is_own = options["data"] == OWN
        if change["name"] == "table" and is_own != (table is not None):
            options = {}
        try:
            setting = setting_of(options, table if is_own or not options else None)
        except ArgumentError:  # they were for a table of another kind
            setting = setting_of({}, table)
        self.options = setting.options.to_dict()
        training = self._networks.show(setting, self._table_for(self.options))
        try:
            select(training, self.point, self.selected)
        except ArgumentError:  # there is no such unit, or no such example, in this one
            with self.hold_trait_notifications():
                self.point, self.selected = 0, [2, 1]

    def _table_for(self, options: Mapping[str, Any]) -> Table | None:
        return self.table if options.get("data") == OWN else None


def select(training: Training, point: int, selected: Sequence[int]) -> None:
    """Look at a unit or weight, for an example.

    Raises:
        ArgumentError: there is none.
    """
    if len(selected) not in (2, 3):
        raise ArgumentError(
            f"selected: expected layer and unit, and perhaps a weight's unit before, got {list(selected)}",
            fix="(2, 1) is the first hidden unit, (2, 1, 0) its bias",
        )
    into = selected[2] if len(selected) == 3 else None
    wanted = Selection(point, selected[0], selected[1], into)
    if training.view().selection != wanted:
        training.command({"do": "select", **asdict(wanted)})
