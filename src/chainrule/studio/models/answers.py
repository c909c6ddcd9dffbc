"""What the page of models asks over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from chainrule.studio.endpoints import Endpoint
from chainrule.studio.models.asking import BY
from chainrule.studio.models.opened import Opened
from chainrule.studio.models.opening import Opening
from chainrule.studio.models.schema import (
    CURVES,
    DOCTOR,
    GRAPH,
    LISTING,
    MATCHES,
    PLACE,
    REASON,
    STATUS,
    TRACE,
)
from chainrule.studio.models.sources import EXAMPLES

_NAME = {"type": "string", "maxLength": 500}
_KEY = {"type": "string", "maxLength": 40}


def endpoints(opened: Opened) -> Sequence[Endpoint]:
    """The questions about models, and what opens others.

    Args:
        opened: the models of this studio.
    """

    def opening(given: Mapping[str, Any]) -> Any:
        made = opened.run_called(given["run"]) if "run" in given else opened.example(given["example"])
        return made.status()

    return (
        listing_endpoint(opened),
        Endpoint(
            "POST",
            "/api/models",
            "Open a run of the runs folder, or an example.",
            opening,
            {
                "type": "object",
                "properties": {"run": _NAME, "example": {"enum": list(EXAMPLES)}},
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
            STATUS,
        ),
        *about_opened(opened),
    )


def listing_endpoint(opened: Opened, alone: bool = False) -> Endpoint:
    """The question what there is.

    Args:
        opened: the models of this studio.
        alone: there are only those that are open.
    """

    def listing(_: Mapping[str, Any]) -> Any:
        examples = () if alone else EXAMPLES.items()
        return {
            "models": [opening.status() for opening in opened.openings],
            "runs": [] if alone else opened.runs(),
            "examples": [{"name": name, "about": about} for name, (about, _) in examples],
        }

    said = "What is open, and what can be opened."
    return Endpoint("GET", "/api/models", said, listing, _takes(), LISTING)


def about_opened(opened: Opened) -> Sequence[Endpoint]:
    """The questions about models that are open.

    Args:
        opened: these models.
    """

    def of(answer: Callable[[Opening, Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
        return lambda given: answer(opened.get(given["model"]), given)

    def stopped(model: Opening, _: Mapping[str, Any]) -> Any:
        model.stop()
        return model.status()

    def curves(model: Opening, _: Mapping[str, Any]) -> Any:
        model.curves.refresh()
        return model.curves.to_dict()

    def graph(model: Opening, given: Mapping[str, Any]) -> Any:
        return model.view.graph(given.get("root", ""), _listed(given.get("open", "")))

    return (
        _about(
            "GET",
            "",
            "The trace: numbers of all blocks, findings, curves.",
            of(lambda m, _: m.to_dict()),
            TRACE,
        ),
        _about("GET", "/status", "How far a model is opened.", of(lambda m, _: m.status()), STATUS),
        _about("POST", "/stop", "End what is done for a model.", of(stopped), STATUS),
        _about(
            "POST", "/again", "Open the same once more.", lambda g: opened.again(g["model"]).status(), STATUS
        ),
        _about("GET", "/findings", "What the doctor has found so far.", of(lambda m, _: m.says()), DOCTOR),
        _about("GET", "/curves", "How the training went so far.", of(curves), CURVES),
        _about(
            "GET",
            "/graph",
            "The graph of a module, with some modules in it opened, and places for all.",
            of(graph),
            GRAPH,
            root=_NAME,
            open={
                "type": "string",
                "maxLength": 20_000,
                "description": "paths of opened modules, with commas",
            },
        ),
        _about(
            "GET",
            "/at",
            "All numbers of a module, parameter or node.",
            of(lambda m, g: m.at(g["at"])),
            PLACE,
            at=_NAME,
        ),
        _about(
            "GET",
            "/why",
            "Why the gradient at a place is as it is, or what it comes through.",
            of(lambda m, g: m.view.ask(g["at"], g.get("by", "why"))),
            REASON,
            at=_NAME,
            by={"enum": list(BY)},
        ),
        _about(
            "GET",
            "/search",
            "Modules and parameters by a part of their name.",
            of(lambda m, g: m.view.search(g["text"])),
            MATCHES,
            text=_NAME,
        ),
    )


def _takes(required: Sequence[str] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _about(
    method: Literal["GET", "POST"],
    end: str,
    summary: str,
    answer: Callable[[Mapping[str, Any]], Any],
    gives: Mapping[str, Any],
    **arguments: Any,
) -> Endpoint:
    """A question about one model."""
    required = ["model", *(name for name in ("at", "text") if name in arguments)]
    takes = _takes(required, model=_KEY, **arguments)
    return Endpoint(method, f"/api/models/{{model}}{end}", summary, answer, takes, gives)


def _listed(text: str) -> list[str]:
    return [part for part in text.split(",") if part]
