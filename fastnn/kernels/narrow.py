"""Convolutions whose channels leave lanes of their last vector empty: one gray input, 3 colours, 6 or 20 maps.

    images as lanes    forward, input gradient: up to two vectors of images are interleaved pixel by pixel. No channel
                       count wastes lanes, and no padding is computed; it wants a batch, and a transpose at both ends.
    pixels as lanes    input gradient: a product gives each tap's share for a row of pixels; shares are added shifted.
    planes of dz       input gradient of 3 to 7 channels from up to 16: each output's rows of dz lie with zeros around
                       them as one long row, so that a whole image is a product for each row of taps, and no shares
                       are added up. 32x32x3 to 16, 3x3: 584 to 472 us, 28x28x3 to 12, 5x5: 819 to 638.
    several pixels     weight gradient: P neighbouring pixels with all their outputs are the columns of one product,
                       the inputs that any of them sees its rows; what lies outside a pixel's window is thrown away.
    outputs as rows    weight gradient: the transposed product, whose columns are the inputs of a kernel row.

`image_rows`, `plane_rows`, `pixel_step` and `weight_pixels` choose. Batch 64, two cores, before and after, in us
(python -m pytest benchmarks/test_conv.py -k narrow):

                                forward       weight gradient    input gradient
    28x28x1 to 6, 5x5           239   123         270   137          1357   240
    28x28x1 to 16, 3x3                                                976   205
    28x28x1 to 32, 3x3                                               1099   312
    28x28x1 to 20, 5x5 valid    334   269                            1112   399
    32x32x3 to 6, 5x5 valid     588   290         617   252          3135   308
    32x32x3 to 16, 3x3                                               2175   540
    32x32x3 to 32, 3x3                                               2474   920
    32x32x3 to 32, 5x5                                               5238  2110
    14x14x6 to 16, 5x5 valid                                          694   171
    16x16x16 to 10, 3x3         347   282         358   237
    12x12x20 to 20, 5x5        1183   720        1227   971          1194   740

Not so: 16 and 32 outputs with images as lanes (28x28x1 to 32: 231 to 437, 16x16x16 to 10's input gradient: 232 to 274).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import VECTOR_BYTES
from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._lanes import LANES, add, load, store
from ._memory import address, copy, one, stack_array, transpose
from ._simd import ACCUMULATE, VECTORS, gemm
from ._windows import inside

PANEL = VECTORS * VECTOR_BYTES
IMAGES_ROOM = 49152  # elements on the stack: 192 KB of float32, which L2 holds
ROOM = 16384  # the same of the others: 64 KB
PIXELS = 64  # of dz at once
PAGE = 1024  # elements
PLANES = 16  # of dz; with 32 shares of pixels are as fast


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
def pixel_step(w_shape, dz, dx, stride, padding, dilation, groups):
    """Return how many pixels of dz to take at once with pixels as lanes, 0: not so."""
    taps_h, taps_w, c, k = w_shape
    if groups > 1 or stride[1] > 1 or 2 * c * dx.itemsize > VECTOR_BYTES:
        return 0
    margin = (taps_w - 1) * dilation[1]
    row = _padded_row(dz.shape[2], dx.shape[2], padding[1], margin)
    step = min(PIXELS, _whole(dz.shape[2], LANES))
    while step > 0 and _shares_end(taps_h * taps_w * c, k, step, margin) + c * row > ROOM:
        step -= LANES
    return step


@kernel
def pixel_chunk(chunk, bands, step, dz, w, stride, padding, dilation, dx):
    """The input gradient of one band of an image's rows."""
    (_, rows, columns, k), (taps_h, taps_w, c, _) = dz.shape, w.shape
    _, height, width, _ = dx.shape
    n, band = chunk // bands, chunk % bands
    margin = (taps_w - 1) * dilation[1]
    row = _padded_row(columns, width, padding[1], margin)
    # Pixels of dz (K, step), the taps' shares of them (R, S, C, step) with zeros between rows, and rows of dx (C, W).
    memory, before = stack_array(dx, ROOM), _whole(margin, LANES)
    shares, share_row, planes = k * step, step + before, _shares_end(taps_h * taps_w * c, k, step, margin)
    high, last = (ROOM - planes) // (c * row), (band + 1) * height // bands
    for h0 in range(band * height // bands, last, high):
        h1 = min(h0 + high, last)
        memory[planes : planes + (h1 - h0) * c * row] = 0
        for j0 in range(0, columns, step):
            pixels = min(step, columns - j0)
            memory[shares:planes] = 0
            for i in range(rows):
                h = i * stride[0] - padding[0] - h0
                r0, r1 = inside(h, dilation[0], taps_h, h1 - h0)
                if r0 == r1:
                    continue
                transpose(dz, pixels, k, address(dz, ((n * rows + i) * columns + j0) * k), k, address(memory, 0), step)
                gemm(dz, (r1 - r0) * taps_w * c, pixels, 1, k, address(w, r0 * taps_w * c * k), k, 0, 1,
                     address(memory, 0), 0, step, address(memory, shares + before), share_row, 0, 0)  # fmt: skip
                for r in range(r0, r1):
                    for channel in range(c):
                        share = shares + before + ((r - r0) * taps_w * c + channel) * share_row
                        to = planes + ((h + r * dilation[0]) * c + channel) * row + j0
                        _add_shifted(memory, share, c * share_row - dilation[1], taps_w, to, pixels + margin)
        for h in range(h1 - h0):
            source = address(memory, planes + h * c * row + padding[1])
            to = address(dx, (n * height + h0 + h) * width * c)
            if c == 1:
                copy(dx, 1, width, source, 0, to, 0)
            else:
                transpose(dx, c, width, source, row, to, c)


@kernel
def plane_rows(w_shape, dz, dx, stride, padding, dilation, groups):
    """Return how many rows of dx to compute at once from planes of dz, 0: not so."""
    taps_h, taps_w, c, k = w_shape
    margin_h, margin = (taps_h - 1) * dilation[0], (taps_w - 1) * dilation[1]
    if groups > 1 or max(stride) > 1 or c < 3 or k > PLANES or 2 * c * dx.itemsize >= VECTOR_BYTES:
        return 0
    pitch = dx.shape[2] + margin
    # Room for as many planes as transpose's blocks have rows, at both ends
    high = min(dx.shape[1], (IMAGES_ROOM - 6 * LANES * LANES) // (2 * LANES * pitch) - margin_h)
    return high if high >= min(dx.shape[1], 4 * margin_h) else 0


@kernel
def plane_chunk(chunk, bands, high, dz, w, taps_h, taps_w, padding, dilation, dx):
    """The input gradient of one band of an image's rows. w: address of the flipped weights (R, S, K, C)."""
    (_, rows, columns, k), (_, height, width, c) = dz.shape, dx.shape
    n, band = chunk // bands, chunk % bands
    margin_h, margin = (taps_h - 1) * dilation[0], (taps_w - 1) * dilation[1]
    pitch = width + margin
    memory = stack_array(dx, IMAGES_ROOM)  # a plane for each output's rows of dz with zeros around them; dx's planes
    for at in range(0, IMAGES_ROOM, PAGE):
        memory[at] = 0  # masked accesses to pages that nobody has written yet take 75 us an image
    # Lines apart by an odd number fall into all sets of L1
    plane, result = _whole((high + margin_h) * pitch, 2 * LANES) + LANES, _whole(high * pitch, LANES)
    before = margin - padding[1]  # zeros to the left; where negative, pixels that no input has seen
    j0, j1 = max(0, -before), min(columns, pitch - before)
    last = (band + 1) * height // bands
    for h0 in range(band * height // bands, last, high):
        h1 = min(h0 + high, last)
        top = h0 + padding[0] - margin_h  # the row of dz in the planes' first
        memory[: k * plane] = 0
        for i in range(max(0, top), min(rows, h1 + padding[0])):
            transpose(dz, j1 - j0, k, address(dz, ((n * rows + i) * columns + j0) * k), k,
                      address(memory, (i - top) * pitch + before + j0), plane)  # fmt: skip
        count = (h1 - h0 - 1) * pitch + width
        for r in range(taps_h):
            gemm(dz, c, count, taps_w, k, w + r * taps_w * k * c * dx.itemsize, 1, k * c, c,
                 address(memory, r * dilation[0] * pitch), dilation[1], plane,
                 address(memory, k * plane), result, 0, ACCUMULATE if r > 0 else 0)  # fmt: skip
        for h in range(h1 - h0):
            transpose(dx, c, width, address(memory, k * plane + h * pitch), result,
                      address(dx, (n * height + h0 + h) * width * c), c)  # fmt: skip


@kernel
def _add_shifted(memory, source, apart, terms, to, count):
    """Add `terms` spans of `count` elements, `apart` from each other, to the span at `to`."""
    for t in range(0, count, LANES):
        total = load(memory, to + t, count - t)
        for term in range(terms):
            total = add(total, load(memory, source + term * apart + t, LANES))
        store(memory, to + t, count - t, total)


@kernel
def _shares_end(taps, k, step, margin):
    """Return where pixel_chunk's shares and the zeros behind the last of them end."""
    return k * step + (taps + 1) * (step + _whole(margin, LANES))


@kernel
def _padded_row(columns, width, padding, margin):
    """Return the length of a row of dx with all pixels that a window reaches."""
    return _whole(max(columns + margin, width + padding), LANES)


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
