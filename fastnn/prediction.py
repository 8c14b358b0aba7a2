"""What a model sees in image files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _checks, _files, datasets
from fastnn._typing import Array
from fastnn.datasets._form import Form, SampleShape
from fastnn.errors import ImageError
from fastnn.losses import BinaryCrossEntropy
from fastnn.model import Sequential

if TYPE_CHECKING:
    from fastnn.datasets._open import Source

_OWNER = "predict_images"
_AT_ONCE = 256
_SHOWN, _GAP = 280, 8  # height of the images it shows, and between them, in pixels


@dataclass(frozen=True)
class Prediction:
    """The most probable class of an image. probabilities: by class, in the order of the model's classes."""

    file: str
    label: str
    confidence: float
    probabilities: Mapping[str, float]

    def as_json(self, top: int | None = None) -> dict[str, Any]:
        """JSON values; top: of the most probable classes only, in their order."""
        shown = dict(self.best(top)) if top else dict(self.probabilities)
        return {"file": self.file, "label": self.label, "confidence": self.confidence, "probabilities": shown}

    def best(self, top: int | None = None) -> list[tuple[str, float]]:
        """The classes with their probabilities, the most probable first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:top]


def predict_images(
    model: Sequential, sources: Iterable[Source], *, form: Form | None = None, normalise: bool = True
) -> list[Prediction]:
    """What the model sees in image files, or in the bytes of some; one Prediction for each, in their order.

    An image is brought to the model's input as its training data were, which the model keeps in its metadata. form:
    another way. normalise=False: resized only, even where the model was trained on drawings of MNIST's form.
    Raises ImageError for the first file that cannot be read, ValueError for a model that takes no images or does not
    tell classes apart.
    """
    from fastnn.datasets._open import describe

    reader = ImageReader(model, form, normalise)
    sources = list(sources)
    found: list[Prediction] = []
    for start in range(0, len(sources), _AT_ONCE):
        some = sources[start : start + _AT_ONCE]
        found += reader.predict([describe(source) for source in some], [reader.read(source) for source in some])
    return found


class ImageReader:
    """Images for one model, and what it says about them. Arguments as in `predict_images`."""

    def __init__(self, model: Sequential, form: Form | None = None, normalise: bool = True) -> None:
        _checks.instance(_OWNER, "model", model, Sequential, "a Sequential")
        self.model = model
        shape = SampleShape.of(model.input_shape or ())
        if shape is None:
            got = "none yet" if model.input_shape is None else model.input_shape
            raise ValueError(f"{_OWNER}: model must take images (N, H, W, 1) or (N, H, W, 3), its samples are {got}")
        self.shape = shape
        self.class_names = class_names(model)
        self.form = (form or image_form(model, self.shape)) if normalise else Form()

    def read(self, source: Source) -> Array:
        """The prepared sample uint8 (H, W, C) of an image file. Raises ImageError."""
        from fastnn.datasets.images import read_image

        return read_image(source, self.shape, self.form)

    def show(self, file: str, sample: Array) -> Path:
        """Write an image and its prepared sample, side by side, to a file beside the image; returns its path."""
        from PIL import Image

        from fastnn.datasets._open import PREPARED, flat, open_image

        original = flat(open_image(file), "RGB")
        original.thumbnail((2 * _SHOWN, _SHOWN))
        prepared = Image.fromarray(sample[..., 0] if sample.shape[2] == 1 else sample).convert("RGB")
        scale = max(1, _SHOWN // prepared.height)
        prepared = prepared.resize((scale * prepared.width, scale * prepared.height), Image.Resampling.NEAREST)
        height = max(original.height, prepared.height)
        both = Image.new("RGB", (original.width + _GAP + prepared.width, height), "grey")
        both.paste(original, (0, (height - original.height) // 2))
        both.paste(prepared, (original.width + _GAP, (height - prepared.height) // 2))
        content = io.BytesIO()
        both.save(content, "PNG")
        path = Path(file + PREPARED)  # a.png and a.jpg have one each
        try:
            _files.replace(path, content.getvalue())
        except OSError as error:
            raise ImageError(f"{path}: cannot be written: {error.strerror}") from error
        return path

    def predict(self, files: Sequence[str], samples: Sequence[Array]) -> list[Prediction]:
        """What the model sees in prepared samples; files are their names."""
        if not samples:
            return []
        assert self.model.input_shape is not None
        x = np.stack(samples).astype(self.model.dtype).reshape(-1, *self.model.input_shape) / 255
        probabilities = self.model.predict_proba(x).astype(np.float64)
        if probabilities.shape[1] == 1:  # binary: the second class's
            probabilities = np.hstack([1 - probabilities, probabilities])
        return [self._prediction(file, row) for file, row in zip(files, probabilities, strict=True)]

    def _prediction(self, file: str, row: Array) -> Prediction:
        best = int(row.argmax())
        by_name = dict(zip(self.class_names, row.tolist(), strict=True))
        return Prediction(file, self.class_names[best], float(row[best]), by_name)


def class_names(model: Sequential) -> Sequence[str]:
    """The names of a model's classes, numbers where it has none. ValueError for a model that is no classifier."""
    outputs = model.output_shape
    if len(outputs) != 1 or (outputs == (1,) and not isinstance(model.loss, BinaryCrossEntropy)):
        raise ValueError(f"{_OWNER}: model must tell classes apart, its output is {outputs}")
    return model.class_names or [str(number) for number in range(max(2, outputs[0]))]


def image_form(model: Sequential, shape: SampleShape) -> Form:
    """How images are prepared for a model: as it says, else like those of the data set that it names, else as drawings
    for one that tells ten grey things apart."""
    kept = model.metadata.get("images", datasets.image_form(model.metadata.get("dataset")))
    if kept is not None:
        return Form.from_metadata(kept)
    return Form("mnist") if shape.channels == 1 and len(class_names(model)) == 10 else Form()


def data_options(model: Sequential, dataset: str) -> dict[str, Any]:
    """Keywords for `datasets.load_test`, so that a data set is read, and cut, as for the model's training."""
    kept = model.metadata.get("data") if model.metadata.get("dataset") == dataset else None
    images = model.metadata.get("images")
    return {
        **(kept if isinstance(kept, dict) else {}),
        "sample_shape": model.input_shape,
        "class_names": model.class_names,
        "form": None if images is None else Form.from_metadata(images),
    }
