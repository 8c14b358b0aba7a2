"""CIFAR-10 in its binary layout: records of a label and 32x32 pixels, all red ones first, then green, then blue."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from fastnn.datasets._split import Part, Split, checked_labels
from fastnn.errors import DataError

CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_FOLDER = "cifar-10-batches-bin"
_TEST = "test_batch.bin"
_SIDE, _CHANNELS = 32, 3
_RECORD = 1 + _SIDE * _SIDE * _CHANNELS
_WHITE = np.float32(255)


def load_cifar10(data_dir: str | Path | None = None) -> Split:
    """Load CIFAR-10, photos of ten kinds of things (Krizhevsky 2009), from data_batch_1.bin, ... and test_batch.bin.

    data_dir: the folder of these files, or the folder above it; None: the one that FASTNN_DATA names. Any number of
    training batches will do. Returns ((x_train, y_train), (x_test, y_test)); x (N, 32, 32, 3) float32 in 0..1, y (N,)
    int64 in 0..9. Raises DataError when files are missing or damaged.
    """
    given = data_dir if data_dir is not None else os.environ.get("FASTNN_DATA")
    if not given:
        raise DataError("CIFAR-10 needs the folder of its binary version: pass it as data_dir (or in FASTNN_DATA)")
    for folder in (Path(given) / _FOLDER, Path(given)):
        batches = batches_in(folder)
        if batches:
            if not (folder / _TEST).is_file():
                raise DataError(f"CIFAR-10 in {folder} is incomplete: {_TEST} is missing")
            return _read(batches), _read([folder / _TEST])
    raise DataError(f"no CIFAR-10 files in {given}: data_batch_1.bin is missing")


def batches_in(folder: Path) -> list[Path]:
    """The files of training batches in a folder."""
    found = [path for path in folder.glob("data_batch_*.bin") if re.fullmatch(r"data_batch_\d+\.bin", path.name)]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _read(paths: list[Path]) -> Part:
    sizes = [_records(path) for path in paths]
    x = np.empty((sum(sizes), _SIDE, _SIDE, _CHANNELS), np.float32)
    y = np.empty(len(x), np.int64)
    start = 0
    for path, size in zip(paths, sizes, strict=True):
        records = np.fromfile(path, np.uint8, size * _RECORD).reshape(size, _RECORD)
        y[start : start + size] = checked_labels(records[:, 0], size, len(CIFAR10_CLASSES), path)
        planes = records[:, 1:].reshape(size, _CHANNELS, _SIDE, _SIDE)
        np.divide(planes.transpose(0, 2, 3, 1), _WHITE, out=x[start : start + size])
        start += size
    return x, y


def _records(path: Path) -> int:
    size, over = divmod(path.stat().st_size, _RECORD)
    if over or not size:
        raise DataError(f"{path}: must hold records of {_RECORD} bytes, got {path.stat().st_size} bytes")
    return size
