"""Orders of vertex elimination: multiplications of forward, reverse, Markowitz and the order that is found.

For each graph the multiplications that a Jacobian takes, how many every order takes at least, and the seconds of the
search. Without arguments the two graphs of `tests/graphs`, for which multiplications of a learned order are published
(AlphaGrad: Lohoff and Neftci, Optimizing Automatic Differentiation with Deep Reinforcement Learning, NeurIPS 2024,
arXiv:2406.05027), and programs like the others of that paper, written anew from their equations.

    python benchmarks/elimination.py [GRAPH.json ...] [--seconds 9] [--once] [--json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from _jacobian_programs import graphs

from chainrule.autodiff.elimination_files import GraphFile
from chainrule.autodiff.ordering import MOVES
from chainrule.errors import DataError
from chainrule.explain import cost_graph

GIVEN = sorted((Path(__file__).parent.parent / "tests" / "graphs").glob("*.json"))


def measure(file: GraphFile, seconds: float, moves: int) -> dict[str, Any]:
    """One graph: counts by method, and what is known of the order that was found."""
    ledger = cost_graph(file, seconds=seconds, moves=moves)
    found = ledger.found
    if file.graph.multiplications(found.order) != found.multiplications:
        raise SystemExit(f"{file.name}: the order does not take as many multiplications as the search says")
    return {
        "graph": file.name,
        "vertices": ledger.vertices,
        **ledger.tried,
        "published": file.published.get("alphagrad"),
        "found": found.multiplications,
        "at_least": found.at_least,
        "optimal": found.optimal,
        "by": found.by,
        "seconds": ledger.seconds,
        "order": list(found.order),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("graphs", nargs="*", type=Path, metavar="GRAPH.json", help="graphs to eliminate")
    parser.add_argument("--seconds", type=float, default=9.0, help="for each graph (default: 9)")
    parser.add_argument("--once", action="store_true", help="few moves, to see that it runs")
    parser.add_argument("--json", action="store_true", help="as JSON, with the orders")
    options = parser.parse_args()
    try:
        files = [GraphFile.read(path) for path in options.graphs or GIVEN]
    except DataError as error:
        parser.error(f"{error.message}\n  Fix: {error.fix}")
    if not options.graphs:
        files += [GraphFile(name, graph) for name, graph in graphs().items()]
    if not options.json:
        print(f"{'graph':<24}vertices  forward  reverse  Markowitz  learned  found  at least  seconds")
    rows: list[dict[str, Any]] = []
    for file in files:
        rows.append(row := measure(file, options.seconds, 1_000 if options.once else MOVES))
        if not options.json:
            text = {key: "-" if value is None else str(value) for key, value in row.items()}
            proof = "proved" if row["optimal"] else text["at_least"]
            print(
                f"{row['graph'][:23]:<24}{text['vertices']:>8}{text['forward']:>9}{text['reverse']:>9}"
                f"{text['markowitz']:>11}{text['published']:>9}{text['found']:>7}{proof:>10}{row['seconds']:>9.2f}",
                flush=True,
            )
    if options.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
