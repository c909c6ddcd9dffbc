"""Where a gradient comes from: plain data, no drawing. :func:`explain` is the way in."""

from chainrule.explain.derive import explain
from chainrule.explain.explanation import Derivation, Explanation
from chainrule.explain.modes import Mode, Modes
from chainrule.explain.paths import Path, Paths
from chainrule.explain.sweep import Edge, ExplainedNode

__all__ = ["Derivation", "Edge", "Explanation", "ExplainedNode", "Mode", "Modes", "Path", "Paths", "explain"]
