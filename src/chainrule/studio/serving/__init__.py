"""The studio's server: one user's, on this machine alone."""

from chainrule.studio.serving.limits import Limits
from chainrule.studio.serving.pages import SHARED, endpoints
from chainrule.studio.serving.running import Server

__all__ = ["SHARED", "Limits", "Server", "endpoints"]
