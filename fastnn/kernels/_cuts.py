"""How a dense product (dense.py) is cut into chunks for the threads, and what of it is copied first (_packing.py)."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import MAX_ROWS
from ._features import HAS_FAR_CACHES
from ._jit import kernel
from ._memory import WAYS
from ._packing import ALIASED, COLUMNS, DEPTH, PAGE, PANEL, SMALL_PANEL
from ._parallel import SMALL

CHUNKS, PARTS = 8, 4  # wanted at least, for the thread pool; PARTS where a cut has a price
ROWS = 1024  # bytes of one column of C in one direct chunk
TALL = 512  # where caches are far: rows from which a weight gradient has CHUNKS of them
# Where panels are small: rows of a forward chunk, so that A comes from memory once ((10,000, 784, 256) 1.10 times as
# fast), and bytes of a row of B that is not copied.
HIGH, NARROW = 512, 512
LONG = 1024  # samples of a weight gradient from which it is summed in parts, or copies x


@kernel
def cut(m, n, k, a_k, size, packed, near):
    """Return into how many blocks of rows and of columns to cut C; a_k is not 1 in weight gradients."""
    panels = (n * size + PANEL - 1) // PANEL
    if HAS_FAR_CACHES and a_k != 1 and not packed and product_work(m, n, k, size) >= SMALL:
        # Whole rows. Shares of the peak, and of half rows: (32, 784, 256) 74, 68; (512, 512, 512) 99, 94.
        most = CHUNKS if m >= TALL or m * n * k >= 1 << 27 else PARTS
        row_blocks = min(most, (m + MAX_ROWS - 1) // MAX_ROWS)
        return row_blocks, min(panels, (PARTS + row_blocks - 1) // row_blocks)
    row_blocks = (m * size + ROWS - 1) // ROWS
    if row_blocks > CHUNKS or row_blocks == 3:  # as many for each thread: (600, 784, 512) 1.13 times as fast
        row_blocks = (row_blocks + PARTS - 1) // PARTS * PARTS
    if panels < PARTS:  # few columns: rows make the chunks
        row_blocks = max(row_blocks, min(PARTS // panels, m // (4 * MAX_ROWS)))
    if packed:
        row_blocks = max(2, CHUNKS // panels) if m * size >= ROWS else 1
        if a_k != 1 and SMALL_PANEL and m >= 2 * n:
            row_blocks = PARTS  # A, which is transposed for each block of columns, is the larger one
        elif SMALL_PANEL and a_k == 1:
            row_blocks = max(row_blocks, min(2 * CHUNKS, m // HIGH))
    elif near:
        row_blocks = max(row_blocks, PARTS if a_k == 1 else CHUNKS)  # and few column blocks, each of which copies A
    elif is_grouped(m, n, k, a_k, size):
        row_blocks = max(row_blocks, min(CHUNKS, (m + MAX_ROWS - 1) // MAX_ROWS))
    column_blocks = min(panels, (CHUNKS + row_blocks - 1) // row_blocks)
    if packed:  # A is copied again for every block of B
        column_blocks = max(column_blocks, (panels * PANEL + COLUMNS - 1) // COLUMNS)
    return row_blocks, column_blocks


@kernel
def product_work(m, n, k, size):
    """Return the work of a product for `run`: a narrow one takes as long as one with whole panels of B."""
    return m * max(n, PANEL // size) * k // 16


@kernel
def is_copied(m, n, k, a_k, b_n, size):
    """Return whether copying blocks pays: where B lies across the tile's vectors, or does not fit into the L2s.

    Best GFLOP/s direct and packed, 2 threads, AVX-512; forward (512, 512, 512) 227, 199; (777, 777, 777) 216, 195;
    weight gradient (128, 784, 256) 220, 202; (1024, 784, 256) 223, 198; (960, 960, 960) 215, 196; (1300, 1300, 1300)
    168, 194; (1000, 1000, 1000), several processes while neighbours are busy, 60 to 209, 139 to 199.
    AVX2, 1 thread of 103: forward (128, 784, 256) 80, 85; (256, 784, 256) 67, 82; (512, 512, 512) 59, 83; weight
    gradient (1024, 784, 256) 50, 76; (512, 512, 512) 46, 82. Lines of B are half as long there.
    With a smaller B: (64, 784, 256) 70, 85; (96, 512, 512) 61, 84; (128, 1024, 256) 60, 82; (32, 784, 256) is a draw.
    Zen 3, shares of the peak: forward (256, 256, 256) 92, 77; (1024, 784, 256) 76, 87; weight gradient (128, 784, 256)
    87, 99; (32, 784, 256), within a step, 70, 80.
    """
    if SMALL_PANEL:
        evicting = a_k != 1 and n * size % ALIASED == 0  # a weight gradient whose rows of B lie in few sets of L1
        return b_n != 1 or (
            k * n * size > 256 << 10 and m >= 128 or evicting and k * n * size >= 32 << 10 and m >= 512
        )
    if HAS_FAR_CACHES:
        return b_n != 1 or m >= 128 and k * n * size > 2 << 20  # few columns: others are packed products
    return b_n != 1 or (m >= 16 and k * n * size > (3 << 20 if a_k == 1 else 15 << 18))


@kernel
def is_narrow(m, n, k, a_k, size):
    """Return whether only A is copied in a weight gradient, since B is too narrow to pay for its copy.

    AVX2, shares of the peak: (1024, 256, 128) 80, both copied 73; (1024, 128, 64) 68, 58, neither 62.
    Emerald Rapids: (1024, 784, 256) 88, 83, 74; (4096, 128, 128) 71, 56, 53; within a step (128, 784, 64) 203 us,
    neither 190.
    """
    if HAS_FAR_CACHES:
        wide = m * size >= 2 * ROWS and n * size >= ROWS
        return a_k != 1 and n * size <= ROWS and (k >= LONG or k >= 64 and wide)
    return SMALL_PANEL and a_k != 1 and n * size <= NARROW and n * size % ALIASED == 0 and k >= DEPTH


@kernel
def is_grouped(m, n, k, a_k, size):
    """Return whether a direct weight gradient writes all columns of a few tiles' rows before it goes on to the next.

    AVX-512: (8, 784, 256) 25 to 20 us, (32, 784, 256) 66 to 63; (128, 64, 64) 5.7 to 6.1, 65^3 7.3 to 7.8.
    """
    return a_k != 1 and n * size > 2 * PANEL and product_work(m, n, k, size) >= SMALL


@kernel
def has_shared_sets(m, a_row, a_k, size):
    """Return whether the rows of a tile of A lie in one set of L1, which holds fewer of them.

    AVX-512, one thread, forward: (128, 1024, 256) 101 GFLOP/s, 93 without copies of A; (512, 1024, 512) 97, 84.
    """
    return WAYS < MAX_ROWS and m >= 4 * MAX_ROWS and a_k == 1 and a_row * size % PAGE == 0
