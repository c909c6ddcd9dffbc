"""Layers, losses and initializers."""

from chainrule import habits
from chainrule.nn.attention import MultiHeadAttention, attention_weights
from chainrule.nn.combine import Flatten, Residual
from chainrule.nn.conv import AvgPool2d, Conv2d, GlobalAveragePool, MaxPool2d
from chainrule.nn.dropout import Dropout
from chainrule.nn.embedding import Embedding
from chainrule.nn.init import (
    Initializer,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    orthogonal,
)
from chainrule.nn.linear import Dense, Linear, Maxout
from chainrule.nn.losses import (
    absolute_error,
    binary_cross_entropy,
    half_squared_error,
    hinge,
    huber,
    kl_divergence,
    mean_squared_error,
    multiclass_hinge,
    softmax_cross_entropy,
)
from chainrule.nn.module import Buffer, Module, Summary
from chainrule.nn.norm import BatchNorm, GroupNorm, LayerNorm
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
    "Maxout",
    "Embedding",
    "Conv2d",
    "MaxPool2d",
    "AvgPool2d",
    "GlobalAveragePool",
    "BatchNorm",
    "LayerNorm",
    "GroupNorm",
    "Dropout",
    "MultiHeadAttention",
    "attention_weights",
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
    "absolute_error",
    "huber",
    "softmax_cross_entropy",
    "binary_cross_entropy",
    "hinge",
    "multiclass_hinge",
    "kl_divergence",
    "Initializer",
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
]


def __getattr__(name: str) -> object:
    raise habits.missing("cr.nn", name, habits.NN)
