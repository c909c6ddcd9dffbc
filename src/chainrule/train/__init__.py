"""Training: the loop over epochs, and one step as machine code."""

from __future__ import annotations

from chainrule.train.fitting import EpochEnded, Event, Finished, Started, Stepped, fit, run
from chainrule.train.step import CompiledStep, compile_step

__all__ = [
    "CompiledStep",
    "EpochEnded",
    "Event",
    "Finished",
    "Started",
    "Stepped",
    "compile_step",
    "fit",
    "run",
]
