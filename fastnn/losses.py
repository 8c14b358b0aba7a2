"""Losses. `forward` returns the mean loss, `backward` its gradient, divided by the batch size already."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._backend import operations
from fastnn._typing import Array, ArrayLike, Backend
from fastnn.layers._buffers import Buffer
from fastnn.reference.activation import SIGMOID


class Loss:
    """Base class.

    Attributes: `output`, the predictions as the loss sees them (probabilities where it takes logits), and
    `dinputs`, the last gradient.
    dtype: "float32" or "float64"; None takes that of the predictions, float32 if they are no floats.
    backend: "numba" or "numpy".
    """

    def __init__(self, *, dtype: Any = None, backend: Backend = "numba") -> None:
        owner = type(self).__name__
        self.dtype = None if dtype is None else _checks.float_dtype(owner, dtype)
        self.backend: Backend = _checks.backend(owner, backend)
        self.dinputs: Array | None = None
        self._x: Array | None = None
        self._y: Array | None = None
        self._given: object = None
        self._losses, self._gradients, self._outputs = Buffer(), Buffer(), Buffer()
        self.total, self.scale = np.zeros(1), 1.0  # sum of the last losses, and what it is multiplied by

    def forward(self, x: ArrayLike, y_true: ArrayLike) -> float:
        """Mean loss of the predictions x (N, ...) against y_true.

        Raises ValueError for a wrong shape, a label outside the classes or an empty batch, and TypeError for
        what is no array of real numbers. NaN or infinity in x is not refused: it shows in the loss.
        """
        self.release()
        checked = _checks.array(type(self).__name__, self._name, x, self._dtype_of(x), self._axes())
        return self.forward_checked(checked, self._targets(y_true, checked), y_true)

    def forward_checked(self, x: Array, y: Array, given: object = None) -> float:
        """`forward` for a model, which has checked and released: x and y are what the door would return."""
        self._x, self._y, self._given = x, y, given
        return self._forward(x, y)

    def backward(self, y_true: ArrayLike | None = None, again: ArrayLike | None = None) -> Array:
        """Gradient of the loss with respect to x, shape of x; kept as `dinputs`.

        y_true: None takes forward's. `backward(output, y_true)`, the order of old scripts, is understood too;
        the first array is not used then. Raises RuntimeError before the first forward.
        """
        if self._x is None or self._y is None:
            raise RuntimeError(f"{type(self).__name__}: backward needs a forward before it")
        y_true = y_true if again is None else again
        if y_true is not None and y_true is not self._given:
            self._y = self._targets(y_true, self._x)
        self.dinputs = None
        self.dinputs = self._gradients.take(self._x.shape, self._x.dtype)
        self._backward(self._x, self._y, self.dinputs)
        return self.dinputs

    @property
    def output(self) -> Array:
        """What the predictions of the last forward say. Raises RuntimeError before the first forward."""
        if self._x is None:
            raise RuntimeError(f"{type(self).__name__}: output needs a forward before it")
        return self._output(self._x)

    def release(self) -> None:
        """Forget the last arrays, so that their memory can be used again."""
        self.dinputs = self._x = self._y = self._given = None

    def config(self) -> dict[str, Any]:
        """Constructor keywords as JSON values."""
        return {"dtype": None if self.dtype is None else self.dtype.name, "backend": self.backend}

    def sample_weights(self, y: Array) -> Array:
        """How much each sample counts in the mean, (N,), for targets as a model hands them to the loss."""
        return np.ones(len(y))

    # For the losses themselves

    _name = "logits"

    def _axes(self) -> _checks.Axes:
        return ("N", ...)

    def _targets(self, y_true: ArrayLike, x: Array) -> Array:
        raise TypeError(f"{type(self).__name__} must define _targets")

    def _forward(self, x: Array, y: Array) -> float:
        raise TypeError(f"{type(self).__name__} must define _forward")

    def _backward(self, x: Array, y: Array, dx: Array) -> None:
        raise TypeError(f"{type(self).__name__} must define _backward")

    def _output(self, x: Array) -> Array:
        return x

    def _total(self, losses: Array) -> float:
        self._ops.total_loss(losses, self.total)
        return float(self.total[0]) * self.scale

    @property
    def _ops(self) -> Any:
        return operations(self.backend)

    def _dtype_of(self, x: ArrayLike) -> np.dtype[Any]:
        if self.dtype is not None:
            return self.dtype
        found = getattr(x, "dtype", None)
        return _checks.FLOAT_DTYPES[1] if found == np.float64 else _checks.FLOAT_DTYPES[0]

    def _values(self, y_true: ArrayLike, x: Array) -> Array:
        """Finite targets of x's shape; (N,) and (N, 1) stand for each other."""
        owner = type(self).__name__
        found = _checks.numeric(owner, "y_true", y_true)
        if found.size == x.size and {found.shape, x.shape} == {(len(x),), (len(x), 1)}:
            found = found.reshape(x.shape)
        values = _checks.array(owner, "y_true", found, x.dtype, x.shape)
        _checks.finite(owner, "y_true", values)
        return values


class SoftmaxCrossEntropy(Loss):
    """-log of the true class's probability, softmax(logits), in one stable pass over logits (N, C).

    y_true: class numbers (N,) or (N, 1), one-hot rows (N, C), or rows of probabilities (soft targets q: the
    loss is sum(-q * log p)). class_weights: C numbers >= 0; the mean is then weighted: sum(w[y] * loss) /
    sum(w[y]), for soft targets with sum(w * q) for w[y]. label_smoothing e in 0..1: the target is 1 - e for
    the true class plus e / C for every class. Both as in PyTorch's CrossEntropyLoss, which divides soft
    targets' losses by N. `output`: probabilities (N, C).
    """

    def __init__(
        self,
        class_weights: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        *,
        dtype: Any = None,
        backend: Backend = "numba",
    ) -> None:
        super().__init__(dtype=dtype, backend=backend)
        own = type(self).__name__
        self.label_smoothing = _checks.number(own, "label_smoothing", label_smoothing, minimum=0, maximum=1)
        self.class_weights: Array | None = None
        if class_weights is not None:
            weights = _checks.array(own, "class_weights", class_weights, np.dtype(np.float64), ("C",)).copy()
            if not (weights >= 0).all() or not np.isfinite(weights).all():
                raise ValueError(f"{own}: class_weights must be >= 0 and finite, got {weights.tolist()}")
            self.class_weights = weights
        self._probabilities: Array | None = None

    def release(self) -> None:
        super().release()
        self._probabilities = None

    def config(self) -> dict[str, Any]:
        weights = None if self.class_weights is None else self.class_weights.tolist()
        return {"class_weights": weights, "label_smoothing": self.label_smoothing, **super().config()}

    def _axes(self) -> _checks.Axes:
        return ("N", "C" if self.class_weights is None else len(self.class_weights))

    def _targets(self, y_true: ArrayLike, x: Array) -> Array:
        return _checks.classes(type(self).__name__, "y_true", y_true, x.shape[1], len(x), x.dtype)

    def _forward(self, x: Array, y: Array) -> float:
        self._probabilities = self._outputs.take(x.shape, x.dtype)
        losses = self._losses.take((len(x),), x.dtype)
        ops = self._ops
        forward = ops.softmax_cross_entropy_forward if y.ndim == 1 else ops.soft_cross_entropy_forward
        forward(x, y, self._weights(x.dtype), self.label_smoothing, self._probabilities, losses)
        self.scale = self._weight(y)
        return self._total(losses)

    def _backward(self, x: Array, y: Array, dx: Array) -> None:
        ops = self._ops
        backward = ops.softmax_cross_entropy_backward if y.ndim == 1 else ops.soft_cross_entropy_backward
        backward(self._probabilities, y, self._weights(x.dtype), self.label_smoothing, self.scale, dx)

    def _output(self, x: Array) -> Array:
        assert self._probabilities is not None
        return self._probabilities

    def _weights(self, dtype: np.dtype[Any]) -> Array:
        return np.empty(0, dtype) if self.class_weights is None else self.class_weights.astype(dtype)

    def sample_weights(self, y: Array) -> Array:
        weights = self.class_weights
        if weights is None:
            return super().sample_weights(y)
        return np.asarray(weights[y] if y.ndim == 1 else y @ weights)

    def _weight(self, y: Array) -> float:
        total = len(y) if self.class_weights is None else float(self.sample_weights(y).sum())
        return 1.0 / total if total > 0 else 0.0


class BinaryCrossEntropy(Loss):
    """-t * log(p) - (1 - t) * log(1 - p) with p = sigmoid(logits), stable on both sides, mean over all
    elements.

    logits (N,), (N, 1) or (N, C) for C independent labels; y_true: targets 0..1 of that shape. `output`:
    probabilities.
    """

    def _targets(self, y_true: ArrayLike, x: Array) -> Array:
        values = self._values(y_true, x)
        wrong = (values < 0) | (values > 1)
        if wrong.any():
            place = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            raise ValueError(f"{type(self).__name__}: y_true must be in 0..1, got {values[place]} in row {place[0]}")
        return values

    def _forward(self, x: Array, y: Array) -> float:
        losses = self._losses.take((x.size,), x.dtype)
        self._ops.binary_cross_entropy_forward(x.reshape(-1), y.reshape(-1), losses)
        self.scale = 1.0 / x.size
        return self._total(losses)

    def _backward(self, x: Array, y: Array, dx: Array) -> None:
        self._ops.binary_cross_entropy_backward(x.reshape(-1), y.reshape(-1), self.scale, dx.reshape(-1))

    def _output(self, x: Array) -> Array:
        y = self._outputs.take(x.shape, x.dtype)
        self._ops.activation_forward(SIGMOID, 0.0, x.reshape(-1), y.reshape(-1))
        return y


class MeanSquaredError(Loss):
    """(x - y_true)**2, mean over all elements. x (N, ...); y_true of the same shape, as floats."""

    _name = "predictions"

    def _targets(self, y_true: ArrayLike, x: Array) -> Array:
        return self._values(y_true, x)

    def _forward(self, x: Array, y: Array) -> float:
        losses = self._losses.take((x.size,), x.dtype)
        self._ops.mean_squared_error_forward(x.reshape(-1), y.reshape(-1), losses)
        self.scale = 1.0 / x.size
        return self._total(losses)

    def _backward(self, x: Array, y: Array, dx: Array) -> None:
        self._ops.mean_squared_error_backward(x.reshape(-1), y.reshape(-1), self.scale, dx.reshape(-1))
