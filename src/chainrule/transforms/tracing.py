"""The graph of a function, without computing it."""

from typing import Any

from chainrule import trees
from chainrule.graph import Graph
from chainrule.modes import recording
from chainrule.node import Node, as_node, symbol
from chainrule.ops.cast import Identity
from chainrule.shapes import Spec
from chainrule.transforms.run import Fn, argument_names


def trace(f: Fn, *args: Any, **kwargs: Any) -> Graph:
    """Record what ``f`` computes on arrays of these shapes and dtypes, without computing it.

    Args:
        f: a function of arrays, or of nested dict, list and tuple of them.
        args: example arguments; only shapes and dtypes matter. Strings, None and functions are handed
            through as they are.
        kwargs: handed to ``f`` as they are.

    Returns:
        The graph; inputs are named after the arguments, outputs are the leaves of the result.

    Raises:
        TracedValueError: ``f`` asks for a number, in ``if x > 0`` for example.

    Example:
        >>> print(trace(lambda x: x * x, 3.0))
        graph(x: float64[]):
          y = multiply(x, x): float64[]
          return y
    """
    given, inputs = symbols(f, args)
    with recording(True):
        result = f(*given, **kwargs)
    outputs = [as_node(x) for x in trees.leaves(result)]
    return without_identities(Graph(inputs, outputs))


def symbols(f: Fn, args: tuple[Any, ...]) -> tuple[list[Any], list[Node]]:
    """Arguments without values in place of ``args``, nested as these are, and all of them in order."""
    names = argument_names(f, len(args))
    inputs: list[Node] = []
    given: list[Any] = []
    for arg, name in zip(args, names, strict=False):
        flat, structure = trees.flatten(arg)
        fresh: list[Any] = []
        for value, path in zip(flat, trees.paths(arg), strict=True):
            if isinstance(value, (str, bytes)) or callable(value):
                fresh.append(value)
                continue
            node = as_node(value)
            fresh.append(symbol(Spec(node.shape, node.dtype), f"{name}.{path}".rstrip(".")))
            inputs.append(fresh[-1])
        given.append(trees.unflatten(structure, fresh))
    return given, inputs


def without_identities(graph: Graph) -> Graph:
    """The graph without the nodes from which derivatives started."""
    if not any(n.op is Identity for n in graph.nodes):
        return graph
    again = [symbol(n.spec, n.name) for n in graph.inputs]
    return Graph(again, graph.rebuild(*again, skip=Identity.name))
