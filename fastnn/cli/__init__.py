"""The command line, one file per command.

`fastnn --help` has to be instant: the modules of this package import click and nothing heavier at their top.
"""

from __future__ import annotations

import click

from fastnn.cli._group import Group, debug_option, version_option
from fastnn.cli.bench import bench
from fastnn.cli.evaluate import evaluate
from fastnn.cli.export import export
from fastnn.cli.growth import growth
from fastnn.cli.import_ import import_
from fastnn.cli.info import info
from fastnn.cli.lrfind import lrfind
from fastnn.cli.predict import predict
from fastnn.cli.recipes import recipes
from fastnn.cli.train import train
from fastnn.cli.tune import tune
from fastnn.cli.warmup import warmup


@click.group(cls=Group)
@version_option
@debug_option
def main() -> None:
    """Train small neural networks on this machine's CPU, fast."""


main.add_command(train)
main.add_command(tune)
main.add_command(recipes)
main.add_command(evaluate)
main.add_command(predict)
main.add_command(import_)
main.add_command(export)
main.add_command(lrfind)
main.add_command(bench)
main.add_command(info)
main.add_command(growth)
main.add_command(warmup)
