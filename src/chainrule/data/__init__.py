"""Data sets: loading, preparing, splitting, augmenting, batches. Plain NumPy arrays; nothing is downloaded, and nothing
is ever unpickled."""

from __future__ import annotations

from chainrule.data.augmentation import Augmentation, Crop, Flip, augmentation_from, crop, flip
from chainrule.data.batching import Batches, batches
from chainrule.data.dataset import Dataset
from chainrule.data.description import Description
from chainrule.data.packaged import digits
from chainrule.data.prefetching import prefetch
from chainrule.data.preparation import Preparation

__all__ = [
    "Augmentation",
    "Batches",
    "Crop",
    "Dataset",
    "Description",
    "Flip",
    "Preparation",
    "augmentation_from",
    "batches",
    "crop",
    "digits",
    "flip",
    "prefetch",
]
