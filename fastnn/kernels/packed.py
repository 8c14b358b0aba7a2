"""Large products where caches are far: all threads copy A and B once, as the panels that the register tile reads.

Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008. A panel of A has the rows of one tile,
one of B the columns of one; in both, what belongs to one term lies together, so that the tile's broadcasts are operands
of its multiply-adds (_simd.py) and what it reads comes from L2 and L3 as one stream.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import MAX_ROWS
from ._epilogue import activate, tile_flags
from ._features import HAS_FAR_CACHES
from ._jit import kernel
from ._memory import copy, one, transpose
from ._packing import AT_ONCE, DEPTH, LINE, PANEL
from ._parallel import run
from ._simd import ACCUMULATE, gemm
from .activation import IDENTITY

CHUNKS = 8  # of C at least, and of the copies of A and of B
TILES, PANELS = 72, 8  # of A and B in a chunk at most: L2 holds the panels


@kernel
def is_packed_product(m, n, k, a_turned, b_turned):
    """Return whether C (m, n) with k terms is worth the copies; turned: the terms of A are rows, those of B columns.

    Emerald Rapids, one thread, times as fast as the other ways, by (m, n, k). Input gradients, B turned: (4000, 256,
    128) 1.3, (1000, 1000, 100) 1.4, (1024, 784, 256) 1.03 to 1.15, (300, 784, 500) 1.03, (256, 784, 256) 0.94, (1000,
    64, 500) 0.8. Weight gradients, A turned: (500, 500, 2000) 1.2, (1000, 250, 1000) 1.3, (500, 500, 500) 1.08, (784,
    256, 256) 0.89. Forward: (1000, 128, 8000) 1.15, (1000, 256, 4000) 1.15, (500, 500, 500) 1.13 while the core's other
    thread works, (512, 512, 512) 0.91 while it rests; (1000, 400, 800) 0.88, (1000, 256, 1000) 0.9, (200, 10, 25000)
    0.4.
    """
    if not HAS_FAR_CACHES:
        return False
    if b_turned:
        return m >= 384 and n >= 128 and k >= 64 and m * n * k >= 1 << 24
    if a_turned:
        return m >= 128 and k * n >= 15 << 14
    return m >= 128 and (n >= 448 and k * n >= 15 << 14 or n >= 128 and k * n > 1 << 19)


@kernel
def _tiles(m):
    return (m + MAX_ROWS - 1) // MAX_ROWS


@kernel
def _panels(n, size):
    return (n * size + PANEL - 1) // PANEL


def packed_scratch_size(m: int, n: int, k: int, a_turned: bool, b_turned: bool) -> int:
    """Return the number of elements of the copies, 0 where there are none: of float32, enough for float64."""
    if not is_packed_product.py_func(m, n, k, a_turned, b_turned):
        return 0
    return int(min(k, DEPTH) * (m + _panels.py_func(n, 4) * PANEL // 4) + 2 * LINE)


@kernel
def packed_product(_, like, m, n, k, a, a_row, a_k, b, b_k, b_n, c, bias, activation, alpha, sums, at):
    """C (m, n) = f(A @ B + bias), and with `sums`, not 0, the sums (n,) over the rows of B; at: of the scratch memory.

    a_row or a_k is 1. Otherwise as `product` in dense.py. A task, and so compiled where it is wanted only.
    """
    size = like.itemsize
    tiles, panels = _tiles(m), _panels(n, size)
    column_blocks = min(panels, max(2 if m > n else CHUNKS // 2, (panels + PANELS - 1) // PANELS))
    row_blocks = min(tiles, max(2, (CHUNKS + column_blocks - 1) // column_blocks, (tiles + TILES - 1) // TILES))
    blocks = (k * size + DEPTH * 4 - 1) // (DEPTH * 4)
    at_a = (at + LINE - 1) // LINE * LINE
    for block in range(blocks):
        k0, k1 = block * k // blocks, (block + 1) * k // blocks
        depth = k1 - k0
        at_b = (at_a + m * depth * size + LINE - 1) // LINE * LINE
        run(_copy_chunk, 2 * CHUNKS, 4 * (m + n) * depth,
            (like, m, n, depth, a + k0 * a_k * size, a_row, a_k, at_a, b + k0 * b_k * size, b_k, b_n,
             at_b))  # fmt: skip
        f = activation if k1 == k else IDENTITY
        run(_product_chunk, row_blocks * column_blocks, m * n * depth // 16,
            (row_blocks, column_blocks, like, m, n, depth, at_a, at_b, c, bias if k0 == 0 else 0,
             ACCUMULATE if k0 > 0 else 0, f, alpha, sums))  # fmt: skip


@kernel
def _copy_chunk(chunk, like, m, n, depth, a, a_row, a_k, at_a, b, b_k, b_n, at_b):
    """Copy a part of A or of B: some panels where the terms of a row lie together, else some terms."""
    size = like.itemsize
    of_a, part, width = chunk < CHUNKS, chunk % CHUNKS, PANEL // size
    panels, rows = (_tiles(m), m) if of_a else (_panels(n, size), _panels(n, size) * width)
    source, row, step, to = (a, a_row, a_k, at_a) if of_a else (b, b_n, b_k, at_b)
    first, last, p0, p1, at_once = 0, depth, part * panels // CHUNKS, (part + 1) * panels // CHUNKS, depth
    if row == 1:
        first, last, p0, p1, at_once = part * depth // CHUNKS, (part + 1) * depth // CHUNKS, 0, panels, AT_ONCE
    for d in range(first, last, at_once):
        terms = min(at_once, last - d)
        for panel in range(p0, p1):
            i = panel * rows // panels
            high = (panel + 1) * rows // panels - i
            wide = high if of_a else min(width, n - i)
            from_, here = source + (i * row + d * step) * size, to + (i * depth + d * high) * size
            if row == 1:
                copy(like, terms, wide, from_, step, here, high)
            else:
                transpose(like, wide, terms, from_, row, here, high)


@kernel
def _product_chunk(chunk, row_blocks, column_blocks, like, m, n, depth, a, b, c, bias, accumulate, activation, alpha,
                   sums):  # fmt: skip
    """Some tiles' rows and some panels of C. A tile's part of A stays in L1 while the panels of B pass by, from L2."""
    size = like.itemsize
    width, panels, tiles = PANEL // size, _panels(n, size), _tiles(m)
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    t0, t1 = row_block * tiles // row_blocks, (row_block + 1) * tiles // row_blocks
    p0, p1 = column_block * panels // column_blocks, (column_block + 1) * panels // column_blocks
    for panel in range(p0, p1 if sums != 0 and row_block == 0 else p0):
        gemm(like, 1, min(width, n - panel * width), 1, depth, one(like), 0, 0, 0, b + panel * depth * PANEL, 0, width,
             sums + panel * PANEL, 0, 0, accumulate)  # fmt: skip
    for tile in range(t0, t1):
        i = tile * m // tiles
        rows = (tile + 1) * m // tiles - i
        for panel in range(p0, p1):
            j = panel * width
            gemm(like, rows, min(width, n - j), 1, depth, a + i * depth * size, 1, 0, rows,
                 b + panel * depth * PANEL, 0, width, c + (i * n + j) * size, n,
                 bias + j * size if bias != 0 else 0, accumulate | tile_flags(activation))  # fmt: skip
    j0 = p0 * width
    for i in range(t0 * m // tiles, t1 * m // tiles):
        activate(like, activation, alpha, c + (i * n + j0) * size, min(n, p1 * width) - j0)
