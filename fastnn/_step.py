"""Training steps of a model on batches of one size: operation by operation, or recorded once and then repeated.

The first step runs through the layers' Python, while a tape writes down the calls of kernels (`kernels/_tape.py`).
All later steps are one compiled call, for as long as nothing is changed that the tape holds: settings of layers, loss
and optimizer, or the optimizer's memory. What runs through Python each time: the NumPy backend, layers that are not
fastnn's own, layers in inference mode, and class weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._backend import guard, operations, recording
from fastnn._targets import Kind, score
from fastnn._typing import Array
from fastnn.layers import TABLE, Layer
from fastnn.layers._buffers import aligned
from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastnn.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop

if TYPE_CHECKING:
    from fastnn.model import Sequential

_KNOWN = {*TABLE.values(), SoftmaxCrossEntropy, BinaryCrossEntropy, MeanSquaredError, SGD, RMSprop, Adam, AdamW}
# What changes in use, and is no setting. The optimizer's rate and count are live numbers of the tape.
_CHANGING = {"inputs", "output", "dinputs", "training", "total", "scale", "learning_rate", "decay", "iterations"}


class Steps:
    """The steps of a model on batches of `size` rows of data like x (M, ...) and the targets y (M, ...)."""

    def __init__(self, model: Sequential, x: Array, y: Array, kind: Kind, size: int) -> None:
        self.model, self.kind, self.size = model, kind, size
        self._x, self._y = aligned((size, *x.shape[1:]), x.dtype), aligned((size, *y.shape[1:]), y.dtype)
        self._in_order = np.arange(size)
        self._accuracy = np.full(1, np.nan)
        self._recording: Any = None

    def run(self, x: Array, y: Array, order: Array | None, steps: int) -> tuple[Array, Array, int]:
        """Do `steps` steps on rows order[:size], order[size:2*size], ... of x and y; without an order on their own.

        x (M, ...) and y (M, ...) are C-contiguous, order (steps * size,) is intp. Returns losses and accuracies
        (steps,), both measured before each update, and how many steps were done: a step whose loss is not finite
        updates nothing and is the last.
        """
        losses, accuracies = np.full(steps, np.nan), np.full(steps, np.nan)
        if not self.model.training:
            self.model.train()
        done = 0
        while done < steps:
            if self._is_recorded():
                return losses, accuracies, self._repeat(x, y, order, losses, accuracies, done)
            rows = self._rows(order, done)
            at = 0 if order is not None else done * self.size
            losses[done], accuracies[done] = self._through_python(x[at:], y[at:], rows)
            if not math.isfinite(losses[done]):
                break
            done += 1
        return losses, accuracies, done

    def _rows(self, order: Array | None, step: int) -> Array:
        return self._in_order if order is None else order[step * self.size : (step + 1) * self.size]

    # Through Python

    def _through_python(self, x: Array, y: Array, rows: Array) -> tuple[float, float]:
        """One step on these rows; recorded if that is possible. Results of layers are released afterwards."""
        model = self.model
        if not self._is_recordable():
            return self._step(x, y, rows)
        from fastnn import kernels
        from fastnn.kernels._tape import Tape

        tape = Tape(kernels, [rows, x, y, self._x, self._y, model.loss.total, self._accuracy])
        with recording(tape):
            loss, accuracy = self._step(x, y, rows)
        model.release()
        if math.isfinite(loss):
            self._recording, self._scale = tape.finish(), model.loss.scale
            self._watched = list(self._settings())
        return loss, accuracy

    def _step(self, x: Array, y: Array, rows: Array) -> tuple[float, float]:
        """Loss and accuracy of one step; what comes after the loss is done only when it is finite."""
        model, criterion = self.model, self.model.loss
        ops = operations(model.backend)
        ops.gather(x.reshape(len(x), -1), rows, self._x.reshape(self.size, -1))
        ops.gather(y.reshape(len(y), -1), rows, self._y.reshape(self.size, -1))
        output = model.pass_forward(self._x)
        loss = criterion.forward_checked(output, self._y)
        guard()
        if not math.isfinite(loss):
            return loss, math.nan
        model.pass_backward(criterion.backward())
        model.optimizer.step(model)
        return loss, score(ops, output, self._y, self.kind, self._accuracy)

    # Recorded

    def _repeat(self, x: Array, y: Array, order: Array | None, losses: Array, accuracies: Array, done: int) -> int:
        """The steps from number `done` on, in one compiled call; returns how many are done in the end."""
        from fastnn.kernels._tape import repeat

        steps = np.arange(done, len(losses))
        gathers = order is not None
        addresses = [
            _address(order) + steps * (self.size * order.itemsize) if order is not None else 0,
            _address(x),
            _address(y),
            _address(self._x) if gathers else _address(x) + steps * self._x.nbytes,
            _address(self._y) if gathers else _address(y) + steps * self._y.nbytes,
            _address(losses) + 8 * steps,
            _address(accuracies) + 8 * steps,
        ]
        recorded = self._recording
        columns = recorded.following(addresses, len(steps))
        count = repeat(
            recorded.rows, recorded.words, recorded.places, columns, 0 if gathers else 2, recorded.guard, losses[done:]
        )
        self.model.optimizer.advance(self.model, count)
        losses[done : done + count + 1] *= self._scale
        return done + int(count)

    def _is_recorded(self) -> bool:
        if self._recording is None:
            return False
        for holder, name, value in self._watched:
            if holder.get(name) is not value:
                self._recording = None
                return False
        return self._all_training()

    def _is_recordable(self) -> bool:
        model = self.model
        parts: list[Layer | Loss | Optimizer] = [*_parts(model.layers), model.loss, model.optimizer]
        return (
            model.backend == "numba"
            and all(type(part) in _KNOWN and part.backend in ("numba", None) for part in parts)
            and getattr(model.loss, "class_weights", None) is None
            and self._all_training()
        )

    def _all_training(self) -> bool:
        return all(layer.training for layer in _parts(self.model.layers))

    def _settings(self) -> Iterator[tuple[dict[str, Any], str, Any]]:
        """Everything that the tape holds as it is now: (attributes, name, value)."""
        model = self.model
        for part in [*_parts(model.layers), model.loss, model.optimizer]:
            for name, value in vars(part).items():
                if name not in _CHANGING and (name[0] != "_" or name == "_memories" or isinstance(value, bool)):
                    yield vars(part), name, value
        yield vars(model), "parameters", model.parameters


def _parts(layers: list[Layer]) -> Iterator[Layer]:
    """The layers, and those inside them."""
    for layer in layers:
        yield layer
        yield from _parts(getattr(layer, "layers", []))


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
