"""What the widgets of all pages have in common: a page in the cell, and in the kernel what answers it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import anywidget

from chainrule.studio.endpoints import Endpoint, Live
from chainrule.studio.exporting.linking import default_export, linked_styles
from chainrule.studio.notebooks.busy import follow_cells
from chainrule.studio.notebooks.messages import Messages
from chainrule.studio.serving.application import answering
from chainrule.studio.serving.limits import Limits

LIMITS = Limits(sockets=8, frames=15)
"""For the pages of one widget. Their frames go through Jupyter, which is often on another machine."""


class StudioWidget(anywidget.AnyWidget):
    """A page of the studio in a cell.

    Its state are its traits: Python reads what a person has chosen, and what Python sets is shown at once.
    """

    _css = linked_styles()

    def __init__(self, endpoints: Iterable[Endpoint | Live], state: Mapping[str, Any]) -> None:
        follow_cells()
        self._messages = Messages(answering(tuple(endpoints), LIMITS), self._tell, LIMITS.message)
        super().__init__(**state)
        cast(Any, self).on_msg(self._asked)  # ipywidgets, where this is from, has no annotations

    def still(self) -> str:
        """What is shown now, as a figure in SVG."""
        raise NotImplementedError

    def said(self) -> str:
        """What is shown now, in a line."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.said()}>"

    def close(self) -> None:
        """Remove the widget wherever it is shown; what it does in the background ends."""
        messages = getattr(self, "_messages", None)  # ipywidgets closes what failed to be made too
        if messages is not None:
            messages.close()
        super().close()

    def _tell(self, message: Mapping[str, Any], buffers: Sequence[bytes]) -> None:
        if self.comm is not None:
            cast(Any, self).send(message, list(buffers))

    def _asked(self, _: object, message: Any, buffers: object) -> None:
        self._messages.take(message)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """With a figure for where no widget can be: the notebook on a web page, or on paper."""
        bundle: Any = cast(Any, super())._repr_mimebundle_(**options)
        bundle[0]["image/svg+xml"] = self.still()
        return bundle


def script_of(page: str) -> str:
    """The script of a page for anywidget: all its modules in one."""
    return default_export(f"widget/{page}.js", f"{page}InCell", "render")
