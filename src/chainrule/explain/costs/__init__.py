"""What a function and its derivative cost, in each order of differentiation, before anything is computed."""

from chainrule.explain.costs.chains import Chain, Order
from chainrule.explain.costs.counting import cost
from chainrule.explain.costs.graphs import GraphLedger, cost_graph
from chainrule.explain.costs.ledger import Bound, CostLedger, NodeCost, TradeOff, Way
from chainrule.explain.costs.programs import cost_function, cost_program

__all__ = [
    "Bound",
    "Chain",
    "CostLedger",
    "GraphLedger",
    "NodeCost",
    "Order",
    "TradeOff",
    "Way",
    "cost",
    "cost_function",
    "cost_graph",
    "cost_program",
]
