"""From the arrays that users have to those that a data set keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.data.examples import require_examples, rounds_away, title
from chainrule.data.preparation import Preparation
from chainrule.data.splitting import split_rows
from chainrule.errors import DataError, shown
from chainrule.ops import random
from chainrule.primitive import Array
from chainrule.shapes import FLOATS, INTS, as_dtype, float32, require_dtype


def gathered(
    train: tuple[Any, Any], others: dict[str, Any], classes: Any, key: Any, dtype: Any
) -> dict[str, Any]:
    """Examples, labels, classes and preparation, by the names of a data set's attributes.

    Args:
        train: examples and labels.
        others: for the parts ``test`` and ``valid`` a pair, or which share of the training examples moves there, or
            how many; None for none.
        classes: their names, or None to find them.
        key: chooses what moves.
        dtype: that floats are converted to.

    Raises:
        DataError, ArgumentError: what is wrong with them.
    """
    pairs = {
        "train": train,
        **{name: _pair(name, p) for name, p in others.items() if isinstance(p, (tuple, list))},
    }
    splits = {name: size for name, size in others.items() if name not in pairs and size is not None}
    parts = {name: "" if name == "train" and splits else name for name in pairs}
    xs, rounded = _examples({parts[name]: pair[0] for name, pair in pairs.items()}, dtype)
    ys, names = labels_and_classes({parts[name]: pair[1] for name, pair in pairs.items()}, classes, dtype)
    require_examples(parts["train"], xs[parts["train"]], ys[parts["train"]], names)
    xs, ys = ({name: arrays[part] for name, part in parts.items()} for arrays in (xs, ys))
    for number, name in enumerate(others):
        if name in splits:
            stay, move = split_rows(name, ys["train"], splits[name], random.fold_in(key, number), names)
            for arrays in (xs, ys):
                arrays["train"], arrays[name] = arrays["train"][stay], arrays["train"][move]
    prepare = Preparation(scale=255 if xs["train"].dtype == np.uint8 else 1, dtype=rounded)
    found = {f"{name}_x": x for name, x in xs.items()} | {f"{name}_y": y for name, y in ys.items()}
    return {**found, "classes": names, "preparation": prepare}


def _examples(parts: dict[str, Any], dtype: Any) -> tuple[dict[str, Array], str | None]:
    """The examples of each part, and the dtype to which they are rounded once they are prepared, if to another."""
    found = {part: usable_examples(title(part, "x"), x, dtype) for part, x in parts.items()}
    first = next(iter(parts))
    if found[first].dtype != float32 or not len(found[first]):
        return found, None
    exact = np.asarray(parts[first])
    if exact.dtype != np.float64 or not rounds_away(exact):
        return found, None
    wide = {part: usable_examples(title(part, "x"), x, np.float64) for part, x in parts.items()}
    return wide, "float32"


def _pair(name: str, part: Any) -> tuple[Any, Any]:
    if len(part) != 2:
        raise DataError(f"{name}: expected (x, y), got {len(part)} things", fix=f"pass {name}=(x, y)")
    return part[0], part[1]


def usable_examples(name: str, x: Any, dtype: Any) -> Array:
    """Examples as a data set keeps them: uint8, int32 or int64 as they are, floats in ``dtype``.

    Raises:
        DataError: no numbers.
        DTypeError: ``dtype`` is not floating.
    """
    target = as_dtype(dtype)
    require_dtype("examples", target, FLOATS)
    array = _array(name, x)
    if array.dtype.kind in "iu" and array.dtype != np.uint8:
        wide = np.dtype(np.int64)
        if array.dtype.kind == "u" and array.size and int(array.max()) > np.iinfo(wide).max:
            raise DataError(f"{name}: an integer does not fit int64", fix="pass floats: x.astype(np.float32)")
        return array if array.dtype in INTS else array.astype(wide)
    if array.dtype == np.uint8:
        return array[..., None] if array.ndim == 3 else array
    if array.dtype.kind not in "fb":
        raise DataError(f"{name}: expected numbers, got {_kind(array)}", fix="convert texts to numbers first")
    if array.dtype == target:
        return array
    with np.errstate(over="ignore"):
        result = array.astype(target)
    lost = np.isinf(result) & np.isfinite(array)
    if lost.any():
        value = array[lost].reshape(-1)[0]
        raise DataError(
            f"{name}: {value:g} does not fit {target.name}", fix="scale it, or pass dtype=np.float64"
        )
    return result


def labels_and_classes(
    parts: dict[str, Any], classes: Any, dtype: Any
) -> tuple[dict[str, Array], tuple[str, ...] | None]:
    """Labels of each part as numbers, and the names of their classes.

    Args:
        parts: labels of the training examples and of other parts, as users have them: integers, texts, truth values,
            floats.
        classes: names, or None to find them.
        dtype: for targets that are floats.

    Raises:
        DataError: labels that are none, or differ in kind.
    """
    arrays = {name: _column(title(name, "y"), y) for name, y in parts.items()}
    kinds = {name: "text" if a.dtype.kind in "UO" else a.dtype.kind for name, a in arrays.items()}
    train = next(iter(arrays))
    first, called = kinds[train], title(train, "y")
    for name, kind in kinds.items():
        if kind != first and {kind, first} != {"i", "u"}:
            raise DataError(
                f"{called} holds {_kind(arrays[train])}, {name}_y {_kind(arrays[name])}",
                fix="give labels of one kind",
            )
    if first == "f" and classes is None:
        return {name: usable_examples(title(name, "y"), a, dtype) for name, a in arrays.items()}, None
    if first == "f":
        raise DataError(f"{called} holds floats, which are no labels", fix="convert them: y.astype(np.int64)")
    if first == "text":
        return _from_texts(arrays, classes)
    numbers = {name: a.astype(np.int64) for name, a in arrays.items()}
    if classes is None:
        names = ("False", "True") if first == "b" else _numbered(called, numbers[train])
    else:
        names = tuple(map(str, classes))
    return numbers, names


def _numbered(called: str, y: Array) -> tuple[str, ...]:
    """Names for labels that are numbers: as many as every one of them can have an example."""
    if not y.size:
        return ("0",)
    last, n = int(y.max()), y.size
    if last >= n:
        raise DataError(
            f"{called} has label {last}, but only {n} examples: the classes up to it cannot all occur",
            fix="number the classes from 0 without gaps, or pass them as texts: y.astype(str)",
        )
    return tuple(map(str, range(max(last, 0) + 1)))


def _from_texts(arrays: dict[str, Array], classes: Any) -> tuple[dict[str, Array], tuple[str, ...]]:
    texts = {name: a.astype(str) for name, a in arrays.items()}
    names = (
        np.unique(next(iter(texts.values()))) if classes is None else np.array(list(map(str, classes)), str)
    )
    order = np.argsort(names)
    numbers = {}
    for name, labels in texts.items():
        wrong = np.flatnonzero(~np.isin(labels, names))
        if wrong.size:
            what = "is not among the classes" if classes is not None else "never occurs in training"
            raise DataError(
                f"{title(name, 'y')}: {shown(str(labels[wrong[0]]))} in row {wrong[0]} {what}",
                fix="check how it is written, or leave these examples out",
            )
        numbers[name] = order[np.searchsorted(names, labels, sorter=order)].astype(np.int64)
    return numbers, tuple(names.tolist())


def _column(name: str, y: Any) -> Array:
    """Labels as an array; a single column of labels, as Keras has it, becomes a row."""
    array = _array(name, y)
    if array.dtype.kind == "O" and not all(isinstance(v, str) for v in array.flat):
        raise DataError(f"{name}: expected labels, got objects", fix="pass integers, texts, or floats")
    if array.dtype.kind not in "iubfUO":
        raise DataError(f"{name}: expected labels, got {array.dtype}", fix="pass integers, texts, or floats")
    if array.dtype.kind == "f" or array.ndim < 2:
        return array
    if array.ndim == 2 and array.shape[1] == 1:
        return array[:, 0]
    raise DataError(
        f"{name}: labels have shape {array.shape}, expected one number for each example",
        fix="number the classes: y.argmax(-1)" if array.ndim == 2 else "pass shape (n,)",
    )


def _array(name: str, values: Any) -> Array:
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{name}: cannot make an array of it: {error}", fix="pass a NumPy array") from None
    if not array.ndim:
        raise DataError(
            f"{name}: expected an array with a row for each example, got {shown(values)}", fix="x[None]"
        )
    if np.ma.is_masked(values):
        hidden = np.argwhere(np.ma.getmaskarray(values))
        are = "is" if len(hidden) == 1 else "are"
        raise DataError(
            f"{name}: {len(hidden)} of its numbers {are} masked, the first in row {hidden[0][0]}",
            fix="leave these examples out, or say what stands there: x.filled(0)",
        )
    return array


_KINDS: dict[str, str] = {
    "U": "texts",
    "S": "bytes",
    "O": "objects",
    "f": "floats",
    "i": "integers",
    "u": "integers",
}


def _kind(array: Array) -> str:
    return _KINDS.get(array.dtype.kind) or str(array.dtype)
