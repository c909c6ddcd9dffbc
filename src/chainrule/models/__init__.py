"""Models that are ready to use, and recipes that train them."""

from chainrule.models.catalogue import NAMES, build, full_description
from chainrule.models.char_rnn import char_rnn
from chainrule.models.classifier import Classifier, cnn, lenet, linear
from chainrule.models.digits import Recipe, digits_classifier
from chainrule.models.mlp import mlp
from chainrule.models.resnet import resnet
from chainrule.models.transformer import transformer

__all__ = [
    "NAMES",
    "Classifier",
    "Recipe",
    "build",
    "char_rnn",
    "cnn",
    "digits_classifier",
    "full_description",
    "lenet",
    "linear",
    "mlp",
    "resnet",
    "transformer",
]
