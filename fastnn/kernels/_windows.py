"""Which taps of a window lie inside the image, and how images are cut into chunks: shared by all convolutions."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, spread, store
from ._memory import address, copy

CHUNKS = 8  # wanted at least, for the thread pool


@kernel
def bands(images, rows):
    """Return into how many bands of rows each image is cut, so that few images still make enough chunks."""
    return max(1, min(rows, (CHUNKS + images - 1) // images))


@kernel
def inside(first, dilation, taps, size):
    """Return the range of taps t < taps with 0 <= first + t*dilation < size."""
    low = max(0, (dilation - 1 - first) // dilation)
    high = min(taps, (size - 1 - first) // dilation + 1)
    return low, max(low, high)


@kernel
def complete(stride, padding, dilation, taps, size, low, high):
    """Return the part of the outputs low..high-1 whose whole window lies inside the image, along one axis."""
    first = max(low, (padding + stride - 1) // stride)
    last = min(high, (size - 1 - (taps - 1) * dilation + padding) // stride + 1)
    return (first, last) if first < last else (low, low)


@kernel
def padded_rows(x, n, top, tall, left, wide, memory, at):
    """Copy `tall` rows of image n of x from row `top` on to memory[at:], `wide` pixels each, `left` of them before it.

    There are zeros where there are no pixels. LANES elements behind the last row are overwritten.
    """
    _, height, width, c = x.shape
    count = min(width, wide - left) * c
    for h in range(top, top + tall):
        to = at + (h - top) * wide * c
        for i in range(0, wide * c, LANES):
            store(memory, to + i, LANES, spread(memory, 0.0))
        if 0 <= h < height:
            copy(x, 1, count, address(x, (n * height + h) * width * c), 0, address(memory, to + left * c), 0)
