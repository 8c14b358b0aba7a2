"""JAX: one jitted step a call, or a whole pass over the data as one `lax.scan`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from fastnn.bench import inputs, nets
from fastnn.bench.peers import chunk
from fastnn.bench.workloads import Work

Parameters = Iterator[Any]
_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}


def forward(parts: tuple[nets.Part, ...], parameters: Parameters, x: Any) -> Any:
    """The logits; parameters are taken in the order of `weight_shapes`."""
    for part in parts:
        x = _apply(part, parameters, x)
    return x


def _apply(part: nets.Part, parameters: Parameters, x: Any) -> Any:
    if isinstance(part, nets.Dense):
        return x @ next(parameters) + next(parameters)
    if isinstance(part, nets.Conv):
        y = lax.conv_general_dilated(
            x, next(parameters), (part.stride, part.stride), [(part.padding, part.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )  # fmt: skip
        return y + next(parameters) if part.bias else y
    if isinstance(part, nets.Norm):
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes), x.var(axes)
        return (x - mean) * lax.rsqrt(var + inputs.NORM_EPS) * next(parameters) + next(parameters)
    if isinstance(part, nets.Residual):
        return x + forward(part.parts, parameters, x)
    if isinstance(part, nets.Act):
        return _ACTIVATIONS[part.name](x)
    if isinstance(part, nets.Pool):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    return x.mean((1, 2)) if isinstance(part, nets.GlobalPool) else x.reshape(len(x), -1)


class Jax:
    """A work in one of JAX's variants."""

    def __init__(self, work: Work, variant: str) -> None:
        self._net, self._predicts, self._scans = work.net, work.kind == "predict", variant == "scan"
        self._parameters = [jnp.asarray(array) for array in inputs.weights(work.net)]
        self._velocity = [jnp.zeros_like(array) for array in self._parameters]
        x, y = inputs.data(work)
        size = chunk(work, variant)
        places = range(0, len(x), size)
        self._x = [jnp.asarray(x[i : i + size]) for i in places]
        self._y = [jnp.asarray(y[i : i + size], jnp.int32) for i in places]
        if self._scans:
            self._all = (jnp.stack(self._x), jnp.stack(self._y))
        self._step = jax.jit(self._one_step, donate_argnums=(0, 1))
        self._epoch = jax.jit(self._one_epoch, donate_argnums=(0, 1))
        self._predict = jax.jit(lambda parameters, x: jax.nn.softmax(self._logits(parameters, x)))

    def _logits(self, parameters: list[Any], x: Any) -> Any:
        return forward(self._net.parts, iter(parameters), x)

    def _loss(self, parameters: list[Any], x: Any, y: Any) -> Any:
        rows = jax.nn.log_softmax(self._logits(parameters, x))
        return -jnp.take_along_axis(rows, y[:, None], 1).mean()

    def _one_step(self, parameters: list[Any], velocity: list[Any], x: Any, y: Any, rate: Any) -> tuple[Any, Any, Any]:
        loss, gradients = jax.value_and_grad(self._loss)(parameters, x, y)
        velocity = [inputs.MOMENTUM * v - rate * g for v, g in zip(velocity, gradients, strict=True)]
        return [w + v for w, v in zip(parameters, velocity, strict=True)], velocity, loss

    def _one_epoch(self, parameters: list[Any], velocity: list[Any], x: Any, y: Any, rate: Any) -> tuple[Any, Any, Any]:
        def body(carry: Any, batch: Any) -> tuple[Any, Any]:
            (parameters, velocity), (x, y) = carry, batch
            parameters, velocity, loss = self._one_step(parameters, velocity, x, y, rate)
            return (parameters, velocity), loss

        (parameters, velocity), losses = lax.scan(body, (parameters, velocity), (x, y))
        return parameters, velocity, losses

    def losses(self, steps: int) -> list[float]:
        x, y, rate = self._x[0], self._y[0], np.float32(inputs.check_rate(self._net))
        if self._scans:
            losses = self._advance(self._epoch, jnp.stack([x] * steps), jnp.stack([y] * steps), rate)
            return [float(loss) for loss in losses]
        return [float(self._advance(self._step, x, y, rate)) for _ in range(steps)]

    def outputs(self) -> list[list[float]]:
        return inputs.checked_rows(np.concatenate([self._predict(self._parameters, x) for x in self._x]))

    def run(self, passes: int) -> None:
        rate, last = np.float32(inputs.RATE), None
        for _ in range(passes):
            if self._predicts:
                last = [self._predict(self._parameters, x) for x in self._x]
            elif self._scans:
                last = self._advance(self._epoch, *self._all, rate)
            else:
                for x, y in zip(self._x, self._y, strict=True):
                    last = self._advance(self._step, x, y, rate)
        jax.block_until_ready((self._parameters, last))

    def _advance(self, step: Callable[..., Any], x: Any, y: Any, rate: Any) -> Any:
        self._parameters, self._velocity, loss = step(self._parameters, self._velocity, x, y, rate)
        return loss


def make(peer: str, work: Work, variant: str, threads: int) -> Jax:
    """A side of JAX. The only thread count that it heeds is the number of CPUs it finds when it starts."""
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[:threads])
    return Jax(work, variant)
