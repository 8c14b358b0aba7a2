"""Training steps of a model on batches of one size, recorded and repeated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._backend import guard, live, operations, update
from fastnn._recorded import Part, Recorded, layers_of
from fastnn._targets import Kind, score
from fastnn._typing import Array
from fastnn.augment import Augmentation, Batch
from fastnn.layers._buffers import aligned

if TYPE_CHECKING:
    from fastnn.model import Sequential


class Shares(NamedTuple):
    """Of steps (S,) that share updates: each one's weight in the mean gradient, and whether it begins, ends a group."""

    weights: Array
    begin: Array
    end: Array

    def part(self, start: int, stop: int) -> Shares:
        """Those of the steps from start to stop."""
        return Shares(self.weights[start:stop], self.begin[start:stop], self.end[start:stop])


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
        self._shares: Shares | None = None
        self._every = np.full(1, True)

    def run(
        self, x: Array, y: Array, order: Array | None, steps: int, shares: Shares | None = None
    ) -> tuple[Array, Array, int]:
        """Do `steps` steps on rows order[:size], order[size:2*size], ... of x and y; without an order, which an
        augmentation needs, on their own.

        x (M, ...) and y (M, ...) are C-contiguous, order (steps * size,) is intp. With `shares`, only the end of a
        group updates the weights, with the group's mean gradient; such steps need a Steps of their own. Returns losses
        and accuracies (steps,), both measured before each update, and how many steps were done: a step whose loss is
        not finite updates nothing and is the last.
        """
        results = np.empty((2, steps))
        results.fill(np.nan)  # not np.full, which takes three times as long, and every step comes here
        losses, accuracies = results[0], results[1]  # not by iteration, for the same reason
        self._shares = shares
        if not self.model.training:
            self.model.train()
        done = 0
        while done < steps:
            if self._is_recorded():
                return losses, accuracies, self._repeated(x, y, order, results, done)
            at = 0 if order is not None else done * self.size
            rows = self._in_order if order is None else order[done * self.size : (done + 1) * self.size]
            losses[done], accuracies[done] = self._through_python(x[at:], y[at:], rows, done)
            if not math.isfinite(losses[done]):
                break
            done += 1
        return losses, accuracies, done

    def _through_python(self, x: Array, y: Array, rows: Array, number: int) -> tuple[float, float]:
        """Step number `number` on these rows, recorded if that is possible and all of a step is in it."""
        if not self._is_recordable() or not (self._shares is None or self._shares.end[number]):
            return self._step(x, y, rows, number)
        tape, on_tape = self._tape()
        with on_tape:
            loss, accuracy = self._step(x, y, rows, number)
        self.model.release()  # what the layers hold lies in arrays that the next steps write
        if math.isfinite(loss):
            self._keep(tape, [rows, x, y, self._x, self._y, self.model.loss.total, self._accuracy])
            self._scale = self.model.loss.scale
            from fastnn.kernels import _tape

            self._repeat, self._address_of = _tape.repeat, _tape.address_of  # looked up once: an import takes 0.7 us
        return loss, accuracy

    def _rehearse(self) -> None:
        number = 0 if self._shares is None else int(self._shares.end.argmax())
        self.model.loss.total.fill(0)  # finite: the step goes on
        self._step(np.zeros_like(self._x), np.zeros_like(self._y), self._in_order, number)

    def _step(self, x: Array, y: Array, rows: Array, number: int) -> tuple[float, float]:
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
        accuracy = score(ops, output, self._y, self.kind, self._accuracy)
        model.pass_backward(criterion.backward())
        if self._shares is not None:
            self._accumulate(self._shares, number)
        update()
        if self._shares is None or self._shares.end[number]:
            model.optimizer.step(model)
        return loss, accuracy

    def _accumulate(self, shares: Shares, number: int) -> None:
        """Add the gradients, by their share, to those of the group's steps before."""
        weight = live(float(shares.weights[number]), lambda steps: self._coming().weights[-steps:])
        begin = live(int(shares.begin[number]), lambda steps: self._coming().begin[-steps:])
        ops = operations(self.model.backend)
        ops.accumulate_gradients(weight, begin, self.model.gradient_sum, self.model.gradients)

    def _coming(self) -> Shares:
        assert self._shares is not None  # a recording with shares is repeated with shares
        return self._shares

    def _repeated(self, x: Array, y: Array, order: Array | None, results: Array, done: int) -> int:
        """The steps from number `done` on, in one compiled call; returns how many are done in the end."""
        address_of = self._address_of
        losses, count, item = results[0], results.shape[1] - done, results.itemsize
        total = address_of(results) + done * item
        # Of each live array where it begins, and how many bytes further in each next step
        if order is None:
            row, target = self._x.nbytes, self._y.nbytes
            arrays = [0] * 6 + [address_of(x) + done * row, row, address_of(y) + done * target, target]
        else:
            step = self.size * order.itemsize
            arrays = [address_of(order) + done * step, step, address_of(x), 0, address_of(y), 0]
            arrays += [address_of(self._x), 0, address_of(self._y), 0]
        arrays += [total, item, total + losses.nbytes, item]
        tape = self._recording
        updates = None if self._shares is None else self._shares.end[done:]
        if len(self._every) < count:
            self._every = np.full(count, True)
        first = _GATHERS if order is None else 0
        count = int(
            self._repeat(
                tape.rows, tape.words, tape.places, np.array(arrays, np.int64), tape.numbers(count, updates), first,
                tape.guard, losses[done:], self._scale, tape.update, self._every if updates is None else updates,
            )
        )  # fmt: skip
        self.model.optimizer.advance(self.model, count if updates is None else int(np.count_nonzero(updates[:count])))
        return done + count

    def _parts(self) -> Iterator[Part]:
        yield from super()._parts()
        yield self.model.loss
        yield self.model.optimizer

    def _settings(self) -> Iterator[tuple[dict[str, Any], str, Any]]:
        yield from super()._settings()
        for layer in layers_of(self.model.layers):
            yield vars(layer), "training", True

    def _is_recordable(self) -> bool:
        no_weights = getattr(self.model.loss, "class_weights", None) is None
        return no_weights and self._all_training() and super()._is_recordable()

    def _all_training(self) -> bool:
        return all(layer.training for layer in layers_of(self.model.layers))


_GATHERS = 2  # the first rows of a step's tape: those of x and y
