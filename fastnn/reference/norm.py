"""Batch normalisation of x (M, C) over M; images come as (N * H * W, C).

    xhat = (x - mean) / sqrt(var + eps), with the biased variance (divided by M)
    y = gamma * xhat + beta

    dbeta = sum dy
    dgamma = sum dy * xhat
    dx = gamma / sqrt(var + eps) * (dy - dbeta / M - xhat * dgamma / M)

Ioffe and Szegedy 2015, arXiv:1502.03167. Where mean and variance are constants (inference),
dx = gamma / sqrt(var + eps) * dy.

`skip` (M, C), maybe of size 0, is added to y. With `rectify`, y is then max(y, 0), and dy counts where y is positive;
the backward functions know no skip.
"""

import numpy as np

from ._arrays import Array


def batch_norm_scratch_size(m: int, c: int) -> int:
    """Elements of the scratch array of the functions below: none here."""
    return 0


def batch_norm_forward(
    x: Array,
    gamma: Array,
    beta: Array,
    eps: float,
    skip: Array,
    rectify: bool,
    scratch: Array,
    mean: Array,
    var: Array,
    y: Array,
) -> None:
    """Training: mean (C,) and biased var (C,) of x (M, C), and the normalised y (M, C)."""
    np.mean(x, axis=0, out=mean)
    np.subtract(x, mean, out=y)
    # The mean of the centred values, which are small, is what rounding did to the mean (Chan et al. 1983).
    error = y.mean(axis=0)
    mean += error
    y -= error
    np.mean(y * y, axis=0, out=var)
    _scale(gamma, beta, var, eps, skip, rectify, y)


def batch_norm_follow(
    m: int, momentum: float, mean: Array, var: Array, running_mean: Array, running_var: Array
) -> None:
    """Move the running moments (C,) by the share `momentum` towards those of a batch of m > 1 rows.

    running_mean += momentum * (mean - running_mean), running_var alike with the unbiased var * m / (m - 1).
    """
    running_mean += momentum * (mean - running_mean)
    running_var += momentum * (var * (m / (m - 1)) - running_var)


def batch_norm_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    eps: float,
    rectify: bool,
    dy: Array,
    scratch: Array,
    dx: Array,
    dgamma: Array,
    dbeta: Array,
) -> None:
    """dx (M, C), dgamma (C,) and dbeta (C,) from dy (M, C), through the batch's own mean and variance."""
    inverse = 1 / np.sqrt(var + eps)
    xhat = (x - mean) * inverse
    if rectify:
        dy = _passed(xhat, gamma, beta, dy)
    np.sum(dy, axis=0, out=dbeta)
    np.sum(dy * xhat, axis=0, out=dgamma)
    xhat *= dgamma / len(x)
    np.subtract(dy, xhat, out=dx)
    dx -= dbeta / len(x)
    dx *= gamma * inverse


def batch_norm_inference(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    eps: float,
    skip: Array,
    rectify: bool,
    y: Array,
) -> None:
    """y (M, C) = gamma * (x - mean) / sqrt(var + eps) + beta, with mean (C,) and var (C,) given."""
    np.subtract(x, mean, out=y)
    _scale(gamma, beta, var, eps, skip, rectify, y)


def batch_norm_inference_backward(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    eps: float,
    rectify: bool,
    dy: Array,
    scratch: Array,
    dx: Array,
    dgamma: Array,
    dbeta: Array,
) -> None:
    """The gradients of `batch_norm_inference`: mean and var are constants."""
    inverse = 1 / np.sqrt(var + eps)
    xhat = (x - mean) * inverse
    if rectify:
        dy = _passed(xhat, gamma, beta, dy)
    np.sum(dy, axis=0, out=dbeta)
    np.sum(dy * xhat, axis=0, out=dgamma)
    np.multiply(dy, gamma * inverse, out=dx)


def _scale(gamma: Array, beta: Array, var: Array, eps: float, skip: Array, rectify: bool, y: Array) -> None:
    y *= gamma / np.sqrt(var + eps)
    y += beta
    if skip.size:
        y += skip
    if rectify:
        y[y <= 0] = 0


def _passed(xhat: Array, gamma: Array, beta: Array, dy: Array) -> Array:
    """dy where ReLU passes it."""
    return np.where(gamma * xhat + beta <= 0, 0, dy)
