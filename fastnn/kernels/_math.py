"""Vectorisable exponentials and logarithms for float32 and float64, and stack memory for elementwise loops.

`np.exp` and its kin are scalar library calls in compiled loops. These are branch-free polynomials that LLVM inlines and
vectorises: one body for both float types, with the constants of either written side by side (single, double). Constants
take the type of x, so that float32 never passes through float64. NaN passes through everything.

Bounds, in units in the last place, held by tests/test_math.py: exp, expm1, log, log1p_unit 1.5; sigmoid 2.5; tanh 3;
normal 4 for x >= 0, 8 + 2 x^2 for the lower tail (the rounding of x^2).

The polynomials are minimax fits; the range reductions are Cody and Waite's, "Software Manual for the Elementary
Functions", 1980, and the logarithm's form is fdlibm's (s = f / (2 + f)).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ._jit import exact

CHUNK = 16384  # elements of an elementwise chunk: 64 KB of float32 from each array, which L2 holds
BLOCK = 1024  # elements of a stack block: a small part of L1

# (e^r - 1 - r) / r^2 for |r| <= ln(2) / 2
_EXP = (
    (0.49999993099269036, 0.16666520718533026, 0.04166848388151915, 0.008368701495422199, 0.0013808963513878274),
    (
        0.5000000000000011, 0.16666666666666424, 0.04166666666652988, 0.008333333333486598, 0.0013888888943739618,
        0.0001984126952436142, 2.4801492968429226e-05, 2.755757014928053e-06, 2.763029831494117e-07,
        2.5005248124224794e-08,
    ),
)  # fmt: skip
# (2 atanh(s) - 2 s) / s^3 in s^2 for s <= 1 / 3
_LOG = (
    (0.6666667548739816, 0.3999888880329497, 0.2861660052052956, 0.21430561709508025, 0.2429063788819659),
    (
        0.6666666666666667, 0.3999999999999397, 0.2857142857251147, 0.22222222125370594, 0.18181823207137776,
        0.1538445181887226, 0.1333680779529259, 0.11715928400835257, 0.10972722941513975, 0.06993628154786793,
        0.16468693448420826,
    ),
)  # fmt: skip
# exp(a^2 / 2) (a + b) times the normal tail at a >= 0, in (a - b) / (a + b) with b = 3 and 5
_TAIL = (
    (
        0.7290836913350408, -0.5093321658148321, 0.2300177121381637, -0.04725817555230784,
        -0.010462458733755398, 0.00693740874365096, 0.0010171519800995937, -0.00094667204531764,
        -0.00020391544184066956, 5.181569270419509e-05,
    ),
    (
        0.769193049750063, -0.6653825028900567, 0.4953056159699773, -0.31353315667129616,
        0.16502036617033794, -0.06911863870657033, 0.020795066800829612, -0.002993376766703937,
        -0.0007978694079440205, 0.0005448990333929541, -5.937567510835717e-05, -4.9762654976121864e-05,
        1.668104217138924e-05, 3.980385031903282e-06, -2.768954283522574e-06, -3.355380535329232e-07,
        4.3288620488612945e-07, 4.088178075814662e-08, -6.601285795417897e-08, -8.295873437153409e-09,
        7.942462814298758e-09, 1.4323480112463556e-09, -3.0282972860078927e-10,
    ),
)  # fmt: skip


@intrinsic
def pick(typingctx: Any, x: Any, single: Any, double: Any) -> Any:
    """Return `single` or `double`, whichever belongs to x's type, as that type."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        chosen = values[1] if signature.args[0] == types.float32 else values[2]
        return context.cast(builder, chosen, types.float64, signature.args[0])

    return x(x, types.float64, types.float64), codegen


@intrinsic
def typed(typingctx: Any, x: Any, value: Any) -> Any:
    """Return the float `value` as x's type."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return context.cast(builder, values[1], types.float64, signature.args[0])

    return x(x, types.float64), codegen


@intrinsic
def polynomial(typingctx: Any, x: Any, coefficients: Any) -> Any:
    """Return the polynomial by Horner's rule. coefficients: (single, double), each with the lowest power first."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        double = signature.args[0] == types.float64
        chosen = coefficients[int(double)]
        packed = builder.extract_value(values[1], int(double))
        numbers = [builder.extract_value(packed, i) for i in range(len(chosen))]
        numbers = [context.cast(builder, number, types.float64, signature.args[0]) for number in numbers]
        result = numbers[-1]
        for number in reversed(numbers[:-1]):  # fuses where the CPU can; llvm.fma would call libm elsewhere
            result = _call(builder, f"llvm.fmuladd.f{64 if double else 32}", [result, values[0], number])
        return result

    return x(x, coefficients), codegen


@intrinsic
def _scaled(typingctx: Any, value: Any, shifted: Any) -> Any:
    """Return value * 2^n, rounded once, for |n| up to twice the largest exponent; shifted = n + _shift."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer, digits, bias, shift = _layout(signature.args[0])
        n = builder.sub(builder.bitcast(values[1], integer), shift)
        half = builder.ashr(n, ir.Constant(integer, 1))
        result = values[0]
        for part in (half, builder.sub(n, half)):  # in two steps, so that results may be denormal or overflow
            power = builder.shl(builder.add(part, ir.Constant(integer, bias)), ir.Constant(integer, digits))
            result = builder.fmul(result, builder.bitcast(power, result.type))
        return result

    return value(value, value), codegen


@intrinsic
def _power(typingctx: Any, like: Any, shifted: Any) -> Any:
    """Return 2^n, a normal number; shifted = n + _shift, whose other bits the shift moves away."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer, digits, bias, _ = _layout(signature.args[0])
        n = builder.shl(builder.bitcast(values[1], integer), ir.Constant(integer, digits))
        return builder.bitcast(builder.add(n, ir.Constant(integer, bias << digits)), values[1].type)

    return like(like, like), codegen


@intrinsic
def _split(typingctx: Any, x: Any) -> Any:
    """Return (m, n) with x = m * 2^n and m between sqrt(1/2) and sqrt(2), for normal x > 0; n as a float."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        integer, digits, bias, shift = _layout(signature.args[0])
        root = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}[integer.width]  # the bits of sqrt(1/2)
        one = bias << digits
        raised = builder.add(builder.bitcast(values[0], integer), ir.Constant(integer, one - root))
        n = builder.sub(builder.ashr(raised, ir.Constant(integer, digits)), ir.Constant(integer, bias))
        fraction = builder.and_(raised, ir.Constant(integer, (1 << digits) - 1))
        m = builder.bitcast(builder.add(fraction, ir.Constant(integer, root)), values[0].type)
        float_shift = builder.bitcast(shift, m.type)
        n = builder.fsub(builder.bitcast(builder.add(n, shift), m.type), float_shift)
        return context.make_tuple(builder, signature.return_type, [m, n])

    return types.UniTuple(x, 2)(x), codegen


def _layout(float_type: Any) -> tuple[Any, int, int, Any]:
    """Return the integer type of the same width, fraction bits, exponent bias, and the bits of 1.5 * 2^fraction bits.

    Adding that number to a float rounds it to an integer, which then stands in the lowest bits.
    """
    if float_type == types.float32:
        return ir.IntType(32), 23, 127, ir.Constant(ir.IntType(32), 0x4B400000)
    return ir.IntType(64), 52, 1023, ir.Constant(ir.IntType(64), 0x4338000000000000)


def _call(builder: Any, name: str, values: Any) -> Any:
    function_type = ir.FunctionType(values[0].type, [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), values)


@exact
def _reduced(x):
    """Return (r, n + shift, n) with x = r + n ln(2), |r| <= ln(2) / 2."""
    shift = pick(x, 12582912.0, 6755399441055744.0)
    shifted = x * typed(x, 1.4426950408889634) + shift
    n = shifted - shift
    r = x - n * pick(x, 0.693359375, 0.6931471803691238)  # ends in zeros: the product is exact
    return r - n * pick(x, -2.1219444005469057e-4, 1.9082149292705877e-10), shifted, n


@exact
def exp(x):
    """e^x."""
    low, high = pick(x, -104.0, -746.0), pick(x, 89.0, 710.0)
    x = low if x < low else x
    x = high if x > high else x
    r, shifted, _ = _reduced(x)
    return _scaled(r * r * polynomial(r, _EXP) + r + typed(x, 1.0), shifted)


@exact
def expm1(x):
    """e^x - 1 without cancellation, for x <= 0."""
    low = pick(x, -30.0, -60.0)
    x = low if x < low else x
    r, shifted, n = _reduced(x)
    one = typed(x, 1.0)
    power = _power(x, shifted)
    return power * (r * r * polynomial(r, _EXP) + r) + (power - one)


@exact
def log(x):
    """The natural logarithm; -inf at 0, NaN below."""
    zero, one = typed(x, 0.0), typed(x, 1.0)
    tiny = x < pick(x, 1.1754943508222875e-38, 2.2250738585072014e-308)
    m, n = _split(x * (pick(x, 33554432.0, 18014398509481984.0) if tiny else one))
    n -= pick(x, 25.0, 54.0) if tiny else zero
    f = m - one
    s = f / (f + typed(x, 2.0))
    z = s * s
    low = n * pick(x, -2.1219444005469057e-4, 1.9082149292705877e-10)
    result = n * pick(x, 0.693359375, 0.6931471803691238) + (f - (s * (f - z * polynomial(z, _LOG)) - low))
    result = result if x < typed(x, math.inf) else x  # inf and NaN
    result = typed(x, -math.inf) if x == zero else result
    return typed(x, math.nan) if x < zero else result


@exact
def log1p_unit(x):
    """log(1 + x) for 0 <= x <= 1."""
    s = x / (x + typed(x, 2.0))
    z = s * s
    return x - s * (x - z * polynomial(z, _LOG))


@exact
def sigmoid(x):
    """1 / (1 + e^-x), from the exponential of -|x|, which cannot overflow."""
    e = exp(-abs(x))
    one = typed(x, 1.0)
    return (e if x < typed(x, 0.0) else one) / (one + e)


@exact
def tanh(x):
    """The hyperbolic tangent, from e^(-2|x|) - 1."""
    e = expm1(typed(x, -2.0) * abs(x))
    result = -e / (e + typed(x, 2.0))
    return -result if x < typed(x, 0.0) else result


@exact
def normal(x):
    """Return (P(X <= x) of a normal X, exp(-x^2 / 2)). Far negative x keep their relative accuracy.

    As Shepherd and Laframboise, Math. Comp. 36 (1981) 249-253: the tail over exp(-x^2 / 2) is a polynomial in
    (|x| - b) / (|x| + b).
    """
    one, centre = typed(x, 1.0), pick(x, 3.0, 5.0)
    bell = exp(typed(x, -0.5) * x * x)
    inverse = one / (abs(x) + centre)
    tail = polynomial(one - (centre + centre) * inverse, _TAIL) * inverse * bell
    return (tail if x < typed(x, 0.0) else one - tail), bell


@intrinsic
def stack_block(typingctx: Any, like: Any) -> Any:
    """Return a new array of BLOCK elements of like's type on the stack, valid in this call only.

    Loops write their results here before these are copied to the output: LLVM knows that stack memory overlaps no
    argument, so the loop is vectorised even where input and output are one array.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.return_type)(context, builder)
        element = context.get_data_type(signature.return_type.dtype)
        with builder.goto_entry_block():
            memory = builder.alloca(element, ir.Constant(ir.IntType(64), BLOCK))
            memory.align = 64
        size = context.get_constant(types.intp, context.get_abi_sizeof(element))
        shape = context.get_constant(types.intp, BLOCK)
        populate_array(array, data=memory, shape=[shape], strides=[size], itemsize=size, meminfo=None)
        return array._getvalue()

    return types.Array(like.dtype, 1, "C")(like), codegen
