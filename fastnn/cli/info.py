"""`fastnn info`: what fastnn makes of this machine."""

from __future__ import annotations

import click

from fastnn.cli._group import debug_option


@click.command(short_help="Show what fastnn makes of this machine.")
@debug_option
def info() -> None:
    """Show the CPU, what of it is used, the threads, and where compiled kernels are kept."""
    from fastnn import __version__
    from fastnn._system import describe

    rows = {"fastnn": __version__, **describe()}
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:{width}}  {value}")
