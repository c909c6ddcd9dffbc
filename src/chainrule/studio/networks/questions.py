"""What the network page asks: choices, a look at a table, a network, its frames, one unit, formulas, programs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.errors import ArgumentError, DataError
from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.networks import programs
from chainrule.studio.networks.building import Setting, linears
from chainrule.studio.networks.choices import FIELDS, OWN, choices, options_of
from chainrule.studio.networks.examples import Examples, bounds, examples_of
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.inspecting import Sample, inspected, math, require_place
from chainrule.studio.networks.plugged import network_formula, network_latex, network_lines
from chainrule.studio.networks.sessions import Sessions
from chainrule.studio.networks.tables import MOST_BYTES, points_of, read_table
from chainrule.studio.networks.training import GRACE, MOST_UPDATES, Selection, Training, View

MOST_SHOWN = 600
"""Units and inputs of a network whose whole formula is shown: longer ones are still copied in full."""
_SESSION = {"type": "string", "maxLength": 64, "description": "the name that POST /api/network gave"}
_ANY = {"type": "object"}
_NAME = {"type": "string", "maxLength": 200}
_TEXT = {"type": "string", "maxLength": MOST_BYTES, "description": "the table, as text"}
_TITLED = {
    "type": ["boolean", "null"],
    "description": "whether the first line names the columns; null: by its look",
}
_TABLE = {
    "type": "object",
    "properties": {
        "text": _TEXT,
        "inputs": {"type": "array", "items": _NAME, "minItems": 1, "maxItems": 2},
        "label": _NAME,
        "titled": _TITLED,
        "skip": {"type": "boolean", "description": "leave out lines that cannot be used"},
    },
    "required": ["text"],
    "additionalProperties": False,
}
_OPTIONS = {
    "type": "object",
    "properties": {
        name: {**field.schema, "description": f"{field.title}: {field.note}"}
        for name, field in FIELDS.items()
    },
}
_WHOLE = {"type": "integer"}
_COMMAND: dict[str, Any] = {
    "type": "object",
    "properties": {
        "do": {"enum": ["train", "pause", "step", "seek", "speed", "select"]},
        "of": {"enum": ["update", "epoch"]},
        "count": {"type": "integer", "minimum": -MOST_UPDATES, "maximum": MOST_UPDATES},
        "update": {"type": "integer", "minimum": 0, "maximum": MOST_UPDATES},
        "value": {"type": "integer", "minimum": 0},
        "point": _WHOLE,
        "layer": _WHOLE,
        "unit": _WHOLE,
        "into": {"type": ["integer", "null"], "description": "which weight of the unit, 0 its bias"},
    },
    "required": ["do"],
}
_FRAME = {"$ref": "#/components/schemas/NetworkTrace"}


def _of_session(more: Mapping[str, Any] | None = None, required: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"session": _SESSION, **(more or {})},
        "required": ["session", *required],
    }


def endpoints(sessions: Sessions | None = None) -> Sequence[Endpoint | Live]:
    """All that the page asks, about networks that are kept in ``sessions``."""
    asked = _Asked(sessions if sessions is not None else Sessions())
    place = {"layer": _WHOLE, "unit": _WHOLE, "into": {"type": "integer"}, "point": _WHOLE}
    one = "/api/network/{session}"
    return (
        Endpoint(
            "GET", "/api/network/choices", "What can be chosen: data, layers, losses, optimizers, and their limits.",
            lambda given: choices(), {"type": "object", "properties": {}}, _ANY,
        ),
        Endpoint(
            "POST", "/api/network/table", "The columns of a table, and whether those that are named can be used.",
            looked_at, _TABLE, _ANY,
        ),
        Endpoint(
            "POST", "/api/network", "Make a network. Options that are left out are as they suit the data.",
            asked.make, {"type": "object", "properties": {"options": _OPTIONS, "table": _TABLE}}, _ANY,
        ),
        Endpoint("GET", f"{one}/frame", "All that there is to see now.", asked.frame, _of_session(), _FRAME),
        Endpoint("GET", f"{one}/data", "The examples.", asked.data, _of_session(), _ANY),
        Endpoint(
            "POST", f"{one}/command", "Train, pause, step, rewind, select; answers when it is done, with the frame.",
            asked.command, _of_session(_COMMAND["properties"], ["do"]), _FRAME,
        ),
        Endpoint(
            "GET", f"{one}/unit", "A unit or a weight: its formula in numbers, and where its gradient comes from.",
            asked.unit, _of_session(place, ["layer", "unit"]), _ANY,
        ),
        Endpoint(
            "GET", f"{one}/formula", "The whole network with its weights plugged in: as a tree, as LaTeX, as text.",
            asked.formula, _of_session(), _ANY,
        ),
        Endpoint(
            "GET", f"{one}/program", "The network as a program of chainrule, and its data as CSV.",
            asked.program, _of_session(), _ANY,
        ),
        Endpoint("GET", f"{one}/table", "The examples as CSV.", asked.table, _of_session(), _ANY),
        Endpoint("DELETE", one, "Stop the training and forget the network.", asked.close, _of_session(), _ANY),
        Live(f"{one}/live", "Frames of a network in training.", asked.sessions.get, _COMMAND, _FRAME),
    )  # fmt: skip


class _Asked:
    """The answers, about networks that are kept."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def make(self, given: Mapping[str, Any]) -> dict[str, Any]:
        setting = setting_of(given.get("options", {}), given.get("table"))
        training = Training(setting, frame_of)
        return opened(self.sessions.add(training), training)

    def frame(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return self.sessions.get(given["session"]).frame()

    def data(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return points(self.sessions.get(given["session"]).setting.examples)

    def command(self, given: Mapping[str, Any]) -> dict[str, Any]:
        training = self.sessions.get(given["session"])
        training.command({name: value for name, value in given.items() if name != "session"})
        if given["do"] != "train":
            training.rest(GRACE)
        return training.frame()

    def unit(self, given: Mapping[str, Any]) -> dict[str, Any]:
        training = self.sessions.get(given["session"])
        view = training.view()
        point = given.get("point", view.selection.point)
        selection = Selection(point, given["layer"], given["unit"], given.get("into"))
        require_place(training.setting, selection)  # a sample of no example could not be made
        return inspected(Sample(training.setting, view.shot.model, point), selection)

    def formula(self, given: Mapping[str, Any]) -> dict[str, Any]:
        training = self.sessions.get(given["session"])
        return plugged(training.setting, training.view())

    def program(self, given: Mapping[str, Any]) -> dict[str, Any]:
        training = self.sessions.get(given["session"])
        return {**handed_on(training.setting, training.view()), "table": as_table(training.setting)}

    def table(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return as_table(self.sessions.get(given["session"]).setting)

    def close(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self.sessions.close(given["session"])
        return {"closed": given["session"]}


def opened(session: str, training: Training) -> dict[str, Any]:
    """What a page first gets of a network."""
    return {
        "session": session,
        "options": training.setting.options.to_dict(),
        "data": points(training.setting.examples),
        "frame": training.frame(),
    }


def plugged(setting: Setting, view: View) -> dict[str, Any]:
    """The whole network with its weights plugged in, in all forms."""
    lines = network_lines(setting, view.shot.model)
    size = sum(layer.weight.size for layer in linears(view.shot.model))
    shown = lines if size <= MOST_SHOWN else []
    return {
        "update": view.shot.update,
        "weights": size,
        "lines": [
            math(f"{s.left.latex} = {s.right.latex}", f"{s.left.text} = {s.right.text}")
            for s in shown
            if s.left
        ],
        "latex": network_latex(lines),
        "text": "\n".join(f"{s.left.text} = {s.right.text}" for s in lines if s.left),
        "formula": network_formula(setting, view.shot.model),
        "values": {f"x{i + 1}": float(v) for i, v in enumerate(setting.examples.x[view.selection.point])},
    }


def handed_on(setting: Setting, view: View) -> dict[str, Any]:
    """The network as a program."""
    shot = view.shot
    text = programs.program(setting, shot.model, shot.update)
    return {"update": shot.update, "program": {"name": "network.py", "text": text}}


def as_table(setting: Setting) -> dict[str, Any]:
    """The examples as CSV, with the name under which the program reads them."""
    return {"name": programs.TABLE, "text": programs.table(setting)}


def looked_at(given: Mapping[str, Any]) -> dict[str, Any]:
    """What is in a table; and, where columns are named, why they cannot be used (``problem``), or nothing.

    Raises:
        DataError: it is no table; with the line and what to do.
    """
    found = read_table(given["text"], given.get("titled"))
    problem = None
    if "label" in given:
        try:
            points_of(found, given.get("inputs", ()), given["label"], 0.0, 0, given.get("skip", False))
        except DataError as error:
            problem = {"message": error.message, "fix": error.fix}
    return {**found.to_dict(), "problem": problem}


def setting_of(options: Mapping[str, Any], table: Mapping[str, Any] | None = None) -> Setting:
    """The setting of some options, and of a table if there is one.

    Raises:
        ArgumentError: an option is not possible.
        DataError: the table cannot be used; with the line and what to do.
    """
    if table is None and options.get("data") == OWN:
        raise ArgumentError(
            "own data needs a table", fix="drop a CSV file on the page, or pass table=FILE.csv"
        )
    if table is None:
        chosen = options_of(options)
        return Setting.of(
            chosen, examples_of(chosen.data, chosen.points, chosen.noise, chosen.tests, chosen.seed)
        )
    whole = {**options, "data": OWN}
    early = options_of({name: whole[name] for name in ("data", "tests", "seed") if name in whole})
    found = read_table(table["text"], table.get("titled"))
    suggested = found.suggestion
    inputs = table.get("inputs") or suggested["inputs"]
    examples = points_of(
        found,
        inputs,
        table.get("label") or suggested["label"],
        early.tests,
        early.seed,
        table.get("skip", False),
    )
    return Setting.of(options_of(whole, examples.kind), examples)


def points(examples: Examples) -> dict[str, Any]:
    """The examples for the page: once for a network, since training does not change them."""
    known = {
        "kind": examples.kind,
        "classes": list(examples.classes),
        "features": list(examples.features) if examples.picture is None else [],
        "target": examples.target,
        "count": len(examples.x),
        "tests": np.flatnonzero(examples.tests).tolist(),
        "y": examples.y.tolist(),
    }
    if examples.picture is not None:
        levels = np.rint(examples.x * 16).astype(np.uint8)
        return {
            **known,
            "picture": list(examples.picture),
            "levels": 16,
            "pixels": base64.b64encode(levels.tobytes()).decode("ascii"),
        }
    axes = [
        {"name": name, "low": _given(examples, i, low), "high": _given(examples, i, high)}
        for i, (name, (low, high)) in enumerate(zip(examples.features, bounds(examples), strict=True))
    ]
    size = {"level": examples.level, "size": examples.size}
    return {**known, "x": examples.x.tolist(), "given": examples.given.tolist(), "axes": axes, "answer": size}


def _given(examples: Examples, i: int, value: float) -> float:
    """A place on an axis in the units of the table."""
    if examples.mean is None or examples.deviation is None:
        return value
    return float(value * examples.deviation[i] + examples.mean[i])
