"""Dense layers: y = f(x @ w + b) and its gradients.

Each of the three products is C = A @ B with some strides, cut into chunks of C. Small ones run the register tile on the
operands as they lie; large ones first copy blocks of A and B into buffers that stay in the caches (_packing.py; where
caches are far, all threads together: packed.py), and those with three large dimensions take fewer multiplications
(strassen.py). Few outputs, inputs or samples: few.py. How a product is cut, and what is copied: _cuts.py.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from ._cuts import CHUNKS, LONG, PARTS, cut, has_shared_sets, is_copied, is_grouped, is_narrow, product_work
from ._emitter import MAX_ROWS
from ._epilogue import activate, prepare, tile_flags
from ._features import HAS_FAR_CACHES
from ._jit import kernel
from ._lanes import LANES, load, store, where_positive
from ._memory import address, one, stack, transpose
from ._packing import DEPTH, GROUP, PANEL, SMALL_PANEL, packed_block
from ._parallel import run
from ._simd import ACCUMULATE, gemm
from .activation import IDENTITY, RELU, activation_backward
from .few import (
    column_sums,
    few_columns,
    few_forward,
    few_sums,
    few_weight_gradient,
    few_work,
    has_few_columns,
    has_few_outputs,
    is_row_product,
    row_input_gradient,
)  # fmt: skip
from .packed import is_packed_product, packed_product, packed_scratch_size
from .strassen import is_strassen, strassen, strassen_scratch_size

# Samples up to which, and bytes of weights from which, forward cuts the inner sum into PARTS with outputs of their own,
# at most PARTIAL bytes each. Where caches are far: (128, 784, 256) 172 us, not 163, but the update after it 26, not 70;
# steps of 784-64-10 at batch 32 54 instead of 87, of LeNet-5 at 64 630 instead of 655.
FEW, OWNED = (128, 128 << 10) if HAS_FAR_CACHES else (64, 256 << 10)
PARTIAL = FEW << 10
PARTIALS = PARTS * PARTIAL
HEAVY = 256 << 10  # bytes of weights from which a thread has its own rows of them in the input gradient
FLIPPED_ROWS = 128
FLIPPED, FLIPPED_B = FLIPPED_ROWS * PANEL, DEPTH * PANEL
WIDE = 1792  # bytes of a row from which the rows of a tile or a panel evict each other from the caches
SHORT = 256  # where panels are small: bytes of a row of dz up to which the input gradient goes through copies
SMALL = 4096  # weights up to which the gradient from LONG samples on is summed in parts


def dense_scratch_size(n: int, c: int, k: int) -> int:
    """Return the number of elements that all three products want as scratch."""
    if is_strassen.py_func(n, c, k):
        products = (n, k, c, False), (c, k, n, True), (n, c, k, False)
        return max(strassen_scratch_size(*product) for product in products)
    if in_parts.py_func(n, c, k):
        return (c + 1) * k * CHUNKS
    turned_weights = c * k if k > 1 and has_few_outputs.py_func(n, c, k) else 0
    copies = (n, k, c, False, False), (c, k, n, True, False), (n, c, k, False, True)
    return max(turned_weights, *(packed_scratch_size(*product) for product in copies))


@kernel
def in_parts(n, c, k):
    """Return whether the weight gradient is summed in parts: the matrix alone has too few chunks for the threads."""
    return n >= LONG and c * k <= SMALL


@kernel
def dense_forward(x, w, b, activation, alpha, scratch, y):
    """y (N, K) = f(x (N, C) @ w (C, K) + b)."""
    prepare(y, activation)
    (m, k), n = x.shape, w.shape[1]
    if has_few_outputs(m, k, n):
        few_forward(x, w, b, activation, alpha, scratch, y)
        return
    bias = address(b, 0) if b.size > 0 else 0
    if m <= FEW and w.nbytes >= OWNED and y.nbytes <= PARTIAL and n * x.itemsize <= 2048:
        partial = stack(PARTIALS)
        # One image: the weights' way from the caches takes the time. (1, 784, 256): 7 us with two threads instead of 9.
        run(_inner_chunk, PARTS, max(m * n * k // 16, n * k // 2), (x, w, bias, partial))
        parts, chunks = _inner_parts(m), 1 if m < MAX_ROWS else PARTS
        run(_inner_sum_chunk, chunks, parts * m * n, (chunks, parts, partial, activation, alpha, y))
        return
    if is_strassen(m, n, k):
        run(strassen, 1, 0, (x, False, w, False, b, activation, alpha, scratch, y, b[:0]))
    else:
        product(x, m, n, k, address(x, 0), k, 1, address(w, 0), n, 1, address(y, 0), bias, activation, alpha, 0,
                address(scratch, 0))  # fmt: skip


@kernel
def _inner_parts(m):
    """Return into how many parts to cut the inner sum; cut columns make the other chunks. One image: 14 us, not 16."""
    return PARTS if m < MAX_ROWS else PARTS // 2


@kernel
def _inner_chunk(chunk, x, w, bias, partial):
    """Some columns of a part of the inner sum, whose rows of w this thread also has in the other operations.

    The weights are most of the memory traffic of few samples. Cut by rows, as the weight gradient and the optimizer cut
    them, each core keeps its share in its own cache: the three layers of an MLP's step (32, 784-256-128-10) take 100 us
    instead of 121, and the update of the weights 60 instead of 100.
    """
    (m, k), n, size = x.shape, w.shape[1], x.itemsize
    width, parts = PANEL // size, _inner_parts(m)
    across = PARTS // parts
    part, column = chunk // across, chunk % across
    panels = (n + width - 1) // width
    k0, k1 = part * k // parts, (part + 1) * k // parts
    j0, j1 = column * panels // across * width, min(n, (column + 1) * panels // across * width)
    if j0 < j1:
        gemm(x, m, j1 - j0, 1, k1 - k0, address(x, k0), k, 0, 1, address(w, k0 * n + j0), 0, n,
             partial + (part * m * n + j0) * size, n,
             bias + j0 * size if bias != 0 and part == 0 else 0, 0)  # fmt: skip


@kernel
def _inner_sum_chunk(chunk, chunks, parts, partial, activation, alpha, y):
    """Some elements of y = f(the sum of the parts)."""
    first, last = chunk * y.size // chunks, (chunk + 1) * y.size // chunks
    gemm(y, 1, last - first, 1, parts, one(y), 0, 0, 0, partial + first * y.itemsize, 0, y.size, address(y, first), 0,
         0, tile_flags(activation))  # fmt: skip
    activate(y, activation, alpha, address(y, first), last - first)


@kernel
def dense_weight_gradient(x, dz, scratch, dw, db):
    """dw (C, K) = x.T @ dz,  db (K,) = sum of dz over N."""
    (n, c), k = x.shape, dz.shape[1]
    if in_parts(n, c, k):
        run(_part_chunk, CHUNKS, few_work(n, c, k), (x, dz, scratch))
        sum_parts(CHUNKS, (c + 1) * k, scratch, 0, dw.reshape(-1))
        sum_parts(CHUNKS, (c + 1) * k, scratch, c * k, db)
    elif k <= MAX_ROWS:
        few_weight_gradient(x, dz, dw, db)
    elif is_strassen(n, c, k):
        run(strassen, 1, 0, (x, True, dz, False, db[:0], IDENTITY, 0.0, scratch, dw, db))
    else:
        product(x, c, k, n, address(x, 0), 1, c, address(dz, 0), k, 1, address(dw, 0), 0, 0, 0.0,
                address(db, 0) if db.size > 0 else 0, address(scratch, 0))  # fmt: skip


@kernel
def dense_input_gradient(dz, w, relu, scratch, dx):
    """dx (N, C) = dz @ w.T, and 0 where relu (N, C) is not positive, unless it has size 0."""
    (n, k), c = dz.shape, w.shape[0]
    if is_row_product(n, c, k):
        row_input_gradient(dz, w, dx)
        slope(relu, dx)
    elif is_strassen(n, c, k):
        run(strassen, 1, 0, (dz, False, w, True, scratch[:0], IDENTITY, 0.0, scratch, dx, scratch[:0]))
        slope(relu, dx)
    else:
        input_product(dz, w, relu, dx, address(scratch, 0))


@kernel
def input_product(dz, w, relu, dx, scratch):
    """dx = dz @ w.T, of floats or of pairs; relu: see `dense_input_gradient`; scratch: as that of `product`."""
    (m, n), c = dz.shape, w.shape[0]
    if n * dz.itemsize > WIDE and m >= 64 or is_packed_product(m, c, n, False, True):
        product(dz, m, c, n, address(dz, 0), n, 1, address(w, 0), 1, n, address(dx, 0), 0, 0, 0.0, 0, scratch)
        slope(relu, dx)
    elif SMALL_PANEL and m >= 2 * FLIPPED_ROWS and n * dz.itemsize <= SHORT:
        panels = (c * dz.itemsize + PANEL - 1) // PANEL
        row_blocks = min(CHUNKS, m // FLIPPED_ROWS)  # and few column blocks: long rows of relu come faster from L3
        column_blocks = min(panels, (CHUNKS + row_blocks - 1) // row_blocks)
        run(_packed_chunk, row_blocks * column_blocks, product_work(m, n, c, dz.itemsize),
            (dz, w, relu, row_blocks, column_blocks, dx))  # fmt: skip
    elif 64 <= m <= 128 and n <= DEPTH and c * dz.itemsize % (CHUNKS * PANEL) == 0 and w.size * dz.itemsize < HEAVY:
        panels = (c * dz.itemsize + PANEL - 1) // PANEL
        run(_across_chunk, panels, product_work(m, n, c, dz.itemsize), (dz, w, relu, dx))
    else:
        panels = (m * dz.itemsize + PANEL - 1) // PANEL
        row_blocks = max(1, min((CHUNKS + panels - 1) // panels, c // 64))
        run(_flipped_chunk, row_blocks * panels, product_work(m, n, c, dz.itemsize),
            (dz, w, relu, row_blocks, panels, dx))  # fmt: skip


@kernel
def slope(relu, dx):
    """Multiply dx by the slope of the ReLU whose outputs `relu` are, unless it has size 0."""
    if relu.size > 0:
        activation_backward(RELU, 0.0, relu.reshape(-1)[:0], relu.reshape(-1), dx.reshape(-1), dx.reshape(-1))


@kernel
def product(like, m, n, k, a, a_row, a_k, b, b_k, b_n, c, bias, activation, alpha, sums, scratch):
    """C (m, n) = f(A @ B + bias) in chunks, and with `sums`, not 0, the sums (n,) over the rows of B, whose b_n is 1.

    a, b, c, bias, sums: addresses; strides in elements; b_k or b_n is 1. scratch: the address of memory for packed
    products.
    """
    size = like.itemsize
    narrow = is_narrow(m, n, k, a_k, size)
    if not narrow and is_packed_product(m, n, k, a_k != 1, b_n != 1):
        run(packed_product, 1, 0,
            (like, m, n, k, a, a_row, a_k, b, b_k, b_n, c, bias, activation, alpha, sums, scratch))  # fmt: skip
        return
    packed, near = not narrow and is_copied(m, n, k, a_k, b_n, size), narrow or has_shared_sets(m, a_row, a_k, size)
    row_blocks, column_blocks = cut(m, n, k, a_k, size, packed, near)
    run(_product_chunk, row_blocks * column_blocks, product_work(m, n, k, size),
        (packed, near, like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias, activation,
         alpha, sums))  # fmt: skip


@kernel
def _product_chunk(chunk, packed, near, like, m, n, k, row_blocks, column_blocks, a, a_row, a_k, b, b_k, b_n, c, bias,
                   activation, alpha, sums):  # fmt: skip
    size = like.itemsize
    width = PANEL // size
    panels = (n + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m // row_blocks, (row_block + 1) * m // row_blocks
    j0, j1 = column_block * panels // column_blocks * width, (column_block + 1) * panels // column_blocks * width
    rows, columns = i1 - i0, min(j1, n) - j0
    a += i0 * a_row * size
    b += j0 * b_n * size
    c += (i0 * n + j0) * size
    bias += j0 * size if bias != 0 else 0
    if sums != 0 and row_block == 0:
        gemm(like, 1, columns, 1, k, one(like), 0, 0, 0, b, 0, b_k, sums + j0 * size, 0, 0, 0)
    if packed or near:
        packed_block(packed, like, rows, columns, k, a, a_row, a_k, b, b_k, b_n, c, n, bias, tile_flags(activation))
    else:
        group = GROUP if is_grouped(m, n, k, a_k, size) else rows
        few = columns % width if a_k != 1 and has_few_columns(rows, columns % width, k) else 0
        many = columns - few
        for i in range(0, rows if many > 0 else 0, group):
            gemm(like, min(group, rows - i), many, 1, k, a + i * a_row * size, a_row, 0, a_k, b, 0, b_k,
                 c + i * n * size, n, bias, tile_flags(activation))  # fmt: skip
        if few > 0:
            few_columns(like, rows, few, k, a, a_k, b + many * size, b_k, c + many * size, n)
    if columns == n:
        activate(like, activation, alpha, c, rows * n)
        return
    for i in range(rows):
        activate(like, activation, alpha, c + i * n * size, columns)


@kernel
def _flipped_chunk(chunk, dz, w, relu, row_blocks, panels, dx):
    """A block of dx = dz @ w.T for few rows, as (w @ dz.T).T: w stays where it is, dz and the result are transposed."""
    size = dz.itemsize
    width = PANEL // size
    (m, n), c = dz.shape, w.shape[0]
    panel, part = chunk // row_blocks, chunk % row_blocks
    if w.size * size >= HEAVY:  # a thread has its own rows of w: (64, 128) to 3136 inputs 343 us instead of 416
        part, panel = chunk // panels, chunk % panels
    i0 = panel * width
    columns = min(width, m - i0)
    c0, c1 = part * c // row_blocks, (part + 1) * c // row_blocks
    dz_t, dx_t = stack(FLIPPED_B), stack(FLIPPED)
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
    _block_slope(relu, i0, i0 + columns, c0, c1, dx)


@kernel
def _across_chunk(panel, dz, w, relu, dx):
    """Some columns of dx = dz @ w.T, whose rows of w are transposed: less than dz and dx where w is small.

    (128, 128) to 256 inputs within the step of an MLP: 44 us, flipped 46.5.
    """
    size = dz.itemsize
    width = PANEL // size
    (m, n), c = dz.shape, w.shape[0]
    j0 = panel * width
    columns = min(width, c - j0)
    w_t = stack(FLIPPED_B)
    transpose(dz, columns, n, address(w, j0 * n), n, w_t, width)
    gemm(dz, m, columns, 1, n, address(dz, 0), n, 0, 1, w_t, 0, width, address(dx, j0), c, 0, 0)
    _block_slope(relu, 0, m, j0, j0 + columns, dx)


@kernel
def _packed_chunk(chunk, dz, w, relu, row_blocks, column_blocks, dx):
    """Some rows and columns of dx = dz @ w.T for few outputs, whose transposed w stays in L1; nothing else is copied.

    AVX2: (10,000, 32, 16) 133 us, flipped 287; (1024, 128, 10) 97, 115; (1024, 256, 128) 663, 594.
    """
    size = dz.itemsize
    width = PANEL // size
    (m, n), c = dz.shape, w.shape[0]
    panels = (c + width - 1) // width
    row_block, column_block = chunk // column_blocks, chunk % column_blocks
    i0, i1 = row_block * m // row_blocks, (row_block + 1) * m // row_blocks
    j0 = column_block * panels // column_blocks * width
    j1 = min(c, (column_block + 1) * panels // column_blocks * width)
    packed_block(True, dz, i1 - i0, j1 - j0, n, address(dz, i0 * n), n, 1, address(w, j0 * n), 1, n,
                 address(dx, i0 * c + j0), c, 0, 0)  # fmt: skip
    _block_slope(relu, i0, i1, j0, j1, dx)


@kernel
def _block_slope(relu, i0, i1, j0, j1, dx):
    """dx = 0 where relu is not positive, in rows i0..i1 and columns j0..j1, unless relu has size 0."""
    c = dx.shape[1]
    for i in range(i0, i1 if relu.size > 0 else i0):
        for j in range(j0, j1, LANES):
            at, count = i * c + j, j1 - j
            store(dx, at, count, where_positive(load(relu, at, count), load(dx, at, count)))


@kernel
def _part_chunk(chunk, x, dz, scratch):
    """The weight and bias gradients over one part of the samples, into this part's share of the scratch."""
    (n, c), k = x.shape, dz.shape[1]
    first, last = chunk * n // CHUNKS, (chunk + 1) * n // CHUNKS
    part = scratch[chunk * (c + 1) * k : (chunk + 1) * (c + 1) * k]
    if k <= MAX_ROWS:
        few_sums(x, dz, first, last, 0, c, address(part, 0))
    else:
        gemm(x, c, k, 1, last - first, address(x, first * c), 1, 0, c, address(dz, first * k), 0, k,
             address(part, 0), k, 0, 0)  # fmt: skip
    column_sums(dz, first, last, part[c * k :])


@kernel
def sum_parts(parts, step, scratch, first, to):
    """Write the sums of parts that lie `step` elements apart in the scratch, from `first` on, in their order."""
    if to.size > 0:
        gemm(to, 1, to.size, 1, parts, one(to), 0, 0, 0, address(scratch, first), 0, step, address(to, 0), 0, 0, 0)
