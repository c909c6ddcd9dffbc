"""A cost ledger as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chainrule.explain.costs.bound import NONSCALAR, TOTAL
from chainrule.explain.costs.where import Piece, by_line, by_step, count_lines, way_shown
from chainrule.explain.numbers import count_text, counted, number_text

if TYPE_CHECKING:
    from chainrule.explain.costs.chains import Chain, Order
    from chainrule.explain.costs.ledger import CostLedger, Way

TOP = 10
_MOST_TERMS = 6
"""Products of a chain that are written out."""
_LONGEST_LINE = 60


def write(ledger: CostLedger, top: int = TOP) -> str:
    """The whole ledger: the ways, the verdict, the bound, the chain, and the costliest steps."""
    blocks = [
        [headline(ledger)],
        _ways(ledger),
        [verdict(ledger), *_notes(ledger)],
        _remarks(ledger),
        _chain(ledger.chain) if ledger.chain else [],
        _tradeoff(ledger),
        _lines(ledger, top),
        _steps(ledger, top),
    ]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def headline(ledger: CostLedger) -> str:
    """``Cost of f: 6 numbers in, 3 out, 62 steps``."""
    numbers = f"{counted(ledger.numbers_in, 'number')} in, {count_text(ledger.numbers_out)} out"
    return f"Cost of {ledger.name}: {numbers}, {counted(len(ledger.nodes), 'step')}"


def verdict(ledger: CostLedger) -> str:
    """Which way is the cheapest, and why."""
    best = ledger.cheapest
    others = [way for way in ledger.derivatives if way.counts and way is not best]
    said = f"Cheapest for the {ledger.derivative}: {best.title}, {_work(best)}"
    if others:
        said += f", against {' and '.join(_beside(other, best) for other in others)}"
    return f"{said}{_why(ledger, best)}."


def _work(way: Way) -> str:
    flops = f"{short(way.cost.flops)} FLOP{'s' * (way.cost.flops != 1)}"
    return flops if way.sweeps is None else f"{flops} with {counted(way.sweeps, 'sweep')}"


def _beside(other: Way, best: Way) -> str:
    """``8 FLOPs with 3 sweeps in forward mode (1.33 times as many)``."""
    ratio = other.cost.flops / best.cost.flops if best.cost.flops else 1.0
    times = short(round(ratio)) if ratio >= 1000 else number_text(ratio, 3)
    many = f"{times} times as many" if ratio >= 1.005 else "as many"
    return f"{_work(other)} in {other.title} ({many})"


def _why(ledger: CostLedger, best: Way) -> str:
    ins, outs = count_text(ledger.numbers_in), count_text(ledger.numbers_out)
    if best.sweeps is not None and ledger.numbers_in == ledger.numbers_out:
        return ": as many numbers come out as go in"
    if best.key == "reverse" and ledger.numbers_out <= ledger.numbers_in:
        few = "one number comes" if ledger.numbers_out == 1 else f"only {outs} numbers come"
        return (
            f": {few} out, and {counted(ledger.numbers_in, 'number')} go{'es' * (ledger.numbers_in == 1)} in"
        )
    if best.key == "forward" and ledger.numbers_in <= ledger.numbers_out:
        few = "one number goes" if ledger.numbers_in == 1 else f"only {ins} numbers go"
        return f": {few} in, and {counted(ledger.numbers_out, 'number')} come{'s' * (ledger.numbers_out == 1)} out"
    if best.sweeps is not None:
        return ": it has more sweeps, but each is so much cheaper"
    return ": it multiplies the local derivatives in a better order"


def _notes(ledger: CostLedger) -> list[str]:
    notes = [f"{way.title}: {way.note}." for way in ledger.ways if way.note]
    return notes + ([f"elimination: {ledger.elimination.text}."] if ledger.elimination else [])


def _ways(ledger: CostLedger) -> list[str]:
    head = ["", "sweeps", "×", "+", "exp, …", "FLOPs", "bytes moved", "peak memory"]
    return table([head, *(_row(way) for way in ledger.ways)])


def _row(way: Way) -> list[str]:
    c = way.cost
    known = "" if way.key == "chain" else size_text(c.bytes)
    return [
        way.title,
        "" if way.sweeps is None else count_text(way.sweeps),
        *map(short, (c.multiplications, c.additions, c.transcendentals, c.flops)),
        known,
        "" if way.peak_bytes is None else size_text(way.peak_bytes),
    ]


def _remarks(ledger: CostLedger) -> list[str]:
    bound, lines = ledger.bound, list[str]()
    said: list[str] = []
    if bound.ratio is not None:
        held = "bound" if bound.ratio < NONSCALAR + 0.005 else "the best rules need at most"
        said.append(
            f"{number_text(bound.ratio, 3)} times the nonscalar operations of the function "
            f"({held} {NONSCALAR})"
        )
    if bound.total is not None:
        said.append(f"{number_text(bound.total, 3)} times its FLOPs (4 to {TOTAL} in total work)")
    if said:
        lines.append(f"Cheap gradient: function and one reverse sweep take {' and '.join(said)}.")
    reverse = ledger.way("reverse")
    if reverse is not None and reverse.kept_bytes is not None:
        lines.append(f"Reverse mode keeps {size_text(reverse.kept_bytes)} of intermediate results.")
    return lines


def _chain(chain: Chain) -> list[str]:
    if len(chain.sizes) <= 9:
        through = " → ".join(map(count_text, chain.sizes))
    else:
        sizes = [*map(count_text, chain.sizes[:4]), "…", *map(count_text, chain.sizes[-4:])]
        through = " → ".join(sizes)
    rows = [
        ("from the result (reverse)", chain.reverse),
        ("from the argument (forward)", chain.forward),
        ("best order", chain.best),
    ]
    lines = [
        f"A chain of {counted(len(chain.sizes) - 1, 'Jacobian')}, {through} numbers; multiplications if dense:"
    ]
    width = max(len(title) for title, _ in rows)
    for title, order in rows:
        what = "not searched: too many factors" if order is None else sum_text(order)
        lines.append(f"  {title:<{width}}  {what}")
    return lines


def sum_text(order: Order) -> str:
    """``O(5·1000·10) + O(5·10·1000) = 100,000 as (J₃·J₂)·J₁``."""
    some = ["O(" + "·".join(map(str, term)) + ")" for term in order.terms[:_MOST_TERMS]]
    more = len(order.terms) - len(some)
    written = " + ".join(some) + (f" + … ({more} more)" if more else "")
    name = f" as {order.text}" if not more else ""
    return f"{written} = {count_text(order.multiplications)}{name}"


def _tradeoff(ledger: CostLedger) -> list[str]:
    if not ledger.tradeoff:
        return []
    rows = [
        [size_text(p.budget), size_text(p.peak_bytes), short(p.recomputed_flops)] for p in ledger.tradeoff
    ]
    return ["Memory against work:", *table([["budget", "peak memory", "FLOPs again"], *rows])]


def _lines(ledger: CostLedger, top: int) -> list[str]:
    pieces = by_line(ledger, top)
    if not pieces:
        return []
    head = ["line", "steps", *_columns(ledger)]
    rows = [[_place(piece), count_text(piece.steps), *_figures(piece)] for piece in pieces]
    return [f"Where the work is, {_which(len(pieces), count_lines(ledger), 'line')}:", *table([head, *rows])]


def _steps(ledger: CostLedger, top: int) -> list[str]:
    pieces = by_step(ledger, top)
    if not pieces:
        return []
    rows = [["step", "shape", *_columns(ledger), "line"]]
    rows += [[piece.what, piece.shape, *_figures(piece), _place(piece)] for piece in pieces]
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    which = _which(len(pieces), len(ledger.nodes), "step")
    return [f"Where the work is, {which}:", *table(rows, left=(0, 5))]


def _which(shown: int, there: int, noun: str) -> str:
    return f"the {shown} costliest of {counted(there, noun)}" if shown < there else f"all {noun}s"


def _columns(ledger: CostLedger) -> list[str]:
    return ["FLOPs: function", f"FLOPs: {way_shown(ledger).title}", "bytes"]


def _figures(piece: Piece) -> list[str]:
    return [short(piece.function.flops), short(piece.derivative.flops), size_text(piece.bytes)]


def _place(piece: Piece) -> str:
    """File, line and text, cut to fit."""
    said = str(piece.source) if piece.source else ""
    return said if len(said) <= _LONGEST_LINE else f"{said[: _LONGEST_LINE - 1]}…"


def table(rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> list[str]:
    """Columns side by side, numbers to the right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  "
        + "  ".join(
            c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def short(count: int) -> str:
    """A count: in full below ten millions, then with four digits and a unit.

    Example:
        >>> short(100000), short(23_152_600_000)
        ('100,000', '23.15 G')
    """
    if count < 10_000_000:
        return count_text(count)
    return _with_unit(count, 1000, ("", " k", " M", " G", " T", " P", " E"))


def size_text(count: int) -> str:
    """Bytes with their unit.

    Example:
        >>> size_text(80), size_text(5 << 20)
        ('80 B', '5 MiB')
    """
    return _with_unit(count, 1024, (" B", " KiB", " MiB", " GiB", " TiB", " PiB"))


def _with_unit(count: int, step: int, units: Sequence[str]) -> str:
    number, at = float(count), 0
    while number >= step and at < len(units) - 1:
        number, at = number / step, at + 1
    return f"{number_text(number)}{units[at]}"
