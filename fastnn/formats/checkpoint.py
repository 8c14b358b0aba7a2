"""A model as one safetensors file: arrays under the names of `Sequential.weights`, everything else as JSON.

The metadata entry "fastnn" holds {"format": 1, "version", "input_shape", "dtype", "layers": [{"type",
keywords ...}], "loss": {"type", keywords ...} or null, "class_names" or null, "metadata"}. Types are looked
up in closed tables, so a file can name nothing else; nothing in it is executed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from fastnn import __version__, _files, layers, losses
from fastnn._backend import operations
from fastnn._recorded import layers_of
from fastnn._typing import Array, Backend, Precision
from fastnn.errors import CheckpointError
from fastnn.layers import Layer
from fastnn.model import Sequential

FORMAT = 1
_LOSSES: dict[str, type[losses.Loss]] = {
    kind.__name__: kind for kind in (losses.SoftmaxCrossEntropy, losses.BinaryCrossEntropy, losses.MeanSquaredError)
}
_DTYPES = {"F32": "float32", "F64": "float64"}


def save(model: Sequential, path: str | PathLike[str]) -> None:
    """Write the model to path in one piece: path holds the old file or the whole new one, never a part.

    Raises CheckpointError when it cannot be written, RuntimeError for a model whose shapes are not known yet.
    """
    arrays = model.weights()
    description = {
        "format": FORMAT,
        "version": __version__,
        "input_shape": model.input_shape,
        "dtype": model.dtype.name,
        "layers": [layers.describe(layer) for layer in model.layers],
        "loss": {"type": type(model.loss).__name__, **model.loss.config()},
        "class_names": model.class_names,
        "metadata": model.metadata,
    }
    _write(Path(path), to_bytes(arrays, {"fastnn": json.dumps(description)}))


def load(path: str | PathLike[str], *, backend: Backend = "numba") -> Sequential:
    """The model that `save` wrote, in inference mode, its loss set; its layers use the given backend.

    Layers of precision "bf16" get "full", with a warning, where the CPU has no products of bf16.

    Raises CheckpointError for a missing, damaged or foreign file, one written by a newer format version, an
    unknown layer, or arrays that do not fit the layers.
    """
    path = Path(path)
    description, arrays = _read(path)
    try:
        return _model(description, arrays, backend)
    except (KeyError, TypeError, ValueError, MemoryError, RecursionError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{path}: no valid model: {reason or type(error).__name__}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        _files.replace(path, content)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror}") from error


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The checked description and all arrays of a file."""
    try:
        path.open("rb").close()  # safe_open's own words for a missing file or a folder name no path
        with safe_open(path, framework="np") as file:
            description = _description(path, file.metadata() or {})
            foreign = {file.get_slice(name).get_dtype() for name in file.keys()} - _DTYPES.keys()  # noqa: SIM118
            if foreign:
                raise CheckpointError(f"{path}: no valid model: arrays must be F32 or F64, got {min(foreign)}")
            return description, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path}: no safetensors file, or a damaged one: {error}") from error


def _description(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if "fastnn" not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but no fastnn model: it has no metadata of fastnn")
    try:
        description: dict[str, Any] = json.loads(metadata["fastnn"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: no valid model: its metadata are not JSON") from error
    version = description.get("format") if isinstance(description, dict) else None
    if not isinstance(version, int) or version < 1:
        raise CheckpointError(f"{path}: no valid model: its metadata have no format number")
    if version > FORMAT:
        raise CheckpointError(f"{path}: written by a newer fastnn (format {version}); this one reads up to {FORMAT}")
    return description


def _model(description: Mapping[str, Any], arrays: Mapping[str, Array], backend: Backend) -> Sequential:
    names = description["class_names"]
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"class_names must be a list of words, got {names!r}")
    if not isinstance(description["metadata"], dict):
        raise TypeError(f"metadata must be an object, got {description['metadata']!r}")
    stack = [layers.rebuild(each) for each in description["layers"]]
    precision = _possible_precision(stack, backend)
    for number, layer in enumerate(stack):
        _check_shapes(f"{number}.", layer, arrays)
    model = Sequential(
        stack, description["input_shape"], dtype=description["dtype"], backend=backend, precision=precision,
        class_names=names,
    )  # fmt: skip
    model.metadata = description["metadata"]
    model.set_weights(arrays)
    if description["loss"] is not None:
        model.compile(loss=_loss(description["loss"]))
    model.eval()
    return model


def _possible_precision(stack: list[Layer], backend: Backend) -> Precision | None:
    """None leaves each layer its own; "full", with a warning, where a layer asks for what this CPU cannot do."""
    if any(getattr(layer, "precision", "full") == "bf16" for layer in layers_of(stack)):
        try:
            operations(backend, "bf16")
        except RuntimeError as error:
            warnings.warn(f"{error}; the model is loaded with precision 'full'", stacklevel=4)
            return "full"
    return None


def _check_shapes(place: str, layer: Layer, arrays: Mapping[str, Array]) -> None:
    """Before a layer makes its parameters: a file of a few bytes must not ask for an array of terabytes."""
    if isinstance(layer, layers.Residual):
        for number, inner in enumerate(layer.layers):
            _check_shapes(f"{place}{number}.", inner, arrays)
        return
    if not layer._is_known():
        raise ValueError(f"layer {place[:-1]} ({type(layer).__name__}) does not say how many features it takes")
    for name, shape in layer._kept_shapes().items():
        if place + name not in arrays:
            raise ValueError(f"array {place + name} is missing")
        if arrays[place + name].shape != shape:
            raise ValueError(f"array {place + name} must have shape {shape}, got {arrays[place + name].shape}")


def _loss(description: Mapping[str, Any]) -> losses.Loss:
    keywords = dict(description)
    name = keywords.pop("type", None)
    if name not in _LOSSES:
        raise ValueError(f"loss: type must be one of {', '.join(_LOSSES)}, got {name!r}")
    return _LOSSES[name](**keywords)
