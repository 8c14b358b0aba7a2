"""What of the data is an image, and how it is shown."""

from __future__ import annotations

import math

import numpy as np

from fastnn._typing import Array, Shape

_SMALLEST = 8  # pixels a side: shorter vectors with a square number of values are tables


def image_shape(size: int, known: Shape | None = None) -> Shape | None:
    """(H, W, C) of a vector of size values: the known shape if it has as many, else a grey or RGB square of 8x8 or
    more; None for what is no image."""
    if known is not None and len(known) == 3 and math.prod(known) == size:
        return known
    for channels in (1, 3):
        side = math.isqrt(size // channels)
        if side >= _SMALLEST and side * side * channels == size:
            return (side, side, channels)
    return None


def as_images(x: Array, known: Shape | None = None) -> Array | None:
    """Samples x (N, ...) as images (N, H, W, C) with C 1 or 3: (N, H, W) are grey, vectors become images where
    `image_shape` finds one, other numbers of channels become their mean; None for what is no image."""
    if x.ndim == 2:
        shape = image_shape(x.shape[1], known)
        if shape is None:
            return None
        x = x.reshape(len(x), *shape)
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4:
        return None
    return x if x.shape[3] in (1, 3) else x.mean(axis=3, keepdims=True)


def displayed(images: Array) -> Array:
    """Values in 0..1: those in 0..1 stay, those in 0..255 are divided, others are stretched over all images."""
    low, high = float(images.min()), float(images.max())
    if low >= 0 and high <= 1:
        return images
    if low >= 0 and 1 < high <= 255:
        return images / 255
    return np.asarray((images - low) / (high - low if high > low else 1.0))
