"""`fastnn predict`: what a trained model sees in image files."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fastnn.cli import _options
from fastnn.cli._group import debug_option

if TYPE_CHECKING:
    from fastnn.prediction import ImageReader, Prediction

_BAR = 40  # characters of a probability of 1
_AT_ONCE = 64  # images that are read before their predictions are shown


@click.command(short_help="Tell what images show.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("images", type=click.Path(path_type=Path), nargs=-1)
@click.option("--top", type=click.IntRange(min=1), help="Only the so many most probable classes.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list, for programs.")
@click.option("--no-normalise", is_flag=True, help="Only resize images; do not look for a drawing in them.")
@click.option("--show", is_flag=True, help="Write what the network sees to IMAGE.prepared.png, beside the image.")
@click.option("--interactive", is_flag=True, help="Ask for images until an empty line.")
@_options.threads
@_options.backend
@debug_option
def predict(
    model: Path,
    images: tuple[Path, ...],
    top: int | None,
    as_json: bool,
    no_normalise: bool,
    show: bool,
    interactive: bool,
    threads: int | None,
    backend: Literal["numba", "numpy"],
) -> None:
    """Show the class of each of IMAGES, files or folders of them, and the probabilities of all classes.

    MODEL is a model file or the folder of a run. Images are prepared as those were that it was trained on: drawings for
    a model of MNIST's digits may be dark or light, of any size, anywhere in the image.
    """
    from fastnn.cli._run import MODEL_FILE, prepare
    from fastnn.formats.checkpoint import load
    from fastnn.prediction import ImageReader

    if not images and not interactive:
        raise click.UsageError("Missing argument 'IMAGES'.")
    network = load(model / MODEL_FILE if model.is_dir() else model, backend=backend)
    output = _Output(ImageReader(network, normalise=not no_normalise), top, as_json, show)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an image that cannot be used is one line, whatever else its decoder says
        if not as_json:
            prepare(backend, threads)
        good = not images or output.images(images)
        while interactive and (answer := _answer()):
            output.images([answer])
    if not good:
        click.get_current_context().exit(1)


def _answer() -> Path | None:
    """The path that the user types, or drops into the terminal; None for an empty line or the end of the input."""
    try:
        text = click.prompt("image", default="", show_default=False, err=True)
    except click.Abort:
        click.echo(err=True)
        return None
    text = text.strip().strip("'\"").replace("\\ ", " ")
    return Path(text).expanduser() if text else None


@dataclass
class _Output:
    """Where predictions go: stdout, and a line on stderr for an image that cannot be read."""

    reader: ImageReader
    top: int | None
    as_json: bool
    show: bool

    def images(self, paths: Iterable[Path]) -> bool:
        """Predict files and folders of them; returns whether all could be read."""
        from fastnn.errors import ImageError

        files: list[str] = []
        found: list[Prediction] = []
        good = True
        for path in paths:
            inside = _files(path)
            if not inside:
                click.echo(f"fastnn: {path}: holds no images", err=True)
                good = False
            files += inside
        for start in range(0, len(files), _AT_ONCE):
            samples = {}
            for file in files[start : start + _AT_ONCE]:
                try:
                    samples[file] = self.reader.read(file)
                except ImageError as error:
                    click.echo(f"fastnn: {error}", err=True)
                    good = False
            predictions = self.reader.predict(list(samples), list(samples.values()))
            if not self.as_json:
                for prediction in predictions:
                    _write(prediction, self.top)
            found += predictions
            if self.show:
                for file, sample in samples.items():
                    click.echo(f"prepared: {self.reader.show(file, sample)}", err=self.as_json)
        if self.as_json:
            click.echo(json.dumps([each.as_json(self.top) for each in found], indent=2, ensure_ascii=False))
        return good


def _files(path: Path) -> list[str]:
    """A file, or the images in a folder, in natural order."""
    from fastnn.datasets.folder import images_in

    return images_in(os.fspath(path)) if path.is_dir() else [os.fspath(path)]


def _write(prediction: Prediction, top: int | None) -> None:
    """The class, and a bar for each probability: with colours where there is a terminal."""
    head = f"{prediction.file}: {prediction.label} ({prediction.confidence:.2%})"
    rows = prediction.best(top) if top else list(prediction.probabilities.items())
    if not sys.stdout.isatty():
        width = max(len(name) for name, _ in rows)
        click.echo(head)
        for name, share in rows:
            click.echo(f"  {name:{width}}  {share:>7.2%}  {'#' * round(_BAR * share)}".rstrip())
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=True)
    for name, share in rows:
        style = "bold green" if name == prediction.label else ""
        table.add_row(escape(name), f"{share:.2%}", ProgressBar(total=1, completed=share, width=_BAR), style=style)
    console = Console()
    console.print(f"[bold]{escape(head)}[/bold]", highlight=False)
    console.print(table)
