"""What `diagnose` answers: findings, and the numbers of every layer; its text, HTML and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from chainrule.explain.diagnosis.finding import Finding
from chainrule.explain.headed import CELL, headed_lines, headed_table
from chainrule.explain.numbers import counted, json_number, number_text, share_text

VERSION = 1
"""Of the JSON. It grows when a key changes its meaning or goes away, not when one is added."""
_HEADING = 10
_MOST_ROWS = 60
_BAR = 10
_LEFT = (0, 3)
"""Columns of words and bars; the others hold numbers."""


@dataclass(frozen=True, slots=True)
class LayerNumbers:
    """What a layer does in a pass. Sizes are root mean squares over examples and units.

    Attributes:
        name: of its module or weight.
        output: of z, what it gives before an activation.
        delta: of ∂loss/∂z.
        off: share of its units whose activation is flat for every example: relu at 0, sigmoid or tanh at an end; None
            without such an activation.
        gradient: of ∂loss/∂weight.
        weight: of the weights.
        update: of the update over that of the weights; None if no update is known.

    The text shows delta as a bar too, one block shorter for each decade below the largest: how well gradients flow.
    """

    name: str
    output: float
    delta: float
    off: float | None
    gradient: float
    weight: float
    update: float | None


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the gradients of single examples differ.

    Attributes:
        examples: how many were looked at.
        spread: root mean square distance of an example's gradient from the mean, over the norm of the mean.
        scale: the gradient noise scale: the batch size at which noise and mean are alike.

    Source: McCandlish et al., An Empirical Model of Large-Batch Training, 2018, DOI 10.48550/arXiv.1812.06162.
    """

    examples: int
    spread: float
    scale: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """The loss along an update, on its own batch: what the slope predicts, and what happens.

    Attributes:
        length: in updates.
        predicted, actual: the change of the loss.
    """

    length: float
    predicted: float
    actual: float


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a network in training. ``print`` shows ``text``.

    Attributes:
        findings: what is wrong, causes only, the surest first; none for a healthy network.
        losses: of the passes that were made or seen.
        chance: the loss if all scores were 0; None where there are no scores.
        layers: their numbers in the first pass.
        noise: of the gradient across examples; None where that cannot be told.
        stretches: the loss along the first update; empty if no update is known.
        parameters: how many numbers are trained.
        raised: the error that ended the program, "" if none did.
    """

    findings: tuple[Finding, ...]
    losses: tuple[float, ...]
    chance: float | None
    layers: tuple[LayerNumbers, ...]
    noise: Noise | None
    stretches: tuple[Stretch, ...]
    parameters: int
    raised: str = ""

    @property
    def healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def text(self) -> str:
        """All of it as plain text."""
        lines = [self._headline()]
        for finding in self.findings:
            lines += ["", finding.title, *headed_lines(finding.rows, _HEADING)]
        if self.layers:
            lines += ["", *_aligned(self._table())]
        return "\n".join([*lines, *self._notes()])

    def __str__(self) -> str:
        return self.text

    def _headline(self) -> str:
        what = f"{counted(len(self.losses), 'backward pass')}, "
        what += counted(self.parameters, "parameter")
        if self.healthy:
            return f"Nothing wrong was found in {what}."
        return f"{counted(len(self.findings), 'finding')} in {what}:"

    def _table(self) -> list[tuple[str, ...]]:
        head = ("layer", "z", "delta", "", "off", "gradient", "weight", "update/weight")
        most = max((row.delta for row in self.layers), default=0.0)
        rows = [
            (
                row.name,
                number_text(row.output, 3),
                number_text(row.delta, 3),
                _bar(row.delta, most),
                "" if row.off is None else share_text(row.off),
                number_text(row.gradient, 3),
                number_text(row.weight, 3),
                "" if row.update is None else number_text(row.update, 3),
            )
            for row in self.layers
        ]
        if len(rows) > _MOST_ROWS:
            half = _MOST_ROWS // 2
            hidden = (f"… {len(rows) - 2 * half} more", *[""] * (len(head) - 1))
            rows = [*rows[:half], hidden, *rows[-half:]]
        return [head, *rows]

    def _notes(self) -> list[str]:
        lines = [f"the program was ended by {self.raised}"] if self.raised else []
        if self.losses:
            loss = f"loss: {number_text(self.losses[0])}"
            if len(self.losses) > 1:
                loss += f", in the end {number_text(self.losses[-1])}"
            lines.append(
                loss + ("" if self.chance is None else f"; with all scores 0: {number_text(self.chance)}")
            )
        if self.stretches:
            parts = [
                f"{number_text(s.length)} × {number_text(s.actual)} (predicted {number_text(s.predicted)})"
                for s in self.stretches
            ]
            lines.append("change of the loss along the first update: " + ", ".join(parts))
        if self.noise is not None:
            lines.append(
                f"gradients of {self.noise.examples} single examples lie {number_text(self.noise.spread, 3)} times the "
                f"mean gradient from it; noise scale {number_text(self.noise.scale, 3)} examples"
            )
        return ["", *lines] if lines else []

    def _repr_html_(self) -> str:
        parts = [f'<div class="chainrule-report"><b>{escape(self._headline())}</b>']
        for finding in self.findings:
            parts.append(f"<p><b>{escape(finding.title)}</b></p>{headed_table(finding.rows)}")
        if self.layers:
            head, *body = self._table()
            parts.append(f"<table><thead>{_row('th', head)}</thead><tbody>")
            parts += [_row("td", row) for row in body]
            parts.append("</tbody></table>")
        parts += [f"<p>{escape(line)}</p>" for line in self._notes() if line]
        return "".join([*parts, "</div>"])

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        return {
            "version": VERSION,
            "healthy": self.healthy,
            "findings": [finding.to_dict() for finding in self.findings],
            "losses": [json_number(x) for x in self.losses],
            "chance": None if self.chance is None else json_number(self.chance),
            "parameters": self.parameters,
            "raised": self.raised or None,
            "layers": [_json(asdict(row)) for row in self.layers],
            "noise": self.noise and _json(asdict(self.noise)),
            "stretches": [_json(asdict(s)) for s in self.stretches],
        }


def _bar(size: float, most: float) -> str:
    """A bar that is one block shorter for each decade below the largest."""
    if not size or not math.isfinite(size):
        return ""
    return "█" * max(1, _BAR - round(math.log10(most / size)))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i in _LEFT else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f'<{tag} style="{CELL}">{escape(c)}</{tag}>' for c in cells) + "</tr>"


def _json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: json_number(v) if isinstance(v, float) else v for name, v in values.items()}
