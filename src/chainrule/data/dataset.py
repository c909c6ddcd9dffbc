"""Examples with their labels, in parts to train on, to watch, and to test on. Plain NumPy arrays."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.data.assembling import gathered
from chainrule.data.description import Description
from chainrule.data.examples import (
    class_counts,
    image_shape_of,
    moments,
    require_classes,
    require_examples,
)
from chainrule.data.preparation import Preparation
from chainrule.data.splitting import split_rows
from chainrule.errors import ArgumentError, DataError, shown
from chainrule.ops import random
from chainrule.primitive import Array
from chainrule.shapes import Shape, count, float32

PARTS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Dataset:
    """Examples with labels, split into a part to train on and a part to test on.

    Examples are kept raw: as floats, or as images of bytes, of which 60,000 of 28 × 28 pixels take 47 MB. What a
    network gets is ``preparation(x)``; :class:`chainrule.data.Batches` applies it batch by batch.

    Attributes:
        train_x, test_x: shape ``(n, *example)``. Floats, finite, such as rows of features ``(n, features)``; or uint8
            images, ``(n, rows, columns, channels)`` with 1 or 3 channels; or int32 or int64, which stay as they are:
            numbers of words or symbols.
        train_y, test_y: int64, shape ``(n,)``: numbers of ``classes``, from 0. Where ``classes`` is None, finite
            floats, shape ``(n, *targets)``. Every class occurs in training; the other parts may lack some
            (:meth:`counts` tells).
        classes: their names; None for a regression, whose targets are numbers.
        image_shape: shape in which the numbers of one example are a picture, if they are: ``(rows, columns)``, or
            ``(rows, columns, 3)``. It is known without being given where examples have the shape of an image.
        valid_x, valid_y: a part to watch while training; None if there is none. See :meth:`split`.
        preparation: how raw examples become input.
        features: names of the features, for tables.

    Raises:
        DataError: parts that do not fit each other, labels that are no class, a class without a training example,
            numbers that are not finite.
        ShapeError: a preparation that does not fit the examples.
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    classes: tuple[str, ...] | None
    image_shape: Shape | None = None
    valid_x: Array | None = None
    valid_y: Array | None = None
    preparation: Preparation = field(default_factory=Preparation)
    features: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if (self.valid_x is None) != (self.valid_y is None):
            raise DataError(
                "valid_x and valid_y belong together, got one of them", fix="pass both, or neither"
            )
        for part in self.parts:
            require_examples(part, *self.part(part), self.classes)
            self._require_likeness(part)
        if self.classes is not None:
            require_classes(self.train_y, self.classes)
            for part in self.parts:
                labels = self.part(part)[1].astype(np.int64, copy=False)
                object.__setattr__(self, f"{part}_y", labels)
        example = self.train_x.shape[1:]
        object.__setattr__(self, "image_shape", image_shape_of(self.train_x, self.image_shape))
        if self.features is not None and len(self.features) != count(example):
            raise DataError(
                f"{len(self.features)} names of features for examples of shape {example}",
                fix="name each feature once, or pass None",
            )
        self.preparation.input_shape(example)

    def _require_likeness(self, part: str) -> None:
        for kind in "xy":
            own, first = getattr(self, f"{part}_{kind}"), getattr(self, f"train_{kind}")
            # Before the shape: images of bytes get an axis for their channels, which floats do not.
            if own.dtype != first.dtype and (kind == "x" or self.classes is None):
                raise DataError(
                    f"train_{kind} is {first.dtype}, {part}_{kind} {own.dtype}",
                    fix="give both as bytes from 0 to 255, or both as floats"
                    if np.uint8 in (own.dtype, first.dtype)
                    else f"convert one of them: {part}_{kind}.astype(np.{first.dtype})",
                )
            if own.shape[1:] != first.shape[1:]:
                what = "examples" if kind == "x" else "targets"
                raise DataError(
                    f"train_{kind} has {what} of shape {first.shape[1:]}, {part}_{kind} of {own.shape[1:]}",
                    fix="prepare both in the same way",
                )

    def __repr__(self) -> str:
        watched = "" if self.valid_y is None else f", {len(self.valid_y)} to watch"
        sizes = f"{len(self.train_x)} examples to train on{watched}, {len(self.test_x)} to test on"
        kind = "targets are numbers" if self.classes is None else f"{len(self.classes)} classes"
        return f"<Dataset: {sizes}, of shape {self.train_x.shape[1:]}; {kind}>"

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts there are, of ``train``, ``valid`` and ``test``."""
        return tuple(part for part in PARTS if getattr(self, f"{part}_x") is not None)

    def part(self, name: str) -> tuple[Array, Array]:
        """Raw examples and labels of a part.

        Raises:
            ArgumentError: there is no such part.
        """
        if name not in self.parts:
            fix = (
                "make one: data = data.split(0.1, key)"
                if name == "valid"
                else f"it has {', '.join(self.parts)}"
            )
            raise ArgumentError(f"the data set has no part {shown(name)}", fix=fix)
        return getattr(self, f"{name}_x"), getattr(self, f"{name}_y")

    def prepared(self, part: str) -> tuple[Array, Array]:
        """A whole part as a network gets it. Bytes become floats, which take four times the memory.

        Returns:
            float32 of shape ``(n, *input_shape)``, and the labels.

        Raises:
            ArgumentError: there is no such part.

        Example:
            >>> x, y = cr.data.digits().prepared("test")
            >>> x.shape, x.dtype.name
            ((360, 64), 'float32')
        """
        x, y = self.part(part)
        return self.preparation(x), y

    @property
    def input_shape(self) -> Shape:
        """The shape of one example as a network gets it."""
        return self.preparation.input_shape(self.train_x.shape[1:])

    def counts(self, part: str = "train") -> dict[str, int]:
        """How many examples a part has of each class.

        Raises:
            ArgumentError: there is no such part.
            DataError: targets are numbers.

        Example:
            >>> cr.data.digits().counts("test")["7"]
            31
        """
        _, y = self.part(part)
        if self.classes is None:
            raise DataError(
                "counts: the targets are numbers, there are no classes", fix="look at train_y itself"
            )
        return dict(zip(self.classes, class_counts(y, self.classes).tolist(), strict=True))

    @property
    def description(self) -> Description:
        """What must be known to make new examples the input of a network that was trained on these."""
        x, limits, brightness = self.train_x, None, None
        if self.image_shape is not None:
            limits = (float(x.min()), float(x.max()))
            full = 255 if x.dtype == np.uint8 else 1
            if limits[0] >= 0 and limits[1] <= full:
                brightness = float(x.mean(dtype=np.float64)) / full
        return Description(
            self.classes,
            x.shape[1:],
            x.dtype.name,
            self.image_shape,
            limits,
            brightness,
            self.features,
            self.preparation,
        )

    def replace(self, **changes: Any) -> Dataset:
        """The same with other attributes, checked anew.

        Example:
            >>> cr.data.digits().replace(classes=tuple("abcdefghij")).classes[3]
            'd'
        """
        return dataclasses.replace(self, **changes)

    def split(self, size: float | int, key: Any) -> Dataset:
        """Move some of the training examples to a part to watch, ``valid``, of each class in proportion.

        Args:
            size: which share of them, a float below 1; or how many, an integer.
            key: from ``cr.random.key``; the same key moves the same examples.

        Raises:
            ArgumentError: ``size`` is out of range, or there is such a part already.
            DataError: too many to leave every class an example.

        Example:
            >>> cr.data.digits().split(0.1, cr.random.key(0))
            <Dataset: 1293 examples to train on, 144 to watch, 360 to test on, of shape (64,); 10 classes>
        """
        if self.valid_y is not None:
            raise ArgumentError(
                "split: there are examples to watch already", fix="split the whole data set once"
            )
        stay, move = split_rows("split", self.train_y, size, key, self.classes)
        x, y = self.train_x, self.train_y
        return self.replace(train_x=x[stay], train_y=y[stay], valid_x=x[move], valid_y=y[move])

    def standardized(self) -> Dataset:
        """Prepare so that training examples have mean 0 and standard deviation 1.

        In each channel of pictures, or each feature (the last axis of others). What never changes becomes 0. The
        other parts are prepared with the numbers of the training part.

        Raises:
            DataError: examples are numbers of words or symbols.

        Example:
            >>> data = cr.data.digits().standardized()
            >>> x, _ = data.prepared("train")
            >>> abs(round(float(x.mean()), 4)), round(float(x.std()), 4)
            (0.0, 1.0)
        """
        if self.train_x.dtype.kind == "i":
            raise DataError(
                "standardized: the examples are integers, which name things", fix="leave them as they are"
            )
        last = (1, *self.train_x.shape[1:])[-1]  # an example may be one number
        channels = last if self.image_shape is None else 3 if len(self.image_shape) == 3 else 1
        mean, std = moments(self.train_x, channels)
        repeated = 1 if channels == 1 else last // channels  # where a picture is kept as a row of features
        numbers = {
            name: tuple(np.tile(values / self.preparation.scale, repeated).tolist())
            for name, values in (("mean", mean), ("std", std))
        }
        return self.replace(preparation=dataclasses.replace(self.preparation, **numbers))

    def flattened(self) -> Dataset:
        """Prepare so that an example is one row of features, as :class:`chainrule.nn.Linear` takes them.

        Example:
            >>> data = Dataset.from_arrays(np.zeros((4, 2, 3), np.uint8), np.array([0, 1, 0, 1]), test=0.5)
            >>> data.input_shape, data.flattened().input_shape
            ((2, 3, 1), (6,))
        """
        return self._shaped((count(self.train_x.shape[1:]),))

    def as_images(self) -> Dataset:
        """Prepare so that an example is a picture ``(rows, columns, channels)``, as :func:`chainrule.conv2d` wants.

        Raises:
            DataError: examples are no pictures.

        Example:
            >>> cr.data.digits().as_images().input_shape
            (8, 8, 1)
        """
        if self.image_shape is None:
            raise DataError(
                f"as_images: examples of shape {self.train_x.shape[1:]} are not known to be pictures",
                fix="name their shape: data.replace(image_shape=(28, 28))",
            )
        return self._shaped((*self.image_shape, 1) if len(self.image_shape) == 2 else self.image_shape)

    def _shaped(self, shape: Shape) -> Dataset:
        return self.replace(preparation=dataclasses.replace(self.preparation, shape=shape))

    @classmethod
    def from_arrays(
        cls,
        x: Any,
        y: Any,
        *,
        test: Any = 0.2,
        valid: Any = None,
        classes: Any = None,
        key: Any = None,
        dtype: Any = float32,
        image_shape: Shape | None = None,
        features: Any = None,
        preparation: Preparation | None = None,
    ) -> Dataset:
        """A data set from NumPy arrays.

        Args:
            x: floats, or uint8 images ``(n, rows, columns)`` or ``(n, rows, columns, channels)``, or integers, which
                stay integers: numbers of words or symbols.
            y: integers from 0, texts or truth values are labels; floats are targets of a regression.
            test: a pair ``(x, y)`` to test on; or which share of the examples to split off, or how many, of each
                class in proportion.
            valid: the same for a part to watch; None for none.
            classes: names of the classes; by default the texts themselves, or the numbers up to the largest label.
            key: chooses what is split off; by default ``cr.random.key(0)``.
            dtype: that floats are converted to. Where float32 would wipe out differences within a feature, as with
                seconds since 1970, examples stay float64, and become float32 when they are prepared.
            image_shape: shape in which an example is a picture, if its own shape does not tell.
            features: names of the features.
            preparation: by default bytes are divided by 255, and floats stay as they are.

        Raises:
            DataError: arrays that do not fit each other or hold what cannot be trained on.
            ArgumentError: a share out of range.

        Example:
            >>> x = np.array([[0.0], [1.0], [0.1], [0.9], [0.2]])
            >>> data = Dataset.from_arrays(x, ["low", "high", "low", "high", "low"], test=1)
            >>> data, data.classes
            (<Dataset: 4 examples to train on, 1 to test on, of shape (1,); 2 classes>, ('high', 'low'))
        """
        chooser = random.key(0) if key is None else key
        arrays = gathered((x, y), {"test": test, "valid": valid}, classes, chooser, dtype)
        if "test_x" not in arrays:
            raise DataError("from_arrays: test is None", fix="pass test=(x, y), or test=0.2 for a fifth")
        if preparation is not None:
            rounded = preparation.dtype or arrays["preparation"].dtype
            arrays["preparation"] = dataclasses.replace(preparation, dtype=rounded)
        names = None if features is None else tuple(map(str, features))
        return cls(**arrays, image_shape=image_shape, features=names)
