"""Losses, one number per sample or element, and their sum; the caller divides.

Softmax cross-entropy as in PyTorch, with p = softmax(z), label t, class weights v (or ones), label smoothing e:

    loss = (1 - e) * v[t] * -log p[t] + e / C * sum over c of v[c] * -log p[c]
    dz[c] = (1 - e) * v[t] * (p[c] - [c = t]) + e / C * (p[c] * sum(v) - v[c])

Soft: the same against probabilities q of the classes, with u[c] = v[c] * ((1 - e) * q[c] + e / C):

    loss = sum over c of u[c] * -log p[c]
    dz[c] = p[c] * sum(u) - u[c]

Binary cross-entropy of logit z and target t: max(z, 0) - z * t + log(1 + exp(-|z|)), gradient sigmoid(z) - t.
Squared error: (p - t)^2, gradient 2 * (p - t).
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import numpy as np

from ._jit import kernel
from ._math import CHUNK, exp, log, log1p_unit, sigmoid, typed
from ._parallel import run
from ._rows import maximum, total
from .activation import exponentials, minus_log

_COST = 8  # of an exponential, in elements moved


@kernel
def softmax_cross_entropy_forward(logits, labels, class_weights, label_smoothing, probabilities, losses):
    """probabilities (N, C) and losses (N,) from logits (N, C), labels (N,) and class_weights (C,) or size 0."""
    n, c = logits.shape
    rows = max(1, CHUNK // c)
    args = (rows, logits, labels, class_weights, label_smoothing, probabilities, losses)
    run(_cross_entropy_chunk, -(-n // rows), n * c * _COST, args)


@kernel
def _cross_entropy_chunk(chunk, rows, logits, labels, class_weights, label_smoothing, probabilities, losses):
    first, last = chunk * rows, min((chunk + 1) * rows, logits.shape[0])
    spread = typed(losses[0], label_smoothing / logits.shape[1])
    own = typed(losses[0], 1.0 - label_smoothing)
    exponentials(logits, first, last, probabilities)
    masses = losses[first:last]
    for i in range(masses.size):
        p = probabilities[first + i]
        masses[i] = total(p)
        inverse = typed(spread, 1.0) / masses[i]
        for c in range(p.size):
            p[c] *= inverse
    for i in range(masses.size):  # in one loop, which becomes vectors
        masses[i] = log(masses[i])
    for i in range(first, last):
        z, t = logits[i], labels[i]
        top, log_mass = maximum(z), losses[i]
        loss = own * minus_log(z[t], top, log_mass)
        if class_weights.size > 0:
            loss *= class_weights[t]
        if label_smoothing > 0.0:
            smooth = typed(spread, 0.0)
            if class_weights.size > 0:
                for c in range(z.size):
                    smooth += class_weights[c] * minus_log(z[c], top, log_mass)
            else:
                for c in range(z.size):
                    smooth += minus_log(z[c], top, log_mass)
            loss += spread * smooth
        losses[i] = loss


@kernel
def softmax_cross_entropy_backward(probabilities, labels, class_weights, label_smoothing, scale, dlogits):
    """dlogits (N, C) = the gradient of scale * sum(losses)."""
    n, c = probabilities.shape
    rows = max(1, CHUNK // c)
    args = (rows, probabilities, labels, class_weights, label_smoothing, scale, dlogits)
    run(_cross_entropy_backward_chunk, -(-n // rows), n * c, args)


@kernel
def _cross_entropy_backward_chunk(chunk, rows, probabilities, labels, class_weights, label_smoothing, scale, dlogits):
    first, last = chunk * rows, min((chunk + 1) * rows, dlogits.shape[0])
    classes = dlogits.shape[1]
    weighted = class_weights.size > 0
    spread = typed(dlogits[0, 0], scale * label_smoothing / classes)
    one_own = typed(dlogits[0, 0], scale * (1.0 - label_smoothing))
    spread_mass = spread * (total(class_weights) if weighted else typed(spread, float(classes)))
    for i in range(first, last):
        p, dz, t = probabilities[i], dlogits[i], labels[i]
        own = one_own * class_weights[t] if weighted else one_own
        factor = own + spread_mass
        if weighted:
            for c in range(p.size):
                dz[c] = factor * p[c] - spread * class_weights[c]
        else:
            for c in range(p.size):
                dz[c] = factor * p[c] - spread
        dz[t] -= own


@kernel
def soft_cross_entropy_forward(logits, targets, class_weights, label_smoothing, probabilities, losses):
    """probabilities (N, C) and losses (N,) from logits and targets (N, C) and class_weights (C,) or size 0."""
    n, c = logits.shape
    rows = max(1, CHUNK // c)
    args = (rows, logits, targets, class_weights, label_smoothing, probabilities, losses)
    run(_soft_chunk, -(-n // rows), n * c * _COST, args)


@kernel
def _soft_chunk(chunk, rows, logits, targets, class_weights, label_smoothing, probabilities, losses):
    first, last = chunk * rows, min((chunk + 1) * rows, logits.shape[0])
    own, spread = typed(losses[0], 1.0 - label_smoothing), typed(losses[0], label_smoothing / logits.shape[1])
    exponentials(logits, first, last, probabilities)
    for i in range(first, last):
        z, p, q = logits[i], probabilities[i], targets[i]
        mass = total(p)
        top, log_mass, inverse = maximum(z), log(mass), typed(mass, 1.0) / mass
        for c in range(p.size):
            p[c] *= inverse
        loss = typed(mass, 0.0)
        if class_weights.size > 0:
            for c in range(z.size):
                loss += class_weights[c] * (own * q[c] + spread) * minus_log(z[c], top, log_mass)
        else:
            for c in range(z.size):
                loss += (own * q[c] + spread) * minus_log(z[c], top, log_mass)
        losses[i] = loss


@kernel
def soft_cross_entropy_backward(probabilities, targets, class_weights, label_smoothing, scale, dlogits):
    """dlogits (N, C) = the gradient of scale * sum(losses)."""
    n, c = probabilities.shape
    rows = max(1, CHUNK // c)
    args = (rows, probabilities, targets, class_weights, label_smoothing, scale, dlogits)
    run(_soft_backward_chunk, -(-n // rows), n * c, args)


@kernel
def _soft_backward_chunk(chunk, rows, probabilities, targets, class_weights, label_smoothing, scale, dlogits):
    first, last = chunk * rows, min((chunk + 1) * rows, dlogits.shape[0])
    zero = typed(dlogits[0, 0], 0.0)
    own, spread = typed(zero, scale * (1.0 - label_smoothing)), typed(zero, scale * label_smoothing / dlogits.shape[1])
    for i in range(first, last):
        p, q, dz, mass = probabilities[i], targets[i], dlogits[i], zero
        for c in range(p.size):
            dz[c] = own * q[c] + spread
            if class_weights.size > 0:
                dz[c] *= class_weights[c]
            mass += dz[c]
        for c in range(p.size):
            dz[c] = p[c] * mass - dz[c]


@kernel
def binary_cross_entropy_forward(logits, targets, losses):
    """losses = cross-entropy of sigmoid(logits) against targets in 0..1, all (size,)."""
    run(_binary_chunk, -(-losses.size // CHUNK), losses.size * _COST, (logits, targets, losses))


@kernel
def _binary_chunk(chunk, logits, targets, losses):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, losses.size)
    z, t, out = logits[first:last], targets[first:last], losses[first:last]
    zero = typed(z[0], 0.0)
    for i in range(out.size):
        positive = zero if z[i] <= zero else z[i]
        out[i] = (positive - z[i] * t[i]) + log1p_unit(exp(-abs(z[i])))


@kernel
def binary_cross_entropy_backward(logits, targets, scale, dlogits):
    """dlogits = scale * (sigmoid(logits) - targets), all (size,)."""
    run(_binary_backward_chunk, -(-dlogits.size // CHUNK), dlogits.size * _COST, (logits, targets, scale, dlogits))


@kernel
def _binary_backward_chunk(chunk, logits, targets, scale, dlogits):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, dlogits.size)
    z, t, out = logits[first:last], targets[first:last], dlogits[first:last]
    factor = typed(z[0], scale)
    for i in range(out.size):
        out[i] = factor * (sigmoid(z[i]) - t[i])


@kernel
def mean_squared_error_forward(predictions, targets, losses):
    """losses = (predictions - targets)^2, all (size,)."""
    run(_square_chunk, -(-losses.size // CHUNK), losses.size, (predictions, targets, losses))


@kernel
def _square_chunk(chunk, predictions, targets, losses):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, losses.size)
    p, t, out = predictions[first:last], targets[first:last], losses[first:last]
    for i in range(out.size):
        out[i] = (p[i] - t[i]) * (p[i] - t[i])


@kernel
def mean_squared_error_backward(predictions, targets, scale, dpredictions):
    """dpredictions = scale * 2 * (predictions - targets), all (size,)."""
    run(_square_backward_chunk, -(-targets.size // CHUNK), targets.size, (predictions, targets, scale, dpredictions))


@kernel
def _square_backward_chunk(chunk, predictions, targets, scale, dpredictions):
    first, last = chunk * CHUNK, min((chunk + 1) * CHUNK, targets.size)
    p, t, out = predictions[first:last], targets[first:last], dpredictions[first:last]
    factor = typed(p[0], 2.0 * scale)
    for i in range(out.size):
        out[i] = factor * (p[i] - t[i])


@kernel
def total_loss(losses, total):
    """total (1,) float64 = the sum of losses (size,), added in float64."""
    result = 0.0
    for i in range(losses.size):
        result += np.float64(losses[i])
    total[0] = result
