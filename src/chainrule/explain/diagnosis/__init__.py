"""What is wrong with a network in training: detectors that argue from mechanisms, and their findings."""

from chainrule.explain.diagnosis.diagnosing import diagnose, examine_training
from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.diagnosis.programs import MOST_PASSES, diagnose_program
from chainrule.explain.diagnosis.report import LayerNumbers, Noise, Report, Stretch

__all__ = [
    "MOST_PASSES",
    "Finding",
    "LayerNumbers",
    "Noise",
    "Report",
    "Stretch",
    "diagnose",
    "diagnose_program",
    "examine_training",
]
