"""Networks that are known to work, by name. A builder takes the shape of one sample, the number of classes and
keywords, and returns new layers whose output are logits (N, classes).

Keywords that several builders share: activation, a word that `fastnn.layers` know, after every hidden layer;
dropout, the rate before every dense layer but a network's first layer; batch_norm, before every hidden
activation (the layer before it then has no biases); clip_pre_activations, the bound (either way) of what goes into
every hidden activation, 0 for none; init, how weights begin: a name or a standard deviation, see
`fastnn.initializers`. A wrong keyword raises TypeError or ValueError that names builder and keyword.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastnn import _checks, initializers
from fastnn._typing import Shape
from fastnn.layers import (
    BatchNorm,
    Clip,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    MaxPool2D,
    Residual,
)
from fastnn.layers import activation as activations


def mlp(
    input_shape: Shape,
    classes: int,
    *,
    hidden: Sequence[int] = (256, 128),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    clip_pre_activations: float = 0.0,
    init: str | float = "he_normal",
) -> list[Layer]:
    """A multilayer perceptron on the flattened sample. hidden: units of each hidden layer; () has none."""
    style = _Style("mlp", activation, dropout, batch_norm, init, clip_pre_activations)
    return [Flatten(), *style.dense(_checks.sizes("mlp", "hidden", hidden), classes, begins=True)]


def cnn(
    input_shape: Shape,
    classes: int,
    *,
    channels: Sequence[int] = (32, 64),
    convs: int = 1,
    kernel_size: int | Sequence[int] = 3,
    padding: str = "same",
    dense: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    clip_pre_activations: float = 0.0,
    pool_first: bool = False,
    init: str | float = "he_normal",
) -> list[Layer]:
    """Stages of convolutions, each with a max pooling 2x2 at its end, then dense layers.

    channels: of each stage. convs: convolutions in a stage. kernel_size: pixels on each side, one for all stages or one
    for each. padding: "same" keeps the image's size, "valid" has none. dense: units of the hidden dense layers; () has
    none. pool_first: a stage pools before its last batch norm and activation.
    """
    style = _Style("cnn", activation, dropout, batch_norm, init, clip_pre_activations)
    return _stages(style, input_shape, classes, channels, convs, kernel_size, padding, dense, pool_first)


def vgg(
    input_shape: Shape,
    classes: int,
    *,
    channels: Sequence[int] = (32, 64, 128),
    convs: int = 2,
    kernel_size: int | Sequence[int] = 3,
    padding: str = "same",
    dense: Sequence[int] = (256,),
    activation: str = "relu",
    dropout: float = 0.0,
    batch_norm: bool = False,
    clip_pre_activations: float = 0.0,
    pool_first: bool = False,
    init: str | float = "he_normal",
) -> list[Layer]:
    """`cnn` with two convolutions in each of three stages, in the manner of VGG (Simonyan & Zisserman 2014), for
    images of CIFAR's size."""
    style = _Style("vgg", activation, dropout, batch_norm, init, clip_pre_activations)
    return _stages(style, input_shape, classes, channels, convs, kernel_size, padding, dense, pool_first)


def lenet5(
    input_shape: Shape, classes: int, *, activation: str = "relu", dropout: float = 0.0, init: str | float = "he_normal"
) -> list[Layer]:
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: 5x5 convolutions of 6 and 16, dense 120, 84.

    The paper's convolutions have no padding and start from 32x32 pixels; smaller images are padded.
    """
    style = _Style("lenet5", activation, dropout, False, init)
    side = min(_image("lenet5", input_shape)[:2])
    if side < 4:
        raise ValueError(f"lenet5: input_shape must have 4x4 pixels or more, got {input_shape}")
    return [
        style.conv(6, 5, padding="valid" if side >= 32 else "same"), *style.after(), MaxPool2D(2),
        style.conv(16, 5, padding="valid" if side >= 28 else "same"), *style.after(), MaxPool2D(2),
        Flatten(), *style.dense((120, 84), classes),
    ]  # fmt: skip


def resnet(
    input_shape: Shape,
    classes: int,
    *,
    channels: Sequence[int] = (16, 32, 64),
    blocks: int = 2,
    activation: str = "relu",
    dropout: float = 0.0,
    init: str | float = "he_normal",
) -> list[Layer]:
    """A small residual network (He et al. 2015, arXiv:1512.03385) with batch norm, and the mean over all pixels at
    its end.

    channels: of each stage; every stage but the first begins with a convolution of stride 2. blocks: residual
    blocks of two 3x3 convolutions in a stage.
    """
    style = _Style("resnet", activation, dropout, True, init)
    blocks = _checks.integer("resnet", "blocks", blocks, 1)
    _image("resnet", input_shape)
    layers: list[Layer] = []
    for stage, width in enumerate(_some("resnet", "channels", channels)):
        layers += [style.conv(width, 3, stride=2 if stage else 1), *style.after()]
        for _ in range(blocks):
            inner = [style.conv(width, 3), *style.after(), style.conv(width, 3), BatchNorm()]
            layers += [Residual(inner), style.active()]
    return [*layers, GlobalAvgPool2D(), *style.dense((), classes)]


# Closed: settings can name these networks and nothing else.
NETWORKS: dict[str, Callable[..., list[Layer]]] = {
    "mlp": mlp, "cnn": cnn, "lenet5": lenet5, "vgg": vgg, "resnet": resnet,
}  # fmt: skip


@dataclass(frozen=True)
class _Style:
    """What the layers of one network have in common, checked."""

    owner: str
    activation: str
    dropout: float
    batch_norm: bool
    init: str | float
    clip: float = 0.0

    def __post_init__(self) -> None:
        _checks.choice(self.owner, "activation", self.activation, activations.NAMES)
        _checks.number(self.owner, "dropout", self.dropout, minimum=0, below=1)
        _checks.flag(self.owner, "batch_norm", self.batch_norm)
        initializers.get(self.owner, self.init)
        _checks.number(self.owner, "clip_pre_activations", self.clip, minimum=0)

    def conv(self, channels: int, size: int, stride: int = 1, padding: str = "same") -> Layer:
        return Conv2D(None, channels, size, stride, padding, bias=not self.batch_norm, init=self.init)

    def active(self) -> Layer:
        layer = activations.make(self.owner, self.activation)
        assert layer is not None
        return layer

    def after(self) -> list[Layer]:
        """What follows on a hidden layer's sums."""
        norm = [BatchNorm()] if self.batch_norm else []
        clip = [Clip(-self.clip, self.clip)] if self.clip else []
        return [*norm, *clip, self.active()]

    def dense(self, hidden: Sequence[int], classes: int, begins: bool = False) -> list[Layer]:
        """The dense layers at the end; dropout, if any, goes before each, but not where the network begins."""
        layers: list[Layer] = []
        for units in hidden:
            layers += [*self._dropped(begins), Dense(None, units, bias=not self.batch_norm, init=self.init)]
            layers += self.after()
            begins = False
        return [*layers, *self._dropped(begins), Dense(None, classes, init=self.init)]

    def _dropped(self, begins: bool) -> list[Layer]:
        return [] if begins or not self.dropout else [Dropout(self.dropout)]


def _stages(
    style: _Style,
    input_shape: Shape,
    classes: int,
    channels: Sequence[int],
    convs: int,
    kernel_size: int | Sequence[int],
    padding: str,
    dense: Sequence[int],
    pool_first: bool,
) -> list[Layer]:
    owner = style.owner
    channels = _some(owner, "channels", channels)
    convs = _checks.integer(owner, "convs", convs, 1)
    kernels = _of_each(owner, "kernel_size", kernel_size, len(channels))
    _checks.choice(owner, "padding", padding, ("same", "valid"))
    pool_first = _checks.flag(owner, "pool_first", pool_first)
    height, width, _ = _image(owner, input_shape)
    smallest = min(height, width)
    layers: list[Layer] = []
    for stage, (each, size) in enumerate(zip(channels, kernels, strict=True)):
        for _ in range(convs - 1):
            layers += [style.conv(each, size, padding=padding), *style.after()]
        end: list[Layer] = [MaxPool2D(2)]
        layers.append(style.conv(each, size, padding=padding))
        layers += end + style.after() if pool_first else style.after() + end
        smallest = (smallest - (convs * (size - 1) if padding == "valid" else 0)) // 2
        if smallest < 1:
            raise ValueError(
                f"{owner}: channels must be at most {stage} for {height}x{width} pixels, got {len(channels)}"
                if stage
                else f"{owner}: input_shape is too small for one stage, got {height}x{width} pixels"
            )
    return [*layers, Flatten(), *style.dense(_checks.sizes(owner, "dense", dense), classes)]


def _of_each(owner: str, name: str, value: int | Sequence[int], stages: int) -> Shape:
    """One number for each stage, from those or from one for all."""
    found = _checks.sizes(owner, name, value if isinstance(value, tuple | list) else (value,))
    if len(found) not in (1, stages):
        raise ValueError(f"{owner}: {name} must be one number or {stages}, one for each stage, got {len(found)}")
    return found * stages if len(found) == 1 else found


def _some(owner: str, name: str, value: Sequence[int]) -> Shape:
    found = _checks.sizes(owner, name, value)
    if not found:
        raise ValueError(f"{owner}: {name} must not be empty")
    return found


def _image(owner: str, input_shape: Shape) -> Shape:
    return _checks.input_shape(owner, input_shape, ("H", "W", "C"))
