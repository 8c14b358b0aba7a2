"""Shares of right answers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, larger, load, spread, store
from ._memory import stack_array

WIDTH, FEW = 2 * LANES, 4  # a pair of vectors, and how many in a row are faster


@kernel
def class_accuracy(outputs, labels, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs (N, C) whose first largest column is labels (N,)."""
    right = 0
    for i in range(labels.size):
        right += _first_largest(outputs[i]) == labels[i]
    accuracy[0] = right / labels.size


@kernel
def one_hot_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of rows of outputs and targets (N, C) with the same first largest column."""
    right = 0
    for i in range(targets.shape[0]):
        right += _first_largest(outputs[i]) == _first_largest(targets[i])
    accuracy[0] = right / targets.shape[0]


@kernel
def sign_accuracy(outputs, targets, accuracy):
    """accuracy (1,) float64 = the share of outputs (size,) that are >= 0 just where targets (size,) are >= 0.5."""
    right = 0
    for i in range(targets.size):
        right += (outputs[i] >= 0) == (targets[i] >= 0.5)
    accuracy[0] = right / targets.size


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
    top = row[first]
    for c in range(pairs * WIDTH if pairs >= FEW else 1, row.size):
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
