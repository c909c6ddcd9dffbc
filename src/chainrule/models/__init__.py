"""Models that are ready to use, and recipes that train them."""

from chainrule.models.digits import Recipe, digits_classifier
from chainrule.models.mlp import mlp
from chainrule.models.resnet import resnet

__all__ = ["Recipe", "digits_classifier", "mlp", "resnet"]
