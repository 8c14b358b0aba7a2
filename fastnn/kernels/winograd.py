"""Winograd's F(4x4, 3x3): 3x3 convolutions of stride 1 with 36 instead of 144 multiplications for 4x4 outputs.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015, arXiv:1509.09308. A kernel, a row of outputs
and one of inputs are polynomials; a product of two is known from its values at as many points as it has coefficients.
Along one axis, with 6 inputs d, 4 outputs y and 3 taps g, and z the gradient of y:

    y = A^T [(G g) * (B^T d)]     gradient of g = G^T [(A z) * (B^T d)]     A, G: values at the points, B: interpolation

Both axes together: a tile of 6x6 inputs becomes 36 numbers per channel, number i of all tiles and channels a matrix,
and the convolution 36 matrix products (tiles x C) @ (C x K), whose results are transformed back. Tiles overlap by two
pixels. The input gradient is the same convolution with flipped, transposed weights. An infinite input makes NaN of its
whole tile. With pairs of bf16, whose rounding errors the larger transform would multiply, F(2x2, 3x3): 16 instead of 36.

The transforms are vector code over the channels, emitted from their matrices into one primitive.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ._epilogue import activate, tile_flags
from ._jit import Primitive, kernel
from ._memory import address, copy, numbers, one
from ._parallel import run
from ._simd import ACCUMULATE, PAIRS, RELU, VECTOR_BYTES, VECTORS, Emitter, call, gemm

TILE = 4  # outputs of a tile along an axis
CHUNKS = 8  # for the thread pool; each has a block of its own in the scratch array
# Elements of a block's transformed inputs and outputs, which L2 holds beside some of the weights.
BLOCK = 64 << 10
FEWEST, MOST = 16, 96  # tiles of a block
SUM_BLOCK = 192 << 10  # the same of the weight gradient, whose products have the tiles as terms
CHANNELS = 64  # input and output channels of a chunk of the weight gradient
LINE = 16  # elements between the matrices, so that their rows lie in different sets of L1
PANEL = VECTORS * VECTOR_BYTES  # bytes in a row of a panel of columns; a product reads one panel after another

INPUT, OUTPUT, WEIGHTS, GRADIENT, SUMS = range(5)
PAIRED = INPUT, WEIGHTS, GRADIENT  # operands of products
IMAGES = {INPUT: "source", GRADIENT: "source", OUTPUT: "to"}  # which side of a transform is an image
# Points beside infinity. Largest error of float32 relative to the largest result, 64 channels: 2.5e-6, weight gradient
# 2.7e-6; with 2 and -2 in place of the last two 5.9e-6 and 8.9e-6. Point 1 is number 1 (see ONES).
_POINTS = {4: (0, 1, -1, Fraction(1, 2), -2), 2: (0, 1, -1)}


def _matrices(outputs: int) -> dict[int, Any]:
    """Return the matrix L of each transform out = L in L^T (Toom and Cook; Lavin and Gray, section 4)."""
    points, taps = _POINTS[outputs], 3

    def values(count: int) -> Any:
        """A polynomial's values at the points from its `count` coefficients; at infinity, the last of these."""
        return np.array([[Fraction(p) ** i for i in range(count)] for p in points] + [[0] * (count - 1) + [1]])

    others = [[q for q in points if q != p] for p in points]
    scales = [prod(Fraction(p - q) for q in rest) for p, rest in zip(points, others, strict=True)]
    weights = values(taps) / np.array([*scales, Fraction(1)])[:, None]
    rows = []
    for roots in [*others, list(points)]:
        row = [Fraction(1)]
        for q in roots:  # times x - q
            row = [low - q * high for low, high in zip([Fraction(0), *row], [*row, Fraction(0)], strict=True)]
        rows.append(row + [Fraction(0)] * (outputs + taps - 1 - len(row)))
    exact = {INPUT: np.array(rows), OUTPUT: values(outputs).T, WEIGHTS: weights, GRADIENT: values(outputs), SUMS: weights.T}
    return {kind: matrix.astype(float).tolist() for kind, matrix in exact.items()}


def _combine(emit: Emitter, factors: list[float], vectors: list[Any]) -> Any:
    """Emit the sum of factors * vectors, those with factors of one size first: rows share sums and differences."""
    builder, total = emit.builder, None
    for size in sorted({abs(f) for f in factors if f}, key=lambda size: (size != 1, size)):
        (sign, part), *others = [(f, v) for f, v in zip(factors, vectors, strict=True) if abs(f) == size]
        for factor, vector in others:
            part = builder.fadd(part, vector) if factor == sign else builder.fsub(part, vector)
        if total is not None:
            total = emit.fma(part, emit.splat(sign), total)
        elif size != 1:
            total = builder.fmul(part, emit.splat(sign))
        else:
            total = part if sign > 0 else builder.fneg(part)
    return total


def _emit_transform(emit: Emitter, kind: int, outputs: int, masked: bool, arguments: dict[str, Any]) -> None:
    """Emit one transform of one vector of channels; with `second` of two, which become pairs. Strides in bytes."""
    builder, matrix, image = emit.builder, _matrices(outputs)[kind], IMAGES.get(kind)
    after, before = len(matrix), len(matrix[0])
    sources = ["source", "second"] if "second" in arguments else ["source"]
    lines = [cgutils.alloca_once(builder, ir.ArrayType(emit.vector, after * before)) for _ in sources]

    def at(name: str, i: Any, j: Any) -> Any:
        steps = "to" if name == "to" else "source"
        down, along = builder.mul(arguments[f"{steps}_row"], i), builder.mul(arguments[f"{steps}_column"], j)
        return builder.add(builder.add(arguments[name], down), along)

    def inside(axis: str, i: Any) -> Any:
        low = builder.icmp_signed("<=", arguments[f"{axis}0"], i)
        return builder.and_(low, builder.icmp_signed("<", i, arguments[f"{axis}1"]))

    def masks(name: str, axis: str, count: int) -> list[Any]:
        """The lanes that exist: None for all, no lane where `axis` leaves the image."""
        if not masked:
            return [None] * count
        lanes = emit.mask(arguments[f"{name}_channels"])
        if not axis:
            return [lanes] * count
        return [builder.select(inside(axis, emit.const(i)), lanes, nothing) for i in range(count)]

    def narrowed(mask: Any, axis: str, i: Any) -> Any:
        """The same where the other axis is inside the image too."""
        return builder.and_(mask, builder.select(inside(axis, i), everything, nothing)) if masked and axis else mask

    nothing, everything = (ir.Constant(emit.mask_type, [bit] * emit.lanes) for bit in (0, 1))
    if image:
        # The new pixels of the tile below: memory brings them while this row of tiles is worked on. (64, 32, 32, 32) to
        # 32 channels, whose images lie in L3: 3.7 ms instead of 4.4.
        first = after if image == "to" else before
        for name in ["to"] if image == "to" else sources:
            for i in range(first, first + outputs):
                for j in range(first - outputs, first):
                    emit.prefetch(at(name, emit.const(i), emit.const(j)), 0, image == "to")
    # Columns, then rows, in loops: a sixth of the code.
    for name, line in zip(sources, lines, strict=True):
        rows, columns = (f"{name}_row".removeprefix("source_"), "column") if image == "source" else ("", "")
        fixed = masks(name, rows, before)
        with cgutils.for_range(builder, emit.const(before)) as loop:
            vectors = [emit.load(at(name, emit.const(i), loop.index), 0, narrowed(mask, columns, loop.index))
                       for i, mask in enumerate(fixed)]  # fmt: skip
            for i, factors in enumerate(matrix):
                place = cgutils.gep_inbounds(builder, line, 0, builder.add(loop.index, emit.const(i * before)))
                builder.store(_combine(emit, factors, vectors), place)
    rows, columns = ("row", "column") if image == "to" else ("", "")
    fixed = masks("to", columns, after)
    with cgutils.for_range(builder, emit.const(after)) as loop:
        first = builder.mul(loop.index, emit.const(before))
        places = [builder.add(first, emit.const(j)) for j in range(before)]
        halves = [[builder.load(cgutils.gep_inbounds(builder, line, 0, place)) for place in places] for line in lines]
        for j, (factors, mask) in enumerate(zip(matrix, fixed, strict=True)):
            values = [_combine(emit, factors, half) for half in halves]
            value = values[0] if len(values) == 1 else emit.pair(*values)
            if kind == OUTPUT:
                value = builder.select(builder.fcmp_ordered("<", value, arguments["floor"]), arguments["floor"], value)
            emit.store(value, at("to", loop.index, emit.const(j)), 0, narrowed(mask, rows, loop.index))


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
            emit = Emitter(builder, bits)
            arguments = dict(zip(_NAMES, values, strict=True))
            if not (pairs and kind in PAIRED):
                del arguments["second"]
            arguments["source_channels"] = arguments["to_channels"] = arguments["channels"]
            for name in ("source_row", "source_column", "to_row", "to_column"):
                arguments[name] = builder.mul(arguments[name], emit.const(emit.bytes))
            relu = builder.icmp_signed("!=", builder.and_(arguments["flags"], emit.const(RELU)), emit.const(0))
            arguments["floor"] = builder.select(relu, emit.splat(0.0), emit.splat(float("-inf")))
            outputs = 2 if pairs else 4
            whole = builder.icmp_signed(">=", arguments["channels"], emit.const(emit.lanes))
            if kind in IMAGES:
                size = outputs + 2 if kind == INPUT else outputs
                rows = builder.sub(arguments["row1"], arguments["row0"])
                columns = builder.sub(arguments["column1"], arguments["column0"])
                inside = builder.icmp_signed("==", builder.add(rows, columns), emit.const(2 * size))
                whole = builder.and_(whole, inside)
            if "second" in arguments:
                also = builder.icmp_signed(">=", arguments["second_channels"], emit.const(emit.lanes))
                whole = builder.and_(whole, also)
                if kind in IMAGES:
                    rows = builder.sub(arguments["second_row1"], arguments["second_row0"])
                    whole = builder.and_(whole, builder.icmp_signed("==", rows, emit.const(size)))
            with builder.if_else(whole) as (then, otherwise):
                with then:
                    _emit_transform(emit, kind, outputs, False, arguments)
                with otherwise:
                    _emit_transform(emit, kind, outputs, True, arguments)
            return context.get_dummy_value()

        return types.void(*[types.intp] * len(_NAMES)), codegen

    return vector


def _make_transform(bits: int, pairs: bool = False) -> Any:
    size, width = bits // 8, VECTORS * VECTOR_BYTES // (bits // 8)
    step = VECTOR_BYTES // size
    input_, output, weights, gradient, sums = (_make_vector(bits, pairs, kind) for kind in range(5))

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
    """Return the number of elements that all three passes want as scratch, of floats or of pairs."""
    return max(_scratch_size(x_shape, w_shape, y_shape, outputs) for outputs in _POINTS)


def _scratch_size(x_shape: Any, w_shape: Any, y_shape: Any, outputs: int) -> int:
    c, k = w_shape[2:]
    matrix, count = _matrix.py_func, (outputs + 2) ** 2
    of_c, of_k = min(c, CHANNELS), min(k, CHANNELS)
    tiles, _, _ = _blocks.py_func(outputs, y_shape, SUM_BLOCK, of_c, of_k)
    chunks, parts = _parts.py_func(outputs, y_shape, c, k)
    gradient = parts * _part_size.py_func(count, c, k) + count * chunks * (matrix(tiles, of_c) + matrix(tiles, of_k))
    forward, backward = _forward_size(outputs, y_shape, c, k), _forward_size(outputs, x_shape, k, c)
    return int(max(gradient, forward, 9 * c * k + backward))


def _forward_size(outputs: int, y_shape: Any, c: int, k: int) -> int:
    """Return the elements for the transformed weights, and for a block of each chunk."""
    tiles, _, chunks = _blocks.py_func(outputs, y_shape, BLOCK, c, k)
    matrix = _matrix.py_func
    return int((outputs + 2) ** 2 * (matrix(c, k) + chunks * (matrix(tiles, c) + matrix(tiles, k))))


@kernel
def _outputs(like):
    """Return how many outputs a tile has along an axis."""
    return 4 // numbers(like)


@kernel
def _tiles_of(outputs, shape):
    """Return how many tiles an image of (N, P, Q, ...) has down and across."""
    return (shape[1] + outputs - 1) // outputs, (shape[2] + outputs - 1) // outputs


@kernel
def _blocks(outputs, shape, size, c, k):
    """Return tiles in a block, rows of tiles in a block, and chunks, for outputs (N, P, Q, ...)."""
    down, across = _tiles_of(outputs, shape)
    down *= shape[0]
    chunks = _pieces(down, across, CHUNKS)
    wanted = min(MOST, max(FEWEST, size // ((outputs + 2) ** 2 * (c + k))))
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
    """Return the elements from one of the matrices to the next, its rows filled up to whole panels."""
    return rows * ((columns + 31) // 32 * 32) + LINE


@kernel
def winograd(like, x, w, b, padding, activation, alpha, scratch, y):
    """y (N, P, Q, K) = f(x (N, H, W, C) * w (3, 3, C, K) + b). w, b (0: none), scratch: addresses.

    like: an array of the products' elements. Those of pairs have half the terms: channel i goes with i + (C + 1) // 2.
    """
    c, k = x.shape[3], y.shape[3]
    tiles, rows, chunks = _blocks(_outputs(like), y.shape, BLOCK, c, k)
    run(_weight_chunk, CHUNKS, 16 * c * k, (like, c, k, w, scratch))
    run(_chunk, chunks, y.size * c // 4, (like, chunks, rows, tiles, x, b, padding, activation, alpha, scratch, y))


@kernel
def _weight_chunk(chunk, like, c, k, w, to):
    """Transform the weights of some input channels, into panels of output channels."""
    size, depth, inputs = like.itemsize, _terms(like, c), _outputs(like) + 2
    width, matrix = PANEL // size, _matrix(depth, k)
    for i in range(chunk * depth // CHUNKS, (chunk + 1) * depth // CHUNKS):
        _transform(like, WEIGHTS, k, w + i * k * size, 3 * c * k, c * k, to + i * width * size, inputs * matrix, matrix,
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
    width, depth, outputs = PANEL // size, _terms(like, c), _outputs(like)
    inputs, (down, across) = outputs + 2, _tiles_of(outputs, y.shape)
    count = inputs * inputs
    u_matrix, v_matrix, m_matrix = _matrix(depth, k), _matrix(tiles, depth), _matrix(tiles, k)
    v = scratch + count * (u_matrix + chunk * (v_matrix + m_matrix)) * size
    m = v + count * v_matrix * size
    first, stop = chunk * images * down // chunks, (chunk + 1) * images * down // chunks
    while first < stop:
        last = first + _share(stop - first, rows)
        _tiles(like, INPUT, x, 0, depth, first, last, down, across, padding, inputs, v, depth, width, v_matrix, 0,
               depth, c - depth, 0, 0)  # fmt: skip
        for i in range(count):
            # The bias belongs to every output of a tile, as the product at point 1 of both axes does.
            bias = b if i == inputs + 1 else 0
            for j in range(0, k, width):
                gemm(like, (last - first) * across, min(width, k - j), 1, depth, v + i * v_matrix * size, depth, 0, 1,
                     scratch + (i * u_matrix + j * depth) * size, 0, width, m + (i * m_matrix + j) * size, k,
                     bias + j * size if bias != 0 else 0, 0)  # fmt: skip
        _tiles(like, OUTPUT, y, 0, k, first, last, down, across, (0, 0), outputs, m, k, width, m_matrix,
               tile_flags(activation), 0, 0, 0, 0)  # fmt: skip
        for row in range(first, last):
            n, h = row // down, row % down * outputs
            activate(x, activation, alpha, address(y, (n * p + h) * q * k), min(outputs, p - h) * q * k)
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
    (_, height, width, c), size, outputs = image.shape, image.itemsize, _outputs(like)
    matrices = (outputs + 2) * matrix
    for row in range(first, last):
        n, h = row // down, row % down * outputs - padding[0]
        h0, h1 = max(0, -h), min(reach, height - h)
        second = row + rows_apart
        second_n, second_h = second // down, second % down * outputs - padding[0]
        second_h0, second_h1 = max(0, -second_h), min(reach, height - second_h)
        if rows_apart > 0 and second >= stop:
            second_h1 = second_h0
        for j in range(across):
            v = outputs * j - padding[1]
            v0, v1 = max(0, -v), min(reach, width - v)
            pixel = address(image, ((n * height + h) * width + v) * c + at)
            source, to = (block, pixel) if kind == OUTPUT else (pixel, block)
            source_row, source_column = (matrices, matrix) if kind == OUTPUT else (width * c, c)
            to_row, to_column = (width * c, c) if kind == OUTPUT else (matrices, matrix)
            other = address(image, ((second_n * height + second_h) * width + v) * c + at + apart)
            _transform(like, kind, channels, source, source_row, source_column, to, to_row, to_column, panel,
                       h0, h1, v0, v1, flags, other, seconds, second_h0, second_h1)  # fmt: skip
            block += step * size


@kernel
def winograd_weight_gradient(like, x, dz, padding, scratch):
    """Write the sums of dw and db over some parts of the tiles to the address `scratch`. like: see `winograd`.

    Return how many parts there are, and the elements from one to the next.
    """
    c, k, outputs = x.shape[3], dz.shape[3], _outputs(like)
    tiles, rows, _ = _blocks(outputs, dz.shape, SUM_BLOCK, min(c, CHANNELS), min(k, CHANNELS))
    chunks, parts = _parts(outputs, dz.shape, c, k)
    run(_part_chunk, chunks, dz.size * c // 4, (like, parts, rows, tiles, x, dz, padding, scratch))
    return parts, _part_size((outputs + 2) * (outputs + 2), c, k)


@kernel
def _parts(outputs, shape, c, k):
    """Return chunks and parts: a chunk is the sum over one part of the tiles for CHANNELS of x and of dz."""
    blocks = ((c + CHANNELS - 1) // CHANNELS) * ((k + CHANNELS - 1) // CHANNELS)
    down, across = _tiles_of(outputs, shape)
    parts = _pieces(shape[0] * down, across, max(1, CHUNKS // blocks))
    return parts * blocks, parts


@kernel
def _part_size(count, c, k):
    """Return the elements of one part: `count` matrices (C, K), and db."""
    return count * c * k + (k + 15) // 16 * 16


@kernel
def _part_chunk(chunk, like, parts, rows, tiles, x, dz, padding, scratch):
    """The sums over one part for one block of channels: dw (3, 3, C, K), then db (K,)."""
    (images, _, _, k), c, size, outputs = dz.shape, x.shape[3], x.itemsize, _outputs(like)
    blocks, part = (k + CHANNELS - 1) // CHANNELS, chunk % parts
    from_c, from_k = chunk // parts // blocks * CHANNELS, chunk // parts % blocks * CHANNELS
    of_c, of_k = min(CHANNELS, c - from_c), min(CHANNELS, k - from_k)
    inputs, (down, across) = outputs + 2, _tiles_of(outputs, dz.shape)
    width, count = PANEL // size, inputs * inputs
    v_matrix, z_matrix = _matrix(tiles, min(c, CHANNELS)), _matrix(tiles, min(k, CHANNELS))
    part_size = _part_size(count, c, k)
    sums, db = scratch + part * part_size * size, scratch + (part * part_size + count * c * k + from_k) * size
    v = scratch + (parts * part_size + count * chunk * (v_matrix + z_matrix)) * size
    z = v + count * v_matrix * size
    first, stop = part * images * down // parts, (part + 1) * images * down // parts
    flags = 0
    while first < stop:
        last = first + _share(stop - first, rows)
        down_block = _terms(like, last - first)  # pairs are of tiles, the other one so many rows further
        middle, terms = first + down_block, down_block * across
        _tiles(like, INPUT, x, from_c, of_c, first, middle, down, across, padding, inputs, v, of_c, width, v_matrix, 0,
               0, of_c, down_block, last)  # fmt: skip
        _tiles(like, GRADIENT, dz, from_k, of_k, first, middle, down, across, (0, 0), outputs, z, width, terms * width,
               z_matrix, 0, 0, of_k, down_block, last)  # fmt: skip
        for j in range(0, of_k, width):
            for i in range(count):
                gemm(like, of_c, min(width, of_k - j), 1, terms, v + i * v_matrix * size, 1, 0, of_c,
                     z + (i * z_matrix + j * terms) * size, 0, width,
                     sums + ((i * c + from_c) * k + from_k + j) * size, k, 0, flags)  # fmt: skip
            if from_c == 0:  # the product at point 1 of both axes sums up a tile's gradients
                gemm(like, 1, min(width, of_k - j), 1, terms, one(like), 0, 0, 0,
                     z + ((inputs + 1) * z_matrix + j * terms) * size, 0, width, db + j * size, k, 0, flags)  # fmt: skip
        first, flags = last, ACCUMULATE
    for i in range(of_c):  # in place: a vector is read before it is written
        row = sums + ((from_c + i) * k + from_k) * size
        _transform(like, SUMS, of_k, row, inputs * c * k, c * k, row, 3 * c * k, c * k, width, 0, 0, 0, 0, 0,
                   0, 0, 0, 0)  # fmt: skip
    if from_c == 0:
        copy(x, 1, of_k, db, k, sums + (9 * c * k + from_k) * size, k)
