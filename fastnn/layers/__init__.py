"""Layers: each checks its input, calls one operation, and remembers what backward needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastnn.layers._base import Layer
from fastnn.layers.activation import (
    ELU,
    GELU,
    Clip,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from fastnn.layers.conv import Conv2D
from fastnn.layers.dense import Dense
from fastnn.layers.dropout import Dropout
from fastnn.layers.norm import BatchNorm
from fastnn.layers.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from fastnn.layers.residual import Residual
from fastnn.layers.shape import Flatten, Reshape
from fastnn.layers.standardize import Standardize

__all__ = [
    "ELU",
    "GELU",
    "TABLE",
    "AvgPool2D",
    "BatchNorm",
    "Clip",
    "Conv2D",
    "Dropout",
    "Flatten",
    "GlobalAvgPool2D",
    "MaxPool2D",
    "Reshape",
    "Residual",
    "Dense",
    "Layer",
    "LeakyReLU",
    "LogSoftmax",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Standardize",
    "Tanh",
    "describe",
    "rebuild",
]

# Closed: a model file can name these layers and nothing else.
TABLE: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Dense,
        Conv2D,
        MaxPool2D,
        AvgPool2D,
        GlobalAvgPool2D,
        BatchNorm,
        Dropout,
        Flatten,
        Reshape,
        Residual,
        Clip,
        Standardize,
        ReLU,
        LeakyReLU,
        ELU,
        GELU,
        SiLU,
        Softplus,
        Sigmoid,
        Tanh,
        Softmax,
        LogSoftmax,
    )
}


def describe(layer: Layer) -> dict[str, Any]:
    """The layer as JSON values: its type's name and its constructor's keywords, no arrays."""
    return {"type": type(layer).__name__, **layer.config()}


def rebuild(description: Mapping[str, Any]) -> Layer:
    """Layer with fresh weights from what `describe` returned. ValueError: a type not in TABLE."""
    keywords = dict(description)
    name = keywords.pop("type", None)
    if name not in TABLE:
        raise ValueError(f"layers: type must be one of {', '.join(TABLE)}, got {name!r}")
    return TABLE[name](**keywords)
