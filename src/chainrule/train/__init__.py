"""Training: the loop over epochs with its checkpoints, and one step as machine code."""

from __future__ import annotations

from chainrule.train.events import EpochEnded, Event, Finished, Found, Saved, Started, Stepped
from chainrule.train.fitting import fit, run
from chainrule.train.folder import RunFolder
from chainrule.train.metrics import accuracy
from chainrule.train.plan import Plan
from chainrule.train.starting import begin, resume
from chainrule.train.step import CompiledStep, EagerStep, compile_step
from chainrule.train.tensorboard import export_tensorboard
from chainrule.train.trained import Prediction, Trained, load

__all__ = [
    "CompiledStep",
    "EagerStep",
    "EpochEnded",
    "Event",
    "Finished",
    "Found",
    "Plan",
    "Prediction",
    "RunFolder",
    "Saved",
    "Started",
    "Stepped",
    "Trained",
    "accuracy",
    "begin",
    "compile_step",
    "export_tensorboard",
    "fit",
    "load",
    "resume",
    "run",
]
