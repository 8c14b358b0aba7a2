"""2x2 max pooling of rows that lie in the cache, and its gradient: what Winograd's tiles and pooling hand each other."""
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
    dtype = types.float32 if like.dtype == PAIRS else like.dtype
    return types.Array(dtype, 1, "C")(like, address), lambda *arguments: _array(*arguments, dtype)


@intrinsic
def _places(typingctx: Any, like: Any, address: Any) -> Any:
    """The same of places, uint16."""
    return types.Array(types.uint16, 1, "C")(like, address), lambda *arguments: _array(*arguments, types.uint16)


def _array(context: Any, builder: Any, signature: Any, values: Any, dtype: Any) -> Any:
    array = context.make_array(signature.return_type)(context, builder)
    i64 = ir.IntType(64)
    data = builder.inttoptr(values[1], context.get_data_type(dtype).as_pointer())
    size = ir.Constant(i64, dtype.bitwidth // 8)
    populate_array(array, data, [ir.Constant(i64, 0)], [size], size, None)  # its length is not asked for
    return array._getvalue()


@kernel
def pool_rows(like, row, rows, line, image, h, shape, rectify, index, y):
    """Pool what rows h..h+rows-1 of outputs (N, P, Q, K) of an image complete; a row has `line` elements in memory.

    row: address of row h in memory, where for an odd h row h-1 is before it. index, y: addresses of (N, P/2, Q/2, K)
    places in the windows, as in `max_pool2d_forward`, or none, 2**16 - 1, where f(y) = max(0, y) of `rectify` cuts
    y off; and of y.
    """
    _, p, q, k = shape
    memory, places, to = _floats(like, row), _places(like, index), _floats(like, y)
    zero, one, two, three = spread(places, 0), spread(places, 1), spread(places, 2), spread(places, 3)
    for r in range(h // 2, (h + rows) // 2):
        above, out = (2 * r - h) * line, (image * (p // 2) + r) * (q // 2) * k
        for j in range(q // 2):
            for i in range(0, k, LANES):
                at, count = above + 2 * j * k + i, k - i
                best, place = load(memory, at, count), zero
                best, place = larger(best, place, load(memory, at + k, count), one)
                best, place = larger(best, place, load(memory, at + line, count), two)
                best, place = larger(best, place, load(memory, at + line + k, count), three)
                if rectify:
                    place, best = or_nowhere(best, place), where_positive(best, best)
                store(places, out + j * k + i, count, place)
                store(to, out + j * k + i, count, best)


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
        from_, tap = (image * (p // 2) + h // 2) * (q // 2) * k + first, spread(places, h % 2 * 2)
        next_ = spread(places, h % 2 * 2 + 1)
        for j in range(q // 2 if inside else 0):
            column = left + 2 * j
            for c in range(0, channels, LANES):
                count, at = channels - c, line + column * channels + c
                place, value = load(places, from_ + j * k + c, count), load(values, from_ + j * k + c, count)
                if 0 <= column < wide:
                    store(memory, at, count, where_equal(place, tap, value))
                if -1 <= column < wide - 1:
                    store(memory, at + channels, count, where_equal(place, next_, value))


@kernel
def _clear(memory, start, count):
    for i in range(0, count, LANES):
        store(memory, start + i, count - i, spread(memory, 0.0))
