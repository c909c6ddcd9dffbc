"""What `why` answers: plain data, its text, HTML and JSON."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from chainrule.errors import Source
from chainrule.explain.headed import headed_lines, headed_table

VERSION = 1
"""Of the JSON. It grows when a key changes its meaning or goes away, not when one is added."""
_HEADING = 9


@dataclass(frozen=True, slots=True)
class Proof:
    """What the gradient becomes if only the cause is changed.

    Attributes:
        change: what was put in its place.
        before, after: the gradient, in words.
        cured: whether the symptom is gone.
    """

    change: str
    before: str
    after: str
    cured: bool


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a gradient has the value that it has. Made by :func:`why`; ``print`` shows ``text``.

    Attributes:
        result, variable: the gradient is ∂result/∂variable.
        symptom: ``"nan"``, ``"infinite"``, ``"zero"``, ``"absent"``, ``"tiny"``, ``"huge"``, ``"alike"`` or ``"none"``.
        seen: the symptom in words.
        cause: its name in the catalogue, such as ``"log_of_zero"``; ``"none"`` for a healthy gradient.
        explanation: the mechanism in words, with its numbers.
        node: name of the node where it begins; "" for none.
        expression: that node in terms of its inputs.
        op: its primitive.
        source: the user's line that made it.
        evidence: what else can be checked.
        proof: the same passes with the cause taken out.
        remedy: what to do.
        others: further causes, in words.
    """

    result: str
    variable: str
    symptom: str
    seen: str
    cause: str
    explanation: str
    node: str = ""
    expression: str = ""
    op: str = ""
    source: Source | None = None
    evidence: tuple[str, ...] = ()
    proof: Proof | None = None
    remedy: str = ""
    others: tuple[str, ...] = ()

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Headings and texts, in the order in which they are read."""
        rows = [("symptom", self.seen), ("cause", self.explanation)]
        if self.source:
            rows.append(("where", str(self.source)))
        rows += [("evidence", line) for line in self.evidence]
        if self.proof:
            rows.append(("proof", f"with {self.proof.change}: {self.proof.after}"))
        rows += [("also", line) for line in self.others]
        return [*rows, ("remedy", self.remedy)] if self.remedy else rows

    @property
    def text(self) -> str:
        """All of it as plain text."""
        head = f"Why ∂{self.result}/∂{self.variable}{_is(self.symptom)}"
        return "\n".join([head, *headed_lines(self.rows, _HEADING)])

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        head = escape(f"Why ∂{self.result}/∂{self.variable}{_is(self.symptom)}")
        return f'<div class="chainrule-reason"><b>{head}</b>{headed_table(self.rows)}</div>'

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data."""
        proof = self.proof
        return {
            "version": VERSION,
            "result": self.result,
            "variable": self.variable,
            "symptom": self.symptom,
            "seen": self.seen,
            "cause": self.cause,
            "explanation": self.explanation,
            "node": self.node or None,
            "expression": self.expression or None,
            "op": self.op or None,
            "source": self.source and self.source.to_dict(),
            "evidence": list(self.evidence),
            "proof": proof
            and {"change": proof.change, "before": proof.before, "after": proof.after, "cured": proof.cured},
            "remedy": self.remedy or None,
            "others": list(self.others),
        }


def _is(symptom: str) -> str:
    return {
        "nan": " is NaN",
        "infinite": " is infinite",
        "zero": " is zero",
        "absent": " does not exist",
        "tiny": " is very small",
        "huge": " is very large",
        "alike": " is the same for all units",
    }.get(symptom, " has its value")
