"""What all checks share: an operation called under its contract, compared with the oracle and with slopes."""

from collections.abc import Callable
from typing import Any

import naive
import numpy as np
from hypothesis import strategies as st

Array = np.ndarray
Operations = Any  # a module with operations: fastnn.reference, fastnn.kernels, or naive
Place = Callable[[Array], Array]

FLOATS = ("float32", "float64")
SEEDS = st.integers(0, 2**32 - 1)


def plain(array: Array) -> Array:
    """A fresh C-contiguous copy."""
    return np.array(array, order="C")


def sizes(largest: int = 20) -> st.SearchStrategy[int]:
    """Axis lengths: small ones, and those around vector and tile widths up to `largest`."""
    edges = [
        e for e in (1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 96, 97) if e <= largest
    ]
    return st.one_of(st.integers(1, min(largest, 12)), st.sampled_from(edges))


def blank(shape: int | tuple[int, ...], dtype: Any) -> Array:
    """An output that nobody has written yet: NaN, or the largest integer."""
    dtype = np.dtype(dtype)
    return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).max, dtype)


def run(
    operation: Callable[..., None], *arguments: Any, outputs: int = 1, place: Place = plain
) -> list[Array]:
    """Call the operation on copies of its arrays: return the last `outputs` ones; others must not change."""
    placed = [place(a) if isinstance(a, Array) else a for a in arguments]
    assert operation(*placed) is None, f"{operation} returned something"
    for before, after in zip(arguments[:-outputs], placed[:-outputs], strict=True):
        if isinstance(before, Array):
            np.testing.assert_array_equal(after, before, f"{operation} wrote into an input")
    return placed[-outputs:]


def close(actual: Array, expected: Array, terms: float = 1) -> None:
    """Equal up to the rounding of `terms` added products of size 1; integers exactly; NaN equals NaN."""
    assert actual.shape == expected.shape
    if actual.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected)
        return
    eps = np.finfo(actual.dtype).eps
    np.testing.assert_allclose(actual, expected, rtol=16 * eps, atol=(8 + 2 * terms) * eps)


def agree(
    ops: Operations,
    name: str,
    *arguments: Any,
    outputs: int = 1,
    scratch: bool = False,
    terms: float = 1,
    place: Place = plain,
    oracle: Operations = naive,
) -> list[Array]:
    """Run `ops.name` and the oracle's loops in float64 on the same arguments; the outputs must be close.

    `scratch` says that a scratch array stands before the outputs. The operation's outputs are returned. Where the
    loops would take minutes, `oracle` is the reference, which is tested against them.
    """
    written = outputs + scratch
    actual = run(getattr(ops, name), *arguments, outputs=written, place=place)[-outputs:]
    exact = [_in_float64(a) for a in arguments]
    getattr(oracle, name)(*exact)
    for result, expected in zip(actual, exact[-outputs:], strict=True):
        close(result, expected, terms)
    return actual


def in_place(operation: Callable[..., None], *arguments: Any, source: int, place: Place = plain) -> None:
    """The operation writes the same bits when its last argument, the output, is also argument `source`."""
    (expected,) = run(operation, *arguments, place=place)
    placed = [place(a) if isinstance(a, Array) else a for a in arguments]
    placed[-1] = placed[source]
    operation(*placed)
    np.testing.assert_array_equal(placed[-1], expected, "writing in place changes the result")


def slope(function: Callable[[Array], float], x: Array, dx: Array, rng: np.random.Generator) -> None:
    """dx is the gradient of the function at x: central differences in float64 at up to 24 places of x."""
    assert x.dtype == np.float64
    step = 1e-5
    for place in rng.permutation(x.size)[:24]:
        values = []
        for sign in (1, -1):
            moved = x.copy()
            moved.flat[place] += sign * step
            values.append(function(moved))
        expected = (values[0] - values[1]) / (2 * step)
        tolerance = 1e-7 + 1e-10 * abs(values[0])
        np.testing.assert_allclose(dx.flat[place], expected, 1e-6, tolerance, err_msg=f"gradient at {place}")


def adjoint(x: Array, ax: Array, y: Array, ay: Array) -> None:
    """The adjoint identity <Ax, y> = <x, A'y>, for float64 arrays x, ax = A x, y, ay = A' y."""
    scale = np.linalg.norm(ax) * np.linalg.norm(y) + np.linalg.norm(x) * np.linalg.norm(ay)
    np.testing.assert_allclose(np.vdot(ax, y), np.vdot(x, ay), rtol=0, atol=1e-13 * scale + 1e-300)


def _in_float64(argument: Any) -> Any:
    if not isinstance(argument, Array):
        return argument
    return np.array(argument, np.float64 if argument.dtype.kind == "f" else argument.dtype)
