"""Pooling by windows 3 wide, which overlap at strides 1 and 2: what their loops need to fill the CPU."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, add, larger, load, multiply, spread, store, where_equal


@kernel
def are_threes(size, stride):
    """Say whether windows are 3 wide and overlap, at most three above each other."""
    return size[1] == 3 and stride[1] <= 2 and size[0] <= 3 * stride[0]


@kernel
def max_threes(x, begin, r0, r1, stride, padding, q, count, index, row, y):
    """`count` 3x3 windows of one width from number q on; rows from r0 to r1 of them lie inside the image.

    Pixels outside are replaced by their neighbours inside, which changes no maximum. (64, 32, 32, 16), stride 2, one
    thread: 207 us; 253 with all comparisons one after the other (test_pool.py in benchmarks/).
    """
    _, _, w, c = x.shape
    left = q * stride - padding
    s0, s1 = max(0, -left), min(3, w - left)
    r, s = min(r0 + 1, r1 - 1), min(s0 + 1, s1 - 1)
    middle, bottom = (r - r0) * w * c, (r1 - 1 - r0) * w * c
    near, far = (s - s0) * c, (s1 - 1 - s0) * c
    start, out = begin + (r0 * w + left + s0) * c, (row * y.shape[2] + q) * c
    p0, p1, p2 = spread(index, 3 * r0 + s0), spread(index, 3 * r0 + s), spread(index, 3 * r0 + s1 - 1)
    p3, p4, p5 = spread(index, 3 * r + s0), spread(index, 3 * r + s), spread(index, 3 * r + s1 - 1)
    p6, p7, p8 = spread(index, 3 * r1 - 3 + s0), spread(index, 3 * r1 - 3 + s), spread(index, 3 * r1 - 4 + s1)
    for window in range(count):
        for channel in range(0, c, LANES):
            at = min(channel, max(0, c - LANES))
            top = start + window * stride * c + at
            to = out + window * c + at
            # Rows first: three short chains of comparisons instead of a long one
            best, place = larger(load(x, top, c), p0, load(x, top + near, c), p1)
            best, place = larger(best, place, load(x, top + far, c), p2)
            top += middle
            second, second_place = larger(load(x, top, c), p3, load(x, top + near, c), p4)
            second, second_place = larger(second, second_place, load(x, top + far, c), p5)
            top += bottom - middle
            third, third_place = larger(load(x, top, c), p6, load(x, top + near, c), p7)
            third, third_place = larger(third, third_place, load(x, top + far, c), p8)
            best, place = larger(best, place, second, second_place)
            best, place = larger(best, place, third, third_place)
            store(y, to, c, best)
            if index.size > 0:
                store(index, to, c, place)


@kernel
def max_back_threes(index, dy, windows, above, stride, padding, tap, row, dx):
    """A row of dx where windows are 3 wide and overlap: sums of pixels stay in registers until they are complete.

    One thread, 3x3 stride 2: (64, 16, 16, 64) 140 us and (64, 32, 32, 16) 147; 214 and 652 where sums are added up in
    memory, since a load has to wait for the masked store before it.
    """
    _, _, w, c = dx.shape
    count = dy.shape[2]
    line, zero = count * c, spread(dx, 0.0)
    lower, lowest = 3 * (tap + stride[0]), 3 * (tap + 2 * stride[0])
    p0, p1, p2 = spread(index, 3 * tap), spread(index, 3 * tap + 1), spread(index, 3 * tap + 2)
    p3, p4, p5 = spread(index, lower), spread(index, lower + 1), spread(index, lower + 2)
    p6, p7, p8 = spread(index, lowest), spread(index, lowest + 1), spread(index, lowest + 2)
    for channel in range(0, c, LANES):
        at = min(channel, max(0, c - LANES))
        a, b = zero, zero  # what earlier windows gave to the first two pixels of this one
        for q in range(count):
            window = windows + q * c + at
            place, value = load(index, window, c), load(dy, window, c)
            a = add(a, where_equal(place, p0, value))
            b = add(b, where_equal(place, p1, value))
            third = where_equal(place, p2, value)
            if above > 1:
                place, value = load(index, window - line, c), load(dy, window - line, c)
                a = add(a, where_equal(place, p3, value))
                b = add(b, where_equal(place, p4, value))
                third = add(third, where_equal(place, p5, value))
            if above > 2:
                place, value = load(index, window - 2 * line, c), load(dy, window - 2 * line, c)
                a = add(a, where_equal(place, p6, value))
                b = add(b, where_equal(place, p7, value))
                third = add(third, where_equal(place, p8, value))
            left = q * stride[1] - padding
            _complete(left, row, c, at, a, dx)
            if stride[1] == 2:
                _complete(left + 1, row, c, at, b, dx)
                a, b = third, zero
            else:
                a, b = b, third
        left = count * stride[1] - padding
        _complete(left, row, c, at, a, dx)
        _complete(left + 1, row, c, at, b, dx)
        for pixel in range(left + 2, w):
            _complete(pixel, row, c, at, zero, dx)


@kernel
def avg_threes(x, start, stride, below, share, out, count, c, y):
    """`count` 3x3 windows inside the image from `start` on: their sums times `share`."""
    factor = spread(x, share)
    for q in range(count):
        for channel in range(0, c, LANES):
            at = min(channel, max(0, c - LANES))
            top = start + q * stride * c + at
            middle, bottom = top + below, top + 2 * below
            first = add(load(x, top, c), add(load(x, middle, c), load(x, bottom, c)))
            second = add(load(x, top + c, c), add(load(x, middle + c, c), load(x, bottom + c, c)))
            third = add(load(x, top + 2 * c, c), add(load(x, middle + 2 * c, c), load(x, bottom + 2 * c, c)))
            store(y, out + q * c + at, c, multiply(add(first, add(second, third)), factor))


@kernel
def avg_back_threes(dy, windows, above, p_last, tall, stride, padding, border, row, dx):
    """As max_back_threes."""
    _, h, w, c = dx.shape
    count = dy.shape[2]
    line, zero = count * c, spread(dx, 0.0)
    f0, f1, f2 = zero, zero, zero
    for channel in range(0, c, LANES):
        at = min(channel, max(0, c - LANES))
        a, b, known = zero, zero, 0
        for q in range(count):
            left = q * stride[1] - padding[1]
            wide = extent(left, 3, w, border[1])
            if wide != known:  # shares of the rows of windows; mostly those of the window before
                known = wide
                f0 = _share(p_last, tall, stride[0], padding[0], h, border[0], wide, dx)
                f1 = _share(p_last - 1, tall, stride[0], padding[0], h, border[0], wide, dx)
                f2 = _share(p_last - 2, tall, stride[0], padding[0], h, border[0], wide, dx)
            window = windows + q * c + at
            total = multiply(load(dy, window, c), f0)
            if above > 1:
                total = add(total, multiply(load(dy, window - line, c), f1))
            if above > 2:
                total = add(total, multiply(load(dy, window - 2 * line, c), f2))
            _complete(left, row, c, at, add(a, total), dx)
            b = add(b, total)
            if stride[1] == 2:
                _complete(left + 1, row, c, at, b, dx)
                a, b = total, zero
            else:
                a, b = b, total
        left = count * stride[1] - padding[1]
        _complete(left, row, c, at, a, dx)
        _complete(left + 1, row, c, at, b, dx)
        for pixel in range(left + 2, w):
            _complete(pixel, row, c, at, zero, dx)


@kernel
def _complete(pixel, row, c, at, value, dx):
    """Write a vector of a pixel of the row, if there is such a pixel."""
    if 0 <= pixel < dx.shape[2]:
        store(dx, (row * dx.shape[2] + pixel) * c + at, c, value)


@kernel
def _share(p, tall, stride, padding, h, border, wide, dx):
    """One divided by the count of a window in row p of windows."""
    return spread(dx, 1.0 / (extent(p * stride - padding, tall, h, border) * wide))


@kernel
def extent(start, size, pixels, border):
    """How many places count along one axis of the window that begins at `start`."""
    return min(start + size, pixels + border) - max(start, -border)
