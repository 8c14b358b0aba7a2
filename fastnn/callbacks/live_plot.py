"""The curves of a training while it goes on."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import _files, plots
from fastnn.callbacks._base import Callback

if TYPE_CHECKING:
    from os import PathLike

    from fastnn.errors import DivergenceError

_PAUSE = 9.0  # a drawing of 0.2 s, then at least 1.8 s without one: a tenth of the time goes into drawing


class LivePlot(Callback):
    """Draws loss and accuracy of both sets after an epoch, at most a tenth of the time, and once more at the end.

    In a notebook the picture is redrawn in its cell. Else a window shows it where matplotlib can open one; where it
    cannot, the PNG file `filename` is replaced each time (its folder is made). Nothing is done between an epoch's
    batches. Raises ModuleNotFoundError, in one line, without matplotlib: extra `plot`.
    """

    def __init__(self, filename: str | PathLike[str] = "live.png") -> None:
        plots.require()
        self.filename = Path(filename)
        self._rows: list[dict[str, float]] = []
        self._drawn = 0
        self._next = 0.0
        self._show: Callable[[Any], None]

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Find out where the picture goes."""
        self._rows, self._drawn, self._next = [], 0, 0.0
        self._show = _in_notebook() or _in_window() or _in_file(self.filename)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Draw, if the last drawing is long enough ago."""
        self._rows.append({"epoch": epoch + 1, **logs})
        if time.perf_counter() >= self._next:
            self._draw()

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Draw what is not drawn yet."""
        if self._drawn < len(self._rows):
            self._draw()

    def on_divergence(self, error: DivergenceError) -> bool:
        """Draw what is not drawn yet."""
        self.on_train_end({})
        return False

    def _draw(self) -> None:
        began = time.perf_counter()
        self._show(plots.curves(self._rows))
        ended = time.perf_counter()
        self._drawn, self._next = len(self._rows), ended + _PAUSE * (ended - began)


def _in_notebook() -> Callable[[Any], None] | None:
    """Shows a figure in the present cell, always in the same place; None where there is no notebook."""
    try:
        from IPython import get_ipython
        from IPython.display import Image, display
    except ModuleNotFoundError:
        return None
    if getattr(get_ipython(), "kernel", None) is None:  # no IPython, or one in a terminal
        return None
    shown: list[Any] = []

    def show(figure: Any) -> None:
        image = Image(data=plots.png(figure), format="png")
        if shown:
            shown[0].update(image)
        else:
            shown.append(display(image, display_id=True))

    return show


def _in_window() -> Callable[[Any], None] | None:
    """Shows a figure in a window of its own; None where matplotlib opens none."""
    import matplotlib.pyplot as plt

    try:
        window = plt.figure(figsize=(9.2, 3.4))
    except ImportError:  # MPLBACKEND names a toolkit that finds no display, or is not installed
        return None
    if window.canvas.required_interactive_framework is None:
        plt.close(window)
        return None
    assert window.canvas.manager is not None
    window.canvas.manager.set_window_title("Training")

    def show(figure: Any) -> None:
        if not plt.fignum_exists(window.number):  # the user has closed it
            return
        window.clear()
        axes = window.add_axes((0, 0, 1, 1))
        axes.axis("off")
        axes.imshow(plt.imread(io.BytesIO(plots.png(figure))))
        plt.show(block=False)
        window.canvas.draw_idle()
        window.canvas.flush_events()

    return show


def _in_file(path: Path) -> Callable[[Any], None]:
    """Writes a figure to path, which then is the old picture or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return lambda figure: _files.replace(path, plots.png(figure))
