"""Still pictures of models: what they draw and say, and that they are well-formed whatever the numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from chainrule.studio.exporting.model_svg import model_svg
from chainrule.studio.models import Opened, examine

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(picture).iter(f"{SVG}text")]


def test_a_model_has_its_columns_and_its_findings():
    opening = Opened().example("dead-units")
    opening.wait()
    picture = model_svg(opening.to_dict())
    said = texts(picture)
    assert said[0] == "dead-units" and said[1].endswith("1 finding")
    assert {"input", "layers.1", "loss", "×"} <= set(said)  # the units of a layer are all off
    assert any(text.startswith("▲ dead relu in layers.0") for text in said)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_marked(value: float):
    opening = examine(
        {"w": np.full(2, value)},
        lambda model, x, y: ((x * model["w"] - y) ** 2).sum(),
        np.ones(2),
        np.ones(2),
    )
    opening.wait()
    picture = model_svg(opening.to_dict())
    assert "▲" in texts(picture)


def test_what_has_no_graph_yet_says_so():
    opening = examine({"w": np.ones(2)}, lambda model, x, y: 1 / 0, np.ones(2), np.ones(2))
    opening.wait()
    picture = model_svg({**opening.to_dict(), "name": "a<b&\0\uffff"})
    assert texts(picture)[0] == "a<b&\ufffd\ufffd" and "division by zero" in texts(picture)[1]
