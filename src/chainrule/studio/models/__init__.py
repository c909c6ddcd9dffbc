"""A model, a run or a program on the studio's page: its graph by module with the numbers of a pass, and findings."""

from chainrule.studio.models.answers import endpoints
from chainrule.studio.models.opened import Opened, examine
from chainrule.studio.models.opening import Opening

__all__ = ["Opened", "Opening", "endpoints", "examine"]
