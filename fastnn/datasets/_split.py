"""From the bytes of images and labels to the arrays that every data set returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastnn.errors import DataError

Part = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
Split = tuple[Part, Part]


def scaled_images(pixels: npt.NDArray[Any], white: int) -> npt.NDArray[np.float32]:
    """Bytes (N, H, W) in 0..white -> float32 (N, H, W, 1) in 0..1."""
    images: npt.NDArray[np.float32] = np.divide(pixels[..., np.newaxis], np.float32(white), dtype=np.float32)
    return images


def checked_labels(labels: npt.NDArray[Any], images: int, classes: int, path: Path) -> npt.NDArray[np.int64]:
    """Bytes (N,) -> int64 (N,); DataError unless there is one for each image and each is below classes."""
    if len(labels) != images:
        raise DataError(f"{path}: {len(labels)} labels for {images} images")
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        row = wrong[0]
        raise DataError(f"{path}: labels must be below {classes}, got {labels[row]} in row {row}")
    return labels.astype(np.int64)
