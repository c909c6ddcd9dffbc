"""The formula page as a widget."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, cast

import traitlets

from chainrule.errors import ArgumentError, shown
from chainrule.explain.numbers import json_number
from chainrule.formula import Formula
from chainrule.studio.exporting.moments import Mode, require_step
from chainrule.studio.exporting.questions import endpoints as export_endpoints
from chainrule.studio.exporting.svg import svg
from chainrule.studio.exporting.writing import export
from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas import endpoints as formula_endpoints
from chainrule.studio.formulas.questions import trace_of
from chainrule.studio.notebooks.widgets import StudioWidget, script_of


def _plain(values: Mapping[str, float], owner: object) -> dict[str, float | str]:
    del owner
    return {name: json_number(float(value)) for name, value in values.items()}


def _numbers(values: Mapping[str, float | str], owner: object) -> dict[str, float]:
    del owner
    return {name: float(value) for name, value in values.items()}


def _number(name: object, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"values: expected a number for {name}, got {shown(value)}", fix=f"pass {{'{name}': 1.5}}"
        ) from None


class FormulaWidget(StudioWidget):
    """A formula with both its passes, to play with; `chainrule.studio.widget` makes one.

    Attributes:
        text: the formula.
        values: of variables, by name; those that are not given stay as they are.
        step: the moment after this event; None after both passes.
        selected: the name of a variable or an intermediate result.
        mode: ``"reverse"`` or ``"forward"``.
    """

    _esm = script_of("formula")
    text = traitlets.Unicode().tag(sync=True)
    values = traitlets.Dict().tag(sync=True, to_json=_plain, from_json=_numbers)
    step = traitlets.Int(None, allow_none=True).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    mode = traitlets.Enum(("reverse", "forward"), "reverse").tag(sync=True)

    def __init__(
        self, formula: str | Formula, values: Mapping[str, float], step: int | None, selected: str, mode: Mode
    ) -> None:
        text = formula if isinstance(formula, str) else formula.text
        found = trace_of(text, {})
        FormulaTrace(text, values)  # says which values are for no variable
        require_step(found.events, step, mode)
        super().__init__(
            (*formula_endpoints(), *export_endpoints()),
            {
                "text": text,
                "values": {**found.values, **values},
                "step": step,
                "selected": selected,
                "mode": mode,
            },
        )

    @property
    def trace(self) -> FormulaTrace:
        """Values and gradients of what is shown now."""
        return trace_of(self.text, self.values)

    def export(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write what is shown to a file: see `chainrule.studio.export`."""
        return export(
            self.text,
            path,
            self.trace.values,
            step=self.step,
            mode=cast(Mode, self.mode),
            overwrite=overwrite,
        )

    def still(self) -> str:
        """The figure of this moment, as SVG."""
        return svg(self.trace.to_dict(), self.step, cast(Mode, self.mode))

    def said(self) -> str:
        """The formula, and the values of its variables."""
        return ", ".join([self.text, *(f"{name}={value:g}" for name, value in self.values.items())])

    @traitlets.validate("text")
    def _is_formula(self, proposal: Any) -> str:
        trace_of(proposal["value"], {})
        return proposal["value"]

    @traitlets.validate("values")
    def _are_numbers(self, proposal: Any) -> dict[str, float]:
        """With those that are left out as they are."""
        given = {str(name): _number(name, value) for name, value in proposal["value"].items()}
        FormulaTrace(self.text, given)  # says which are for no variable
        return trace_of(self.text, {**self.values, **given}).values

    @traitlets.validate("step", "mode")
    def _is_moment(self, proposal: Any) -> Any:
        value = proposal["value"]
        of_step = proposal["trait"].name == "step"
        step, mode = (value, self.mode) if of_step else (None, value)
        require_step(trace_of(self.text, {}).events, step, mode)
        return value

    @traitlets.observe("text")
    def _keep_known(self, change: Any) -> None:
        self.values = trace_of(change["new"], self.values).values

    @traitlets.observe("text", "mode")
    def _keep_moment(self, change: Any) -> None:
        """As far as there is one: another formula, or the other mode, has other steps."""
        events = trace_of(self.text, {}).events
        if events[self.mode] is None:
            self.mode = "reverse"
        if self.step is not None and self.step >= len(events[self.mode] or ()):
            self.step = None
