"""Strassen's products."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._lanes import LANES, add, load, multiply, multiply_add, spread, store, where_positive
from ._memory import address, one
from ._packing import COLUMNS, PANEL, packed_block
from ._parallel import run
from ._simd import ACCUMULATE, START, gemm
from .activation import RELU

CHUNKS = 8
LINE = 64


def strassen_scratch_size(m, n, k):
    m1, n1, k1 = half(m), half(n), half(k)
    return 4 * (max(m1 * (k1 + 32), k1 * (m1 + 32)) + max(k1 * (n1 + 32), n1 * (k1 + 32))) + m1 * n


def half(n):
    return (n + 1) // 2


@kernel
def _row(columns, size):
    """Elements from one row of a sum to the next: an odd number of cache lines."""
    return ((columns * size + LINE - 1) // LINE | 1) * LINE // size


@kernel
def strassen(a, a_across, b, b_across, bias, activation, alpha, scratch, c, sums):
    """C = f(A @ B + bias)."""
    size = a.itemsize
    m, n = c.shape
    k = a.shape[0] if a_across else a.shape[1]
    a_rows, a_columns, b_rows, b_columns = ((a.shape[0] + 1) // 2, (a.shape[1] + 1) // 2, (b.shape[0] + 1) // 2,
                                            (b.shape[1] + 1) // 2)
    a_size, b_size = a_rows * _row(a_columns, size), b_rows * _row(b_columns, size)
    run(_sums_chunk, 2 * CHUNKS, 4 * (a.size + b.size), (a, a_across, b, b_across, scratch))
    panels = ((n + 1) // 2 * size + PANEL - 1) // PANEL
    row_blocks = 2
    column_blocks = (panels * PANEL + COLUMNS - 1) // COLUMNS
    run(_products_chunk, row_blocks * column_blocks, m * n * k // 16,
        (row_blocks, column_blocks, k, a, a_across, a_size, b, b_across, b_size, bias, activation, alpha, scratch, c,
         sums))


@kernel
def _sums_chunk(chunk, a, a_across, b, b_across, scratch):
    if chunk < CHUNKS:
        _sums(chunk, a, a_across, 1.0, scratch, 0)
    else:
        start = 4 * ((a.shape[0] + 1) // 2) * _row((a.shape[1] + 1) // 2, a.itemsize)
        _sums(chunk - CHUNKS, b, not b_across, -1.0, scratch, start)


@kernel
def _sums(part, a, across, sign, to, start):
    rows, columns = a.shape
    half_rows, half_columns = (rows + 1) // 2, (columns + 1) // 2
    right, down, right_columns = half_columns, half_rows * columns, columns // 2
    row = _row(half_columns, a.itemsize)
    matrix = half_rows * row
    plus, minus, minus_one = spread(a, sign), spread(a, -sign), spread(a, -1.0)
    for i in range(part * half_rows // CHUNKS, (part + 1) * half_rows // CHUNKS):
        lower = i + half_rows < rows
        for j in range(0, half_columns, LANES):
            at, left_count, right_count = i * columns + j, half_columns - j, right_columns - j
            q11 = load(a, at, left_count)
            q22 = load(a, at + down + right, right_count if lower else 0)
            of_right = load(a, at + right, right_count)
            of_down = load(a, at + down, left_count if lower else 0)
            if across:
                q21, q12 = of_right, of_down
            else:
                q21, q12 = of_down, of_right
            s1 = multiply_add(plus, q21, q22)
            s2 = multiply_add(minus, q11, s1)
            s3 = multiply_add(plus, q11, multiply(minus, q21))
            s4 = multiply_add(minus_one, s2, q12)
            out = start + i * row + j
            store(to, out, left_count, s1)
            store(to, out + matrix, left_count, s2)
            store(to, out + 2 * matrix, left_count, s3)
            store(to, out + 3 * matrix, left_count, s4)


@kernel
def _products_chunk(chunk, row_blocks, column_blocks, k, a, a_across, a_size, b, b_across, b_size, bias, activation,
                    alpha, scratch, c, sums):
    size = a.itemsize
    m, n = c.shape
    m1, n1, k1 = (m + 1) // 2, (n + 1) // 2, (k + 1) // 2
    m2, n2, k2 = m // 2, n // 2, k // 2
    width = PANEL // size
    panels = (n1 + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m1 // row_blocks, (row_block + 1) * m1 // row_blocks
    j0, j1 = column_block * panels // column_blocks * width, min(n1, (column_block + 1) * panels // column_blocks * width)
    rows1, rows2, columns1, columns2 = i1 - i0, min(i1, m2) - i0, j1 - j0, min(j1, n2) - j0
    a_row, a_k = (1, m) if a_across else (k, 1)
    b_k, b_n = (1, k) if b_across else (n, 1)
    s_row, s_k = (1, _row(m1, size)) if a_across else (_row(k1, size), 1)
    t_k, t_n = (1, _row(k1, size)) if b_across else (_row(n1, size), 1)
    a11, b11 = address(a, i0 * a_row), address(b, j0 * b_n)
    a12, a22 = a11 + k1 * a_k * size, a11 + (m1 * a_row + k1 * a_k) * size
    b21, b22 = b11 + k1 * b_k * size, b11 + (k1 * b_k + n1 * b_n) * size
    s, t = address(scratch, i0 * s_row), address(scratch, 4 * a_size + j0 * t_n)
    xy = 4 * (a_size + b_size) + i0 * n + j0
    x, y = address(scratch, xy), address(scratch, xy + n1)
    at11 = i0 * n + j0
    at12, at21 = at11 + n1, at11 + m1 * n
    at22 = at21 + n1
    c11, c12, c21 = address(c, at11), address(c, at12), address(c, at21)
    relu = tile_flags(activation)
    if sums.size > 0 and row_block == 0:
        gemm(a, 1, columns1, 1, k, one(a), 0, 0, 0, b11, 0, n, address(sums, j0), 0, 0, 0)
        gemm(a, 1, columns2, 1, k, one(a), 0, 0, 0, b11 + n1 * size, 0, n, address(sums, j0 + n1), 0, 0, 0)
    for step in range(7):
        rows, columns, terms, start, flags = rows1, columns1, k1, 0, 0
        of_a, of_a_row, of_a_k = s, s_row, s_k
        of_b, of_b_k, of_b_n = t, t_k, t_n
        if step == 0:
            of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to = a11, a_row, a_k, b11, b_k, b_n, x
            start = address(bias, j0) if bias.size > 0 else 0
        elif step == 1:
            of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to = a12, a_row, a_k, b21, b_k, b_n, c11
            start, flags, terms = x, START | relu, k2
        elif step == 2:
            of_a, of_b, to, flags = s + a_size * size, t + b_size * size, x, ACCUMULATE
        elif step == 3:
            of_a, to, start, flags, rows = s + 2 * a_size * size, c21, x, START, rows2
        elif step == 4:
            of_b, to, columns = t + 2 * b_size * size, y, columns2
        elif step == 5:
            _join(a, rows1, rows2, columns2, scratch, xy, n1, c, at12, at21, at22, bias, j0, relu != 0)
            of_a, of_b, of_b_k, of_b_n, to = s + 3 * a_size * size, b22, b_k, b_n, c12
            flags, terms, columns = ACCUMULATE | relu, k2, columns2
        else:
            of_a, of_a_row, of_a_k, of_b, to = a22, a_row, a_k, t + 3 * b_size * size, c21
            flags, terms, rows = ACCUMULATE | relu, k2, rows2
        packed_block(True, a, rows, columns, terms, of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to, n, start, flags)
    for i in range(rows1):
        activate(a, activation, alpha, c11 + i * n * size, columns1)
        activate(a, activation, alpha, c12 + i * n * size, columns2)
    for i in range(rows2):
        activate(a, activation, alpha, c21 + i * n * size, columns1)
        activate(a, activation, alpha, c21 + (i * n + n1) * size, columns2)


@kernel
def _join(like, rows1, rows2, columns, scratch, x, n1, c, at12, at21, at22, bias, j0, relu):
    n = c.shape[1]
    minus = spread(like, -1.0)
    for i in range(rows1):
        for j in range(0, columns, LANES):
            count, at = columns - j, i * n + j
            p5 = load(scratch, x + n1 + at, count)
            if bias.size > 0:
                p5 = add(p5, multiply_add(minus, load(bias, j0 + j, count), load(bias, n1 + j0 + j, count)))
            store(c, at12 + at, count, add(load(scratch, x + at, count), p5))
            if i < rows2:
                c22 = add(load(c, at21 + at, count), p5)
                if relu:
                    c22 = where_positive(c22, c22)
                store(c, at22 + at, count, c22)
