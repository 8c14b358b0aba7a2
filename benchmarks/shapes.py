"""The table of shapes: for every operation the rows to measure, and the figures that a row has to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

Pair = tuple[int, int]


@dataclass(frozen=True)
class Figures:
    """What a row has to reach; 0: nothing is promised.

    ratio: NumPy's time / ours; full_ratio: float32's / bf16's. share: of the FMA peak. copy_ratio: our time / a plain
    copy's. Times in seconds; extra: what our side takes longer than the other.
    """

    ratio_least: float = 0.0
    full_ratio_least: float = 0.0
    share_least: float = 0.0
    copy_ratio_most: float = 0.0
    ours_most: float = 0.0
    extra_most: float = 0.0


@dataclass(frozen=True)
class Dense:
    """x (N, C) @ w (C, K)."""

    n: int
    c: int
    k: int
    figures: Figures = Figures(ratio_least=1.0)

    def __str__(self) -> str:
        return f"{self.n}x{self.c}x{self.k}"

    @property
    def multiply_adds(self) -> int:
        """Those of one product."""
        return self.n * self.c * self.k


@dataclass(frozen=True)
class Conv:
    """x (N, H, W, C), H = W = pixels, and K kernels of size x size; "same" padding with the smaller part on top."""

    n: int
    pixels: int
    c: int
    k: int
    size: int = 3
    stride: int = 1
    same: bool = True
    dilation: int = 1
    groups: int = 1

    def __str__(self) -> str:
        extras = {
            f"stride {self.stride}": self.stride > 1,
            "valid": not self.same,
            f"dilation {self.dilation}": self.dilation > 1,
            "depthwise" if self.groups == self.c else f"groups {self.groups}": self.groups > 1,
        }
        shape = f"{self.n}x{self.pixels}x{self.pixels}x{self.c} to {self.k}, {self.size}x{self.size}"
        return ", ".join([shape, *(text for text, shown in extras.items() if shown)])

    def small(self) -> Conv:
        """The same with few images."""
        return replace(self, n=min(self.n, 8))

    @property
    def reach(self) -> int:
        """Pixels that a kernel spans along one axis."""
        return (self.size - 1) * self.dilation + 1

    @property
    def outputs(self) -> int:
        """P = Q."""
        return -(-self.pixels // self.stride) if self.same else (self.pixels - self.reach) // self.stride + 1

    @property
    def padding(self) -> int:
        """Pixels above and left of the image."""
        return max(0, (self.outputs - 1) * self.stride + self.reach - self.pixels) // 2

    @property
    def multiply_adds(self) -> int:
        """Those of one pass. Taps that lie in the padding do not count: nobody computes them."""
        starts = [i * self.stride - self.padding for i in range(self.outputs)]
        taps = sum(0 <= start + r * self.dilation < self.pixels for start in starts for r in range(self.size))
        return self.n * taps**2 * self.c // self.groups * self.k


@dataclass(frozen=True)
class Pool:
    """x (N, H, W, C), H = W = pixels, and windows of size x size."""

    n: int
    pixels: int
    c: int
    size: int = 2
    stride: int = 2
    padding: int = 0

    def __str__(self) -> str:
        text = f"{self.n}x{self.pixels}x{self.pixels}x{self.c}"
        return f"{text}, {self.size}x{self.size} stride {self.stride}" if self.size else text

    @property
    def outputs(self) -> int:
        """P = Q."""
        return (self.pixels + 2 * self.padding - self.size) // self.stride + 1


@dataclass(frozen=True)
class Image:
    """x (N, H, W, C), H = W = pixels."""

    n: int
    pixels: int
    c: int

    def __str__(self) -> str:
        return f"{self.n}x{self.pixels}x{self.pixels}x{self.c}"


@dataclass(frozen=True)
class Matrix:
    """(N, C)."""

    n: int
    c: int

    def __str__(self) -> str:
        return f"{self.n}x{self.c}"


# Dense layers: those of small networks, and squares that do not fit into the caches
FAST, FAST_AT_128 = Figures(ratio_least=1.2), Figures(ratio_least=1.2, share_least=0.85)
DENSE = [
    Dense(32, 784, 256, FAST), Dense(128, 784, 256, FAST_AT_128), Dense(256, 784, 256, FAST), Dense(1024, 784, 256),
    Dense(128, 256, 128), Dense(128, 128, 10), Dense(1024, 1024, 1024), Dense(2048, 2048, 2048),
    Dense(128, 784, 1), Dense(1024, 784, 1), Dense(128, 784, 2),
]  # fmt: skip
_SIDES = (
    8, 9, 12, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127, 128, 129, 200, 255, 256, 257, 333, 400, 511, 512,
    513, 700, 777, 1000, 1023, 1024, 1025, 1500, 2047, 2048, 2049, 3000, 4095, 4096,
)  # fmt: skip
SQUARES = [Dense(side, side, side, Figures(ratio_least=0.95)) for side in _SIDES]

# Convolutions
WIDE = [
    Conv(64, 32, 32, 32), Conv(64, 32, 32, 64), Conv(16, 32, 64, 64), Conv(64, 16, 32, 64), Conv(64, 16, 64, 64),
    Conv(64, 16, 64, 128), Conv(64, 14, 32, 64), Conv(64, 8, 64, 64), Conv(64, 8, 64, 128), Conv(64, 8, 128, 128),
    Conv(64, 18, 64, 64, same=False), Conv(64, 32, 32, 64, stride=2), Conv(64, 16, 64, 128, stride=2),
    Conv(32, 32, 32, 32, size=5), Conv(64, 16, 32, 64, size=5), Conv(64, 16, 64, 64, size=5),
    Conv(64, 8, 64, 128, size=5), Conv(64, 8, 128, 128, size=5), Conv(64, 12, 32, 64, size=5, same=False),
]  # fmt: skip
WIDE_FIGURES = {
    "conv2d_forward": Figures(ratio_least=1.0, share_least=0.80),
    "conv2d_input_gradient": Figures(ratio_least=1.0, share_least=0.75),
    "conv2d_weight_gradient": Figures(ratio_least=1.0, share_least=0.70),
}
NARROW = [
    Conv(64, 28, 1, 6, size=5), Conv(64, 28, 1, 16), Conv(64, 28, 1, 32), Conv(64, 28, 1, 20, size=5, same=False),
    Conv(64, 32, 3, 6, size=5, same=False), Conv(64, 32, 3, 16), Conv(64, 32, 3, 32), Conv(64, 32, 3, 32, size=5),
    Conv(64, 14, 6, 16, size=5, same=False), Conv(64, 16, 16, 10), Conv(64, 12, 20, 20, size=5),
]  # fmt: skip
POOLED = [
    Conv(64, 28, 1, 6, size=5), Conv(64, 28, 1, 16, size=5, same=False), Conv(64, 28, 1, 32), Conv(64, 28, 1, 64),
    Conv(64, 32, 3, 16), Conv(64, 32, 3, 64),
]  # fmt: skip
# Few images, in inference
POOLED_FEW = [
    Conv(1, 28, 1, 6, size=5), Conv(1, 28, 1, 16, size=5, same=False), Conv(1, 28, 1, 32), Conv(8, 28, 1, 6, size=5),
    Conv(1, 8, 1, 16), Conv(1, 32, 3, 8),
]  # fmt: skip
# The same further in, where the input has a gradient too
POOLED_INSIDE = [
    Conv(64, 14, 6, 16, size=5, same=False), Conv(64, 12, 16, 32, same=False), Conv(64, 14, 32, 64),
    Conv(64, 32, 32, 32),
]  # fmt: skip
NARROW_FIGURES = Figures(ratio_least=4.0)
GROUPED = [
    Conv(64, 32, 32, 32, groups=32), Conv(64, 16, 64, 64, groups=64), Conv(64, 16, 64, 64, size=5, groups=64),
    Conv(64, 16, 64, 64, groups=4), Conv(64, 16, 64, 64, dilation=2),
]  # fmt: skip

# Products of bf16, beside those of float32
BF16_DENSE = [Dense(32, 784, 256), Dense(128, 784, 256), Dense(1024, 784, 256), Dense(1024, 1024, 1024)]
BF16_CONV = [
    Conv(64, 14, 32, 64), Conv(64, 16, 64, 64), Conv(64, 8, 128, 128), Conv(64, 32, 32, 32), Conv(64, 16, 16, 16),
    Conv(64, 16, 32, 64, size=5), Conv(64, 8, 128, 128, size=5), Conv(64, 16, 32, 64, stride=2),
    Conv(64, 16, 64, 64, size=1),
]  # fmt: skip
BF16_FIGURES = Figures(full_ratio_least=1.2)

# Memory-bound: a plain copy moves as many bytes. One shape lies in the caches of a core, one does not.
AS_COPY = Figures(ratio_least=1.0, copy_ratio_most=1.5)
FASTER = Figures(ratio_least=1.0)
ELEMENTS = [32_768, 2_097_152]
POOLS = [Pool(64, 28, 32), Pool(64, 32, 64), Pool(64, 14, 64), Pool(64, 16, 64, size=3, stride=2, padding=1)]
GLOBAL_POOLS = [Pool(64, 8, 128, size=0), Pool(64, 32, 64, size=0)]
NORMS = [Matrix(128, 256), Matrix(64 * 16 * 16, 64), Matrix(64 * 32 * 32, 32)]
LOGITS = [Matrix(128, 10), Matrix(256, 1000)]
PARAMETERS = [235_146, 4_194_304]
BATCHES = [Matrix(32, 784), Matrix(256, 3072)]

# Augmentation: batches of images as MNIST and CIFAR have them
IMAGES = [Image(64, 28, 1), Image(64, 32, 3)]

# Activations by the names of their codes; only the first two are memory-bound
ACTIVATIONS = ["RELU", "LEAKY_RELU", "ELU", "GELU", "GELU_TANH", "SILU", "SOFTPLUS", "SIGMOID", "TANH"]
MEMORY_BOUND = {"RELU", "LEAKY_RELU"}

TABLE: dict[str, list[Any]] = {
    "dense_forward": DENSE,
    "dense_weight_gradient": DENSE,
    "dense_input_gradient": DENSE,
    "conv2d_forward": WIDE + NARROW + GROUPED,
    "conv2d_weight_gradient": WIDE + NARROW + GROUPED,
    "conv2d_input_gradient": WIDE + NARROW + GROUPED,
    "conv2d_pool_forward": POOLED + POOLED_INSIDE,
    "conv2d_pool_inference": POOLED_FEW,
    "conv2d_pool_weight_gradient": POOLED + POOLED_INSIDE,
    "conv2d_pool_input_gradient": POOLED_INSIDE,
    "activation_forward": ELEMENTS,
    "activation_backward": ELEMENTS,
    "softmax_forward": LOGITS,
    "softmax_backward": LOGITS,
    "log_softmax_forward": LOGITS,
    "log_softmax_backward": LOGITS,
    "clip_forward": ELEMENTS,
    "clip_backward": ELEMENTS,
    "dropout_forward": ELEMENTS,
    "dropout_backward": ELEMENTS,
    "max_pool2d_forward": POOLS,
    "max_pool2d_backward": POOLS,
    "avg_pool2d_forward": POOLS,
    "avg_pool2d_backward": POOLS,
    "global_avg_pool2d_forward": GLOBAL_POOLS,
    "global_avg_pool2d_backward": GLOBAL_POOLS,
    "batch_norm_forward": NORMS,
    "batch_norm_backward": NORMS,
    "batch_norm_inference": NORMS,
    "batch_norm_inference_backward": NORMS,
    "softmax_cross_entropy_forward": LOGITS,
    "softmax_cross_entropy_backward": LOGITS,
    "soft_cross_entropy_forward": LOGITS,
    "soft_cross_entropy_backward": LOGITS,
    "binary_cross_entropy_forward": ELEMENTS,
    "binary_cross_entropy_backward": ELEMENTS,
    "mean_squared_error_forward": ELEMENTS,
    "mean_squared_error_backward": ELEMENTS,
    "sgd_update": PARAMETERS,
    "rmsprop_update": PARAMETERS,
    "adam_update": PARAMETERS,
    "accumulate_gradients": PARAMETERS,
    "clip_by_value": PARAMETERS,
    "sum_of_squares": PARAMETERS,
    "clip_by_norm": PARAMETERS,
    "gather": BATCHES,
    "random_affine": IMAGES,
    "elastic_field": IMAGES,
    "warp": IMAGES,
    "cutout": IMAGES,
    "mixup": BATCHES,
    "residual_add": ELEMENTS,
    "class_accuracy": LOGITS,
    "one_hot_accuracy": LOGITS,
    "sign_accuracy": ELEMENTS,
    "total_loss": LOGITS,
    "batch_norm_follow": NORMS,
}


def rows(*beginnings: str) -> Any:
    """Parametrize a test with (operation, shape) for the operations whose names begin so."""
    chosen = [(name, shape) for name in TABLE if name.startswith(beginnings) for shape in TABLE[name]]
    return pytest.mark.parametrize(
        ("operation", "shape"), [pytest.param(name, shape, id=f"{name}-{shape}") for name, shape in chosen]
    )
