"""Strassen's products: 7 instead of 8 products of half the size, for products whose three dimensions are all large.

Strassen, "Gaussian Elimination is not Optimal", 1969, in Winograd's form with 15 sums instead of 18. With the quadrants
A11 A12 / A21 A22 of A, and those of B and C = A @ B alike:

    S1 = A21 + A22    S2 = S1 - A11     S3 = A11 - A21    S4 = A12 - S2
    T1 = B12 - B11    T2 = B22 - T1     T3 = B22 - B12    T4 = B21 - T2
    X = A11 B11       C11 = X + A12 B21
    X += S2 T2        C21 = X + S3 T3       Y = S1 T1
    C12 = X + Y       C12 += S4 B22
    C22 = C21 + Y     C21 += A22 T4

First the sums are written to the scratch memory, as rows that lie in different sets of L1. Then each chunk makes its
part of all four quadrants of C by `packed_block`, for which a sum is a matrix like any other; X and Y are halves of a
matrix in the scratch memory. Of a transposed A the quadrants are written with the sums, all of them turned over.
Where a dimension is odd, the quadrants of its second half are a row, column or term smaller: sums have zeros there, and
products leave the terms away.

Times of the direct products by these, two threads, AVX-512, and NumPy's by these (benchmarks/test_dense_sweep.py):

    forward, weight gradient, input gradient      direct             NumPy
    1500^3                                        1.05 1.03 1.06     1.04 0.99 1.07
    2048^3                                        1.07 1.08 1.08     1.05 1.04 1.09
    2049^3                                        1.08 1.08 1.09     1.08 1.09 1.09
    3000^3                                        1.10 1.11 1.10     1.10 1.09 1.18
    4096^3                                        1.14 1.13 1.13     1.11 1.11 1.13
    (4096, 1024, 1024)                            1.09 1.06 1.08
    (1024, 2048, 2048)                            1.03 1.03 1.06

1500^3 and 2048^3 in float64: 1.05 to 1.07 and 1.10 to 1.13; on AVX2 1.01 to 1.03 and 1.09 to 1.11.
Largest error of the largest result from 1477^3 to 3000^3: 1.3e-6 to 1.8e-6, direct 0.4e-6 to 0.6e-6 (normal numbers;
float64 2.0e-15 and 1.4e-15). It is relative to the largest numbers of all rows and columns, also for a small result. An
infinite input makes NaN of results in other rows and columns than its own.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._epilogue import activate, tile_flags
from ._features import HAS_FAR_CACHES
from ._jit import kernel
from ._lanes import LANES, add, load, multiply, multiply_add, spread, store, where_positive
from ._memory import address, one, stack_array, transpose
from ._packing import COLUMNS, PANEL, packed_block
from ._parallel import run
from ._simd import ACCUMULATE, START, gemm

# Rows, columns and terms, and multiply-adds, from which these products pay: (256, 4096, 4096) 0.89 to 0.97 times the
# speed, 1100^3 0.97 to 1.01. 1300^3 1.05, but for 4 threads at most, see below.
LEAST_SIDE, LEAST = 1024, 3 << 30
# Chunks of the sums of each side; and of C, where each then has so many rows, and bytes of a row, of every quadrant.
# Otherwise there are 4 chunks or more: copies take so long that 1500^3 in 8 is only as fast as the direct product.
CHUNKS, ROWS, WIDTH = 8, 512, COLUMNS // 2
BLOCK_ROWS, BLOCK_COLUMNS = 64, 128  # of sums that are to be turned over, which lie in L2 meanwhile
BLOCK = BLOCK_ROWS * BLOCK_COLUMNS
BLOCKS = 7 * BLOCK


def strassen_scratch_size(m: int, n: int, k: int, across: bool) -> int:
    """Return the number of elements that C (m, n) = A @ B with k terms wants; across: for A's transpose."""
    of_a, of_b, of_across = (_matrix.py_func(rows, columns) for rows, columns in ((m, k), (k, n), (n, k)))
    return int(_operands.py_func(across) * of_a + 4 * max(of_b, of_across) + _half.py_func(m) * n)


@kernel
def is_strassen(m, n, k):
    """Return whether these products pay: not where caches are far, see packed.py."""
    return not HAS_FAR_CACHES and m >= LEAST_SIDE and n >= LEAST_SIDE and k >= LEAST_SIDE and m * n * k >= LEAST


@kernel
def strassen(_, a, a_across, b, b_across, bias, activation, alpha, scratch, c, sums):
    """C (m, n) = f(A @ B + bias), and where `sums` has a size the sums (n,) over the rows of B.

    a is A (m, k), or with `a_across` its transpose (k, m); b alike. A task, and so compiled where it is wanted only.
    """
    (m, n), k = c.shape, b.shape[1] if b_across else b.shape[0]
    of_s, of_t, n1 = _matrix(m, k), _matrix(b.shape[0], b.shape[1]), _half(n)
    run(_sums_chunk, (3 if sums.size > 0 else 2) * CHUNKS, 4 * (a.size + b.size),
        (a, a_across, of_s, b, b_across, of_t, scratch, sums))  # fmt: skip
    column_blocks = max((n1 * c.itemsize + COLUMNS - 1) // COLUMNS, min(CHUNKS // 2, n1 * c.itemsize // WIDTH))
    row_blocks = max(2, min(CHUNKS // column_blocks, _half(m) // ROWS))
    run(_products_chunk, row_blocks * column_blocks, m * n * k // 16,
        (row_blocks, column_blocks, a, a_across, of_s, b, b_across, of_t, bias, activation, alpha, scratch,
         c))  # fmt: skip


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
def _sums_chunk(chunk, a, a_across, of_s, b, b_across, of_t, scratch, sums):
    """Some rows of S1 to S4, or of T3, T2, T1 and T4, or some sums over the rows of B."""
    part = chunk % CHUNKS
    if chunk < CHUNKS:
        _sums(part, a, a_across, 1.0, a_across, scratch, 0, of_s)
    elif chunk < 2 * CHUNKS:
        _sums(part, b, not b_across, -1.0, False, scratch, _operands(a_across) * of_s, of_t)
    else:
        (k, n), lines = b.shape, (sums.size + LANES - 1) // LANES
        j0, j1 = part * lines // CHUNKS * LANES, min(n, (part + 1) * lines // CHUNKS * LANES)
        gemm(b, 1, j1 - j0, 1, k, one(b), 0, 0, 0, address(b, j0), 0, n, address(sums, j0), 0, 0, 0)


@kernel
def _operands(across):
    """Return how many matrices are made of A: the sums, and of a transpose also three quadrants."""
    return 7 if across else 4


@kernel
def _sums(part, a, across, sign, over, to, start, step):
    """S1 to S4 of some rows, `step` elements apart; where they are to be turned over also A11, A12 and A22.

    across: a is A's transpose. The sums T are the sums S of another matrix: with -B11 for A11, B21 for A12, -B12 for
    A21, of which `sign` and `across` make use, and B22 for A22.
    """
    (rows, columns), near = a.shape, stack_array(a, BLOCKS)
    half_rows, half_columns = _half(rows), _half(columns)
    down, row = half_rows * columns, _row(half_rows if over else half_columns)
    sums, sums_row, sums_step = (near, BLOCK_COLUMNS, BLOCK) if over else (to, row, step)
    wide = BLOCK_COLUMNS if over else half_columns
    plus, minus, less = spread(a, sign), spread(a, -sign), spread(a, -1.0)
    first, last = part * half_rows // CHUNKS, (part + 1) * half_rows // CHUNKS
    for i0 in range(first, last, BLOCK_ROWS):
        i1 = min(i0 + BLOCK_ROWS, last)
        for j0 in range(0, half_columns, wide):
            j1 = min(j0 + wide, half_columns)
            base = 0 if over else start + i0 * row
            for i in range(i0, i1):
                lower = i + half_rows < rows
                for j in range(j0, j1, LANES):
                    at, left, right = i * columns + j, j1 - j, min(j1, columns // 2) - j
                    of_right, of_down = load(a, at + half_columns, right), load(a, at + down, left if lower else 0)
                    a11, a22 = load(a, at, left), load(a, at + down + half_columns, right if lower else 0)
                    a12, a21 = (of_down, of_right) if across else (of_right, of_down)
                    s1 = multiply_add(plus, a21, a22)
                    s2 = multiply_add(minus, a11, s1)
                    here, count = base + (i - i0) * sums_row + j - j0, LANES if over else left
                    store(sums, here, count, s1)
                    store(sums, here + sums_step, count, s2)
                    store(sums, here + 2 * sums_step, count, multiply_add(plus, a11, multiply(minus, a21)))
                    store(sums, here + 3 * sums_step, count, multiply_add(less, s2, a12))
                    if over:
                        store(sums, here + 4 * sums_step, count, a11)
                        store(sums, here + 5 * sums_step, count, a12)
                        store(sums, here + 6 * sums_step, count, a22)
            if over:
                for operand in range(_operands(over)):
                    transpose(a, i1 - i0, j1 - j0, address(near, operand * BLOCK), BLOCK_COLUMNS,
                              address(to, start + operand * step + j0 * row + i0), row)  # fmt: skip


@kernel
def _products_chunk(chunk, row_blocks, column_blocks, a, a_across, of_s, b, b_across, of_t, bias, activation, alpha,
                    scratch, c):  # fmt: skip
    """Some rows and columns of each quadrant of C."""
    size = c.itemsize
    (m, n), k = c.shape, b.shape[1] if b_across else b.shape[0]
    m1, n1, k1, k2 = _half(m), _half(n), _half(k), k // 2
    width = PANEL // size
    panels = (n1 + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m1 // row_blocks, (row_block + 1) * m1 // row_blocks
    j0 = column_block * panels // column_blocks * width
    j1 = min(n1, (column_block + 1) * panels // column_blocks * width)
    rows1, rows2, columns1, columns2 = i1 - i0, min(i1, m // 2) - i0, j1 - j0, min(j1, n // 2) - j0

    s_row = _row(k1)
    s = address(scratch, i0 * s_row)
    if a_across:
        a_row, a11, a12, a22 = s_row, s + 4 * of_s * size, s + 5 * of_s * size, s + 6 * of_s * size
    else:
        a_row, a11 = k, address(a, i0 * k)
        a12, a22 = a11 + k1 * size, a11 + (m1 * k + k1) * size
    b_k, b_n, t_k, t_n = (1, k, 1, s_row) if b_across else (n, 1, _row(n1), 1)
    b11, of_b = address(b, j0 * b_n), _operands(a_across) * of_s
    b21, b22 = b11 + k1 * b_k * size, b11 + (k1 * b_k + n1 * b_n) * size
    t = address(scratch, of_b + j0 * t_n)
    at, of_x = i0 * n + j0, of_b + 4 * of_t + i0 * n + j0
    x, y = address(scratch, of_x), address(scratch, of_x + n1)
    c11, c12 = address(c, at), address(c, at + n1)
    c21, relu = c11 + m1 * n * size, tile_flags(activation)
    for product in range(7):
        rows, columns, terms, start, flags, to = rows1, columns1, k1, 0, 0, x
        left, left_row, right, right_k, right_n = s, s_row, t, t_k, t_n
        if product == 0:  # A11 B11, which is in all quadrants of C, and so is the bias of C11
            left, left_row, right, right_k, right_n = a11, a_row, b11, b_k, b_n
            start = address(bias, j0) if bias.size > 0 else 0
        elif product == 1:  # A12 B21
            left, left_row, right, right_k, right_n, terms = a12, a_row, b21, b_k, b_n, k2
            to, start, flags = c11, x, START | relu
        elif product == 2:  # S2 T2
            left, right, flags = s + of_s * size, t + of_t * size, ACCUMULATE
        elif product == 3:  # S3 T3
            left, rows, to, start, flags = s + 2 * of_s * size, rows2, c21, x, START
        elif product == 4:  # S1 T1
            right, columns, to = t + 2 * of_t * size, columns2, y
        elif product == 5:  # S4 B22
            _join(rows1, rows2, columns2, n1, scratch, of_x, bias, j0, relu != 0, c, at, at + m1 * n)
            left, right, right_k, right_n, columns = s + 3 * of_s * size, b22, b_k, b_n, columns2
            terms, to, flags = k2, c12, ACCUMULATE | relu
        else:  # A22 T4
            left, left_row, right, rows = a22, a_row, t + 3 * of_t * size, rows2
            terms, to, flags = k2, c21, ACCUMULATE | relu
        packed_block(True, c, rows, columns, terms, left, left_row, 1, right, right_k, right_n, to, n, start, flags)
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
