"""Objectives of the benchmarks: values and gradients of torch, jax and code by hand."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def mixture(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("gmm")


@pytest.mark.parametrize(("n", "d", "k"), [(300, 3, 4), (3000, 10, 6)])
def test_a_mixture_agrees_with_torch(mixture, n, d, k):
    arrays = mixture.data(n, d, k)
    mixture.require_equal(
        {"chainrule": mixture.on_chainrule(arrays), "torch": mixture.on_torch(torch, arrays)}
    )


def test_a_mixture_agrees_with_jax(mixture):
    jax = pytest.importorskip("jax", reason="jax is not installed")
    arrays = mixture.data(3000, 10, 6)
    before = jax.config.jax_enable_x64
    try:
        mixture.require_equal({"chainrule": mixture.on_chainrule(arrays), "jax": mixture.on_jax(jax, arrays)})
    finally:
        jax.config.update("jax_enable_x64", before)


def test_a_mixture_agrees_with_code_by_hand(mixture):
    arrays = mixture.data(1000, 5, 7)
    by_hand = mixture.on_cpp(arrays)
    if by_hand is None:
        pytest.skip("there is no C++ compiler")
    mixture.require_equal({"chainrule": mixture.on_chainrule(arrays), "C++": by_hand})
