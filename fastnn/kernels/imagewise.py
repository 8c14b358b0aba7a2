"""Convolution with images as lanes: as many images as a tile has columns are interleaved, pixel by pixel.

Then no channel count leaves lanes empty, and a window is cut at the image's edge without any padding. It wants a
batch, and pays with transposes at both ends.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._memory import address, copy, stack_array, transpose
from ._simd import ACCUMULATE, VECTOR_BYTES, VECTORS, gemm
from ._windows import inside

ROOM = 49152  # elements on the stack: 192 KB of float32, which L2 holds
PANEL = VECTORS * VECTOR_BYTES


@kernel
def image_rows(x, w_shape, y_shape, stride, dilation):
    """Return how many rows of y one chunk computes from the rows of x that fit into its room, or 0."""
    group = PANEL // x.itemsize
    _, _, width, c = x.shape
    outputs = (y_shape[2] + 1) * y_shape[3] * group
    window = (w_shape[0] - 1) * dilation[0] + 1
    if dilation[1] > 1 or x.shape[0] < group:
        return 0
    return max(0, ((ROOM - outputs) // (width * c * group) - window) // stride[0] + 1)


@kernel
def image_chunk(chunk, bands, high, x, w, taps_h, taps_w, b, stride, padding, dilation, flags, y):
    """A band of rows of y (N, P, Q, K) for a group of images. w: address of the weights (R, S, C, K)."""
    (images, height, width, c), (_, rows, columns, k) = x.shape, y.shape
    group = PANEL // x.itemsize
    n, band = chunk // bands * group, chunk % bands
    count = min(group, images - n)
    memory = stack_array(x, ROOM)
    start = columns * k * group  # behind a row of outputs: what each of its pixels starts from
    inputs = start + k * group
    memory[start:inputs] = 0
    for channel in range(b.size):
        memory[start + channel * group : start + (channel + 1) * group] = b[channel]
    size, row = x.itemsize, width * c * group
    last = (band + 1) * rows // bands
    for i0 in range(band * rows // bands, last, high):
        i1 = min(i0 + high, last)
        h0 = max(0, i0 * stride[0] - padding[0])
        h1 = min(height, (i1 - 1) * stride[0] - padding[0] + (taps_h - 1) * dilation[0] + 1)
        for h in range(h0, h1):
            transpose(x, count, width * c, address(x, (n * height + h) * width * c), height * width * c,
                      address(memory, inputs + (h - h0) * row), group)  # fmt: skip
        for i in range(i0, i1):
            h = i * stride[0] - padding[0]
            r0, r1 = inside(h, dilation[0], taps_h, height)
            copy(x, columns, k * group, address(memory, start), 0, address(memory, 0), k * group)
            for j in range(columns):
                v = j * stride[1] - padding[1]
                s0, s1 = inside(v, 1, taps_w, width)
                source = inputs + (h + r0 * dilation[0] - h0) * row + (v + s0) * c * group
                gemm(x, k, count, r1 - r0, (s1 - s0) * c, w + (r0 * taps_w + s0) * c * k * size, 1, taps_w * c * k, k,
                     address(memory, source), dilation[0] * row, group, address(memory, j * k * group), group,
                     0, flags | ACCUMULATE)  # fmt: skip
            transpose(x, columns * k, count, address(memory, 0), group,
                      address(y, (n * rows + i) * columns * k), rows * columns * k)  # fmt: skip
