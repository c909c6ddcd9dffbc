"""The widgets, made: what of them needs anywidget is loaded when the first one is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from chainrule.errors import ArgumentError
from chainrule.formula import Formula
from chainrule.optim import Optimizer
from chainrule.studio.exporting.moments import Mode
from chainrule.studio.models import Opening

if TYPE_CHECKING:
    from chainrule.studio.notebooks.formulas import FormulaWidget
    from chainrule.studio.notebooks.models import ModelWidget
    from chainrule.studio.notebooks.networks import NetworkWidget


def widget(
    formula: str | Formula,
    values: Mapping[str, float] | None = None,
    *,
    step: int | None = None,
    selected: str = "",
    mode: Mode = "reverse",
    **variables: float,
) -> FormulaWidget:
    """A formula to play with in a notebook: type, drag values, step through both passes, ask each node.

    Works in JupyterLab, Notebook 7 and VS Code without a server or a network: the page asks the kernel.

    Args:
        formula: as text, or as `chainrule.formula` gives it.
        values: of variables, by name; what is missing gets a usual value.
        step: the moment after this event is shown; None for the last.
        selected: the name of a variable or an intermediate result; "" leaves the choice to the page.
        mode: ``"reverse"`` or ``"forward"``.
        variables: values as keywords.

    Returns:
        A widget whose ``text``, ``values``, ``step``, ``selected`` and ``mode`` are what is shown now: Python reads
        what a person has set, and what Python sets is shown at once. ``trace`` has the gradients, and
        ``export(path)`` writes the view to a file.

    Raises:
        ArgumentError: anywidget is not installed, or a value is for no variable.
        FormulaError: the text is no formula.

    Example:
        >>> from chainrule import studio
        >>> w = studio.widget("(a+b)*(b+c)", a=-1, b=3, c=4)
        >>> w.values["b"], w.trace.gradient(1)
        (3.0, 9.0)
    """
    _need_anywidget()
    from chainrule.studio.notebooks.formulas import FormulaWidget

    return FormulaWidget(formula, {**(values or {}), **variables}, step, selected, mode)


def network_widget(
    data: str | None = None,
    layers: Sequence[int] | None = None,
    *,
    table: str | PathLike[str] | Mapping[str, Any] | None = None,
    update: int = 0,
    point: int = 0,
    selected: Sequence[int] = (2, 1),
    **options: Any,
) -> NetworkWidget:
    """A small network in a notebook: train it, pause, step, rewind, choose options, ask each unit and weight.

    It is the studio's network page. Training happens in a thread of its own, so that cells can run meanwhile, and
    ends some seconds after the last one who looked has left.

    Args:
        data: ``"moons"`` and the like, as the page names them.
        layers: units of each hidden layer.
        table: data of your own: a path of a CSV file, or a table as text, or a mapping with ``text`` and with
            ``inputs`` and ``label``, names of its columns.
        update: is trained up to at once, in the background.
        point: number of the example that is sent through, from 0.
        selected: layer (from 2; 1 are the inputs) and unit (from 1); a third number for its weight from that unit of
            the layer before, 0 for its bias.
        options: ``activation``, ``loss``, ``optimizer``, ``rate``, ``batch``, ``points``, ``noise``, ``tests``,
            ``decay``, ``init``, ``biases``, ``seed``; what is left out is as it suits the data.

    Returns:
        A widget whose ``options``, ``table``, ``point`` and ``selected`` are what is shown now, to be read and set.
        ``update`` is how many updates were made; set it to train or rewind to another one, and ``wait()`` for that.
        ``model`` is the network with its present weights, ``frame`` all that the page draws of it
        (``docs/trace.md``); ``export(path)`` writes a page or a figure that shows the same.

    Raises:
        ArgumentError: anywidget is not installed, or an option is not possible.
        DataError: the table cannot be read or used; with the line and what to do.

    Example:
        >>> from chainrule import studio
        >>> w = studio.network_widget("moons", (4,), update=40)
        >>> w.wait(60), w.update, w.options["layers"], [p.shape for p in w.model.parameters().values()]
        (True, 40, [4], [(2, 4), (4,), (4, 1), (1,)])
        >>> w.close()
    """
    _need_anywidget()
    from chainrule.studio.notebooks.networks import NetworkWidget

    given = {"data": data, "layers": None if layers is None else list(layers)}
    chosen = {name: one for name, one in given.items() if one is not None} | options
    return NetworkWidget(chosen, table, update, point, selected)


def model_widget(
    model: Any,
    *loss_and_batch: Any,
    optimizer: Optimizer | None = None,
    key: Any = None,
    at: str = "",
    selected: str = "",
) -> ModelWidget:
    """A model or a run in a notebook: its graph by block, down to the primitives, with findings, and why.

    It is the studio's model page. It opens in a thread of its own, so that cells can run meanwhile.

    Args:
        model: a model, followed by a loss and a batch, ``model_widget(model, loss, x, y)``, as
            `chainrule.studio.models.examine` takes them; or what that gave; or the folder of a run.
        loss_and_batch: as said; nothing else with an opening or a run.
        optimizer: what updates, for the doctor.
        key: from ``cr.random.key``, for dropout and its like.
        at: the block that is looked into; "" leaves the choice to the page, ``"*"`` are all blocks.
        selected: the path of a module or parameter.

    Returns:
        A widget whose ``at``, ``opened``, ``selected`` and ``asked`` are what is shown now, to be read and set.
        ``trace`` has all numbers, ``findings`` what the doctor found, ``why(path)`` why a gradient is as it is, and
        ``export(path)`` writes a file that shows the same.

    Raises:
        ArgumentError: anywidget is not installed, or this is no model with loss and batch.
        DataError: the folder is no run.

    Example:
        >>> import chainrule as cr
        >>> model, data, loss, optimizer, settings = cr.models.digits_classifier()
        >>> w = cr.studio.model_widget(model, loss, data.train_x[:64], data.train_y[:64])
        >>> w.wait()
        True
        >>> [column["id"] for column in w.trace["overview"]["columns"]], w.findings
        (['input', 'layers.0', 'layers.1', 'layers.2', 'loss'], [])
        >>> w.close()
    """
    _need_anywidget()
    from chainrule.studio.notebooks.models import ModelWidget, opened_of

    models = opened_of(model, loss_and_batch, optimizer, key)
    return ModelWidget(models, at, selected, lent=isinstance(model, Opening))


def _need_anywidget() -> None:
    try:
        import anywidget  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError:
        raise ArgumentError(
            "a widget needs anywidget, which is not installed", fix="pip install 'chainrule[notebook]'"
        ) from None
