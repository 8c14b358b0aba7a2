"""An image file, opened: what is refused, which way up it is, and what its pixels are in 8 bits."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fastnn.errors import ImageError

Source: TypeAlias = str | PathLike[str] | bytes

# Refused from its header, before anything is decoded: below the size from which Pillow itself warns.
PIXEL_LIMIT = 80_000_000
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".bmp", ".dib", ".gif", ".pbm", ".pgm", ".ppm", ".pnm", ".webp", ".tif", ".tiff",
     ".tga", ".ico")
)  # fmt: skip
PREPARED = ".prepared.png"  # endings of pictures that `fastnn predict --show` puts beside images
# Formats that hold pixels and are decoded in this process; Pillow would also start Ghostscript for an EPS file.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "WEBP", "TIFF", "TGA", "ICO")
_PNG_START = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"
_PNG_HEADER = struct.Struct(">16s2I5BI")  # signature and first chunk: width, height, five bytes, check sum
_PNG_MODES = {0: "L", 2: "RGB"}
_DEEP = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_LOOKED_AT = 100  # files that tell whether a folder's images are grey


def open_image(source: Source, least: int | None = None) -> Image.Image:
    """The image, turned as its EXIF orientation says.

    least: a JPEG may be smaller by powers of two, but both its sides have at least so many pixels: decoding is faster.
    Raises ImageError when the file is missing, no image, damaged, or larger than PIXEL_LIMIT.
    """
    name = describe(source)
    try:
        # Buffered here, so that no file stays open when a decoder fails
        content = source if isinstance(source, bytes) else _content(source)
        if (simple := _simple_png(content)) is not None:
            return simple
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        if image.width * image.height > PIXEL_LIMIT:
            raise ImageError(f"{name}: {_too_large()}, got {image.width}x{image.height}")
        if image.format == "JPEG" and least is not None:
            image.draft(None, (least, least))
        return ImageOps.exif_transpose(image) if image.info or image.format == "TIFF" else image
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image, or of an unknown format") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: {_too_large()}") from None
    except OSError as error:
        if error.errno is not None:
            raise ImageError(f"{name}: cannot be read: {error.strerror}") from error
        raise ImageError(f"{name}: damaged image: {error}") from error
    except Exception as error:  # as above
        raise ImageError(f"{name}: damaged image: {error}") from error


def flat(image: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """The image in 8 bits, grey or coloured, over white where it is transparent."""
    if image.mode == mode and "transparency" not in image.info:
        return image
    if image.mode in _DEEP:
        return _eight_bits(image).convert(mode)
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    return image.convert(mode)


def describe(source: Source) -> str:
    """What messages call an image."""
    return "image" if isinstance(source, bytes) else fspath(source)


def is_grey(image: Image.Image) -> bool:
    """Whether an image has no colour, whatever its mode."""
    if image.mode in ("1", "L", "LA", "La", *_DEEP):
        return True
    pixels = np.asarray(flat(image, "RGB"))
    return bool((pixels[..., :1] == pixels[..., 1:]).all())


def _content(path: str | PathLike[str]) -> bytes:
    with io.FileIO(fspath(path)) as file:  # half the time of pathlib's read_bytes, which counts for 60,000 small files
        return file.read()


def _simple_png(content: bytes) -> Image.Image | None:
    """A PNG of 8-bit grey or colour with nothing but pixels in it; None for every other file, and for damaged ones.

    Pillow's own decoder without its reading of chunks, which for 28x28 pixels takes longer: 23 us a file instead of 37.
    """
    if not content.startswith(_PNG_START) or len(content) < _PNG_HEADER.size:
        return None
    *_, width, height, depth, kind, packing, filters, interlaced, check = _PNG_HEADER.unpack_from(content)
    if depth != 8 or kind not in _PNG_MODES or packing or filters or interlaced or width * height > PIXEL_LIMIT:
        return None
    if check != zlib.crc32(content[12:29]):
        return None
    at, data = _PNG_HEADER.size, b""
    while (name := content[at + 4 : at + 8]) == b"IDAT":
        stop = at + 8 + int.from_bytes(content[at : at + 4], "big")
        if int.from_bytes(content[stop : stop + 4], "big") != zlib.crc32(content[at + 4 : stop]):
            return None
        data += content[at + 8 : stop]
        at = stop + 4
    if name != b"IEND":
        return None
    mode = _PNG_MODES[kind]
    try:
        return Image.frombytes(mode, (width, height), data, "zip", (mode, 0))
    except ValueError:  # not enough data, or wrong ones
        return None


def look_at(files: Sequence[str]) -> tuple[bool, tuple[int, int] | None]:
    """Whether most of the files are grey, by 100 of them at most, and the (H, W) of the first that can be read."""
    grey, size = [], None
    for number, file in enumerate([*files[:: max(1, len(files) // _LOOKED_AT)], *files]):
        if number >= _LOOKED_AT and size:
            break
        try:
            image = open_image(file)
            grey.append(is_grey(image))
        except Exception:  # whoever reads it later says why
            continue
        size = size or (image.height, image.width)
    return 2 * sum(grey) >= len(grey), size


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit images by their upper 8 bits, floats in 0..1 or 0..255."""
    values = np.nan_to_num(np.asarray(image).astype(np.float32))
    white = (1 if values.max() <= 1 else 255) if image.mode == "F" else 65535
    return Image.fromarray(np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8))


def _too_large() -> str:
    return f"must have at most {PIXEL_LIMIT // 1_000_000} million pixels to be decoded"
