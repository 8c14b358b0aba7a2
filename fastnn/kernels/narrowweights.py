# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from ._jit import kernel
from ._memory import address, copy, one, stack_array, transpose
from ._simd import ACCUMULATE, VECTOR_BYTES, gemm
from ._windows import inside

ROOM = 16384


@kernel
def weight_pixels(x, dw, columns, stride, dilation):
    """0: per-tap path; -1: transposed; else P pixels side by side."""
    lanes = VECTOR_BYTES // x.itemsize
    taps_h, taps_w, c, k = dw.shape
    if dilation[1] > 1:
        return 0
    usual = taps_w * c * ((k + lanes - 1) // lanes)
    pixels = max(1, min(columns, lanes // k))
    band = (pixels - 1) * stride[1] + taps_w
    side = band * c // pixels * ((pixels * k + lanes - 1) // lanes)
    flipped = k * ((taps_w * c + lanes - 1) // lanes)
    if 5 * min(side, flipped) > 4 * usual:
        return 0
    if flipped < side:
        pixels, band = -1, taps_w
    if _room(dw.shape, x.shape[1], columns, stride, abs(pixels)) > ROOM:
        return 0
    return pixels


@kernel
def _room(dw_shape, height, columns, stride, pixels):
    taps_h, taps_w, c, k = dw_shape
    return columns * k + taps_h * ((pixels - 1) * stride[1] + taps_w) * c * pixels * k + height * ((columns - 1) * stride[1] + taps_w) * c


@kernel
def narrow_weight_chunk(part, parts, pixels, x, dz, stride, padding, dilation, scratch, dw):
    images, height, width, c = x.shape
    taps_h, taps_w, _, k = dw.shape
    _, rows, columns, _ = dz.shape
    flipped, pixels = pixels < 0, abs(pixels)
    band = ((pixels - 1) * stride[1] + taps_w) * c
    row = ((columns - 1) * stride[1] + taps_w) * c
    memory = stack_array(x, ROOM)
    products = columns * k
    padded = products + taps_h * band * pixels * k
    memory[: padded + height * row] = 0
    inputs = min(width * c, row - padding[1] * c)
    for n in range(part * images // parts, (part + 1) * images // parts):
        if inputs > 0:
            copy(x, height, inputs, address(x, n * height * width * c), width * c,
                 address(memory, padded + padding[1] * c), row)  # fmt: skip
        gemm(x, 1, products, 1, rows, one(x), 0, 0, 0, address(dz, n * rows * products), 0, products, address(memory, 0), products, 0, ACCUMULATE)
        for r in range(taps_h):
            above = r * dilation[0] - padding[0]
            i0, i1 = inside(above, stride[0], rows, height)
            if i0 == i1:
                continue
            given = address(dz, (n * rows + i0) * products)
            seen = padded + (i0 * stride[0] + above) * row
            sums = address(memory, products + r * band * pixels * k)
            if flipped:
                gemm(x, k, band, i1 - i0, columns, given, 1, products, k, address(memory, seen), stride[0] * row, stride[1] * c, sums, band, 0, ACCUMULATE)
            else:
                whole, rest = columns // pixels, columns % pixels
                gemm(x, band, pixels * k, i1 - i0, whole, address(memory, seen), 1, stride[0] * row, pixels * stride[1] * c,
                     given, products, pixels * k, sums, pixels * k, 0, ACCUMULATE)
                if rest > 0:
                    done = whole * pixels
                    gemm(x, ((rest - 1) * stride[1] + taps_w) * c, rest * k, 1, i1 - i0, address(memory, seen + done * stride[1] * c), 1, 0, stride[0] * row,
                         given + done * k * x.itemsize, 0, products, sums, pixels * k, 0, ACCUMULATE)
    to = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]
    to[:] = 0
    for j in range(columns):
        for channel in range(k):
            to[dw.size + channel] += memory[j * k + channel]
    for r in range(taps_h):
        sums = products + r * band * pixels * k
        if flipped:
            transpose(x, k, band, address(memory, sums), band, address(to, r * band * k), k)
        else:
            for p in range(pixels):
                for i in range(taps_w * c):
                    for channel in range(k):
                        to[(r * taps_w * c + i) * k + channel] += memory[sums + (p * stride[1] * c + i) * pixels * k + p * k + channel]
