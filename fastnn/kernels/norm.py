"""Batch normalisation of x (M, C) over M; images come as (N * H * W, C).

    xhat = (x - mean) / sqrt(var + eps), with the biased variance (divided by M)
    y = gamma * xhat + beta

    dbeta = sum dy
    dgamma = sum dy * xhat
    dx = gamma / sqrt(var + eps) * (dy - dbeta / M - xhat * dgamma / M)

Ioffe and Szegedy 2015, arXiv:1502.03167. Where mean and variance are constants (inference),
dx = gamma / sqrt(var + eps) * dy.

x is cut into tiles of some rows by at most BLOCK channels. Each tile leaves two sums per channel in the scratch
array, which one thread adds in order; variances are merged as Chan, Golub and LeVeque 1983 do, so none is a difference
of large numbers. Few channels are folded: several rows count as one long row, because short loops waste vector lanes.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import numpy as np

from ._jit import exact, kernel
from ._math import BLOCK, CHUNK, stack_block, typed
from ._parallel import run

_FOLD = 128  # a folded row has at most so many elements
_MIN_ROWS = 32  # of a tile, so that adding up the tiles stays a small part of the work


def batch_norm_scratch_size(m: int, c: int) -> int:
    """Elements of the scratch array of the functions below: two sums per tile and channel."""
    return 2 * -(-m // max(_MIN_ROWS, CHUNK // min(c, BLOCK))) * c


@kernel
def batch_norm_forward(x, gamma, beta, eps, scratch, mean, var, y):
    """Training: mean (C,) and biased var (C,) of x (M, C), and the normalised y (M, C)."""
    m, c = x.shape
    rows, down, across = _grid(m, c)
    sums = scratch[: 2 * down * c].reshape((down, 2, c))
    run(_moments_tile, down * across, x.size, (rows, down, x, sums))
    for j in range(c):
        centre, spread, count = 0.0, 0.0, 0.0
        for tile in range(down):
            size = float(min(rows, m - tile * rows))
            step = np.float64(sums[tile, 0, j]) - centre
            count += size
            centre += step * (size / count)
            spread += np.float64(sums[tile, 1, j]) + step * step * size * ((count - size) / count)
        mean[j] = centre
        var[j] = spread / m
    run(_normalise_tile, down * across, x.size, (rows, down, x, gamma, beta, mean, var, eps, y))


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
def batch_norm_inference(x, gamma, beta, mean, var, eps, y):
    """y (M, C) = gamma * (x - mean) / sqrt(var + eps) + beta, with mean (C,) and var (C,) given."""
    rows, down, across = _grid(x.shape[0], x.shape[1])
    run(_normalise_tile, down * across, x.size, (rows, down, x, gamma, beta, mean, var, eps, y))


@kernel
def batch_norm_backward(x, gamma, mean, var, eps, dy, scratch, dx, dgamma, dbeta):
    """dx (M, C), dgamma (C,) and dbeta (C,) from dy (M, C), through the batch's own mean and variance."""
    rows, down, across = _grid(x.shape[0], x.shape[1])
    sums = scratch[: 2 * down * x.shape[1]].reshape((down, 2, x.shape[1]))
    run(_gradient_sums_tile, down * across, 2 * x.size, (rows, down, x, mean, dy, sums))
    _add_tiles(sums, var, eps, dgamma, dbeta)
    args = (rows, down, x, gamma, mean, var, eps, dy, 1.0 / x.shape[0], dgamma, dbeta, dx)
    run(_input_gradient_tile, down * across, 2 * x.size, args)


@kernel
def batch_norm_inference_backward(x, gamma, mean, var, eps, dy, scratch, dx, dgamma, dbeta):
    """The gradients of `batch_norm_inference`: mean and var are constants."""
    rows, down, across = _grid(x.shape[0], x.shape[1])
    sums = scratch[: 2 * down * x.shape[1]].reshape((down, 2, x.shape[1]))
    run(_gradient_sums_tile, down * across, 2 * x.size, (rows, down, x, mean, dy, sums))
    _add_tiles(sums, var, eps, dgamma, dbeta)
    args = (rows, down, x, gamma, mean, var, eps, dy, 0.0, dgamma, dbeta, dx)
    run(_input_gradient_tile, down * across, 2 * x.size, args)


@kernel
def _add_tiles(sums, var, eps, dgamma, dbeta):
    for j in range(dbeta.size):
        total, moment = 0.0, 0.0
        for tile in range(sums.shape[0]):
            total += np.float64(sums[tile, 0, j])
            moment += np.float64(sums[tile, 1, j])
        dbeta[j] = total
        dgamma[j] = moment / math.sqrt(np.float64(var[j]) + eps)


@kernel
def _moments_tile(chunk, rows, down, x, sums):
    """The mean and the sum of squared deviations of a tile's rows, per channel."""
    tile, low, high, start, stride, width, count, rest = _tile(chunk, rows, down, x.shape[0], x.shape[1])
    flat, mean, squares = x.reshape(-1), sums[tile, 0, low:high], sums[tile, 1, low:high]
    total, centre = stack_block(x)[:width], stack_block(x)[:width]
    for i in range(width):
        total[i] = 0
    for r in range(count + 1):
        row = flat[start + r * stride : start + r * stride + (width if r < count else rest)]
        for i in range(row.size):
            total[i] += row[i]
    _fold(total, mean)
    inverse = typed(mean[0], mean.size / (count * width + rest))
    for j in range(mean.size):
        mean[j] *= inverse
    _repeat(mean, centre)
    for i in range(width):
        total[i] = 0
    for r in range(count + 1):
        row = flat[start + r * stride : start + r * stride + (width if r < count else rest)]
        for i in range(row.size):
            total[i] += (row[i] - centre[i]) * (row[i] - centre[i])
    _fold(total, squares)


@kernel
def _gradient_sums_tile(chunk, rows, down, x, mean, dy, sums):
    """The sums of dy and of dy * (x - mean) over a tile's rows, per channel."""
    tile, low, high, start, stride, width, count, rest = _tile(chunk, rows, down, x.shape[0], x.shape[1])
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    total, moment, centre = stack_block(x)[:width], stack_block(x)[:width], stack_block(x)[:width]
    _repeat(mean[low:high], centre)
    for i in range(width):
        total[i] = moment[i] = 0
    for r in range(count + 1):
        at = start + r * stride
        end = at + (width if r < count else rest)
        row, slope = flat_x[at:end], flat_dy[at:end]
        for i in range(row.size):
            total[i] += slope[i]
            moment[i] += slope[i] * (row[i] - centre[i])
    _fold(total, sums[tile, 0, low:high])
    _fold(moment, sums[tile, 1, low:high])


@kernel
def _normalise_tile(chunk, rows, down, x, gamma, beta, mean, var, eps, y):
    tile, low, high, start, stride, width, count, rest = _tile(chunk, rows, down, x.shape[0], x.shape[1])
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    centre, factor, offset = stack_block(x)[:width], stack_block(x)[:width], stack_block(x)[:width]
    for j in range(high - low):
        factor[j] = gamma[low + j] / math.sqrt(np.float64(var[low + j]) + eps)
    _repeat(factor[: high - low], factor)
    _repeat(mean[low:high], centre)
    _repeat(beta[low:high], offset)
    for r in range(count + 1):
        at = start + r * stride
        end = at + (width if r < count else rest)
        row, out = flat_x[at:end], flat_y[at:end]
        for i in range(row.size):
            out[i] = _along(row[i], centre[i], factor[i], offset[i])


@kernel
def _input_gradient_tile(chunk, rows, down, x, gamma, mean, var, eps, dy, share, dgamma, dbeta, dx):
    """dx = factor * dy + ((x - mean) * slope + offset); `share` is 1 / M where mean and var depend on x, else 0."""
    tile, low, high, start, stride, width, count, rest = _tile(chunk, rows, down, x.shape[0], x.shape[1])
    flat_x, flat_dy, flat_dx = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    centre, factor = stack_block(x)[:width], stack_block(x)[:width]
    slope, offset = stack_block(x)[:width], stack_block(x)[:width]
    channels = high - low
    for j in range(channels):
        inverse = 1.0 / math.sqrt(np.float64(var[low + j]) + eps)
        along = gamma[low + j] * inverse
        factor[j] = along
        slope[j] = -along * share * inverse * dgamma[low + j]
        offset[j] = -along * share * dbeta[low + j]
    _repeat(mean[low:high], centre)
    _repeat(factor[:channels], factor)
    _repeat(slope[:channels], slope)
    _repeat(offset[:channels], offset)
    for r in range(count + 1):
        at = start + r * stride
        end = at + (width if r < count else rest)
        row, given, out = flat_x[at:end], flat_dy[at:end], flat_dx[at:end]
        for i in range(row.size):
            out[i] = factor[i] * given[i] + _along(row[i], centre[i], slope[i], offset[i])


@exact
def _along(x, centre, factor, offset):
    return (x - centre) * factor + offset


@kernel
def _grid(m, c):
    """Return the rows of a tile, the tiles down the rows, and the tiles across the channels."""
    rows = max(_MIN_ROWS, CHUNK // min(c, BLOCK))
    return rows, -(-m // rows), -(-c // BLOCK)


@kernel
def _tile(chunk, rows, down, m, c):
    """Return a tile's number down the rows, its channels from low to high, and how its elements lie in the flat array.

    These are `count` long rows of `width` elements, `stride` apart from `start` on, and one shorter row of `rest`.
    """
    tile, low = chunk % down, chunk // down * BLOCK
    high = min(low + BLOCK, c)
    first, size = tile * rows, min(rows, m - tile * rows)
    if 2 * c > _FOLD:
        return tile, low, high, first * c + low, c, high - low, size, 0
    folded = _FOLD // c
    return tile, low, high, first * c, folded * c, folded * c, size // folded, size % folded * c


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
