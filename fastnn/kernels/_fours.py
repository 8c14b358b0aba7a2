"""Four neighbouring vectors of `_lanes.py` as one value: sums of four chains, which a loop keeps in registers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, add, load, multiply_add, pair, store, where_positive


@kernel
def four_times(a):
    """The vector four times."""
    return a, a, a, a


@kernel
def load_four(array, at, n):
    """The elements from `at` on; beyond `n` of them zeros."""
    if not MASKS_ARE_FREE and n >= 4 * LANES:  # known to be whole: no branch for each vector
        return (
            load(array, at, LANES),
            load(array, at + LANES, LANES),
            load(array, at + 2 * LANES, LANES),
            load(array, at + 3 * LANES, LANES),
        )
    return (
        load(array, at, n),
        load(array, at + LANES, n - LANES),
        load(array, at + 2 * LANES, n - 2 * LANES),
        load(array, at + 3 * LANES, n - 3 * LANES),
    )


@kernel
def store_four(array, at, n, four):
    """Write the first `n` elements of `four` from `at` on."""
    if not MASKS_ARE_FREE and n >= 4 * LANES:
        store(array, at, LANES, four[0])
        store(array, at + LANES, LANES, four[1])
        store(array, at + 2 * LANES, LANES, four[2])
        store(array, at + 3 * LANES, LANES, four[3])
        return
    store(array, at, n, four[0])
    store(array, at + LANES, n - LANES, four[1])
    store(array, at + 2 * LANES, n - 2 * LANES, four[2])
    store(array, at + 3 * LANES, n - 3 * LANES, four[3])


@kernel
def add_four(a, b):
    """a + b."""
    return add(a[0], b[0]), add(a[1], b[1]), add(a[2], b[2]), add(a[3], b[3])


@kernel
def multiply_add_four(a, b, c):
    """a * b + c."""
    return (
        multiply_add(a[0], b[0], c[0]),
        multiply_add(a[1], b[1], c[1]),
        multiply_add(a[2], b[2], c[2]),
        multiply_add(a[3], b[3], c[3]),
    )


@kernel
def where_positive_four(of, a):
    """`a` where `of` is positive or NaN, else 0."""
    return (
        where_positive(of[0], a[0]),
        where_positive(of[1], a[1]),
        where_positive(of[2], a[2]),
        where_positive(of[3], a[3]),
    )


@kernel
def first_of_four(n, a, b):
    """`a` in the first `n` lanes of all four, `b` in the others."""
    return (
        pair(a[0], b[0], n),
        pair(a[1], b[1], n - LANES),
        pair(a[2], b[2], n - 2 * LANES),
        pair(a[3], b[3], n - 3 * LANES),
    )
