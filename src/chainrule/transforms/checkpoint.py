"""Functions whose inside is computed again for the backward pass instead of being kept."""

from __future__ import annotations

import functools
from typing import Any

from chainrule import trees
from chainrule.autodiff.body import Body
from chainrule.autodiff.checkpoint import results_of
from chainrule.errors import ArgumentError, shown
from chainrule.modes import is_recording, recording
from chainrule.node import Node, as_node, symbol
from chainrule.shapes import Spec, as_flag, bool_
from chainrule.transforms.compiled import is_array
from chainrule.transforms.run import Fn
from chainrule.transforms.scan import closed


def checkpoint(f: Fn | None = None, *, enabled: bool = True) -> Any:
    """``f``, but of what it computes only its results are kept; for its derivative it runs again.

    So memory for a backward pass grows with the arguments of such functions, not with what is inside them, at the price
    of one more run of each. Eager programs, ``grad`` and all other transforms, `cr.scan` and ``compile`` keep to it;
    checkpoints nest. Where a compiled function has a budget, ``cr.compile(f, memory="2GB")``, it finds out itself what
    to compute again.

    Args:
        f: a function of arrays, or of nested dict, list, tuple and Module of them, that gives the same. It is traced
            at each call, so it must not look at numbers (``if x > 0``), and must not keep what it computes elsewhere.
            It may close over tensors: gradients reach them too. Random numbers come from keys, so they are the same
            in both runs. Left out, ``checkpoint`` is a decorator with options.
        enabled: whether to do so; False gives ``f`` as it is.

    Returns:
        A function with the same arguments and results. Gradients have the bits that they would have without it.

    Raises:
        ArgumentError: ``f`` is not a function.
        TracedValueError: in a call, if ``f`` asks for a number.

    Example:
        >>> import numpy as np
        >>> import chainrule as cr
        >>> block = checkpoint(lambda w, x: cr.tanh(cr.tanh(x @ w) @ w))
        >>> w = cr.tensor(np.eye(2), requires_grad=True)
        >>> block(w, np.ones((1, 2))).sum().backward()
        >>> w.grad.tolist()[0][0] == cr.grad(lambda w: cr.tanh(cr.tanh(np.ones((1, 2)) @ w) @ w).sum())(
        ...     np.eye(2)
        ... )[0, 0].item()
        True

    Source: Griewank, Optimization Methods and Software 1 (1992) 35-54, DOI 10.1080/10556789208805505; Chen, Xu, Zhang
    and Guestrin, arXiv:1604.06174.
    """
    on = as_flag("checkpoint", "enabled", enabled)
    if f is None:
        return functools.partial(checkpoint, enabled=on)
    if not callable(f):
        raise ArgumentError(
            f"checkpoint: expected a function, got {shown(f)}",
            fix="pass the function itself: cr.checkpoint(f)(x), not cr.checkpoint(f(x))",
        )
    if not on:
        return f

    def run(*args: Any, **kwargs: Any) -> Any:
        if not is_recording():
            return f(*args, **kwargs)
        return _run(f, args, kwargs)

    try:
        return functools.wraps(f)(run)
    except (AttributeError, TypeError):
        return run


def _run(f: Fn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Trace a function, and apply its graph as one node."""
    leaves, structure = trees.flatten((args, kwargs))
    paths = trees.paths((args, kwargs))
    since = symbol(Spec((), bool_)).index
    given: list[Node] = []
    stand: list[Any] = []
    for x, path in zip(leaves, paths, strict=True):
        if is_array(x):
            given.append(as_node(x))
            stand.append(symbol(given[-1].spec, path.split(".")[-1]))
        else:
            stand.append(x)
    inputs = [x for x, old in zip(stand, leaves, strict=True) if is_array(old)]
    new_args, new_kwargs = trees.unflatten(structure, stand)
    with recording(True):
        result = f(*new_args, **new_kwargs)
    flat, out = trees.flatten(result)
    name = getattr(f, "__name__", type(f).__name__)
    body, constants = closed(inputs, [as_node(x) for x in flat], 0, name, since)
    body = Body(body.graph, len(body.graph.inputs), 0, name)
    return trees.unflatten(out, results_of(body, (*constants, *given)))
