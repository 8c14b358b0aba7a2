"""Memory that is used again only when nobody else holds it."""

from __future__ import annotations

import sys
from math import prod
from typing import Any

import numpy as np

from fastnn._typing import Array, Shape

# A 64-byte load from an address that is no multiple of 64 touches two cache lines; NumPy aligns to 16 only.
ALIGNMENT = 64
# More than a training loop holds at once: the last output, the one before, and some that the caller collects.
_MOST_SLOTS = 4


def aligned(shape: Shape | int, dtype: Any) -> Array:
    """Uninitialised array that starts at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    return _shaped(_raw(prod(np.atleast_1d(shape)) * dtype.itemsize), shape, dtype)


class Buffer:
    """Source of result arrays for one purpose, such as a layer's output.

    `take` hands out the memory of an earlier result when nobody outside this object refers to that result,
    nor to any view of it; otherwise it allocates. So a result is never overwritten while somebody can still
    read it, and a loop that drops its results allocates nothing after its first rounds.
    """

    def __init__(self) -> None:
        self._slots: list[_Slot] = []

    def __reduce__(self) -> tuple[type[Buffer], tuple[()]]:
        return Buffer, ()  # a copied or pickled layer starts with empty buffers

    def take(self, shape: Shape, dtype: np.dtype[Any]) -> Array:
        """Uninitialised C-contiguous array."""
        spare = None
        for slot in self._slots:
            if _references(slot) == _UNUSED:
                view = slot.view
                if view.shape == shape and view.dtype == dtype and view.flags.writeable:
                    return view
                spare = slot
        size = prod(shape) * dtype.itemsize
        if spare is None or spare.raw.size < size + ALIGNMENT:
            fresh = _Slot(_raw(size), shape, dtype)
            if spare is not None:
                self._slots.remove(spare)
            self._slots = [*self._slots[-_MOST_SLOTS + 1 :], fresh]
            return fresh.view
        # A smaller last batch lives in the memory of the full one.
        spare.view = _shaped(spare.raw, shape, dtype)
        return spare.view

    def clear(self) -> None:
        """Give the memory back."""
        self._slots = []


class Scratch:
    """Work space of kernels, whose content nobody needs after the call; layers of one model may share one."""

    def __init__(self) -> None:
        self._array = np.empty(0, np.float32)

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        return Scratch, ()

    def take(self, size: int, dtype: np.dtype[Any]) -> Array:
        """1-D array of at least size elements."""
        if self._array.size < size or self._array.dtype != dtype:
            self._array = aligned(size, dtype)
        return self._array


class _Slot:
    __slots__ = ("raw", "view")

    def __init__(self, raw: Array, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.raw = raw
        self.view = _shaped(raw, shape, dtype)


def _raw(size: int) -> Array:
    return np.empty(size + ALIGNMENT, np.uint8)


def _shaped(raw: Array, shape: Shape | int, dtype: np.dtype[Any]) -> Array:
    # NumPy makes `raw` the base of every view of this view too: raw's reference count knows of all of them.
    size = prod(np.atleast_1d(shape)) * dtype.itemsize
    start = -raw.__array_interface__["data"][0] % ALIGNMENT
    return raw[start : start + size].view(dtype).reshape(shape)


def _references(slot: _Slot) -> tuple[int, int]:
    return sys.getrefcount(slot.raw), sys.getrefcount(slot.view)


# Measured, not written as a number: how many references a call itself holds differs between Python versions.
_UNUSED = _references(_Slot(_raw(0), (0,), np.dtype(np.float32)))
