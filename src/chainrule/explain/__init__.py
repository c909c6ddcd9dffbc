"""Where a gradient comes from, and why it is what it is: plain data, no drawing.

:func:`explain`, :func:`layers`, :func:`attribute`, :func:`why` and :func:`diagnose` are the ways in.
"""

from chainrule.explain.costs import (
    CostLedger,
    GraphLedger,
    NodeCost,
    TradeOff,
    Way,
    cost,
    cost_function,
    cost_graph,
    cost_program,
)
from chainrule.explain.derive import explain
from chainrule.explain.diagnosis import (
    MOST_PASSES,
    Finding,
    LayerNumbers,
    Noise,
    Report,
    Stretch,
    diagnose,
    diagnose_program,
)
from chainrule.explain.explanation import Derivation, Explanation
from chainrule.explain.layered import Equation, Layer, LayerDerivation, Layers, Reused, layers
from chainrule.explain.ledger import Entry, Ledger, Reuse
from chainrule.explain.modes import Mode, Modes
from chainrule.explain.paths import Path, Paths
from chainrule.explain.reasons import Proof, Reason, why, why_program
from chainrule.explain.sensitivity import Sensitivity, sensitivity
from chainrule.explain.shares import Attribution, Share, Split, attribute
from chainrule.explain.stepping import Event, Steps, obey, steps
from chainrule.explain.sweep import Edge, ExplainedNode

__all__ = [
    "MOST_PASSES",
    "Attribution",
    "CostLedger",
    "Derivation",
    "Edge",
    "Explanation",
    "ExplainedNode",
    "Entry",
    "Equation",
    "Layer",
    "LayerDerivation",
    "Layers",
    "Ledger",
    "Reuse",
    "Reused",
    "Mode",
    "Modes",
    "Path",
    "Paths",
    "Proof",
    "Reason",
    "Event",
    "Finding",
    "GraphLedger",
    "LayerNumbers",
    "NodeCost",
    "Noise",
    "TradeOff",
    "Way",
    "cost",
    "cost_function",
    "cost_graph",
    "cost_program",
    "Report",
    "Stretch",
    "diagnose",
    "diagnose_program",
    "Sensitivity",
    "Share",
    "Split",
    "Steps",
    "attribute",
    "explain",
    "layers",
    "obey",
    "sensitivity",
    "steps",
    "why",
    "why_program",
]
