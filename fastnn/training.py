"""The training loop: mini-batches, validation, history, callbacks, a stop when the loss diverges."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks
from fastnn._targets import Targets, mixable
from fastnn.augment import Augmentation
from fastnn.callbacks import Callback, overriding
from fastnn.errors import DivergenceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fastnn._typing import Array, ArrayLike
    from fastnn.model import Sequential


@dataclass
class History:
    """One value per epoch in every list; val_loss and val_accuracy stay empty without validation data.

    loss and accuracy are means over the epoch's batches, each measured before that batch's update, as in
    Keras. seconds is the whole epoch, validation included.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def history(self) -> dict[str, list[float]]:
        """The lists that hold something, by name (Keras' `history.history`)."""
        return {name: values for name, values in asdict(self).items() if values}

    def rows(self) -> list[dict[str, float]]:
        """One dict per epoch: epoch (from 1), loss, accuracy, ...: a table's rows."""
        columns = self.history
        return [
            {"epoch": i + 1, **{name: values[i] for name, values in columns.items()}} for i in range(len(self.loss))
        ]

    def append(self, row: dict[str, float]) -> None:
        """Add one epoch's values."""
        for name, value in row.items():
            getattr(self, name).append(value)


_BLOCK = 0.05  # seconds between two looks at a Ctrl-C; steps without hooks run in such blocks


class Batches:
    """Mini-batches of x (N, ...) and the targets, run as training steps of a model.

    The last batch is short when batch_size does not divide N.
    """

    def __init__(
        self, model: Sequential, x: Array, targets: Targets, batch_size: int, augmentation: Augmentation | None = None
    ) -> None:
        self.model, self.x, self.targets, self.augmentation = model, x, targets, augmentation
        self.size = min(batch_size, len(x))
        self.count = -(-len(x) // self.size)
        self._at_once = 1

    def run(self, order: Array | None, singly: bool, epoch: int = 0) -> Iterator[tuple[int, Array, Array]]:
        """Do an epoch's steps, in the given order of rows (a permutation, intp (N,)) or the data's own.

        Yields (rows of a batch, losses, accuracies) of one or several steps; one at a time when `singly`. A step whose
        loss is not finite is the last.
        """
        n, size = len(self.x), self.size
        if self.augmentation is not None and order is None:
            order = np.arange(n)
        key = 0 if self.augmentation is None else self.augmentation.key(epoch)
        start = 0
        while start < n:
            rows = min(size, n - start)
            steps = 1 if singly else min(self._at_once, (n - start) // rows)
            stop = start + steps * rows
            began = time.perf_counter()
            x, y = self.x, self.targets.values
            part = None if order is None else order[start:stop]
            if part is None:
                x, y = x[start:stop], y[start:stop]
            work = self.model.steps(x, self.targets, rows, self.augmentation)
            work.key = key
            losses, accuracies, done = work.run(x, y, part, steps)
            seconds = (time.perf_counter() - began) / steps
            self._at_once = max(1, min(2 * self._at_once, int(_BLOCK / seconds)))
            yield rows, losses[: done + 1], accuracies[: done + 1]
            start = stop


def fit(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    epochs: int = 1,
    batch_size: int = 32,
    validation_data: tuple[ArrayLike, ArrayLike] | None = None,
    validation_split: float = 0.0,
    shuffle: bool = True,
    seed: int | np.random.Generator | None = None,
    callbacks: Sequence[Callback] = (),
    verbose: bool = True,
    *,
    augmentation: Augmentation | None = None,
) -> History:
    """See `Sequential.fit`."""
    epochs = _checks.integer("Sequential", "epochs", epochs, 1)
    batch_size = _checks.integer("Sequential", "batch_size", batch_size, 1)
    validation_split = _checks.number("Sequential", "validation_split", validation_split, minimum=0, below=1)
    for number, callback in enumerate(callbacks):
        _checks.instance("Sequential", f"callbacks[{number}]", callback, Callback, "a Callback")
    training, validation = _data(model, x, y, validation_data, validation_split)
    order = np.arange(len(training[0]), dtype=np.intp)
    rng = model.rng if seed is None else np.random.default_rng(_checks.seed("Sequential", seed))
    if augmentation is not None:
        augmentation, training = _augmented(model, augmentation, *training, rng)
    batches = Batches(model, *training, batch_size, augmentation)
    history = History()
    guard = _Guard(model)
    begin_batch, end_batch = overriding(callbacks, "on_batch_begin"), overriding(callbacks, "on_batch_end")

    model.stop_training = False
    model.optimizer.plan(epochs * batches.count, batches.count)
    for callback in callbacks:
        callback.set_model(model)
    start = {"epochs": epochs, "batch_size": batches.size, "batches": batches.count, "samples": len(order)}
    _call(callbacks, "on_train_begin", start)
    row: dict[str, float] = {}
    for epoch in range(epochs):
        began = time.perf_counter()
        _call(callbacks, "on_epoch_begin", epoch, {})
        if shuffle:
            rng.shuffle(order)
        loss_sum = right_sum = 0.0
        seen = 0
        number = 0
        for hook in begin_batch:
            hook(0, {})
        for size, losses, accuracies in batches.run(
            order if shuffle else None, bool(begin_batch or end_batch), epoch
        ):
            for loss, accuracy in zip(losses.tolist(), accuracies.tolist(), strict=True):
                if not math.isfinite(loss):
                    raise guard.diverged(f"the loss is {loss} in epoch {epoch + 1}, batch {number + 1}", epoch, number)
                guard.confirm()
                loss_sum += loss * size
                right_sum += accuracy * size
                seen += size
                number += 1
            for hook in end_batch:
                hook(number - 1, {"loss": loss_sum / seen, "accuracy": right_sum / seen, "size": size,
                                  "batches": batches.count})  # fmt: skip
            if model.stop_training:
                break
            if number < batches.count:
                for hook in begin_batch:
                    hook(number, {})
        row = {"loss": loss_sum / seen, "accuracy": right_sum / seen}
        guard.remember()
        if validation is not None:
            row["val_loss"], row["val_accuracy"] = model.measure(*validation, batch_size=batches.size)
            if not math.isfinite(row["val_loss"]):
                raise guard.diverged(f"the validation loss is {row['val_loss']} after epoch {epoch + 1}", epoch, None)
            guard.confirm()
        row["seconds"] = time.perf_counter() - began
        history.append(row)
        if verbose:
            print(_line(epoch, epochs, row), flush=True)
        _call(callbacks, "on_epoch_end", epoch, row)
        if model.stop_training:
            break
    _call(callbacks, "on_train_end", row)
    return history


class _Guard:
    """Keeps the last good weights: an epoch's last, once a forward pass gave a finite loss with them.

    Two copies of the model's arrays, refilled once an epoch: the last one that is known to be good, and the
    newest.
    """

    def __init__(self, model: Sequential) -> None:
        self._model = model
        self._good = {name: a.copy() for name, a in model.weights().items()}
        self._newest = {name: a.copy() for name, a in self._good.items()}
        self._pending = False

    def remember(self) -> None:
        """Copy the present weights; they are not known to be good yet."""
        for name, a in self._model.weights().items():
            self._newest[name][...] = a
        self._pending = True

    def confirm(self) -> None:
        """A finite loss was measured with the newest copy: it is the good one from now on."""
        if self._pending:
            self._good, self._newest, self._pending = self._newest, self._good, False

    def diverged(self, message: str, epoch: int, batch: int | None) -> DivergenceError:
        """Put the good weights back, forget the optimizer's memory; returns the error to raise."""
        self._model.set_weights(self._good)
        self._model.optimizer.reset()
        advice = "the last good weights were restored; try a lower learning rate or gradient clipping"
        return DivergenceError(f"Sequential: {message}; {advice}", epoch + 1, None if batch is None else batch + 1)


def _data(
    model: Sequential,
    x: ArrayLike,
    y: ArrayLike,
    validation_data: tuple[ArrayLike, ArrayLike] | None,
    split: float,
) -> tuple[tuple[Array, Targets], tuple[Array, Targets] | None]:
    """The checked training and validation sets; a split takes the last rows, unshuffled, as in Keras."""
    x, targets = model.check_data(x, y)
    if validation_data is not None:
        return (x, targets), model.check_data(*validation_data, "validation ")
    if not split:
        return (x, targets), None
    kept = len(x) - max(1, round(split * len(x)))
    if kept < 1:
        raise ValueError(f"Sequential: validation_split={split} leaves no training row of {len(x)}")
    values, kind = targets
    return (x[:kept], Targets(values[:kept], kind)), (x[kept:], Targets(values[kept:], kind))


def _augmented(
    model: Sequential, augmentation: Augmentation, x: Array, targets: Targets, rng: np.random.Generator
) -> tuple[Augmentation, tuple[Array, Targets]]:
    """The augmentation with a seed, and training data that it can change."""
    _checks.instance("Sequential", "augmentation", augmentation, Augmentation, "an Augmentation")
    augmentation.check("Sequential", x.shape)
    if augmentation.seed is None:
        augmentation = replace(augmentation, seed=int(rng.integers(2**63)))
    if augmentation.mixup:
        targets = mixable(targets, model.output_shape[0], model.dtype)
    return augmentation, (x, targets)


def _call(callbacks: Sequence[Callback], hook: str, *arguments: object) -> None:
    for call in overriding(callbacks, hook):
        call(*arguments)


def _line(epoch: int, epochs: int, row: dict[str, float]) -> str:
    values = ", ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "seconds" and value == value)
    return f"epoch {epoch + 1}/{epochs}: {values}, {row['seconds']:.1f} s"
