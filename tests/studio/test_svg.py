"""Figures as SVG: read by every program, with the trace's numbers, and nothing on top of each other."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from chainrule.errors import ArgumentError
from chainrule.studio.drawing.mathtree import tree
from chainrule.studio.exporting.colours import palette
from chainrule.studio.exporting.figure import figure_of
from chainrule.studio.exporting.letters import runs_of
from chainrule.studio.exporting.moments import moment_at
from chainrule.studio.exporting.svg import svg
from chainrule.studio.formulas import FormulaTrace
from studio_formulas import FORMULAS

_SVG = "{http://www.w3.org/2000/svg}"
ARTICLE = FormulaTrace("(a+b)*(b+c)", {"a": -1, "b": 3, "c": 4}).to_dict()


def texts(drawn: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(drawn).iter(f"{_SVG}text")]


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_only_shapes_and_texts_that_every_program_reads(name: str, theme: str):
    drawn = svg(FORMULAS[name].to_dict(), theme=theme)  # pyright: ignore[reportArgumentType]
    tags = {element.tag.removeprefix(_SVG) for element in ElementTree.fromstring(drawn).iter()}
    assert tags <= {"svg", "title", "desc", "g", "rect", "path", "text", "tspan"}
    attributes = {key for element in ElementTree.fromstring(drawn).iter() for key in element.attrib}
    assert not attributes & {"style", "class", "href", "onclick"}
    assert "url(" not in drawn
    assert "nan" not in drawn.replace("tanh", "")


@pytest.mark.parametrize("name", FORMULAS)
def test_boxes_lie_in_the_picture_and_apart_from_each_other(name: str):
    figure = figure_of(FORMULAS[name].to_dict())
    for card in figure.cards:
        assert card.box.width / 2 < card.box.x < figure.width - card.box.width / 2
        assert card.box.height / 2 < card.box.y < figure.height - card.box.height / 2
    for one, other in itertools.combinations(figure.cards, 2):
        assert one.box.overlap(other.box) == 0, (one.id, other.id)


def test_numbers_and_letters_are_those_of_the_article():
    found = texts(svg(ARTICLE))
    assert {"−1", "3", "4", "2", "7", "14", "9", "1", "×7", "×2", "×1"} <= set(found)
    assert "fx\u2009·\u2009y" in found
    title = ElementTree.fromstring(svg(ARTICLE)).find(f"{_SVG}title")
    description = ElementTree.fromstring(svg(ARTICLE)).find(f"{_SVG}desc")
    assert title is not None and title.text == "(a+b)*(b+c)"
    assert description is not None and description.text is not None
    assert "b, variable. Value 3. Gradient of f with respect to it 9." in description.text


def test_at_a_step_there_is_what_has_happened_and_the_current_product_is_written_out():
    events = ARTICLE["events"]["reverse"]
    assert "·" in texts(svg(ARTICLE, step=0))
    assert not any("×" in text for text in texts(svg(ARTICLE, step=0)))
    flow = next(k for k, event in enumerate(events) if event["t"] == "flow")
    assert {"7", "= 7 ×", "1"} <= set(texts(svg(ARTICLE, step=flow)))
    assert "= 7 ×" not in texts(svg(ARTICLE, step=flow + 1))


def test_forward_mode_shows_the_last_sweep():
    trace = FormulaTrace("(a+b)*(b+c)", {"a": -1, "b": 3, "c": 4}).to_dict()
    moment = moment_at(trace, mode="forward")
    assert moment.gradients[trace["result"]] == 2  # with respect to c
    by_name = {trace["nodes"][i]["name"]: x for i, x in moment.gradients.items()}
    assert by_name == {"a": 0, "b": 0, "c": 1, "x": 0, "y": 1, "f": 2}


@pytest.mark.parametrize("name", FORMULAS)
def test_after_both_passes_every_gradient_is_that_of_the_trace(name: str):
    trace = FORMULAS[name].to_dict()
    moment = moment_at(trace)
    assert moment.ended
    for i, gradient in moment.gradients.items():
        assert str(gradient) == str(float(trace["nodes"][i]["gradient"]))
    assert moment.flowed == {edge["id"] for edge in trace["edges"]}


def test_constants_can_be_left_out():
    trace = FormulaTrace("2x + 1", {"x": 1}).to_dict()
    figure = figure_of(trace, constants=False)
    assert {card.kind for card in figure.cards} == {"variable", "operation", "result"}
    places = [(card.box.x - card.box.width / 2, card.box.y - card.box.height / 2) for card in figure.cards]
    assert min(x for x, _ in places) == min(y for _, y in places) == 16  # no room is left for them


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 99}, "step 99 is not among the formula's events"),
        ({"step": -1}, "step -1 is not among the formula's events"),
        ({"mode": "sideways"}, "this formula has no events of mode 'sideways'"),
        ({"theme": "red"}, "there is no theme 'red'"),
    ],
)
def test_what_is_not_there_is_told(options: dict[str, str], message: str):
    with pytest.raises(ArgumentError) as caught:
        svg(ARTICLE, **options)  # pyright: ignore[reportArgumentType]
    assert caught.value.message == message
    assert caught.value.fix


def test_colours_are_those_of_the_page():
    assert palette("light")["val"] == "#0a5aa6" and palette("dark")["val"] == "#7fc1ff"
    assert palette("dark")["surface"] in svg(ARTICLE, theme="dark")


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        ("x_1", "x1"),
        (r"\frac{1}{1 + e^{-x}}", "1/(1 + e−x)"),
        (r"\sqrt{a + b}", "√(a + b)"),
        (r"\sqrt[3]{x}", "3√x"),
        (r"\sin \theta", "sin θ"),
        (r"\operatorname{max}\left(a, b\right)", "max(a,b)"),
        (r"\begin{cases} 1 & x \\ 0 & y \end{cases}", "{1x; 0y"),
        (r"a < b", "a < b"),
        (r"\hat{y}_1", "y\u03021"),
    ],
)
def test_formulas_in_one_line(latex: str, expected: str):
    found = "".join(run.text for run in runs_of(tree(latex)))
    assert found.replace("\u2009", " ") == expected


def test_an_upper_index_stands_above_the_lower_one():
    z, lower, *upper = runs_of(tree("z_1^{(2)}"))
    assert z.slanted and not lower.slanted
    assert lower.rise < 0 < upper[0].rise
    assert upper[0].back == pytest.approx(lower.width)
