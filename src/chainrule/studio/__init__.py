"""The studio: a local page, notebook widgets and an offline file in which values flow forward and gradients back."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chainrule.studio.exporting.opened import export_model as export_model
    from chainrule.studio.exporting.trained import export_network as export_network
    from chainrule.studio.exporting.writing import export as export
    from chainrule.studio.notebooks.making import model_widget as model_widget
    from chainrule.studio.notebooks.making import network_widget as network_widget
    from chainrule.studio.notebooks.making import widget as widget

__all__ = ["export", "export_model", "export_network", "widget", "network_widget", "model_widget"]
_HOMES = {
    "export": "exporting.writing",
    "export_model": "exporting.opened",
    "export_network": "exporting.trained",
    "widget": "notebooks.making",
    "network_widget": "notebooks.making",
    "model_widget": "notebooks.making",
}


def __getattr__(name: str) -> object:
    """What draws is loaded when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"chainrule.studio.{_HOMES[name]}"), name)
