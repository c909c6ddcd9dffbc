"""Pictures in the terminal: nothing overlaps, nothing is lost without colour, every width works."""

from __future__ import annotations

import dataclasses
import io
import itertools
import random
from typing import Any

import pytest
from rich.console import Console

import chainrule as cr
from chainrule.explain import Explanation, explain
from chainrule.show import ascii, show_explanation, show_result, show_training
from chainrule.show.layout import Layout, Link, place
from chainrule.show.style import bar
from chainrule.train import EpochEnded, Finished, Started, Stepped


def drawn(explanation: Explanation, width: int = 80, **options: Any) -> str:
    file = io.StringIO()
    show_explanation(explanation, Console(file=file, width=width, markup=False, highlight=False, **options))
    return file.getvalue()


def formula(text: str, wrt: Any = None, **values: float) -> Explanation:
    return explain(cr.formula(text)(**values), wrt)


ARTICLE = """\
f = 14     ∂f/∂b = 9

                     ╔═ f = x·y ═╗
                     ║ ▲ 14  ▼ 1 ║
                     ╚═══════════╝
                       ×7▲   ×2▲
                   ╭─────╯     ╰─────╮
                  7▼                2▼
           ╭─ x = a + b ─╮    ╭─ y = b + c ─╮
           │  ▲ 2   ▼ 7  │    │  ▲ 7   ▼ 2  │
           ╰─────────────╯    ╰─────────────╯
             ×1▲     ×1▲        ×1▲     ×1▲
         ╭─────╯       │          │       ╰────╮
        7▼            7▼         2▼           2▼
  ╭─ a ───────╮   ┏━ b · used twice ━┓   ╭─ c ──────╮
  │ ▲ −1  ▼ 7 │   ┃ ▲ 3  ▼ 7 + 2 = 9 ┃   │ ▲ 4  ▼ 2 │
  ╰───────────╯   ┗━━━━━━━━━━━━━━━━━━┛   ╰──────────╯

  ▲ value   ▼ gradient   ×n local derivative: ▼ above × n = ▼ below

  ∂f/∂b = ∂f/∂x·∂x/∂b + ∂f/∂y·∂y/∂b = 7·1 + 2·1 = 9

2 paths from f to b
  f ← x ← b  7·1 = 7  77.8 %  ████████████▌
  f ← y ← b  2·1 = 2  22.2 %  ███▌
  sum        9

Reverse mode: 1 sweep, 6 products, gives all 3 gradients.
Forward mode: 3 sweeps, one for each variable, 18 products, 8 not zero.
Deltas reused: 6 multiplications; path by path: 8 (1.33 times as many).
Used more than once: ∂f/∂y 2 times, ∂f/∂x 2 times.
"""


def test_the_first_screen():
    assert drawn(formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4)) == ARTICLE


def test_colour_changes_no_character():
    explanation = formula("(a+b)*(b+c)", "b", a=-1, b=3, c=4)
    coloured = io.StringIO()
    console = Console(
        file=coloured,
        width=80,
        force_terminal=True,
        no_color=False,
        color_system="truecolor",
        highlight=False,
    )
    with console.capture() as capture:
        show_explanation(explanation, console)
    assert "\x1b[1;38;2;212;99;15m" in capture.get()  # gradients are orange
    assert "\x1b[1;38;2;58;143;220m" in capture.get()  # values are blue


FORMULAS = [
    ("x*x", {"x": 3}),
    ("x*x+x", {"x": 3}),
    ("(a+b)*(b+c)*(c+a)*(a+b)", {"a": 1, "b": -2, "c": 3}),
    ("sin(x)*exp(-x^2/2)/sqrt(alpha)", {"x": 1, "alpha": 2}),
    ("a*b+b*c+c*d+d*a+a*c+b*d", {"a": 1, "b": 2, "c": 3, "d": 4}),
    ("x+(x+(x+(x+(x+(x+x)))))", {"x": 1e-7}),
    ("a+b+c+d+g+h+k+m+n+p+q+r+s+t", dict.fromkeys("abcdghkmnpqrst", 1.25)),
    (
        "sigmoid(123456789*x)*longish_variable_name_of_somebody",
        {"x": 1, "longish_variable_name_of_somebody": 2},
    ),
]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize(("text", "values"), FORMULAS)
def test_every_width_is_safe(text: str, values: dict[str, float], width: int):
    for wrt in (None, next(iter(values))):
        lines = drawn(formula(text, wrt, **values), width).splitlines()
        assert max(map(len, lines)) <= width
        assert all(line == line.rstrip() for line in lines)


def test_a_graph_that_is_too_large_becomes_a_table():
    x = cr.tensor(1.0, requires_grad=True, name="x")
    y = x
    for _ in range(100):
        y = y * 1.5
    shown = drawn(explain(y, x))
    assert "… 61 more nodes" in shown
    assert "used by" in shown


def test_only_what_leads_to_the_variable_is_drawn_where_all_does_not_fit():
    shown = drawn(formula("a*b+b*c+c*d+d*a+a*c+b*d+a*a*a", "c", a=1, b=2, c=3, d=4), width=60)
    assert "Only what leads to c is drawn." in shown
    assert "┏━ c · used 3 times" in shown


def test_text_of_users_is_not_markup():
    w = cr.tensor(2.0, requires_grad=True, name="[red]w[/red]")
    assert "[red]w[/red]" in drawn(explain(w * w))


def test_arrays_are_drawn_by_shape_and_size():
    w = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True, name="W")
    shown = drawn(explain((w @ w).sum(), w))
    assert "▲ [[1, 2], [3, 4]]  ▼ [[7, 11], [9, 13]]" in shown
    v = cr.tensor([float(i) for i in range(12)], requires_grad=True, name="v")
    shown = drawn(explain((v * v).sum(), v))
    assert "▲ 12" in shown
    assert "▼ rms 12.99" in shown


def test_boxes_and_edges_show_the_same_digits():
    shown = drawn(formula("x*y", "x", x=1 / 3, y=2 / 3))
    assert "×0.6667▲" in shown
    assert " 0.6667▼" in shown
    assert "▲ 0.3333  ▼ 0.6667" in shown


def test_a_factor_near_one_is_drawn_as_it_is():
    shown = drawn(formula("1.0001*x", x=1.1))
    assert "×1.0001▲" in shown
    assert "▲ 1.1  ▼ 1.0001" in shown


def test_what_is_not_finite_is_said_below_the_headline():
    lines = drawn(formula("log(x)", x=-1)).splitlines()
    assert lines[1] == "NaN starts at f = log(x): x = −1 lies outside its domain."


def test_ascii_loses_nothing():
    explanation = formula("x^2+δ_1", "x", x=-1e-7, δ_1=2)
    shown = ascii.substitute(drawn(explanation))
    assert shown.isascii()
    assert "?" not in shown
    for part in ("-10^-7", "delta_1", "df/dx"):
        assert part in shown
    assert ascii.substitute(ARTICLE).splitlines()[2] == " " * 21 + "#= f = x*y =#"
    assert ascii.substitute("x₁₂ ≤ ∞, ☃ “…”") == 'x_12 <= inf, \\u2603 "..."'


def test_negative_paths_are_hatched():
    shown = drawn(formula("x*y - 2*x", "x", x=1, y=3))
    assert "▒" in shown
    assert "█" in shown
    assert "Paths of both signs cancel" in shown


def overlaps(layout: Layout) -> bool:
    """Whether two boxes share a column of a layer, or two segments a cell of a track."""
    for layer in layout.layers:
        spans = sorted((box.x, box.x + box.width) for box in layer)
        if any(end > start for (_, end), (start, _) in itertools.pairwise(spans)):
            return True
    for number in range(len(layout.layers) - 1):
        runs = [s for s in layout.segments(number) if not s.is_straight]
        for i, a in enumerate(runs):
            for b in runs[:i]:
                low = max(min(a.leaves, a.arrives), min(b.leaves, b.arrives))
                high = min(max(a.leaves, a.arrives), max(b.leaves, b.arrives))
                if a.track == b.track and low <= high:
                    return True
        if len({s.leaves for s in layout.segments(number)}) < len(layout.segments(number)):
            return True
    return False


def test_nothing_overlaps():
    chance = random.Random(0)
    placed = 0
    for _ in range(200):
        count = chance.randint(2, 12)
        links = [
            Link(upper, lower, "×" * chance.randint(0, 5), "7" * chance.randint(0, 5))
            for upper in range(1, count)
            for lower in chance.choices(range(upper), k=chance.randint(1, 2))
        ]
        reached = {count - 1}
        for link in sorted(links, key=lambda link: -link.upper):
            if link.upper in reached:
                reached.add(link.lower)
        links = [link for link in links if link.upper in reached]
        layout = place([chance.randint(8, 20) for _ in range(count)], links, 120)
        if layout is not None:
            placed += 1
            assert not overlaps(layout)
            assert layout.width <= 120
    assert placed > 100


def test_bars():
    assert bar(0.5, 10).plain == "█████"
    assert bar(1.5, 4).plain == "████"
    assert bar(0.0, 10).plain == ""
    assert bar(0.25, 8, negative=True).plain == "▒▒"


def events() -> tuple[Started, EpochEnded, Finished]:
    train, valid = {"loss": 0.5, "accuracy": 0.9}, {"loss": 0.6, "accuracy": 0.85}
    ended = EpochEnded(1, 1, train, valid, {"w": 0.1}, {"w": 0.01}, 1e-3, 0.2)
    test, gradients = {"loss": 0.6, "accuracy": 0.75}, {"0": 0.25, "1": 0.5}
    finished = Finished(None, test, ("cat", "dog"), ((2, 1), (0, 1)), gradients, 1, 0.2)
    return Started(1, 1, 4, 12, 4, 34, {"name": "adam", "learning_rate": 1e-3}), ended, finished


def test_training_in_a_pipe():
    file = io.StringIO()
    finished = show_training(events(), Console(file=file, width=80))
    assert finished.test_accuracy == 0.75
    lines = file.getvalue().splitlines()
    assert lines[0] == "12 examples, 34 parameters, adam, learning rate 0.001, 1 epoch of 1 step"
    assert lines[1] == "  epoch   1  loss 0.5000  test accuracy 85.0 %"
    assert "test accuracy 75.0 %   3 of 4 unseen examples, 0.2 s" in lines
    assert any(line.split() == ["cat", "2", "1"] for line in lines)
    assert any(line.split() == ["0", "0.25", "████████████"] for line in lines)


def test_a_schedule_is_named():
    started, *rest = events()
    optimizer = cr.optim.describe(cr.optim.adam(cr.optim.one_cycle(1e-3, 100)))
    file = io.StringIO()
    show_training([dataclasses.replace(started, optimizer=optimizer), *rest], Console(file=file, width=80))
    assert (
        "34 parameters, adam, learning rate one cycle, 1 epoch of 1 step" in file.getvalue().splitlines()[0]
    )


def test_training_in_a_terminal():
    file = io.StringIO()
    show_training(events(), Console(file=file, width=80, force_terminal=True))
    assert "loss 0.5000  test accuracy 85.0 %" in file.getvalue()
    assert "  epoch   1  loss 0.5000" in file.getvalue()  # stays when the bar has gone


@pytest.mark.parametrize(("loss", "shown"), [(0.0, "0.0000"), (2e-6, "2·10⁻⁶"), (123456.0, "1.235·10⁵")])
def test_losses_that_are_very_large_or_small(loss: float, shown: str):
    started, ended, finished = events()
    file = io.StringIO()
    show_training(
        [started, dataclasses.replace(ended, train={"loss": loss}), finished], Console(file=file, width=80)
    )
    assert f"  epoch   1  loss {shown}  test" in file.getvalue()


def test_a_huge_loss_is_called_divergence():
    started, ended, finished = events()
    ended = dataclasses.replace(ended, train={"loss": 4e7})
    file = io.StringIO()
    show_training([started, Stepped(1, 1, 1, 2.3), ended, finished], Console(file=file, width=80))
    words = " ".join(file.getvalue().split())
    assert "Training diverged: the loss has grown from 2.3000 to 4·10⁷. Lower the learning rate." in words


@pytest.mark.parametrize("width", [24, 40, 80])
def test_results_fit(width: int):
    classes = tuple(f"class {i}" for i in range(10))
    confusion = tuple(tuple(5 if i == j else int(j == 0) for j in range(10)) for i in range(10))
    finished = Finished(None, {"loss": 0.6}, classes, confusion, {"a.long.path.to.a.layer": 0.25}, 1, 0.2)
    file = io.StringIO()
    show_result(finished, Console(file=file, width=width))
    assert max(map(len, file.getvalue().splitlines())) <= width
    assert "class 1 read as class 0: 1" in " ".join(file.getvalue().split())
