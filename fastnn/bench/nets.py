"""The networks of the comparison, described without any library: each peer builds them from these parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Literal, TypeAlias

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """x @ w + b, w (C, K)."""

    units: int


@dataclass(frozen=True)
class Conv:
    """Cross-correlation of x (N, H, W, C) with w (S, S, C, K); `padding` zero pixels on every side."""

    channels: int
    size: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Pool:
    """Maximum of windows of 2x2."""


@dataclass(frozen=True)
class GlobalPool:
    """Mean over all pixels."""


@dataclass(frozen=True)
class Flatten:
    """(N, H, W, C) to (N, H*W*C)."""


@dataclass(frozen=True)
class Norm:
    """Batch norm of the last axis, with eps 1e-5 and the batch's own statistics."""


@dataclass(frozen=True)
class Act:
    """An activation."""

    name: Literal["relu", "sigmoid", "tanh"]


@dataclass(frozen=True)
class Residual:
    """x + f(x), f the parts."""

    parts: tuple[Part, ...]


Part: TypeAlias = Dense | Conv | Pool | GlobalPool | Flatten | Norm | Act | Residual
RELU = Act("relu")


@dataclass(frozen=True)
class Net:
    """A network on samples of input_shape, (C,) or (H, W, C) with H = W; its output are logits."""

    title: str
    input_shape: Shape
    parts: tuple[Part, ...]

    @property
    def classes(self) -> int:
        """The number of logits."""
        last = self.parts[-1]
        assert isinstance(last, Dense)
        return last.units

    def steps(self) -> Iterator[tuple[Part, Shape]]:
        """Every part, those inside of Residual too, with the shape of its input."""
        yield from walk(self.parts, self.input_shape)

    def weight_shapes(self) -> list[Shape]:
        """Of all parameters in order: w and b of Dense and Conv, gamma and beta of Norm."""
        return [shape for part, before in self.steps() for shape in _weights(part, before)]

    def multiply_adds(self) -> tuple[int, int]:
        """Of one sample's forward pass, and of its first layer; taps in the padding do not count."""
        counts = [count for part, before in self.steps() if (count := _multiply_adds(part, before))]
        return sum(counts), counts[0]


def walk(parts: tuple[Part, ...], shape: Shape) -> Iterator[tuple[Part, Shape]]:
    """Every part with the shape of its input, the parts of a Residual instead of itself."""
    for part in parts:
        if isinstance(part, Residual):
            yield from walk(part.parts, shape)
        else:
            yield part, shape
        shape = after(part, shape)


def after(part: Part, shape: Shape) -> Shape:
    """The shape of a part's output."""
    if isinstance(part, Dense):
        return (part.units,)
    if isinstance(part, Flatten):
        return (prod(shape),)
    if isinstance(part, GlobalPool):
        return shape[-1:]
    if isinstance(part, Pool):
        return (shape[0] // 2, shape[1] // 2, shape[2])
    if isinstance(part, Conv):
        side = (shape[0] + 2 * part.padding - part.size) // part.stride + 1
        return (side, side, part.channels)
    return shape


def _weights(part: Part, before: Shape) -> list[Shape]:
    if isinstance(part, Dense):
        return [(before[-1], part.units), (part.units,)]
    if isinstance(part, Conv):
        kernel = (part.size, part.size, before[-1], part.channels)
        return [kernel, (part.channels,)] if part.bias else [kernel]
    return [before[-1:]] * 2 if isinstance(part, Norm) else []


def _multiply_adds(part: Part, before: Shape) -> int:
    if isinstance(part, Dense):
        return before[-1] * part.units
    if not isinstance(part, Conv):
        return 0
    side = after(part, before)[0]
    starts = [i * part.stride - part.padding for i in range(side)]
    taps = sum(0 <= start + r < before[0] for start in starts for r in range(part.size))
    return taps**2 * before[-1] * part.channels


def mlp(*sizes: int, act: Literal["relu", "sigmoid", "tanh"] = "relu") -> Net:
    """A multilayer perceptron of the given sizes, input first."""
    parts: list[Part] = []
    for units in sizes[1:]:
        parts += [Dense(units), Act(act)]
    return Net(f"MLP {'-'.join(map(str, sizes))} {act}", sizes[:1], tuple(parts[:-1]))


def _block(channels: int) -> tuple[Part, ...]:
    conv = Conv(channels, bias=False)
    return (Residual((conv, Norm(), RELU, conv, Norm())), RELU)


MLP, MLP_SIGMOID, MLP_TINY = mlp(784, 256, 128, 10), mlp(784, 64, 10, act="sigmoid"), mlp(4, 32, 16, 4, act="tanh")
LENET5 = Net("LeNet-5", (28, 28, 1), (
    Conv(6, 5, padding=2), RELU, Pool(), Conv(16, 5, padding=0), RELU, Pool(),
    Flatten(), Dense(120), RELU, Dense(84), RELU, Dense(10),
))  # fmt: skip
CNN = Net("CNN 32-64-128", (28, 28, 1), (
    Conv(32), RELU, Pool(), Conv(64), RELU, Pool(), Flatten(), Dense(128), RELU, Dense(10),
))  # fmt: skip
VGG = Net("VGG-like 32-64-128", (32, 32, 3), (
    Conv(32), RELU, Conv(32), RELU, Pool(), Conv(64), RELU, Conv(64), RELU, Pool(),
    Conv(128), RELU, Conv(128), RELU, Pool(), Flatten(), Dense(256), RELU, Dense(10),
))  # fmt: skip
RESNET = Net("ResNet 16-32-64", (32, 32, 3), (
    Conv(16, bias=False), Norm(), RELU, *_block(16), *_block(16),
    Conv(32, stride=2, bias=False), Norm(), RELU, *_block(32), *_block(32),
    Conv(64, stride=2, bias=False), Norm(), RELU, *_block(64), *_block(64),
    GlobalPool(), Dense(10),
))  # fmt: skip
# MNIST to 99 % in one epoch
MNIST_CNN = Net("CNN 16-32-128", (28, 28, 1), (
    Conv(16, 5, padding=0), Pool(), RELU, Conv(32, padding=0), Pool(), RELU, Flatten(), Dense(128), RELU, Dense(10),
))  # fmt: skip
