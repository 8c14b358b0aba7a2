"""The choice between the two twins of every operation: compiled kernels or plain NumPy."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def operations(backend: str) -> Any:
    """Module with the operations of a backend: `fastnn.kernels` for "numba", `fastnn.reference` for "numpy".

    Numba is imported by the first call that asks for it. Raises ValueError for any other name.
    """
    if backend == "numpy":
        from fastnn import reference

        return reference
    if backend == "numba":
        from fastnn import _threads, kernels

        _threads.prepare()
        return kernels
    raise ValueError(f"backend must be 'numba' or 'numpy', got {backend!r}")
