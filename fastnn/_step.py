"""Training steps of a model on batches of one size, recorded and repeated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from fastnn._backend import guard, live, operations
from fastnn._recorded import Part, Recorded, layers_of
from fastnn._targets import Kind, score
from fastnn._typing import Array
from fastnn.augment import Augmentation, Batch
from fastnn.layers._buffers import aligned

if TYPE_CHECKING:
    from fastnn.model import Sequential


class Steps(Recorded):
    """The steps of a model on batches of `size` rows of data like x (M, ...) and the targets y (M, ...).

    Class weights, and layers in inference mode, keep steps from being recorded. An augmentation changes the samples by
    `key`, which is another one in each epoch.
    """

    def __init__(
        self, model: Sequential, x: Array, y: Array, kind: Kind, size: int, augmentation: Augmentation | None = None
    ) -> None:
        super().__init__(model)
        self.kind, self.size = kind, size
        self._x, self._y = aligned((size, *x.shape[1:]), x.dtype), aligned((size, *y.shape[1:]), y.dtype)
        self._augmented = None if augmentation is None else Batch(augmentation, self._x, self._y)
        self.key = 0
        self._in_order = np.arange(size)
        self._accuracy = np.full(1, np.nan)
        self._scale = 1.0

    def run(self, x: Array, y: Array, order: Array | None, steps: int) -> tuple[Array, Array, int]:
        """Do `steps` steps on rows order[:size], order[size:2*size], ... of x and y; without an order, which an
        augmentation needs, on their own.

        x (M, ...) and y (M, ...) are C-contiguous, order (steps * size,) is intp. Returns losses and accuracies
        (steps,), both measured before each update, and how many steps were done: a step whose loss is not finite
        updates nothing and is the last.
        """
        losses, accuracies = np.full(steps, np.nan), np.full(steps, np.nan)
        if not self.model.training:
            self.model.train()
        done = 0
        while done < steps:
            if self._is_recorded() and self._all_training():
                return losses, accuracies, self._repeat(x, y, order, losses, accuracies, done)
            at = 0 if order is not None else done * self.size
            rows = self._in_order if order is None else order[done * self.size : (done + 1) * self.size]
            losses[done], accuracies[done] = self._through_python(x[at:], y[at:], rows)
            if not math.isfinite(losses[done]):
                break
            done += 1
        return losses, accuracies, done

    def _through_python(self, x: Array, y: Array, rows: Array) -> tuple[float, float]:
        """One step on these rows, recorded if that is possible."""
        if not self._is_recordable():
            return self._step(x, y, rows)
        tape, on_tape = self._tape()
        with on_tape:
            loss, accuracy = self._step(x, y, rows)
        self.model.release()  # what the layers hold lies in arrays that the next steps write
        if math.isfinite(loss):
            self._keep(tape, [rows, x, y, self._x, self._y, self.model.loss.total, self._accuracy])
            self._scale = self.model.loss.scale
        return loss, accuracy

    def _step(self, x: Array, y: Array, rows: Array) -> tuple[float, float]:
        """Loss and accuracy of one step; what comes after the loss is done only when it is finite."""
        model, criterion = self.model, self.model.loss
        ops = operations(model.backend)
        if self._augmented is None:
            ops.gather(x.reshape(len(x), -1), rows, self._x.reshape(self.size, -1))
            ops.gather(y.reshape(len(y), -1), rows, self._y.reshape(self.size, -1))
        else:
            self._augmented.gather(ops, x, y, rows, live(self.key, lambda steps: np.full(steps, self.key)))
        output = model.pass_forward(self._x)
        loss = criterion.forward_checked(output, self._y)
        guard()
        if not math.isfinite(loss):
            return loss, math.nan
        model.pass_backward(criterion.backward())
        model.optimizer.step(model)
        return loss, score(ops, output, self._y, self.kind, self._accuracy)

    def _repeat(self, x: Array, y: Array, order: Array | None, losses: Array, accuracies: Array, done: int) -> int:
        """The steps from number `done` on, in one compiled call; returns how many are done in the end."""
        from fastnn.kernels._tape import address_of, repeat

        steps = np.arange(done, len(losses))
        addresses = [
            0 if order is None else address_of(order) + steps * (self.size * order.itemsize),
            address_of(x),
            address_of(y),
            address_of(x) + steps * self._x.nbytes if order is None else address_of(self._x),
            address_of(y) + steps * self._y.nbytes if order is None else address_of(self._y),
            address_of(losses) + losses.itemsize * steps,
            address_of(accuracies) + accuracies.itemsize * steps,
        ]
        tape = self._recording
        columns = tape.following(addresses, len(steps))
        first = _GATHERS if order is None else 0
        count = int(repeat(tape.rows, tape.words, tape.places, columns, first, tape.guard, losses[done:]))
        self.model.optimizer.advance(self.model, count)
        losses[done : done + count + 1] *= self._scale
        return done + count

    def _parts(self) -> Iterator[Part]:
        yield from super()._parts()
        yield self.model.loss
        yield self.model.optimizer

    def _is_recordable(self) -> bool:
        no_weights = getattr(self.model.loss, "class_weights", None) is None
        return no_weights and self._all_training() and super()._is_recordable()

    def _all_training(self) -> bool:
        return all(layer.training for layer in layers_of(self.model.layers))


_GATHERS = 2  # the first rows of a step's tape: those of x and y
