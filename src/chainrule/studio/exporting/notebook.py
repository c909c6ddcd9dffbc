"""The formula page as a Jupyter widget: it asks the kernel, and what a person sets there Python can read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from chainrule.errors import ArgumentError
from chainrule.explain.numbers import json_number
from chainrule.formula import Formula
from chainrule.studio.endpoints import Endpoint, error_document
from chainrule.studio.exporting.linking import default_export, linked_styles
from chainrule.studio.exporting.moments import Mode, moment_at
from chainrule.studio.exporting.questions import endpoints as export_endpoints
from chainrule.studio.exporting.svg import svg
from chainrule.studio.exporting.writing import export
from chainrule.studio.formulas import FormulaTrace
from chainrule.studio.formulas import endpoints as formula_endpoints
from chainrule.studio.formulas.questions import trace_of

if TYPE_CHECKING:
    import anywidget


def widget(
    formula: str | Formula,
    values: Mapping[str, float] | None = None,
    *,
    step: int | None = None,
    selected: str = "",
    mode: Mode = "reverse",
    **variables: float,
) -> anywidget.AnyWidget:
    """A formula to play with in a notebook: type, drag values, step through both passes, ask each node.

    Works in JupyterLab, Notebook 7 and VS Code without a server or a network: the page asks the kernel.

    Args:
        formula: as text, or as `chainrule.formula` gives it.
        values: of variables, by name; what is missing gets a usual value.
        step: the moment after this event is shown; None for the last.
        selected: the name of a variable or an intermediate result; "" leaves the choice to the page.
        mode: ``"reverse"`` or ``"forward"``.
        variables: values as keywords.

    Returns:
        A widget whose ``text``, ``values``, ``step``, ``selected`` and ``mode`` are what is shown now: Python reads
        what a person has set, and what Python sets is shown at once. ``trace`` has the gradients, and
        ``export(path)`` writes the view to a file.

    Raises:
        ArgumentError: anywidget is not installed, or a value is for no variable.
        FormulaError: the text is no formula.

    Example:
        >>> from chainrule import studio
        >>> w = studio.widget("(a+b)*(b+c)", a=-1, b=3, c=4)
        >>> w.values["b"], w.trace.gradient(1)
        (3.0, 9.0)
    """
    text = formula if isinstance(formula, str) else formula.text
    found = trace_of(text, {})
    given = {**(values or {}), **variables}
    FormulaTrace(text, given)  # says which values are for no variable
    moment_at(found.to_dict(), step, mode)
    return _widget_class()(
        text=text, values={**found.values, **given}, step=step, selected=selected, mode=mode
    )


def answer(message: Mapping[str, Any], endpoints: Mapping[tuple[str, str], Endpoint]) -> dict[str, Any]:
    """The answer to a question of the page, or the error that its panel shows."""
    told = {"id": message.get("id")}
    path = str(message.get("path"))
    endpoint = endpoints.get((str(message.get("method")), path))
    try:
        if endpoint is None:
            raise ArgumentError(f"the widget does not answer {path}", fix="the studio does: chainrule studio")
        return told | {"answer": endpoint.answer(message["arguments"])}
    except Exception as error:  # in a notebook it would be lost in a log, and the page would wait for ever
        return told | error_document(error)


def _plain(values: Mapping[str, float], owner: object) -> dict[str, float | str]:
    del owner
    return {name: json_number(float(value)) for name, value in values.items()}


def _numbers(values: Mapping[str, float | str], owner: object) -> dict[str, float]:
    del owner
    return {name: float(value) for name, value in values.items()}


@cache
def _widget_class() -> type[anywidget.AnyWidget]:
    """Made when it is first asked for: neither anywidget nor the linked script is there before."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise ArgumentError(
            "a widget needs anywidget, which is not installed", fix="pip install 'chainrule[notebook]'"
        ) from None
    answering = {(one.method, one.path): one for one in (*formula_endpoints(), *export_endpoints())}

    class StudioWidget(anywidget.AnyWidget):
        """A formula with both its passes, to play with."""

        _esm = default_export("widget.js", "renderWidget", "render")
        _css = linked_styles()
        text = traitlets.Unicode().tag(sync=True)
        values = traitlets.Dict().tag(sync=True, to_json=_plain, from_json=_numbers)
        step = traitlets.Int(None, allow_none=True).tag(sync=True)
        selected = traitlets.Unicode().tag(sync=True)
        mode = traitlets.Enum(("reverse", "forward"), "reverse").tag(sync=True)

        def __init__(self, **state: Any) -> None:
            super().__init__(**state)
            cast(Any, self).on_msg(self._asked)  # ipywidgets, where this is from, has no annotations

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

        def _asked(self, _: object, message: Mapping[str, Any], buffers: object) -> None:
            cast(Any, self).send(answer(message, answering))

        @traitlets.validate("text")
        def _is_formula(self, proposal: Any) -> str:
            trace_of(proposal["value"], {})
            return proposal["value"]

        @traitlets.validate("values")
        def _are_numbers(self, proposal: Any) -> dict[str, float]:
            """With those that are left out as they are."""
            given = {str(name): float(value) for name, value in proposal["value"].items()}
            FormulaTrace(self.text, given)  # says which are for no variable
            return trace_of(self.text, {**self.values, **given}).values

        @traitlets.observe("text")
        def _keep_known(self, change: Any) -> None:
            self.values = trace_of(change["new"], self.values).values

        def _repr_mimebundle_(self, **options: Any) -> Any:
            """With a figure for where no widget can be: the notebook on a web page, or on paper."""
            bundle: Any = cast(Any, super())._repr_mimebundle_(**options)
            bundle[0]["image/svg+xml"] = svg(self.trace.to_dict(), self.step, cast(Mode, self.mode))
            return bundle

    return StudioWidget
