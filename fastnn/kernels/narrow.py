"""Convolutions whose channels leave lanes of their last vector empty: one gray input, 3 colours, 6 or 20 maps.

    images as lanes    forward, input gradient: up to two vectors of images are interleaved pixel by pixel. No channel
                       count wastes lanes, and no padding is computed; it wants a batch, and a transpose at both ends.
    terms as lanes     input gradient: both factors are vectors of neighbouring inputs, whose products each output adds
                       up across lanes in the end. The inputs of a row of taps lie one after the other, so that no
                       number of channels wastes lanes. With one channel, 3x3 taps and outputs that fill one or two
                       vectors, all weights stay in registers, with 5x5 taps those of one vector at a time (_sweep.py;
                       for CPUs with 32 vector registers).
    several pixels     weight gradient: P neighbouring pixels with all their outputs are the columns of one product,
                       the inputs that any of them sees its rows; what lies outside a pixel's window is thrown away.
    outputs as rows    weight gradient: the transposed product, whose columns are the inputs of a kernel row.

`image_rows`, `term_rows` and `weight_pixels` choose; most 5x5 kernels go forward by lanewise.py. Batch 64, two cores,
before and after, in us (python -m pytest benchmarks/test_conv.py -k narrow; input gradients with terms as lanes in
loops of their own):

                                forward       weight gradient    input gradient
    28x28x1 to 6, 5x5                             270   137          1357   175
    28x28x1 to 16, 3x3                                                976   147
    28x28x1 to 32, 3x3                                               1099   272
    28x28x1 to 20, 5x5 valid                                         1112   484
    32x32x3 to 6, 5x5 valid                       617   252          3135   308
    32x32x3 to 16, 3x3                                               2175   357
    32x32x3 to 32, 3x3                                               2474   684
    32x32x3 to 32, 5x5                                               5238  1670
    14x14x6 to 16, 5x5 valid                                          694   171
    16x16x16 to 10, 3x3         347   282         358   237
    12x12x20 to 20, 5x5        1183   720        1227   971          1194   740

Since then input gradients of one channel have tiles of 14 pixels for rows of 28, 1.05 to 1.13 times as fast, and with
weights in registers 28x28x1 to 16, 3x3 takes 82 us, to 32 155. With those of one vector at a time 28x28x1 to 20, 5x5
valid takes 330 instead of 501 us, same 377 instead of 521, to 12 valid 241 instead of 266, 32x32x1 to 32 649 instead of
871, to 8 valid 194 instead of 225.

A product for each tap's share of a row of pixels, whose shares were added shifted, took 225 us for 28x28x1 to 16, 3x3,
340 to 32, but 405 to 20, 5x5; one of a whole image from planes of its outputs 490 for 32x32x3 to 16, 3x3.
Not so: 16 and 32 outputs with images as lanes (28x28x1 to 32: 231 to 437, 16x16x16 to 10's input gradient: 232 to 274).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import VECTOR_BYTES
from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._memory import address, copy, one, stack_array, transpose
from ._simd import ACCUMULATE, VECTORS, gemm
from ._sweep import MORE_TAPS, MOST, TAPS, add_lanes, sweep, sweep_pixels
from ._terms import dots, outputs_of, pixels_of
from ._windows import inside

PANEL = VECTORS * VECTOR_BYTES
IMAGES_ROOM = 49152  # elements on the stack: 192 KB of float32, which L2 holds
ROOM = 16384  # the same of the others: 64 KB
TERMS_ROOM = 32768  # the same of rows of dz


@kernel
def image_rows(x, w_shape, y_shape, stride, dilation, groups):
    """Return how many rows of y to compute at once with images as lanes, 0: not so. w_shape: (R, S, ...)."""
    group, lanes = PANEL // x.itemsize, VECTOR_BYTES // x.itemsize
    (images, _, width, c), (_, _, columns, k) = x.shape, y_shape
    if groups > 1 or dilation[1] > 1 or images < group or 5 * k > 4 * _whole(k, lanes):
        return 0
    window = (w_shape[0] - 1) * dilation[0] + 1
    rows = (IMAGES_ROOM - (columns + 1) * k * group) // (width * c * group)
    return (rows - window) // stride[0] + 1 if rows >= window else 0


@kernel
def image_groups(x):
    """Return into how many groups of images the batch is cut."""
    group = PANEL // x.itemsize
    return (x.shape[0] + group - 1) // group


@kernel
def image_chunk(chunk, bands, high, x, w, taps_h, taps_w, b, stride, padding, dilation, activation, alpha, y):
    """A band of rows of y (N, P, Q, K) for one group of images. w: address of the weights (R, S, C, K)."""
    (images, height, width, c), (_, rows, columns, k) = x.shape, y.shape
    group = PANEL // x.itemsize
    n, band = chunk // bands * group, chunk % bands
    count = min(group, images - n)
    memory = stack_array(x, IMAGES_ROOM)  # a row of y, what each of its pixels starts from, rows of x
    start, inputs, row = columns * k * group, (columns + 1) * k * group, width * c * group
    memory[start:inputs] = 0
    for channel in range(b.size):
        memory[start + channel * group : start + (channel + 1) * group] = b[channel]
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
                seen = inputs + (h + r0 * dilation[0] - h0) * row + (v + s0) * c * group
                gemm(x, k, count, r1 - r0, (s1 - s0) * c, w + (r0 * taps_w + s0) * c * k * x.itemsize, 1,
                     taps_w * c * k, k, address(memory, seen), dilation[0] * row, group,
                     address(memory, j * k * group), group, 0, tile_flags(activation) | ACCUMULATE)  # fmt: skip
            activate(x, activation, alpha, address(memory, 0), start)
            transpose(x, columns * k, count, address(memory, 0), group,
                      address(y, (n * rows + i) * columns * k), rows * columns * k)  # fmt: skip


@kernel
def term_rows(w_shape, dz, dx, stride, padding, dilation, groups):
    """Return how many rows of dx to compute at once with terms as lanes, 0: not so."""
    (taps_h, taps_w, c, k), width = w_shape, dx.shape[2]
    if groups > 1 or max(stride) > 1 or max(dilation) > 1 or c > outputs_of(VECTOR_BYTES // dx.itemsize):
        return 0
    if padding[0] >= taps_h or padding[1] >= taps_w:
        return 0
    room = TERMS_ROOM - VECTOR_BYTES // dx.itemsize * k  # the last tile has pixels that are none
    return max(0, min(dx.shape[1], room // ((width + taps_w - 1) * k) - taps_h + 1))


@kernel
def term_weights_chunk(r, w, flipped):
    """Write the weights of one row of the taps, turned round, as vectors of terms: (S * K / L, C, L) of L lanes."""
    (taps_h, taps_w, c, k), lanes = w.shape, VECTOR_BYTES // w.itemsize
    row = _whole(taps_w * k, lanes) * c
    flipped[r * row : (r + 1) * row] = 0
    for s in range(taps_w):
        for channel in range(c):
            for i in range(k):
                term = s * k + i
                to = r * row + (term // lanes * c + channel) * lanes + term % lanes
                flipped[to] = w[taps_h - 1 - r, taps_w - 1 - s, channel, i]


@kernel
def term_chunk(chunk, parts, bands, high, dz, w_shape, flipped, padding, dx):
    """The input gradient of one band of the rows of some images."""
    (taps_h, taps_w, c, k), (images, height, width, _) = w_shape, dx.shape
    _, rows, columns, _ = dz.shape
    part, band = chunk // bands, chunk % bands
    lanes = VECTOR_BYTES // dx.itemsize
    pixels = pixels_of(lanes, c, width)
    wide = (width + taps_w - 1) * k
    before = taps_w - 1 - padding[1]
    count = min(columns, width + taps_w - 1 - before)
    first, last = band * height // bands, (band + 1) * height // bands
    high = min(high, last - first)
    memory = stack_array(dx, TERMS_ROOM)  # rows of dz with zeros around them
    memory[: (high + taps_h - 1) * wide + lanes * k] = 0
    for n in range(part * images // parts, (part + 1) * images // parts):
        for h0 in range(first, last, high):
            h1 = min(h0 + high, last)
            top = h0 + padding[0] - taps_h + 1  # the row of dz in the memory's first
            for i in range(h1 - h0 + taps_h - 1):
                if 0 <= top + i < rows:
                    source, to = address(dz, ((n * rows + top + i) * columns) * k), i * wide + before * k
                    copy(dz, 1, count * k, source, 0, address(memory, to), 0)
                elif high < height:  # where rows of another block lay
                    memory[i * wide : (i + 1) * wide] = 0
            for h in range(h0, h1):
                to = (n * height + h) * width
                for j in range(0, width, pixels):
                    dots(dx, pixels, c, taps_h, taps_w * k, address(memory, (h - h0) * wide + j * k), k, wide,
                         address(flipped, 0), address(dx, (to + j) * c), min(pixels, width - j) * c)  # fmt: skip


@kernel
def is_swept(w_shape, dz, dx, stride, padding, dilation, groups):
    """Return whether the input gradient takes rows of sums whose lanes are outputs."""
    (taps_h, taps_w, c, k), lanes = w_shape, VECTOR_BYTES // dx.itemsize
    if taps_h != TAPS or taps_w != TAPS or c > 1 or k > MOST * lanes or k % lanes > 0 or groups > 1:
        return False
    if max(stride) > 1 or max(dilation) > 1 or dx.shape[2] + padding[1] > dz.shape[2] + TAPS - 1:
        return False
    return dz.shape[2] * k + (dz.shape[2] + TAPS - 1 + lanes) * lanes <= ROOM


@kernel
def swept_chunk(chunk, parts, bands, dz, w, padding, dx):
    """The input gradient of one band of the rows of some images."""
    (images, height, width, _), (_, rows, columns, k) = dx.shape, dz.shape
    part, band, lanes = chunk // bands, chunk % bands, VECTOR_BYTES // dx.itemsize
    row, wide = columns * k, columns + TAPS - 1 + lanes
    memory = stack_array(dx, ROOM)  # a row of zeros, and vectors of sums
    memory[: row + wide * lanes] = 0
    for n in range(part * images // parts, (part + 1) * images // parts):
        for h in range(band * height // bands, (band + 1) * height // bands):
            i = h + padding[0]  # the row of dz that the first taps reach
            nothing, at = address(memory, 0), address(dz, (n * rows + i) * row)
            sweep(dx, k // lanes, columns, at if 0 <= i < rows else nothing,
                  at - row * dx.itemsize if 1 <= i <= rows else nothing,
                  at - 2 * row * dx.itemsize if 2 <= i <= rows + 1 else nothing,
                  address(w, 0), address(memory, row))  # fmt: skip
            to = (n * height + h) * width
            for j in range(0, width, lanes):
                sums = address(memory, row + (padding[1] + j) * lanes)
                add_lanes(dx, sums, address(dx, to + j), min(lanes, width - j))


@kernel
def swept_pixels(w_shape, dz, dx, stride, padding, dilation, groups):
    """Return how many pixels' outputs fill whole vectors, of which each holds those of two pixels at most.

    0: the input gradient does not go through groups of pixels.
    """
    (taps_h, taps_w, c, k), lanes = w_shape, VECTOR_BYTES // dx.itemsize
    if MOST == 0 or taps_h != MORE_TAPS or taps_w != MORE_TAPS or c > 1 or k % 4 > 0 or 2 * k < lanes or groups > 1:
        return 0
    if max(stride) > 1 or max(dilation) > 1 or dx.shape[2] + padding[1] > dz.shape[2] + MORE_TAPS - 1:
        return 0
    pixels = 1
    while pixels * k % lanes > 0:
        pixels *= 2
    room = dz.shape[2] * k + (dz.shape[2] + MORE_TAPS + lanes) * lanes + MORE_TAPS * MORE_TAPS * pixels * k
    return pixels if dz.shape[2] % pixels == 0 and room <= ROOM else 0


@kernel
def swept_pixels_chunk(chunk, parts, bands, pixels, dz, w, padding, dx):
    """The input gradient of one band of the rows of some images."""
    (images, height, width, _), (_, rows, columns, k) = dx.shape, dz.shape
    part, band, lanes, size = chunk // bands, chunk % bands, VECTOR_BYTES // dx.itemsize, dx.itemsize
    row, wide, vectors, taps = columns * k, columns + MORE_TAPS + lanes, pixels * k // lanes, MORE_TAPS * MORE_TAPS
    memory = stack_array(dx, ROOM)  # a row of zeros, vectors of sums, and of weights
    table = row + wide * lanes
    memory[:row] = 0
    flat = w.reshape(-1)
    for v in range(vectors):
        for tap in range(taps):
            for lane in range(lanes):
                memory[table + (v * taps + tap) * lanes + lane] = flat[tap * k + (v * lanes + lane) % k]
    for n in range(part * images // parts, (part + 1) * images // parts):
        for h in range(band * height // bands, (band + 1) * height // bands):
            memory[row:table] = 0
            i = h + padding[0]  # the row of dz that the first taps reach
            nothing, at, step = address(memory, 0), address(dz, (n * rows + i) * row), row * size
            r0, r1 = at if 0 <= i < rows else nothing, at - step if 1 <= i < rows + 1 else nothing
            r2, r3 = at - 2 * step if 2 <= i < rows + 2 else nothing, at - 3 * step if 3 <= i < rows + 3 else nothing
            r4 = at - 4 * step if 4 <= i < rows + 4 else nothing
            for v in range(vectors):
                first, to = v * lanes // k, v * VECTOR_BYTES
                sweep_pixels(dx, columns // pixels, pixels * k * size, (r0 + to, r1 + to, r2 + to, r3 + to, r4 + to),
                             address(memory, table + v * taps * lanes), (first + 1) * k - v * lanes,
                             address(memory, row + first * lanes), pixels * VECTOR_BYTES)  # fmt: skip
            to = (n * height + h) * width
            for j in range(0, width, lanes):
                sums = address(memory, row + (padding[1] + j) * lanes)
                add_lanes(dx, sums, address(dx, to + j), min(lanes, width - j))


@kernel
def _whole(count, step):
    return (count + step - 1) // step * step


@kernel
def weight_pixels(x, dz, dw, stride, dilation, groups):
    """Return how many pixels stand side by side in the weight gradient, -1: outputs as rows, 0: neither.

    Counts the vectors of multiply-adds of a pixel and kernel row, and wants to save a fifth of them.
    """
    (_, taps_w, c, k), columns, lanes = dw.shape, dz.shape[2], VECTOR_BYTES // x.itemsize
    if groups > 1 or dilation[1] > 1:
        return 0
    pixels = max(1, min(columns, lanes // k))
    usual = taps_w * c * _whole(k, lanes)
    several = ((pixels - 1) * stride[1] + taps_w) * c * _whole(pixels * k, lanes) // pixels
    as_rows = k * _whole(taps_w * c, lanes)
    if 5 * min(several, as_rows) > 4 * usual:
        return 0
    pixels = -1 if as_rows < several else pixels
    _, padded, row = _weight_places(dw.shape, columns, stride[1], abs(pixels))
    return pixels if padded + x.shape[1] * row <= ROOM else 0


@kernel
def _weight_places(w_shape, columns, stride, pixels):
    """Return where weight_chunk's sums and its padded image begin, and the length of the image's rows."""
    taps_h, taps_w, c, k = w_shape
    sums = columns * k
    padded = sums + taps_h * ((pixels - 1) * stride + taps_w) * c * pixels * k
    return sums, padded, ((columns - 1) * stride + taps_w) * c


@kernel
def weight_chunk(part, parts, pixels, x, dz, stride, padding, dilation, scratch, dw):
    """The sum over one part of the images, into the part's scratch: dw's elements, then db's."""
    (images, height, width, c), (_, rows, columns, k), (taps_h, taps_w, _, _) = x.shape, dz.shape, dw.shape
    as_rows, pixels = pixels < 0, abs(pixels)
    memory = stack_array(x, ROOM)  # the sum of dz's rows, for db; dw's sums; an image padded left and right
    sums, padded, row = _weight_places(dw.shape, columns, stride[1], pixels)
    band, side, step = ((pixels - 1) * stride[1] + taps_w) * c, pixels * k, stride[1] * c
    memory[: padded + height * row] = 0
    inputs = min(width * c, row - padding[1] * c)
    for n in range(part * images // parts, (part + 1) * images // parts):
        if inputs > 0:
            copy(x, height, inputs, address(x, n * height * width * c), width * c,
                 address(memory, padded + padding[1] * c), row)  # fmt: skip
        gemm(x, 1, sums, 1, rows, one(x), 0, 0, 0, address(dz, n * rows * sums), 0, sums,
             address(memory, 0), sums, 0, ACCUMULATE)  # fmt: skip
        for r in range(taps_h):
            h = r * dilation[0] - padding[0]
            i0, i1 = inside(h, stride[0], rows, height)
            if i0 == i1:
                continue
            given, seen = (n * rows + i0) * sums, padded + (i0 * stride[0] + h) * row
            to = address(memory, sums + r * band * side)
            if as_rows:
                gemm(x, k, band, i1 - i0, columns, address(dz, given), 1, sums, k,
                     address(memory, seen), stride[0] * row, step, to, band, 0, ACCUMULATE)  # fmt: skip
                continue
            whole = columns // pixels * pixels
            gemm(x, band, side, i1 - i0, columns // pixels, address(memory, seen), 1, stride[0] * row, pixels * step,
                 address(dz, given), sums, side, to, side, 0, ACCUMULATE)  # fmt: skip
            if whole < columns:
                rest = columns - whole
                gemm(x, (rest - 1) * step + taps_w * c, rest * k, 1, i1 - i0,
                     address(memory, seen + whole * step), 1, 0, stride[0] * row,
                     address(dz, given + whole * k), 0, sums, to, side, 0, ACCUMULATE)  # fmt: skip
    result = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]
    result[:] = 0
    for j in range(sums):
        result[dw.size + j % k] += memory[j]
    for r in range(taps_h):
        source, to = sums + r * band * side, r * taps_w * c * k
        if as_rows:
            transpose(x, k, band, address(memory, source), band, address(result, to), k)
            continue
        for p in range(pixels):
            for i in range(taps_w * c):
                for channel in range(k):
                    result[to + i * k + channel] += memory[source + (p * step + i) * side + p * k + channel]
