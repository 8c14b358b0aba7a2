"""Batch normalisation of x (M, C) over M; images come as (N * H * W, C).

    xhat = (x - mean) / sqrt(var + eps), with the biased variance (divided by M)
    y = gamma * xhat + beta

    dbeta = sum dy
    dgamma = sum dy * xhat
    dx = gamma / sqrt(var + eps) * (dy - dbeta / M - xhat * dgamma / M)

Ioffe and Szegedy 2015, arXiv:1502.03167. Where mean and variance are constants (inference),
dx = gamma / sqrt(var + eps) * dy.

`skip` (M, C), maybe of size 0, is added to y. With `rectify`, y is then max(y, 0), and dy counts where y is positive:
the backward functions, which know no skip, compute y once more from x, which they read anyway, with the same bits.

x is cut into tiles of some rows, and each sweep over them is a region of its own. Tiles leave two sums per channel in
the scratch array, which one thread adds in order; variances are merged as Chan, Golub and LeVeque 1983 do. Where x is
small or has few rows, a tile has all rows of some channels instead, and one region does both sweeps. Within a tile, up
to four vectors of sums stay in registers; few channels are folded: several rows count as one long row, filling them.

A tile's moments take one sweep: deviations are from the mean of a sixteenth of its rows. Their square is at most 16
times the variance, so it is no difference of large numbers. With constant moments one sweep makes all gradients.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._fours import (
    add_four,
    first_of_four,
    four_times,
    load_four,
    multiply_add_four,
    store_four,
    where_positive_four,
)
from ._jit import kernel
from ._lanes import LANES, add, by_root, load, multiply, multiply_add, spread, store
from ._math import CHUNK, stack_block, typed
from ._parallel import SMALL, run

_WIDE = 4 * LANES  # channels, or folded channels, whose sums stay in registers
_FEW_ROWS = 1024
_START = 8
_MIN_ROWS = 32  # of a tile, so that adding up the tiles stays a small part of the work
_BOTH, _SUMS, _RESULTS = 0, 1, 2  # sweeps of a tile


def batch_norm_scratch_size(m: int, c: int) -> int:
    """Elements of the scratch array of the functions below: two sums per tile and channel."""
    return 2 * -(-m // max(_MIN_ROWS, CHUNK // c)) * c


@kernel
def batch_norm_forward(x, gamma, beta, eps, skip, rectify, scratch, mean, var, y):
    """Training: mean (C,) and biased var (C,) of x (M, C), and the normalised y (M, C)."""
    m, c = x.shape
    rows, chunks = _grid(m, c)
    args = (x, gamma, beta, eps, skip, rectify, scratch, mean, var, y)
    if rows == m:
        run(_forward_tile, chunks, x.size, (_BOTH, rows, *args))
        return
    run(_forward_tile, chunks, x.size, (_SUMS, rows, *args))
    _merge(m, rows, scratch, mean, var)
    run(_forward_tile, chunks, x.size, (_RESULTS, rows, *args))


@kernel
def batch_norm_follow(m, momentum, mean, var, running_mean, running_var):
    """Move the running moments (C,) by the share `momentum` towards those of a batch of m > 1 rows.

    running_mean += momentum * (mean - running_mean), running_var alike with the unbiased var * m / (m - 1).
    """
    share, unbiased = typed(mean[0], momentum), typed(mean[0], m / (m - 1))
    for j in range(mean.size):
        running_mean[j] += share * (mean[j] - running_mean[j])
        running_var[j] += share * (var[j] * unbiased - running_var[j])


@kernel
def batch_norm_inference(x, gamma, beta, mean, var, eps, skip, rectify, y):
    """y (M, C) = gamma * (x - mean) / sqrt(var + eps) + beta, with mean (C,) and var (C,) given."""
    rows, chunks = _row_tiles(x.shape[0], x.shape[1])
    run(_forward_tile, chunks, x.size, (_RESULTS, rows, x, gamma, beta, eps, skip, rectify, mean, mean, var, y))


@kernel
def batch_norm_backward(x, gamma, beta, mean, var, eps, rectify, dy, scratch, dx, dgamma, dbeta):
    """dx (M, C), dgamma (C,) and dbeta (C,) from dy (M, C), through the batch's own mean and variance."""
    _backward(x, gamma, beta, mean, var, eps, rectify, 1.0 / x.shape[0], dy, scratch, dx, dgamma, dbeta)


@kernel
def batch_norm_inference_backward(x, gamma, beta, mean, var, eps, rectify, dy, scratch, dx, dgamma, dbeta):
    """The gradients of `batch_norm_inference`: mean and var are constants."""
    _backward(x, gamma, beta, mean, var, eps, rectify, 0.0, dy, scratch, dx, dgamma, dbeta)


@kernel
def _backward(x, gamma, beta, mean, var, eps, rectify, share, dy, scratch, dx, dgamma, dbeta):
    """`share` is 1 / M where mean and var depend on x, else 0."""
    m, c = x.shape
    rows, chunks = _grid(m, c)
    args = (x, gamma, beta, mean, var, eps, rectify, share, dy, scratch, dx, dgamma, dbeta)
    if rows == m:
        run(_backward_tile, chunks, 2 * x.size, (_BOTH, rows, *args))
        return
    run(_backward_tile, chunks, 2 * x.size, (_SUMS, rows, *args))
    _add_tiles(chunks, scratch, var, eps, dgamma, dbeta)
    if share > 0.0:
        run(_backward_tile, chunks, 2 * x.size, (_RESULTS, rows, *args))


@kernel
def _forward_tile(chunk, sweeps, rows, x, gamma, beta, eps, skip, rectify, scratch, mean, var, y):
    m, c = x.shape
    first, size, low, high = _tile(chunk, rows, m, c)
    if sweeps == _BOTH:
        _moments(x, first, size, low, high, mean, var)
        for j in range(low, high):
            var[j] /= typed(var[0], m)
    if sweeps == _SUMS:
        at = 2 * chunk * c
        _moments(x, first, size, low, high, scratch[at : at + c], scratch[at + c : at + 2 * c])
        return
    _normalise(x, first, size, low, high, gamma, beta, mean, var, eps, skip, rectify, y)


@kernel
def _moments(x, first, size, low, high, mean, squares):
    """The mean and the sum of squared deviations of a tile's rows, for the channels from low to high."""
    c = x.shape[1]
    stride, end, count, rest = _long_rows(c, size, high)
    wide = stack_block(x)
    zero, inverse = four_times(spread(x, 0.0)), typed(wide[0], 1.0 / size)
    few = max(1, min(count, max(_START, count // 16)))  # whose mean is what all deviate from
    apart = (count // few - 1 | 1) * stride  # odd, so that these are not all pixels of one column
    of_few = typed(wide[0], 1.0 / min(size, few * (stride // c)))
    for group in range(low, end, _WIDE):
        n = min(_WIDE, end - group)
        channels = min(n, c)
        own, own_squares = mean[group : group + channels], squares[group : group + channels]
        at, sums = first * c + group, zero
        for _ in range(few):
            sums = add_four(sums, load_four(x, at, n if count > 0 else rest))
            at += apart
        store_four(wide, 0, _WIDE, sums)
        _fold(wide[:n], own)
        for j in range(channels):
            own[j] *= of_few
            wide[j] = -own[j]
        _repeat(wide[:channels], wide[:n])
        centre = load_four(wide, 0, _WIDE)
        at, sums, errors = first * c + group, zero, zero
        for _ in range(count):
            steps = add_four(load_four(x, at, n), centre)
            sums, errors = multiply_add_four(steps, steps, sums), add_four(errors, steps)
            at += stride
        if rest > 0:
            steps = first_of_four(rest, add_four(load_four(x, at, rest), centre), zero)
            sums, errors = multiply_add_four(steps, steps, sums), add_four(errors, steps)
        store_four(wide, 0, _WIDE, sums)
        _fold(wide[:n], own_squares)
        store_four(wide, 0, _WIDE, errors)
        error = wide[_WIDE : _WIDE + channels]
        _fold(wide[:n], error)
        for j in range(channels):
            own[j] += error[j] * inverse
            own_squares[j] -= error[j] * error[j] * inverse


@kernel
def _normalise(x, first, size, low, high, gamma, beta, mean, var, eps, skip, rectify, y):
    c = x.shape[1]
    stride, end, count, rest = _long_rows(c, size, high)
    wide = stack_block(x)
    for group in range(low, end, _WIDE):
        n = min(_WIDE, end - group)
        centre, factor, offset = _affine(wide, group, min(n, c), n, gamma, beta, mean, var, eps)
        at = first * c + group
        for r in range(count + (rest > 0)):
            left = n if r < count else rest
            out = multiply_add_four(add_four(load_four(x, at, left), centre), factor, offset)
            if skip.size > 0:
                out = add_four(out, load_four(skip, at, left))
            if rectify:
                out = where_positive_four(out, out)
            store_four(y, at, left, out)
            at += stride


@kernel
def _merge(m, rows, scratch, mean, var):
    """The moments of all tiles' rows from those of each; all tiles but the last have `rows` rows."""
    c = mean.size
    tiles = -(-m // rows)
    last = spread(mean, (m - (tiles - 1) * rows) / rows)
    share, size = spread(mean, rows / m), spread(mean, float(rows))
    zero, minus = spread(mean, 0.0), spread(mean, -1.0)
    for j in range(0, c, LANES):
        n = c - j
        shift = multiply(load(scratch, j, n), minus)
        total = zero
        for tile in range(tiles - 1):
            total = add(total, add(load(scratch, 2 * tile * c + j, n), shift))
        at = 2 * (tiles - 1) * c + j
        total = multiply(multiply_add(add(load(scratch, at, n), shift), last, total), share)
        store(mean, j, n, add(load(scratch, j, n), total))
        centre = multiply(load(mean, j, n), minus)
        within, between = zero, zero
        for tile in range(tiles - 1):
            step = add(load(scratch, 2 * tile * c + j, n), centre)
            between = multiply_add(step, step, between)
            within = add(within, load(scratch, 2 * tile * c + c + j, n))
        step = add(load(scratch, at, n), centre)
        between = multiply_add(multiply(step, step), last, between)
        within = add(within, load(scratch, at + c, n))
        store(var, j, n, multiply(multiply_add(between, size, within), spread(mean, 1.0 / m)))


@kernel
def _add_tiles(tiles, scratch, var, eps, dgamma, dbeta):
    c = var.size
    for j in range(0, c, LANES):
        n = c - j
        total, moment = spread(var, 0.0), spread(var, 0.0)
        for tile in range(tiles):
            total = add(total, load(scratch, 2 * tile * c + j, n))
            moment = add(moment, load(scratch, 2 * tile * c + c + j, n))
        store(dbeta, j, n, total)
        store(dgamma, j, n, by_root(moment, load(var, j, n), eps))


@kernel
def _backward_tile(chunk, sweeps, rows, x, gamma, beta, mean, var, eps, rectify, share, dy, scratch, dx, dgamma, dbeta):
    m, c = x.shape
    first, size, low, high = _tile(chunk, rows, m, c)
    if sweeps == _BOTH:
        _gradient_sums(x, first, size, low, high, gamma, beta, mean, var, eps, rectify, share, dy, dbeta, dgamma, dx)
        for j in range(low, high, LANES):
            store(dgamma, j, high - j, by_root(load(dgamma, j, high - j), load(var, j, high - j), eps))
    if sweeps == _SUMS:
        at = 2 * chunk * c
        totals, moments = scratch[at : at + c], scratch[at + c : at + 2 * c]
        _gradient_sums(x, first, size, low, high, gamma, beta, mean, var, eps, rectify, share, dy, totals, moments, dx)
        return
    if share > 0.0:
        _input_gradient(x, first, size, low, high, gamma, beta, mean, var, eps, rectify, share, dy, dgamma, dbeta, dx)


@kernel
def _gradient_sums(x, first, size, low, high, gamma, beta, mean, var, eps, rectify, share, dy, totals, moments, dx):
    """The sums of dy and of dy * (x - mean) over a tile's rows; with share 0 dx too, which needs no sums then."""
    c = x.shape[1]
    stride, end, count, rest = _long_rows(c, size, high)
    wide, zero = stack_block(x), four_times(spread(x, 0.0))
    for group in range(low, end, _WIDE):
        n = min(_WIDE, end - group)
        channels = min(n, c)
        centre, factor, offset = _affine(wide, group, channels, n, gamma, beta, mean, var, eps)
        at, total, moment = first * c + group, zero, zero
        for r in range(count + (rest > 0)):
            left = n if r < count else rest
            steps, given = add_four(load_four(x, at, left), centre), load_four(dy, at, left)
            if rectify:
                given = where_positive_four(multiply_add_four(steps, factor, offset), given)
            total, moment = add_four(total, given), multiply_add_four(given, steps, moment)
            if share == 0.0:
                store_four(dx, at, left, multiply_add_four(given, factor, zero))
            at += stride
        store_four(wide, 0, _WIDE, total)
        _fold(wide[:n], totals[group : group + channels])
        store_four(wide, 0, _WIDE, moment)
        _fold(wide[:n], moments[group : group + channels])


@kernel
def _input_gradient(x, first, size, low, high, gamma, beta, mean, var, eps, rectify, share, dy, dgamma, dbeta, dx):
    """dx = factor * dy + ((x - mean) * slope + rise)."""
    c = x.shape[1]
    stride, end, count, rest = _long_rows(c, size, high)
    wide = stack_block(x)
    for group in range(low, end, _WIDE):
        n = min(_WIDE, end - group)
        channels = min(n, c)
        centre, factor, offset = _affine(wide, group, channels, n, gamma, beta, mean, var, eps)
        for j in range(0, channels, LANES):
            left, at = channels - j, group + j
            along = multiply(load(wide, _WIDE + j, left), spread(x, -share))
            slope = by_root(multiply(along, load(dgamma, at, left)), load(var, at, left), eps)
            store(wide, 3 * _WIDE + j, left, slope)
            store(wide, 4 * _WIDE + j, left, multiply(along, load(dbeta, at, left)))
        slope, rise = _repeated(wide, 3, channels, n), _repeated(wide, 4, channels, n)
        at = first * c + group
        for r in range(count + (rest > 0)):
            left = n if r < count else rest
            steps, given = add_four(load_four(x, at, left), centre), load_four(dy, at, left)
            if rectify:
                given = where_positive_four(multiply_add_four(steps, factor, offset), given)
            store_four(dx, at, left, multiply_add_four(given, factor, multiply_add_four(steps, slope, rise)))
            at += stride


@kernel
def _affine(wide, group, channels, n, gamma, beta, mean, var, eps):
    """Return -mean, gamma / sqrt(var + eps) and beta of a group's channels, repeated; `wide` holds them."""
    for j in range(0, channels, LANES):
        left, at = channels - j, group + j
        store(wide, j, left, multiply(load(mean, at, left), spread(wide, -1.0)))
        store(wide, _WIDE + j, left, by_root(load(gamma, at, left), load(var, at, left), eps))
        store(wide, 2 * _WIDE + j, left, load(beta, at, left))
    return _repeated(wide, 0, channels, n), _repeated(wide, 1, channels, n), _repeated(wide, 2, channels, n)


@kernel
def _repeated(wide, number, channels, n):
    """Return the group of that number in `wide`: its first `channels` elements over and over, up to n."""
    if channels < n:
        group = wide[number * _WIDE : number * _WIDE + n]
        _repeat(group[:channels], group)
    return load_four(wide, number * _WIDE, _WIDE)


@kernel
def _grid(m, c):
    """Return the rows of a tile, and how many tiles there are: all rows of _WIDE channels, or some rows of all."""
    if m * c < SMALL or (m <= min(_FEW_ROWS, 4 * c) and c >= 2 * _WIDE):
        return m, -(-c // _WIDE)
    return _row_tiles(m, c)


@kernel
def _row_tiles(m, c):
    rows = max(_MIN_ROWS, CHUNK // c)
    return rows, -(-m // rows)


@kernel
def _tile(chunk, rows, m, c):
    """Return a tile's first row and their number, and its channels from low to high."""
    if rows == m:
        return 0, m, chunk * _WIDE, min((chunk + 1) * _WIDE, c)
    first = chunk * rows
    return first, min(rows, m - first), 0, c


@kernel
def _long_rows(c, size, high):
    """Return how `size` rows are read: distance and end of long rows, their number, and what remains after them."""
    if 2 * c > _WIDE:
        return c, high, size, 0
    folded = _WIDE // c
    return folded * c, folded * c, size // folded, size % folded * c


@kernel
def _fold(wide, narrow):
    """narrow = the sum of the pieces of `wide` that are as long as it."""
    for j in range(narrow.size):
        narrow[j] = wide[j]
    for first in range(narrow.size, wide.size, narrow.size):
        for j in range(narrow.size):
            narrow[j] += wide[first + j]


@kernel
def _repeat(narrow, wide):
    """wide = narrow, over and over; they may begin at the same place."""
    for first in range(0, wide.size, narrow.size):
        for j in range(narrow.size):
            wide[first + j] = narrow[j]
