"""`fastnn import`: a model file from the weights of a NumPy script or of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastnn.cli import _options, _settings
from fastnn.cli._group import debug_option

if TYPE_CHECKING:
    from fastnn._typing import Shape
    from fastnn.formats.convert import Weights
    from fastnn.model import Sequential


def _network_names() -> Sequence[str]:
    from fastnn.networks import NETWORKS

    return tuple(NETWORKS)


def _words(context: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | None:
    """a,b,c as a list; a file's lines, where value is the name of one that exists."""
    if value is None:
        return None
    if parameter.name == "class_names" and Path(value).is_file():
        return [line.strip() for line in Path(value).read_text(encoding="utf-8").splitlines() if line.strip()]
    return [word.strip() for word in value.split(",")]


def _shape(context: click.Context, parameter: click.Parameter, value: str | None) -> Shape | None:
    if value is None:
        return None
    sizes = value.lower().replace("x", ",").split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise click.BadParameter(f"{value!r} is no shape such as 784 or 28,28,1.")
    return tuple(int(size) for size in sizes)


@click.command("import", cls=_settings.GroupedCommand, short_help="Make a model of other programs' weights.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The model file to write.")
@click.option("--activations", metavar="A,B,...", callback=_words, help="Of each dense layer: relu,relu,softmax.")
@click.option("--network", type=_options.LazyChoice(_network_names), help="The architecture, where convolutions are.")
@click.option("--like", type=click.Path(path_type=Path), help="Or a model file of the same architecture.")
@click.option("--input-shape", metavar="H,W,C", callback=_shape, help="Of one sample. [default: that of --dataset]")
@click.option("--dataset", type=_options.dataset_type, help="What the network was trained on.")
@_options.data_dir
@click.option("--class-names", metavar="A,B,...", callback=_words, help="One per output, or a file with one per line.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Of the weights. [default: as in SOURCE]")
@click.option("--layout", type=click.Choice(["in-out", "out-in"]), help="Of dense weights, where the shapes fit both.")
@click.option(
    "--channels-first/--channels-last",
    default=None,
    help="Order in a flattened image. [default: first in PyTorch's files, else last]",
)
@click.option("--order", metavar="A,B,...", callback=_words, help="PyTorch's modules in the order of the forward pass.")
@debug_option
@_settings.network_options
def import_(
    source: Path,
    out: Path,
    network: str | None,
    like: Path | None,
    dataset: str | None,
    data_dir: Path | None,
    order: list[str] | None,
    channels_first: bool | None,
    **given: Any,
) -> None:
    """Write a model file with the weights of SOURCE.

    SOURCE is a folder of W1.npy, b1.npy, W2.npy, ..., an .npz file or a pickle of such arrays, or a safetensors
    file with the names of a PyTorch state dict. A pickle is read without running it. Dense layers follow from
    the shapes, so that only their activations have to be named; other networks are one of ours, --network with its
    keywords, or --like a model file.
    """
    from fastnn import datasets
    from fastnn.formats.checkpoint import load
    from fastnn.formats.convert import read_weights

    keywords = _settings.changes({name: given.pop(name) for name in list(given) if name.startswith("network__")})
    if keywords and network is None:
        raise click.UsageError(f"{_settings.FLAGS[next(iter(keywords))][0]} goes with --network only")
    if sum(each is not None for each in (given["activations"], network, like)) != 1:
        raise click.UsageError("give one of --activations, --network and --like")
    if like is not None and (surplus := next((name for name, value in given.items() if value is not None), None)):
        raise click.UsageError(f"--{surplus.replace('_', '-')} does not go with --like, which has its own")
    weights = read_weights(source, order=order)
    if dataset is not None and like is None:
        known = dataset in datasets.NAMES
        if not known or not given["input_shape"]:
            data = datasets.load(dataset, data_dir)
            given["input_shape"] = given["input_shape"] or data.train[0].shape[1:]
        given["class_names"] = given["class_names"] or (datasets.class_names(dataset) if known else data.class_names)
    if like is not None:
        model = weights.fill(load(like, backend="numpy"), channels_first=channels_first)
    elif network is not None:
        model = weights.fill(_new(network, keywords, weights, **given), channels_first=channels_first)
    else:
        model = weights.build(**given, channels_first=channels_first, backend="numpy")
    facts = {"imported": source.name, "dataset": dataset, "network": network}
    model.metadata |= {name: value for name, value in facts.items() if value is not None}
    model.save(out)
    for name in weights.ignored:
        click.echo(f"{name}: no weights of a layer, left out")
    layers = ", ".join(type(layer).__name__ for layer in model.layers)
    click.echo(f"{layers}: {model.parameters.size:,} parameters, {model.dtype}, written to {out}")


def _new(
    network: str,
    keywords: Mapping[str, Any],
    weights: Weights,
    *,
    activations: None,
    input_shape: Shape | None,
    class_names: Sequence[str] | None,
    dtype: str | None,
    layout: str | None,
) -> Sequential:
    """An untrained network of the architecture of this name, with these keywords."""
    from fastnn.model import Sequential
    from fastnn.settings import Settings

    if input_shape is None:
        raise click.UsageError("--network needs --input-shape or --dataset")
    if layout is not None:
        raise click.UsageError("--layout does not go with --network: its files have one layout")
    settings = _settings.override(Settings.for_network(network), keywords)
    stack = settings.network.layers(input_shape, weights.outputs)
    dtype = dtype or weights.dtype
    return Sequential(stack, input_shape, dtype=dtype, backend="numpy", class_names=class_names)
