"""Where a gradient comes from, as shares that add up to it."""

from chainrule.explain.shares.attribute import attribute
from chainrule.explain.shares.attribution import Attribution, Share, Split

__all__ = ["Attribution", "Share", "Split", "attribute"]
