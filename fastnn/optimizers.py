"""Optimizers: one update of all parameters of a layer or model, in place, from the gradients of backward."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks
from fastnn._optimizer import Optimizer
from fastnn._typing import Array
from fastnn.schedules import Schedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from fastnn._optimizer import Common, CommonAndDecay

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop"]


class SGD(Optimizer):
    """v = momentum * v - rate * g; w += v, with g = dw + weight_decay * w.

    nesterov: w += momentum * v - rate * g instead (Sutskever et al. 2013, as in Keras). Other keywords:
    `Optimizer`.
    """

    slot_names = ("v",)

    def __init__(
        self,
        learning_rate: float | Schedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        decay: float = 0.0,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(learning_rate, decay=decay, **common)
        self.momentum = _checks.number("SGD", "momentum", momentum, minimum=0, below=1)
        self.nesterov = _checks.flag("SGD", "nesterov", nesterov)
        if self.nesterov and self.momentum == 0:
            raise ValueError("SGD: momentum must be > 0 for nesterov, got 0")
        self.weight_decay = _checks.number("SGD", "weight_decay", weight_decay, minimum=0)

    def _slots_in_use(self) -> tuple[str, ...]:
        return ("v",) if self.momentum else ()

    def _apply(self, ops: Any, rate: float, memory: dict[str, Any], dw: Array, w: Array) -> None:
        v = memory["v"] if self.momentum else np.empty(0, w.dtype)
        ops.sgd_update(dw, rate, self.momentum, self.nesterov, self.weight_decay, v, w)


class RMSprop(Optimizer):
    """s = rho * s + (1 - rho) * dw**2; u = rate * dw / (sqrt(s) + eps); v = momentum * v + u; w -= v.

    (Tieleman & Hinton 2012.) Other keywords: `Optimizer`.
    """

    slot_names = ("s", "v")

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        rho: float = 0.9,
        eps: float = 1e-8,
        momentum: float = 0.0,
        **common: Unpack[CommonAndDecay],
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = _checks.number("RMSprop", "rho", rho, minimum=0, below=1)
        self.eps = _checks.number("RMSprop", "eps", eps, above=0)
        self.momentum = _checks.number("RMSprop", "momentum", momentum, minimum=0, below=1)

    def _slots_in_use(self) -> tuple[str, ...]:
        return ("s", "v") if self.momentum else ("s",)

    def _apply(self, ops: Any, rate: float, memory: dict[str, Any], dw: Array, w: Array) -> None:
        v = memory["v"] if self.momentum else np.empty(0, w.dtype)
        ops.rmsprop_update(dw, rate, self.rho, self.eps, self.momentum, memory["s"], v, w)


class Adam(Optimizer):
    """w -= rate * m' / (sqrt(s') + eps), m' and s' the bias-corrected means of g and g**2, g = dw +
    weight_decay * w.

    (Kingma & Ba 2014, arXiv:1412.6980, algorithm 1.) betas: how slowly the two means move. The bias
    correction counts the updates of each layer or model by itself. Other keywords: `Optimizer`.
    """

    slot_names = ("m", "s")
    decoupled = False

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **common: Unpack[CommonAndDecay],
    ) -> None:
        super().__init__(learning_rate, **common)
        own = type(self).__name__
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ValueError(f"{own}: betas must be a pair of numbers, got {betas!r}")
        first, second = (_checks.number(own, "betas", beta, minimum=0, below=1) for beta in betas)
        self.betas = (first, second)
        self.eps = _checks.number(own, "eps", eps, above=0)
        self.weight_decay = _checks.number(own, "weight_decay", weight_decay, minimum=0)

    def _apply(self, ops: Any, rate: float, memory: dict[str, Any], dw: Array, w: Array) -> None:
        m, s = memory["m"], memory["s"]
        ops.adam_update(dw, rate, *self.betas, self.eps, self.weight_decay, self.decoupled, memory["step"], m, s, w)


class AdamW(Adam):
    """Adam whose weight decay acts on the weights directly: w -= rate * weight_decay * w.

    (Loshchilov & Hutter 2017, arXiv:1711.05101.) It acts on biases and batch norm's gamma and beta too.
    """

    decoupled = True

    def __init__(
        self,
        learning_rate: float | Schedule = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        **common: Unpack[CommonAndDecay],
    ) -> None:
        super().__init__(learning_rate, betas, eps, weight_decay, **common)
