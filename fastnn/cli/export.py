"""`fastnn export`: a model's weights for NumPy scripts and for PyTorch."""

from __future__ import annotations

from pathlib import Path

import click

from fastnn.cli._group import debug_option


@click.command(short_help="Write a model's weights for other programs.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--format", type=click.Choice(["npz", "npy", "pytorch"]), help="[default: what OUT ends in]"
)
@debug_option
def export(model: Path, out: Path, format: str | None) -> None:
    """Write the weights of MODEL, a model file or the folder of a run, to OUT.

    OUT.npz and the new folder OUT hold NumPy arrays W1, b1, W2, ...; OUT.safetensors has the names and the layout
    of a PyTorch state dict, for an nn.Sequential of the same layers.
    """
    from fastnn.cli._run import MODEL_FILE
    from fastnn.formats.checkpoint import load
    from fastnn.formats.convert import export_model

    names = export_model(load(model / MODEL_FILE if model.is_dir() else model, backend="numpy"), out, format=format)
    click.echo(f"{', '.join(names)} written to {out}")
