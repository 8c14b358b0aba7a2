"""Initial weights. An initialiser is a function (shape, rng) -> array of that shape in float64.

shape is (in, out) for dense weights and (R, S, C/groups, K) for convolutions, so that one output sees
fan_in = in or R*S*C/groups inputs, and one input reaches fan_out = out or R*S*K outputs. The numbers are
drawn in float64 and cast by the layer: one seed gives the same weights in float32 and float64 up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import TypeAlias

import numpy as np

from fastnn import _checks
from fastnn._typing import Array, Shape

Initializer: TypeAlias = "Callable[[Shape, np.random.Generator], Array]"


def he_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / fan_in, for ReLU and its kin (He et al. 2015, arXiv:1502.01852, eq. 10)."""
    return sqrt(2.0 / _fans(shape)[0]) * rng.standard_normal(shape)


def he_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform with variance 2 / fan_in: limits +-sqrt(6 / fan_in) (He et al. 2015)."""
    limit = sqrt(6.0 / _fans(shape)[0])
    return rng.uniform(-limit, limit, shape)


def glorot_normal(shape: Shape, rng: np.random.Generator) -> Array:
    """Normal with variance 2 / (fan_in + fan_out), for tanh and sigmoid; also called Xavier."""
    return sqrt(2.0 / sum(_fans(shape))) * rng.standard_normal(shape)


def glorot_uniform(shape: Shape, rng: np.random.Generator) -> Array:
    """Uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010, eq. 16)."""
    limit = sqrt(6.0 / sum(_fans(shape)))
    return rng.uniform(-limit, limit, shape)


def zeros(shape: Shape, rng: np.random.Generator) -> Array:
    """All zeros; rng is not used."""
    return np.zeros(shape)


@dataclass(frozen=True)
class normal:
    """Normal with standard deviation std, as from-scratch scripts have it: `init=normal(0.01)` or 0.01."""

    std: float = 0.01

    def __post_init__(self) -> None:
        _checks.number("normal", "std", self.std, minimum=0)

    def __call__(self, shape: Shape, rng: np.random.Generator) -> Array:
        return self.std * rng.standard_normal(shape)


TABLE: dict[str, Initializer] = {
    "he_normal": he_normal,
    "he_uniform": he_uniform,
    "glorot_normal": glorot_normal,
    "glorot_uniform": glorot_uniform,
    "zeros": zeros,
}


def get(owner: str, init: object) -> Initializer:
    """Initialiser from its name, a standard deviation, or a function (shape, rng) -> array."""
    if isinstance(init, str):
        return TABLE[_checks.choice(owner, "init", init, TABLE)]
    if isinstance(init, int | float | np.integer | np.floating):
        return normal(_checks.number(owner, "init", init, minimum=0))
    if not callable(init):
        raise TypeError(f"{owner}: init must be a name, a number or a function, got {type(init).__name__}")
    initializer: Initializer = init
    return initializer


def config(init: Initializer) -> str | float | None:
    """What `get` makes the same initialiser from again; None for a function of the user's own."""
    if isinstance(init, normal):
        return float(init.std)
    return next((name for name, known in TABLE.items() if known is init), None)


def _fans(shape: Shape) -> tuple[int, int]:
    receptive_field = prod(shape[:-2])
    return receptive_field * shape[-2], receptive_field * shape[-1]
