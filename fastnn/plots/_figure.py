"""The one look of all pictures, and how they are written. Only functions import matplotlib."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Literal

from fastnn import _files

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

BLUE, RED, INK = "#2a6f97", "#c8553d", "#333333"
GREY, SOFT, PALE, FAINT = "#777777", "#9aa7b2", "#e6e6e6", "#eeeeee"
DPI = 130

# Over matplotlib's own defaults: what the user has set in rcParams shows in none of these pictures.
_LOOK = {
    "figure.dpi": DPI,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "figure.titlesize": 11,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "text.parse_math": False,  # a class may be called "$5"
}
_lock = RLock()  # matplotlib's settings are the process's: one picture at a time changes them and puts them back


def require() -> None:
    """Raise ModuleNotFoundError that says what to install where matplotlib is missing."""
    try:
        import matplotlib.figure
        import matplotlib.style  # noqa: F401
    except ModuleNotFoundError as error:
        message = "matplotlib is not installed (pip install 'fastnn[plot]')"
        raise ModuleNotFoundError(message, name="matplotlib") from error


@contextmanager
def look() -> Iterator[None]:
    """Draw in the look of all pictures; afterwards matplotlib's settings are the user's again."""
    require()
    import matplotlib.style

    with _lock, matplotlib.style.context(["default", _LOOK]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # shown as a box
        yield


def figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure, in inches: pyplot does not know of it, so no window opens and nothing is left behind."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def shades(colour: str) -> Colormap:
    """White to colour."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ["white", colour])


def signed() -> Colormap:
    """Negative red, zero white, positive blue; what is masked is white too."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("signed", ["#8f2d1b", RED, "white", BLUE, "#123f5a"])


def names(owner: str, class_names: Sequence[str] | None, classes: int, longest: int = 24) -> list[str]:
    """One word for each class, not endless: the class numbers unless there are names."""
    if class_names is None:
        return [str(number) for number in range(classes)]
    if isinstance(class_names, str) or len(class_names) != classes:
        raise ValueError(f"{owner}: class_names must be {classes} names, got {len(class_names)}")
    words = [str(name) for name in class_names]
    return [word if len(word) <= longest else word[: longest - 1] + "…" for word in words]


def bare(axes: Axes) -> None:
    """Take frame and ticks away."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(drawn: Figure) -> bytes:
    """The content of a PNG file with a figure."""
    return _encoded(drawn, "png")


def saved(drawn: Figure, path: str | PathLike[str] | None) -> Figure:
    """The figure, written to path unless that is None; its ending says the format, PNG without one."""
    if path is not None:
        path = Path(path)
        kind = path.suffix[1:].lower() or "png"
        known = drawn.canvas.get_supported_filetypes()
        if kind not in known:
            raise ValueError(f"plots: path must end in one of {', '.join(sorted(known))}, got {str(path)!r}")
        _files.replace(path, _encoded(drawn, kind))
    return drawn


def _encoded(drawn: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=kind, dpi=DPI)
    return buffer.getvalue()
