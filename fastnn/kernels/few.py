"""Dense layers of few outputs, inputs or samples.

The register tile multiplies one number with a vector of outputs, most lanes of which would be empty if these are few.
So forward the vectors are parts of the rows of x, as the transposed weights are, and back the weight gradient is made
as the transpose of dz.T @ x, whose rows are long. The input gradient multiplies rows by rows in any case, so that it
needs no transposed copies if either are few.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import MAX_ROWS
from ._epilogue import activate
from ._jit import kernel
from ._lanes import LANES, load, multiply_add, spread, totals
from ._memory import address, one, stack, transpose
from ._parallel import run
from ._rows import total
from ._simd import ACCUMULATE, gemm
from .activation import RELU

MOST = 6  # outputs forward, where a row is read again for each two of them
FEW, LONG = 4, 448  # samples or inputs of an input gradient, with so many terms twice as many
CHUNKS = 8
BLOCK = 64  # columns of x that chunks of the weight gradient share out
ROWS, COLUMNS = 64, 256  # of x whose products are added up at once
SUMS = MAX_ROWS * COLUMNS * 8


@kernel
def has_few_outputs(n, c, k):
    """Return whether forward products go by rows: several outputs from some samples and inputs on.

    Times of the tile by these, AVX-512, two threads: (128, 784, k) 3.5, 2.1, 1.6, 1.45, 1.14, 0.94 for 1, 2, 3, 4, 6, 8
    outputs; (1024, 784, 1) 4.7, (1000, 16, 1) 1.1, (1000, 10, 1) 0.8; (128, 128, 4) 1.02, (32, 64, 2) 0.96. Read again
    for each output, (128, 8, 2) had 0.7 and (1, 784, 4) 0.6.
    """
    return k <= MOST and c >= max(16, 64 * (k - 1)) and (k == 1 or n >= 8)


@kernel
def few_forward(x, w, b, activation, alpha, scratch, y):
    """y (N, K) = f(x (N, C) @ w (C, K) + b), K up to MOST."""
    (n, c), k = x.shape, w.shape[1]
    if k > 1:
        transpose(w, c, k, address(w, 0), k, address(scratch, 0), c)
    rows = w.reshape(-1) if k == 1 else scratch[: k * c]
    chunks = max(1, min(CHUNKS, n // 4))
    run(_forward_chunk, chunks, n * (c + 32) * k // 8, (chunks, x, rows, b, activation, alpha, y))


@kernel
def _forward_chunk(chunk, chunks, x, w, b, activation, alpha, y):
    """Some rows of y."""
    n, k = y.shape
    first, last = chunk * n // chunks, (chunk + 1) * n // chunks
    _row_products(x, w, first, last, y)
    for i in range(first, last):
        for output in range(k):
            value = y[i, output] + b[output] if b.size > 0 else y[i, output]
            y[i, output] = 0 if activation == RELU and value < 0 else value
    activate(y, activation, alpha, address(y, first * k), (last - first) * k)


@kernel
def is_row_product(n, c, k):
    """Return whether the input gradient goes by rows of dz and w: few samples, or few inputs.

    Times of other ways by this, AVX-512, two threads: (1, 100, 100) 2.2, (1, 1000, 100) 3.8, (4, 100, 100) 1.4,
    (4, 784, 256) 2.9, (128, 2, 1000) 6.2, (128, 4, 100) 1.2, (8, 100, 1000) 2.1, (128, 8, 1000) 2.5; (8, 100, 100) 0.9.
    """
    return min(n, c) <= (FEW if k < LONG else 2 * FEW)


@kernel
def row_input_gradient(dz, w, dx):
    """dx (N, C) = dz (N, K) @ w.T, whose rows are rows of dz where inputs are few, else columns."""
    (n, k), c = dz.shape, w.shape[0]
    work = n * (k + 32) * c // 8
    if c <= n:
        chunks = max(1, min(CHUNKS, n // 4))
        run(_row_chunk, chunks, work, (chunks, dz, w.reshape(-1), dx))
    else:
        chunks = max(1, min(CHUNKS, c // 4))
        run(_row_chunk, chunks, work, (chunks, w, dz.reshape(-1), dx.T))


@kernel
def _row_chunk(chunk, chunks, x, w, y):
    """Some rows of y."""
    n = y.shape[0]
    _row_products(x, w, chunk * n // chunks, (chunk + 1) * n // chunks, y)


@kernel
def _row_products(x, w, first, last, y):
    """Rows first..last-1 of y (N, K) = x (N, C) @ w.T, w (K * C,), four at a time; the last four may overlap others."""
    k = y.shape[1]
    for i in range(first, last, 4):
        i0 = max(first, min(i, last - 4))
        rows = i0, min(i0 + 1, last - 1), min(i0 + 2, last - 1), min(i0 + 3, last - 1)
        for output in range(0, k - 1, 2):
            _two_outputs(x, w, rows, output, y)
        if k % 2 == 1:
            _one_output(x, w, rows, k - 1, y)


@kernel
def _one_output(x, w, rows, output, y):
    """Products of four rows of x with a row of the transposed w."""
    c, (i0, i1, i2, i3) = x.shape[1], rows
    s0 = s1 = s2 = s3 = spread(x, 0.0)
    for j in range(0, c, LANES):
        left = c - j
        factor = load(w, output * c + j, left)
        s0 = multiply_add(load(x, i0 * c + j, left), factor, s0)
        s1 = multiply_add(load(x, i1 * c + j, left), factor, s1)
        s2 = multiply_add(load(x, i2 * c + j, left), factor, s2)
        s3 = multiply_add(load(x, i3 * c + j, left), factor, s3)
    y[i0, output], y[i1, output], y[i2, output], y[i3, output] = totals(s0, s1, s2, s3)


@kernel
def _two_outputs(x, w, rows, output, y):
    """Products of four rows of x with two rows of the transposed w."""
    c, (i0, i1, i2, i3) = x.shape[1], rows
    s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = spread(x, 0.0)
    for j in range(0, c, LANES):
        left = c - j
        factor, other = load(w, output * c + j, left), load(w, (output + 1) * c + j, left)
        x0, x1 = load(x, i0 * c + j, left), load(x, i1 * c + j, left)
        s0, t0 = multiply_add(x0, factor, s0), multiply_add(x0, other, t0)
        s1, t1 = multiply_add(x1, factor, s1), multiply_add(x1, other, t1)
        x2, x3 = load(x, i2 * c + j, left), load(x, i3 * c + j, left)
        s2, t2 = multiply_add(x2, factor, s2), multiply_add(x2, other, t2)
        s3, t3 = multiply_add(x3, factor, s3), multiply_add(x3, other, t3)
    y[i0, output], y[i1, output], y[i2, output], y[i3, output] = totals(s0, s1, s2, s3)
    output += 1
    y[i0, output], y[i1, output], y[i2, output], y[i3, output] = totals(t0, t1, t2, t3)


@kernel
def few_work(n, c, k):
    """Return the work of a weight gradient for `run`; a row takes some time whatever its length."""
    return n * (c + 32) * max(2, k) // 16


@kernel
def few_weight_gradient(x, dz, dw, db):
    """dw (C, K) = x.T (C, N) @ dz (N, K),  db (K,) = sum of dz, K up to MAX_ROWS.

    Times of the tile by these, AVX-512, two threads: (128, 784, k) 3.7, 2.3, 2.2, 1.4 for 1, 2, 4, 8 outputs;
    (10000, 784, 1) 7.5; (32, 128, 10) 1.2, (128, 128, 10) 1.15, (1000, 512, 10) 2.2. AVX2: (128, 784, 6) 1.4,
    (128, 128, 6) 1.7.
    """
    (n, c), k = x.shape, dz.shape[1]
    blocks = (c + BLOCK - 1) // BLOCK
    chunks = min(CHUNKS, blocks)
    run(_weight_chunk, chunks, few_work(n, c, k), (chunks, blocks, x, dz, dw, db))


@kernel
def _weight_chunk(chunk, chunks, blocks, x, dz, dw, db):
    """Some rows of dw, and in the first chunk db."""
    (n, c), k = x.shape, dz.shape[1]
    first, last = chunk * blocks // chunks * BLOCK, min(c, (chunk + 1) * blocks // chunks * BLOCK)
    few_sums(x, dz, 0, n, first, last, address(dw, first * k))
    if chunk == 0 and db.size > 0:
        column_sums(dz, 0, n, db)


@kernel
def few_sums(x, dz, i0, i1, first, last, to):
    """Write to an address rows first..last-1 of x.T @ dz, sums over the rows i0..i1-1 of both."""
    c, k = x.shape[1], dz.shape[1]
    few_columns(x, last - first, k, i1 - i0, address(x, i0 * c + first), c, address(dz, i0 * k), k, to, k)


@kernel
def has_few_columns(m, n, k):
    """Return whether the n last columns of a weight gradient (m, ...) with k terms go by `few_columns`.

    Times of the tile by this, AVX-512, one thread: 65^3, 66^3, 70^3 1.11, 1.09, 1.12, 97^3, 129^3 1.06, 1.07, (128,
    784, 65) 1.17, (128, 784, 74) 1.14, 76^3 1.04; (8, 784, 65) 1.03, (32, 20, 65) 1.0, (10, 20, 40) 0.93, (4, 100, 40)
    0.91, (100, 33, 46) 0.92. AVX2: 65^3, 70^3 1.07, 1.03.
    """
    return 0 < n <= MAX_ROWS and m >= max(32, 4 * n) and k >= 8


@kernel
def few_columns(like, m, n, k, a, a_k, b, b_k, c, c_row):
    """C (m, n) = A @ B, n up to MAX_ROWS, as the transpose of B.T @ A.T: a_row and b_n are 1, see `product`."""
    sums, size = stack(SUMS), like.itemsize
    for i in range(0, m, COLUMNS):
        rows, there = min(COLUMNS, m - i), c + i * c_row * size
        at = there if c_row == 1 else sums
        for d in range(0, k, ROWS):
            gemm(like, n, rows, 1, min(ROWS, k - d), b + d * b_k * size, 1, 0, b_k, a + (d * a_k + i) * size, 0, a_k,
                 at, COLUMNS, 0, ACCUMULATE if d > 0 else 0)  # fmt: skip
        if c_row > 1:
            transpose(like, n, rows, sums, COLUMNS, there, c_row)


@kernel
def column_sums(dz, first, last, db):
    """db (K,) = sum of the rows first..last-1 of dz (N, K), single elements by vectors."""
    k = db.size
    if k > 1:
        gemm(dz, 1, k, 1, last - first, one(dz), 0, 0, 0, address(dz, first * k), 0, k, address(db, 0), k, 0, 0)
        return
    db[0] = total(dz.reshape(-1)[first:last])
