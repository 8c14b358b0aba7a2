"""The thread count, for the whole process. The pool is in `kernels/_pool.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import _checks


def prepare() -> None:
    """Start the thread pool."""
    from .kernels import _pool

    _pool.launch()


def get_num_threads() -> int:
    """Return how many threads kernels use; 1 in a forked child process."""
    from .kernels import _pool

    return _pool.get_limit()


def set_num_threads(n: int) -> None:
    """Let kernels use `n` threads, from 1 to the size of the pool (NUMBA_NUM_THREADS, or the number of CPUs).

    Holds for the whole process. The thread count never changes results. Raises TypeError where `n` is no integer and
    ValueError where it is out of range; a forked child process, whose pool is gone, has a pool of 1.
    """
    from .kernels import _pool

    size = _pool.pool_size()
    if _checks.integer("set_num_threads", "n", n, 1) > size:
        raise ValueError(f"set_num_threads: n must be <= {size}, the size of the thread pool, got {n}")
    _pool.set_limit(n)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads within a `with` block. Errors as for `set_num_threads`."""
    before = get_num_threads()
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)
