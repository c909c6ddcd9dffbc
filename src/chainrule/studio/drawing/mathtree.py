"""Formulas as JSON: a tree of MathML elements, in which numbers can change while the rest stays.

A tree is a text, or a list ``[tag, {attributes}, child, ...]`` whose attributes may be absent. Beside the elements of
MathML there are two: ``["num", ref]`` or ``["num", ref, "factor"]`` is a number that whoever draws looks up, and
``["node", 3, child, ...]`` is what belongs to node 3. In LaTeX both are written with ``\\class``, which MathJax knows
too: ``\\class{live-v3}{14}``, ``\\class{of-3}{x + y}``. So one LaTeX says the same on paper and on a page that moves.
"""

from __future__ import annotations

import functools
import re
from typing import Any, TypeAlias
from xml.etree import ElementTree

from chainrule.explain import mathml
from chainrule.explain.numbers import number_latex

Tree: TypeAlias = "str | list[Any]"

_LIVE = re.compile(r"live-([vglct]\d+)(-factor)?")
_NODE = re.compile(r"of-(\d+)")
_CLASS = re.compile(r"\\class\{(?:live|of)-[^{}]*\}")


def live(ref: str, value: float, *, factor: bool = False) -> str:
    """LaTeX of a number that can change.

    Args:
        ref: what it is: ``v3`` the value of node 3, ``g3`` its gradient, ``l5`` the local derivative of edge 5, ``c5``
            what that edge contributes.
        value: now.
        factor: whether it stands in parentheses where it is negative or has a power of ten.
    """
    written = number_latex(value)
    if factor and (written.startswith("-") or "10^" in written):
        written = rf"\left({written}\right)"
    return rf"\class{{live-{ref}{'-factor' if factor else ''}}}{{{written}}}"


def of_node(i: int, latex: str) -> str:
    """LaTeX of what belongs to node ``i``."""
    return rf"\class{{of-{i}}}{{{latex}}}"


def plain(latex: str) -> str:
    """LaTeX without marks, for papers."""
    return _CLASS.sub("", latex)


@functools.lru_cache(maxsize=4096)
def _parsed(latex: str) -> ElementTree.Element:
    return ElementTree.fromstring(mathml.row(latex))


def tree(latex: str) -> Tree:
    """LaTeX as a tree.

    Example:
        >>> tree(r"\\class{of-2}{x} + \\class{live-v3}{-1}")
        ['mrow', ['node', 2, ['mi', 'x']], ['mo', '+'], ['num', 'v3']]
    """
    return _tree(_parsed(latex))


def _tree(element: ElementTree.Element) -> Tree:
    name = element.get("class", "")
    if found := _LIVE.fullmatch(name):
        return ["num", found[1], "factor"] if found[2] else ["num", found[1]]
    children: list[Tree] = [element.text] if element.text else []
    children += [_tree(child) for child in element]
    if found := _NODE.fullmatch(name):
        return ["node", int(found[1]), *children]
    attributes = dict(element.attrib)
    return [element.tag, *([attributes] if attributes else []), *children]
