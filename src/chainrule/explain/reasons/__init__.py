"""Why a gradient is what it is. :func:`why` is the way in."""

from chainrule.explain.reasons.asking import why
from chainrule.explain.reasons.programs import why_program
from chainrule.explain.reasons.reason import Proof, Reason

__all__ = ["Proof", "Reason", "why", "why_program"]
