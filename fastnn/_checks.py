"""Every argument check of the public doors, in one wording: owner, argument, what is required, what was
received.

TypeError for a wrong type or dtype, ValueError for a wrong shape or value. Each function returns the value in
the form that the code behind the door works with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fastnn._typing import Array, ArrayLike, Backend, Pair, Precision, Seed, Shape

FLOAT_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_AT_ONCE = 1 << 18  # elements looked at: what is found about them is small enough to stay in the cache
_SUM_TO_ONE = 1e-2  # what probabilities may miss: float16 with a thousand classes
_QUICK = 8192  # elements of one image; larger products would wake the threads of NumPy's BLAS

# ("N", 784): an int must match, a letter may be any size; ("N", ...): any further axes.
Axes = Sequence[Any]


def array(owner: str, name: str, value: ArrayLike, dtype: np.dtype[Any], axes: Axes) -> Array:
    """C-contiguous, aligned, writable array of dtype whose shape fits axes; value itself if it is one."""
    if not (type(value) is np.ndarray and value.dtype == dtype and value.flags.carray):
        value = np.require(numeric(owner, name, value), dtype, ["C", "A", "W"])
    if not fits(value.shape, axes):
        raise ValueError(f"{owner}: {name} must have shape {_written(axes)}, got {value.shape}")
    if 0 in value.shape:
        raise ValueError(f"{owner}: {name} must not be empty, got shape {value.shape}")
    return value


def numeric(owner: str, name: str, value: ArrayLike) -> Array:
    """Array of bools, integers or floats, whatever its layout."""
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{owner}: {name} must be a rectangular array, got unequal rows") from error
    if found.dtype.kind not in "buif":
        raise TypeError(f"{owner}: {name} must hold real numbers, got dtype {found.dtype}")
    return found


def fits(shape: Shape, axes: Axes) -> bool:
    """Whether a shape fits axes like ("N", 784) or ("N", ...)."""
    if len(axes) > 0 and axes[-1] is ...:
        axes = axes[:-1]
        shape = shape[: len(axes)]
    if len(shape) != len(axes):
        return False
    for size, axis in zip(shape, axes, strict=True):  # noqa: SIM110 - `all` takes longer, and every step comes here
        if size != axis and not isinstance(axis, str):
            return False
    return True


def input_shape(owner: str, value: Iterable[int], axes: Axes) -> Shape:
    """Shape of one sample, without the batch axis."""
    shape = tuple(value)
    if not fits(shape, axes) or not all(isinstance(size, int | np.integer) and size > 0 for size in shape):
        raise ValueError(f"{owner}: input_shape must be {_written(axes)}, got {shape}")
    return tuple(int(size) for size in shape)


def finite(owner: str, name: str, value: Array) -> None:
    """Refuse NaN and infinity, naming the first row (sample) that holds one."""
    if value.size <= _QUICK and value.flags.c_contiguous and math.isfinite(np.vdot(value, value)):
        return  # half the time; where the sum overflows, the elements are looked at
    at_once = max(1, _AT_ONCE * len(value) // max(1, value.size))
    for start in range(0, len(value), at_once):
        rows = value[start : start + at_once]
        good = np.isfinite(rows)
        if not good.all():
            row = int(np.argmin(good.reshape(len(rows), -1).all(axis=1)))
            bad = rows[row][~good[row]] if rows.ndim > 1 else rows[row : row + 1]
            raise ValueError(f"{owner}: {name} must be finite, got {bad.flat[0]} in row {start + row}")


def labels(owner: str, name: str, value: ArrayLike, classes: int, rows: int | None = None) -> Array:
    """Class numbers (N,) int64 in 0..classes-1 from class numbers (N,), (N, 1) or one-hot (N, classes)."""
    found = numeric(owner, name, value)
    if found.ndim == 2 and found.shape[1] == classes and classes > 1:
        found = _from_one_hot(owner, name, found)
    elif found.ndim == 2 and found.shape[1] == 1:
        found = found.reshape(-1)
    if not fits(found.shape, ("N",) if rows is None else (rows,)):
        expected = _written(("N",) if rows is None else (rows,))
        pairs = _written(("N" if rows is None else rows, classes))
        raise ValueError(f"{owner}: {name} must have shape {expected} or {pairs}, got {found.shape}")
    if len(found) == 0:
        raise ValueError(f"{owner}: {name} must not be empty, got shape {found.shape}")
    if found.dtype.kind == "f":
        whole = found == np.floor(found)
        if not whole.all():
            row = int(np.argmin(whole))
            raise ValueError(f"{owner}: {name} must be whole class numbers, got {found[row]} in row {row}")
    if _are_labels(found, classes):
        return found
    if found.min() < 0 or found.max() >= classes:
        row = int(np.argmax((found < 0) | (found >= classes)))
        raise ValueError(f"{owner}: {name} must be class numbers in 0..{classes - 1}, got {found[row]} in row {row}")
    return np.require(found, np.int64, ["C", "A", "W"])


def classes(owner: str, name: str, value: ArrayLike, count: int, rows: int, dtype: np.dtype[Any]) -> Array:
    """Class numbers as `labels` has them, or rows (rows, count) of probabilities, in dtype, if they are not one-hot."""
    if type(value) is np.ndarray and value.shape == (rows,) and rows > 0 and _are_labels(value, count):
        return value  # as they mostly are, and every step comes here
    found = numeric(owner, name, value)
    if found.dtype.kind != "f" or count == 1 or found.shape != (rows, count) or np.isin(found, (0, 1)).all():
        return labels(owner, name, found, count, rows)
    good = (found >= 0).all(axis=1) & (abs(found.sum(axis=1) - 1) <= _SUM_TO_ONE)
    if not good.all():
        row = int(np.argmin(good))
        shown = _one_line(found[row])
        raise ValueError(f"{owner}: {name} must be one-hot or probabilities (sum 1), got {shown} in row {row}")
    return np.require(found, dtype, ["C", "A", "W"])


def _are_labels(found: Array, classes: int) -> bool:
    """Whether an array (N,), N > 0, holds class numbers as kernels take them."""
    if found.dtype != np.int64 or not found.flags.carray:
        return False
    numbers = found.view(np.uint64)  # as which negative ones are large
    return bool(numbers[numbers.argmax()] < classes)  # not max, which takes twice as long for a batch


def _one_line(row: Array) -> str:
    """The numbers of a row, the middle left out of many."""
    return np.array2string(row, threshold=10, max_line_width=1000)


def _from_one_hot(owner: str, name: str, rows: Array) -> Array:
    ones = rows == 1
    good = (ones.sum(axis=1) == 1) & ((rows == 0).sum(axis=1) == rows.shape[1] - 1)
    if not good.all():
        row = int(np.argmin(good))
        shown = _one_line(rows[row])
        raise ValueError(f"{owner}: {name} must be one-hot (one 1, else 0), got {shown} in row {row}")
    numbers: Array = ones.argmax(axis=1)
    return numbers


def number(
    owner: str,
    name: str,
    value: object,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """Finite float in the given bounds (minimum and maximum are allowed values, above and below are not)."""
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be a number, got {_received(value)}")
    found = float(value)
    bounds = {">=": minimum, "<=": maximum, ">": above, "<": below}
    inside = (
        np.isfinite(found)
        and (minimum is None or found >= minimum)
        and (maximum is None or found <= maximum)
        and (above is None or found > above)
        and (below is None or found < below)
    )
    if not inside:
        wanted = " and ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)
        raise ValueError(f"{owner}: {name} must be {wanted or 'finite'}, got {value}")
    return found


def integer(owner: str, name: str, value: object, minimum: int) -> int:
    """Whole number of at least minimum."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be an integer, got {_received(value)}")
    if value < minimum:
        raise ValueError(f"{owner}: {name} must be >= {minimum}, got {value}")
    return int(value)


def optional_integer(owner: str, name: str, value: object, minimum: int) -> int | None:
    """None or a whole number of at least minimum."""
    return None if value is None else integer(owner, name, value, minimum)


def sizes(owner: str, name: str, value: object) -> Shape:
    """Tuple of whole numbers of at least 1, from a tuple or a list; it may be empty."""
    if not isinstance(value, tuple | list):
        raise TypeError(f"{owner}: {name} must be a list of integers, got {_received(value)}")
    return tuple(integer(owner, name, size, 1) for size in value)


def pair(owner: str, name: str, value: object, minimum: int) -> Pair:
    """(height, width) from one integer for both or from two of them."""
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise ValueError(f"{owner}: {name} must be an integer or a pair of them, got {value}")
        return integer(owner, name, value[0], minimum), integer(owner, name, value[1], minimum)
    both = integer(owner, name, value, minimum)
    return both, both


def flag(owner: str, name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{owner}: {name} must be True or False, got {_received(value)}")
    return bool(value)


def choice(owner: str, name: str, value: object, allowed: Iterable[str]) -> str:
    """One of the allowed words."""
    allowed = list(allowed)
    if not isinstance(value, str):
        raise TypeError(f"{owner}: {name} must be one of {_listed(allowed)}, got {_received(value)}")
    if value not in allowed:
        raise ValueError(f"{owner}: {name} must be one of {_listed(allowed)}, got {value!r}")
    return value


def float_dtype(owner: str, value: Any) -> np.dtype[Any]:
    """float32 or float64."""
    for known in FLOAT_DTYPES:
        if value is not None and value in (known, known.name, known.type):
            return known
    raise TypeError(f"{owner}: dtype must be float32 or float64, got {value!r}")


def backend(owner: str, value: object) -> Backend:
    """ "numba" or "numpy"."""
    choice(owner, "backend", value, ("numba", "numpy"))
    return "numpy" if value == "numpy" else "numba"


def precision(owner: str, value: object, dtype: np.dtype[Any]) -> Precision:
    """ "full", or for float32 "bf16"."""
    choice(owner, "precision", value, ("full", "bf16"))
    if value == "bf16" and dtype != np.float32:
        raise ValueError(f"{owner}: precision must be 'full' for dtype {dtype}, got 'bf16'")
    return "bf16" if value == "bf16" else "full"


def seed(owner: str, value: object) -> Seed:
    """None, a non-negative integer or a NumPy Generator."""
    if value is None or isinstance(value, np.random.Generator):
        return value
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{owner}: seed must be None, an integer or a Generator, got {_received(value)}")
    return integer(owner, "seed", value, 0)


def instance(owner: str, name: str, value: object, kind: type, wanted: str) -> None:
    """Object of a class; wanted says which in words, such as "a Layer"."""
    if not isinstance(value, kind):
        raise TypeError(f"{owner}: {name} must be {wanted}, got {_received(value)}")


def _received(value: object) -> str:
    return repr(value) if isinstance(value, str | bool | None) else type(value).__name__


def _listed(words: Iterable[str]) -> str:
    return ", ".join(repr(word) for word in words)


def _written(axes: Axes) -> str:
    words = ["..." if axis is ... else str(axis) for axis in axes]
    return f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"
