"""Numbers and errors as text."""

from __future__ import annotations

import re

_LONGEST = 200
_FOLDERS = re.compile(r"(?:[A-Za-z]:)?(?:[/\\][^\s/\\:'\"]+)+[/\\]")


def seconds(value: float) -> str:
    """Three digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}" if abs(value) < 999.5 * size else f"{value / size:.0f} {unit}"
    return f"{value / 1e-9:.3g} ns"


def amount(value: float, unit: str) -> str:
    """A value of a row: seconds, or bytes."""
    return f"{value / 2**20:.0f} MiB" if unit == "bytes" else seconds(value)


def one_line(message: str) -> str:
    """A message for reports: on one line, not endless, and without the folders of this machine."""
    return _FOLDERS.sub("", " ".join(message.split()))[:_LONGEST]
