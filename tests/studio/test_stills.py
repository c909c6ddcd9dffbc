"""Still pictures of networks and models: what they draw and say, and that they are well-formed whatever the numbers."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest

from chainrule.studio.exporting.modelfigure import model_svg
from chainrule.studio.exporting.networkfigure import network_svg
from chainrule.studio.exporting.shapes import palette
from chainrule.studio.models import Opened, examine
from chainrule.studio.networks.frames import frame_of
from chainrule.studio.networks.questions import setting_of
from chainrule.studio.networks.training import Training

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [one.text or "" for one in ET.fromstring(picture).iter(f"{SVG}text")]


def frame(update: int = 0, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    setting = setting_of({"points": 40, **options})
    training = Training(setting, frame_of)
    training.command({"do": "seek", "update": update})
    assert training.rest(60)
    return training.frame(), setting.options.to_dict()


def test_a_network_has_a_lane_for_each_weight_and_its_losses():
    shown, options = frame(12, layers=[3])
    picture = network_svg(shown, options)
    root = ET.fromstring(picture)
    assert len(root.findall(f"{SVG}circle")) == 2 + 3 + 1
    lanes = [one for one in root.iter(f"{SVG}path") if one.get("opacity")]
    weights = [w for layer in shown["weights"] for row in layer["w"] for w in row]
    assert [one.get("stroke-dasharray") is not None for one in lanes] == [w < 0 for w in weights]
    widths = [float(one.get("stroke-width") or 0) for one in lanes[:6]]
    assert int(np.argmax(widths)) == int(np.argmax(np.abs(weights[:6])))
    assert "After update 12: loss" in texts(picture)[1] and "12 updates" in texts(picture)


def test_layers_with_many_units_are_one_mark_and_no_curve_is_drawn_before_the_first_update():
    shown, options = frame(data="digits", layers=[4])
    picture = network_svg(shown, options, "dark")
    assert "64 inputs" in texts(picture) and palette("dark")["surface"] in picture
    assert not any("updates" in text for text in texts(picture))


def test_numbers_that_are_none_are_drawn_as_findings():
    shown, options = frame(layers=[2])
    shown["weights"][0]["w"][0][0] = "NaN"
    shown["losses"] = {"updates": [0, 1, 2], "train": [1.0, "Infinity", 0.5], "test": [None, None, None]}
    assert palette("light")["find-line"] in network_svg(shown, options)


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
    picture = model_svg({**opening.to_dict(), "name": "a<b&\0"})
    assert texts(picture)[0] == "a<b&\ufffd" and "division by zero" in texts(picture)[1]
