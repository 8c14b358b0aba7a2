"""Dense layers and convolutions with operands rounded to bf16, by tiles: see _amx.py.

Operands are copied as pairs of the numbers that belong to two terms of a sum, those of dense layers as whole tiles, one
after the other, whose places outside the matrix are zeros.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._amx import COLUMNS, ROW, ROWS, TERMS, TILE, configure, release, tile_product, zeros
from ._epilogue import activate, tile_flags
from ._jit import kernel
from ._memory import address, copy, pair, pairs_in, stack, transpose
from ._parallel import run
from ._windows import CHUNKS
from .activation import IDENTITY
from .dense import slope
from .few import column_sums

SQUARE = 2 * ROWS  # rows and columns of two by two tiles
SIZE = TILE // 4  # pairs in a tile
RATE = 128  # multiply-adds to a unit of work: a tile's instruction does 4096 of them


@kernel
def tiles(count):
    """Return how many tiles have so many rows or columns."""
    return (count + ROWS - 1) // ROWS


@kernel
def term_tiles(count):
    """Return how many tiles have the pairs of so many terms."""
    return (count + 2 * TERMS - 1) // (2 * TERMS)


def tiled_dense_scratch_size(n: int, c: int, k: int) -> int:
    """Return the number of elements that all three products want as scratch."""
    (of_n, of_c, of_k), halves = (tiles.py_func(s) for s in (n, c, k)), [term_tiles.py_func(s) for s in (n, c, k)]
    return int(SIZE * (1 + max(halves[1] * (of_n + of_k), halves[0] * (of_c + of_k), halves[2] * (of_n + of_c))))


@kernel
def tiled_dense_forward(x, w, b, activation, alpha, scratch, y):
    """y = f(x @ w + b)."""
    (n, c), k = x.shape, w.shape[1]
    at_x, at_w = _places(scratch, n, c)
    _pair(_rows_of(n, c, x, at_x, False), _terms_of(c, k, w, at_w, False), scratch)
    _multiply(c, at_x, at_w, address(b, 0) if b.size > 0 else 0, activation, alpha, y)


@kernel
def tiled_dense_weight_gradient(x, dz, scratch, dw, db):
    """dw = x.T @ dz,  db = sum of dz over N."""
    (n, c), k = x.shape, dz.shape[1]
    at_x, at_dz = _places(scratch, c, n)
    _pair(_terms_of(n, c, x, at_x, True), _terms_of(n, k, dz, at_dz, False), scratch)
    _multiply(n, at_x, at_dz, 0, IDENTITY, 0.0, dw)
    if db.size > 0:
        column_sums(dz, 0, n, db)


@kernel
def tiled_dense_input_gradient(dz, w, relu, scratch, dx):
    """dx = dz @ w.T, and 0 where relu is not positive, unless it has size 0."""
    (n, k), c = dz.shape, w.shape[0]
    at_dz, at_w = _places(scratch, n, k)
    _pair(_rows_of(n, k, dz, at_dz, False), _rows_of(c, k, w, at_w, True), scratch)
    _multiply(k, at_dz, at_w, 0, IDENTITY, 0.0, dx)
    slope(relu, dx)


@kernel
def _places(scratch, rows, terms):
    """Return the addresses of A's tiles, at a cache line, and of B's."""
    at = (address(scratch, 0) + ROW - 1) // ROW * ROW
    return at, at + tiles(rows) * term_tiles(terms) * TILE


@kernel
def _multiply(terms, at_a, at_b, bias, activation, alpha, c):
    """C (M, N) = f(A @ B + bias) of tiles of A and B."""
    m, n = c.shape
    squares_m, squares_n = (m + SQUARE - 1) // SQUARE, (n + SQUARE - 1) // SQUARE
    down = min(squares_m, CHUNKS if m > n else (CHUNKS + squares_n - 1) // squares_n)
    across = min(squares_n, (CHUNKS + down - 1) // down)
    run(_product_chunk, down * across, m * n * terms // RATE,
        (down, across, term_tiles(terms), at_a, at_b, bias, activation, alpha, c))  # fmt: skip


@kernel
def _product_chunk(chunk, down, across, steps, at_a, at_b, bias, activation, alpha, c):
    m, n = c.shape
    squares_m, squares_n = (m + SQUARE - 1) // SQUARE, (n + SQUARE - 1) // SQUARE
    row, column = chunk // across, chunk % across
    i0, i1 = row * squares_m // down * SQUARE, min(m, (row + 1) * squares_m // down * SQUARE)
    j0, j1 = column * squares_n // across * SQUARE, min(n, (column + 1) * squares_n // across * SQUARE)
    far = steps * TILE
    configure()
    tile_product(i1 - i0, j1 - j0, 1, 1, steps, at_a + i0 // ROWS * far, ROW, TILE, 0, 0, at_b + j0 // COLUMNS * far,
                 0, far, address(c, i0 * n + j0), n * 4, bias + j0 * 4 if bias != 0 else 0, tile_flags(activation),
                 i1, i1)  # fmt: skip
    release()
    for i in range(i0, i1):
        activate(c, activation, alpha, address(c, i * n + j0), j1 - j0)


@kernel
def _rows_of(rows, terms, source, to, turned):
    """Return what `_pair` makes of a matrix whose terms lie in rows: pairs of each row's first and second half."""
    half = term_tiles(terms) * TERMS
    return rows, min(half, terms), terms, half, rows, terms - half, address(source, 0), to, turned, False


@kernel
def _terms_of(terms, columns, source, to, turned):
    """Return what `_pair` makes of a matrix whose rows are terms: pairs of the first and the second half of them."""
    half = term_tiles(terms) * TERMS
    return (min(half, terms), columns, columns, half * columns, terms - half, columns, address(source, 0), to, turned,
            True)  # fmt: skip


@kernel
def _pair(a, b, scratch):
    """Copy both operands as tiles of pairs of what lies in (rows, columns) and what lies `second` numbers behind it.

    a, b: rows, columns, numbers between rows, second, its rows and columns (elsewhere there are zeros), the addresses
    of float32 and of pairs, whether tiles are transposed, and whether those of a column come one after the other.
    """
    like = pairs_in(scratch, 0, (1,))
    run(_pair_chunk, 2 * CHUNKS, a[0] * a[1] + b[0] * b[1], (a, b, like))


@kernel
def _pair_chunk(chunk, a, b, like):
    rows, columns, step, second, second_rows, second_columns, source, to, turned, by_columns = (
        a if chunk < CHUNKS else b
    )
    down, across, chunk = tiles(rows), tiles(columns), chunk % CHUNKS
    for tile in range(chunk * down * across // CHUNKS, (chunk + 1) * down * across // CHUNKS):
        i, j = tile // across, tile % across
        place = j * down + i if by_columns else tile
        at, i, j = source + (i * ROWS * step + j * COLUMNS) * 4, i * ROWS, j * COLUMNS
        pair_tile(like, min(ROWS, rows - i), min(COLUMNS, columns - j), min(ROWS, second_rows - i),
                  second_columns - j, at, at + second * 4, step, turned, to + place * TILE)  # fmt: skip


@kernel
def pair_tile(like, rows, columns, second_rows, second_columns, first, second, step, turned, to):
    """Copy one tile of pairs, or its transpose. See `_pair`."""
    memory = stack(TILE)
    block = memory if turned else to
    if rows < ROWS or columns < COLUMNS:
        copy(like, ROWS, COLUMNS, zeros(), 0, block, COLUMNS)
    both = min(rows, max(0, second_rows)) if second_columns > 0 else 0
    pair(like, both, columns, second_columns, first, second, step, block, COLUMNS)
    pair(like, rows - both, columns, 0, first + both * step * 4, first, step, block + both * ROW, COLUMNS)
    if turned:
        transpose(like, ROWS, COLUMNS, block, COLUMNS, to, COLUMNS)
