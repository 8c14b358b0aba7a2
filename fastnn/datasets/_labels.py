"""Labels of any kind, words or numbers, to class numbers and class names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fastnn._typing import Array
from fastnn.errors import DataError

_SHOWN = 12


def names_of(labels: Iterable[str]) -> tuple[str, ...]:
    """The different labels, sorted naturally."""
    from natsort import natsorted  # 30 ms, which who names a known data set need not wait for

    return tuple(natsorted(set(labels)))


def numbered(labels: Sequence[str], class_names: Sequence[str], where: Callable[[int], str]) -> npt.NDArray[np.int64]:
    """Class numbers (N,). where(row) names the place of a label that is none of class_names, for the DataError."""
    numbers = {name: number for number, name in enumerate(class_names)}
    for row, label in enumerate(labels):
        if label not in numbers:
            raise DataError(f"{where(row)}: label {label!r} is outside the classes {listed(class_names)}")
    return np.array([numbers[label] for label in labels], np.int64)


def words(owner: str, labels: Array, class_names: Sequence[str] | None = None) -> list[str]:
    """Labels as text, from words or whole numbers (N,) or (N, 1), or one-hot rows (N, C), which count as the number of
    their column. Numbers that are no names themselves mean the class_names in their order.

    Raises DataError, which names the row, for anything else.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind in "buif":
        wrong = ~(((labels == 0) | (labels == 1)).all(axis=1) & (labels.sum(axis=1) == 1))
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(f"{owner}: labels must be one-hot (one 1, else 0), got {labels[row].tolist()} in row {row}")
        labels = labels.argmax(axis=1)
    if labels.ndim != 1 or labels.dtype.kind not in "buifUS":
        raise DataError(
            f"{owner}: labels must be words, whole numbers (N,) or one-hot rows (N, C), "
            f"got shape {labels.shape} and dtype {labels.dtype}"
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U":
        return [str(label) for label in labels]
    wrong = labels != np.floor(labels) if labels.dtype.kind == "f" else np.zeros(0, bool)  # NaN is wrong too
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(f"{owner}: labels must be whole numbers, got {labels[row]} in row {row}")
    return _names(labels.astype(np.int64).tolist(), class_names)


def words_of_text(labels: Sequence[str], class_names: Sequence[str] | None = None) -> list[str]:
    """The same for labels that were read as text: where all are whole numbers, "3.0" is 3."""
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return list(labels)
    if not all(number.is_integer() for number in numbers):
        return list(labels)
    return _names([int(number) for number in numbers], class_names)


def _names(numbers: Sequence[int], class_names: Sequence[str] | None) -> list[str]:
    found = [str(number) for number in numbers]
    if class_names is None or set(found) <= set(class_names):
        return found
    return [class_names[number] if 0 <= number < len(class_names) else str(number) for number in numbers]


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first of them when there are many."""
    more = f", ... ({len(names)} in all)" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
