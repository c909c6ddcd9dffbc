"""One thing that is wrong with a network in training: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chainrule.errors import Source


@dataclass(frozen=True, slots=True)
class Finding:
    """A cause, where it is, and what speaks for it.

    Attributes:
        kind: its name in the catalogue, such as ``"dead_relu"``.
        where: the layer, parameter or node.
        cause: the mechanism in words, with its numbers.
        evidence: what can be checked.
        proof: what becomes of the symptom if just the cause is changed; "" where that cannot be tried.
        remedy: what to do.
        confidence: from 0 to 1. Above 0.9: the mechanism was seen and the counterfactual agrees; about 0.7: the
            mechanism was seen, and someone may have meant it so.
        source: the user's line, if one is to blame.
    """

    kind: str
    where: str
    cause: str
    evidence: tuple[str, ...]
    remedy: str
    confidence: float
    proof: str = ""
    source: Source | None = None

    @property
    def rows(self) -> list[tuple[str, str]]:
        """Headings and texts, in the order in which they are read."""
        rows = [("cause", self.cause)]
        if self.source:
            rows.append(("line", str(self.source)))
        rows += [("evidence", line) for line in self.evidence]
        if self.proof:
            rows.append(("proof", self.proof))
        return [*rows, ("remedy", self.remedy)]

    @property
    def title(self) -> str:
        """``dead_relu in layers.0 (confidence 0.95)``."""
        return f"{self.kind} in {self.where} (confidence {self.confidence:.2g})"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "where": self.where,
            "cause": self.cause,
            "evidence": list(self.evidence),
            "proof": self.proof or None,
            "remedy": self.remedy,
            "confidence": self.confidence,
            "source": self.source and self.source.to_dict(),
        }
