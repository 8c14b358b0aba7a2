"""scikit-learn's MLPClassifier: one `partial_fit` is a pass over the data in batches of batch_size."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from fastnn.bench import inputs
from fastnn.bench.nets import Act, Dense
from fastnn.bench.workloads import Work

_ACTIVATIONS = {"relu": "relu", "sigmoid": "logistic", "tanh": "tanh"}


class Sklearn:
    """A work of an MLP."""

    def __init__(self, work: Work) -> None:
        warnings.simplefilter("ignore", ConvergenceWarning)
        self._work = work
        self._x, self._y = inputs.data(work)
        parts = work.net.parts
        (act,) = {part.name for part in parts if isinstance(part, Act)}
        self._model = MLPClassifier(
            [part.units for part in parts if isinstance(part, Dense)][:-1], _ACTIVATIONS[act], solver="sgd", alpha=0.0,
            batch_size=work.batch, learning_rate_init=inputs.RATE, momentum=inputs.MOMENTUM,
            nesterovs_momentum=False, shuffle=False,
        )  # fmt: skip
        few = max(2, min(work.batch, len(self._x)))
        x, y = np.resize(self._x[:few], (few, *self._x.shape[1:])), np.resize(self._y[:few], few)
        self._model.partial_fit(x, y, classes=np.arange(work.net.classes))
        # It makes its weights in the first step; the network starts anew from ours.
        weights = inputs.weights(work.net)
        for mine, array in zip(self._model.coefs_ + self._model.intercepts_, weights[::2] + weights[1::2], strict=True):
            mine[...] = array
        for velocity in self._model._optimizer.velocities:
            velocity[...] = 0

    def losses(self, steps: int) -> list[float]:
        optimizer, losses = self._model._optimizer, []
        optimizer.learning_rate = inputs.check_rate(self._work.net)
        for _ in range(steps):
            self._model.partial_fit(self._x[: self._work.batch], self._y[: self._work.batch])
            losses.append(float(self._model.loss_))
        optimizer.learning_rate = inputs.RATE
        return losses

    def outputs(self) -> list[list[float]]:
        return inputs.checked_rows(self._model.predict_proba(self._x))

    def run(self, passes: int) -> None:
        for _ in range(passes):
            if self._work.kind == "predict":
                self._model.predict_proba(self._x)
            else:
                self._model.partial_fit(self._x, self._y)


def make(peer: str, work: Work, variant: str, threads: int) -> Sklearn:
    """A side of scikit-learn; its threads are those of NumPy's BLAS."""
    return Sklearn(work)
