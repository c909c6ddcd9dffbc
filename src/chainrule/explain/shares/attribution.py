"""What is found when a gradient is shared out: plain data, and its text, HTML and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from chainrule.errors import ArgumentError
from chainrule.explain.numbers import count_text, counted, json_count, json_number, number_text, share_text

VERSION = 1
"""Of the JSON."""
LISTED = 10_000
"""At most so many shares of a split, and so many splits, are in the JSON."""

_FEW = 4
"""Of more shares those that are 0 are not shown one by one."""

By = Literal["path", "branch", "layer", "sample", "term"]
_SHARED = {
    "path": "by path",
    "branch": "where it divides into branches",
    "layer": "through each layer and past it",
    "sample": "by example",
    "term": "by term of the result",
}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a gradient.

    Attributes:
        name: what it comes through or from.
        value: its part of the gradient.
        fraction: the same as a part of 1, negative where it works against the others; None where the gradient is 0.
        detail: more about it: the layers on a path, the line of a term; "" for nothing.
    """

    name: str
    value: float
    fraction: float | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """One way to share the gradient out: the shares are disjoint, and together all of it.

    Attributes:
        name: where that is; "" where the result as a whole is shared out.
        shares: the parts; of paths the strongest first and the sum of all others last.
        detail: more about the place.
        inner: whether the branches meet again before any other variable has come in, as those within a normalization.
    """

    name: str
    shares: tuple[Share, ...]
    detail: str = ""
    inner: bool = False

    @property
    def total(self) -> float:
        """The sum of the shares."""
        return math.fsum(share.value for share in self.shares)

    @property
    def divided(self) -> float:
        """How much does not go the largest way, by size."""
        sizes = [abs(share.value) for share in self.shares]
        return math.fsum(sizes) - max(sizes, default=0.0)


@dataclass(frozen=True, slots=True)
class Attribution:
    """A number of a gradient, shared out. Made by :func:`attribute`; ``print`` shows ``text``.

    Attributes:
        result, variable: names; the latter with an index where elements are meant.
        by: what it is shared out by.
        gradient: the number: the derivative with respect to one element, or of several the norm of the gradient, which
            is the derivative along it.
        along: whether several elements are meant.
        splits: each shares all of the gradient out: for paths, examples and terms one, for branches one at each point
            where the gradient divides, for layers one for each layer.
        count: how many paths there are, exactly; None for more than 10^300.
        exact: of paths, whether those that are listed are known to be the strongest: where every node on the way is one
            number, or where there are few. Else stronger ones can hide where paths cancel; the number of each listed
            one is its own product all the same.
        notes: what to know beside the numbers.
        top: how many shares or splits the text shows.
    """

    result: str
    variable: str
    by: By
    gradient: float
    along: bool
    splits: tuple[Split, ...]
    count: int | None
    exact: bool
    notes: tuple[str, ...]
    top: int

    @property
    def shares(self) -> tuple[Share, ...]:
        """The shares, where the gradient is shared out once.

        Raises:
            ArgumentError: it is, at each of several places; see ``splits``.
        """
        if len(self.splits) != 1:
            raise ArgumentError(
                f"shares: the gradient is shared out at {len(self.splits)} places",
                fix="attribution.splits[0].shares",
            )
        return self.splits[0].shares

    @property
    def headline(self) -> str:
        """The gradient and how it is shared out."""
        name = f"∂{self.result}/∂{self.variable}"
        whole = f"|{name}|" if self.along else name
        ways = "" if self.count is None else f": {counted(self.count, 'path')}"
        return f"{whole} = {number_text(self.gradient)}, {_SHARED[self.by]}{ways}"

    @property
    def shown(self) -> tuple[Split, ...]:
        """The splits that the text shows, in order of computation: of several those that divide most."""
        outer = [s for s in self.splits if not s.inner] or list(self.splits)
        chosen = sorted(outer, key=lambda s: -s.divided)[: self.top]
        kept = {id(s) for s in chosen}
        return tuple(s for s in outer if id(s) in kept)

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self.headline]
        if self.by in ("path", "sample", "term"):
            rows = self.rows
            widths = [max(len(row[k]) for row in rows) for k in (0, 1, 2)]
            lines += ["  " + "   ".join(_padded(row, widths)).rstrip() for row in rows]
        else:
            lines += [line for split in self.shown for line in _described(split)]
            left = len(self.splits) - len(self.shown)
            lines += [f"  … and {counted(left, 'more place')}"] if left else []
        return "\n".join([*lines, *(f"  {note}" for note in self.remarks)])

    @property
    def rows(self) -> list[tuple[str, str, str, str]]:
        """The largest shares as text: name, value, part and detail; then all others, and the sum."""
        shares = list(self.shares)
        if self.by != "path":
            shares.sort(key=lambda s: -abs(s.value))
        most = self.top + 1 if self.by == "path" else self.top
        if len(shares) > _FEW and self.by != "path":
            most = min(most, sum(share.value != 0 for share in shares))
        rows, rest = [_row(share) for share in shares[:most]], shares[most:]
        if rest:
            value = math.fsum(s.value for s in rest)
            rows.append(_row(Share(f"{count_text(len(rest))} others", value, fraction(value, self.gradient))))
        total = self.splits[0].total
        return [*rows, _row(Share("sum", total, fraction(total, self.gradient)))]

    @property
    def remarks(self) -> list[str]:
        """What a reader of the table has to know beside it."""
        parts = [s for split in self.shown for s in split.shares]
        signs = {s.value > 0 for s in parts if s.value and s.fraction and abs(s.fraction) >= 5e-4}
        note = "Parts of both signs cancel; percentages are of what is left of them, the gradient."
        return [note, *self.notes] if len(signs) > 1 else list(self.notes)

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:2px 12px"
        if self.by in ("path", "sample", "term"):
            rows = self.rows
        else:
            rows = [
                (s.name if not i else "", *_row(x)[:3]) for s in self.shown for i, x in enumerate(s.shares)
            ]
        body = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{escape(c)}</td>' for c in row) + "</tr>" for row in rows
        )
        notes = "".join(f"<div>{escape(note)}</div>" for note in self.remarks)
        return (
            f'<div class="chainrule-attribution">{escape(self.headline)}'
            f"<table><tbody>{body}</tbody></table>{notes}</div>"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data: numbers in full precision; at most 10,000 splits with 10,000 shares each."""
        return {
            "version": VERSION,
            "result": self.result,
            "variable": self.variable,
            "by": self.by,
            "gradient": json_number(self.gradient),
            "along_gradient": self.along,
            "path_count": None if self.count is None else json_count(self.count),
            "strongest_proven": self.exact if self.by == "path" else None,
            "notes": list(self.notes),
            "splits": [
                {
                    "name": split.name,
                    "detail": split.detail,
                    "inner": split.inner,
                    "sum": json_number(split.total),
                    "shares": [
                        {
                            "name": s.name,
                            "value": json_number(s.value),
                            "fraction": s.fraction,
                            "detail": s.detail,
                        }
                        for s in split.shares[:LISTED]
                    ],
                    "shares_left_out": max(0, len(split.shares) - LISTED),
                }
                for split in self.splits[:LISTED]
            ],
            "splits_left_out": max(0, len(self.splits) - LISTED),
        }


def fraction(value: float, gradient: float) -> float | None:
    """A value as a part of the gradient; None where that is 0."""
    return value / gradient if gradient else None


def _row(share: Share) -> tuple[str, str, str, str]:
    part = "" if share.fraction is None else share_text(share.fraction)
    return share.name, number_text(share.value), part, share.detail


def _padded(row: tuple[str, str, str, str], widths: list[int]) -> list[str]:
    return [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]


def _described(split: Split) -> list[str]:
    """A place, and what goes each way."""
    rows = [_row(share) for share in split.shares]
    width = max(len(row[0]) for row in rows)
    values = max(len(row[1]) for row in rows)
    head = f"  {split.name}{f', {split.detail}' if split.detail else ''}"
    return [head, *(f"    {r[0].ljust(width)}   {r[1].ljust(values)}   {r[2]}".rstrip() for r in rows)]
