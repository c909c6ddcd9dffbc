"""What layers are made with and called on, checked."""

from __future__ import annotations

from typing import Any

from chainrule.errors import ArgumentError, DTypeError, ShapeError, shown
from chainrule.node import Node, as_node
from chainrule.shapes import FLOATS, as_dtype, as_int, require_dtype
from chainrule.tensor import Tensor


def as_size(name: str, what: str, value: Any) -> int:
    """Return a number of features, channels or the like, at least 1."""
    size = as_int(name, what, value)
    if size < 1:
        raise ArgumentError(
            f"{name}: {what} must be at least 1, got {shown(size)}", fix="pass a positive int"
        )
    return size


def as_floating(dtype: Any) -> Any:
    """Return the dtype of parameters, float32 or float64."""
    chosen = as_dtype(dtype)
    require_dtype("weights", chosen, FLOATS)
    return chosen


def as_features(name: str, x: Any) -> Any:
    """Return the input of a layer as a tensor of floats with features on its last axis."""
    node = as_node(x)
    if node.dtype not in FLOATS:
        raise DTypeError(
            f"{name}: expected floats, got {node.spec}",
            fix="convert the input: x.astype(np.float32), scaled to about -1 .. 1",
        )
    if not node.shape:
        raise ShapeError(f"{name}: expected (*batch, features), got one number", fix="pass an array: x[None]")
    return node


def as_images(name: str, x: Any, channels: int | None = None) -> Any:
    """Return the input of a layer as images, (N, H, W, C), floating."""
    node = as_features(name, x)
    if node.ndim != 4:
        raise ShapeError(
            f"{name}: expected images (N, H, W, C), got shape {node.shape}", fix=_as_images(node)
        )
    if channels is not None and node.shape[3] != channels:
        if node.shape[1] == channels:
            fix = "images are (N, H, W, C) here, channels last: x.permute_dims((0, 2, 3, 1))"
        else:
            fix = f"pass images of {channels} channels, or make the layer for {node.shape[3]}"
        raise ShapeError(
            f"{name}: expected {channels} channels on the last axis, got shape {node.shape}", fix=fix
        )
    return node


def _as_images(node: Node) -> str:
    if node.ndim == 3:
        return "grey images have one channel: x[..., None]; one image is a batch of one: x[None]"
    if node.ndim == 2:
        return "give flat images their shape: x.reshape((-1, 28, 28, 1))"
    return "the axes are images, rows, columns, channels"


def require_channels(name: str, x: Tensor, channels: int) -> None:
    """Raise a ShapeError unless the last axis has so many."""
    if x.shape[-1] != channels:
        raise ShapeError(
            f"{name}: expected {channels} channels on the last axis, got shape {x.shape}",
            fix=f"make the layer for {x.shape[-1]} channels, which stand last: (N, H, W, C)",
        )
