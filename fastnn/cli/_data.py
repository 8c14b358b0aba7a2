"""What commands share that read a user's own data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Show warnings, such as that of files that were skipped, as one line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        click.echo(f"fastnn: warning: {warning.message}", err=True)
