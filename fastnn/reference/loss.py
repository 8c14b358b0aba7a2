"""Losses, one number per sample or element, and their sum; the caller divides.

Softmax cross-entropy as in PyTorch, with p = softmax(z), label t, class weights v (or 1), smoothing e:

    loss = (1 - e) * v[t] * -log p[t] + e / C * sum over c of v[c] * -log p[c]
    dz[c] = (1 - e) * v[t] * (p[c] - [c = t]) + e / C * (p[c] * sum(v) - v[c])

Soft: the same against probabilities q of the classes, with u[c] = v[c] * ((1 - e) * q[c] + e / C):

    loss = sum over c of u[c] * -log p[c]
    dz[c] = p[c] * sum(u) - u[c]

Binary cross-entropy of logit z and target t: max(z, 0) - z * t + log(1 + exp(-|z|)), gradient sigmoid(z) - t.
Squared error: (p - t)^2, gradient 2 * (p - t).
"""

import numpy as np

from ._arrays import Array
from ._special import sigmoid


def softmax_cross_entropy_forward(
    logits: Array,
    labels: Array,
    class_weights: Array,
    label_smoothing: float,
    probabilities: Array,
    losses: Array,
) -> None:
    """probabilities (N, C) and losses (N,) from logits (N, C), labels (N,), class_weights (C,) or size 0."""
    rows = np.arange(len(labels))
    log_p = logits - logits.max(axis=1, keepdims=True)
    np.exp(log_p, out=probabilities)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    log_p -= np.log(total)
    weights = _weights(class_weights, logits)
    np.multiply(log_p[rows, labels], weights[labels] * (label_smoothing - 1), out=losses)
    if label_smoothing:
        losses -= (label_smoothing / logits.shape[1]) * (log_p @ weights)


def softmax_cross_entropy_backward(
    probabilities: Array,
    labels: Array,
    class_weights: Array,
    label_smoothing: float,
    scale: float,
    dlogits: Array,
) -> None:
    """dlogits (N, C) = the gradient of scale * sum(losses); dlogits may be `probabilities`."""
    weights = _weights(class_weights, probabilities)
    spread = label_smoothing / len(weights)
    own = (1 - label_smoothing) * weights[labels]
    np.multiply(probabilities, (own + spread * weights.sum())[:, None], out=dlogits)
    if label_smoothing:
        dlogits -= spread * weights
    dlogits[np.arange(len(labels)), labels] -= own
    dlogits *= scale


def soft_cross_entropy_forward(
    logits: Array,
    targets: Array,
    class_weights: Array,
    label_smoothing: float,
    probabilities: Array,
    losses: Array,
) -> None:
    """probabilities (N, C) and losses (N,) from logits and targets (N, C), class_weights (C,) or size 0."""
    log_p = logits - logits.max(axis=1, keepdims=True)
    np.exp(log_p, out=probabilities)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    log_p -= np.log(total)
    np.sum(log_p * -_soft(targets, class_weights, label_smoothing), axis=1, out=losses)


def soft_cross_entropy_backward(
    probabilities: Array,
    targets: Array,
    class_weights: Array,
    label_smoothing: float,
    scale: float,
    dlogits: Array,
) -> None:
    """dlogits (N, C) = the gradient of scale * sum(losses)."""
    soft = _soft(targets, class_weights, label_smoothing)
    np.multiply(probabilities * soft.sum(axis=1, keepdims=True) - soft, scale, out=dlogits)


def binary_cross_entropy_forward(logits: Array, targets: Array, losses: Array) -> None:
    """losses = cross-entropy of sigmoid(logits) against targets in 0..1, all (size,)."""
    np.subtract(np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits))), logits * targets, out=losses)


def binary_cross_entropy_backward(logits: Array, targets: Array, scale: float, dlogits: Array) -> None:
    """dlogits = scale * (sigmoid(logits) - targets), all (size,)."""
    np.multiply(sigmoid(logits) - targets, scale, out=dlogits)


def mean_squared_error_forward(predictions: Array, targets: Array, losses: Array) -> None:
    """losses = (predictions - targets)^2, all (size,)."""
    np.square(predictions - targets, out=losses)


def mean_squared_error_backward(predictions: Array, targets: Array, scale: float, dpredictions: Array) -> None:
    """dpredictions = scale * 2 * (predictions - targets), all (size,)."""
    np.multiply(predictions - targets, 2 * scale, out=dpredictions)


def total_loss(losses: Array, total: Array) -> None:
    """total (1,) float64 = the sum of losses (size,), added in float64."""
    np.sum(losses, dtype=np.float64, keepdims=True, out=total)


def _weights(class_weights: Array, like: Array) -> Array:
    return class_weights if class_weights.size else np.ones(like.shape[1], like.dtype)


def _soft(targets: Array, class_weights: Array, label_smoothing: float) -> Array:
    soft: Array = targets * (1 - label_smoothing) + label_smoothing / targets.shape[1]
    return soft * class_weights if class_weights.size else soft
