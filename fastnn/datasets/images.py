"""One image file, of any size, mode and orientation, to one sample: uint8 (H, W, C)."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from fastnn.datasets._form import Form, SampleShape
from fastnn.datasets._open import Source, describe, flat, open_image
from fastnn.datasets.drawing import drawn
from fastnn.errors import DataError, ImageError

Pixels: TypeAlias = npt.NDArray[np.uint8]

_SMOOTH = 8  # times the sample's size, to which a JPEG may be reduced while it is decoded


def read_image(source: Source, shape: SampleShape, form: Form, *, exact: bool = False) -> Pixels:
    """The sample (H, W, C) of an image file, or of its bytes. What is transparent is white.

    Raises ImageError, which names the file, when it is missing, no image, damaged, or larger than what is decoded; for
    a drawing also when nothing is drawn. exact: DataError for an image of another size, which else is resized.
    """
    name, size = describe(source), (shape.width, shape.height)
    image = open_image(source, None if exact else _SMOOTH * max(size))
    if exact and image.size != size:
        raise DataError(
            f"{name}: is {image.height}x{image.width} pixels, others are {shape.height}x{shape.width}: "
            "say which size all images shall have (image_size, --image-size)"
        )
    try:
        if form.name == "mnist":
            image = drawn(image, shape.height, shape.width, form.box)
        pixels = flat(image, "L" if shape.channels == 1 else "RGB")
        if pixels.size != size:
            pixels = pixels.resize(size, Image.Resampling.BILINEAR, reducing_gap=3)
        return np.frombuffer(pixels.tobytes(), np.uint8).reshape(shape.axes)
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from None
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ImageError(f"{name}: damaged image: {error}") from error
