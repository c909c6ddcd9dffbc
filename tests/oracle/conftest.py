"""Parity with torch. Without torch this folder is skipped, or fails where CHAINRULE_REQUIRE_ORACLE=1."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

MISSING = importlib.util.find_spec("torch") is None
REASON = "torch is not installed: python -m pip install -e '.[oracle]'"

if MISSING and os.environ.get("CHAINRULE_REQUIRE_ORACLE") == "1":
    raise pytest.UsageError(f"CHAINRULE_REQUIRE_ORACLE=1, but {REASON}")


class Skipped(pytest.Module):
    """Stands in for a test module that cannot be imported."""

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        pytest.skip(REASON, allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    kind = Skipped if MISSING else pytest.Module
    module: pytest.Module = kind.from_parent(parent, path=module_path)
    module.add_marker("oracle")
    return module
