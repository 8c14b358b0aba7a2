"""A data set in one CSV file: a row of numbers for each sample, and a column of labels."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from fastnn.datasets._labels import listed, words_of_text
from fastnn.datasets._plan import Wanted, plan
from fastnn.datasets._split import Dataset
from fastnn.datasets.arrays import as_images
from fastnn.errors import DataError

_LABEL_NAMES = ("label", "labels", "class", "y", "target", "species", "category")
_DELIMITERS = ",;\t"


def load_csv(file: str, wanted: Wanted, size: tuple[int, int] | None, label_column: str | int | None) -> Dataset:
    """Load a table with commas, semicolons or tabs between its columns, with or without a header; x (N, F) float32.

    label_column: the name of the labels' column, or its number, 0 the first and -1 the last; None: the one called
    label, class, y or target, else the only one that holds words. size: the rows are pixels of images (N, H, W, C). See
    `datasets.load`. Raises DataError, which names line and column, for a cell that is empty or no number, and when the
    labels' column is not found.
    """
    rows = _rows(file)
    first, second = next(rows, None), next(rows, None)
    if first is None or second is None:
        raise DataError(f"{file}: holds no table: it has fewer than two lines")
    header = first[1] if _is_header(first[1], second[1]) else None
    names = header or [str(number) for number in range(len(first[1]))]
    column = _column(file, label_column, header, second[1])
    if len(names) < 2:
        raise DataError(f"{file}: holds no table: it has one column only")

    lines: list[int] = []
    labels: list[str] = []
    samples: list[npt.NDArray[np.float32]] = []
    for line, cells in [second, *rows] if header else [first, second, *rows]:
        if len(cells) != len(names):
            raise DataError(f"{file}: line {line}: has {len(cells)} cells, the first line has {len(names)}")
        label = cells.pop(column).strip()
        if not label:
            raise DataError(f"{file}: line {line}, column {names[column]!r}: the label is missing")
        lines.append(line)
        labels.append(label)
        samples.append(_numbers(file, line, cells, [*names[:column], *names[column + 1 :]]))
    x = as_images(file, np.stack(samples), size)
    found = plan(
        file,
        [words_of_text(labels, wanted.class_names), None, None],
        wanted,
        lambda row: f"{file}: line {lines[row]}",
    )
    return found.dataset([x, None, None])


def _rows(file: str) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each line that is not blank."""
    try:
        with open(file, encoding="utf-8-sig", newline="") as text:
            head = text.readline()
            text.seek(0)
            reader = csv.reader(text, delimiter=max(_DELIMITERS, key=head.count))
            for cells in reader:
                if any(cells):
                    yield reader.line_num, cells
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: must be text in UTF-8, got byte 0x{error.object[error.start]:02x}") from error
    except csv.Error as error:
        raise DataError(f"{file}: no CSV file: {error}") from error


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether words of the first line stand above numbers, or one of them is a usual name of labels."""
    named = any(cell.strip().lower() in _LABEL_NAMES for cell in first)
    return named or any(
        above.strip() and not _is_number(above) and _is_number(below)
        for above, below in zip(first, second, strict=False)
    )


def _column(file: str, wanted: str | int | None, header: Sequence[str] | None, row: Sequence[str]) -> int:
    """The number of the labels' column."""
    names = [name.strip() for name in header or ()]
    small = [name.lower() for name in names]
    if isinstance(wanted, str):
        if wanted in names:
            return names.index(wanted)
        if wanted.lower() in small:
            return small.index(wanted.lower())
    elif wanted is None:
        for name in _LABEL_NAMES:
            if name in small:
                return small.index(name)
        texts = [number for number, cell in enumerate(row) if cell.strip() and not _is_number(cell)]
        if len(texts) == 1:
            return texts[0]
    try:
        number = None if wanted is None else int(wanted)
    except ValueError:
        number = None
    if number is not None and -len(row) <= number < len(row):
        return number % len(row)
    columns = f"columns are {listed(names)}" if names else f"there are {len(row)} columns"
    reason = "say which column holds the labels" if wanted is None else f"has no column {wanted!r} for the labels"
    raise DataError(f"{file}: {reason} (label_column, --label-column: a name, or a number from 0); {columns}")


def _numbers(file: str, line: int, cells: Sequence[str], names: Sequence[str]) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            row = np.array(cells, np.float32)
        if np.isfinite(row).all():
            return row
    except ValueError:
        pass
    for cell, name in zip(cells, names, strict=True):
        if not cell.strip():
            raise DataError(f"{file}: line {line}, column {name!r}: a number is missing")
        if not _is_number(cell):
            raise DataError(f"{file}: line {line}, column {name!r}: {cell!r} is no number")
    raise DataError(f"{file}: line {line}: numbers must be in float32's range")


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
