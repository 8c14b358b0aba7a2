"""Two-dimensional convolution y = f(x * w + b) and its gradients, without im2col.

The inputs of one kernel row are contiguous in NHWC, so a row of outputs is a strided product (see `gemm` in _simd.py):
its rows are neighbouring pixels, its double sum runs over the kernel's rows and over the S*C inputs of a kernel row.
Pixels whose window crosses the left or right edge are taken column by column, as products with a longer row stride.

Where few of a row's pixels are complete, a product's rows are the same pixel of several images instead.

The input gradient is the same convolution with flipped, transposed weights, one set for each residue of the stride; the
weight gradient is in weights.py.

Channels that leave vectors empty take other ways: narrow.py. Depthwise convolution has no products: depthwise.py. 1x1
convolutions are dense layers: pointwise.py.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from math import gcd

from ._emitter import MAX_ROWS, VECTOR_BYTES
from ._epilogue import activate, prepare, tile_flags
from ._jit import kernel
from ._lanewise import WIDTH
from ._memory import WAYS, address, copy, stack, transpose
from ._parallel import run
from ._simd import ACCUMULATE, VECTORS, gemm
from ._tilings import is_winograd, is_winograd_back
from ._windows import CHUNKS, bands, complete, inside
from .activation import RELU
from .dense import dense_scratch_size, sum_parts
from .depthwise import depthwise_input_chunk, depthwise_rows, depthwise_weight_chunk
from .lanewise import is_lanewise_without_pooling, lane_outputs_chunk
from .narrow import (
    image_chunk,
    image_groups,
    image_rows,
    is_swept,
    swept_chunk,
    swept_pixels,
    swept_pixels_chunk,
    term_chunk,
    term_rows,
    term_weights_chunk,
    weight_chunk,
    weight_pixels,
)
from .pointwise import is_pointwise, pointwise_forward, pointwise_weight_gradient
from .weights import direct_weight_chunk, weight_cut
from .winograd import PLAIN, winograd, winograd_scratch_size, winograd_weight_gradient

SHORT_ROW = 12  # complete pixels, below which products go across images
OUTPUTS, DENSE = 512, 64 << 10  # from which, and bytes of weights from which a copy of them pays
ALIASED = 2048  # bytes that images are a multiple of apart, whose pixels share few sets of L1
NEAR, LINE = 512 << 10, 64  # bytes of a copy of images with a line between them
HEAVY = 1 << 20  # bytes of weights that stay in L2 beside the image: half of it on server cores
PANEL = VECTORS * VECTOR_BYTES


def conv2d_scratch_size(x_shape, w_shape, y_shape, stride, padding, dilation, groups):
    """Return the number of elements that all three passes want as scratch."""
    if is_winograd.py_func(y_shape, w_shape, stride, dilation, groups):
        return winograd_scratch_size(x_shape, w_shape, y_shape)
    taps, (_, _, cg, k) = w_shape[0] * w_shape[1], w_shape
    packed = taps * max(cg * whole.py_func(k), k * whole.py_func(cg)) if groups == 1 else 0
    pointwise = is_pointwise.py_func(x_shape, w_shape, y_shape, stride, padding, groups)
    as_dense = dense_scratch_size(y_shape[0] * y_shape[1] * y_shape[2], cg, k) if pointwise else 0
    return max(packed, as_dense, min(x_shape[0], CHUNKS) * (taps * cg * k + k))


@kernel
def whole(count):
    """Return count rounded up to the columns of float64's, and so of float32's, panels."""
    return (count + PANEL // 4 - 1) // (PANEL // 4) * (PANEL // 4)


@kernel
def conv2d_forward(x, w, b, stride, padding, dilation, groups, activation, alpha, scratch, y):
    """y (N, P, Q, K) = f(x (N, H, W, C) * w (R, S, C/groups, K) + b); padding: (top, left), the rest follows from y."""
    prepare(y, activation)
    if is_winograd(y.shape, w.shape, stride, dilation, groups):
        winograd(x, PLAIN, w.shape[0], address(x, 0), x.shape, address(w, 0), address(b, 0) if b.size > 0 else 0,
                 padding, activation, alpha, scratch, 0, 0, address(y, 0), y.shape)  # fmt: skip
        return
    if is_pointwise(x.shape, w.shape, y.shape, stride, padding, groups):
        run(pointwise_forward, 1, 0, (x, w, b, activation, alpha, scratch, y))
        return
    # Short rows and few channels: 1x28x28x1 to 6, 5x5 takes 6 us with two threads instead of 10.
    work = y.size // w.shape[3] * w.size // 16 * (8 if w.shape[3] < 16 else 3)
    if is_lanewise_without_pooling(x.shape[0], w.shape, y.shape[2], y.itemsize, stride, dilation, groups):
        lanes = (x.shape[0] + WIDTH - 1) // WIDTH
        cut = bands(lanes, (y.shape[1] + 1) // 2)
        run(lane_outputs_chunk, lanes * cut, work, (cut, x, w, b, padding, activation, alpha, y))
        return
    high = image_rows(x, w.shape, y.shape, stride, dilation, groups)
    if high > 0:
        cut = bands(image_groups(x), y.shape[1])
        run(image_chunk, image_groups(x) * cut, work, (cut, high, x, address(w, 0), w.shape[0], w.shape[1], b,
            stride, padding, dilation, activation, alpha, y))  # fmt: skip
        return
    if groups == w.shape[3] and w.shape[2] == 1:
        cut = bands(y.shape[0], y.shape[1])
        run(_depthwise_chunk, y.shape[0] * cut, work, (cut, x, w, b, stride, padding, dilation, activation, alpha, y))
        return
    parts = image_parts(x, complete(stride[1], padding[1], dilation[1], w.shape[1], x.shape[2], 0, y.shape[2]))
    cut = bands(parts, y.shape[1])
    at, panel = address(w, 0), panel_of(y, w.size // w.shape[3], w.shape[3], groups == 1 and dilation[1] == 1)
    if panel < w.shape[3]:
        at = address(scratch, 0)
        run(_pack_chunk, CHUNKS, w.size, (w, panel, at))
    run(forward_chunk, parts * cut, work,
        (parts, cut, x, w, at, panel, b, stride, padding, dilation, groups, activation, alpha, y))  # fmt: skip


@kernel
def panel_of(y, depth, k, plain):
    """Return how many of the weights' k columns lie densely together: all as they come, or the tile's in a copy.

    With a power of two of columns, a tile's column of weights falls into few sets of the caches: 12 rows, 128 columns,
    3,200 terms go at 74 % of the tile's best rate, and at 94 from a copy. It pays for a batch of outputs.
    """
    panel, wide = PANEL // y.itemsize, k * y.itemsize > 2 * PANEL
    return panel if wide and plain and depth * k * y.itemsize >= DENSE and y.size >= k * OUTPUTS else k


@kernel
def _pack_chunk(chunk, w, panel, to):
    """Copy panel after panel one share of the rows of w (R, S, C, K) as a matrix with K columns."""
    k, size = w.shape[3], w.itemsize
    depth = w.size // k
    first, last = chunk * depth // CHUNKS, (chunk + 1) * depth // CHUNKS
    for k0 in range(0, k, panel):
        copy(w, last - first, min(panel, k - k0), address(w, first * k + k0), k,
             to + (k0 * depth + first * panel) * size, panel)  # fmt: skip


@kernel
def forward_chunk(chunk, parts, cut, x, w, at, panel, b, stride, padding, dilation, groups, activation, alpha, y):
    """A band of rows of the images of one part of y, from x and w of floats or of pairs; w's panels lie at `at`."""
    (images, height, width, c), (taps_h, taps_w, cg, k) = x.shape, w.shape
    rows, columns = y.shape[1:3]
    part, band = chunk // cut, chunk % cut
    n, end = part * images // parts, (part + 1) * images // parts
    first, last = band * rows // cut, (band + 1) * rows // cut
    depth = taps_h * taps_w * cg
    h0 = max(0, first * stride[0] - padding[0])
    h1 = min(height, (last - 1) * stride[0] - padding[0] + (taps_h - 1) * dilation[0] + 1)
    from_x, x_image = near_images(x, n, end, h0, max(h0, h1), stack(NEAR))
    block = _channel_block(depth, k, panel, groups, x.itemsize)
    for k0 in range(0, k, block):
        from_w = at + k0 * (depth if panel < k else 1) * x.itemsize
        _images(x, end - n, from_x, x_image, height, width, c, from_w, taps_h, taps_w, cg, panel,
                min(block, k - k0), address(b, k0) if b.size > 0 else 0, stride, padding, dilation, groups,
                tile_flags(activation), address(y, n * rows * columns * k + k0), first, last, columns,
                rows * columns * k, columns * k, k)  # fmt: skip
    for image in range(n, end):
        activate(y, activation, alpha, address(y, (image * rows + first) * columns * k), (last - first) * columns * k)


@kernel
def _depthwise_chunk(chunk, cut, x, w, b, stride, padding, dilation, activation, alpha, y):
    _, rows, columns, k = y.shape
    n, band = chunk // cut, chunk % cut
    first, last = band * rows // cut, (band + 1) * rows // cut
    depthwise_rows(x, n, w, b, stride, padding, dilation, first, last, activation == RELU, y)
    activate(y, activation, alpha, address(y, (n * rows + first) * columns * k), (last - first) * columns * k)


@kernel
def conv2d_input_gradient(dz, w, stride, padding, dilation, groups, scratch, dx):
    """dx (N, H, W, C) from dz (N, P, Q, K)."""
    work = dz.size * w.size // w.shape[3] // 16
    if groups == w.shape[3] and w.shape[2] == 1:
        run(depthwise_input_chunk, dx.shape[0], work * 16, (dz, w, stride, padding, dilation, dx))
        return
    high = image_rows(dz, w.shape, dx.shape, stride, dilation, groups) if stride[0] == stride[1] == 1 else 0
    parts = min(dx.shape[0], CHUNKS)
    cut = bands(parts, dx.shape[1])
    if is_swept(w.shape, dz, dx, stride, padding, dilation, groups):
        run(swept_chunk, parts * cut, work, (parts, cut, dz, w, padding, dx))
        return
    pixels = swept_pixels(w.shape, dz, dx, stride, padding, dilation, groups)
    if pixels > 0:
        run(swept_pixels_chunk, parts * cut, work, (parts, cut, pixels, dz, w, padding, dx))
        return
    few = term_rows(w.shape, dz, dx, stride, padding, dilation, groups)
    if few > 0 and (dx.shape[3] <= 2 or high == 0):
        run(term_weights_chunk, w.shape[0], w.size, (w, scratch))
        run(term_chunk, parts * cut, work, (parts, cut, few, dz, w.shape, scratch, padding, dx))
        return
    panel, chosen = dx.shape[3], is_winograd_back(dx.shape, dz.shape, w.shape, stride, dilation, groups)
    if high == 0 and not chosen:
        panel = panel_of(dx, w.size // panel, panel, groups == 1 and dilation[1] == 1)
    flip(w, stride, padding, dilation, groups, panel, scratch)
    if chosen:
        padding = (w.shape[0] - 1 - padding[0], w.shape[1] - 1 - padding[1])
        winograd(dz, PLAIN, w.shape[0], address(dz, 0), dz.shape, address(scratch, 0), 0, padding, 0, 0.0,
                 scratch, w.size, 0, address(dx, 0), dx.shape)  # fmt: skip
        return
    if high > 0:
        cut = bands(image_groups(dz), dx.shape[1])
        opposite = ((w.shape[0] - 1) * dilation[0] - padding[0], (w.shape[1] - 1) * dilation[1] - padding[1])
        run(image_chunk, image_groups(dz) * cut, work, (cut, high, dz, address(scratch, 0), w.shape[0], w.shape[1],
            dx.reshape(-1)[:0], stride, opposite, dilation, 0, 0.0, dx))  # fmt: skip
        return
    _, _, count, pad, spread = _residue(0, stride[1], dilation[1], padding[1], w.shape[1])
    parts = image_parts(dz, complete(1, pad, spread, count, dz.shape[2], 0, dx.shape[2] // stride[1]))
    cut = bands(parts, dx.shape[1])
    run(input_chunk, parts * cut, work,
        (parts, cut, dz, w, stride, padding, dilation, groups, panel, scratch, dx))  # fmt: skip


@kernel
def input_chunk(chunk, parts, cut, dz, w, stride, padding, dilation, groups, panel, flipped, dx):
    (images, rows, columns, k), (taps_h, taps_w, _, _) = dz.shape, w.shape
    _, height, width, c = dx.shape
    part, band = chunk // cut, chunk % cut
    n, end = part * images // parts, (part + 1) * images // parts
    h0, h1 = band * height // cut, (band + 1) * height // cut
    low = max(0, (h0 + padding[0] - (taps_h - 1) * dilation[0] + stride[0] - 1) // stride[0])
    high = min(rows, (h1 - 1 + padding[0]) // stride[0] + 1)
    from_dz, dz_image = near_images(dz, n, end, low, max(low, high), stack(NEAR))
    offset = 0
    for i in range(stride[0]):
        _, _, count_h, pad_h, spread_h = _residue(i, stride[0], dilation[0], padding[0], taps_h)
        for j in range(stride[1]):
            _, _, count_w, pad_w, spread_w = _residue(j, stride[1], dilation[1], padding[1], taps_w)
            first, last = (h0 - i + stride[0] - 1) // stride[0], (h1 - i + stride[0] - 1) // stride[0]
            depth = count_h * count_w * k // groups
            block = _channel_block(depth, c, panel, groups, dx.itemsize)
            for c0 in range(0, c, block):
                _images(dz, end - n, from_dz, dz_image, rows, columns, k,
                        address(flipped, offset + c0 * (depth if panel < c else 1)), count_h, count_w, k // groups,
                        panel, min(block, c - c0), 0,
                        (1, 1), (pad_h, pad_w), (spread_h, spread_w), groups, 0,
                        address(dx, ((n * height + i) * width + j) * c + c0), first, last,
                        (width - j + stride[1] - 1) // stride[1], height * width * c, stride[0] * width * c,
                        stride[1] * c)  # fmt: skip
            offset += depth * (whole(c) if panel < c else c)


@kernel
def _residue(position, stride, dilation, padding, taps):
    """Return the taps that reach inputs at position + stride*a, as a convolution of stride 1 along one axis.

    Output i and tap r reach input i*stride - padding + r*dilation. Solved for i, with the taps counted down:
    i = a - pad + t*spread for tap r = first + (count - 1 - t)*step.
    """
    shared = gcd(stride, dilation)
    step, spread = stride // shared, dilation // shared
    first, count, pad = 0, 0, 0
    for r in range(min(step, taps)):
        if (position + padding - r * dilation) % stride == 0:
            first, count = r, (taps - r + step - 1) // step
            pad = (count - 1) * spread - (position + padding - r * dilation) // stride
    return first, step, count, pad, spread


@kernel
def flip(w, stride, padding, dilation, groups, panel, flipped):
    """Write the weights of each residue, taps reversed and channels transposed: (C/panel, taps, taps, K/groups, panel).

    panel: C, or less and then groups = 1.
    """
    run(_flip_chunk, w.shape[0], w.size, (w, stride, padding, dilation, groups, panel, flipped))


@kernel
def _flip_chunk(row, w, stride, padding, dilation, groups, panel, flipped):
    """The taps of one row."""
    taps_h, taps_w, cg, k = w.shape
    kg, c = k // groups, cg * groups
    to = 0
    for i in range(stride[0]):
        first_h, step_h, count_h, _, _ = _residue(i, stride[0], dilation[0], padding[0], taps_h)
        for j in range(stride[1]):
            first_w, step_w, count_w, _, _ = _residue(j, stride[1], dilation[1], padding[1], taps_w)
            for t in range(count_h):
                r = first_h + (count_h - 1 - t) * step_h
                for u in range(count_w if r == row else 0):
                    s = first_w + (count_w - 1 - u) * step_w
                    tap = to + (t * count_w + u) * kg * panel
                    for group in range(groups):
                        for c0 in range(0, cg, panel):
                            source = address(w, ((r * taps_w + s) * cg + c0) * k + group * kg)
                            at = tap + c0 * count_h * count_w * kg + group * cg
                            transpose(w, min(panel, cg - c0), kg, source, k, address(flipped, at), panel)
            to += count_h * count_w * kg * (whole(c) if panel < c else c)


@kernel
def image_parts(x, inside):
    """Return into how many parts the batch is cut: products have pixels of one image as rows, or images of one part.

    The latter where few of a row's pixels have their whole window inside: the others are products of their own.
    """
    images, (first, last) = x.shape[0], inside
    rows = MAX_ROWS if MAX_ROWS >= SHORT_ROW else 2 * MAX_ROWS
    return images if last - first >= SHORT_ROW or images < rows else (images + rows - 1) // rows


@kernel
def near_images(x, n, end, h0, h1, memory):
    """Return where row 0 of image n of x lies, and how many elements lie between images, for their rows h0..h1-1.

    A product across images reads as many of them as the tile has rows. Where all of these fall into one set of L1, and
    are more than it holds, the rows are copied to `memory` (NEAR bytes): 8x8 pixels, 5x5, 128 to 128 channels forward
    82 to 95 % of the peak with AVX-512.
    """
    _, height, width, c = x.shape
    image, count, size = height * width * c, (h1 - h0) * width * c, x.itemsize
    step = count + LINE // size
    if MAX_ROWS <= WAYS or end - n <= WAYS or image * size % ALIASED != 0 or (end - n) * step * size > NEAR:
        return address(x, n * image), image
    copy(x, end - n, count, address(x, (n * height + h0) * width * c), image, memory, step)
    return memory - h0 * width * c * size, step


@kernel
def _channel_block(depth, k, dense, groups, size):
    """Return how many output channels to compute at once, so that their weights stay in L2 for the whole image."""
    panel = PANEL // size
    if dense < k:
        return panel
    return k if groups > 1 else max(1, HEAVY // (depth * size * panel + 1)) * panel


@kernel
def _images(like, images, x, x_image, height, width, c, w, taps_h, taps_w, cg, k, count_k, bias, stride, padding,
            dilation, groups, flags, y, i0, i1, columns, y_image, y_row, y_pixel):  # fmt: skip
    """Output rows i0..i1-1. x, w, bias, y: addresses; x_image, y_image, y_row, y_pixel: between images, rows, pixels.

    The rows of a product are pixels of one image, or the same pixel of several.
    """
    size = like.itemsize
    top, bottom = complete(stride[0], padding[0], dilation[0], taps_h, height, i0, i1)
    left, right = complete(stride[1], padding[1], dilation[1], taps_w, width, 0, columns)
    x_row, x_pixel = stride[0] * width * c, stride[1] * c
    if images > 1:
        top, bottom, left, right = 0, 0, 0, 0
    down, along = dilation[0] * width * c, dilation[1] * c
    for i in range(i0, i1):
        h = i * stride[0] - padding[0]
        r0, r1 = inside(h, dilation[0], taps_h, height)
        from_x = (h + r0 * dilation[0]) * width * c
        from_w = r0 * taps_w * cg * k
        if left < right:
            v = left * stride[1] - padding[1]
            _pixels(like, right - left, r1 - r0, taps_w, x + (from_x + v * c) * size, x_pixel, down, along,
                    w + from_w * size, taps_w, cg, k, count_k, groups,
                    y + (i * y_row + left * y_pixel) * size, y_pixel,
                    bias, flags)  # fmt: skip
        for j in range(columns):
            if left <= j < right or (top <= i < bottom and i > top):
                continue  # done above, or with the column's first complete window
            v = j * stride[1] - padding[1]
            s0, s1 = inside(v, dilation[1], taps_w, width)
            count = bottom - top if i == top and top < bottom else images
            _pixels(like, count, r1 - r0, s1 - s0, x + (from_x + (v + s0 * dilation[1]) * c) * size,
                    x_row if images == 1 else x_image, down, along,
                    w + (from_w + s0 * cg * k) * size, taps_w, cg, k, count_k, groups,
                    y + (i * y_row + j * y_pixel) * size, y_row if images == 1 else y_image, bias, flags)  # fmt: skip


@kernel
def _pixels(like, count, taps_h, taps_w, x, x_pixel, down, along, w, w_taps, cg, k, count_k, groups, y, y_pixel,
            bias, flags):  # fmt: skip
    """`count` outputs of `count_k` channels each, their windows x_pixel apart.

    down, along: elements of x between taps; w has w_taps in a row and k channels.
    """
    size = like.itemsize
    if groups == 1 and along == cg:
        gemm(like, count, count_k, taps_h, taps_w * cg, x, x_pixel, down, 1,
             w, w_taps * cg * k, k, y, y_pixel, bias, flags)  # fmt: skip
        return
    kg = k // groups
    for group in range(groups):
        bias_at = bias + group * kg * size if bias != 0 else 0
        for r in range(max(1, taps_h)):  # no tap inside the image: bias and activation alone
            flags_now = (ACCUMULATE if r > 0 else 0) | (flags if r + 1 >= taps_h else 0)
            gemm(like, count, kg, taps_w if taps_h > 0 else 0, cg,
                 x + (group * cg + r * down) * size, x_pixel, along, 1,
                 w + (r * w_taps * cg * k + group * kg) * size, cg * k, k, y + group * kg * size, y_pixel,
                 bias_at, flags_now)  # fmt: skip


@kernel
def conv2d_weight_gradient(x, dz, stride, padding, dilation, groups, scratch, dw, db):
    """dw (R, S, C/groups, K), db (K,) from x (N, H, W, C) and dz (N, P, Q, K)."""
    if is_pointwise(x.shape, dw.shape, dz.shape, stride, padding, groups):
        run(pointwise_weight_gradient, 1, 0, (x, dz, scratch, dw, db))
        return
    k = dz.shape[3]
    parts, step, at = min(x.shape[0], CHUNKS), dw.size + k, 0
    work = dz.size * dw.size // k // 16
    pixels = weight_pixels(x, dz, dw, stride, dilation, groups)
    if is_winograd(dz.shape, dw.shape, stride, dilation, groups):
        parts, step, at = winograd_weight_gradient(x, PLAIN, dw.shape[0], address(x, 0), x.shape, 0, address(dz, 0),
                                                   dz.shape, padding, scratch)  # fmt: skip
    elif groups == k and dw.shape[2] == 1:
        run(depthwise_weight_chunk, parts, work * 16, (parts, x, dz, stride, padding, dilation, scratch, dw))
    elif pixels != 0:
        run(weight_chunk, parts, work, (parts, pixels, x, dz, stride, padding, dilation, scratch, dw))
    else:
        parts, blocks = weight_cut(x.shape[0], dw.shape, groups)
        run(direct_weight_chunk, parts * blocks, work, (parts, x, dz, stride, padding, dilation, groups, scratch, dw))
    run(sum_chunk, CHUNKS, dw.size * parts, (parts, step, scratch[at:], dw.reshape(-1), db))


@kernel
def sum_chunk(chunk, parts, step, scratch, dw, db):
    """Add the parts, `step` apart, in their order, for one chunk of the gradients."""
    first, last = chunk * dw.size // CHUNKS, (chunk + 1) * dw.size // CHUNKS
    sum_parts(parts, step, scratch, first, dw[first:last])
    if chunk == 0:
        sum_parts(parts, step, scratch, dw.size, db)
