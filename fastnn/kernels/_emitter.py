"""The CPU's vectors: how long and how many they are, and what emits their loads, stores and arithmetic as LLVM IR."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

from ._features import FEATURES, TRIPLE

# Bytes of a vector, most rows of a tile, and most accumulators. The accumulators, a tile's vectors of B and one
# broadcast have to fit into the registers: 32 on AVX-512 and ARM, 16 elsewhere.
if "+avx512f" in FEATURES:
    INSTRUCTIONS, VECTOR_BYTES, MAX_ROWS, MAX_ACCUMULATORS = "AVX-512", 64, 14, 28
elif "+avx" in FEATURES:
    INSTRUCTIONS, VECTOR_BYTES, MAX_ROWS, MAX_ACCUMULATORS = "AVX2" if "+avx2" in FEATURES else "AVX", 32, 6, 12
elif TRIPLE.startswith(("aarch64", "arm64")):
    INSTRUCTIONS, VECTOR_BYTES, MAX_ROWS, MAX_ACCUMULATORS = "NEON", 16, 12, 24
else:
    INSTRUCTIONS, VECTOR_BYTES, MAX_ROWS, MAX_ACCUMULATORS = "generic 128-bit", 16, 6, 12

# Masked access to a whole vector is as fast as plain access where the CPU has mask registers, so that one body does for
# whole and partial tiles: 35 bodies compile in 1.3 s, 70 in 2.6.
MASKED_ONLY = "+avx512f" in FEATURES

# What x86 adds to an address in one instruction: how many steps, in a register, and by what they are multiplied.
REACH = ((0, 0), (1, 1), (1, 2), (3, 1), (1, 4), (5, 1), (3, 2))
HAS_FMA, REGISTERS = "+fma" in FEATURES, 32 if "+avx512f" in FEATURES else 16


class _Bfloat(ir.Type):  # type: ignore[misc]
    """16 bits: sign, exponent and the first 7 bits of the fraction of a float32."""

    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bfloat)

    def __hash__(self) -> int:
        return hash(_Bfloat)


def mask_from_bits(builder: Any, count: Any, lanes: int) -> Any:
    """Emit the mask of the first `count` of up to 32 lanes: LLVM would repeat a comparison in every turn of a loop."""
    zero, all_ = ir.Constant(count.type, 0), ir.Constant(count.type, lanes)
    count = builder.select(builder.icmp_signed("<", count, zero), zero, count)
    count = builder.select(builder.icmp_signed("<", count, all_), count, all_)
    bits = builder.sub(builder.shl(ir.Constant(count.type, 1), count), ir.Constant(count.type, 1))
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(ir.IntType(1), lanes))


def cases(builder: Any, value: Any, numbers: Iterable[int]) -> Iterator[int]:
    """Emit a choice by an integer: for each of the numbers what the caller emits in that turn, for others nothing."""
    end = builder.append_basic_block("end")
    switch = builder.switch(value, end)
    for number in numbers:
        block = builder.append_basic_block(f"case_{number}")
        switch.add_case(ir.Constant(value.type, number), block)
        builder.position_at_end(block)
        yield number
        builder.branch(end)
    builder.position_at_end(end)


class Emitter:
    """Emits vector loads, stores and arithmetic of one float type, or products of pairs of bf16 in its place."""

    def __init__(self, builder: Any, bits: int, pairs: bool = False) -> None:
        self.builder = builder
        self.pairs = pairs
        self.bytes = bits // 8
        self.lanes = VECTOR_BYTES // self.bytes
        self.i64, self.i32 = ir.IntType(64), ir.IntType(32)
        self.scalar = ir.FloatType() if bits == 32 else ir.DoubleType()
        self.vector = ir.VectorType(self.scalar, self.lanes)
        self.halves = ir.VectorType(_Bfloat(), 2 * self.lanes)
        self.mask_type = ir.VectorType(ir.IntType(1), self.lanes)
        self.suffix = f"v{self.lanes}f{bits}"

    def const(self, n: int) -> Any:
        return ir.Constant(self.i64, n)

    def splat(self, value: float) -> Any:
        return ir.Constant(self.vector, [value] * self.lanes)

    def pointer(self, address: Any, vector: int, to: Any) -> Any:
        at = self.builder.add(address, self.const(vector * VECTOR_BYTES))
        return self.builder.inttoptr(at, to.as_pointer())

    def _intrinsic(self, name: str, result: Any, arguments: list[Any]) -> Any:
        return cgutils.get_or_insert_function(self.builder.module, ir.FunctionType(result, arguments), name)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        if self.pairs:
            function = self._intrinsic(
                "llvm.x86.avx512bf16.dpbf16ps.512", self.vector, [self.vector, self.halves, self.halves]
            )
            return self.builder.call(function, [c, *(self.builder.bitcast(v, self.halves) for v in (a, b))])
        # fmuladd fuses where the CPU can; llvm.fma would call libm on CPUs without FMA.
        return self.builder.call(
            self._intrinsic(f"llvm.fmuladd.{self.suffix}", self.vector, [self.vector] * 3), [a, b, c]
        )

    def multiply(
        self, base: Any, step: Any, scale: int, vectors: list[Any], sums: list[Any], operand: bool = False
    ) -> list[Any]:
        """Emit for each of the vectors sum + a * vector, a the element `scale` steps after the base.

        step: a register, None for the base itself, or a constant number of bytes. operand: `a` is an operand of each
        multiply-add, not loaded into a register before (AVX-512 only).
        As text for the assembler where CPU and registers allow: LLVM takes an instruction more for each such address,
        64 instead of 52 for the 28 multiply-adds of AVX-512's tile. An Emerald Rapids core whose other thread works is
        1.03 to 1.09 times as fast for it, AVX2's tile 1.02 to 1.11 times.
        """
        if not HAS_FMA or MAX_ACCUMULATORS + len(vectors) >= REGISTERS:
            if step is not None:
                step = self.const(step) if isinstance(step, int) else step
                base = self.builder.add(base, self.builder.mul(step, self.const(scale)))
            a = self.broadcast(base)
            return [self.fma(a, vector, total) for vector, total in zip(vectors, sums, strict=True)]
        llvm.initialize_native_asmparser()
        # Operands by number: the new sums, a register for a, the vectors, the base, the step; and the old sums in place
        n, float_, loads = len(vectors), "s" if self.bytes == 4 else "d", int(not operand)
        steps = [] if step is None or isinstance(step, int) else [step]
        place = f"{step * scale if isinstance(step, int) else ''}(${2 * n + loads}"
        place += f",${2 * n + loads + 1},{scale})" if steps else ")"
        lines = [f"vbroadcasts{float_} {place}, ${n}"] if loads else []
        a = f"{place}{{1to{self.lanes}}}" if operand else f"${n}"
        fma = "vdpbf16ps" if self.pairs else f"vfmadd231p{float_}"
        lines += [f"{fma} {a}, ${n + loads + j}, ${j}" for j in range(n)]
        arguments = [*vectors, base, *steps, *sums]
        register = "v" if MASKED_ONLY else "x"
        constraints = [f"={register}"] * n + [f"=&{register}"] * loads + [register] * n + ["r"] * (1 + len(steps))
        result = ir.LiteralStructType([self.vector] * (n + loads))
        function = ir.FunctionType(result, [argument.type for argument in arguments])
        text = ir.InlineAsm(function, "\n".join(lines), ",".join([*constraints, *map(str, range(n))]))
        found = self.builder.call(text, arguments, attrs=("readonly", "nounwind"))
        return [self.builder.extract_value(found, j) for j in range(n)]

    def pair(self, first: Any, second: Any) -> Any:
        """Return the pairs of the elements of two float32 vectors, rounded to nearest even."""
        function = self._intrinsic("llvm.x86.avx512bf16.cvtne2ps2bf16.512", self.halves, [self.vector] * 2)
        rounded = self.builder.call(function, [second, first])
        order = [i // 2 + i % 2 * self.lanes for i in range(2 * self.lanes)]
        pattern = ir.Constant(ir.VectorType(self.i32, 2 * self.lanes), order)
        interleaved = self.builder.shuffle_vector(rounded, ir.Constant(self.halves, ir.Undefined), pattern)
        return self.builder.bitcast(interleaved, self.vector)

    def broadcast(self, address: Any) -> Any:
        value = self.builder.load(self.builder.inttoptr(address, self.scalar.as_pointer()))
        value.align = self.bytes
        return self.spread(value)

    def spread(self, value: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        lane0 = self.builder.insert_element(undefined, value, ir.Constant(self.i32, 0))
        pattern = ir.Constant(ir.VectorType(self.i32, self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(lane0, undefined, pattern)

    def mask(self, count: Any) -> Any:
        """Return the mask of the first `count` lanes."""
        if MASKED_ONLY:
            return mask_from_bits(self.builder, count, self.lanes)
        # The difference's sign is the mask: LLVM would repeat a comparison in every turn of a loop.
        integer = ir.IntType(8 * self.bytes)
        spread = self.spread(count if integer == self.i64 else self.builder.trunc(count, integer))
        places = ir.Constant(spread.type, list(range(self.lanes)))
        return self.builder.icmp_signed("<", self.builder.sub(places, spread), ir.Constant(spread.type, None))

    def load(self, address: Any, vector: int, mask: Any = None) -> Any:
        pointer = self.pointer(address, vector, self.vector)
        if mask is None:
            value = self.builder.load(pointer)
            value.align = self.bytes
            return value
        types_ = [pointer.type, self.i32, self.mask_type, self.vector]
        function = self._intrinsic(f"llvm.masked.load.{self.suffix}.p0", self.vector, types_)
        return self.builder.call(function, [pointer, ir.Constant(self.i32, self.bytes), mask, self.splat(0.0)])

    def prefetch(self, address: Any, vector: int, write: bool = False, level: int = 1) -> None:
        """Ask for the cache line of a vector that is going to be read, or written: into L1, or L2."""
        pointer = self.pointer(address, vector, self.vector)
        function = self._intrinsic("llvm.prefetch.p0", ir.VoidType(), [pointer.type, *[self.i32] * 3])
        self.builder.call(function, [pointer, *(ir.Constant(self.i32, n) for n in (int(write), 4 - level, 1))])

    def store(self, value: Any, address: Any, vector: int, mask: Any = None) -> None:
        pointer = self.pointer(address, vector, self.vector)
        if mask is None:
            self.builder.store(value, pointer).align = self.bytes
            return
        types_ = [self.vector, pointer.type, self.i32, self.mask_type]
        function = self._intrinsic(f"llvm.masked.store.{self.suffix}.p0", ir.VoidType(), types_)
        self.builder.call(function, [value, pointer, ir.Constant(self.i32, self.bytes), mask])

    def store_first(self, values: list[Any], addresses: list[Any], count: Any) -> None:
        """Store the first `count` lanes, fewer than all, of each value at its address, in powers of two.

        A masked store takes 18 cycles on AMD's CPUs without mask registers: tiles of 6 rows, 10 columns and 16 terms
        have 46 % of the peak with these, 22 with those.
        """
        builder, undefined, size = self.builder, ir.Constant(self.vector, ir.Undefined), self.lanes // 2
        while size > 0:
            before, old = builder.block, [*values, *addresses]
            low, high = (
                ir.Constant(ir.VectorType(self.i32, len(lanes)), lanes)
                for lanes in ([*range(size)], [(i + size) % self.lanes for i in range(self.lanes)])
            )
            with builder.if_then(builder.icmp_signed("!=", builder.and_(count, self.const(size)), self.const(0))):
                for value, address in zip(values, addresses, strict=True):
                    part = builder.shuffle_vector(value, undefined, low)
                    pointer = builder.inttoptr(address, part.type.as_pointer())
                    builder.store(part, pointer).align = self.bytes
                new = [builder.shuffle_vector(value, undefined, high) for value in values]
                new += [builder.add(address, self.const(size * self.bytes)) for address in addresses]
                inside = builder.block
            rest = []
            for old_value, new_value in zip(old, new, strict=True):
                rest.append(builder.phi(old_value.type))
                rest[-1].add_incoming(old_value, before)
                rest[-1].add_incoming(new_value, inside)
            values, addresses, size = rest[: len(values)], rest[len(values) :], size // 2
