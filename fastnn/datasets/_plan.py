"""Which rows of a source go into which part of the data set, and the number of each label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fastnn.datasets._labels import names_of, numbered
from fastnn.datasets._split import Dataset, Shares, shares, stratified
from fastnn.errors import DataError

Labels: TypeAlias = Sequence[str]
Rows: TypeAlias = npt.NDArray[np.intp]
Samples: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Wanted:
    """What the caller of a loader asks for; see `datasets.load`."""

    split: Shares | None = None
    seed: int = 0
    class_names: Sequence[str] | None = None
    test_only: bool = False


@dataclass(frozen=True)
class Plan:
    """rows: those of training, validation and test, in the source's rows; y (N,) int64: the labels of rows, joined."""

    rows: list[Rows]
    y: npt.NDArray[np.int64]
    class_names: tuple[str, ...]

    @property
    def order(self) -> Rows:
        """All rows, joined."""
        return np.concatenate(self.rows)

    def dataset(self, parts: Sequence[Samples | None]) -> Dataset:
        """The data set of the source's samples x (N, ...), given in parts as their labels were."""
        given = [part for part in parts if part is not None]
        labels = np.split(self.y, np.cumsum([len(rows) for rows in self.rows])[:2])
        train, validation, test = ((_take(given, rows), y) for rows, y in zip(self.rows, labels, strict=True))
        return Dataset(train, test, self.class_names, validation if len(validation[1]) else None)


def plan(
    owner: str,
    parts: Sequence[Labels | None],
    wanted: Wanted,
    where: Callable[[int], str],
    declared: Sequence[str] | None = None,
) -> Plan:
    """The plan for a source whose parts (training, validation, test) have these labels; its rows count through them.

    declared: the classes that the source says it has. where(row): the place of a row, for messages. Raises DataError
    without rows, for a source of fewer than two classes or a class without rows, and for a label outside the classes;
    ValueError for a split that does not fit the parts.
    """
    train, validation, test = parts
    if test is None:
        validation, test = None, validation  # of two parts the second is for the test
    sizes = [len(part or ()) for part in (train, validation, test)]
    labels = [label for part in (train, validation, test) for label in part or ()]
    if not labels:
        raise DataError(f"{owner}: holds no samples")
    names = tuple(wanted.class_names or declared or names_of(train or labels))
    if wanted.class_names is None and not wanted.test_only:
        _check_classes(owner, names, train or ())
    y = numbered(labels, names, where)
    rows = np.split(np.arange(len(labels)), np.cumsum(sizes)[:2])
    if wanted.test_only and test is None and wanted.split is None:
        rows = [rows[1], rows[1], rows[0]]  # everything
    elif not (wanted.test_only and test is not None):
        rows = _cut(owner, rows, y, test is not None, validation is not None, wanted)
    if wanted.test_only:
        rows = [rows[0][:0], rows[1][:0], rows[2]]
    return Plan(rows, y[np.concatenate(rows)], names)


def _check_classes(owner: str, names: Sequence[str], train: Labels) -> None:
    present = set(train)
    for name in names:
        if name not in present:
            raise DataError(f"{owner}: class {name!r} has no samples to train with")
    if len(names) < 2:
        raise DataError(f"{owner}: a classifier needs two classes or more, got one: {names[0]}")


def _cut(
    owner: str, rows: list[Rows], y: npt.NDArray[np.int64], own_test: bool, own_validation: bool, wanted: Wanted
) -> list[Rows]:
    """The rows as they are, or split as it is wanted."""
    if not own_test:
        return stratified(y, shares(wanted.split), wanted.seed)
    if wanted.split is None:
        return rows
    cut = shares(wanted.split)
    if own_validation or cut[1] > 0:
        raise ValueError(
            f"{owner}: has a test part of its own: split must be two shares, of training and validation, "
            f"and none where it has a validation part too, got {wanted.split!r}"
        )
    train, _, validation = stratified(y[rows[0]], cut, wanted.seed)
    return [rows[0][train], rows[0][validation], rows[2]]


def _take(parts: Sequence[Samples], rows: Rows) -> Samples:
    """Rows of the parts joined; a view where they are a piece of one part."""
    starts = np.cumsum([0, *(len(part) for part in parts)])
    pieces = []
    for part, start, stop in zip(parts, starts, starts[1:], strict=False):
        inside = rows[(rows >= start) & (rows < stop)] - start
        if len(inside) and inside[-1] - inside[0] + 1 == len(inside):
            pieces.append(part[inside[0] : inside[-1] + 1])
        elif len(inside):
            pieces.append(part[inside])
    return np.concatenate(pieces) if len(pieces) > 1 else pieces[0] if pieces else parts[0][:0]
