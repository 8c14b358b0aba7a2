"""The curve of a learning rate test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.plots import _figure

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.figure import Figure

    from fastnn.lr_finder import RangeTest

_ROOM = 0.08  # of the falling curve's height, above and below it


def learning_rates(test: RangeTest, path: str | PathLike[str] | None = None) -> Figure:
    """Loss over the learning rate, as `find_learning_rate` saw it, with its suggestion marked where there is one.

    What rises above the beginning's losses, where the training diverges, is cut off.
    """
    if not len(test.rates):
        raise ValueError("plots.learning_rates: test must hold a loss, got none: the first was not finite")
    with _figure.look():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        figure = _figure.figure(6.4, 3.6)
        axes = figure.add_subplot()
        axes.plot(test.rates, test.losses, lw=0.8, color=_figure.SOFT, label="loss of a batch")
        axes.plot(test.rates, test.smoothed, lw=1.8, color=_figure.BLUE, label="smoothed")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        before = test.losses[: int(test.smoothed.argmin()) + 1]
        low, high = min(test.losses.min(), test.smoothed.min()), max(before.max(), test.smoothed[0])
        room = _ROOM * max(high - low, 1e-3 * abs(high))
        axes.set_ylim(low - room, high + room)
        if test.suggestion is None:
            axes.set_title("no rate to suggest: the loss does not fall", loc="right", color=_figure.RED)
        else:
            at = int(abs(test.rates - test.suggestion).argmin())
            axes.axvline(test.suggestion, color=_figure.RED, lw=0.8, alpha=0.5, zorder=1)
            axes.plot(
                [test.suggestion], [test.smoothed[at]], "o", ms=7, color=_figure.RED, mec="white", mew=1.2, ls="",
                zorder=4, label="steepest fall",
            )  # fmt: skip
            axes.set_title(f"suggestion {test.suggestion:.2g}", loc="right", color=_figure.RED)
        axes.set_title("Loss", loc="left", weight="bold")
        axes.set_xlabel("learning rate")
        axes.grid(axis="y")
        axes.legend(loc="lower left")
        return _figure.saved(figure, path)
