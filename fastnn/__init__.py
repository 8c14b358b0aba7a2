"""fastnn trains small neural networks on ordinary CPUs, fast: Numba kernels under a NumPy-style layer API.

Every public name is loaded on first use: `import fastnn` itself imports neither Numba nor NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "Accuracy", "Adam", "AdamW", "Augmentation", "AvgPool2D", "BatchNorm", "BinaryCrossEntropy", "Callback",
    "CheckpointError", "Clip", "Conv2D", "DataError", "Dense", "DivergenceError", "Dropout", "ELU", "Flatten",
    "GELU", "GlobalAvgPool2D", "History", "ImageError", "Layer", "LeakyReLU", "LogSoftmax", "Loss", "MaxPool2D",
    "MeanSquaredError", "Optimizer", "RMSprop", "ReLU", "Reshape", "Residual", "SGD", "Sequential", "Settings",
    "SettingsError", "SiLU", "Sigmoid", "Softmax", "SoftmaxCrossEntropy", "Softplus", "Standardize", "Tanh",
    "__version__", "augment", "callbacks", "datasets", "errors", "export_model", "get_num_threads",
    "import_model", "initializers", "layers", "load", "losses", "lr_finder", "metrics", "networks",
    "optimizers", "plots", "predict_images", "recipes", "report", "run", "schedules", "set_num_threads",
    "settings", "threads", "train", "tuning",
]  # fmt: skip

if TYPE_CHECKING:  # the same names for type checkers and editors
    from fastnn import (
        augment,
        callbacks,
        datasets,
        errors,
        initializers,
        layers,
        losses,
        lr_finder,
        metrics,
        networks,
        optimizers,
        plots,
        recipes,
        report,
        run,
        schedules,
        settings,
        tuning,
    )
    from fastnn._threads import get_num_threads, set_num_threads, threads
    from fastnn.augment import Augmentation
    from fastnn.callbacks import Callback
    from fastnn.errors import CheckpointError, DataError, DivergenceError, ImageError, SettingsError
    from fastnn.formats.checkpoint import load
    from fastnn.formats.convert import export_model, import_model
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
        Standardize,
        Tanh,
    )
    from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
    from fastnn.metrics import Accuracy
    from fastnn.model import Sequential
    from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
    from fastnn.prediction import predict_images
    from fastnn.run import train
    from fastnn.settings import Settings
    from fastnn.training import History
else:
    _HOMES = {
        name: module
        for module, names in {
            "fastnn._threads": "get_num_threads set_num_threads threads",
            "fastnn.augment": "Augmentation",
            "fastnn.callbacks": "Callback",
            "fastnn.errors": "CheckpointError DataError DivergenceError ImageError SettingsError",
            "fastnn.formats.checkpoint": "load",
            "fastnn.formats.convert": "export_model import_model",
            "fastnn.layers": (
                "AvgPool2D BatchNorm Clip Conv2D Dense Dropout ELU Flatten GELU GlobalAvgPool2D Layer "
                "LeakyReLU LogSoftmax MaxPool2D ReLU Reshape Residual SiLU Sigmoid Softmax Softplus "
                "Standardize Tanh"
            ),
            "fastnn.losses": "BinaryCrossEntropy Loss MeanSquaredError SoftmaxCrossEntropy",
            "fastnn.metrics": "Accuracy",
            "fastnn.model": "Sequential",
            "fastnn.optimizers": "Adam AdamW Optimizer RMSprop SGD",
            "fastnn.prediction": "predict_images",
            "fastnn.run": "train",
            "fastnn.settings": "Settings",
            "fastnn.training": "History",
        }.items()
        for name in names.split()
    }

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module 'fastnn' has no attribute {name!r}")
        home = _HOMES.get(name)
        value = getattr(import_module(home), name) if home else import_module(f"fastnn.{name}")
        globals()[name] = value  # found without this function from now on
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
