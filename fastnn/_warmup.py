"""Small trainings that together call every operation: they fill the disk cache with all that a user may need.

Whoever adds a layer, a loss, an optimizer or an operation adds it to a case below; tests/test_warmup.py names what is
missing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fastnn._typing import Array, Backend
from fastnn.augment import Augmentation
from fastnn.layers import (
    ELU,
    GELU,
    AvgPool2D,
    BatchNorm,
    Clip,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool2D,
    Layer,
    LeakyReLU,
    LogSoftmax,
    MaxPool2D,
    ReLU,
    Reshape,
    Residual,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastnn.model import Sequential
from fastnn.networks import NETWORKS
from fastnn.optimizers import SGD, AdamW, Optimizer
from fastnn.settings import OPTIMIZERS, OptimizerSettings, Settings

_ROWS = 16  # images in a vector of narrow convolutions; halves take the other way
_IMAGE = (8, 8, 2)


def run(case: str, kind: str, backend: Backend = "numba") -> None:
    """Run one of CASES with a kind of numbers: "float32", "float64", or "bf16" for the products of float32."""
    CASES[case](kind, backend)


def missing(case: str, kind: str) -> list[tuple[str, float]]:
    """Run the case and compile what calls in other shapes get to; return all that was compiled, with the seconds."""
    from fastnn.kernels import _jit, _slots

    before = len(_jit.compilations)
    run(case, kind)
    _slots.fill_all()
    return _jit.compilations[before:]


def _network(name: str) -> Callable[[str, Backend], None]:
    def case(kind: str, backend: Backend) -> None:
        usual = Settings()
        for optimizer in OPTIMIZERS:
            model = _model(NETWORKS[name](_IMAGE, 3), kind, backend)
            labels = np.arange(_ROWS) % 3
            _train(model, OptimizerSettings(optimizer).make(usual.schedule, usual.clipping), None, labels)

    return case


def _images(kind: str, backend: Backend) -> None:
    """The layers of images, with a loss that weighs its classes and one-hot targets."""
    layers: list[Layer] = [
        Conv2D(None, 4, 3, padding="same", activation="gelu"), BatchNorm(), ReLU(), AvgPool2D(2), MaxPool2D(2),
        Residual([Conv2D(None, 4, 1), BatchNorm()]), Dropout(0.5), GlobalAvgPool2D(), Dense(None, 3),
    ]  # fmt: skip
    model = _model(layers, kind, backend)
    one_hot = np.eye(3)[np.arange(_ROWS) % 3]
    _train(model, AdamW(0.001, clip_norm=1.0), SoftmaxCrossEntropy(class_weights=[1, 2, 3]), one_hot)
    model.eval()  # the gradient of a network whose statistics stay as they are
    output = model.forward(_samples(model))
    model.backward(np.zeros_like(output))


def _augmented(kind: str, backend: Backend) -> None:
    """Every change of images, with mixed targets."""
    augmentation = Augmentation(shift=1, rotate=10, elastic=(4, 2), cutout=2, mixup=0.2, seed=0)
    model = _model([Flatten(), Dense(None, 3)], kind, backend)
    _train(model, AdamW(0.001), None, np.arange(_ROWS) % 3, augmentation)


def _vectors(kind: str, backend: Backend) -> None:
    """The other layers, with the losses of plain values and of yes or no."""
    even = np.arange(_ROWS) % 2.0
    trainings: list[tuple[Optimizer, Loss, Array]] = [
        (SGD(0.01, clip_value=1.0), MeanSquaredError(), even),
        (SGD(0.01, clip_norm=1.0), BinaryCrossEntropy(), even),
        (SGD(0.01, clip_global_norm=1.0), MeanSquaredError(), np.eye(_ROWS)),
    ]
    for optimizer, loss, targets in trainings:
        layers: list[Layer] = [
            Flatten(), Dense(None, 8), BatchNorm(), LeakyReLU(), ELU(), GELU(), SiLU(), Softplus(), Sigmoid(), Tanh(),
            Clip(-1, 1), Dropout(0.5), Residual([Dense(None, 8)]), Softmax(), LogSoftmax(), Reshape((8,)),
            Dense(None, targets[0].size),
        ]  # fmt: skip
        _train(_model(layers, kind, backend), optimizer, loss, targets)


CASES: dict[str, Callable[[str, Backend], None]] = {
    "images": _images,
    "augmentation": _augmented,
    "vectors": _vectors,
    **{name: _network(name) for name in NETWORKS},
}
BF16_CASE = "cnn"  # has every operation that differs from float32's


def _model(layers: list[Layer], kind: str, backend: Backend) -> Sequential:
    if kind == "bf16":
        return Sequential(layers, _IMAGE, backend=backend, precision="bf16", seed=0)
    return Sequential(layers, _IMAGE, dtype=kind, backend=backend, seed=0)


def _train(
    model: Sequential,
    optimizer: Optimizer,
    loss: Loss | None,
    targets: Array,
    augmentation: Augmentation | None = None,
) -> None:
    """Two steps and two predictions, recorded and repeated, and all ways to look at the result."""
    x = _samples(model)
    model.compile(optimizer, loss)
    model.fit(x, targets, epochs=2, batch_size=len(x), verbose=False, augmentation=augmentation)
    model.fit(x, targets, epochs=2, batch_size=len(x) // 2, accumulate=2, verbose=False)
    model.evaluate(x, targets)
    for _ in range(2):
        model.predict_proba(x)
    model.predict_proba(x[:1])


def _samples(model: Sequential) -> Array:
    assert model.input_shape is not None
    return np.random.default_rng(0).random((_ROWS, *model.input_shape)).astype(model.dtype)
