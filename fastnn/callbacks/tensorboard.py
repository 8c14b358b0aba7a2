"""The curves of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn.callbacks._base import Callback

if TYPE_CHECKING:
    from os import PathLike

    from fastnn.errors import DivergenceError


class TensorBoard(Callback):
    """Writes every epoch's numbers to log_dir, for `tensorboard --logdir LOG_DIR`: extra `tensorboard`.

    Runs and names are Keras': epoch_loss, epoch_accuracy and epoch_learning_rate in `train`, the first two in
    `validation`, over the epochs from 0. Raises ModuleNotFoundError, in one line, without tensorboardX.
    """

    def __init__(self, log_dir: str | PathLike[str] = "logs") -> None:
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            message = "TensorBoard: tensorboardX is not installed (pip install 'fastnn[tensorboard]')"
            raise ModuleNotFoundError(message, name="tensorboardX") from error
        self.log_dir = Path(log_dir)
        self._open: Callable[[str], Any] = SummaryWriter
        self._writers: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Open the files."""
        runs = ("train", "validation") if logs["validation_samples"] else ("train",)
        self._writers = {run: self._open(str(self.log_dir / run)) for run in runs}

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Write the epoch's numbers."""
        for run, prefix in (("train", ""), ("validation", "val_")):
            for name in ("loss", "accuracy"):
                value = logs.get(prefix + name)
                if value is not None and value == value:
                    self._writers[run].add_scalar(f"epoch_{name}", value, epoch)
        rate = self.model.optimizer.current_learning_rate
        self._writers["train"].add_scalar("epoch_learning_rate", rate, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def on_divergence(self, error: DivergenceError) -> bool:
        """Close the files."""
        self.on_train_end({})
        return False
