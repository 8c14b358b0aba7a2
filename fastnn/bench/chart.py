"""The bar chart of a run: fastnn's speed as multiple of the best peer's, one bar a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.bench.peers import TITLES
from fastnn.bench.rows import Row
from fastnn.bench.run import Document
from fastnn.bench.text import amount
from fastnn.bench.workloads import GROUPS
from fastnn.plots import _figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW, _FRAME = 0.27, 1.6  # inches


def png(document: Document) -> bytes | None:
    """The image; None where no row has a peer. Raises ModuleNotFoundError without matplotlib."""
    rows = [row for row in document["rows"] if "best" in row]
    if not rows:
        return None
    with _figure.look():
        return _figure.png(_chart(document, rows))


def _chart(document: Document, rows: list[Row]) -> Figure:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    places, place, kind = [], 0.0, rows[0]["kind"]
    for row in rows:
        place += 1.0 if row["kind"] == kind else 2.2  # room for the title of a group
        kind = row["kind"]
        places.append(place)
    figure = _figure.figure(10, _FRAME + _ROW * (place + 2))
    axes = figure.add_subplot()
    ratios = [row["ratio"] for row in rows]
    quartiles = [row["peers"][row["best"]]["ratio"] for row in rows]
    errors = [
        [max(0.0, ratio - q["q1"]) for ratio, q in zip(ratios, quartiles, strict=True)],
        [max(0.0, q["q3"] - ratio) for ratio, q in zip(ratios, quartiles, strict=True)],
    ]
    # Bars begin at 1, equal speed: to the right fastnn is ahead, to the left behind.
    axes.barh(
        places, [ratio - 1 for ratio in ratios], left=1, height=0.72, xerr=errors,
        color=[_figure.BLUE if ratio >= 1 else _figure.RED for ratio in ratios],
        error_kw={"lw": 0.8, "ecolor": _figure.GREY},
    )  # fmt: skip
    largest = max(ratios + [q["q3"] for q in quartiles] + [1.0])
    smallest = min(ratios + [q["q1"] for q in quartiles] + [1.0])
    for row, place, q in zip(rows, places, quartiles, strict=True):
        axes.text(
            max(row["ratio"], q["q3"], 1.0) * 1.04, place, f"{row['ratio']:.2f}x {TITLES[row['best']]}", va="center",
            fontsize=8,
        )  # fmt: skip
    titled = set()
    for row, place in zip(rows, places, strict=True):
        if row["kind"] not in titled:
            titled.add(row["kind"])
            axes.text(smallest / 1.12, place - 0.95, GROUPS[row["kind"]], va="center", fontsize=9, weight="bold")
    axes.axvline(1, color=_figure.INK, lw=1)
    axes.set_xscale("log")
    axes.set_xlim(smallest / 1.15, largest * 2.2)
    axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    names = [f"{row['title']} ({amount(row['ours']['median'], row['unit'])})" for row in rows]
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(places[-1] + 0.8, -0.5)
    axes.set_xlabel("speed (memory: thrift) as multiple of the best other library's, log scale; lines: quartiles")
    machine = document["machine"]
    axes.set_title(
        f"fastnn beside the best of other libraries\n{machine.get('cpu', '')}, {document['settings']['threads']} "
        f"threads, {document['date']}"
    )
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
