"""Two-dimensional pooling over NHWC images: maximum, average, and the average of the whole image.

Window (p, q) starts at pixel (p * stride - top, q * stride - left), where `padding` is (top, left), and sees only its
part inside the image.

An element of y is made of the pixels in its window, a row of dx of the rows of windows that see it. Where every element
is written exactly once, the last vector of an odd number of channels may overlap the one before it; gradients of
overlapping windows that are not 3 wide add up in the row, which stays in L1, and the last vector is masked. So are
channels fewer than a vector's lanes.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, MASKS_ARE_FREE, add, larger, load, load_pair, multiply, pair, spread, store, where_equal
from ._math import CHUNK
from ._parallel import run
from ._threes import are_threes, avg_back_threes, avg_threes, extent, max_back_threes, max_threes


@kernel
def max_pool2d_forward(x, size, stride, padding, index, y):
    """y (N, P, Q, C) = the maximum of each window of x (N, H, W, C); a NaN in the window wins.

    index (N, P, Q, C) uint16 = the place r * S + s in its window of the first maximum (or first NaN), row by row;
    size 0: skipped.
    """
    rows = _rows(x.size, y)
    chunks = -(-y.shape[0] * y.shape[1] // rows)
    if size[0] == size[1] == 3:
        run(_max_rows_of_threes, chunks, x.size, (rows, x, stride, padding, index, y))
    else:
        run(_max_rows, chunks, x.size, (rows, x, size, stride, padding, index, y))


@kernel
def _max_rows(chunk, rows, x, size, stride, padding, index, y):
    """A chunk of `rows` rows of y, counted through all images."""
    _, h, w, c = x.shape
    last_channel = max(0, c - LANES)
    for row in range(chunk * rows, min((chunk + 1) * rows, y.shape[0] * y.shape[1])):
        top = row % y.shape[1] * stride[0] - padding[0]
        r0, r1 = max(0, -top), min(size[0], h - top)
        first, last = 0, 0  # windows taken by two
        if _by_two(c, size) and r1 - r0 == 2:
            first, last = _complete_windows(w, 2, stride[1], padding[1], y.shape[2])
            last -= (last - first) % 2
            start = ((row // y.shape[1] * h + top) * w - padding[1]) * c
            for q in range(first, last, 2):
                _max_pair(x, start + q * stride[1] * c, stride[1] * c, w * c, index, (row * y.shape[2] + q) * c, c, y)
        for q in range(y.shape[2]):
            if first <= q < last:
                continue
            left = q * stride[1] - padding[1]
            s0, s1 = max(0, -left), min(size[1], w - left)
            start = ((row // y.shape[1] * h + top) * w + left) * c
            out = (row * y.shape[2] + q) * c
            for channel in range(0, c, LANES):
                at = min(channel, last_channel)
                corner, below, tap = start + (r0 * w + s0) * c + at, w * c, r0 * size[1] + s0
                best, place = load(x, corner, c), spread(index, tap)
                if r1 - r0 == 2 and s1 - s0 == 2:  # most common: (64, 14, 14, 16) in 25 us, 39 with loops
                    value = load(x, corner + c, c)
                    best, place = larger(best, place, value, spread(index, tap + 1))
                    value = load(x, corner + below, c)
                    best, place = larger(best, place, value, spread(index, tap + size[1]))
                    value = load(x, corner + below + c, c)
                    best, place = larger(best, place, value, spread(index, tap + size[1] + 1))
                else:
                    for r in range(r0, r1):
                        for s in range(s0, s1):
                            value = load(x, start + (r * w + s) * c + at, c)
                            best, place = larger(best, place, value, spread(index, r * size[1] + s))
                store(y, out + at, c, best)
                if index.size > 0:
                    store(index, out + at, c, place)


@kernel
def _max_rows_of_threes(chunk, rows, x, stride, padding, index, y):
    """The same for 3x3 windows."""
    _, h, w, c = x.shape
    first, last = _complete_windows(w, 3, stride[1], padding[1], y.shape[2])
    for row in range(chunk * rows, min((chunk + 1) * rows, y.shape[0] * y.shape[1])):
        top = row % y.shape[1] * stride[0] - padding[0]
        r0, r1 = max(0, -top), min(3, h - top)
        begin = (row // y.shape[1] * h + top) * w * c
        for q in range(y.shape[2]):
            if q <= first or q >= last:  # those from `first` to `last` at once, others alone
                count = last - first if q == first < last else 1
                max_threes(x, begin, r0, r1, stride[1], padding[1], q, count, index, row, y)


@kernel
def _by_two(c, size):
    """Say whether two 2x2 windows share a vector: (64, 28, 28, 6) forward in 39 us, 68 one by one; backward 39, 70."""
    return MASKS_ARE_FREE and c < LANES and 2 * c <= LANES and size[0] == 2 and size[1] == 2


@kernel
def _complete_windows(w, wide, stride, padding, count):
    """Return the first of the windows that lie inside a row of w pixels, and their end."""
    first = (padding + stride - 1) // stride
    return first, max(first, min(count, (w - wide + padding) // stride + 1))


@kernel
def _max_pair(x, start, apart, below, index, out, c, y):
    """The 2x2 windows at `start` and `apart` elements after it."""
    best, place = load_pair(x, start, start + apart, c), spread(index, 0)
    start += c
    best, place = larger(best, place, load_pair(x, start, start + apart, c), spread(index, 1))
    start += below - c
    best, place = larger(best, place, load_pair(x, start, start + apart, c), spread(index, 2))
    start += c
    best, place = larger(best, place, load_pair(x, start, start + apart, c), spread(index, 3))
    store(y, out, 2 * c, best)
    if index.size > 0:
        store(index, out, 2 * c, place)


@kernel
def max_pool2d_backward(index, dy, size, stride, padding, dx):
    """dx (N, H, W, C) = dy (N, P, Q, C) added at the pixel that `index` names in each window, else 0."""
    rows = _rows(dx.size, dx)
    chunks, args = -(-dx.shape[0] * dx.shape[1] // rows), (rows, index, dy, size, stride, padding, dx)
    if stride[0] >= size[0] and stride[1] >= size[1]:
        run(_max_back_rows, chunks, dx.size, args)
    else:
        run(_max_back_overlapping_rows, chunks, dx.size, args)


@kernel
def _max_back_rows(chunk, rows, index, dy, size, stride, padding, dx):
    """A chunk of `rows` rows of dx, counted through all images, where at most one window sees a pixel."""
    _, h, w, c = dx.shape
    p_count, q_count = dy.shape[1:3]
    last_channel = max(0, c - LANES)
    by_two = _by_two(c, size)
    gaps = stride[1] > size[1] or q_count * stride[1] - padding[1] < w
    for row in range(chunk * rows, min((chunk + 1) * rows, dx.shape[0] * dx.shape[1])):
        lower = row % h + padding[0]
        p_last = min(lower // stride[0], p_count - 1)
        r_last = lower - p_last * stride[0]
        windows = (row // h * p_count + p_last) * q_count * c  # where the last row of windows that sees this row lies
        if gaps or r_last >= size[0]:
            _clear(row * w * c, w * c, c, dx)
        if by_two and stride[1] == 2 and r_last < size[0]:
            _max_back_pairs(index, dy, windows, q_count, stride[1], padding[1], 2 * r_last, row, dx)
            continue
        for q in range(q_count if r_last < size[0] else 0):
            left = q * stride[1] - padding[1]
            s0, s1 = max(0, -left), min(size[1], w - left)
            for channel in range(0, c, LANES):
                at = min(channel, last_channel)
                place, value = load(index, windows + q * c + at, c), load(dy, windows + q * c + at, c)
                tap, pixel = r_last * size[1], (row * w + left) * c + at
                if s1 - s0 == 2:  # most common: gradient of (64, 14, 14, 32) in 86 us, 131 with the loop
                    store(dx, pixel + s0 * c, c, where_equal(place, spread(index, tap + s0), value))
                    store(dx, pixel + (s0 + 1) * c, c, where_equal(place, spread(index, tap + s0 + 1), value))
                    continue
                for s in range(s0, s1):
                    store(dx, pixel + s * c, c, where_equal(place, spread(index, tap + s), value))


@kernel
def _max_back_overlapping_rows(chunk, rows, index, dy, size, stride, padding, dx):
    """The same for windows that overlap."""
    _, h, w, c = dx.shape
    p_count, q_count = dy.shape[1:3]
    for row in range(chunk * rows, min((chunk + 1) * rows, dx.shape[0] * dx.shape[1])):
        lower = row % h + padding[0]
        p_last = min(lower // stride[0], p_count - 1)
        r_last = lower - p_last * stride[0]
        windows = (row // h * p_count + p_last) * q_count * c
        above = min(p_last + 1, (size[0] - r_last + stride[0] - 1) // stride[0])  # rows of windows that see this row
        if are_threes(size, stride) and above > 0:
            max_back_threes(index, dy, windows, above, stride, padding[1], r_last, row, dx)
            continue
        _clear(row * w * c, w * c, c, dx)
        for back in range(above):
            tap = (r_last + back * stride[0]) * size[1]
            for q in range(q_count):
                left = q * stride[1] - padding[1]
                s0, s1 = max(0, -left), min(size[1], w - left)
                window, pixel = windows + (q - back * q_count) * c, (row * w + left) * c
                for at in range(0, c, LANES):
                    place, value = load(index, window + at, c - at), load(dy, window + at, c - at)
                    for s in range(s0, s1):
                        share = where_equal(place, spread(index, tap + s), value)
                        to = pixel + s * c + at
                        store(dx, to, c - at, add(load(dx, to, c - at), share))


@kernel
def _max_back_pairs(index, dy, windows, count, stride, padding, tap, row, dx):
    """A row of dx and one of 2x2 windows, 2 pixels apart; `tap`: of the windows' first pixel in that row."""
    _, _, w, c = dx.shape
    wanted = pair(spread(index, tap), spread(index, tap + 1), c)
    for q in range(count):
        left, at = q * stride - padding, windows + q * c
        share = where_equal(load_pair(index, at, at, c), wanted, load_pair(dy, at, at, c))
        to = (row * w + left) * c
        if left >= 0 and left * c + LANES <= w * c:
            store(dx, to, LANES, share)  # whole, zeros at its end: they are overwritten, or belong there
        elif left >= 0:
            store(dx, to, min(2, w - left) * c, share)
        else:
            share = where_equal(load(index, at, c), spread(index, tap + 1), load(dy, at, c))
            store(dx, to + c, c, share)


@kernel
def _clear(start, count, c, dx):
    """Write `count` zeros, a multiple of c, to dx from `start` on."""
    step = min(c, LANES)
    for at in range(0, count, step):
        store(dx, start + min(at, count - step), c, spread(dx, 0.0))


@kernel
def avg_pool2d_forward(x, size, stride, padding, count_include_pad, y):
    """y (N, P, Q, C) = the sum of each window of x (N, H, W, C) divided by its count.

    The count is the window's pixels inside the image, or, with `count_include_pad`, inside the image padded by
    (top, left) on both sides, as in PyTorch.
    """
    rows = _rows(x.size, y)
    run(_avg_rows, -(-y.shape[0] * y.shape[1] // rows), x.size, (rows, x, size, stride, padding, count_include_pad, y))


@kernel
def global_avg_pool2d_forward(x, y):
    """y (N, C) = the mean of x (N, H, W, C) over its pixels."""
    n, h, w, c = x.shape
    avg_pool2d_forward(x, (h, w), (1, 1), (0, 0), False, y.reshape((n, 1, 1, c)))


@kernel
def _avg_rows(chunk, rows, x, size, stride, padding, count_include_pad, y):
    _, h, w, c = x.shape
    last_channel = max(0, c - LANES)
    for row in range(chunk * rows, min((chunk + 1) * rows, y.shape[0] * y.shape[1])):
        top = row % y.shape[1] * stride[0] - padding[0]
        r0, r1 = max(0, -top), min(size[0], h - top)
        tall = extent(top, size[0], h, padding[0] if count_include_pad else 0)
        known, share = 0, spread(x, 0.0)
        first, last = 0, 0
        if r1 - r0 == size[0] == size[1] == 3:
            first, last = _complete_windows(w, 3, stride[1], padding[1], y.shape[2])
            start = ((row // y.shape[1] * h + top) * w + first * stride[1] - padding[1]) * c
            out = (row * y.shape[2] + first) * c
            avg_threes(x, start + r0 * w * c, stride[1], w * c, 1.0 / (3 * tall), out, last - first, c, y)
        for q in range(y.shape[2]):
            if first <= q < last:
                continue
            left = q * stride[1] - padding[1]
            s0, s1 = max(0, -left), min(size[1], w - left)
            wide = extent(left, size[1], w, padding[1] if count_include_pad else 0)
            if wide != known:  # mostly that of the window before
                known, share = wide, spread(x, 1.0 / (tall * wide))
            start = ((row // y.shape[1] * h + top) * w + left) * c
            out = (row * y.shape[2] + q) * c
            for channel in range(0, c, LANES):
                at = min(channel, last_channel)
                total = spread(x, 0.0)
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        total = add(total, load(x, start + (r * w + s) * c + at, c))
                store(y, out + at, c, multiply(total, share))


@kernel
def avg_pool2d_backward(dy, size, stride, padding, count_include_pad, dx):
    """dx (N, H, W, C) = dy (N, P, Q, C) divided by its window's count, added at each pixel of the window."""
    rows = _rows(dx.size, dx)
    args = (rows, dy, size, stride, padding, count_include_pad, dx)
    run(_avg_back_rows, -(-dx.shape[0] * dx.shape[1] // rows), dx.size, args)


@kernel
def global_avg_pool2d_backward(dy, dx):
    """dx (N, H, W, C) = dy (N, C) / (H * W)."""
    n, h, w, c = dx.shape
    avg_pool2d_backward(dy.reshape((n, 1, 1, c)), (h, w), (h, w), (0, 0), False, dx)


@kernel
def _avg_back_rows(chunk, rows, dy, size, stride, padding, count_include_pad, dx):
    """A chunk of `rows` rows of dx, counted through all images. As _max_back_rows."""
    _, h, w, c = dx.shape
    p_count, q_count = dy.shape[1:3]
    last_channel = max(0, c - LANES)
    apart = stride[0] >= size[0] and stride[1] >= size[1]
    gaps = stride[1] > size[1] or q_count * stride[1] - padding[1] < w
    border_h, border_w = (padding[0], padding[1]) if count_include_pad else (0, 0)
    for row in range(chunk * rows, min((chunk + 1) * rows, dx.shape[0] * dx.shape[1])):
        lower = row % h + padding[0]
        p_last = min(lower // stride[0], p_count - 1)
        r_last = lower - p_last * stride[0]
        windows = (row // h * p_count + p_last) * q_count * c
        if apart:
            if gaps or r_last >= size[0]:
                _clear(row * w * c, w * c, c, dx)
            tall = extent(p_last * stride[0] - padding[0], size[0], h, border_h)
            known, share = 0, spread(dx, 0.0)
            for q in range(q_count if r_last < size[0] else 0):
                left = q * stride[1] - padding[1]
                s0, s1 = max(0, -left), min(size[1], w - left)
                wide = extent(left, size[1], w, border_w)
                if wide != known:  # mostly that of the window before
                    known, share = wide, spread(dx, 1.0 / (tall * wide))
                for channel in range(0, c, LANES):
                    at = min(channel, last_channel)
                    value = multiply(load(dy, windows + q * c + at, c), share)
                    for s in range(s0, s1):
                        store(dx, (row * w + left + s) * c + at, c, value)
            continue
        above = min(p_last + 1, (size[0] - r_last + stride[0] - 1) // stride[0])
        if are_threes(size, stride) and above > 0:
            avg_back_threes(dy, windows, above, p_last, size[0], stride, padding, (border_h, border_w), row, dx)
            continue
        _clear(row * w * c, w * c, c, dx)
        for back in range(above):
            tall = extent((p_last - back) * stride[0] - padding[0], size[0], h, border_h)
            for q in range(q_count):
                left = q * stride[1] - padding[1]
                s0, s1 = max(0, -left), min(size[1], w - left)
                share = spread(dx, 1.0 / (tall * extent(left, size[1], w, border_w)))
                window, pixel = windows + (q - back * q_count) * c, (row * w + left) * c
                for at in range(0, c, LANES):
                    value = multiply(load(dy, window + at, c - at), share)
                    for s in range(s0, s1):
                        to = pixel + s * c + at
                        store(dx, to, c - at, add(load(dx, to, c - at), value))


@kernel
def _rows(elements, out):
    """How many rows of `out` (of all images) make a chunk, where all of them move `elements` elements."""
    return max(1, CHUNK * out.shape[0] * out.shape[1] // elements)
