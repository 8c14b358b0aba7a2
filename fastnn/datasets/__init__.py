"""Data sets as arrays: ((x_train, y_train), (x_test, y_test)).

Images x (N, H, W, C) are float32 in 0..1, labels y (N,) are int64.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastnn.datasets._split import Split
from fastnn.datasets.digits import load_digits
from fastnn.datasets.idx import read_idx, write_idx
from fastnn.datasets.mnist import (
    FASHION_MNIST_CLASSES,
    KMNIST_CLASSES,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
)

__all__ = [
    "NAMES",
    "class_names",
    "load",
    "load_digits",
    "load_fashion_mnist",
    "load_kmnist",
    "load_mnist",
    "read_idx",
    "write_idx",
]

_DIGIT_CLASSES = tuple("0123456789")
_LOADERS: dict[str, tuple[Callable[[str | Path | None], Split], tuple[str, ...]]] = {
    "digits": (lambda data_dir: load_digits(), _DIGIT_CLASSES),
    "mnist": (load_mnist, _DIGIT_CLASSES),
    "fashion-mnist": (load_fashion_mnist, FASHION_MNIST_CLASSES),
    "kmnist": (load_kmnist, KMNIST_CLASSES),
}
NAMES = tuple(_LOADERS)


def load(name: str, data_dir: str | Path | None = None) -> Split:
    """Load the data set called name, one of NAMES. data_dir is where its files are; "digits" needs none.

    Raises ValueError for an unknown name and DataError for missing or damaged files.
    """
    return _entry(name)[0](data_dir)


def class_names(name: str) -> tuple[str, ...]:
    """What the labels 0, 1, ... of the data set called name mean."""
    return _entry(name)[1]


def _entry(name: str) -> tuple[Callable[[str | Path | None], Split], tuple[str, ...]]:
    if name not in _LOADERS:
        raise ValueError(f"datasets: name must be one of {', '.join(NAMES)}, got {name!r}")
    return _LOADERS[name]
