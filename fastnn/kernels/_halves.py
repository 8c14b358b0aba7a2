"""2x2 max pooling of rows that lie in the cache, and rows of its gradient: from Winograd's tiles to pooled arrays."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._jit import kernel
from ._lanes import LANES, larger, load, or_nowhere, spread, store, where_equal, where_positive
from ._simd import PAIRS


@intrinsic
def _floats(typingctx: Any, like: Any, address: Any) -> Any:
    """Return the floats from an address on as an array; of pairs float32."""
    return _array_at(types.float32 if like.dtype == PAIRS else like.dtype, like, address)


@intrinsic
def _places(typingctx: Any, like: Any, address: Any) -> Any:
    """The same of places, uint16."""
    return _array_at(types.uint16, like, address)


def _array_at(dtype: Any, *arguments: Any) -> Any:
    """Return signature and code of an array of unknown length, whose address is the last argument."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, i64 = context.make_array(signature.return_type)(context, builder), ir.IntType(64)
        data = builder.inttoptr(values[-1], context.get_data_type(dtype).as_pointer())
        size = ir.Constant(i64, dtype.bitwidth // 8)
        populate_array(array, data, [ir.Constant(i64, 0)], [size], size, None)
        return array._getvalue()

    return types.Array(dtype, 1, "C")(*arguments), codegen


@kernel
def pool_rows(like, row, rows, line, image, h, shape, rectify, index, y):
    """Pool what rows h..h+rows-1 of outputs (N, P, Q, K) of an image complete; a row has `line` elements in memory.

    row: address of row h in memory, where for an odd h row h-1 is before it. index, y: addresses of (N, P/2, Q/2, K)
    places in the windows, as in `max_pool2d_forward`, or none, 2**16 - 1, where f(y) = max(0, y) of `rectify` cuts
    y off; and of y.
    """
    _, p, q, k = shape
    memory, places, to = _floats(like, row), _places(like, index), _floats(like, y)
    for r in range(h // 2, (h + rows) // 2):
        above, out = (2 * r - h) * line, (image * (p // 2) + r) * (q // 2) * k
        for j in range(q // 2):
            for i in range(0, k - LANES + 1, LANES):
                _pool(memory, above + 2 * j * k + i, line, k, rectify, LANES, places, out + j * k + i, to)
            if k % LANES > 0:
                i = k // LANES * LANES
                _pool(memory, above + 2 * j * k + i, line, k, rectify, k - i, places, out + j * k + i, to)


@kernel
def _pool(memory, at, line, k, rectify, count, places, out, to):
    """`count` channels of a window; with a constant, whole vectors are no masked ones."""
    best, place = load(memory, at, count), spread(places, 0)
    best, place = larger(best, place, load(memory, at + k, count), spread(places, 1))
    best, place = larger(best, place, load(memory, at + line, count), spread(places, 2))
    best, place = larger(best, place, load(memory, at + line + k, count), spread(places, 3))
    if rectify:
        place, best = or_nowhere(best, place), where_positive(best, best)
    store(places, out, count, place)
    store(to, out, count, best)


@kernel
def spread_rows(like, index, dy, shape, image, first, channels, top, high, left, wide, to):
    """Write `high` rows from row `top` on of the gradient of outputs (N, P, Q, K), of `channels` from `first` on.

    A row has `wide` pixels, `left` of them before the image. index, dy: as y in `pool_rows`; index, dy, to: addresses.
    """
    _, p, q, k = shape
    memory, places, values = _floats(like, to), _places(like, index), _floats(like, dy)
    for i in range(high):
        h, line = top + i, i * wide * channels
        inside = 0 <= h < p
        begin, end = (max(0, left), min(wide, left + q)) if inside else (0, 0)
        _clear(memory, line, begin * channels)
        _clear(memory, line + end * channels, (wide - end) * channels)
        window, tap = (image * (p // 2) + h // 2) * (q // 2) * k + first, h % 2 * 2
        for j in range(q // 2 if inside else 0):
            column, at = left + 2 * j, line + (left + 2 * j) * channels
            for c in range(0, channels - LANES + 1, LANES):
                _spread(places, values, window + j * k + c, tap, column, wide, channels, LANES, memory, at + c)
            if channels % LANES > 0:
                c = channels // LANES * LANES
                _spread(places, values, window + j * k + c, tap, column, wide, channels, channels - c, memory, at + c)


@kernel
def _spread(places, values, window, tap, column, wide, channels, count, memory, at):
    """`count` channels of two pixels, from `column` on, of which those inside the row are written."""
    place, value = load(places, window, count), load(values, window, count)
    if 0 <= column < wide:
        store(memory, at, count, where_equal(place, spread(places, tap), value))
    if -1 <= column < wide - 1:
        store(memory, at + channels, count, where_equal(place, spread(places, tap + 1), value))


@kernel
def _clear(memory, start, count):
    for i in range(0, count, LANES):
        store(memory, start + i, count - i, spread(memory, 0.0))
