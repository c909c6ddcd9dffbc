"""Data sets: loading, preparing, splitting, augmenting, batches. Plain NumPy arrays; nothing is downloaded, and nothing
is ever unpickled."""

from __future__ import annotations

from chainrule.data.archives import npz, read_npy, read_npz
from chainrule.data.augmentation import Augmentation, Crop, Flip, augmentation_from, crop, flip
from chainrule.data.batching import Batches, batches
from chainrule.data.dataset import Dataset
from chainrule.data.description import Description
from chainrule.data.folders import image_folder
from chainrule.data.idx import read_idx
from chainrule.data.known import cifar10, fashion_mnist, mnist
from chainrule.data.loading import load
from chainrule.data.packaged import digits
from chainrule.data.pictures import looks_inverted, one_image, read_picture
from chainrule.data.prefetching import prefetch
from chainrule.data.preparation import Preparation
from chainrule.data.tables import csv

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
    "cifar10",
    "crop",
    "csv",
    "digits",
    "fashion_mnist",
    "flip",
    "image_folder",
    "load",
    "looks_inverted",
    "mnist",
    "npz",
    "one_image",
    "prefetch",
    "read_idx",
    "read_npy",
    "read_npz",
    "read_picture",
]
