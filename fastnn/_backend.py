"""The choice between the two twins of every operation, compiled kernels or plain NumPy, and the recording of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from fastnn._typing import Array, Precision

_recorder: ContextVar[Any] = ContextVar("recorder", default=None)


def operations(backend: str, precision: Precision = "full") -> Any:
    """Operations of a backend: `fastnn.kernels` for "numba", `fastnn.reference` for "numpy"; a tape within `recording`.

    precision: "bf16" for the products of dense layers and convolutions in the module `bf16` of each.
    Numba is imported by the first call that asks for it. Raises ValueError for any other name, RuntimeError where the
    CPU has no products of bf16.
    """
    tape, module = _recorder.get(), _module(backend, precision)
    return module if tape is None else tape.on(module)


@contextmanager
def recording(tape: Any) -> Iterator[None]:
    """Let all operations of this thread run on the tape, which writes them down."""
    token = _recorder.set(tape)
    try:
        yield
    finally:
        _recorder.reset(token)


def live(value: Any, following: Callable[[int], Array]) -> Any:
    """A number that is another one in each step, to be passed to operations.

    following(n): what it is in the next n steps, int64 or float64 (n,), for who repeats a recorded step.
    """
    return value if _recorder.get() is None else _recorder.get().live(value, following)


def guard() -> None:
    """From here on, a recorded step goes on only when its loss is finite."""
    if _recorder.get() is not None:
        _recorder.get().mark_guard()


def update() -> None:
    """From here on, a recorded step goes on only when it ends with an update."""
    if _recorder.get() is not None:
        _recorder.get().mark_update()


@cache
def _module(backend: str, precision: Precision) -> Any:
    if backend == "numpy":
        from fastnn import reference
        from fastnn.reference import bf16

        return reference if precision == "full" else bf16
    if backend == "numba":
        from fastnn import _threads, kernels

        _threads.prepare()
        return kernels if precision == "full" else _compiled_bf16()
    raise ValueError(f"backend must be 'numba' or 'numpy', got {backend!r}")


def _compiled_bf16() -> Any:
    from fastnn.kernels import _simd, bf16

    if not _simd.HAS_BF16:
        raise RuntimeError("fastnn: precision 'bf16' needs a CPU with AVX512_BF16, or backend 'numpy'")
    return bf16
