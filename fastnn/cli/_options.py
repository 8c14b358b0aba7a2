"""Options that several commands have, and a choice whose values are not imported before they are needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click


class LazyChoice(click.ParamType):  # type: ignore[type-arg]  # generic in new versions of click only
    """One of the names that a function returns: it, not the command line, imports what knows them.

    other: what else it may be; whatever is no name is taken for it.
    """

    name = "choice"

    def __init__(self, names: Callable[[], Sequence[str]], other: str | None = None) -> None:
        self._names, self._other = names, other

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """The names, as click shows those of its own Choice."""
        return f"[{'|'.join([*self._names(), *([self._other] if self._other else [])])}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The value if it is one of the names."""
        if self._other is None and value not in self._names():
            self.fail(f"{value!r} is not one of {', '.join(self._names())}.", param, ctx)
        return str(value)


def _dataset_names() -> Sequence[str]:
    from fastnn.datasets import NAMES

    return NAMES


def _recipe_names() -> Sequence[str]:
    from fastnn.recipes import names

    return names()


Option = Callable[[Any], Any]
Folder = click.Path(file_okay=False, path_type=Path)

dataset_type = LazyChoice(_dataset_names, other="PATH")
recipe_type = LazyChoice(_recipe_names)
data_dir: Option = click.option(
    "--data-dir",
    type=Folder,
    help="Folder of the data set's files. Without it: FASTNN_DATA, the user's cache, or a download.",
)
label_column: Option = click.option(
    "--label-column", help="CSV: name of the labels' column, or its number: 0 the first, -1 the last."
)
threads: Option = click.option(
    "--threads", type=click.IntRange(min=1), help="Number of threads. Without it: all cores."
)
backend: Option = click.option(
    "--backend",
    type=click.Choice(["numba", "numpy"]),
    default="numba",
    show_default=True,
    help="Compiled kernels, or plain NumPy.",
)
