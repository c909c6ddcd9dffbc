"""Backpropagation layer by layer, in the notation of textbooks. :func:`layers` is the way in."""

from chainrule.explain.layered.derivation import LayerDerivation
from chainrule.explain.layered.equations import Equation
from chainrule.explain.layered.reuse import Reused
from chainrule.explain.layered.view import Layer, Layers, layers

__all__ = ["Equation", "Layer", "LayerDerivation", "Layers", "Reused", "layers"]
