"""The sum and the largest element of a row: plain loops would wait for each addition and each comparison.

Softmax, log softmax and softmax cross-entropy of 256x1000, Emerald Rapids, two threads: 337, 561 and 563 us with loops,
147, 173 and 170 so; of 256x100 36, 60, 52 and 26, 45, 31.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, add, load, most, spread, store, totals
from ._math import typed
from ._memory import stack_array

SHORT = 2 * LANES  # elements of a row, below which the loops of several rows overlap anyway


@kernel
def total(row):
    """The sum of row."""
    size = row.size
    if size < SHORT:
        result = typed(row[0], 0.0)
        for i in range(size):
            result += row[i]
        return result
    s0 = s1 = s2 = s3 = spread(row, 0.0)
    for i in range(0, size, 4 * LANES):
        left = size - i
        s0, s1 = add(s0, load(row, i, left)), add(s1, load(row, i + LANES, left - LANES))
        s2 = add(s2, load(row, i + 2 * LANES, left - 2 * LANES))
        s3 = add(s3, load(row, i + 3 * LANES, left - 3 * LANES))
    sums = totals(s0, s1, s2, s3)
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


@kernel
def maximum(row):
    """The largest element of row; NaN may be passed over."""
    size, top = row.size, row[0]
    if size >= SHORT:
        largest = load(row, 0, LANES)
        for i in range(LANES, size, LANES):
            largest = most(largest, load(row, min(i, size - LANES), LANES))  # the last vector may overlap others
        row, size = stack_array(row, LANES), LANES
        store(row, 0, LANES, largest)
        top = row[0]
    for i in range(1, size):
        top = row[i] if row[i] > top else top
    return top
