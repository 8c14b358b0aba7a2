"""A block of a large product, C = A @ B, through copies of parts of A and B that stay in the caches."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._emitter import MAX_ROWS, VECTOR_BYTES
from ._features import HAS_FAR_CACHES
from ._jit import kernel
from ._memory import copy, stack, transpose
from ._simd import ACCUMULATE, RELU, START, VECTORS, gemm

PANEL = VECTORS * VECTOR_BYTES  # bytes in one row of a panel of B, which is as wide as the tile
# Most float32 rows of a packed block of B, and columns of one of A; bytes of a row of a block of B, which L2 holds; and
# rows of a block of A. CPUs with AVX-512 have 1 MB of L2 or more: 2048^3 at 98 GFLOP/s with 384 rows of 2 KB, 93 with
# AVX2's sizes. Zen 4, 512 rows of 1.5 KB beside those 384, while neighbours are busy: 1024^3 forward 1.06, weight
# gradient 1.02, input gradient 1.08 times as fast, 1500^3 1.08, 1.02, 1.02, 2048^3 1.05, 1.05, 1.03. C is read and
# written less often. Far caches: within the noise.
if HAS_FAR_CACHES:
    DEPTH, COLUMNS, GROUP = 384, 2048, 56
else:
    DEPTH, COLUMNS, GROUP = (512, 1536, 56) if VECTOR_BYTES == 64 else (288, 1024, 112)
GROUP = GROUP // MAX_ROWS * MAX_ROWS  # whole tiles
LINE = 64  # bytes between packed rows of A, so that they lie in different sets of L1
PACKED_A, PACKED_B = GROUP * (DEPTH * 4 + LINE), DEPTH * COLUMNS
SMALL_PANEL = DEPTH * PANEL <= 20 << 10  # L1 holds a panel of B beside a tile's rows of A: not with AVX-512
SHALLOW = 128  # columns of A up to which it stays where it is, not transposed, beside small panels
ALIASED = 256  # rows that are a multiple of so many bytes apart lie in few sets of L1
PAGE = 4096  # bytes after which the next line of the same set of L1 lies
AT_ONCE = 16  # rows of B that are copied panel by panel


@kernel
def packed_block(packed, like, m, n, k, a, a_row, a_k, b, b_k, b_n, c, c_row, bias, flags):
    """One block of C = A @ B through copies: DEPTH rows of some panels of B for L2, DEPTH columns of a few tiles of A.
    Without `packed`, B stays where it is. bias, flags: as those of `gemm`.

    Small panels stay in L1 while all rows of A pass by, larger ones pass by each tile's rows. The copies take long rows
    of their matrix at a time: from L3, 128 bytes of every row come at 7 GB/s and 1 KB at 14.
    """
    size = like.itemsize
    packed_a, packed_b = stack(PACKED_A), stack(PACKED_B)
    depth_most, columns_most, panel = DEPTH * 4 // size, COLUMNS // size, PANEL // size
    a_packed_row = depth_most + LINE // size
    groups = (m + GROUP - 1) // GROUP
    blocks = (k + depth_most - 1) // depth_most
    bias_row = c_row if flags & START else 0
    for block in range(blocks):
        k0, k1 = block * k // blocks, (block + 1) * k // blocks
        depth = k1 - k0
        flags_now = (ACCUMULATE if k0 > 0 else flags & (ACCUMULATE | START)) | (flags & RELU if k1 == k else 0)
        for j0 in range(0, n, columns_most):
            columns = min(columns_most, n - j0)
            from_b = b + (k0 * b_k + j0 * b_n) * size
            if packed:
                _copy_panels(like, depth, columns, from_b, b_k, b_n, packed_b)
            for group in range(groups):
                i0, i1 = group * m // groups, (group + 1) * m // groups
                from_a = a + (i0 * a_row + k0 * a_k) * size
                at_a, at_row, at_k = packed_a, a_packed_row, 1
                if _stays(a_row, a_k, k, size):
                    at_a, at_row, at_k = from_a, a_row, a_k
                elif a_k == 1:
                    copy(like, i1 - i0, depth, from_a, a_row, packed_a, a_packed_row)
                else:
                    transpose(like, depth, i1 - i0, from_a, a_k, packed_a, a_packed_row)
                if not packed:
                    gemm(like, i1 - i0, columns, 1, depth, at_a, at_row, 0, at_k, from_b, 0, b_k,
                         c + (i0 * c_row + j0) * size, c_row,
                         bias + (i0 * bias_row + j0) * size if bias != 0 and k0 == 0 else 0, flags_now)  # fmt: skip
                    continue
                tiles = 1 if SMALL_PANEL else (i1 - i0 + MAX_ROWS - 1) // MAX_ROWS
                for tile in range(tiles):
                    t0, t1 = tile * (i1 - i0) // tiles, (tile + 1) * (i1 - i0) // tiles
                    for j in range(0, columns, panel):
                        gemm(like, t1 - t0, min(panel, columns - j), 1, depth, at_a + t0 * at_row * size,
                             at_row, 0, at_k, packed_b + j * depth * size, 0, panel,
                             c + ((i0 + t0) * c_row + j0 + j) * size, c_row,
                             bias + ((i0 + t0) * bias_row + j0 + j) * size if bias != 0 and k0 == 0 else 0,
                             flags_now)  # fmt: skip


@kernel
def _stays(a_row, a_k, k, size):
    """Return whether A with k columns stays where it is; a_row or a_k is 1.

    A transposed one, AVX-512 without far caches: weight gradient (1000, 1000, 1000) 1.05 times as fast as with copies,
    (10000, 784, 256) 1.08, (10000, 1000, 300) 1.2, (1200, 1200, 1200) 1.0; float64 1.0 to 1.05. (10000, 256, 512) 1.08,
    (4096, 384, 1000) 1.03, but (10000, 512, 256) 0.97.
    """
    if SMALL_PANEL:
        return max(a_row, a_k) * size % ALIASED != 0 and (a_k == 1 or k <= SHALLOW)
    if a_k == 1:
        return _is_spread(a_row * size)
    return not HAS_FAR_CACHES and a_k * size % (PAGE // 2) != 0


@kernel
def _is_spread(step):
    """Return whether at most two rows of a tile, `step` bytes apart, lie in the first one's set of L1.

    Then they stay where they are: 2500^3 and 3000^3 take 4 to 6 % less time forward and back to the input.
    """
    near = 0
    for i in range(1, MAX_ROWS):
        if (i * step + LINE) % PAGE < 2 * LINE:
            near += 1
    return near < 2


@kernel
def _copy_panels(like, depth, columns, b, b_k, b_n, to):
    """Copy a block of B as dense panels (depth, panel)."""
    size = like.itemsize
    panel = PANEL // size
    most = AT_ONCE if b_n == 1 else depth
    for d in range(0, depth, most):
        rows = min(most, depth - d)
        for j in range(0, columns, panel):
            source, at = b + (d * b_k + j * b_n) * size, to + (j * depth + d * panel) * size
            if b_n == 1:
                copy(like, rows, min(panel, columns - j), source, b_k, at, panel)
            else:
                transpose(like, min(panel, columns - j), rows, source, b_n, at, panel)
