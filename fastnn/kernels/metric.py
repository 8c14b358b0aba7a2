"""Shares of right answers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._jit import kernel
from ._lanes import LANES, larger, load, spread, store
from ._math import typed
from ._memory import stack_array
from ._parallel import run

WIDTH, FEW = 2 * LANES, 4  # a pair of vectors, and how many in a row are faster
SHORT = 32  # columns that are looked at one by one
BLOCK = 256  # elements in one loop of vectors, after which a wrong row is left
LONG_BLOCK = 1 << 20  # the same where all of them are looked at


@kernel
def class_accuracy(outputs, labels, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs (N, C) whose first largest column is labels (N,)."""
    run(_class_rows, 1, 0, (outputs, labels, accuracy))  # as a task: loops of operations are no vector code


@kernel
def _class_rows(_, outputs, labels, accuracy):
    right = 0
    for i in range(labels.size):
        right += _is_first_largest(outputs[i], labels[i])
    accuracy[0] = right / labels.size


@kernel
def one_hot_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs and targets (N, C) with the same first largest column."""
    run(_one_hot_rows, 1, 0, (outputs, targets, accuracy))


@kernel
def _one_hot_rows(_, outputs, targets, accuracy):
    right = 0
    for i in range(targets.shape[0]):
        right += _is_first_largest(outputs[i], _first_largest(targets[i]))
    accuracy[0] = right / targets.shape[0]


@kernel
def sign_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of outputs (size,) that are >= 0 just where targets (size,) are >= 0.5."""
    run(_signs, 1, 0, (outputs, targets, accuracy))


@kernel
def _signs(_, outputs, targets, accuracy):
    right, half = 0, typed(targets[0], 0.5)
    for start in range(0, targets.size, LONG_BLOCK):
        values, wanted = outputs[start : start + LONG_BLOCK], targets[start : start + LONG_BLOCK]
        found = np.int32(0)
        for i in range(wanted.size):
            found += np.int32((values[i] >= 0) == (wanted[i] >= half))
        right += int(found)
    accuracy[0] = right / targets.size


@kernel
def _is_first_largest(row, column):
    """Whether the column has the first of the largest elements, or the first NaN.

    The others are compared with it, so that no comparison waits for another: 256 rows of 1000 classes, all right, take
    20 us; to look for the largest took 43.
    """
    if not 0 <= column < row.size:
        return False
    top = row[column]
    if top != top:
        return not _has_nan(row[:column])
    if row.size < SHORT:
        wrong = 0
        for c in range(row.size):  # without branches, which would often go another way than the row before
            wrong += (not row[c] <= top) | ((c < column) & (not row[c] < top))
        return wrong == 0
    return not _has_not_below(row[:column], top) and not _has_above(row[column + 1 :], top)


@kernel
def _has_not_below(row, top):
    for start in range(0, row.size, BLOCK):
        block, found = row[start : start + BLOCK], np.int32(0)
        for c in range(block.size):
            found += np.int32(not block[c] < top)  # NaN, too
        if found > 0:
            return True
    return False


@kernel
def _has_above(row, top):
    for start in range(0, row.size, BLOCK):
        block, found = row[start : start + BLOCK], np.int32(0)
        for c in range(block.size):
            found += np.int32(not block[c] <= top)  # NaN, too
        if found > 0:
            return True
    return False


@kernel
def _has_nan(row):
    found = np.int32(0)
    for c in range(row.size):
        found += np.int32(row[c] != row[c])
    return found > 0


@kernel
def _first_largest(row):
    """The column of the first of the largest elements, or of the first NaN."""
    first, pairs = 0, row.size // WIDTH
    if pairs >= FEW:
        places = stack_array(row, WIDTH)  # which pair of vectors has the best of each lane
        even, odd = load(row, 0, LANES), load(row, LANES, LANES)
        even_place, odd_place = spread(row, 0), spread(row, 0)
        for pair in range(1, pairs):
            place = spread(row, pair)
            even, even_place = larger(even, even_place, load(row, pair * WIDTH, LANES), place)
            odd, odd_place = larger(odd, odd_place, load(row, pair * WIDTH + LANES, LANES), place)
        store(places, 0, LANES, even_place)
        store(places, LANES, LANES, odd_place)
        first = int(places[0]) * WIDTH
        for lane in range(1, WIDTH):
            first = _better(row, first, int(places[lane]) * WIDTH + lane)
    return _scan(row, first, pairs * WIDTH if pairs >= FEW else 1)


@kernel
def _scan(row, first, start):
    """The first of the largest elements, or the first NaN, among column `first` and those from `start` on."""
    top = row[first]
    for c in range(start, row.size):
        if not row[c] <= top:  # larger, or one of them is NaN
            if top != top:
                break
            first, top = c, row[c]
    return first


@kernel
def _better(row, a, b):
    """The column of the larger element, or of a NaN; the lower one of equals."""
    if row[a] != row[a] or row[b] != row[b]:
        return (min(a, b) if row[b] != row[b] else a) if row[a] != row[a] else b
    return min(a, b) if row[a] == row[b] else (a if row[a] > row[b] else b)
