"""Layers, losses and initializers."""

from chainrule import habits
from chainrule.nn.init import Initializer, glorot_uniform, he_normal
from chainrule.nn.linear import Dense, Linear
from chainrule.nn.losses import half_squared_error, mean_squared_error, softmax_cross_entropy
from chainrule.nn.module import Module, Summary
from chainrule.nn.sequential import Sequential

__all__ = [
    "Module",
    "Summary",
    "Linear",
    "Dense",
    "Sequential",
    "half_squared_error",
    "mean_squared_error",
    "softmax_cross_entropy",
    "Initializer",
    "he_normal",
    "glorot_uniform",
]


def __getattr__(name: str) -> object:
    raise habits.missing("cr.nn", name, habits.NN)
