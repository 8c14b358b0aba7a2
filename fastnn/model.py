"""Sequential: a network with an optimizer and a loss, trained, used, saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fastnn import _checks
from fastnn._backend import operations
from fastnn._inference import Inference
from fastnn._network import OWNER, Network
from fastnn._recorded import Recorded
from fastnn._step import Steps
from fastnn._summary import summary_text
from fastnn._targets import Targets, binary_targets, class_targets, score, value_targets
from fastnn._typing import Array, ArrayLike, Backend, Precision, Seed
from fastnn.errors import DivergenceError
from fastnn.layers import Sigmoid, Softmax
from fastnn.layers._base import Layer
from fastnn.losses import BinaryCrossEntropy, Loss, MeanSquaredError, SoftmaxCrossEntropy
from fastnn.optimizers import Adam, Optimizer

if TYPE_CHECKING:
    from fastnn.augment import Augmentation
    from fastnn.callbacks import Callback
    from fastnn.training import History


# Kept with their memory: steps and inference, on the full batch and on the last short one, and two more
_MOST_RECORDINGS = 6
_R = TypeVar("_R", bound=Recorded)


class Sequential(Network):
    """A network of layers, each fed with the output of the one before.

    layers: Layer objects, each used once.
    input_shape: shape of one sample, without N; None leaves it to the first data.
    dtype, backend: set on every layer; None leaves each layer its own (dtypes must agree).
    precision: set on the dense layers and convolutions; None leaves each its own. "bf16" makes their products
    faster and rounder: see `Dense`.
    seed: for initial weights and dropout of the layers that have no seed of their own, and for shuffling.
    class_names: one name per class, kept by `save`.

    Attributes: `layers`, `input_shape`, `output_shape`, `dtype`, `backend`, `optimizer`, `loss`,
    `class_names`, `training`; `parameters` and `gradients`, flat arrays that the layers hold views of;
    `parameter_slices`, the place of every parameter in them by name ("0.weights": layer 0's weights);
    `metadata`, a dict of JSON values that `save` keeps.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Iterable[int] | None = None,
        *,
        dtype: Any = None,
        backend: Backend | None = None,
        precision: Precision | None = None,
        seed: Seed = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        self.metadata: dict[str, Any] = {}
        self.stop_training = False
        self._recordings: dict[tuple[Any, ...], Any] = {}
        self._accuracy = np.zeros(1)
        self._loss: Loss | None = None
        self._optimizer: Optimizer | None = None
        super().__init__(
            layers, input_shape, dtype=dtype, backend=backend, precision=precision, seed=seed, class_names=class_names
        )

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_recordings": {}}  # recorded on this model's own arrays

    def build(self, input_shape: Iterable[int]) -> None:
        super().build(input_shape)
        if self._loss is not None:
            self._check_loss(self._loss)

    # Training

    def compile(self, optimizer: Optimizer | None = None, loss: Loss | None = None) -> None:
        """Choose optimizer and loss. Defaults: Adam(0.001), and the loss that fits the output:
        BinaryCrossEntropy for an output of one value, else SoftmaxCrossEntropy. Losses take logits."""
        if optimizer is not None:
            _checks.instance(OWNER, "optimizer", optimizer, Optimizer, "an Optimizer")
        if loss is not None:
            _checks.instance(OWNER, "loss", loss, Loss, "a Loss")
            if self.input_shape is not None:
                self._check_loss(loss)
            loss.backend = self.backend
        self._optimizer, self._loss = optimizer, loss
        self._recordings.clear()

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer; Adam(0.001) unless `compile` set another."""
        if self._optimizer is None:
            self._optimizer = Adam(0.001)
        return self._optimizer

    @property
    def loss(self) -> Loss:
        """The loss; see `compile` for the default."""
        if self._loss is None:
            self._planned()
            kind = BinaryCrossEntropy if self.output_shape == (1,) else SoftmaxCrossEntropy
            self._loss = kind(dtype=self.dtype, backend=self.backend)
            self._check_loss(self._loss)
        return self._loss

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        epochs: int = 1,
        batch_size: int = 32,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        validation_split: float = 0.0,
        shuffle: bool = True,
        seed: Seed = None,
        callbacks: Sequence[Callback] = (),
        verbose: bool = True,
        *,
        augmentation: Augmentation | None = None,
        initial_epoch: int = 0,
        accumulate: int = 1,
    ) -> History:
        """Train on x (N, *input_shape) and y: class numbers (N,), one-hot rows or probabilities (N, C), or values.

        Every epoch visits each row once in mini-batches of batch_size, the last short one included, in an
        order that `seed` (else the model's) decides. validation_data is a pair (x, y); validation_split
        takes that share of the last rows instead. verbose prints a line per epoch. augmentation changes the
        training samples at random, see `Augmentation`; validation data stay as they are. initial_epoch: the
        number of the first epoch, from 0, for a run that goes on; epochs is still the number of the last one.
        accumulate: so many mini-batches make one step of the optimizer, on the mean gradient over their
        samples (batch norm still sees one batch at a time). Raises ValueError that
        names the row for NaN or infinity in data and for labels outside the classes; DivergenceError (a
        RuntimeError), after putting the last good weights back, when the loss becomes NaN or infinite.
        """
        from fastnn import training  # the row above this one; only this method leans on it

        return training.fit(self, x, y, epochs, batch_size, validation_data, validation_split, shuffle, seed,
                            callbacks, verbose, augmentation=augmentation, initial_epoch=initial_epoch,
                            accumulate=accumulate)  # fmt: skip

    def train_batch(self, x: ArrayLike, y: ArrayLike) -> tuple[float, float]:
        """One step on one batch; returns (loss, accuracy), both measured before the update.

        Raises DivergenceError, with the model as it was, when the loss is NaN or infinite.
        """
        batch = self._samples("x", x)
        targets = self._targets("y", y, len(batch))
        kept = [a.copy() for a in self._states]
        losses, accuracies, done = self.steps(batch, targets, len(batch)).run(batch, targets.values, None, 1)
        if not done:
            for a, before in zip(self._states, kept, strict=True):
                a[...] = before
            _checks.finite(OWNER, "x", batch)
            raise DivergenceError(f"{OWNER}: the loss is {losses[0]}; the weights were not updated")
        return float(losses[0]), float(accuracies[0])

    def steps(
        self, x: Array, targets: Targets, size: int, augmentation: Augmentation | None = None, shared: bool = False
    ) -> Steps:
        """The training steps on batches of `size` rows of data like this, from `check_data`; `shared`: with shares."""
        key = ("steps", size, x.shape[1:], targets.values.shape[1:], targets.kind, augmentation, shared)
        return self._recorded(key, lambda: Steps(self, x, targets.values, targets.kind, size, augmentation))

    def _recorded(self, key: tuple[Any, ...], make: Callable[[], _R]) -> _R:
        """The recorded work of this key; the one not used for the longest time makes room."""
        found: _R = self._recordings.pop(key, None) or make()
        self._recordings[key] = found
        if len(self._recordings) > _MOST_RECORDINGS:
            del self._recordings[next(iter(self._recordings))]
        return found

    def release(self) -> None:
        super().release()
        if self._loss is not None:
            self._loss.release()

    # Inference

    def predict(self, x: ArrayLike, batch_size: int = 256) -> Array:
        """Class numbers int64 (N,).

        With BinaryCrossEntropy 0 or 1 for every output: (N,) or (N, C). With MeanSquaredError and an output
        other than (N, C), C > 1: the output itself, as `predict_outputs` gives it.
        """
        outputs = self.predict_outputs(x, batch_size)
        if isinstance(self.loss, BinaryCrossEntropy):
            classes = (outputs >= 0).astype(np.int64)
            return classes[:, 0] if self.output_shape == (1,) else classes
        if outputs.ndim != 2 or outputs.shape[1] == 1:
            return outputs
        return np.asarray(outputs.argmax(axis=1), np.int64)

    def predict_proba(self, x: ArrayLike, batch_size: int = 256) -> Array:
        """Probabilities (N, C): softmax of the output; its sigmoid with BinaryCrossEntropy; the output itself
        with MeanSquaredError."""
        return self._infer(self._inputs(x), batch_size, not isinstance(self.loss, MeanSquaredError))

    def predict_outputs(self, x: ArrayLike, batch_size: int = 256) -> Array:
        """The last layer's output (N, *output_shape), in inference mode."""
        return self._infer(self._inputs(x), batch_size, False)

    def _inputs(self, x: ArrayLike) -> Array:
        x = self._samples("x", x)
        _checks.finite(OWNER, "x", x)
        return x

    def _infer(self, x: Array, batch_size: int, probabilities: bool) -> Array:
        size = min(_checks.integer(OWNER, "batch_size", batch_size, 1), len(x))
        out = np.empty((len(x), *self.output_shape), self.dtype)
        rest = len(x) % size
        with self._lock:
            if rest:
                self._inference(rest, probabilities).run(x[-rest:], out[-rest:])
                x, out_whole = x[:-rest], out[:-rest]
            else:
                out_whole = out
            self._inference(size, probabilities).run(x, out_whole)
        return out

    def _inference(self, size: int, probabilities: bool) -> Inference:
        key = ("inference", size, type(self.loss) if probabilities else None)
        return self._recorded(key, lambda: Inference(self, size, probabilities))

    def evaluate(self, x: ArrayLike, y: ArrayLike, batch_size: int = 256) -> tuple[float, float]:
        """(loss, accuracy) over all rows, in inference mode. Accuracy is NaN for plain values. With class
        weights the loss is the mean of the batches' weighted means."""
        size = _checks.integer(OWNER, "batch_size", batch_size, 1)
        return self.measure(*self.check_data(x, y), batch_size=size)

    def measure(self, x: Array, targets: Targets, batch_size: int) -> tuple[float, float]:
        """`evaluate` on checked data."""
        outputs, ops = self._infer(x, batch_size, False), operations(self.backend)
        loss = right = 0.0
        for start in range(0, len(x), batch_size):
            output, values = outputs[start : start + batch_size], targets.values[start : start + batch_size]
            loss += self.loss.forward(output, values) * len(output)
            right += score(ops, output, values, targets.kind, self._accuracy) * len(output)
        self.loss.release()
        return loss / len(x), right / len(x)

    # Checks

    def check_data(self, x: ArrayLike, y: ArrayLike, kind: str = "") -> tuple[Array, Targets]:
        """x (N, *input_shape) in the model's dtype and y as targets of the loss, both finite.

        kind ("validation ") goes before x and y in messages. Raises TypeError or ValueError, naming the row.
        """
        x = self._samples(kind + "x", x)
        _checks.finite(OWNER, kind + "x", x)
        return x, self._targets(kind + "y", y, len(x))

    def _targets(self, name: str, y: ArrayLike, rows: int) -> Targets:
        if isinstance(self.loss, SoftmaxCrossEntropy):
            return class_targets(OWNER, name, y, rows, self.output_shape[0], self.dtype)
        convert = binary_targets if isinstance(self.loss, BinaryCrossEntropy) else value_targets
        return convert(OWNER, name, y, rows, self.output_shape, self.dtype)

    def _check_loss(self, loss: Loss) -> None:
        """Refuse a loss that does not fit the output, or that would apply softmax or sigmoid twice."""
        name = type(loss).__name__
        if isinstance(loss, SoftmaxCrossEntropy) and (len(self.output_shape) != 1 or self.output_shape[0] < 2):
            raise ValueError(f"{OWNER}: {name} needs an output of shape (C,), C >= 2, got {self.output_shape}")
        weights = getattr(loss, "class_weights", None)
        if weights is not None and self.output_shape != weights.shape:
            raise ValueError(f"{OWNER}: class_weights must be {self.output_shape[0]} numbers, got {len(weights)}")
        last = getattr(self.layers[-1], "activation", None) or self.layers[-1]
        pair = (type(loss), type(last))
        if pair in ((SoftmaxCrossEntropy, Softmax), (BinaryCrossEntropy, Sigmoid)):
            raise ValueError(f"{OWNER}: {name} takes logits: leave {type(last).__name__} out at the end")

    # Files

    def summary(self) -> str:
        """Print and return a table: layer, output shape, parameters, multiply-adds for one sample."""
        text = summary_text(self.layers, self._planned())
        print(text)
        return text

    def save(self, path: str | PathLike[str]) -> None:
        """Write architecture, weights, class names and metadata to one file; see `fastnn.load`."""
        from fastnn.formats import checkpoint  # the row above this one; only this method leans on it

        checkpoint.save(self, path)
