"""Mini-batches out of a data set."""

import numpy as np

from ._arrays import Array


def gather(source: Array, rows: Array, batch: Array) -> None:
    """batch (N, C) = source[rows]: source (M, C) and rows (N,), of any type."""
    np.take(source, rows, axis=0, out=batch, mode="clip")  # mode "raise" would gather into a temporary first
