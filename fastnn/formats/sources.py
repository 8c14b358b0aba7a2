"""Files and folders of arrays, whatever wrote them: every array with its place."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError, safe_open

from fastnn._typing import Array
from fastnn.errors import CheckpointError

if TYPE_CHECKING:
    from fastnn.formats.pickles import Place

_LARGEST = 2**32  # bytes of a compressed file's arrays: a small file can unpack to any size
_SAFETENSORS = re.compile(rb".{8}\s*\{", re.DOTALL)  # the length of the header, and the header
_HOW_FROM_TORCH = (
    "PyTorch's own file format is not read; in PyTorch, write the state dict with "
    "safetensors.torch.save_file(model.state_dict(), 'model.safetensors')"
)


def read(path: Path) -> list[tuple[Place, Array]]:
    """The arrays of a folder of .npy files, an .npz file, a pickle or a safetensors file: the content decides.

    Raises CheckpointError, without the path, for what is none of them or damaged.
    """
    try:
        if path.is_dir():
            return _folder(path)
        with path.open("rb") as file:
            head = file.read(9)
        if path.suffix in (".pt", ".pth"):
            raise CheckpointError(_HOW_FROM_TORCH)
        if head.startswith(b"PK"):
            return _npz(path)
        if head.startswith(b"\x93NUMPY"):
            raise CheckpointError("a single array; name the folder of all of them")
        if _SAFETENSORS.match(head):
            return _safetensors(path)
        from fastnn.formats import pickles

        return pickles.arrays(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise CheckpointError("its arrays are too large for this machine's memory") from error


def _folder(path: Path) -> list[tuple[Place, Array]]:
    files = sorted(file for file in path.iterdir() if file.suffix == ".npy")
    if not files:
        raise CheckpointError("the folder has no .npy files")
    return [((file.stem,), _npy(file.name, file.read_bytes())) for file in files]


def _npz(path: Path) -> list[tuple[Place, Array]]:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.filename.endswith("data.pkl") for member in members):
                raise CheckpointError(_HOW_FROM_TORCH)
            if sum(member.file_size for member in members) > _LARGEST:
                raise CheckpointError(f"its arrays are larger than {_LARGEST >> 30} GiB")
            return [
                ((member.filename.removesuffix(".npy"),), _npy(member.filename, archive.read(member)))
                for member in members
                if member.filename.endswith(".npy")
            ]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise CheckpointError(f"no .npz file, or a damaged one: {error}") from error


def _npy(name: str, content: bytes) -> Array:
    try:
        array: Array = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, TypeError, SyntaxError) as error:
        if "allow_pickle" in str(error):
            raise CheckpointError(f"{name}: refused: it holds Python objects; only numbers are read") from error
        raise CheckpointError(f"{name}: no .npy file, or a damaged one: {error}") from error
    return array


def _safetensors(path: Path) -> list[tuple[Place, Array]]:
    try:
        with safe_open(path, framework="np") as file:
            if "fastnn" in (file.metadata() or {}):
                raise CheckpointError("a fastnn model already")
            found: list[tuple[Place, Array]] = []
            for name in file.keys():  # noqa: SIM118
                dtype = file.get_slice(name).get_dtype()
                if dtype not in ("F16", "F32", "F64", "I64"):
                    raise CheckpointError(f"{name} must be F16, F32 or F64, got {dtype}")
                found.append(((name,), file.get_tensor(name)))
            return found
    except SafetensorError as error:
        raise CheckpointError(f"no safetensors file, or a damaged one: {error}") from error
