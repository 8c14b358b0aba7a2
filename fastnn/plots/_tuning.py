"""What a search has found: its trials, and which settings mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from fastnn import _checks
from fastnn.plots import _figure

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STATES = ("complete", "pruned", "diverged", "failed")
_ROOM = 0.08  # of the axes' height above and below the trials
_RANGE = 1.5  # quartile distances below the lower quartile of complete trials that are shown


def trials(
    rows: Sequence[tuple[int, str, float | None]], path: str | PathLike[str] | None = None, *, best: int | None = None
) -> Figure:
    """The trials of a search in their order: (number, state, validation accuracy), and the best so far as a line.

    state: "complete", "pruned", "diverged", "failed"; others are left out. accuracy: None where none was reached; it is
    shown at the lower edge, as are trials far below the others. best: number of the trial to mark; None: the first of
    those with the highest accuracy.
    """
    own = "plots.trials"
    known = [(number, state, accuracy) for number, state, accuracy in rows if state in _STATES]
    complete = [(number, _checks.number(own, "accuracy", a)) for number, state, a in known if state == "complete"]
    reached = [a for _, _, a in known if a is not None]
    if not reached:
        raise ValueError(f"{own}: rows must have a trial with an accuracy, got none")
    if best is None and complete:
        best = max(complete, key=lambda row: row[1])[0]
    elif best is not None and best not in dict(complete):
        raise ValueError(f"{own}: best must be a complete trial, got {best}")
    low, high = _limits([a for _, a in complete] or reached, reached)
    edge = low - (high - low) * _ROOM / 2
    with _figure.look():
        figure = _figure.figure(7.2, 3.8)
        axes = figure.add_subplot()
        _line(axes, complete, known[-1][0])
        looks = {
            "complete": ("complete", {"marker": "o", "s": 26, "color": _figure.BLUE}),
            "pruned": ("pruned", {"marker": "o", "s": 22, "facecolor": "white", "edgecolor": _figure.SOFT, "lw": 1.2}),
            "diverged": ("diverged or failed", {"marker": "x", "s": 26, "color": _figure.RED, "lw": 1.2}),
        }
        for state, (name, look) in looks.items():
            some = [(n, a) for n, s, a in known if s == state or (s == "failed" and state == "diverged")]
            if some:
                heights = [edge if a is None else max(a, edge) for _, a in some]
                axes.scatter([n for n, _ in some], heights, zorder=3, label=name, clip_on=False, **look)  # type: ignore[arg-type]
        if best is not None:
            accuracy = dict(complete)[best]
            axes.plot([best], [accuracy], "o", ms=9, color=_figure.RED, mec="white", mew=1.4, zorder=4)
            axes.set_title(f"{accuracy:.2%} in trial {best}", loc="right", color=_figure.RED)
        _frame(axes, low, high, known[0][0], known[-1][0])
        below = any(a is None or a < edge for _, _, a in known)
        axes.set_xlabel("trial" + (" (at the lower edge: as low or lower)" if below else ""))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
        return _figure.saved(figure, path)


def importance(shares: Mapping[str, float], path: str | PathLike[str] | None = None) -> Figure:
    """Which searched settings mattered, as bars: shares by name, which add up to 1, in their order."""
    own = "plots.importance"
    if not shares:
        raise ValueError(f"{own}: shares must not be empty")
    values = [_checks.number(own, "shares", share, minimum=0) for share in shares.values()]
    with _figure.look():
        figure = _figure.figure(7.2, 1.0 + 0.3 * len(shares))
        axes = figure.add_subplot()
        places = range(len(values))
        axes.barh(places, values, height=0.66, color=_figure.BLUE)
        for place, value in zip(places, values, strict=True):
            axes.annotate(f"{value:.0%}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set_yticks(places, list(shares), fontsize=9)
        axes.set_ylim(len(values) - 0.4, -0.6)
        axes.set_xlim(0, max(max(values) * 1.12, 1e-9))
        axes.set_xticks([])
        axes.tick_params(axis="y", length=0)
        axes.spines["bottom"].set_visible(False)
        axes.set_title("What made trials good", loc="left", weight="bold")
        axes.set_title("share of each setting", loc="right", color=_figure.GREY)
        return _figure.saved(figure, path)


def _limits(complete: Sequence[float], reached: Sequence[float]) -> tuple[float, float]:
    """The accuracies to show: one bad trial must not press all others together."""
    ordered = sorted(complete)
    quarter, three = (ordered[min(len(ordered) - 1, math.floor(len(ordered) * q))] for q in (0.25, 0.75))
    low = max(min(reached), quarter - _RANGE * max(three - quarter, 0.002))
    high = max(reached)
    return (low, high) if high > low else (low - 0.005, high + 0.005)


def _line(axes: Axes, complete: Sequence[tuple[int, float]], last: int) -> None:
    """The best accuracy so far."""
    if not complete:
        return
    numbers = [*(number for number, _ in complete), last]
    best = list(accumulate((accuracy for _, accuracy in complete), max))
    axes.plot(numbers, [*best, best[-1]], drawstyle="steps-post", color=_figure.SOFT, lw=1.4, label="best so far")


def _frame(axes: Axes, low: float, high: float, first: int, last: int) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    room = (high - low) * _ROOM
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(first - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None, symbol="%"))
    axes.set_title("Validation accuracy", loc="left", weight="bold")
    axes.grid(axis="y")
