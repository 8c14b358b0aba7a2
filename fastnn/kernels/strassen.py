"""Strassen's products: 7 instead of 8 products of half the size, for products whose three dimensions are all large.

Strassen, "Gaussian Elimination is not Optimal", 1969, in Winograd's form with 15 sums instead of 18. With the quadrants
A11 A12 / A21 A22 of A, and those of B and C = A @ B alike:

    S1 = A21 + A22    S2 = S1 - A11     S3 = A11 - A21    S4 = A12 - S2
    T1 = B12 - B11    T2 = B22 - T1     T3 = B22 - B12    T4 = B21 - T2
    X = A11 B11       C11 = X + A12 B21
    X += S2 T2        C21 = X + S3 T3       Y = S1 T1
    C12 = X + Y       C12 += S4 B22
    C22 = C21 + Y     C21 += A22 T4

First the eight sums are written to the scratch memory, then each chunk makes its part of all four quadrants of C, with
the copies of `packed_block`, for which a sum is a matrix like any other. X and Y are the chunk's parts of one matrix
in the scratch memory. Where a dimension is odd, quadrants of the second half are a row, column or term smaller: sums
have zeros there, products leave the terms away.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._lanes import LANES, add, load, multiply, multiply_add, spread, store, where_positive
from ._memory import address, one
from ._packing import COLUMNS, PANEL, packed_block
from ._parallel import run
from ._simd import ACCUMULATE, START, gemm

CHUNKS = 8  # of the sums of each operand
ROW_BLOCKS, COLUMN_BLOCKS = 2, 1
LEAST_SIDE, LEAST = 1024, 2 << 30  # rows, columns and terms, and multiply-adds, from which these products pay


def strassen_scratch_size(m, n, k):
    """Return the number of elements that C (m, n) = A @ B with k terms wants as scratch."""
    parts = [_matrix.py_func(rows, columns) for rows, columns in ((m, k), (k, m), (k, n), (n, k))]
    return 4 * (max(parts[:2]) + max(parts[2:])) + _half.py_func(m) * n


@kernel
def is_strassen(m, n, k):
    """Return whether these products pay."""
    return min(m, n, k) >= LEAST_SIDE and m * n * k >= LEAST


@kernel
def strassen(a, a_across, b, b_across, bias, activation, alpha, scratch, c, sums):
    """C (m, n) = f(A @ B + bias), and where `sums` has a size the sums (n,) over the rows of B.

    a is A (m, k), or with `a_across` its transpose (k, m); b alike.
    """
    (m, n), k = c.shape, b.shape[1] if b_across else b.shape[0]
    run(_sums_chunk, (3 if sums.size > 0 else 2) * CHUNKS, 4 * (a.size + b.size),
        (a, a_across, b, b_across, scratch, sums))  # fmt: skip
    row_blocks, column_blocks = ROW_BLOCKS, max(COLUMN_BLOCKS, (_half(n) * c.itemsize + COLUMNS - 1) // COLUMNS)
    run(_products_chunk, row_blocks * column_blocks, m * n * k // 16,
        (row_blocks, column_blocks, a, a_across, b, b_across, bias, activation, alpha, scratch, c))  # fmt: skip


@kernel
def _half(count):
    return (count + 1) // 2


@kernel
def _row(columns):
    """Return the elements from one row of a sum to the next, which so lie in different sets of L1."""
    return (columns + 31) // 32 * 32 + 16


@kernel
def _matrix(rows, columns):
    """Return the elements of a sum of quadrants of a matrix of this size."""
    return _half(rows) * _row(_half(columns))


@kernel
def _sums_chunk(chunk, a, a_across, b, b_across, scratch, sums):
    """The sums S1 to S4 of some rows, or T3, T2, T1, T4, or the sums over the rows of B."""
    part = chunk % CHUNKS
    if chunk < CHUNKS:
        _sums(part, a, a_across, 1.0, scratch, 0)
    elif chunk < 2 * CHUNKS:
        _sums(part, b, not b_across, -1.0, scratch, 4 * _matrix(a.shape[0], a.shape[1]))
    else:
        (k, n), lines = b.shape, (sums.size + LANES - 1) // LANES
        j0, j1 = part * lines // CHUNKS * LANES, min(n, (part + 1) * lines // CHUNKS * LANES)
        gemm(b, 1, j1 - j0, 1, k, one(b), 0, 0, 0, address(b, j0), 0, n, address(sums, j0), 0, 0, 0)


@kernel
def _sums(part, a, across, sign, to, start):
    """S1 to S4 of some rows, of A or of what takes its place in the sums T: -B11 for A11, B21, -B12 for A21, B22."""
    rows, columns = a.shape
    half_rows, half_columns = _half(rows), _half(columns)
    down, row, matrix = half_rows * columns, _row(half_columns), _matrix(rows, columns)
    plus, minus, less = spread(a, sign), spread(a, -sign), spread(a, -1.0)
    for i in range(part * half_rows // CHUNKS, (part + 1) * half_rows // CHUNKS):
        lower = i + half_rows < rows
        for j in range(0, half_columns, LANES):
            at, to_at = i * columns + j, start + i * row + j
            left, right = half_columns - j, columns // 2 - j
            of_right, of_down = load(a, at + half_columns, right), load(a, at + down, left if lower else 0)
            a11, a22 = load(a, at, left), load(a, at + down + half_columns, right if lower else 0)
            a12, a21 = (of_down, of_right) if across else (of_right, of_down)
            s1 = multiply_add(plus, a21, a22)
            s2 = multiply_add(minus, a11, s1)
            store(to, to_at, left, s1)
            store(to, to_at + matrix, left, s2)
            store(to, to_at + 2 * matrix, left, multiply_add(plus, a11, multiply(minus, a21)))
            store(to, to_at + 3 * matrix, left, multiply_add(less, s2, a12))


@kernel
def _products_chunk(chunk, row_blocks, column_blocks, a, a_across, b, b_across, bias, activation, alpha, scratch, c):
    """Some rows and columns of each quadrant of C."""
    size = a.itemsize
    (m, n), k = c.shape, b.shape[1] if b_across else b.shape[0]
    m1, n1, k1, k2 = _half(m), _half(n), _half(k), k // 2
    width = PANEL // size
    panels = (n1 + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m1 // row_blocks, (row_block + 1) * m1 // row_blocks
    j0 = column_block * panels // column_blocks * width
    j1 = min(n1, (column_block + 1) * panels // column_blocks * width)
    rows1, rows2, columns1, columns2 = i1 - i0, min(i1, m // 2) - i0, j1 - j0, min(j1, n // 2) - j0

    a_row, a_k, s_row, s_k = (1, m, 1, _row(m1)) if a_across else (k, 1, _row(k1), 1)
    b_k, b_n, t_k, t_n = (1, k, 1, _row(k1)) if b_across else (n, 1, _row(n1), 1)
    a11, b11 = address(a, i0 * a_row), address(b, j0 * b_n)
    a12, a22 = a11 + k1 * a_k * size, a11 + (m1 * a_row + k1 * a_k) * size
    b21, b22 = b11 + k1 * b_k * size, b11 + (k1 * b_k + n1 * b_n) * size
    of_s, of_t = _matrix(a.shape[0], a.shape[1]), _matrix(b.shape[0], b.shape[1])
    s, t = address(scratch, i0 * s_row), address(scratch, 4 * of_s + j0 * t_n)
    at, of_x = i0 * n + j0, 4 * (of_s + of_t) + i0 * n + j0
    x, y = address(scratch, of_x), address(scratch, of_x + n1)
    c11, c12 = address(c, at), address(c, at + n1)
    c21, relu = c11 + m1 * n * size, tile_flags(activation)
    for step in range(7):
        rows, columns, terms, start, flags = rows1, columns1, k1, 0, 0
        of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to = s, s_row, s_k, t, t_k, t_n, x
        if step == 0:  # A11 B11, which is in all quadrants of C, and so is the bias of C11
            of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n = a11, a_row, a_k, b11, b_k, b_n
            start = address(bias, j0) if bias.size > 0 else 0
        elif step == 1:  # A12 B21
            of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to = a12, a_row, a_k, b21, b_k, b_n, c11
            start, flags, terms = x, START | relu, k2
        elif step == 2:  # S2 T2
            of_a, of_b, flags = s + of_s * size, t + of_t * size, ACCUMULATE
        elif step == 3:  # S3 T3
            of_a, to, start, flags, rows = s + 2 * of_s * size, c21, x, START, rows2
        elif step == 4:  # S1 T1
            of_b, to, columns = t + 2 * of_t * size, y, columns2
        elif step == 5:  # S4 B22
            _join(rows1, rows2, columns2, n1, scratch, of_x, bias, j0, relu != 0, c, at, at + m1 * n)
            of_a, of_b, of_b_k, of_b_n, to = s + 3 * of_s * size, b22, b_k, b_n, c12
            flags, terms, columns = ACCUMULATE | relu, k2, columns2
        else:  # A22 T4
            of_a, of_a_row, of_a_k, of_b, to = a22, a_row, a_k, t + 3 * of_t * size, c21
            flags, terms, rows = ACCUMULATE | relu, k2, rows2
        packed_block(True, a, rows, columns, terms, of_a, of_a_row, of_a_k, of_b, of_b_k, of_b_n, to, n, start, flags)
    for i in range(rows1):
        activate(a, activation, alpha, c11 + i * n * size, columns1)
        activate(a, activation, alpha, c12 + i * n * size, columns2)
    for i in range(rows2):
        activate(a, activation, alpha, c21 + i * n * size, columns1)
        activate(a, activation, alpha, c21 + (i * n + n1) * size, columns2)


@kernel
def _join(rows1, rows2, columns, n1, scratch, x, bias, j0, relu, c, upper, lower):
    """C12 = X + Y and C22 = f(C21 + Y), with the bias of the right half instead of the left one's."""
    n, less = c.shape[1], spread(c, -1.0)
    for i in range(rows1):
        for j in range(0, columns, LANES):
            count, at = columns - j, i * n + j
            y = load(scratch, x + at + n1, count)
            if bias.size > 0:
                y = add(y, multiply_add(less, load(bias, j0 + j, count), load(bias, j0 + j + n1, count)))
            store(c, upper + at + n1, count, add(load(scratch, x + at, count), y))
            if i < rows2:
                c22 = add(load(c, lower + at, count), y)
                store(c, lower + at + n1, count, where_positive(c22, c22) if relu else c22)
