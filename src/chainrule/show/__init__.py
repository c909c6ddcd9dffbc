"""Drawing in the terminal. Nothing here computes: it reads explanations and events."""

from chainrule.show.benchmarks import show_benchmarks, show_workloads
from chainrule.show.explanation import show_explanation
from chainrule.show.training import show_result, show_training

__all__ = ["show_benchmarks", "show_explanation", "show_result", "show_training", "show_workloads"]
