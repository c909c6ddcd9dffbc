"""All that is known of one pass through a model, ready for questions."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chainrule.explain.diagnosis.anatomy import Anatomy
from chainrule.explain.diagnosis.observed import Observed
from chainrule.explain.numbers import json_number, number_text
from chainrule.node import Node
from chainrule.studio.models.asking import asked, thing_at
from chainrule.studio.models.measuring import Numbers, measured
from chainrule.studio.models.overview import output_of, overview, size_json, totals, weights_of
from chainrule.studio.models.picture import node_json, picture
from chainrule.studio.models.places import INPUT, LOSS, Calls, places_by_calls, places_by_parameters
from chainrule.studio.models.tree import LOOSE, Group, Tree

MOST_MATCHES = 40


@dataclass(frozen=True, slots=True)
class View:
    """One pass: its tree, the numbers of its nodes, and what they mean.

    Attributes:
        tree: modules in modules, down to the nodes.
        numbers: of each node.
        anatomy: layers, scores, targets.
        chance: the loss if all scores were 0; None where there are no scores.
    """

    tree: Tree
    numbers: dict[Node, Numbers]
    anatomy: Anatomy
    chance: float | None

    @property
    def observed(self) -> Observed:
        """The pass."""
        return self.tree.observed

    def head(self) -> dict[str, Any]:
        """What stands above the picture."""
        root, observed = self.tree.root, self.observed
        return {
            "parameters": sum({n: n.size for n in observed.parameters.values()}.values()),
            "nodes": sum(map(root.computes, observed.order)),
            "blocks": sum(c.kind != LOOSE and c.path not in (INPUT, LOSS) for c in self.tree.blocks),
            "loss": json_number(observed.loss),
            "chance": None if self.chance is None else json_number(self.chance),
            "chance_text": None if self.chance is None else self._chance_text(self.chance),
            "examples": self.anatomy.batch,
            **{k: v for k, v in totals(root, self.numbers, {}).items() if k in ("flops", "bytes")},
        }

    def _chance_text(self, chance: float) -> str:
        """``ln 4 = 1.386`` where that is what it is."""
        scores = self.anatomy.scores
        classes = max(2, scores.shape[-1] if scores is not None and scores.ndim > 1 else 2)
        if math.isclose(chance, math.log(classes), rel_tol=1e-5):
            return f"ln {classes} = {number_text(chance)}"
        return number_text(chance)

    def overview(self, updates: Mapping[str, float] | None = None) -> dict[str, Any]:
        """The model in columns."""
        return overview(self.tree, self.numbers, updates)

    def graph(self, root: str, opened: Sequence[str]) -> dict[str, Any]:
        """What is in a module.

        Raises:
            ArgumentError: there is no such module, or that is too much to draw.
        """
        thing = thing_at(self.tree, root)
        group = thing if isinstance(thing, Group) else self.tree.places[thing]
        return picture(self.tree, self.numbers, group, opened)

    def at(self, at: str, updates: Mapping[str, float] | None = None) -> dict[str, Any]:
        """All numbers of a module, parameter or node.

        Raises:
            ArgumentError: there is none of that name.
        """
        thing = thing_at(self.tree, at)
        paths = {node: path for path, node in reversed(self.observed.parameters.items())}
        if isinstance(thing, Node):
            known = (
                node_json(self.tree, thing, self.numbers[thing], paths) if thing in self.tree.places else {}
            )
            return {"at": at, **known, "weights": [], "trail": self._trail(self.tree.places.get(thing))}
        output = output_of(self.tree, thing)
        lines = {str(n.source): n.source for n in thing.all_nodes if n.source is not None}
        return {
            "at": at,
            "id": thing.path,
            "type": "group",
            "name": thing.name,
            "kind": thing.kind,
            "shape": list(output.shape),
            "dtype": output.dtype.name,
            "value": size_json(self.numbers[output].value),
            "gradient": size_json(self.numbers[output].gradient),
            "source": next((s.to_dict() for s in lines.values()), None) if len(lines) == 1 else None,
            "weights": weights_of(thing, self.numbers, paths, updates or {}),
            "trail": self._trail(thing),
            **totals(thing, self.numbers, paths),
        }

    def _trail(self, group: Group | None) -> list[str]:
        """The modules around a place, the outermost first, without the lists that hold them."""
        found: list[str] = []
        while group is not None and group.path:
            found += [] if group.is_list else [group.path]
            group = group.parent
        return found[::-1]

    def ask(self, at: str, by: str) -> dict[str, Any]:
        """Why the gradient at a place is as it is, or what it comes through."""
        return contextvars.Context().run(asked, self.tree, at, by)

    def names(self) -> list[tuple[str, str, str]]:
        """Path, kind and type of all modules and parameters."""
        names = [(path, group.kind, "group") for path, group in self.tree.groups.items() if path]
        return names + [(path, "", "parameter") for path in self.observed.parameters]

    def search(self, text: str) -> dict[str, Any]:
        """Modules and parameters whose path or kind has this text in it; exact beginnings of a name first."""
        wanted = text.strip().lower()
        found = [
            (
                not any(part.startswith(wanted) for part in path.lower().split(".")),
                len(path),
                path,
                kind,
                what,
            )
            for path, kind, what in self.names()
            if wanted in path.lower() or (kind and wanted in kind.lower())
        ]
        found.sort()
        return {
            "matches": [{"id": p, "kind": k, "type": w} for _, _, p, k, w in found[:MOST_MATCHES]],
            "count": len(found),
        }


def looked_at(
    observed: Observed,
    calls: Calls | None = None,
    progress: Callable[[float], object] = lambda share: None,
) -> View:
    """Measure a pass, and place its nodes in modules.

    Args:
        observed: the pass.
        calls: which module made which nodes, if that was heard; else it is told by the parameters' paths.
        progress: called with the part that is done, from 0 to 1.
    """
    # in a context of its own: a program that is watched remembers what is computed, and this need not be
    return contextvars.Context().run(_looked_at, observed, calls, progress)


def _looked_at(observed: Observed, calls: Calls | None, progress: Callable[[float], object]) -> View:
    anatomy = Anatomy(observed)
    if calls is not None and calls.spans:
        places = places_by_calls(anatomy, calls)
    else:
        places = places_by_parameters(anatomy)
    tree = Tree(observed, places, {} if calls is None else calls.kinds)
    numbers = measured(observed, progress)
    return View(tree, numbers, anatomy, anatomy.floor)
