"""The model page as a widget."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, cast

import traitlets

from chainrule.errors import ArgumentError
from chainrule.optim import Optimizer
from chainrule.studio.exporting.model_svg import model_svg
from chainrule.studio.exporting.opened import export_model
from chainrule.studio.models import Opened, Opening
from chainrule.studio.models.answers import about_opened, listing_endpoint
from chainrule.studio.models.asking import BY, thing_at
from chainrule.studio.notebooks.widgets import StudioWidget, script_of

ALL = "*"
"""Stands for all blocks: no module is called that."""


def opened_of(model: Any, loss_and_batch: Sequence[Any], optimizer: Optimizer | None, key: Any) -> Opened:
    """What a widget is to show, alone among the models of a studio.

    Raises:
        ArgumentError: it is no model with loss and batch.
        DataError: it is a folder that is no run.
    """
    opened = Opened()
    if isinstance(model, (Opening, str, PathLike)):
        if loss_and_batch or optimizer is not None or key is not None:
            raise ArgumentError("a run or an opening has its loss and its data already", fix="pass it alone")
        if isinstance(model, Opening):
            opened.hold(model)
        else:
            opened.run(_folder(Path(cast(str, model)).expanduser()))
    elif len(loss_and_batch) == 3:
        loss, x, y = loss_and_batch
        opened.model(model, loss, (x, y), optimizer, key=key)
    else:
        raise ArgumentError(
            f"a model needs its loss and a batch of x and y, got {len(loss_and_batch)} more things",
            fix="model_widget(model, loss, x, y)",
        )
    return opened


def _folder(path: Path) -> Path:
    if path.suffix == ".py":
        raise ArgumentError(f"{path} is a program", fix=f"look at it in the studio: chainrule studio {path}")
    return path


class ModelWidget(StudioWidget):
    """A model, or a run; `chainrule.studio.model_widget` makes one.

    Attributes:
        at: the block that is looked into; "" is the page's choice, ``"*"`` are all blocks.
        opened: paths of modules in it that are opened.
        selected: the path of a module or parameter, or ``#`` and a number for another node; "" is the block.
        asked: what is asked of that: ``"why"``, or what its gradient is shared by; "" is nothing.
        as_table: whether the columns are shown as a table.
    """

    _esm = script_of("model")
    at = traitlets.Unicode().tag(sync=True)
    opened = traitlets.List(traitlets.Unicode()).tag(sync=True)
    selected = traitlets.Unicode().tag(sync=True)
    asked = traitlets.Enum(("", *BY), "").tag(sync=True)
    as_table = traitlets.Bool(False).tag(sync=True)

    def __init__(self, models: Opened, at: str, selected: str, lent: bool = False) -> None:
        self._models, self._lent = models, lent
        listing = listing_endpoint(models, alone=True)
        super().__init__((listing, *about_opened(models)), {"at": at, "selected": selected})

    @property
    def opening(self) -> Opening:
        """What is shown, with its state and all that can be asked of it."""
        return self._models.openings[-1]

    @property
    def trace(self) -> dict[str, Any]:
        """All numbers of the columns, findings and curves, as far as they are known: see ``docs/trace.md``."""
        return self.opening.to_dict()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the doctor has found so far."""
        return self.opening.says()["findings"]

    def wait(self, timeout: float | None = None) -> bool:
        """Until nothing more will be found; returns whether that is so within so many seconds."""
        return self.opening.wait(timeout)

    def why(self, at: str = "", by: str = "why") -> str:
        """Why the gradient at a place is as it is, or what it is shared by, in words; by default where one looks.

        Raises:
            ArgumentError: there is no such place, or the model is not open yet.
        """
        place = at or self.selected or self.at.replace(ALL, "")
        if not place:
            raise ArgumentError("why: no place is selected", fix="name one: why('layers.0')")
        return self.opening.view.ask(place, by)["text"]

    def export(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write a page that shows the same without a kernel, or the trace: see `chainrule.studio.export_model`."""
        return export_model(self.opening, path, overwrite=overwrite)

    def close(self) -> None:
        """Remove the widget wherever it is shown; work that it began ends."""
        models = getattr(self, "_models", None)
        if models is not None and not self._lent:
            models.close()
        super().close()

    def still(self) -> str:
        """The columns and what was found, as far as they are known, as a figure in SVG."""
        return model_svg(self.trace)

    def said(self) -> str:
        """Its name, and how far it is opened."""
        return f"{self.opening.name}, {self.opening.state}"

    @traitlets.validate("at", "selected")
    def _is_there(self, proposal: Any) -> str:
        """As soon as that is known; the page tells it otherwise."""
        if proposal["value"] not in ("", ALL) and self.opening.state == "ready":
            thing_at(self.opening.view.tree, proposal["value"])
        return proposal["value"]
