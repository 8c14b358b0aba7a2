"""fastnn itself, on either backend: `fit` and `predict_proba`, as a user calls them."""

from __future__ import annotations

import fastnn as fn
from fastnn._typing import Array, Backend, Precision
from fastnn.bench import inputs, nets
from fastnn.bench.nets import Net
from fastnn.bench.workloads import Work

_ACTIVATIONS = {"relu": fn.ReLU, "sigmoid": fn.Sigmoid, "tanh": fn.Tanh}


def layers(parts: tuple[nets.Part, ...]) -> list[fn.Layer]:
    """The layers that the parts describe."""
    return [_layer(part) for part in parts]


def _layer(part: nets.Part) -> fn.Layer:
    if isinstance(part, nets.Dense):
        return fn.Dense(None, part.units)
    if isinstance(part, nets.Conv):
        return fn.Conv2D(None, part.channels, part.size, part.stride, part.padding, bias=part.bias)
    if isinstance(part, nets.Residual):
        return fn.Residual(layers(part.parts))
    if isinstance(part, nets.Act):
        return _ACTIVATIONS[part.name]()
    if isinstance(part, nets.Norm):
        return fn.BatchNorm(eps=inputs.NORM_EPS)
    if isinstance(part, nets.Pool):
        return fn.MaxPool2D(2)
    return fn.GlobalAvgPool2D() if isinstance(part, nets.GlobalPool) else fn.Flatten()


def build(net: Net, weights: list[Array], backend: Backend, precision: Precision = "full") -> fn.Sequential:
    """The network with the given weights."""
    model = fn.Sequential(layers(net.parts), net.input_shape, backend=backend, precision=precision)
    for place, array in zip(model.parameter_slices.values(), weights, strict=True):
        model.parameters[place] = array.ravel()
    return model


class Own:
    """A work on one of fastnn's backends."""

    def __init__(self, work: Work, backend: Backend, precision: Precision = "full", *, seed: int = 0) -> None:
        self._work = work
        self._x, self._y = inputs.data(work)
        self._model = build(work.net, inputs.weights(work.net, seed), backend, precision)
        self._compile(inputs.RATE)

    def _compile(self, rate: float) -> None:
        self._model.compile(fn.SGD(rate, momentum=inputs.MOMENTUM), fn.SoftmaxCrossEntropy())

    def losses(self, steps: int) -> list[float]:
        self._compile(inputs.check_rate(self._work.net))
        x, y = self._x[: self._work.batch], self._y[: self._work.batch]
        # One step a call of fit: what is proven is what is measured.
        losses = [self._fit(x, y, 1) for _ in range(steps)]
        self._compile(inputs.RATE)
        return losses

    def outputs(self) -> list[list[float]]:
        return inputs.checked_rows(self._model.predict_proba(self._x))

    def run(self, passes: int) -> None:
        if self._work.kind != "predict":
            self._fit(self._x, self._y, passes)
            return
        for _ in range(passes):
            self._model.predict_proba(self._x)

    def _fit(self, x: Array, y: Array, epochs: int) -> float:
        history = self._model.fit(x, y, epochs=epochs, batch_size=self._work.batch, shuffle=False, verbose=False)
        return history.loss[-1]


def make(peer: str, work: Work, variant: str, threads: int) -> Own:
    """A side of one of the four peers of this file; NumPy's threads are those of its BLAS."""
    if peer == "numpy":
        return Own(work, "numpy")
    fn.set_num_threads(threads)
    return Own(work, "numba", "bf16" if peer == "fastnn" and work.kind == "precision" else "full")
