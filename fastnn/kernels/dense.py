"""Dense layers: y = f(x @ w + b) and its gradients.

Each of the three products is C = A @ B with some strides, cut into chunks of C. Small ones run the register tile on the
operands as they lie; large ones first copy blocks of A and B into buffers that stay in the caches.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._jit import kernel
from ._parallel import run
from ._simd import ACCUMULATE, RELU, VECTOR_BYTES, VECTORS, address, copy, gemm, stack, transpose

PANEL = VECTORS * VECTOR_BYTES  # bytes in one row of a panel of B, which is as wide as the tile
DEPTH = 256  # rows of a packed panel: 32 KB with AVX-512, which L1 holds
ROWS = 1024  # bytes of one column of a packed block of A: with DEPTH columns 256 KB, which L2 holds
PAD = VECTOR_BYTES  # bytes between rows of packed A, so that the rows of a tile lie in different sets of L1
CHUNKS = 8  # wanted at least, for the thread pool
FLIPPED_ROWS = 64
FLIPPED = FLIPPED_ROWS * PANEL
PACKED_A, PACKED_B = (ROWS + PAD) * DEPTH, PANEL * DEPTH


@kernel
def _packed_chunk(chunk, like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias, flags):
    """One block of C = A @ B; A's row or column stride and B's row or column stride is 1."""
    size = like.itemsize
    width = PANEL // size
    panels = (n + width - 1) // width
    i0, i1 = chunk % row_blocks * m // row_blocks, (chunk % row_blocks + 1) * m // row_blocks
    p0, p1 = chunk // row_blocks * panels // column_blocks, (chunk // row_blocks + 1) * panels // column_blocks
    rows = i1 - i0
    packed_a, packed_b = stack(PACKED_A), stack(PACKED_B)
    packed_row, packed_k = (DEPTH + PAD // size, 1) if a_k == 1 else (1, rows)
    for k0 in range(0, k, DEPTH):
        depth = min(DEPTH, k - k0)
        from_a = a + (i0 * a_row + k0 * a_k) * size
        if a_k == 1:
            copy(like, rows, depth, from_a, a_row, packed_a, packed_row)
        else:
            copy(like, depth, rows, from_a, a_k, packed_a, packed_k)
        flags_now = (ACCUMULATE if k0 > 0 else 0) | (flags if k0 + depth == k else 0)
        for panel in range(p0, p1):
            j = panel * width
            columns = min(width, n - j)
            from_b = b + (k0 * b_k + j * b_n) * size
            if b_n == 1:
                copy(like, depth, columns, from_b, b_k, packed_b, width)
            else:
                transpose(like, columns, depth, from_b, b_n, packed_b, width)
            bias_at = bias + j * size if bias != 0 else 0
            gemm(like, rows, columns, 1, depth, packed_a, packed_row, 0, packed_k,
                 packed_b, 0, width, c + (i0 * n + j) * size, n, bias_at, flags_now)  # fmt: skip


@kernel
def _direct_chunk(chunk, like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias, flags):
    """The same block straight from the operands (b_n == 1)."""
    size = like.itemsize
    width = PANEL // size
    panels = (n + width - 1) // width
    i0, i1 = chunk % row_blocks * m // row_blocks, (chunk % row_blocks + 1) * m // row_blocks
    p0, p1 = chunk // row_blocks * panels // column_blocks, (chunk // row_blocks + 1) * panels // column_blocks
    j = p0 * width
    columns = min(p1 * width, n) - j
    bias_at = bias + j * size if bias != 0 else 0
    gemm(like, i1 - i0, columns, 1, k, a + i0 * a_row * size, a_row, 0, a_k,
         b + j * size, 0, b_k, c + (i0 * n + j) * size, n, bias_at, flags)  # fmt: skip


@kernel
def _product(like, m, n, k, a, a_row, a_k, b, b_k, b_n, c, bias, flags):
    """C (m, n) = A @ B (+ bias, relu) in chunks. Addresses; strides in elements; b_n == 1 or m is large."""
    size = like.itemsize
    panels = (n * size + PANEL - 1) // PANEL
    if b_n != 1 or (m >= 128 and n * size >= 2048 and k >= 64):
        row_blocks = (m * size + ROWS - 1) // ROWS
        column_blocks = min(panels, (CHUNKS + row_blocks - 1) // row_blocks)
        run(_packed_chunk, row_blocks * column_blocks, m * n * k // 16,
            (like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias, flags))  # fmt: skip
    else:
        row_blocks = (m + 255) // 256
        column_blocks = min(panels, (CHUNKS + row_blocks - 1) // row_blocks)
        run(_direct_chunk, row_blocks * column_blocks, m * n * k // 16,
            (like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias, flags))  # fmt: skip


@kernel
def _flipped_chunk(chunk, dz, w, row_blocks, dx):
    """A block of dx = dz @ w.T for few rows, as (w @ dz.T).T: w stays where it is, dz and the result are transposed."""
    size = dz.itemsize
    width = PANEL // size
    (m, n), c = dz.shape, w.shape[0]
    panel, part = chunk // row_blocks, chunk % row_blocks
    i0 = panel * width
    columns = min(width, m - i0)
    c0, c1 = part * c // row_blocks, (part + 1) * c // row_blocks
    dz_t, dx_t = stack(PACKED_B), stack(FLIPPED)
    for n0 in range(0, n, DEPTH):
        depth = min(DEPTH, n - n0)
        transpose(dz, columns, depth, address(dz, i0 * n + n0), n, dz_t, width)
        for c2 in range(c0, c1, FLIPPED_ROWS):
            rows = min(FLIPPED_ROWS, c1 - c2)
            if n0 > 0:
                transpose(dz, columns, rows, address(dx, i0 * c + c2), c, dx_t, width)
            gemm(dz, rows, columns, 1, depth, address(w, c2 * n + n0), n, 0, 1,
                 dz_t, 0, width, dx_t, width, 0, ACCUMULATE if n0 > 0 else 0)  # fmt: skip
            transpose(dz, rows, columns, dx_t, width, address(dx, i0 * c + c2), c)


@kernel
def dense_forward(x, w, b, activation, alpha, y):
    """y (N, K) = f(x (N, C) @ w (C, K) + b)."""
    (m, k), n = x.shape, w.shape[1]
    bias = address(b, 0) if b.size > 0 else 0
    _product(x, m, n, k, address(x, 0), k, 1, address(w, 0), n, 1, address(y, 0), bias, RELU if activation == 1 else 0)


@kernel
def dense_weight_gradient(x, dz, scratch, dw, db):
    """dw (C, K) = x.T @ dz,  db (K,) = sum of dz over N."""
    (k, m), n = x.shape, dz.shape[1]
    _product(x, m, n, k, address(x, 0), 1, m, address(dz, 0), n, 1, address(dw, 0), 0, 0)
    if db.size > 0:
        db[:] = 0
        for i in range(k):
            for j in range(n):
                db[j] += dz[i, j]


@kernel
def dense_input_gradient(dz, w, dx):
    """dx (N, C) = dz @ w.T."""
    (m, n), c = dz.shape, w.shape[0]
    if m >= 128:
        _product(dz, m, c, n, address(dz, 0), n, 1, address(w, 0), 1, n, address(dx, 0), 0, 0)
    else:
        panels = (m * dz.itemsize + PANEL - 1) // PANEL
        row_blocks = max(1, min(CHUNKS // panels, c // FLIPPED_ROWS))
        run(_flipped_chunk, panels * row_blocks, m * n * c // 16, (dz, w, row_blocks, dx))
