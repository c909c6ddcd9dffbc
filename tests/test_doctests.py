"""The examples in the docstrings of every public module hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import numpy as np
import pytest

import chainrule


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(chainrule.__path__, "chainrule.")
    names = (module.name for module in found)
    return ["chainrule", *(name for name in names if "._" not in name)]


@pytest.mark.parametrize("name", public_modules())
def test_doctests(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)  # some write files
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(
        module, extraglobs={"cr": chainrule, "np": np}, optionflags=doctest.REPORT_NDIFF
    )
    assert failed == 0, f"{failed} examples of {name} fail, see above"
