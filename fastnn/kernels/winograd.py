"""Winograd's F(2x2, 3x3): 3x3 convolutions of stride 1 with 16 instead of 36 multiplications for 2x2 outputs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308. Along one axis, with inputs
d0..d3, two outputs are d * g for a kernel g of 3 taps, and three gradients are d * z for 2 output gradients z:

    products   (d0-d2) g0    (d1+d2) (g0+g1+g2)/2    (d2-d1) (g0-g1+g2)/2    (d3-d1) g2    of which the outputs are sums
    products   (d0-d2) z0    (d1+d2) (z0+z1)         (d2-d1) (z0-z1)         (d3-d1) z1    of which the gradients are

Both axes together: a tile of 4x4 inputs becomes 16 numbers per channel, number i of all tiles and channels a matrix,
and the convolution 16 matrix products (tiles x C) @ (C x K), whose results are transformed back. Tiles overlap by two
pixels. The input gradient is the same convolution with flipped, transposed weights. Sums are shorter than the direct
ones, so rounding is no worse; but an infinite input makes NaN of its whole tile.

The transforms are straight-line vector code over the channels, emitted from their matrices into one primitive.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ._epilogue import activate, tile_flags
from ._jit import Primitive, kernel
from ._memory import address, copy, numbers, one
from ._parallel import run
from ._simd import ACCUMULATE, PAIRS, RELU, VECTOR_BYTES, VECTORS, Emitter, call, gemm

CHUNKS = 8  # for the thread pool; each has a block of its own in the scratch array
# Elements of a block's transformed inputs and outputs, which L2 holds beside some of the weights. Anything from 48 to
# 192 K is as fast: (64, 16, 16, 64) to 64 channels forward 3.1-3.5 ms, (64, 8, 8, 128) to 128 2.8-2.9.
BLOCK = 64 << 10
FEWEST, MOST = 24, 96  # tiles of a block
COLUMNS = 64  # output channels of a chunk of the weight gradient
LINE = 16  # elements between the 16 matrices, so that their rows lie in different sets of L1
PANEL = VECTORS * VECTOR_BYTES  # bytes in a row of a panel of columns; a product reads one panel after another

INPUT, OUTPUT, WEIGHTS, GRADIENT, SUMS = range(5)
PAIRED = INPUT, WEIGHTS, GRADIENT  # operands of products
# The matrix L of out = L in L^T, and whether the image is the source (1) or the target (2), or neither
_TRANSFORMS: dict[int, tuple[list[list[float]], int]] = {
    INPUT: ([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]], 1),
    OUTPUT: ([[1, 1, 1, 0], [0, 1, -1, 1]], 2),
    WEIGHTS: ([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], 0),
    GRADIENT: ([[1, 0], [1, 1], [1, -1], [0, 1]], 1),
    SUMS: ([[1, 0.5, 0.5, 0], [0, 0.5, -0.5, 0], [0, 0.5, 0.5, 1]], 0),
}


def _combine(emit: Emitter, factors: list[float], vectors: list[Any]) -> Any:
    """Emit the sum of factors * vectors: one multiplication for all factors of a size."""
    total = None
    for size in sorted({abs(f) for f in factors if f}, reverse=True):
        terms = sorted((-f, i) for i, f in enumerate(factors) if abs(f) == size)
        part = vectors[terms[0][1]]  # a positive one: every row has one of each size
        for minus, i in terms[1:]:
            part = emit.builder.fsub(part, vectors[i]) if minus > 0 else emit.builder.fadd(part, vectors[i])
        if size != 1:
            part = emit.builder.fmul(part, emit.splat(size))
        total = part if total is None else emit.builder.fadd(total, part)
    return total


def _emit_transform(emit: Emitter, kind: int, masked: bool, arguments: dict[str, Any]) -> None:
    """Emit one transform of one vector of channels; with `emit.pairs` of two, which become pairs. Strides in bytes."""
    builder, (matrix, image) = emit.builder, _TRANSFORMS[kind]
    after, before = len(matrix), len(matrix[0])
    sources = ["source", "second"] if emit.pairs and kind in PAIRED else ["source"]

    def at(name: str, i: int, j: int) -> Any:
        steps = "to" if name == "to" else "source"
        down = builder.mul(arguments[f"{steps}_row"], emit.const(i))
        along = builder.mul(arguments[f"{steps}_column"], emit.const(j))
        return builder.add(builder.add(arguments[name], down), along)

    def inside(axis: str, i: int) -> Any:
        low = builder.icmp_signed("<=", arguments[f"{axis}0"], emit.const(i))
        return builder.and_(low, builder.icmp_signed("<", emit.const(i), arguments[f"{axis}1"]))

    names = ("source", "second", "to")
    lanes = {name: emit.mask(arguments[f"{name}_channels"]) if masked else None for name in names}
    nothing = ir.Constant(emit.mask_type, [0] * emit.lanes)

    def mask(name: str, i: int, j: int) -> Any:
        """The lanes that exist: None for all, no lane of a pixel outside the image."""
        if not masked or image != (2 if name == "to" else 1):
            return lanes[name]
        rows = "second_row" if name == "second" else "row"
        return builder.select(builder.and_(inside(rows, i), inside("column", j)), lanes[name], nothing)

    if image:
        # The new pixels of the tile below: memory brings them while this row of tiles is worked on. (64, 32, 32, 32) to
        # 32 channels, whose images lie in L3: 3.7 ms instead of 4.4.
        first = before if image == 1 else after
        for name in sources if image == 1 else ["to"]:
            for i in (first, first + 1):
                for j in (first - 2, first - 1):
                    emit.prefetch(at(name, i, j), 0, image == 2)
    halves = []
    for name in sources:
        columns = [[emit.load(at(name, i, j), 0, mask(name, i, j)) for i in range(before)] for j in range(before)]
        halves.append([[_combine(emit, row, column) for row in matrix] for column in columns])
    for i in range(after):
        for j in range(after):
            values = [_combine(emit, matrix[j], [column[i] for column in half]) for half in halves]
            value = values[0] if len(values) == 1 else emit.pair(*values)
            if kind == OUTPUT:
                value = builder.select(builder.fcmp_ordered("<", value, arguments["floor"]), arguments["floor"], value)
            emit.store(value, at("to", i, j), 0, mask("to", i, j))


_NAMES = ("channels", "source", "source_row", "source_column", "to", "to_row", "to_column", "row0", "row1", "column0",
          "column1", "flags", "second", "second_channels", "second_row0", "second_row1")  # fmt: skip


def _make_vector(bits: int, pairs: bool, kind: int) -> Any:
    """Return the intrinsic that transforms one vector of channels, of which `channels` exist. Strides in elements."""

    @intrinsic
    def vector(
        typingctx: Any, channels: Any, source: Any, source_row: Any, source_column: Any, to: Any, to_row: Any,
        to_column: Any, row0: Any, row1: Any, column0: Any, column1: Any, flags: Any, second: Any,
        second_channels: Any, second_row0: Any, second_row1: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            emit = Emitter(builder, bits, pairs)
            arguments = dict(zip(_NAMES, values, strict=True))
            arguments["source_channels"] = arguments["to_channels"] = arguments["channels"]
            for name in ("source_row", "source_column", "to_row", "to_column"):
                arguments[name] = builder.mul(arguments[name], emit.const(emit.bytes))
            relu = builder.icmp_signed("!=", builder.and_(arguments["flags"], emit.const(RELU)), emit.const(0))
            arguments["floor"] = builder.select(relu, emit.splat(0.0), emit.splat(float("-inf")))
            matrix, image = _TRANSFORMS[kind]
            whole = builder.icmp_signed(">=", arguments["channels"], emit.const(emit.lanes))
            if image:
                size = len(matrix) if image == 2 else len(matrix[0])
                rows = builder.sub(arguments["row1"], arguments["row0"])
                columns = builder.sub(arguments["column1"], arguments["column0"])
                inside = builder.icmp_signed("==", builder.add(rows, columns), emit.const(2 * size))
                whole = builder.and_(whole, inside)
            if pairs and kind in PAIRED:
                also = builder.icmp_signed(">=", arguments["second_channels"], emit.const(emit.lanes))
                whole = builder.and_(whole, also)
                if image:
                    rows = builder.sub(arguments["second_row1"], arguments["second_row0"])
                    whole = builder.and_(whole, builder.icmp_signed("==", rows, emit.const(size)))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    _emit_transform(emit, kind, False, arguments)
                with otherwise:
                    _emit_transform(emit, kind, True, arguments)
            return context.get_dummy_value()

        return types.void(*[types.intp] * len(_NAMES)), codegen

    return vector


def _make_transform(bits: int, pairs: bool = False) -> Any:
    size, width = bits // 8, VECTORS * VECTOR_BYTES // (bits // 8)
    step = VECTOR_BYTES // size
    input_, output, weights, gradient, sums = (_make_vector(bits, pairs, kind) for kind in _TRANSFORMS)

    def transform(
        kind: int, channels: int, source: int, source_row: int, source_column: int, to: int, to_row: int,
        to_column: int, to_panel: int, row0: int, row1: int, column0: int, column1: int, flags: int, second: int,
        seconds: int, second_row0: int, second_row1: int,
    ) -> None:  # fmt: skip
        for j in range(0, channels, step):
            count, at, into = channels - j, source + j * size, to + (j // width * to_panel + j % width) * size
            where = (source_row, source_column, into, to_row, to_column, row0, row1, column0, column1, flags,
                     second + j * size, seconds - j, second_row0, second_row1)  # fmt: skip
            if kind == INPUT:
                input_(count, at, *where)
            elif kind == OUTPUT:
                output(count, at, *where)
            elif kind == WEIGHTS:
                weights(count, at, *where)
            elif kind == GRADIENT:
                gradient(count, at, *where)
            else:
                sums(count, at, *where)

    return transform


_TRANSFORM = types.void(*[types.intp] * 18)
_PRIMITIVES = {
    types.float32: Primitive(_make_transform(32), "winograd_f32", _TRANSFORM),
    types.float64: Primitive(_make_transform(64), "winograd_f64", _TRANSFORM),
    PAIRS: Primitive(_make_transform(32, pairs=True), "winograd_bf16", _TRANSFORM),
}


@intrinsic
def _transform(
    typingctx: Any, like: Any, kind: Any, channels: Any, source: Any, source_row: Any, source_column: Any, to: Any,
    to_row: Any, to_column: Any, to_panel: Any, row0: Any, row1: Any, column0: Any, column1: Any, flags: Any,
    second: Any, seconds: Any, second_row0: Any, second_row1: Any,
) -> Any:  # fmt: skip
    """One tile: to = L source L^T for all channels. Addresses; strides in elements.

    The image's side has the pixels row0..row1-1, column0..column1-1 only: others count as 0 and are not written.
    to_panel: between panels of `to`, as wide as the register tile; that width where `to` has no panels. With `like` an
    array of pairs, PAIRED transforms are of two tiles, the other one at `second` with `seconds` channels and its own
    rows, and their elements become pairs.
    """
    return call(_PRIMITIVES[like.dtype], like, 18)


def winograd_scratch_size(x_shape: Any, w_shape: Any, y_shape: Any) -> int:
    """Return the number of elements that all three passes want as scratch."""
    c, k = w_shape[2:]
    matrix, block = _matrix.py_func, min(k, COLUMNS)
    tiles, _, _ = _blocks.py_func(y_shape, c, block)
    chunks, parts = _parts.py_func(y_shape, k)
    gradient = parts * _part_size.py_func(c, k) + 16 * chunks * (matrix(tiles, c) + matrix(tiles, block))
    return int(max(gradient, _forward_size(y_shape, c, k), 9 * c * k + _forward_size(x_shape, k, c)))


def _forward_size(y_shape: Any, c: int, k: int) -> int:
    """Return the elements for the transformed weights, and for a block of each chunk."""
    tiles, _, chunks = _blocks.py_func(y_shape, c, k)
    matrix = _matrix.py_func
    return int(16 * (matrix(c, k) + chunks * (matrix(tiles, c) + matrix(tiles, k))))


@kernel
def _blocks(shape, c, k):
    """Return tiles in a block, rows of tiles in a block, and chunks, for outputs (N, P, Q, ...)."""
    down, across = shape[0] * ((shape[1] + 1) // 2), (shape[2] + 1) // 2
    chunks = _pieces(down, across, CHUNKS)
    wanted = min(MOST, max(FEWEST, BLOCK // (16 * (c + k))))
    rows = min(max(1, wanted // across), (down + chunks - 1) // chunks)
    return rows * across, rows, chunks


@kernel
def _pieces(down, across, most):
    """Return into how many pieces to cut rows of tiles: of at least 64, else most of them would find cold scratch.

    (12, 8, 8, 64) to 64 channels: 0.16 ms instead of 0.22 forward, weight gradient 0.20 instead of 0.37.
    """
    return min(most, down, max(2, down * across // 128 * 2))


@kernel
def _matrix(rows, columns):
    """Return the elements from one of 16 matrices to the next, its rows filled up to whole panels."""
    return rows * ((columns + 31) // 32 * 32) + LINE


@kernel
def winograd(like, x, w, b, padding, activation, alpha, scratch, y):
    """y (N, P, Q, K) = f(x (N, H, W, C) * w (3, 3, C, K) + b). w, b (0: none), scratch: addresses.

    like: an array of the products' elements. Those of pairs have half the terms: channel i goes with i + (C + 1) // 2.
    """
    c, k = x.shape[3], y.shape[3]
    tiles, rows, chunks = _blocks(y.shape, c, k)
    run(_weight_chunk, CHUNKS, 16 * c * k, (like, c, k, w, scratch))
    run(_chunk, chunks, y.size * c // 4, (like, chunks, rows, tiles, x, b, padding, activation, alpha, scratch, y))


@kernel
def _weight_chunk(chunk, like, c, k, w, to):
    """Transform the weights of some input channels, into panels of output channels."""
    size, depth = like.itemsize, _terms(like, c)
    width, matrix = PANEL // size, _matrix(depth, k)
    for i in range(chunk * depth // CHUNKS, (chunk + 1) * depth // CHUNKS):
        _transform(like, WEIGHTS, k, w + i * k * size, 3 * c * k, c * k, to + i * width * size, 4 * matrix, matrix,
                   depth * width, 0, 0, 0, 0, 0,
                   w + (i + depth) * k * size, k if i + depth < c else 0, 0, 0)  # fmt: skip


@kernel
def _terms(like, count):
    """Return how many elements hold `count` numbers."""
    return (count + numbers(like) - 1) // numbers(like)


@kernel
def _chunk(chunk, like, chunks, rows, tiles, x, b, padding, activation, alpha, scratch, y):
    """The outputs of some rows of tiles, a block after another."""
    (images, p, q, k), c, size = y.shape, x.shape[3], x.itemsize
    width, depth = PANEL // size, _terms(like, c)
    u_matrix, v_matrix, m_matrix = _matrix(depth, k), _matrix(tiles, depth), _matrix(tiles, k)
    down, across = (p + 1) // 2, (q + 1) // 2
    v = scratch + 16 * (u_matrix + chunk * (v_matrix + m_matrix)) * size
    m = v + 16 * v_matrix * size
    first, stop = chunk * images * down // chunks, (chunk + 1) * images * down // chunks
    while first < stop:
        last = first + _share(stop - first, rows)
        _tiles(like, INPUT, x, 0, depth, first, last, down, across, padding, 4, v, depth, width, v_matrix, 0,
               depth, c - depth, 0, 0)  # fmt: skip
        for i in range(16):
            for j in range(0, k, width):  # the bias belongs to every output of a tile, as product 5 does
                gemm(like, (last - first) * across, min(width, k - j), 1, depth, v + i * v_matrix * size, depth, 0, 1,
                     scratch + (i * u_matrix + j * depth) * size, 0, width, m + (i * m_matrix + j) * size, k,
                     b + j * size if i == 5 and b != 0 else 0, 0)  # fmt: skip
        _tiles(like, OUTPUT, y, 0, k, first, last, down, across, (0, 0), 2, m, k, width, m_matrix,
               tile_flags(activation), 0, 0, 0, 0)  # fmt: skip
        for row in range(first, last):
            n, h = row // down, row % down * 2
            activate(x, activation, alpha, address(y, (n * p + h) * q * k), min(2, p - h) * q * k)
        first = last


@kernel
def _share(left, most):
    """Return the length of the next block when the `left` rows are cut into blocks of equal length, at most `most`."""
    blocks = (left + most - 1) // most
    return (left + blocks - 1) // blocks


@kernel
def _tiles(like, kind, image, at, channels, first, last, down, across, padding, reach, block, step, panel, matrix,
           flags, apart, seconds, rows_apart, stop):  # fmt: skip
    """Transform rows of tiles from the image, or to it: `reach` pixels each way, and channels from `at` on.

    An image has down x across tiles. step, panel, matrix: elements of the block between tiles, panels and matrices. The
    other half of a pair is `apart` channels further, of which `seconds` exist, or `rows_apart` rows, before `stop`.
    """
    (_, height, width, c), size = image.shape, image.itemsize
    for row in range(first, last):
        n, h = row // down, row % down * 2 - padding[0]
        h0, h1 = max(0, -h), min(reach, height - h)
        second = row + rows_apart
        second_n, second_h = second // down, second % down * 2 - padding[0]
        second_h0, second_h1 = max(0, -second_h), min(reach, height - second_h)
        if rows_apart > 0 and second >= stop:
            second_h1 = second_h0
        for j in range(across):
            v = 2 * j - padding[1]
            v0, v1 = max(0, -v), min(reach, width - v)
            pixel = address(image, ((n * height + h) * width + v) * c + at)
            source, to = (block, pixel) if kind == OUTPUT else (pixel, block)
            source_row, source_column = (4 * matrix, matrix) if kind == OUTPUT else (width * c, c)
            to_row, to_column = (width * c, c) if kind == OUTPUT else (4 * matrix, matrix)
            other = address(image, ((second_n * height + second_h) * width + v) * c + at + apart)
            _transform(like, kind, channels, source, source_row, source_column, to, to_row, to_column, panel,
                       h0, h1, v0, v1, flags, other, seconds, second_h0, second_h1)  # fmt: skip
            block += step * size


@kernel
def winograd_weight_gradient(like, x, dz, padding, scratch):
    """Write the sums of dw and db over some parts of the tiles to the address `scratch`. like: see `winograd`.

    Return how many parts there are, and the elements from one to the next.
    """
    c, k = x.shape[3], dz.shape[3]
    tiles, rows, _ = _blocks(dz.shape, c, min(k, COLUMNS))
    chunks, parts = _parts(dz.shape, k)
    run(_part_chunk, chunks, dz.size * c // 4, (like, parts, rows, tiles, x, dz, padding, scratch))
    return parts, _part_size(c, k)


@kernel
def _parts(shape, k):
    """Return chunks and parts: a chunk is the sum over one part of the tiles for COLUMNS output channels."""
    blocks = (k + COLUMNS - 1) // COLUMNS
    parts = _pieces(shape[0] * ((shape[1] + 1) // 2), (shape[2] + 1) // 2, max(1, CHUNKS // blocks))
    return parts * blocks, parts


@kernel
def _part_size(c, k):
    """Return the elements of one part: 16 matrices (C, K), and db."""
    return 16 * (c * k + (k + 15) // 16)


@kernel
def _part_chunk(chunk, like, parts, rows, tiles, x, dz, padding, scratch):
    """The sums over one part for one block of output channels: dw (3, 3, C, K), then db (K,)."""
    (images, p, q, k), c, size = dz.shape, x.shape[3], x.itemsize
    part, at = chunk % parts, chunk // parts * COLUMNS
    channels, width, down, across = min(COLUMNS, k - at), PANEL // size, (p + 1) // 2, (q + 1) // 2
    v_matrix, z_matrix = _matrix(tiles, c), _matrix(tiles, min(k, COLUMNS))
    sums = scratch + (part * _part_size(c, k) + at) * size
    db = sums + 16 * c * k * size
    v = scratch + (parts * _part_size(c, k) + 16 * chunk * (v_matrix + z_matrix)) * size
    z = v + 16 * v_matrix * size
    first, stop = part * images * down // parts, (part + 1) * images * down // parts
    flags = 0
    while first < stop:
        last = first + _share(stop - first, rows)
        down_block = _terms(like, last - first)  # pairs are of tiles, the other one so many rows further
        middle, count = first + down_block, down_block * across
        _tiles(like, INPUT, x, 0, c, first, middle, down, across, padding, 4, v, c, width, v_matrix, 0,
               0, c, down_block, last)  # fmt: skip
        _tiles(like, GRADIENT, dz, at, channels, first, middle, down, across, (0, 0), 2, z, width, count * width,
               z_matrix, 0, 0, channels, down_block, last)  # fmt: skip
        for j in range(0, channels, width):
            for i in range(16):
                gemm(like, c, min(width, channels - j), 1, count, v + i * v_matrix * size, 1, 0, c,
                     z + (i * z_matrix + j * count) * size, 0, width, sums + (i * c * k + j) * size, k,
                     0, flags)  # fmt: skip
            # Product 5 sums up a tile's gradients.
            gemm(like, 1, min(width, channels - j), 1, count, one(like), 0, 0, 0,
                 z + (5 * z_matrix + j * count) * size, 0, width, db + j * size, k, 0, flags)  # fmt: skip
        first, flags = last, ACCUMULATE
    for i in range(c):  # in place: a vector is read before it is written
        row = sums + i * k * size
        _transform(like, SUMS, channels, row, 4 * c * k, c * k, row, 3 * c * k, c * k, width, 0, 0, 0, 0, 0,
                   0, 0, 0, 0)  # fmt: skip
    copy(x, 1, channels, db, k, sums + 9 * c * k * size, k)
