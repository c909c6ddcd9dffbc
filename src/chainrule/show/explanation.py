"""An explanation in the terminal: the picture, the chain rule with numbers, the paths with bars."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chainrule.explain import Derivation, Explanation, text
from chainrule.explain.numbers import count_text, number_text, value_text
from chainrule.show import style
from chainrule.show.picture import draw

MOST_ROWS = 40
MOST_BARS = 6
_BAR = 16


def show_explanation(explanation: Explanation, console: Console) -> None:
    """Draw an explanation: first what it says, then the graph, then the chain rule and the paths.

    Args:
        explanation: from `cr.explain`.
        console: where to; colours and width are the console's.
    """
    width = console.width
    console.print(_headline(explanation), soft_wrap=True)
    console.print()
    picture = draw(explanation, width - 2)
    if picture is None:
        console.print(_table(explanation))
    else:
        for line in picture:
            console.print(Text("  ") + line, no_wrap=True, crop=True, highlight=False)
        console.print()
        console.print(_legend(), soft_wrap=True)
    console.print()
    shown = explanation.derivations_shown(text.MOST_VARIABLES)
    for d in shown:
        _print_rule(explanation, d, console)
    if len(explanation.wrt) > len(shown):
        console.print(f"  … and {count_text(len(explanation.wrt) - len(shown))} more variables")
    for d in shown:
        if text.is_worth_paths(d):
            console.print()
            _print_paths(explanation, d, console)
    modes = text.modes(explanation)
    if modes:
        console.print()
        for line in modes:
            console.print(Text(line, style=style.QUIET))


def _headline(explanation: Explanation) -> Text:
    line = Text.assemble((f"{explanation.result} = ", "bold"), (number_text(explanation.value), style.VALUE))
    for d in explanation.derivations_shown(1) if len(explanation.wrt) == 1 else ():
        name = text.derivative(explanation.result, d.variable)
        line.append("     ").append(f"{name} = ", "bold").append(value_text(d.gradient), style.GRADIENT)
    return line


def _legend() -> Text:
    return Text.assemble(
        ("  ", ""),
        (f"{style.UP} value", style.VALUE),
        ("   ", ""),
        (f"{style.DOWN} gradient", style.GRADIENT),
        ("   ×n local derivative", style.LOCAL),
        ("   gradient above × local = gradient below", style.QUIET),
    )


def _table(explanation: Explanation) -> Table:
    """The nodes from the result down, for graphs that are too large to draw."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("node", overflow="ellipsis", no_wrap=True)
    table.add_column(f"value {style.UP}", style=style.VALUE, overflow="ellipsis", no_wrap=True)
    table.add_column(f"gradient {style.DOWN}", style=style.GRADIENT, overflow="ellipsis", no_wrap=True)
    table.add_column("used by", overflow="ellipsis", no_wrap=True)
    nodes = [n for n in reversed(explanation.nodes) if n.gradient is not None]
    for node in nodes[:MOST_ROWS]:
        written = explanation.expression(node.index)
        uses = [explanation.named(edge.node) for edge in explanation.uses(node.index)]
        shown = ", ".join(uses[:4]) + (f" and {count_text(len(uses) - 4)} more" if len(uses) > 4 else "")
        title = f"{node.name} = {written}" if written else node.name
        table.add_row(Text(title), Text(value_text(node.value)), Text(value_text(node.gradient)), Text(shown))
    if len(nodes) > MOST_ROWS:
        table.add_row(Text(f"… {count_text(len(nodes) - MOST_ROWS)} more nodes"))
    return table


def _print_rule(explanation: Explanation, d: Derivation, console: Console) -> None:
    line = Text("  ").append(text.derivative(explanation.result, d.variable), style="bold")
    for step in (text.rule_in_letters(explanation, d), text.rule_in_numbers(explanation, d)):
        if step:
            line.append(" = ").append(step)
    value = value_text(d.gradient)
    if not line.plain.endswith(f" = {value}"):
        line.append(" = ").append(value, style=style.GRADIENT)
    console.print(line, highlight=False)


def _print_paths(explanation: Explanation, d: Derivation, console: Console) -> None:
    lines = text.paths(explanation, d)
    console.print(Text(lines[0], style="bold"))
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for path in d.paths.listed[:MOST_BARS]:
        share = d.share(path)
        drawn = Text()
        if share is not None and d.paths.count != 1:
            negative = isinstance(path.product, float) and path.product < 0
            drawn = style.bar(share, _BAR, negative=negative)
        table.add_row(
            Text("  " + text.route(explanation, path)),
            Text(text.product_text(path), style=style.GRADIENT),
            Text(text.share_of(d, path)),
            drawn,
        )
    others = text.others_row(d, MOST_BARS)
    if others:
        table.add_row(Text("  " + others[0]), Text(others[1], style=style.GRADIENT), Text(), Text())
    if table.row_count > 1:
        table.add_row(
            Text("  together"), Text(value_text(d.paths.total), style=style.GRADIENT), Text(), Text()
        )
    console.print(table)
    for note in text.remarks(explanation, d):
        console.print(Text(f"  {note}", style=style.QUIET))
