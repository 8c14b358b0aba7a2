"""What a training step costs, predicted from its recorded operations and a few measurements of the machine.

An operation takes the time to start it, its arithmetic at the share of the FMA peak that its kind of product reaches,
and its traffic at the rate of the cache that holds the step's arrays, half of which a product hides behind arithmetic.
`calibrate` measures shares and rates on one shape each, `best` takes the fastest of several such rounds; `step_cost`
adds up the rows of a model's tape.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import kernels
from fastnn._threads import get_num_threads
from fastnn._typing import Array
from fastnn.bench.peak import Peak
from fastnn.kernels._emitter import MAX_ROWS
from fastnn.kernels._parallel import SMALL
from fastnn.kernels._simd import lanes
from fastnn.kernels._tilings import LEAST, LIGHT, is_winograd, is_winograd_back, products, tile_outputs
from fastnn.kernels._transforms import TILE
from fastnn.model import Sequential

PRODUCTS = ("dense_forward", "dense_weight_gradient", "dense_input_gradient")
CONVOLUTIONS = ("conv2d_forward", "conv2d_weight_gradient", "conv2d_input_gradient")
POOLED = ("conv2d_pool_forward", "conv2d_pool_weight_gradient", "conv2d_pool_input_gradient")
_SIZES = (1 << 14, 1 << 17, 1 << 20, 1 << 23, 1 << 26)  # bytes that a measurement of the traffic reads and writes
_SECONDS = 0.05  # of a measurement


@dataclass(frozen=True)
class Operation:
    """A recorded call: its arithmetic, its traffic, and which calibration it belongs to."""

    name: str
    kind: str
    flops: float
    bytes: int
    fill: float = 1.0  # share of the vectors' lanes that hold columns, or what tiles save beside whole ones of 4x4
    regions: int = 1  # how often the threads begin and end together

    @property
    def work(self) -> float:
        """As the thread pool counts it: below SMALL one thread does it."""
        return self.flops / 32 if self.flops else self.bytes / 8


@dataclass(frozen=True)
class Machine:
    """Rates per second: FMA peak of all threads in FLOP, traffic in bytes by working set; seconds to start a call."""

    threads: int
    peak: float
    shares: dict[str, float]
    traffic: tuple[tuple[int, float], ...]
    call: float
    region: float

    def bandwidth(self, working_set: int) -> float:
        """Bytes per second while a step's arrays have this size, between the measured sizes by their logarithm."""
        sizes, rates = zip(*self.traffic, strict=True)
        return float(np.exp(np.interp(math.log(max(1, working_set)), np.log(sizes), np.log(rates))))

    def seconds(self, operation: Operation, working_set: int) -> float:
        """Of one operation."""
        threads = self.threads if operation.work >= SMALL else 1
        start = self.call + (operation.regions * self.region if threads > 1 else 0.0)
        traffic = operation.bytes / self.bandwidth(working_set) * math.sqrt(self.threads / threads)
        if not operation.flops:
            return start + traffic
        rate = self.peak * threads / self.threads * self.shares[operation.kind] * operation.fill
        return start + operation.flops / rate + traffic / 2


@dataclass(frozen=True)
class Cost:
    """Of one step: predicted seconds, and the bound of the roofline, which no program can beat without Winograd."""

    seconds: float
    roofline: float
    flops: float
    bytes: int


def step_cost(machine: Machine, operations: Sequence[Operation], working_set: int) -> Cost:
    """The sum over the step's operations."""
    flops, traffic = sum(o.flops for o in operations), sum(o.bytes for o in operations)
    return Cost(
        sum(machine.seconds(o, working_set) for o in operations),
        max(flops / machine.peak, traffic / machine.bandwidth(working_set)),
        flops,
        traffic,
    )


def recorded_operations(model: Sequential, x: Array, y: Array, batch_size: int) -> tuple[list[Operation], int]:
    """The operations of a step on batches of this size, and the bytes of all arrays that it touches."""
    checked, targets = model.check_data(x[:batch_size], y[:batch_size])
    steps = model.steps(checked, targets, batch_size)
    steps.run(checked, targets.values, None, 1)
    calls = steps.calls()
    if not calls:
        raise ValueError("bench: the model's step cannot be recorded")
    arrays = {a.__array_interface__["data"][0]: a.nbytes for _, arguments in calls for a in _arrays(arguments)}
    return [describe(name, arguments) for name, arguments in calls], sum(arrays.values())


def describe(name: str, arguments: Sequence[Any]) -> Operation:
    """The call of an operation in numbers."""
    arrays = _arrays(arguments)
    traffic = sum(a.nbytes for a in arrays)
    # The scratch array is as large as the largest layer's: count what this one needs of it as no traffic.
    given = sum(a.nbytes for a in arrays if a.ndim > 1)
    if name in PRODUCTS:
        (n, c), k = _dense_shape(name, arrays)
        of_weights = c if k <= MAX_ROWS else k  # few outputs: its transpose is made
        columns = {"dense_forward": k, "dense_weight_gradient": of_weights, "dense_input_gradient": n}[name]
        return Operation(name, _dense_kind(name, c, k), 2.0 * n * c * k, given, _fill(columns, arrays[0]))
    if name in CONVOLUTIONS:
        pixels, weights, c, k = _conv_shape(name, arrays)
        filled, more = _tiles_filled(name, arrays, [a for a in arguments if isinstance(a, tuple)])
        flops, regions = 2.0 * pixels * weights / k, 2 if more else 1
        return Operation(name, f"{name} {_width(c, k)}", flops, given + more, filled, regions)
    if name in POOLED:
        return _pooled_operation(name, arrays, given)
    if name.endswith("_update"):
        traffic += sum(a.nbytes for a in arrays[1:])  # all but the gradients are written too
    return Operation(name, "traffic", 0.0, traffic)


def _pooled_operation(name: str, arrays: list[Array], traffic: int) -> Operation:
    w, y = {
        "conv2d_pool_forward": (arrays[1], arrays[-1]),
        "conv2d_pool_weight_gradient": (arrays[-2], arrays[2]),
        "conv2d_pool_input_gradient": (arrays[2], arrays[1]),
    }[name]
    (n, p, q, k), c = y.shape, w.shape[2]
    flops, outputs = 8.0 * y.size * w.size / k, (n, 2 * p, 2 * q, k)
    if is_winograd.py_func(outputs, w.shape, (1, 1), (1, 1), 1):
        tiled = arrays[-1].shape if name == "conv2d_pool_input_gradient" else outputs
        kind, (filled, more) = f"{name.replace('_pool', '')} {_width(c, k)}", _tiles_fill(w, tiled)
        return Operation(name, kind, flops, traffic + more, filled, 2)
    return Operation(name, f"{name} {'image' if c < 6 else 'few'}", flops, traffic)


def _arrays(arguments: Sequence[Any]) -> list[Array]:
    return [a for a in arguments if isinstance(a, np.ndarray)]


# Samples, inputs and outputs of the dense layers that stand for all: weights of L2's size come from further away.
_DENSE = {"small": (128, 512, 256), "large": (128, 1024, 1024)}


def _dense_kind(name: str, c: int, k: int) -> str:
    between = math.sqrt(math.prod(_DENSE["small"][1:]) * math.prod(_DENSE["large"][1:]))
    return f"{name} {'small' if c * k < between else 'large'}"


def _dense_shape(name: str, arrays: list[Array]) -> tuple[tuple[int, int], int]:
    if name == "dense_forward":
        return arrays[0].shape, arrays[1].shape[1]
    if name == "dense_weight_gradient":
        return arrays[0].shape, arrays[1].shape[1]
    return (arrays[0].shape[0], arrays[1].shape[0]), arrays[0].shape[1]


def _conv_shape(name: str, arrays: list[Array]) -> tuple[int, int, int, int]:
    """Numbers of outputs and of weights, input and output channels."""
    if name == "conv2d_forward":
        x, w, y = arrays[0], arrays[1], arrays[-1]
        return y.size, w.size, x.shape[3], w.shape[3]
    if name == "conv2d_weight_gradient":
        x, dz, dw = arrays[0], arrays[1], arrays[-2]
        return dz.size, dw.size, x.shape[3], dz.shape[3]
    dz, w, dx = arrays[0], arrays[1], arrays[-1]
    return dz.size, w.size, dx.shape[3], dz.shape[3]


def _tiles_filled(name: str, arrays: list[Array], geometry: Sequence[Any]) -> tuple[float, int]:
    """`_tiles_fill` of Winograd's kernels; 1 and 0 for others."""
    x, w, y = (arrays[0], arrays[1], arrays[-1])
    if name == "conv2d_weight_gradient":
        w, y = arrays[-2], arrays[1]
    dz = x if name == "conv2d_input_gradient" else y
    stride, _, dilation = geometry[:3]
    groups = (y if name == "conv2d_input_gradient" else x).shape[3] // w.shape[2]
    placed = dz.shape, w.shape, stride, dilation, groups
    chosen = is_winograd_back.py_func(y.shape, *placed) if dz is x else is_winograd.py_func(*placed)
    if not chosen:
        return 1.0, 0
    return _tiles_fill(w, y.shape)


def _tiles_fill(w: Array, shape: tuple[int, ...]) -> tuple[float, int]:
    """Products of 3x3 kernels in whole tiles of 4x4 outputs, as the calibration has, by those that outputs take.

    And the bytes of the transformed weights, written and read: twice, because no product hides half of them.
    """
    taps = len(w)
    outputs = tile_outputs.py_func(taps, shape)
    whole = (TILE + 2) ** 2 / TILE**2 * math.prod(shape[1:3]) * taps**2 / 9
    transformed = w.nbytes * (outputs + taps - 1) ** 2 // taps**2
    return float(whole / products.py_func(outputs, taps, shape)), int(4 * transformed)


def _fill(columns: int, like: Array) -> float:
    width = lanes(like.dtype)
    return columns / (-(-columns // width) * width)


# Channels of the convolution that stands for all of its width: different kernels do the narrow and the wide ones.
_WIDTHS = {
    "image": (1, 32, 28), "few": (6, 16, 14), "16": (16, 32, 16), "32": (32, 32, 16), "64": (64, 64, 16),
    "128": (128, 128, 16),
}  # fmt: skip


def _width(c: int, k: int) -> str:
    if c < 6:
        return "image"
    if min(c, k) < LEAST or c * k < LIGHT:
        return "few"
    if min(c, k) < 24:
        return "16"
    wide = math.sqrt(c * k)
    return "32" if wide < 45 else "64" if wide < 91 else "128"


def best(rounds: Sequence[Machine]) -> Machine:
    """The best of some rounds of `calibrate`: on a busy machine the second core may be away for one of them."""
    peak = max(machine.peak for machine in rounds)
    return Machine(
        rounds[0].threads,
        peak,
        {kind: max(m.shares[kind] * m.peak for m in rounds) / peak for kind in rounds[0].shares},
        tuple((size, max(m.traffic[i][1] for m in rounds)) for i, (size, _) in enumerate(rounds[0].traffic)),
        min(machine.call for machine in rounds),
        rounds[0].region,
    )


def calibrate() -> Machine:
    """Measure this machine with the present number of threads, in about three seconds."""
    threads = get_num_threads()
    peak = 1e9 * Peak().gflops(0.3)
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape, np.float32)

    def seconds(call: Callable[[], object]) -> float:
        call()
        times, end = [], time.perf_counter() + _SECONDS
        while time.perf_counter() < end:
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return min(times)  # what neighbours on the machine take is not the operation's

    shares = {}
    for wide, shape in _DENSE.items():
        shares.update({f"{name} {wide}": rate / peak for name, rate in _dense(*shape, seconds).items()})
    for width, (c, k, pixels) in _WIDTHS.items():
        rates = _convolutions(c, k, pixels, seconds) | _pooled(c, k, pixels, seconds)
        shares.update({f"{name} {width}": rate / peak for name, rate in rates.items()})
    traffic = []
    for size in _SIZES:
        source = normal(size // 8)
        to = np.empty_like(source)
        traffic.append((size, size / seconds(lambda a=source, b=to: kernels.residual_add(a, a, b))))  # type: ignore[misc]
    row = normal(16)
    call = seconds(lambda: kernels.residual_add(row, row, row))
    return Machine(threads, peak, shares, tuple(traffic), 0.3 * call, 4e-6)


def _dense(n: int, c: int, k: int, seconds: Callable[[Callable[[], object]], float]) -> dict[str, float]:
    """FLOP per second of the three passes of a dense layer."""
    rng = np.random.default_rng(0)
    x, w, dy = (rng.standard_normal(shape, np.float32) for shape in ((n, c), (c, k), (n, k)))
    y, dw, dx, none = np.empty_like(dy), np.empty_like(w), np.empty_like(x), np.empty(0, np.float32)
    scratch = np.empty(kernels.dense_scratch_size(n, c, k), np.float32)
    calls: dict[str, Callable[[], object]] = {
        "dense_forward": lambda: kernels.dense_forward(x, w, none, 0, 0.0, scratch, y),
        "dense_weight_gradient": lambda: kernels.dense_weight_gradient(x, dy, scratch, dw, none),
        "dense_input_gradient": lambda: kernels.dense_input_gradient(dy, w, x[:0], scratch, dx),
    }
    return {name: 2.0 * n * c * k / seconds(call) for name, call in calls.items()}


def _convolutions(c: int, k: int, pixels: int, seconds: Callable[[Callable[[], object]], float]) -> dict[str, float]:
    """FLOP per second of the three passes of a 3x3 convolution, "same" padding, 32 images."""
    rng = np.random.default_rng(0)
    x, dz = (rng.standard_normal((32, pixels, pixels, n), np.float32) for n in (c, k))
    w, none = rng.standard_normal((3, 3, c, k), np.float32), np.empty(0, np.float32)
    place = ((1, 1), (1, 1), (1, 1), 1)
    ops: Any = kernels  # its sizes are no kernels, and have no types
    scratch = np.empty(ops.conv2d_scratch_size(x.shape, w.shape, dz.shape, *place), np.float32)
    flops = 2.0 * dz.size * w.size / k
    dx, dw = np.empty_like(x), np.empty_like(w)
    y = np.empty_like(dz)
    calls: dict[str, Callable[[], object]] = {
        "conv2d_forward": lambda: kernels.conv2d_forward(x, w, none, *place, 0, 0.0, scratch, y),
        "conv2d_weight_gradient": lambda: kernels.conv2d_weight_gradient(x, dz, *place, scratch, dw, none),
        "conv2d_input_gradient": lambda: kernels.conv2d_input_gradient(dz, w, *place, scratch, dx),
    }
    return {name: flops / seconds(call) for name, call in calls.items()}


def _pooled(c: int, k: int, pixels: int, seconds: Callable[[Callable[[], object]], float]) -> dict[str, float]:
    """FLOP per second of the same with 2x2 pooling, as a first layer or a later one; nothing where there is no such."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((32, side, side, n), np.float32) for side, n in ((pixels, c), (pixels // 2, k)))
    w, none = rng.standard_normal((3, 3, c, k), np.float32), np.empty(0, np.float32)
    inner = _width(c, k) != "image"
    ops: Any = kernels
    size = ops.conv2d_pool_scratch_size(x.shape, w.shape, y.shape, x.itemsize, inner)
    outputs = (len(x), 2 * y.shape[1], 2 * y.shape[2], k)
    if size < 0 or is_winograd.py_func(outputs, w.shape, (1, 1), (1, 1), 1):
        return {}  # Winograd's are those without pooling
    index, scratch = np.empty(y.shape, np.uint16), np.empty(size, np.float32)
    dw, dx = np.empty_like(w), np.empty_like(x)
    flops = 8.0 * y.size * w.size / k
    forward = seconds(lambda: kernels.conv2d_pool_forward(x, w, none, (1, 1), True, scratch, index, y))
    rates = {"conv2d_pool_forward": flops / forward}
    if size > 0:
        back = seconds(lambda: kernels.conv2d_pool_weight_gradient(x, index, y, (1, 1), scratch, dw, none))
        rates["conv2d_pool_weight_gradient"] = flops / back
    if size > 0 and inner:
        back = seconds(lambda: kernels.conv2d_pool_input_gradient(index, y, w, (1, 1), scratch, dx))
        rates["conv2d_pool_input_gradient"] = flops / back
    return rates
