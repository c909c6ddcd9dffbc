"""The widgets that tests of notebooks look at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import chainrule as cr


@pytest.fixture
def widget() -> Iterator[Any]:
    made = cr.studio.widget("(a+b)*(b+c)", a=-1, b=3, c=4)
    yield made
    made.close()


@pytest.fixture
def network() -> Iterator[Any]:
    made = cr.studio.network_widget("circles", (4,), points=60)
    yield made
    made.close()


@pytest.fixture
def model() -> Iterator[Any]:
    recipe = cr.models.digits_classifier()
    x, y = recipe.data.train_x[:32], recipe.data.train_y[:32]
    made = cr.studio.model_widget(recipe.model, recipe.loss, x, y)
    made.wait()
    yield made
    made.close()
