"""Time travel through a forward and a backward pass. :func:`steps` is the way in."""

from chainrule.explain.stepping.commands import obey
from chainrule.explain.stepping.events import Event
from chainrule.explain.stepping.steps import Steps, steps

__all__ = ["Event", "Steps", "obey", "steps"]
