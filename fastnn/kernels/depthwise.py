"""Depthwise convolution, one input and one output channel in each group: no products to tile, so vectors of channels.

Forward gathers: a vector of outputs stays in a register while its window passes.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._lanes import LANES, add, load, multiply, spread, store
from ._windows import inside


@kernel
def depthwise_rows(x, n, w, b, stride, padding, dilation, i0, i1, relu, y):
    """Output rows i0..i1-1 of image n. x (N, H, W, C), w (R, S, 1, C), y (N, P, Q, C)."""
    (_, height, width, c), (taps_h, taps_w, _, _) = x.shape, w.shape
    _, rows, columns, _ = y.shape
    last_channel = max(0, c - LANES)
    for i in range(i0, i1):
        h = i * stride[0] - padding[0]
        r0, r1 = inside(h, dilation[0], taps_h, height)
        for j in range(columns):
            v = j * stride[1] - padding[1]
            s0, s1 = inside(v, dilation[1], taps_w, width)
            for channel in range(0, c, LANES):
                at = min(channel, last_channel)
                total = load(b, at, c) if b.size > 0 else spread(y, 0.0)
                for r in range(r0, r1):
                    source = ((n * height + h + r * dilation[0]) * width + v) * c + at
                    for s in range(s0, s1):
                        tap = load(w, (r * taps_w + s) * c + at, c)
                        total = add(total, multiply(load(x, source + s * dilation[1] * c, c), tap))
                store(y, ((n * rows + i) * columns + j) * c + at, c, total)
        if relu:
            out = y[n, i].reshape(-1)
            for t in range(out.size):
                out[t] = 0 if out[t] < 0 else out[t]


@kernel
def depthwise_input_chunk(n, dz, w, stride, padding, dilation, dx):
    """The input gradient of image n: every output adds to the inputs of its window."""
    _, height, width, _ = dx.shape
    dx[n] = 0
    for i in range(dz.shape[1]):
        h = i * stride[0] - padding[0]
        r0, r1 = inside(h, dilation[0], w.shape[0], height)
        for j in range(dz.shape[2]):
            v = j * stride[1] - padding[1]
            s0, s1 = inside(v, dilation[1], w.shape[1], width)
            given = dz[n, i, j]
            for r in range(r0, r1):
                for s in range(s0, s1):
                    out, taps = dx[n, h + r * dilation[0], v + s * dilation[1]], w[r, s, 0]
                    for c in range(given.size):
                        out[c] += given[c] * taps[c]


@kernel
def depthwise_weight_chunk(part, parts, x, dz, stride, padding, dilation, scratch, dw):
    """The sums over one part of the images: every output adds to the gradients of its window's taps."""
    images, height, width, k = x.shape
    taps_h, taps_w, _, _ = dw.shape
    sums = scratch[part * (dw.size + k) : (part + 1) * (dw.size + k)]  # dw's, then db's
    sums[:] = 0
    db = sums[dw.size :]
    for n in range(part * images // parts, (part + 1) * images // parts):
        for i in range(dz.shape[1]):
            h = i * stride[0] - padding[0]
            r0, r1 = inside(h, dilation[0], taps_h, height)
            for j in range(dz.shape[2]):
                v = j * stride[1] - padding[1]
                s0, s1 = inside(v, dilation[1], taps_w, width)
                given = dz[n, i, j]
                for c in range(k):
                    db[c] += given[c]
                for r in range(r0, r1):
                    for s in range(s0, s1):
                        source = x[n, h + r * dilation[0], v + s * dilation[1]]
                        to = sums[(r * taps_w + s) * k : (r * taps_w + s + 1) * k]
                        for c in range(k):
                            to[c] += source[c] * given[c]
