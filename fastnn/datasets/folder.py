"""A folder of images with their labels.

Three layouts are known: a folder for each class (`cat/*.png`); the same below `train`, `val` and `test`; and one flat
folder of files whose names begin with the label (`7_0012.png`). Hidden files, and files that are no images by their
names, are left out.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from warnings import warn

import numpy as np
import numpy.typing as npt
from natsort import natsorted

from fastnn.datasets._form import Form, SampleShape
from fastnn.datasets._open import PREPARED, SUFFIXES, look_at
from fastnn.datasets._plan import Plan, Wanted, plan
from fastnn.datasets._reading import read_images
from fastnn.datasets._split import Dataset, Part
from fastnn.errors import DataError

_PARTS = {
    "train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2,
}  # fmt: skip
_MNIST_SIZE = (28, 28)
_SHOWN = 10


@dataclass
class _Files:
    """Image files and their labels, each class in natural order; classes: all names; stray: files without a label."""

    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    stray: list[str] = field(default_factory=list)


def load_folder(
    folder: str, wanted: Wanted, size: tuple[int, int] | None, colour: bool | None, form: Form
) -> Dataset:
    """Load a folder of images of any size and mode; x (N, H, W, C) float32 in 0..1. See `datasets.load`.

    Files that cannot be read are left out, with one warning, and listed as `skipped`. Raises DataError when there are
    no images, fewer than two classes, a class without images, or a label outside the wanted classes.
    """
    parts = _scan(folder)
    paths = [file for part in parts if part for file in part.paths]
    found = plan(
        folder,
        [part.labels if part else None for part in parts],
        wanted,
        lambda row: paths[row],
        parts[0].classes if parts[0] else None,
    )
    files = [paths[row] for row in found.order]
    shape = _sample_shape(files, size, colour, form)
    x = np.empty((len(files), *shape.axes), np.float32)
    failures = read_images(files, shape, form, x, exact=size is None and form.name == "plain")
    good = np.ones(len(files), bool)
    good[list(failures)] = False
    skipped = [*failures.values(), *(f"{file}: in no class folder" for part in parts if part for file in part.stray)]
    _check_left(folder, found, good, skipped)
    if skipped:
        more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
        count = f"{len(skipped)} file{'s' * (len(skipped) > 1)}"
        warn(f"{count} skipped: {'; '.join(skipped[:_SHOWN])}{more}", stacklevel=2)
    train, validation, test = _parts_of(x, found, good)
    return Dataset(train, test, found.class_names, validation if len(validation[1]) else None, {}, tuple(skipped))


def images_in(folder: str) -> list[str]:
    """The image files in a folder and below it, in natural order."""
    return [os.path.join(folder, name) for name in natsorted(_images(folder))]


def _scan(folder: str) -> list[_Files | None]:
    """The files of the parts training, validation and test; one without its own folder is None."""
    below = [entry for entry in _entries(folder) if entry.is_dir()]
    numbers = [_PARTS.get(entry.name.lower()) for entry in below]
    known = {number for number in numbers if number is not None}
    if not known or (len(known) == 1 and None in numbers):  # one of several classes may be called train
        return [_labelled(folder), None, None]
    parts: list[_Files | None] = [None, None, None]
    for entry, number in zip(below, numbers, strict=True):
        if number is not None:
            parts[number] = _labelled(entry.path)
    return parts


def _labelled(folder: str) -> _Files:
    """The files of a folder with a folder for each class, or of a flat one."""
    files = _Files()
    for entry in natsorted(_entries(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            inside = images_in(entry.path)
            files.classes.append(entry.name)
            files.paths += inside
            files.labels += [entry.name] * len(inside)
        elif _is_image(entry.name):
            files.stray.append(entry.path)
    if not files.paths and files.stray:
        files.classes = []
        for path in files.stray:
            files.paths.append(path)
            files.labels.append(_label(path))
        files.stray = []
    if not files.paths and not files.classes:
        raise DataError(f"{folder}: holds no images, neither in folders of classes nor itself")
    return files


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not entry.name.startswith((".", "__"))]
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error


def _images(folder: str, above: str = "") -> list[str]:
    """The image files in a folder and below it, by their paths in it."""
    found = []
    for entry in _entries(folder):
        if entry.is_dir():
            found += _images(entry.path, os.path.join(above, entry.name))
        elif _is_image(entry.name):
            found.append(os.path.join(above, entry.name) if above else entry.name)
    return found


def _is_image(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.endswith(PREPARED)


def _label(path: str) -> str:
    """What stands before the first underscore of a file's name, or before the first other separator."""
    stem = os.path.splitext(os.path.basename(path))[0]
    label = stem.partition("_")[0] if "_" in stem else re.split(r"[-. ]", stem)[0]
    if label in ("", stem):
        raise DataError(f"{path}: its name must begin with a label, as in 7_0012.png, or it must lie in a class folder")
    return label


def _sample_shape(files: list[str], size: tuple[int, int] | None, colour: bool | None, form: Form) -> SampleShape:
    if size is None and form.name == "mnist":
        size = _MNIST_SIZE
    if size is None or colour is None:
        grey, first = look_at(files)
        size, colour = size or first, not grey if colour is None else colour
    return SampleShape(*(size or (1, 1)), 3 if colour else 1)  # of no size when no file can be read


def _check_left(folder: str, found: Plan, good: npt.NDArray[np.bool_], skipped: list[str]) -> None:
    """Raise DataError when no file could be read, or none of a class to train with."""
    if not good.any():
        raise DataError(f"{folder}: no image could be read; {skipped[0]}")
    train = len(found.rows[0])
    for number in np.setdiff1d(found.y[:train], found.y[:train][good[:train]]):
        raise DataError(
            f"{folder}: class {found.class_names[number]!r} has no image that can be read; {skipped[0]}"
        )


def _parts_of(x: npt.NDArray[np.float32], found: Plan, good: npt.NDArray[np.bool_]) -> list[Part]:
    """The three parts as views of x, whose good rows are moved together: a copy would double the memory."""
    kept = np.flatnonzero(good)
    for new, old in enumerate(kept):
        if new != old:
            x[new] = x[old]
    y, parts, start = found.y[kept], [], 0
    for stop in np.searchsorted(kept, np.cumsum([len(rows) for rows in found.rows])):
        parts.append((x[start:stop], y[start:stop]))
        start = stop
    return parts
