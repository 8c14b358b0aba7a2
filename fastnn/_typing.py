"""Type aliases shared by the whole package."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
ArrayLike: TypeAlias = npt.ArrayLike
Backend: TypeAlias = Literal["numba", "numpy"]
Precision: TypeAlias = Literal["full", "bf16"]
Shape: TypeAlias = tuple[int, ...]
Pair: TypeAlias = tuple[int, int]
Seed: TypeAlias = "int | np.random.Generator | None"  # as a string: numpy.random takes 10 ms to import


class Common(TypedDict, total=False):
    """Keywords that every layer takes; see `fastnn.layers.Layer`."""

    dtype: Any
    backend: Backend
    seed: Seed
