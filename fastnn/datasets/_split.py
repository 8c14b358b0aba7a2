"""What every data set returns, and how one without parts of its own is cut into them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn.errors import DataError

Part: TypeAlias = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
Split: TypeAlias = tuple[Part, Part]
Shares: TypeAlias = str | Sequence[float]

DEFAULT_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples and labels to train, validate and test with: `(x, y), (x_test, y_test) = dataset` works too.

    train, test, validation: pairs x (N, ...) float32, images (N, H, W, C) in 0..1, and y (N,) int64; validation is
    None where there is none. class_names: what the labels 0, 1, ... mean. metadata: JSON values for a model's metadata,
    with which `fastnn predict` and `fastnn evaluate` treat images and data as the training did. skipped: the files that
    could not be read, each with the reason.
    """

    train: Part
    test: Part
    class_names: tuple[str, ...]
    validation: Part | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Part]:
        return iter((self.train, self.test))


def checked_labels(labels: npt.NDArray[Any], images: int, classes: int, path: Path) -> npt.NDArray[np.int64]:
    """Bytes (N,) -> int64 (N,); DataError unless there is one for each image and each is below classes."""
    if len(labels) != images:
        raise DataError(f"{path}: {len(labels)} labels for {images} images")
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        row = wrong[0]
        raise DataError(f"{path}: labels must be below {classes}, got {labels[row]} in row {row}")
    return labels.astype(np.int64)


def shares(value: Shares | None) -> tuple[float, float, float]:
    """Shares of (training, validation, test), which add up to 1, from two numbers (no validation) or three.

    Text has slashes between them: "0.8/0.1/0.1", or "80/20". Raises ValueError for anything else.
    """
    parts: Iterable[Any] = DEFAULT_SHARES if value is None else value.split("/") if isinstance(value, str) else value
    try:
        found = [float(part) for part in parts]
    except (TypeError, ValueError):
        found = []
    if len(found) not in (2, 3) or not all(math.isfinite(part) and part >= 0 for part in found) or sum(found) == 0:
        raise ValueError(
            f"datasets: split must be shares of training, validation and test, such as '0.8/0.1/0.1', got {value!r}"
        )
    train, *validation, test = (part / sum(found) for part in found)
    return train, sum(validation), test


def stratified(
    labels: npt.NDArray[np.int64], wanted: tuple[float, float, float], seed: int
) -> list[npt.NDArray[np.intp]]:
    """The rows of training, validation and test, in their order in labels (N,), with each class cut alike.

    The same seed gives the same rows. Each class has its share to a row, and one row at least in the training part;
    what is rounded away from one class goes to the next, so that the parts have their shares of the whole.
    """
    rng = np.random.default_rng(seed)
    first = next(number for number in range(3) if wanted[number] > 0)
    part = np.full(len(labels), first)
    seen, given = 0, [0, 0, 0]
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        seen += len(rows)
        most = [math.ceil(share * len(rows)) for share in wanted]
        spare = min(math.ceil((1 - wanted[first]) * len(rows)), len(rows) - (first == 0))
        for number in range(2, first, -1):
            count = min(max(math.floor(wanted[number] * seen + 0.5) - given[number], 0), most[number], spare)
            part[rows[:count]] = number
            rows, spare = rows[count:], spare - count
            given[number] += count
    return [np.flatnonzero(part == number) for number in range(3)]
