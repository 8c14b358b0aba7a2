"""fastnn trains small neural networks on ordinary CPUs, fast: Numba kernels under a NumPy-style layer API.

Every public name is loaded on first use: `import fastnn` itself imports neither Numba nor NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_NAMES = {
    "fastnn._threads": ("get_num_threads", "set_num_threads", "threads"),
    "fastnn.callbacks": ("Callback",),
    "fastnn.errors": ("CheckpointError", "DataError", "DivergenceError", "ImageError"),
    "fastnn.formats.checkpoint": ("load",),
    "fastnn.layers": (
        "AvgPool2D", "BatchNorm", "Conv2D", "Dense", "Dropout", "ELU", "Flatten", "GELU", "GlobalAvgPool2D",
        "Layer", "LeakyReLU", "LogSoftmax", "MaxPool2D", "ReLU", "Reshape", "Residual", "SiLU", "Sigmoid",
        "Softmax", "Softplus", "Tanh",
    ),
    "fastnn.losses": ("BinaryCrossEntropy", "Loss", "MeanSquaredError", "SoftmaxCrossEntropy"),
    "fastnn.metrics": ("Accuracy",),
    "fastnn.model": ("Sequential",),
    "fastnn.optimizers": ("Adam", "AdamW", "Optimizer", "RMSprop", "SGD"),
    "fastnn.training": ("History",),
}  # fmt: skip
_MODULES = ("callbacks", "datasets", "errors", "initializers", "layers", "losses", "metrics", "optimizers", "schedules")
_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(["__version__", *_HOMES, *_MODULES])  # noqa: PLE0605

if TYPE_CHECKING:
    from fastnn import callbacks, datasets, errors, initializers, layers, losses, metrics, optimizers, schedules
else:

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        elif name in _MODULES:
            value = import_module(f"fastnn.{name}")
        else:
            raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
        globals()[name] = value  # found without this function from now on
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
