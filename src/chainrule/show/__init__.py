"""Drawing in the terminal and into files. Nothing here computes: it reads explanations, events and runs."""

from chainrule.show.benchmarks import show_benchmarks, show_workloads
from chainrule.show.explanation import show_explanation
from chainrule.show.figures import Drawn, draw_run
from chainrule.show.training import resuming, show_drawn, show_predictions, show_result, show_training

__all__ = [
    "Drawn",
    "draw_run",
    "resuming",
    "show_benchmarks",
    "show_drawn",
    "show_explanation",
    "show_predictions",
    "show_result",
    "show_training",
    "show_workloads",
]
