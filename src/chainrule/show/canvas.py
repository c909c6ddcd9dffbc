"""What figures are drawn on and with: values are blue, gradients orange; of signed numbers + is the hue, - charcoal."""

from __future__ import annotations

from typing import Any

BLUE, ORANGE, CHARCOAL, QUIET = "#1268b8", "#d4630f", "#1a1c1f", "#686c71"


def subplots(rows: int, columns: int, size: tuple[float, float], *, square: bool = False) -> tuple[Any, Any]:
    """A matplotlib figure and its axes, apart from pyplot: figures of whoever calls stay as they are.

    Args:
        rows, columns: of axes.
        size: in inches.
        square: whether the axes are a matrix even where there is one row or column.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    return figure, figure.subplots(rows, columns, squeeze=not square)


def signed(hue: str) -> Any:
    """A matplotlib colour map from charcoal over paper to a hue; 0 belongs in its middle."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", [CHARCOAL, "#ffffff", hue])


def rising(count: int) -> list[Any]:
    """Colours of lines that have an order, from light to dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    scale = LinearSegmentedColormap.from_list("rising", ["#9cc8ef", BLUE, "#0b2540"])
    return [scale(i / max(count - 1, 1)) for i in range(count)]
