"""A network's first convolution, few channels wide, with the 2x2 pooling and the ReLU after it.

Outputs are pooled while they lie in L1, so neither they nor their gradient are ever written to memory: four times what
is left. Lanes are images, GROUP of them, whatever the number of channels: see narrow.py. `index`, which only the
gradient reads, keeps that order.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._dots import CHANNELS, COLUMNS, ROWS, dots, pooled
from ._jit import kernel
from ._lanes import LANES, add, load, spread, store, where_equal
from ._memory import address, stack_array, transpose
from ._parallel import run
from ._windows import CHUNKS, bands, inside
from .conv import sum_chunk

GROUP = LANES
ROOM = 65536  # elements on the stack
NONE = 0


@kernel
def conv2d_pool_forward(x, w, b, padding, rectify, index, y):
    """y (N, P, Q, K) = max over 2x2 of x (N, H, W, C) * w (R, S, C, K), + b."""
    groups = (x.shape[0] + GROUP - 1) // GROUP
    cut = bands(groups, y.shape[1])
    run(_forward_chunk, groups * cut, y.size // w.shape[3] * w.size // 4, (cut, x, w, b, padding, rectify, index, y))


@kernel
def _forward_chunk(chunk, cut, x, w, b, padding, rectify, index, y):
    (images, height, width, c), (taps_h, taps_w, _, k) = x.shape, w.shape
    _, rows, columns, _ = y.shape
    group, band = chunk // cut, chunk % cut
    n = group * GROUP
    count = min(GROUP, images - n)
    memory = stack_array(x, ROOM)
    wide = 2 * columns + taps_w - 1
    inputs, row = columns * k * GROUP, wide * c * GROUP
    given = min(width, wide - padding[1])
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, ((ROOM - inputs) // row - taps_h + 1) // 2)
    blocks = (k + CHANNELS - 1) // CHANNELS
    for p0 in range(first, last, high):
        p1 = min(p0 + high, last)
        top, tall = 2 * p0 - padding[0], 2 * (p1 - p0) + taps_h - 1
        memory[inputs : inputs + tall * row] = 0
        for h in range(max(0, top), min(height, top + tall)):
            transpose(x, count, given * c, address(x, (n * height + h) * width * c), height * width * c,
                      address(memory, inputs + (h - top) * row + padding[1] * c * GROUP), GROUP)  # fmt: skip
        for p in range(p0, p1):
            for q in range(columns):
                seen = inputs + 2 * (p - p0) * row + 2 * q * c * GROUP
                at = ((group * rows + p) * columns + q) * k
                for block in range(blocks):
                    k0, k1 = block * k // blocks, (block + 1) * k // blocks
                    pooled(x, index, k1 - k0, taps_h, taps_w * c, address(memory, seen), wide * c, c,
                           address(w, k0), k, address(b, k0) if b.size > 0 else 0, rectify,
                           address(memory, (q * k + k0) * GROUP),
                           address(index, (at + k0) * GROUP) if index.size > 0 else 0)  # fmt: skip
            transpose(x, columns * k, count, address(memory, 0), GROUP,
                      address(y, (n * rows + p) * columns * k), rows * columns * k)  # fmt: skip


@kernel
def _gradient_cut(images, rows):
    """Parts of the batch, bands of rows."""
    groups = (images + LANES - 1) // LANES
    parts = min(groups, CHUNKS)
    return parts, bands(parts, rows)


@kernel
def conv2d_pool_weight_gradient(x, index, dy, padding, scratch, dw, db):
    """dw (R, S, C, K), db (K,) from x, index and dy (N, P, Q, K)."""
    parts, cut = _gradient_cut(x.shape[0], dy.shape[1])
    work = dy.size * dw.size // dw.shape[3] // 4
    run(_gradient_chunk, parts * cut, work, (parts, cut, x, index, dy, padding, scratch, dw))
    run(sum_chunk, CHUNKS, dw.size * parts * cut, (parts * cut, dw.size + dw.shape[3], scratch, dw.reshape(-1), db))


@kernel
def _gradient_chunk(chunk, parts, cut, x, index, dy, padding, scratch, dw):
    (images, height, width, c), (taps_h, taps_w, _, k) = x.shape, dw.shape
    _, rows, columns, _ = dy.shape
    groups = (images + LANES - 1) // LANES
    part, band = chunk // cut, chunk % cut
    memory = stack_array(x, ROOM)
    wide, taps = 2 * columns + taps_w - 1, taps_w * c
    sums = taps_h * taps * k
    z = (sums + k) * LANES
    given = z + 4 * columns * COLUMNS * LANES
    inputs, row = given + columns * k * LANES, wide * c * LANES
    seen = min(width, wide - padding[1])
    first, last = band * rows // cut, (band + 1) * rows // cut
    high = min(last - first, ((ROOM - inputs) // row - taps_h + 1) // 2)
    memory[: inputs + (2 * high + taps_h - 1) * row] = 0
    pieces = (k + COLUMNS - 1) // COLUMNS
    tiles = (taps + ROWS - 1) // ROWS
    for group in range(part * groups // parts, (part + 1) * groups // parts):
        n = group * LANES
        count = min(LANES, images - n)
        if count < LANES:
            memory[given : inputs + (2 * high + taps_h - 1) * row] = 0
        for p0 in range(first, last, high):
            p1 = min(p0 + high, last)
            h0 = max(0, 2 * p0 - padding[0])
            h1 = min(height, 2 * p1 - 1 - padding[0] + taps_h)
            for h in range(h0, h1):
                transpose(x, count, seen * c, address(x, (n * height + h) * width * c), height * width * c,
                          address(memory, inputs + (h - h0) * row + padding[1] * c * LANES), LANES)  # fmt: skip
            for p in range(p0, p1):
                transpose(x, count, columns * k, address(dy, (n * rows + p) * columns * k), rows * columns * k,
                          address(memory, given), LANES)  # fmt: skip
                for piece in range(pieces):
                    k0, side = piece * k // pieces, (piece + 1) * k // pieces - piece * k // pieces
                    line = 2 * columns * side * LANES
                    for channel in range(side):
                        total = spread(memory, 0.0)
                        for q in range(columns):
                            at = (q * k + k0 + channel) * LANES
                            place = load(index, ((group * rows + p) * columns * k) * GROUP + at, LANES)
                            value = load(memory, given + at, LANES)
                            to = z + (2 * q * side + channel) * LANES
                            s0 = where_equal(place, spread(index, 1), value)
                            s1 = where_equal(place, spread(index, 2), value)
                            s2 = where_equal(place, spread(index, 3), value)
                            s3 = where_equal(place, spread(index, 4), value)
                            store(memory, to, LANES, s0)
                            store(memory, to + side * LANES, LANES, s1)
                            store(memory, to + line, LANES, s2)
                            store(memory, to + line + side * LANES, LANES, s3)
                            total = add(total, add(add(s0, s1), add(s2, s3)))
                        at = (sums + k0 + channel) * LANES
                        store(memory, at, LANES, add(load(memory, at, LANES), total))
                    for r in range(taps_h):
                        h = 2 * p + r - padding[0]
                        a0, a1 = inside(h, 1, 2, height)
                        if a0 == a1:
                            continue
                        for t in range(tiles):
                            t0, t1 = t * taps // tiles, (t + 1) * taps // tiles
                            dots(x, t1 - t0, side, a1 - a0, 2 * columns,
                                 address(memory, inputs + (h + a0 - h0) * row + t0 * LANES), wide * c, c,
                                 address(memory, z + a0 * line), 2 * columns * side, side,
                                 address(memory, ((r * taps + t0) * k + k0) * LANES), k)  # fmt: skip
    result = chunk * (sums + k)
    for i in range(sums + k):
        total = memory[i * LANES]
        for lane in range(1, LANES):
            total += memory[i * LANES + lane]
        scratch[result + i] = total
