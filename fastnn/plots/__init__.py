"""Pictures of a training, of a model and of a search: matplotlib, extra `plot`.

Each function returns a matplotlib Figure, and writes it in one piece when it is given a path. pyplot is not used, and
matplotlib's settings are left as they were: nothing opens a window, nothing needs a display. Without matplotlib each
raises ModuleNotFoundError that says what to install.

`_figure.py` is the look that all share, `_images.py` decides what of the data is an image.
"""

from __future__ import annotations

from fastnn.plots._confusion import confusion
from fastnn.plots._curves import curves
from fastnn.plots._figure import png, require
from fastnn.plots._filters import filters
from fastnn.plots._learning_rates import learning_rates
from fastnn.plots._top_losses import top_losses
from fastnn.plots._tuning import importance, trials

__all__ = [
    "confusion", "curves", "filters", "importance", "learning_rates", "png", "require", "top_losses", "trials",
]  # fmt: skip
