"""Layers, losses and initializers."""

from chainrule import habits
from chainrule.nn.combine import Flatten, Residual
from chainrule.nn.conv import AvgPool2d, Conv2d, GlobalAveragePool, MaxPool2d
from chainrule.nn.dropout import Dropout
from chainrule.nn.init import Initializer, glorot_uniform, he_normal, orthogonal
from chainrule.nn.linear import Dense, Linear
from chainrule.nn.losses import half_squared_error, mean_squared_error, softmax_cross_entropy
from chainrule.nn.module import Buffer, Module, Summary
from chainrule.nn.norm import BatchNorm
from chainrule.nn.recurrent import GRU, LSTM, RNN, Cell, GRUCell, LSTMCell, Recurrent, RNNCell
from chainrule.nn.sequential import Sequential
from chainrule.nn.training import Training

__all__ = [
    "Module",
    "Buffer",
    "Training",
    "Summary",
    "Sequential",
    "Residual",
    "Flatten",
    "Linear",
    "Dense",
    "Conv2d",
    "MaxPool2d",
    "AvgPool2d",
    "GlobalAveragePool",
    "BatchNorm",
    "Dropout",
    "Cell",
    "RNNCell",
    "LSTMCell",
    "GRUCell",
    "Recurrent",
    "RNN",
    "LSTM",
    "GRU",
    "half_squared_error",
    "mean_squared_error",
    "softmax_cross_entropy",
    "Initializer",
    "he_normal",
    "glorot_uniform",
    "orthogonal",
]


def __getattr__(name: str) -> object:
    raise habits.missing("cr.nn", name, habits.NN)
