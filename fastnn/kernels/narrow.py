"""Convolutions with so few channels on one side that a pixel's channels would leave most of a vector empty."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, add, load, spread, store
from ._memory import address, copy, stack_array, transpose
from ._simd import gemm
from ._windows import inside

ROOM = 16384  # elements on the stack


@kernel
def input_step(w_shape, columns, width, padding, dilation):
    """Return how many pixels of dz `input_chunk` takes at once: 0 where nothing fits into its room."""
    taps_h, taps_w, c, k = w_shape
    margin = (taps_w - 1) * dilation
    step = min(64, _whole(columns))
    while step > 0 and _input_room(taps_h * taps_w * c, k, step, margin) + c * _row(columns, width, padding, margin) > ROOM:
        step -= LANES
    return step


@kernel
def _input_room(taps, k, step, margin):
    return (taps + 1) * (step + _whole(margin)) + k * step


@kernel
def _whole(count):
    return (count + LANES - 1) // LANES * LANES


@kernel
def _row(columns, width, padding, margin):
    """Return the length of a padded row that all windows see or reach."""
    return _whole(max(columns + margin, width + padding))


@kernel
def input_chunk(chunk, bands, step, dz, w, stride, padding, dilation, dx):
    """The input gradient of one band of rows, with pixels as lanes."""
    (_, rows, columns, k), (taps_h, taps_w, c, _) = dz.shape, w.shape
    _, height, width, _ = dx.shape
    n, band = chunk // bands, chunk % bands
    margin = (taps_w - 1) * dilation[1]
    row, product_row = _row(columns, width, padding[1], margin), step + _whole(margin)
    memory = stack_array(dx, ROOM)
    products = k * step
    planes = _input_room(taps_h * taps_w * c, k, step, margin)
    high = (ROOM - planes) // (c * row)
    last = (band + 1) * height // bands
    for h0 in range(band * height // bands, last, high):
        h1 = min(h0 + high, last)
        memory[planes : planes + (h1 - h0) * c * row] = 0
        for j0 in range(0, columns, step):
            pixels = min(step, columns - j0)
            memory[products:planes] = 0
            for i in range(rows):
                above = i * stride[0] - padding[0] - h0
                r0, r1 = inside(above, dilation[0], taps_h, h1 - h0)
                if r0 == r1:
                    continue
                transpose(dz, pixels, k, address(dz, ((n * rows + i) * columns + j0) * k), k, address(memory, 0), step)
                gemm(dz, (r1 - r0) * taps_w * c, pixels, 1, k, address(w, r0 * taps_w * c * k), k, 0, 1,
                     address(memory, 0), 0, step, address(memory, products + _whole(margin)), product_row, 0, 0)  # fmt: skip
                for r in range(r0, r1):
                    for channel in range(c):
                        source = products + ((r - r0) * taps_w * c + channel) * product_row + _whole(margin)
                        to = planes + ((above + r * dilation[0]) * c + channel) * row + j0
                        _add_shifted(memory, source, c * product_row - dilation[1], taps_w, to, pixels + margin)
        for h in range(h1 - h0):
            source, to = address(memory, planes + h * c * row + padding[1]), address(dx, ((n * height + h0 + h) * width) * c)
            if c == 1:
                copy(dx, 1, width, source, 0, to, 0)
            else:
                transpose(dx, c, width, source, row, to, c)


@kernel
def _add_shifted(memory, source, apart, taps, to, count):
    for t in range(0, count, LANES):
        total = load(memory, to + t, count - t)
        for s in range(taps):
            total = add(total, load(memory, source + s * apart + t, LANES))
        store(memory, to + t, count - t, total)
