"""Letters for the intermediate results of a formula, in the order in which they are computed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

_INTERMEDIATES = "xyzuvwpqrstabcghkmn"
_RESULTS = "fghFGHL"


def intermediates(taken: Iterable[str]) -> Iterator[str]:
    """Names for intermediates: x, y, z, u, v, w, p, ..., then x1, x2, ...; none of ``taken``.

    Example:
        >>> names = intermediates({"x", "y"})
        >>> next(names), next(names)
        ('z', 'u')
    """
    used = set(taken)
    numbered = (f"x{i}" for i in itertools.count(1))
    return (name for name in itertools.chain(_INTERMEDIATES, numbered) if name not in used)


def result(taken: Iterable[str]) -> str:
    """The name of a result that the formula does not name: f, or the next letter that is free."""
    used = set(taken)
    numbered = (f"f{i}" for i in itertools.count(1))
    return next(name for name in itertools.chain(_RESULTS, numbered) if name not in used)
