"""A data set in one .npz file of NumPy arrays."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastnn import _checks
from fastnn._typing import Array
from fastnn.datasets._labels import words
from fastnn.datasets._plan import Wanted, plan
from fastnn.datasets._split import Dataset
from fastnn.errors import DataError

_WHITE = np.float32(255)
# The endings of each part's names, the usual one first
_PARTS = (("_train", ""), ("_val", "_validation", "_valid"), ("_test",))


def load_npz(file: str, wanted: Wanted, size: tuple[int, int] | None) -> Dataset:
    """Load arrays x and y, or x_train, y_train, x_test, y_test and perhaps x_val, y_val. See `datasets.load`.

    x (N, ...): bytes are pixels and divided by 255, (N, H, W) becomes (N, H, W, 1); other numbers stay as they are. y:
    words, whole numbers (N,), or one-hot rows (N, C). An array class_names says what the numbers mean. Raises
    DataError for a file that cannot be read, for arrays that are missing or do not go together, and for NaN.
    """
    arrays = _read(file)
    declared = [str(name) for name in arrays["class_names"].tolist()] if "class_names" in arrays else None
    xs: list[npt.NDArray[np.float32] | None] = []
    labels: list[list[str] | None] = []
    places: list[str] = []
    for endings in _PARTS:
        x, y = (_find(arrays, letter, endings) for letter in "xy")
        if x is None or y is None:
            if x is not y:
                ending = next(e for e in endings if f"x{e}" in arrays or f"y{e}" in arrays)
                raise DataError(f"{file}: must hold x{ending} and y{ending}, got {', '.join(arrays)}")
            xs.append(None)
            labels.append(None)
            continue
        xs.append(_samples(file, x, size))
        labels.append(words(file, y, declared or wanted.class_names))
        places += [f"{file}: row {row} of y{endings[0]}" for row in range(len(y))]
        if len(x) != len(y):
            raise DataError(f"{file}: y{endings[0]} has {len(y)} labels for {len(x)} samples")
    if not places:
        raise DataError(f"{file}: must hold x and y, or x_train, y_train, x_test, y_test; got {', '.join(arrays)}")
    shapes = {x.shape[1:] for x in xs if x is not None}
    if len(shapes) > 1:
        raise DataError(f"{file}: samples must have one shape, got {', '.join(map(str, sorted(shapes)))}")
    return plan(file, labels, wanted, places.__getitem__, declared).dataset(xs)


def as_images(owner: str, x: npt.NDArray[np.float32], size: tuple[int, int] | None) -> npt.NDArray[np.float32]:
    """Rows of pixels (N, H*W) or (N, H*W*3) -> images (N, H, W, C); values that go up to 255 are brought to 0..1.

    Without a size, what has two image axes gets a channel axis, and everything else stays as it is.
    """
    if x.ndim == 3:
        x = x[..., np.newaxis]
    if size is None:
        return x
    if x.ndim == 2:
        channels, over = divmod(x.shape[1], size[0] * size[1])
        if over or channels not in (1, 3):
            raise DataError(f"{owner}: rows of {x.shape[1]} values are no images of {size[0]}x{size[1]} pixels")
        x = x.reshape(len(x), *size, channels)
        return x / _WHITE if x.max() > 1 else x
    if x.shape[1:3] != size:
        height, width = x.shape[1:3]
        wanted = f"{size[0]}x{size[1]}"
        raise DataError(f"{owner}: images in arrays are not resized: they are {height}x{width}, not {wanted}")
    return x


def _samples(file: str, x: Array, size: tuple[int, int] | None) -> npt.NDArray[np.float32]:
    if x.ndim < 2 or 0 in x.shape or x.dtype.kind not in "buif":
        raise DataError(f"{file}: x must hold numbers of shape (N, ...), got shape {x.shape} and dtype {x.dtype}")
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        found: npt.NDArray[np.float32] = x.astype(np.float32, copy=False)
    try:
        _checks.finite(file, "x", found)
    except ValueError as error:
        raise DataError(str(error)) from None
    return as_images(file, found / _WHITE if x.dtype == np.uint8 else found, size)


def _find(arrays: Mapping[str, Array], letter: str, endings: Sequence[str]) -> Array | None:
    return next((arrays[letter + ending] for ending in endings if letter + ending in arrays), None)


def _read(file: str) -> dict[str, Array]:
    """The arrays by name, in small letters."""
    try:
        with open(file, "rb") as opened:
            arrays = np.load(opened, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise DataError(f"{file}: must be an .npz file of several arrays, got one array")
            return {name.lower(): np.asarray(arrays[name]) for name in arrays.files}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        reason = "it holds Python objects" if "pickle" in str(error) and zipfile.is_zipfile(file) else "damaged"
        raise DataError(f"{file}: no .npz file of numbers and words: {reason}") from error
