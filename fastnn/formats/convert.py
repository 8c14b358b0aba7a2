"""Weights of other programs into a model and back: NumPy scripts, and PyTorch's state dicts."""

from __future__ import annotations

import copy
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from fastnn import _checks
from fastnn._typing import Array, Backend
from fastnn.errors import CheckpointError
from fastnn.formats import chain, names, places, sources
from fastnn.formats.checkpoint import _write
from fastnn.formats.names import Module
from fastnn.model import Sequential

OWNER = chain.OWNER
FORMATS = ("npz", "npy", "pytorch")


def import_model(
    path: str | PathLike[str],
    activations: Sequence[str] | None = None,
    *,
    like: Sequential | None = None,
    input_shape: Iterable[int] | None = None,
    class_names: Sequence[str] | None = None,
    dtype: Any = None,
    layout: str | None = None,
    channels_first: bool | None = None,
    order: Sequence[str] | None = None,
    backend: Backend = "numba",
) -> Sequential:
    """Model with the weights of a NumPy script or of PyTorch, in inference mode; see `read_weights` for files.

    activations: for a network of dense layers, which the shapes of the weights describe, the name of each
    layer's activation, "linear" for none. like: for any other network, a model of the same architecture; the
    result is a copy of it with the file's weights, assigned in the order of dense layers, convolutions and
    batch norms.
    input_shape: of one sample, (H, W, C) for images, which are flattened then; None: a vector. class_names:
    one name per output. dtype: None takes that of the file. layout: "in-out" for weights (in, out), "out-in";
    None finds it from the shapes. channels_first: whether rows of weights on a flattened image are in the order
    (C, H, W); None: as PyTorch has it if the file has PyTorch's names, else (H, W, C). order: the names of
    PyTorch's modules in the order of the forward pass; None: natural order of their names.

    Raises CheckpointError for a file that cannot be read, holds anything but arrays, or whose layers do not fit
    each other or the model; ValueError and TypeError for wrong arguments.
    """
    weights = read_weights(path, order=order)
    if like is None:
        return weights.build(
            activations, input_shape=input_shape, class_names=class_names, dtype=dtype, layout=layout,
            channels_first=channels_first, backend=backend,
        )  # fmt: skip
    own = {"activations": activations, "input_shape": input_shape, "class_names": class_names, "dtype": dtype,
           "layout": layout}  # fmt: skip
    if surplus := [name for name, value in own.items() if value is not None]:
        raise ValueError(f"{OWNER}: {surplus[0]} must be None beside like, which has its own, got {own[surplus[0]]!r}")
    return weights.fill(like, channels_first=channels_first)


def export_model(model: Sequential, path: str | PathLike[str], *, format: str | None = None) -> list[str]:
    """Write the weights for other programs, in one piece; returns the names of the arrays.

    format: "npz", "npy" (a new or empty folder of .npy files), "pytorch" (safetensors with the names and the
    layout of a state dict); None takes it from the ending: .npz, none, .safetensors. Names in NumPy's formats
    are W1, b1, W2, ...: dense weights (in, out), convolution weights (R, S, C/groups, K); batch norms have
    gamma1, beta1, running_mean1, running_var1. PyTorch's are the places of an `nn.Sequential` of the same
    layers: "0.weight"; the places of activations within layers count.

    Raises ValueError for an unknown format, or a network that has no counterpart there, CheckpointError when
    path cannot be written.
    """
    path = Path(path)
    if format is None:
        endings = {".npz": "npz", "": "npy", ".safetensors": "pytorch"}
        if path.suffix not in endings:
            raise ValueError(f"export_model: path must end in .npz, .safetensors or nothing, got {str(path)!r}")
        format = endings[path.suffix]
    _checks.choice("export_model", "format", format, FORMATS)
    if format == "pytorch":
        arrays = places.pytorch_arrays(model)
        _write(path, to_safetensors(arrays, {"format": "pt"}))
        return list(arrays)
    arrays = places.numpy_arrays(model)
    if format == "npz":
        content = io.BytesIO()
        np.savez(content, **arrays)  # type: ignore[arg-type]  # its own keyword is no name of an array here
        _write(path, content.getvalue())
    else:
        _write_folder(path, arrays)
    return list(arrays)


def read_weights(path: str | PathLike[str], *, order: Sequence[str] | None = None) -> Weights:
    """The layers' arrays of a file or folder, before a network is made of them.

    path: a folder of .npy files, an .npz file or a pickle, with names such as W1 and b1 (any case, numbered
    from 0 or 1; a pickle may nest them in lists, tuples and dicts), or any of these or a safetensors file with
    the names of a PyTorch state dict. A pickle is read without running it. order: see `import_model`. Raises
    as `import_model` does.
    """
    path = Path(path)
    with _about(path):
        arrays = sources.read(path)
        if names.by_pytorch(arrays):
            return Weights(path, names.pytorch_modules(arrays, order), [], pytorch=True)
        if order is not None:
            raise ValueError(f"{OWNER}: order must be None for arrays that are numbered, got {order!r}")
        return Weights(path, *names.numpy_modules(arrays), pytorch=False)


class Weights:
    """What `read_weights` found.

    Attributes: `modules`, the layers in order; `ignored`, the names of arrays that belong to no layer.
    """

    def __init__(self, path: Path, modules: list[Module], ignored: list[str], *, pytorch: bool) -> None:
        self.path, self.modules, self.ignored, self.pytorch = path, modules, ignored, pytorch

    @property
    def dtype(self) -> str:
        """float64 if one of the arrays is, else float32."""
        dtypes = [array.dtype for module in self.modules for array in module.arrays.values()]
        return "float64" if any(dtype.kind == "f" and dtype.itemsize > 4 for dtype in dtypes) else "float32"

    @property
    def outputs(self) -> int:
        """Number of outputs of the last dense layer or convolution, in PyTorch's layout or in a model's."""
        last = [module for module in self.modules if not module.norm][-1]
        return int(last.arrays["weight"].shape[0 if self.pytorch else -1])

    def build(
        self,
        activations: Sequence[str] | None,
        *,
        input_shape: Iterable[int] | None = None,
        class_names: Sequence[str] | None = None,
        dtype: Any = None,
        layout: str | None = None,
        channels_first: bool | None = None,
        backend: Backend = "numba",
    ) -> Sequential:
        """A network of dense layers; see `import_model`."""
        if layout is not None:
            _checks.choice(OWNER, "layout", layout, chain.LAYOUTS)
        shape = None if input_shape is None else _checks.input_shape(OWNER, input_shape, (...,))
        with _about(self.path):
            chain.check(self.modules)
            found = chain.layout_of(
                self.modules, layout, None if shape is None else prod(shape),
                None if class_names is None or len(class_names) == 2 else len(class_names), pytorch=self.pytorch,
            )  # fmt: skip
        model = chain.build(
            self.modules, found, activations, shape,
            dtype=self.dtype if dtype is None else dtype, backend=backend, class_names=class_names,
        )  # fmt: skip
        return self._filled(model, found == "out-in", channels_first)

    def fill(self, like: Sequential, *, channels_first: bool | None = None) -> Sequential:
        """A copy of a model with these weights; see `import_model`."""
        _checks.instance(OWNER, "like", like, Sequential, "a Sequential")
        return self._filled(copy.deepcopy(like), self.pytorch, channels_first)

    def _filled(self, model: Sequential, pytorch: bool, channels_first: bool | None) -> Sequential:
        first = self.pytorch if channels_first is None else _checks.flag(OWNER, "channels_first", channels_first)
        with _about(self.path):
            places.fill(model, self.modules, pytorch=pytorch, channels_first=first)
        model.eval()
        return model


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Put the file's name before the message of a CheckpointError."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _write_folder(path: Path, arrays: Mapping[str, Array]) -> None:
    """A new folder, which appears when all files are in it; path may be an empty one."""
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        if path.exists():
            raise CheckpointError(f"{path}: cannot be written: it exists and is no empty folder")
        try:
            beside.mkdir()
            for name, array in arrays.items():
                np.save(beside / f"{name}.npy", array)
            os.replace(beside, path)
        finally:
            import shutil

            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error
