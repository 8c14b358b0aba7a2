"""Two-dimensional pooling over NHWC images: maximum, average, and the average of the whole image.

Window (p, q) starts at pixel (p * stride - top, q * stride - left), where `padding` is (top, left), and sees
only its part inside the image, which must not be empty. Each pass below walks over the window's R * S taps:
each is a whole-array operation on the outputs that see it.
"""

from collections.abc import Iterator

import numpy as np

from ._arrays import Array, Pair, tap_slices

_Slices = tuple[slice, slice, slice]


def max_pool2d_forward(x: Array, size: Pair, stride: Pair, padding: Pair, index: Array, y: Array) -> None:
    """y (N, P, Q, C) = the maximum of each window of x (N, H, W, C); a NaN in the window wins.

    index (N, P, Q, C) uint16 = the place r * S + s in its window of the first maximum (or first NaN), row by
    row; size 0: skipped.
    """
    taps = list(_taps(x, y, size, stride, padding))
    y.fill(-np.inf)
    for _, outputs, pixels in taps:
        np.maximum(y[outputs], x[pixels], out=y[outputs])
    if index.size:
        for place, outputs, pixels in reversed(taps):  # backwards, so that the first maximum is written last
            value = x[pixels]
            np.copyto(index[outputs], place, where=(value == y[outputs]) | (value != value))


def max_pool2d_backward(index: Array, dy: Array, size: Pair, stride: Pair, padding: Pair, dx: Array) -> None:
    """dx (N, H, W, C) = dy (N, P, Q, C) added at the pixel that `index` names in each window, else 0."""
    dx.fill(0)
    for place, outputs, pixels in _taps(dx, dy, size, stride, padding):
        dx[pixels] += np.where(index[outputs] == place, dy[outputs], 0)


def avg_pool2d_forward(
    x: Array, size: Pair, stride: Pair, padding: Pair, count_include_pad: bool, y: Array
) -> None:
    """y (N, P, Q, C) = the sum of each window of x (N, H, W, C) divided by its count.

    The count is the window's pixels inside the image, or, with `count_include_pad`, inside the image padded
    by (top, left) on both sides, as in PyTorch.
    """
    y.fill(0)
    for _, outputs, pixels in _taps(x, y, size, stride, padding):
        y[outputs] += x[pixels]
    y /= _counts(x, y, size, stride, padding, count_include_pad)


def avg_pool2d_backward(
    dy: Array, size: Pair, stride: Pair, padding: Pair, count_include_pad: bool, dx: Array
) -> None:
    """dx (N, H, W, C) = dy (N, P, Q, C) divided by its window's count, added at each pixel of the window."""
    share = dy / _counts(dx, dy, size, stride, padding, count_include_pad)
    dx.fill(0)
    for _, outputs, pixels in _taps(dx, dy, size, stride, padding):
        dx[pixels] += share[outputs]


def global_avg_pool2d_forward(x: Array, y: Array) -> None:
    """y (N, C) = the mean of x (N, H, W, C) over its pixels."""
    np.mean(x, axis=(1, 2), out=y)


def global_avg_pool2d_backward(dy: Array, dx: Array) -> None:
    """dx (N, H, W, C) = dy (N, C) / (H * W)."""
    np.copyto(dx, (dy / (dx.shape[1] * dx.shape[2]))[:, None, None, :])


def _taps(
    x: Array, y: Array, size: Pair, stride: Pair, padding: Pair
) -> Iterator[tuple[int, _Slices, _Slices]]:
    """Each place r * S + s of the window, the outputs of y that see it, and the pixels of x that they see."""
    everything = slice(None)
    for r in range(size[0]):
        rows, pixel_rows = tap_slices(y.shape[1], x.shape[1], stride[0], r - padding[0])
        for s in range(size[1]):
            columns, pixel_columns = tap_slices(y.shape[2], x.shape[2], stride[1], s - padding[1])
            yield r * size[1] + s, (everything, rows, columns), (everything, pixel_rows, pixel_columns)


def _counts(x: Array, y: Array, size: Pair, stride: Pair, padding: Pair, count_include_pad: bool) -> Array:
    """The divisor of each window, (P, Q, 1) in x's dtype."""
    rows, columns = (
        _overlap(
            np.arange(y.shape[1 + a]) * stride[a] - padding[a],
            size[a],
            x.shape[1 + a],
            padding[a] if count_include_pad else 0,
        )
        for a in (0, 1)
    )
    return np.multiply.outer(rows, columns)[:, :, None].astype(x.dtype)


def _overlap(start: Array, size: int, inputs: int, border: int) -> Array:
    """Along one axis, how much of each window lies inside the image and its border."""
    overlap: Array = np.minimum(start + size, inputs + border) - np.maximum(start, -border)
    return overlap
