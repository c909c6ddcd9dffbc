"""The studio: a local page, a notebook widget and an offline file in which values flow forward and gradients back."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.studio.exporting.notebook import widget as widget
    from chainrule.studio.exporting.opened import export_model as export_model
    from chainrule.studio.exporting.trained import export_network as export_network
    from chainrule.studio.exporting.writing import export as export

__all__ = ["export", "export_model", "export_network", "widget"]
_HOMES = {"export": "writing", "export_model": "opened", "export_network": "trained", "widget": "notebook"}


def __getattr__(name: str) -> object:
    """What draws is loaded when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"chainrule.studio.exporting.{_HOMES[name]}"), name)
