"""The hooks that `Sequential.fit` calls, with the names and the order of Keras' callbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from fastnn.errors import DivergenceError
    from fastnn.model import Sequential


class Callback:
    """Base class: override the hooks you need. Set `self.model.stop_training = True` to end the training
    early.

    epoch and batch count from 0, as in Keras. logs holds, at a batch's end, the `loss` and `accuracy` of
    the epoch so far (means over its samples), `size` (samples of this batch) and `batches` (batches in an
    epoch); at an epoch's end, the row that History keeps: loss, accuracy, val_loss, val_accuracy, seconds.
    An epoch's end is the same dict for all callbacks: what one of them adds, those after it see.

    Training runs in blocks of many steps; a callback that defines on_batch_begin or on_batch_end makes it
    come back to Python for every batch.
    """

    model: Sequential

    def set_model(self, model: Sequential) -> None:
        """Called once before on_train_begin."""
        self.model = model

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Called with epochs, batch_size, batches (in an epoch), samples and validation_samples."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Called with the last epoch's row, also when the training was stopped early."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Called before an epoch's first batch."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Called after an epoch's last batch and its validation."""

    def on_batch_begin(self, batch: int, logs: dict[str, float]) -> None:
        """Called before a batch is gathered."""

    def on_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Called after the batch's step; with `accumulate`, not every one of them changes the weights."""

    def on_divergence(self, error: DivergenceError) -> bool:
        """Called when the loss became NaN or infinite, with the last good weights back in place. True: this
        ends the training, with on_train_end and the history so far, and fit does not raise the error."""
        return False


def overriding(callbacks: Sequence[Callback], hook: str) -> list[Callable[..., Any]]:
    """The bound methods named hook of those callbacks that define it: an empty hook costs no call."""
    hooks = [getattr(callback, hook) for callback in callbacks]
    return [call for call in hooks if getattr(call, "__func__", None) is not getattr(Callback, hook)]
