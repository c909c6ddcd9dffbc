"""Formulas: text to graph, with the project's own parser. :func:`formula` documents the language."""

from chainrule.formula.call import Formula, formula

__all__ = ["Formula", "formula"]
