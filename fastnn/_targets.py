"""What a model is trained towards: labels or values y, converted once; and how right an output is."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Shape

Kind: TypeAlias = Literal["classes", "binary", "one-hot", "values"]


class Targets(NamedTuple):
    """values: class numbers int64 (N,) for kind "classes", else floats shaped as the output (N, ...)."""

    values: Array
    kind: Kind


def class_targets(owner: str, name: str, y: ArrayLike, rows: int, classes: int) -> Targets:
    """Class numbers from class numbers (N,) or (N, 1), or from one-hot rows (N, C)."""
    return Targets(_checks.labels(owner, name, y, classes, rows), "classes")


def binary_targets(owner: str, name: str, y: ArrayLike, rows: int, shape: Shape, dtype: np.dtype[Any]) -> Targets:
    """Values in 0..1 shaped as the output (N, *shape); (N,) serves an output of one value."""
    values = _values(owner, name, y, rows, shape, dtype)
    wrong = ((values < 0) | (values > 1)).reshape(rows, -1).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"{owner}: {name} must be in 0..1, got {values[row].tolist()} in row {row}")
    return Targets(values, "binary")


def value_targets(owner: str, name: str, y: ArrayLike, rows: int, shape: Shape, dtype: np.dtype[Any]) -> Targets:
    """Values shaped as the output (N, *shape). Class numbers for an output (N, C) become one-hot rows."""
    found = _checks.numeric(owner, name, y)
    classes = shape[0] if len(shape) == 1 else 1
    if found.ndim == 1 and classes > 1:
        labels = _checks.labels(owner, name, found, classes, rows)
        values = np.zeros((rows, classes), dtype)
        values[np.arange(rows), labels] = 1
        return Targets(values, "one-hot")
    values = _values(owner, name, found, rows, shape, dtype)
    one_hot = classes > 1 and bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())
    return Targets(values, "one-hot" if one_hot else "values")


def _values(owner: str, name: str, y: ArrayLike, rows: int, shape: Shape, dtype: np.dtype[Any]) -> Array:
    found = _checks.numeric(owner, name, y)
    if found.ndim == 1 and shape == (1,):
        found = found[:, None]
    values = _checks.array(owner, name, found, dtype, (rows, *shape))
    _checks.finite(owner, name, values)
    return values


class Scorer:
    """Counts right answers in buffers that it keeps, so that a training step allocates nothing."""

    def __init__(self) -> None:
        self._rows = 0

    def accuracy(self, output: Array, targets: Array, kind: Kind) -> float:
        """Share of right rows, or of right values (binary, output as logits); NaN for plain values."""
        if kind == "values":
            return float("nan")
        if kind == "binary":
            return float(np.count_nonzero((output >= 0) == (targets >= 0.5))) / output.size
        rows = len(output)
        if rows > self._rows:
            self._rows = rows
            self._guess, self._truth = np.empty(rows, np.intp), np.empty(rows, np.intp)
            self._right = np.empty(rows, np.bool_)
        guess, right = self._guess[:rows], self._right[:rows]
        output.argmax(axis=1, out=guess)
        if kind == "one-hot":
            targets = targets.argmax(axis=1, out=self._truth[:rows])
        np.equal(guess, targets, out=right)
        return int(np.count_nonzero(right)) / rows
