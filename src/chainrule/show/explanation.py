"""An explanation in the terminal: the picture, the chain rule with numbers, the paths with bars."""

from __future__ import annotations

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chainrule.explain import Derivation, Explanation, rule, text
from chainrule.explain.numbers import count_text, counted
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
    style.print_paragraph(_headline(explanation), console)
    for note in explanation.notes:
        style.print_paragraph(Text(note, style=style.ERROR), console)
    console.print()
    picture, focus = draw(explanation, width - 2), ""
    if picture is None and len(explanation.wrt) == 1:
        picture = draw(explanation, width - 2, leading_to=explanation.derivations[0].node)
        focus = f"Only what leads to {explanation.wrt[0]} is drawn."
    if picture is None:
        style.print_trimmed(_table(explanation), console)
    else:
        for line in picture:
            console.print(Text("  ") + line, no_wrap=True, crop=True, highlight=False)
        console.print()
        _print_legend(console)
        if focus:
            style.print_paragraph(Text(focus, style=style.QUIET), console, indent=2)
    console.print()
    shown = explanation.derivations_shown(text.MOST_VARIABLES)
    for d in shown:
        _print_rule(explanation, d, console)
    if len(explanation.wrt) > len(shown):
        more = counted(len(explanation.wrt) - len(shown), "more variable")
        style.print_paragraph(f"… and {more}", console, indent=2)
    for d in text.with_paths(shown):
        console.print()
        _print_paths(explanation, d, console)
    for lines in (text.without_paths(shown), text.costs(explanation)):
        if lines:
            console.print()
        for line in lines:
            style.print_paragraph(Text(line, style=style.QUIET), console, hanging=2)


def _headline(explanation: Explanation) -> Text:
    line = Text.assemble(
        (f"{explanation.result} = ", "bold"), (explanation.number(explanation.value), style.VALUE)
    )
    for d in explanation.derivations_shown(1) if len(explanation.wrt) == 1 else ():
        name = rule.gradient(explanation, d).text
        line.append("     ").append(f"{name} = ", "bold").append(
            explanation.shown(d.gradient), style.GRADIENT
        )
    return line


def _print_legend(console: Console) -> None:
    marks = Text.assemble(
        (f"{style.UP} value", style.VALUE),
        ("   ", ""),
        (f"{style.DOWN} gradient", style.GRADIENT),
        ("   ×n local derivative", style.LOCAL),
    )
    rule = f"{style.DOWN} above × n = {style.DOWN} below"
    together = 2 + len(marks) + 2 + len(rule) <= console.width
    lines = [marks.append(f": {rule}", style.QUIET)] if together else [marks, Text(rule, style=style.QUIET)]
    for line in lines:
        style.print_paragraph(line, console, indent=2)


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
        value, gradient = explanation.shown(node.value), explanation.shown(node.gradient)
        table.add_row(Text(title), Text(value), Text(gradient), Text(shown))
    if len(nodes) > MOST_ROWS:
        table.add_row(Text(f"… {counted(len(nodes) - MOST_ROWS, 'more node')}"))
    return table


def _print_rule(explanation: Explanation, d: Derivation, console: Console) -> None:
    line = Text(rule.gradient(explanation, d).text, style="bold")
    *steps, value = rule.steps(explanation, d)
    for step in steps:
        line.append(f" = {step.text}", "not bold")
    line.append(" = ", "not bold").append(value.text, style=style.GRADIENT)
    style.print_paragraph(line, console, indent=2, hanging=2)


def _print_paths(explanation: Explanation, d: Derivation, console: Console) -> None:
    style.print_paragraph(Text(text.paths(explanation, d)[0], style="bold"), console)
    rows: list[tuple[str, str, str, Text]] = []
    for path in d.paths.listed[:MOST_BARS]:
        share = text.share_of(d, path)
        drawn = Text()
        if share:
            negative = isinstance(path.product, float) and path.product < 0
            drawn = style.bar(d.share(path) or 0.0, _BAR, negative=negative)
        rows.append((text.route(explanation, path), text.product_text(explanation, path), share, drawn))
    others = text.others_row(explanation, d, MOST_BARS)
    if others:
        rows.append((*others, Text()))
    if len(rows) > 1:
        rows.append(("sum", explanation.shown(d.paths.total), "", Text()))
    _print_rows(rows, console)
    for note in text.remarks(explanation, d):
        style.print_paragraph(Text(note, style=style.QUIET), console, indent=2)


def _print_rows(rows: list[tuple[str, str, str, Text]], console: Console) -> None:
    """Route, product, share and bar beside each other; or the route above the rest where it is too wide."""
    routes, products, shares = (
        max(cell_len(cell) for cell in column) for column in zip(*(r[:3] for r in rows), strict=True)
    )
    beside = 2 + routes + 2 + products + 2 + shares + 2 + _BAR <= console.width
    for route, product, share, drawn in rows:
        numbers = Text(product.ljust(products), style=style.GRADIENT).append(
            f"  {share.rjust(shares)}  ", "default"
        )
        numbers.append_text(drawn)
        numbers.rstrip()
        if beside:
            style.print_paragraph(Text(route.ljust(routes + 2)).append_text(numbers), console, indent=2)
        else:
            style.print_paragraph(route, console, indent=2)
            style.print_paragraph(numbers, console, indent=4)
