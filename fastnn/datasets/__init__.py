"""Data sets as arrays: the embedded digits, MNIST and its kin, CIFAR-10, and a user's own files.

Images x (N, H, W, C) are float32 in 0..1, rows of a table (N, F), labels y (N,) are int64. `load` takes a name or a
path; the functions for one data set return ((x_train, y_train), (x_test, y_test)).
"""

from __future__ import annotations

from fastnn.datasets._load import NAMES, class_names, image_form, load, load_test
from fastnn.datasets._split import Dataset
from fastnn.datasets.cifar10 import load_cifar10
from fastnn.datasets.digits import load_digits
from fastnn.datasets.idx import read_idx, write_idx
from fastnn.datasets.mnist import load_fashion_mnist, load_kmnist, load_mnist

__all__ = [
    "NAMES",
    "Dataset",
    "class_names",
    "image_form",
    "load",
    "load_cifar10",
    "load_digits",
    "load_fashion_mnist",
    "load_kmnist",
    "load_mnist",
    "load_test",
    "read_idx",
    "write_idx",
]
