"""Strassen's products: 7 instead of 8 products of half the size, for products whose three dimensions are all large.

Strassen, "Gaussian Elimination is not Optimal", 1969, in Winograd's form with 15 sums instead of 18. With the quadrants
A11 A12 / A21 A22 of A, and those of B and C = A @ B alike:

    S1 = A21 + A22    S2 = S1 - A11     S3 = A11 - A21    S4 = A12 - S2
    T1 = B12 - B11    T2 = B22 - T1     T3 = B22 - B12    T4 = B21 - T2
    X = A11 B11       C11 = X + A12 B21
    X += S2 T2        C21 = X + S3 T3       Y = S1 T1
    C12 = X + Y       C12 += S4 B22
    C22 = C21 + Y     C21 += A22 T4

First the operands are written to the scratch memory: the sums, and of A the quadrants too, all as rows of terms that
lie in different sets of L1, so that they need no more copies. Then each chunk makes its part of all four quadrants of C
by `packed_block`, for which a sum is a matrix like any other. X and Y are halves of one matrix in the scratch memory.
Where a dimension is odd, the quadrants of its second half are a row, column or term smaller: sums have zeros there, and
products leave the terms away.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._lanes import LANES, add, load, multiply, multiply_add, spread, store, where_positive
from ._memory import address, copy, one, stack_array, transpose
from ._packing import COLUMNS, PANEL, packed_block
from ._parallel import run
from ._simd import ACCUMULATE, START, gemm

CHUNKS = 8  # of the operands of each side, and of C at least
ROW_BLOCKS = 2  # of a quadrant of C, for each of which B is copied again
LEAST_SIDE, LEAST = 1024, 3 << 30  # rows, columns and terms, and multiply-adds, from which these products pay
BLOCK_ROWS, BLOCK_COLUMNS = 64, 128  # of each operand, which pass through L2 on their way to the scratch memory
BLOCK = BLOCK_ROWS * BLOCK_COLUMNS
BLOCKS = 7 * BLOCK


def strassen_scratch_size(m, n, k):
    """Return the number of elements that C (m, n) = A @ B with k terms wants as scratch."""
    of_a, of_b, of_flipped = (_matrix.py_func(rows, columns) for rows, columns in ((m, k), (k, n), (n, k)))
    return 7 * of_a + 4 * max(of_b, of_flipped) + _half.py_func(m) * n


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
    of_s, of_t = _matrix(m, k), _matrix(b.shape[0], b.shape[1])
    run(_operands_chunk, (3 if sums.size > 0 else 2) * CHUNKS, 4 * (a.size + b.size),
        (a, a_across, of_s, b, b_across, of_t, scratch, sums))  # fmt: skip
    column_blocks = max(CHUNKS // ROW_BLOCKS, (_half(n) * c.itemsize + COLUMNS - 1) // COLUMNS)
    run(_products_chunk, ROW_BLOCKS * column_blocks, m * n * k // 16,
        (column_blocks, of_s, b, b_across, of_t, bias, activation, alpha, scratch, c))  # fmt: skip


@kernel
def _half(count):
    return (count + 1) // 2


@kernel
def _row(columns):
    """Return the elements from one row of an operand to the next."""
    return (columns + 31) // 32 * 32 + 16


@kernel
def _matrix(rows, columns):
    """Return the elements of an operand made of the quadrants of a matrix."""
    return _half(rows) * _row(_half(columns))


@kernel
def _operands_chunk(chunk, a, a_across, of_s, b, b_across, of_t, scratch, sums):
    """Some rows of S1 to S4, A11, A12 and A22, or of T3, T2, T1 and T4, or some sums over the rows of B."""
    part = chunk % CHUNKS
    if chunk < CHUNKS:
        _operands(part, a, a_across, 1.0, 7, a_across, scratch, 0, of_s)
    elif chunk < 2 * CHUNKS:
        _operands(part, b, not b_across, -1.0, 4, False, scratch, 7 * of_s, of_t)
    else:
        (k, n), lines = b.shape, (sums.size + LANES - 1) // LANES
        j0, j1 = part * lines // CHUNKS * LANES, min(n, (part + 1) * lines // CHUNKS * LANES)
        gemm(b, 1, j1 - j0, 1, k, one(b), 0, 0, 0, address(b, j0), 0, n, address(sums, j0), 0, 0, 0)


@kernel
def _operands(part, a, across, sign, count, flipped, to, start, step):
    """Some rows of the first `count` of S1 to S4, A11, A12 and A22, `step` elements apart, of the matrix A.

    across: a is A's transpose; flipped: and the operands are to be those of A. The sums T are the sums S of another
    matrix: with -B11 for A11, B21 for A12, -B12 for A21, of which `sign` and `across` make use, and B22.
    """
    (rows, columns), near = a.shape, stack_array(a, BLOCKS)
    half_rows, half_columns = _half(rows), _half(columns)
    down, row = half_rows * columns, _row(half_rows if flipped else half_columns)
    plus, minus, less = spread(a, sign), spread(a, -sign), spread(a, -1.0)
    first, last = part * half_rows // CHUNKS, (part + 1) * half_rows // CHUNKS
    for i0 in range(first, last, BLOCK_ROWS):
        i1 = min(i0 + BLOCK_ROWS, last)
        for j0 in range(0, half_columns, BLOCK_COLUMNS):
            j1 = min(j0 + BLOCK_COLUMNS, half_columns)
            for i in range(i0, i1):
                lower = i + half_rows < rows
                for j in range(j0, j1, LANES):
                    at, left, right = i * columns + j, j1 - j, min(j1, columns // 2) - j
                    of_right, of_down = load(a, at + half_columns, right), load(a, at + down, left if lower else 0)
                    a11, a22 = load(a, at, left), load(a, at + down + half_columns, right if lower else 0)
                    a12, a21 = (of_down, of_right) if across else (of_right, of_down)
                    s1 = multiply_add(plus, a21, a22)
                    s2 = multiply_add(minus, a11, s1)
                    here = (i - i0) * BLOCK_COLUMNS + j - j0
                    store(near, here, LANES, s1)
                    store(near, here + BLOCK, LANES, s2)
                    store(near, here + 2 * BLOCK, LANES, multiply_add(plus, a11, multiply(minus, a21)))
                    store(near, here + 3 * BLOCK, LANES, multiply_add(less, s2, a12))
                    if count == 7:
                        store(near, here + 4 * BLOCK, LANES, a11)
                        store(near, here + 5 * BLOCK, LANES, a12)
                        store(near, here + 6 * BLOCK, LANES, a22)
            for operand in range(count):
                source, at = address(near, operand * BLOCK), start + operand * step
                if flipped:
                    transpose(a, i1 - i0, j1 - j0, source, BLOCK_COLUMNS, address(to, at + j0 * row + i0), row)
                else:
                    copy(a, i1 - i0, j1 - j0, source, BLOCK_COLUMNS, address(to, at + i0 * row + j0), row)


@kernel
def _products_chunk(chunk, column_blocks, of_s, b, b_across, of_t, bias, activation, alpha, scratch, c):
    """Some rows and columns of each quadrant of C."""
    size = c.itemsize
    (m, n), k = c.shape, b.shape[1] if b_across else b.shape[0]
    m1, n1, k1, k2 = _half(m), _half(n), _half(k), k // 2
    width = PANEL // size
    panels = (n1 + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m1 // ROW_BLOCKS, (row_block + 1) * m1 // ROW_BLOCKS
    j0 = column_block * panels // column_blocks * width
    j1 = min(n1, (column_block + 1) * panels // column_blocks * width)
    rows1, rows2, columns1, columns2 = i1 - i0, min(i1, m // 2) - i0, j1 - j0, min(j1, n // 2) - j0

    a_row = _row(k1)
    b_k, b_n, t_k, t_n = (1, k, 1, _row(k1)) if b_across else (n, 1, _row(n1), 1)
    b11 = address(b, j0 * b_n)
    b21, b22 = b11 + k1 * b_k * size, b11 + (k1 * b_k + n1 * b_n) * size
    at, of_x = i0 * n + j0, 7 * of_s + 4 * of_t + i0 * n + j0
    x, y = address(scratch, of_x), address(scratch, of_x + n1)
    c11, c12 = address(c, at), address(c, at + n1)
    c21, relu = c11 + m1 * n * size, tile_flags(activation)
    for product in range(7):
        rows, columns, terms, start, flags, to = rows1, columns1, k1, 0, 0, x
        of_b, of_b_k, of_b_n = 0, b_k, b_n
        s, t = 0, -1
        if product == 0:  # A11 B11, which is in all quadrants of C, and so is the bias of C11
            s, of_b, start = 4, b11, address(bias, j0) if bias.size > 0 else 0
        elif product == 1:
            s, of_b, terms, to, start, flags = 5, b21, k2, c11, x, START | relu
        elif product == 2:
            s, t, flags = 1, 1, ACCUMULATE
        elif product == 3:
            s, t, rows, to, start, flags = 2, 0, rows2, c21, x, START
        elif product == 4:
            s, t, columns, to = 0, 2, columns2, y
        elif product == 5:
            _join(rows1, rows2, columns2, n1, scratch, of_x, bias, j0, relu != 0, c, at, at + m1 * n)
            s, of_b, columns, terms, to, flags = 3, b22, columns2, k2, c12, ACCUMULATE | relu
        else:
            s, t, rows, terms, to, flags = 6, 3, rows2, k2, c21, ACCUMULATE | relu
        if t >= 0:
            of_b, of_b_k, of_b_n = address(scratch, 7 * of_s + t * of_t + j0 * t_n), t_k, t_n
        packed_block(True, c, rows, columns, terms, address(scratch, s * of_s + i0 * a_row), a_row, 1,
                     of_b, of_b_k, of_b_n, to, n, start, flags)  # fmt: skip
    for i in range(rows1):
        activate(c, activation, alpha, c11 + i * n * size, columns1)
        activate(c, activation, alpha, c12 + i * n * size, columns2)
    for i in range(rows2):
        activate(c, activation, alpha, c21 + i * n * size, columns1)
        activate(c, activation, alpha, c21 + (i * n + n1) * size, columns2)


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
