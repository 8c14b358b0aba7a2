"""`fastnn recipes`: what `fastnn train --recipe` takes."""

from __future__ import annotations

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option


@click.command(short_help="List the recipes.")
@click.argument("name", required=False, type=_options.recipe_type)
@debug_option
def recipes(name: str | None) -> None:
    """List the recipes of `fastnn train --recipe`, or show all settings of the one called NAME."""
    from fastnn import recipes as shipped

    if name is not None:
        click.echo(shipped.load(name).text(), nl=False)
        return
    width = max(map(len, shipped.names()))
    for each in shipped.names():
        click.echo(f"{each:{width}}  {shipped.description(each)}")
