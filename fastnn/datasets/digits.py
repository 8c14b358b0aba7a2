"""The digits that come with fastnn: 1,797 images of 8x8 pixels.

data/digits/LICENSE.md names their authors.
"""

from __future__ import annotations

from pathlib import Path

from fastnn.datasets._split import Split, checked_labels
from fastnn.datasets.idx import read_idx, read_images

_TRAINING_IMAGES = 1500
_WHITE = 16


def load_digits() -> Split:
    """Load the embedded digits: the first 1,500 images for training, the last 297 for testing.

    Returns ((x_train, y_train), (x_test, y_test)); x (N, 8, 8, 1) float32 in 0..1, y (N,) int64 in 0..9.
    """
    folder = _folder()
    labels_path = folder / "labels-idx1-ubyte.gz"
    x = read_images(folder / "images-idx3-ubyte.gz", _WHITE)
    y = checked_labels(read_idx(labels_path, ndim=1), len(x), 10, labels_path)
    n = _TRAINING_IMAGES
    return (x[:n], y[:n]), (x[n:], y[n:])


def _folder() -> Path:
    """Beside this file in an installed package, in data/ in a source checkout."""
    here = Path(__file__).resolve().parent
    installed = here / "digits_data"
    return installed if installed.is_dir() else here.parents[1] / "data" / "digits"
