"""What a model is trained towards: labels or values y, converted once; and how right an output is."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, ArrayLike, Shape

Kind: TypeAlias = Literal["classes", "binary", "one-hot", "values"]


class Targets(NamedTuple):
    """values: class numbers int64 (N,) for kind "classes", else floats shaped as the output (N, ...).

    "one-hot": one-hot rows, or the classes' probabilities.
    """

    values: Array
    kind: Kind


def class_targets(
    owner: str, name: str, y: ArrayLike, rows: int, classes: int, dtype: np.dtype[Any]
) -> Targets:
    """Class numbers from class numbers (N,) or (N, 1), or from one-hot rows (N, C); rows of probabilities stay such."""
    values = _checks.classes(owner, name, y, classes, rows, dtype)
    return Targets(values, "classes" if values.ndim == 1 else "one-hot")


def mixable(targets: Targets, classes: int, dtype: np.dtype[Any]) -> Targets:
    """The same as floats that can be mixed: one-hot rows (N, C) instead of class numbers."""
    if targets.kind != "classes":
        return targets
    return Targets(np.eye(classes, dtype=dtype)[targets.values], "one-hot")


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


def score(ops: Any, output: Array, targets: Array, kind: Kind, accuracy: Array) -> float:
    """Share of right rows, or of right values (binary, output as logits), left in accuracy (1,) too; NaN for values."""
    if kind == "classes":
        ops.class_accuracy(output, targets, accuracy)
    elif kind == "one-hot":
        ops.one_hot_accuracy(output, targets, accuracy)
    elif kind == "binary":
        ops.sign_accuracy(output.reshape(-1), targets.reshape(-1), accuracy)
    else:
        return float("nan")
    return float(accuracy[0])
