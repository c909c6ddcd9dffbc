"""The pages that there are, and what they ask."""

from __future__ import annotations

from typing import Any, Final

from chainrule.studio import exporting, formulas, models, networks
from chainrule.studio.endpoints import Endpoint, Live

SHARED: Final[dict[str, Any]] = {
    "FormulaTrace": formulas.FORMULA_TRACE,
    "NetworkTrace": networks.NETWORK_TRACE,
    "TrainingTrace": networks.TRAINING_TRACE,
}
"""Schemas that those of the endpoints refer to."""


def endpoints(opened: models.Opened | None = None) -> tuple[Endpoint | Live, ...]:
    """Of all pages.

    Args:
        opened: models that are looked at; none at first if left out.
    """
    seen, sessions = models.Opened() if opened is None else opened, networks.Sessions()
    return (
        *formulas.endpoints(),
        *networks.endpoints(sessions),
        *exporting.endpoints(sessions),
        *models.endpoints(seen),
    )
