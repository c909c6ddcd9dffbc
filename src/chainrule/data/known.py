"""Data sets that everybody knows by name, from the files that their authors publish."""

from __future__ import annotations

from pathlib import Path

from chainrule.data.archives import npz
from chainrule.data.cifar import cifar_folder, missing_cifar_files
from chainrule.data.dataset import Dataset
from chainrule.data.files import PathLike, damaged, exists, is_folder
from chainrule.data.idx import idx_folder, missing_idx_files
from chainrule.data.places import located

FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
DIGIT_CLASSES = tuple("0123456789")
_SIDES = (28, 28)
_ARCHIVE = "mnist.npz"


def mnist(folder: PathLike | None = None) -> Dataset:
    """MNIST: handwritten digits, white on black, 60,000 to train on and 10,000 to test on.

    Args:
        folder: with the four IDX files, packed by gzip or not, or with Keras's ``mnist.npz``. None to look where such
            files usually are: in the folders that ``CHAINRULE_DATA`` names, the user's data folder, the system's,
            Keras's, and ``data/`` as torchvision fills it.

    Returns:
        Raw uint8 images ``(n, 28, 28, 1)``, 0 black; prepared by division by 255.

    Raises:
        DataError: the files are missing (it says where it looked) or damaged.

    Source: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document recognition, Proceedings of
    the IEEE 86(11), 1998, 2278-2324, DOI 10.1109/5.726791.
    """

    def is_archive(place: Path) -> bool:
        return place.suffix == ".npz" and exists(place) and not is_folder(place)

    def lacks(place: Path) -> list[str]:
        return [] if is_archive(place) else missing_idx_files(place)

    place = located(
        "mnist",
        folder,
        ("mnist", "MNIST/raw", "MNIST", _ARCHIVE),
        lacks,
        "get the four files of MNIST (train-images-idx3-ubyte.gz and its like), or Keras's mnist.npz",
    )
    if is_archive(place):
        data = npz(place).replace(classes=DIGIT_CLASSES)
        if data.image_shape != _SIDES:
            raise damaged(
                place, f"examples of shape {data.train_x.shape[1:]}, expected images of 28 × 28 pixels"
            )
        return data
    return idx_folder(place, DIGIT_CLASSES, _SIDES)


def fashion_mnist(folder: PathLike | None = None) -> Dataset:
    """Fashion-MNIST: pieces of clothing, light on black, 60,000 to train on and 10,000 to test on.

    Args:
        folder: with the four IDX files, packed by gzip or not. None to look as :func:`mnist` does; Debian's and
            Ubuntu's package ``dataset-fashion-mnist`` puts them where they are found.

    Returns:
        Raw uint8 images ``(n, 28, 28, 1)``, 0 black; prepared by division by 255.

    Raises:
        DataError: the files are missing (it says where it looked) or damaged.

    Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms, 2017, arXiv:1708.07747.
    """
    place = located(
        "fashion-mnist",
        folder,
        ("fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "fashion_mnist"),
        missing_idx_files,
        "on Debian or Ubuntu, apt install dataset-fashion-mnist; elsewhere get the four files from "
        "https://github.com/zalandoresearch/fashion-mnist",
    )
    return idx_folder(place, FASHION_CLASSES, _SIDES)


def cifar10(folder: PathLike | None = None) -> Dataset:
    """CIFAR-10: photographs of animals and vehicles in colour, 50,000 to train on and 10,000 to test on.

    Args:
        folder: with the binary version: ``data_batch_1.bin`` and so on, ``test_batch.bin``, and ``batches.meta.txt``,
            which names the classes; there may be fewer of them. None to look as :func:`mnist` does.

    Returns:
        Raw uint8 images ``(n, 32, 32, 3)``; prepared by division by 255.

    Raises:
        DataError: the files are missing (it says where it looked) or damaged.

    Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    place = located(
        "cifar10",
        folder,
        ("cifar-10-batches-bin", "cifar10", "cifar-10"),
        missing_cifar_files,
        "get the binary version, cifar-10-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html "
        "(the Python version is pickles, which can run any program, and is not read)",
    )
    return cifar_folder(place)
