"""The training loop: mini-batches, validation, history, callbacks, a stop when the loss diverges."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _checks
from fastnn._batches import Batches
from fastnn._targets import Targets, mixable
from fastnn.augment import Augmentation
from fastnn.callbacks import Callback, overriding
from fastnn.errors import DivergenceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._typing import Array, ArrayLike
    from fastnn.model import Sequential


@dataclass
class History:
    """One value per epoch in every list; val_loss and val_accuracy stay empty without validation data.

    loss and accuracy are means over the epoch's batches, each measured before that batch's update, as in
    Keras. seconds is the whole epoch, validation included. initial_epoch: what the run began with.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    initial_epoch: int = 0

    @property
    def history(self) -> dict[str, list[float]]:
        """The lists that hold something, by name (Keras' `history.history`)."""
        return {name: values for name, values in asdict(self).items() if isinstance(values, list) and values}

    def rows(self) -> list[dict[str, float]]:
        """One dict per epoch: epoch (from 1), loss, accuracy, ...: a table's rows."""
        columns = self.history
        return [
            {"epoch": self.initial_epoch + i + 1, **{name: values[i] for name, values in columns.items()}}
            for i in range(len(self.loss))
        ]

    def append(self, row: dict[str, float]) -> None:
        """Add one epoch's values."""
        for name, value in row.items():
            getattr(self, name).append(value)


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
    initial_epoch: int = 0,
    accumulate: int = 1,
) -> History:
    """See `Sequential.fit`."""
    initial_epoch = _checks.integer("Sequential", "initial_epoch", initial_epoch, 0)
    epochs = _checks.integer("Sequential", "epochs", epochs, initial_epoch + 1)
    batch_size = _checks.integer("Sequential", "batch_size", batch_size, 1)
    accumulate = _checks.integer("Sequential", "accumulate", accumulate, 1)
    validation_split = _checks.number("Sequential", "validation_split", validation_split, minimum=0, below=1)
    for number, callback in enumerate(callbacks):
        _checks.instance("Sequential", f"callbacks[{number}]", callback, Callback, "a Callback")
    training, validation = _data(model, x, y, validation_data, validation_split)
    order = np.arange(len(training[0]), dtype=np.intp)
    rng = model.rng if seed is None else np.random.default_rng(_checks.seed("Sequential", seed))
    if augmentation is not None:
        augmentation, training = _augmented(model, augmentation, *training, rng)
    batches = Batches(model, *training, batch_size, augmentation, accumulate)
    history = History(initial_epoch=initial_epoch)
    guard = _Guard(model)
    begin_batch, end_batch = overriding(callbacks, "on_batch_begin"), overriding(callbacks, "on_batch_end")

    model.stop_training = False
    model.optimizer.plan((epochs - initial_epoch) * batches.updates, batches.updates)
    for callback in callbacks:
        callback.set_model(model)
    _call(callbacks, "on_train_begin", {
        "epochs": epochs, "batch_size": batches.size, "batches": batches.count, "samples": len(order),
        "validation_samples": 0 if validation is None else len(validation[0]),
    })  # fmt: skip
    row: dict[str, float] = {}
    try:
        for epoch in range(initial_epoch, epochs):
            began = time.perf_counter()
            _call(callbacks, "on_epoch_begin", epoch, {})
            if shuffle:
                rng.shuffle(order)
            loss_sum = right_sum = 0.0
            seen = 0
            number = 0
            for hook in begin_batch:
                hook(0, {})
            steps = batches.run(order if shuffle else None, bool(begin_batch or end_batch), epoch)
            for size, losses, accuracies in steps:
                number += len(losses)
                if len(losses) > 1 or math.isfinite(losses[-1]):
                    guard.confirm()
                if not math.isfinite(losses[-1]):
                    what = f"the loss is {losses[-1]} in epoch {epoch + 1}, batch {number}"
                    raise guard.diverged(what, epoch, number - 1)
                # One after the other, so that the sums do not depend on how many steps come at once
                loss_sum = reduce(add, (losses * size).tolist(), loss_sum)
                right_sum = reduce(add, (accuracies * size).tolist(), right_sum)
                seen += size * len(losses)
                for hook in end_batch:
                    hook(number - 1, {"loss": loss_sum / seen, "accuracy": right_sum / seen, "size": size,
                                      "batches": batches.count})  # fmt: skip
                if model.stop_training:
                    break
                if number < batches.count:
                    for hook in begin_batch:
                        hook(number, {})
            logs = {"loss": loss_sum / seen, "accuracy": right_sum / seen}
            guard.remember()
            if validation is not None:
                logs["val_loss"], logs["val_accuracy"] = model.measure(*validation, batch_size=batches.size)
                if not math.isfinite(logs["val_loss"]):
                    what = f"the validation loss is {logs['val_loss']} after epoch {epoch + 1}"
                    raise guard.diverged(what, epoch, None)
                guard.confirm()
            logs["seconds"] = time.perf_counter() - began
            history.append(logs)
            row = logs
            if verbose:
                print(_line(epoch, epochs, row), flush=True)
            _call(callbacks, "on_epoch_end", epoch, row)
            if model.stop_training:
                break
    except DivergenceError as error:
        answers = [call(error) for call in overriding(callbacks, "on_divergence")]
        if not any(answers):
            raise
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
