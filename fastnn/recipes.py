"""Networks that are known to work, each with the settings that it was tried with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastnn._typing import Backend, Seed, Shape
from fastnn.layers import Conv2D, Dense, Flatten, Layer, MaxPool2D, ReLU
from fastnn.model import Sequential
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from fastnn.schedules import OneCycle

# By name: the constructor, and the learning rate for who names an optimizer that is not the recipe's own.
OPTIMIZERS: dict[str, tuple[Callable[..., Optimizer], float]] = {
    "sgd": (lambda rate: SGD(rate, momentum=0.9), 0.05),
    "rmsprop": (RMSprop, 0.001),
    "adam": (Adam, 0.002),
    "adamw": (AdamW, 0.002),
}


def mlp(input_shape: Shape, classes: int) -> list[Layer]:
    """Two hidden layers of 256 and 128 on the flattened image."""
    return [Flatten(), Dense(None, 256), ReLU(), Dense(None, 128), ReLU(), Dense(None, classes)]


def cnn(input_shape: Shape, classes: int) -> list[Layer]:
    """Two 3x3 convolutions of 32 and 64 channels, each followed by pooling, and a hidden layer of 128."""
    return [
        Conv2D(None, 32, 3, padding="same"), ReLU(), MaxPool2D(2),
        Conv2D(None, 64, 3, padding="same"), ReLU(), MaxPool2D(2),
        Flatten(), Dense(None, 128), ReLU(), Dense(None, classes),
    ]  # fmt: skip


def lenet5(input_shape: Shape, classes: int) -> list[Layer]:
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling: 5x5 convolutions of 6 and 16, dense 120, 84.

    The paper's convolutions have no padding and start from 32x32 pixels; smaller images are padded.
    """
    side = min(input_shape[:2])
    return [
        Conv2D(None, 6, 5, padding="valid" if side >= 32 else "same"), ReLU(), MaxPool2D(2),
        Conv2D(None, 16, 5, padding="valid" if side >= 28 else "same"), ReLU(), MaxPool2D(2),
        Flatten(), Dense(None, 120), ReLU(), Dense(None, 84), ReLU(), Dense(None, classes),
    ]  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A network for any input_shape and number of classes, and how to train it."""

    layers: Callable[[Shape, int], list[Layer]]
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float

    def build(
        self,
        input_shape: Shape,
        classes: int,
        *,
        backend: Backend = "numba",
        seed: Seed = None,
        class_names: Sequence[str] | None = None,
    ) -> Sequential:
        """The untrained network for images of input_shape (H, W, C)."""
        layers = self.layers(input_shape, classes)
        return Sequential(layers, input_shape, backend=backend, seed=seed, class_names=class_names)

    def make_optimizer(self, name: str | None = None, learning_rate: float | None = None) -> Optimizer:
        """The recipe's optimizer, or the one called name, one of OPTIMIZERS, with its usual learning rate.

        The rate is the highest one of a one-cycle schedule over the whole of the next `fit`.
        """
        make, usual = OPTIMIZERS[name or self.optimizer]
        if learning_rate is None:
            learning_rate = self.learning_rate if name in (None, self.optimizer) else usual
        return make(OneCycle(learning_rate))


RECIPES = {
    "mlp": Recipe(mlp, epochs=20, batch_size=128, optimizer="adam", learning_rate=0.004),
    "cnn": Recipe(cnn, epochs=10, batch_size=64, optimizer="adam", learning_rate=0.004),
    "lenet5": Recipe(lenet5, epochs=10, batch_size=64, optimizer="adam", learning_rate=0.004),
}
