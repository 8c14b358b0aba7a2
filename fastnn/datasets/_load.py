"""The one door to every data set: a name, or the path of a user's own data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from fastnn import _checks
from fastnn._typing import Shape
from fastnn.datasets._form import Form, SampleShape
from fastnn.datasets._plan import Wanted, plan
from fastnn.datasets._split import Dataset, Shares, Split, shares
from fastnn.datasets.cifar10 import CIFAR10_CLASSES, batches_in, load_cifar10
from fastnn.datasets.digits import load_digits
from fastnn.datasets.mnist import (
    FASHION_MNIST_CLASSES,
    KMNIST_CLASSES,
    is_mnist_folder,
    load_fashion_mnist,
    load_kmnist,
    load_mnist,
)
from fastnn.errors import DataError

_OWNER = "datasets"
_DIGIT_CLASSES = tuple("0123456789")
_PLAIN = {"form": "plain"}


@dataclass(frozen=True)
class _Known:
    """A data set with a name. images: how an image of a user becomes one like them, as `images.Form.metadata`."""

    load: Callable[[str | Path | None], Split]
    class_names: tuple[str, ...]
    images: Mapping[str, Any]


# The box is the share of the image that MNIST's drawings fill; those of the others go from edge to edge.
_KNOWN = {
    "digits": _Known(lambda data_dir: load_digits(), _DIGIT_CLASSES, {"form": "mnist", "box": 1.0}),
    "mnist": _Known(load_mnist, _DIGIT_CLASSES, {"form": "mnist", "box": 20 / 28}),
    "fashion-mnist": _Known(load_fashion_mnist, FASHION_MNIST_CLASSES, {"form": "mnist", "box": 1.0}),
    "kmnist": _Known(load_kmnist, KMNIST_CLASSES, {"form": "mnist", "box": 1.0}),
    "cifar10": _Known(load_cifar10, CIFAR10_CLASSES, _PLAIN),
}
NAMES = tuple(_KNOWN)
_SUFFIXES = {".npz": "npz", ".csv": "csv", ".tsv": "csv", ".txt": "csv"}
# The options that each kind of a user's own data takes
_SUITED = {
    "folder": ("image_size", "colour", "form"),
    "npz": ("image_size", "form"),
    "csv": ("image_size", "form", "label_column"),
}


def load(
    name: str | PathLike[str],
    data_dir: str | Path | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    colour: bool | None = None,
    form: Literal["plain", "mnist"] | Form | None = None,
    label_column: str | int | None = None,
    split: Shares | None = None,
    seed: int = 0,
    class_names: Sequence[str] | None = None,
    test_only: bool = False,
) -> Dataset:
    """Load a data set by its name, one of NAMES, or by its path.

    A path is a folder of images (`cat/*.png`; the same below train, val and test; or files named `7_0012.png`), of
    MNIST's or CIFAR-10's own files, an .npz file (x and y, or x_train, y_train, x_test, y_test), or a CSV file.

    data_dir: where the files of a data set with a name are; "digits" needs none.
    image_size: height and width of the samples, one number for both. Images of a folder are resized to it, and need it
    when they are of several sizes; rows of pixels in a file become images of it.
    colour: samples of three channels or of one; None: what most images of the folder are.
    form: "plain": images are resized as they are. "mnist": drawings are brought to MNIST's form, light ink on black,
    centred; 28x28 without image_size. None: "plain" for a user's own data.
    label_column: name or number of the column of labels in a CSV file.
    split: shares of training, validation and test, such as "0.8/0.1/0.1" (the default), or of training and test. Each
    class is cut alike, and seed decides which rows go where. Data with a test part of its own are split only if this is
    given: into training and validation.
    class_names: the classes by which labels are numbered; None: those of the data, sorted naturally.
    test_only: read only the test part: the data's own, else that of the split, else, without a split, everything.

    Raises DataError for an unknown name, for files that are missing, damaged or empty, for fewer than two classes or a
    class without samples, and for a label outside class_names; ValueError for arguments that do not suit the data.
    """
    size = None if image_size is None else _checks.pair(_OWNER, "image_size", image_size, 1)
    wanted = Wanted(split, _checks.integer(_OWNER, "seed", seed, 0), class_names, test_only)
    path = os.fspath(name)
    known = _KNOWN.get(path)
    options: dict[str, Any] = {"image_size": size, "colour": colour, "form": form, "label_column": label_column}
    if known is not None:
        _refuse(path, options, ())
        data, images = _known(path, known, data_dir, wanted), known.images
        kept = {}
    else:
        _refuse(path, {"data_dir": data_dir}, ())
        data, images = _own(path, wanted, options)
        kept = {"split": list(shares(split)), "seed": seed, "label_column": label_column}
    metadata: dict[str, Any] = {"dataset": path}
    if data.test[0].ndim == 4:
        metadata["images"] = dict(images)
    if kept:
        metadata["data"] = kept
    return replace(data, metadata=metadata)


def load_test(
    name: str | PathLike[str],
    data_dir: str | Path | None = None,
    *,
    sample_shape: Shape,
    class_names: Sequence[str] | None = None,
    form: Form | None = None,
    label_column: str | int | None = None,
    split: Shares | None = None,
    seed: int = 0,
) -> Dataset:
    """The test part of a data set as a model takes it, whose samples have sample_shape and whose classes class_names.

    Images of a folder are brought to that shape, in the given form; rows of pixels become images, and images rows.
    Other arguments and errors as in `load`; DataError, too, for samples that cannot have this shape.
    """
    path, shape = os.fspath(name), SampleShape.of(sample_shape)
    kind = "" if path in _KNOWN else _kind(path)
    options: dict[str, Any] = {"image_size": None, "colour": None, "form": form, "label_column": label_column}
    if kind == "folder":
        if shape is None:
            raise DataError(f"{path}: holds images, but the model takes samples of shape {sample_shape}")
        options.update(image_size=(shape.height, shape.width), colour=shape.channels == 3)
    elif kind in ("npz", "csv") and shape is not None and len(sample_shape) == 3:
        options["image_size"] = shape.height, shape.width
    suited = {name: options[name] for name in _SUITED.get(kind, ())} | {"label_column": label_column}
    data = load(
        path, data_dir, split=None if path in _KNOWN else split, seed=seed, class_names=class_names, test_only=True,
        **suited,
    )  # fmt: skip
    x, y = data.test
    rows_of_pixels = 1 in (x.ndim - 1, len(sample_shape)) and prod(x.shape[1:]) == prod(sample_shape)
    if x.shape[1:] != sample_shape and not rows_of_pixels:
        raise DataError(f"{path}: samples have shape {x.shape[1:]}, but the model takes {sample_shape}")
    return replace(data, test=(x.reshape(len(x), *sample_shape), y))


def class_names(name: str) -> tuple[str, ...]:
    """What the labels 0, 1, ... of the data set called name mean."""
    if name not in _KNOWN:
        raise ValueError(f"{_OWNER}: name must be one of {', '.join(NAMES)}, got {name!r}")
    return _KNOWN[name].class_names


def image_form(name: object) -> Mapping[str, Any] | None:
    """How an image of a user becomes one like those of a data set, as `Form.metadata`; None for an unknown name."""
    return _KNOWN[name].images if isinstance(name, str) and name in _KNOWN else None


def _known(path: str, known: _Known, data_dir: str | Path | None, wanted: Wanted) -> Dataset:
    train, test = known.load(data_dir)
    labels = [[known.class_names[label] for label in y] for _, y in (train, test)]
    found = plan(path, [labels[0], None, labels[1]], wanted, lambda row: f"{path}: row {row}", known.class_names)
    return found.dataset([train[0], None, test[0]])


def _own(path: str, wanted: Wanted, options: Mapping[str, Any]) -> tuple[Dataset, Mapping[str, Any]]:
    """The data at a path, and how images become samples like theirs."""
    kind, size, form = _kind(path), options["image_size"], options["form"]
    _refuse(path, options, _SUITED.get(kind, ()))
    if kind in _KNOWN:
        return _known(path, _KNOWN[kind], path, wanted), _KNOWN[kind].images
    if not isinstance(form, Form):
        _checks.choice(_OWNER, "form", form or "plain", ("plain", "mnist"))
        form = Form(form or "plain")
    if kind == "folder":
        from fastnn.datasets.folder import load_folder

        return load_folder(path, wanted, size, options["colour"], form), form.metadata()
    if kind == "npz":
        from fastnn.datasets.arrays import load_npz

        return load_npz(path, wanted, size), form.metadata()
    from fastnn.datasets.table import load_csv

    return load_csv(path, wanted, size, options["label_column"]), form.metadata()


def _kind(path: str) -> str:
    """One of NAMES for a folder of such files, "folder" for one of images, "npz" or "csv"."""
    place = Path(path)
    if place.is_dir():
        return "cifar10" if batches_in(place) else "mnist" if is_mnist_folder(place) else "folder"
    if not place.exists():
        raise DataError(f"{_OWNER}: {path!r} is none of {', '.join(NAMES)}, nor a file or folder")
    if place.suffix.lower() not in _SUFFIXES:
        raise DataError(f"{path}: must be a folder, an .npz file or a .csv file")
    return _SUFFIXES[place.suffix.lower()]


def _refuse(path: str, options: Mapping[str, Any], allowed: Sequence[str]) -> None:
    for name, value in options.items():
        if value is not None and name not in allowed:
            raise ValueError(f"{_OWNER}: {name} does not apply to {path}, got {value!r}")
