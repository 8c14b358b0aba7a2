"""The direct weight gradient of convolutions: for each tap a product whose inner index runs over the pixels.

Neighbouring pixels lie all channels apart, often a power of two, which leaves them few sets of the caches. So blocks of
x and dz, a few channels wide, are copied to where they lie densely, and stay in L1 while all taps use them.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import MAX_ROWS, VECTOR_BYTES
from ._jit import kernel
from ._memory import address, copy, one, stack
from ._simd import ACCUMULATE, VECTORS, gemm
from ._windows import CHUNKS, complete, inside

BLOCK = 64  # output channels in one chunk
CHANNELS = 24 if MAX_ROWS < 12 else 32  # most input channels in one chunk: whole tiles, whole vectors
UNIT = VECTOR_BYTES // 4
NARROW = 12  # fewer input channels than this: the weight gradient joins those of a whole kernel row
PANEL = VECTORS * VECTOR_BYTES
FEW, SPARSE = 3, 128  # taps from which, and bytes of a pixel above which copies pay
PIXELS = 512  # of dz at once, times the bytes of an element
ROOM_X, ROOM_DZ = 96 << 10, PIXELS * BLOCK


@kernel
def weight_cut(images, dw_shape, groups):
    """Return into how many parts the batch, and into how many blocks the weights are cut: many weights make chunks."""
    blocks = groups * _blocks(dw_shape, groups) * _pieces(dw_shape)
    return min(images, CHUNKS, (2 * CHUNKS + blocks - 1) // blocks), blocks


@kernel
def _blocks(dw_shape, groups):
    """Blocks of a group's output channels."""
    return (dw_shape[3] // groups + BLOCK - 1) // BLOCK


@kernel
def _pieces(dw_shape):
    """Pieces of a group's input channels."""
    return (dw_shape[2] + CHANNELS - 1) // CHANNELS


@kernel
def direct_weight_chunk(chunk, parts, x, dz, stride, padding, dilation, groups, scratch, dw):
    """The sum over one part of the images for one block of dw, into the part's scratch."""
    images, height, width, c = x.shape
    taps_h, taps_w, cg, k = dw.shape
    _, rows, columns, _ = dz.shape
    kg, blocks, pieces = k // groups, _blocks(dw.shape, groups), _pieces(dw.shape)
    part, piece = chunk % parts, chunk // parts % pieces
    block, group = chunk // (parts * pieces) % blocks, chunk // (parts * pieces * blocks)
    units = (cg + UNIT - 1) // UNIT
    c0, c1 = piece * units // pieces * UNIT, min(cg, (piece + 1) * units // pieces * UNIT)
    at, channels = group * kg + block * BLOCK, min(BLOCK, kg - block * BLOCK)
    sums = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]  # dw's, then db's
    for tap in range(taps_h * taps_w):
        for first in range((tap * cg + c0) * k + at, (tap * cg + c1) * k, k):
            sums[first : first + channels] = 0
    from_n, to_n = part * images // parts, (part + 1) * images // parts
    pixels = rows * columns
    if piece == 0:
        gemm(x, 1, channels, 1, (to_n - from_n) * pixels, one(x), 0, 0, 0, address(dz, from_n * pixels * k + at), 0, k,
             address(sums, dw.size + at), k, 0, 0)  # fmt: skip

    reach = ((taps_h - 1) * dilation[0] + 1, (taps_w - 1) * dilation[1] + 1)
    copies_x, copies_dz = c * x.itemsize > SPARSE, k * x.itemsize > SPARSE
    several, high, wide = at_once(x, dz, c1 - c0, stride, reach)
    if taps_h * taps_w < FEW or several == 0 or not (copies_x or copies_dz):
        several, high, wide, copies_x, copies_dz = 1, rows, columns, False, False
    packed_x, packed_dz = stack(ROOM_X), stack(ROOM_DZ)
    for n in range(from_n, to_n, several):
        count = min(several, to_n - n)
        for i0 in range(0, rows, high):
            i1 = min(i0 + high, rows)
            h0, h1 = max(0, i0 * stride[0] - padding[0]), min(height, (i1 - 1) * stride[0] - padding[0] + reach[0])
            for j0 in range(0, columns, wide):
                j1 = min(j0 + wide, columns)
                v0, v1 = max(0, j0 * stride[1] - padding[1]), min(width, (j1 - 1) * stride[1] - padding[1] + reach[1])
                if h0 >= h1 or v0 >= v1:
                    continue
                outputs, channel = (n, count, i0, i1, j0, j1), group * cg + c0
                of_dz = (address(dz, n * pixels * k + at), pixels * k, columns * k, k, PANEL // dz.itemsize, 0, 0)
                if copies_dz:
                    of_dz = _copy_outputs(dz, outputs, at, channels, packed_dz)
                of_x = (address(x, n * height * width * c + channel), height * width * c, width * c, c, 0, 0)
                if copies_x:
                    of_x = _copy_inputs(x, (n, count, h0, h1, v0, v1), channel, c1 - c0, packed_x)
                _add_taps(x, of_x, of_dz, outputs, c0, c1, at, channels, groups, (height, width), stride, padding,
                          dilation, dw, sums)  # fmt: skip


@kernel
def at_once(x, dz, depth, stride, reach):
    """Return how many images, rows and columns of dz to copy at once, and `depth` channels of their x; 0: no copies."""
    (images, height, width, _), (_, rows, columns, _) = x.shape, dz.shape
    room, pixels = ROOM_X // (x.itemsize * depth), PIXELS // x.itemsize
    if rows * columns <= pixels and height * width <= room:
        return min(images, pixels // (rows * columns), room // (height * width)), rows, columns
    wide = min(columns, pixels)
    row = min(width, (wide - 1) * stride[1] + reach[1])
    high = min(rows, pixels // wide, (room // row - reach[0]) // stride[0] + 1)
    return (1, high, wide) if room // row >= reach[0] else (0, rows, columns)


@kernel
def _copy_outputs(dz, outputs, at, channels, to):
    """Copy panels of dz; return their address, the elements between images, rows, pixels, panels, and the origin."""
    (_, rows, columns, k), (n, count, i0, i1, j0, j1) = dz.shape, outputs
    size = dz.itemsize
    panel = PANEL // size
    row, image = (j1 - j0) * panel, (i1 - i0) * (j1 - j0) * panel
    dense = j1 - j0 == columns
    for first in range(0, channels, panel):
        for m in range(count):
            for i in range(i0, i0 + 1 if dense else i1):
                copy(dz, (i1 - i0) * columns if dense else j1 - j0, min(panel, channels - first),
                     address(dz, (((n + m) * rows + i) * columns + j0) * k + at + first), k,
                     to + (first // panel * count * image + m * image + (i - i0) * row) * size, panel)  # fmt: skip
    return to, image, row, panel, count * image, i0, j0


@kernel
def _copy_inputs(x, inputs, channel, depth, to):
    """Copy some channels of x; return their address, the elements between images, rows, pixels, and the origin."""
    (_, height, width, c), (n, count, h0, h1, v0, v1) = x.shape, inputs
    row, image = (v1 - v0) * depth, (h1 - h0) * (v1 - v0) * depth
    dense = v1 - v0 == width
    for m in range(count):
        for h in range(h0, h0 + 1 if dense else h1):
            copy(x, (h1 - h0) * width if dense else v1 - v0, depth,
                 address(x, (((n + m) * height + h) * width + v0) * c + channel), c,
                 to + (m * image + (h - h0) * row) * x.itemsize, depth)  # fmt: skip
    return to, image, row, depth, h0, v0


@kernel
def _add_taps(like, of_x, of_dz, outputs, c0, c1, at, channels, groups, size, stride, padding, dilation, dw, sums):
    """Add the shares of these outputs to the gradients of all taps, for the input channels c0..c1-1."""
    taps_h, taps_w, cg, k = dw.shape
    _, _, i0, i1, j0, j1 = outputs
    panel = PANEL // like.itemsize
    joined = cg < NARROW and groups == 1 and dilation[1] == 1  # a product has a row of taps, not one
    left, right = complete(stride[1], padding[1], dilation[1], taps_w, size[1], j0, j1)
    for first in range(0, channels, panel):
        panel_of_dz = (of_dz[0] + first // panel * of_dz[4] * like.itemsize, *of_dz[1:4], *of_dz[5:])
        count = min(panel, channels - first)
        for r in range(taps_h):
            u = r * dilation[0] - padding[0]
            from_i, to_i = inside(u, stride[0], i1, size[0])
            from_i = max(from_i, i0)
            to = r * taps_w * cg * k + c0 * k + at + first
            if joined:
                _add(like, of_x, panel_of_dz, outputs, (u, -padding[1]), from_i, to_i, left, right, stride,
                     taps_w * cg, count, address(sums, to), k)  # fmt: skip
                for j in range(j0, j1):
                    if not left <= j < right:
                        s0, s1 = inside(j * stride[1] - padding[1], 1, taps_w, size[1])
                        _add(like, of_x, panel_of_dz, outputs, (u, s0 - padding[1]), from_i, to_i, j, j + 1, stride,
                             (s1 - s0) * cg, count, address(sums, to + s0 * cg * k), k)  # fmt: skip
                continue
            for s in range(taps_w):
                v = s * dilation[1] - padding[1]
                from_j, to_j = inside(v, stride[1], j1, size[1])
                _add(like, of_x, panel_of_dz, outputs, (u, v), from_i, to_i, max(from_j, j0), to_j, stride,
                     c1 - c0, count, address(sums, to + s * cg * k), k)  # fmt: skip


@kernel
def _add(like, of_x, of_dz, outputs, tap, i0, i1, j0, j1, stride, rows, columns, to, to_row):
    """Add one tap's products with the outputs of rows i0..i1-1 and columns j0..j1-1."""
    if i0 >= i1 or j0 >= j1 or rows <= 0:
        return
    x, x_image, x_row, x_pixel, h0, v0 = of_x
    dz, dz_image, dz_row, dz_pixel, from_i, from_j = of_dz
    size = like.itemsize
    x += ((i0 * stride[0] + tap[0] - h0) * x_row + (j0 * stride[1] + tap[1] - v0) * x_pixel) * size
    dz += ((i0 - from_i) * dz_row + (j0 - from_j) * dz_pixel) * size
    x_row, x_pixel, outer, inner = stride[0] * x_row, stride[1] * x_pixel, i1 - i0, j1 - j0
    if inner == 1:  # one column: the longer loop inside
        x_pixel, dz_pixel, outer, inner = x_row, dz_row, 1, outer
    for m in range(outputs[1]):
        gemm(like, rows, columns, outer, inner, x + m * x_image * size, 1, x_row, x_pixel,
             dz + m * dz_image * size, dz_row, dz_pixel, to, to_row, 0, ACCUMULATE)  # fmt: skip
