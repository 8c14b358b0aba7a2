"""What becomes of the numbers of an epoch: a CSV file, or functions of the user's own."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn import _checks, _files
from fastnn.callbacks._base import Callback
from fastnn.errors import DataError

if TYPE_CHECKING:
    from os import PathLike


class CSVLogger(Callback):
    """Writes a table with a line for each epoch: epoch (from 1), loss, accuracy, val_loss, ..., seconds.

    Its folder is made. The file is replaced as a whole after each epoch, so that a reader never meets half a line.
    separator: one character. append: go on below the lines of an existing file, which must have the same columns
    (DataError).
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        own = "CSVLogger"
        self.filename = Path(filename)
        if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
            raise ValueError(f"{own}: separator must be one character, no quote or line end, got {separator!r}")
        self.separator = separator
        self.append = _checks.flag(own, "append", append)
        self._lines = ""
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Read the file that is to be continued; else begin anew."""
        self._lines, self._columns = "", None
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        if self.append and self.filename.exists():
            self._lines = self.filename.read_text(encoding="utf-8")
            self._columns = next(csv.reader(io.StringIO(self._lines), delimiter=self.separator), None)
            if self._lines and not self._lines.endswith("\n"):
                self._lines += "\n"

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Add the line."""
        row = {"epoch": epoch + 1, **logs}
        if self._columns is None:
            self._columns = list(row)
            self._lines = self._line(self._columns)
        elif self._columns != list(row):
            raise DataError(f"{self.filename}: columns must be {', '.join(row)}, got {', '.join(self._columns)}")
        self._lines += self._line(list(row.values()))
        _files.replace(self.filename, self._lines)

    def _line(self, values: list[Any]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator, lineterminator="\n").writerow(values)
        return text.getvalue()


class LambdaCallback(Callback):
    """Functions as hooks, under the hooks' names: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    on_train_batch_begin and on_train_batch_end are Keras' names of on_batch_begin and on_batch_end. A hook that is not
    given costs nothing.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_epoch_end: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_begin: Callable[[dict[str, float]], Any] | None = None,
        on_train_end: Callable[[dict[str, float]], Any] | None = None,
        on_train_batch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_train_batch_end: Callable[[int, dict[str, float]], Any] | None = None,
        *,
        on_batch_begin: Callable[[int, dict[str, float]], Any] | None = None,
        on_batch_end: Callable[[int, dict[str, float]], Any] | None = None,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_batch_begin": on_batch_begin or on_train_batch_begin,
            "on_batch_end": on_batch_end or on_train_batch_end,
        }
        for name, function in hooks.items():
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"LambdaCallback: {name} must be a function, got {type(function).__name__}")
            setattr(self, name, function)
