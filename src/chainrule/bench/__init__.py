"""Benchmarks: the same work in chainrule and in other libraries, in one run."""

from chainrule.bench.libraries import LIBRARIES, OWN
from chainrule.bench.machine import Machine
from chainrule.bench.results import Doing, Event, Figures, Finished, Measured, Result, Started
from chainrule.bench.runner import run
from chainrule.bench.workloads import WORKLOADS, Function, Training

__all__ = [
    "LIBRARIES",
    "OWN",
    "WORKLOADS",
    "Doing",
    "Event",
    "Figures",
    "Finished",
    "Function",
    "Machine",
    "Measured",
    "Result",
    "Started",
    "Training",
    "run",
]
