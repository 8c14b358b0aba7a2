"""Augmentation: random changes of training images, drawn anew for each sample in each epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from fastnn import _checks
from fastnn._backend import operations
from fastnn._typing import Array, ArrayLike, Backend, Seed, Shape
from fastnn.layers._buffers import aligned
from fastnn.reference.augment import CONSTANT, EDGE, REFLECT

_OWN = "Augmentation"
_BORDERS = {"constant": CONSTANT, "edge": EDGE, "reflect": REFLECT}
_FLIPS = {"horizontal": 1, "vertical": 2, "both": 3}
_AT_ONCE = 256  # images that `apply` changes at once: all that is known of them stays in L2


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of images (N, H, W, C) for training: `model.fit(x, y, augmentation=Augmentation(shift=2))`.

    All default to 0, which leaves out. Amounts are uniform between the bounds, drawn for each image.

    shift: most pixels up or down and left or right, or a pair of them (vertical, horizontal); whole numbers move by
        whole pixels.
    rotate: most degrees, either way. shear: most degrees (< 90) by which upright lines lean.
    scale: largest change of the size, a share < 1: 0.1 for factors of 0.9..1.1.
    elastic: (alpha, sigma) in pixels: each pixel moves by noise in -alpha..alpha, smoothed by a Gaussian of sigma
        >= 0.5 (Simard 2003, for MNIST (34, 4): moves of 1.7 pixels in the mean).
    flip: True or "horizontal" mirrors left and right, "vertical" up and down, "both"; each half of the images.
    crop: pixels of padding, out of which a window of the image's own size is cut.
    resize: share < 1 by which that window's sides may be shorter; it is enlarged to the image's size again.
    cutout: side in pixels of a square that is erased, anywhere in the image, partly outside too.
    mixup: alpha > 0: an image becomes s * image + (1 - s) * the batch's next one, and so does its target, s from
        beta(alpha, alpha), but at least 1/2 (Zhang 2018; 0.2 is usual). Accuracy counts the heavier class.
    border: what lies outside of the image: "constant" (fill), "edge" (the nearest pixel) or "reflect".
    fill: value outside and of erased squares, or C of them.
    seed: None (fit: from the model's or fit's), an integer or a NumPy Generator.
    backend: of `apply`; fit uses the model's.

    All moves join in one bilinear resampling; whole pixels, flips and crops copy pixels exactly. What happens to a
    sample depends on the seed, the epoch and its row in the data set alone, and with mixup on its neighbour. mixup
    alone takes samples of any shape.
    """

    shift: float | tuple[float, float] = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    elastic: float | tuple[float, float] = 0.0
    flip: bool | str = False
    crop: int = 0
    resize: float = 0.0
    cutout: int = 0
    mixup: float = 0.0
    border: str = "constant"
    fill: float | tuple[float, ...] = 0.0
    seed: Seed = field(default=None, compare=False)
    backend: Backend = "numba"

    def __post_init__(self) -> None:
        def bounded(name: str, **bounds: float) -> float:
            return _checks.number(_OWN, name, getattr(self, name), minimum=0, **bounds)

        checked: dict[str, Any] = {
            "shift": _pair("shift", self.shift, (0, 0)),
            "rotate": bounded("rotate", maximum=180),
            "scale": bounded("scale", below=1),
            "shear": bounded("shear", below=90),
            "elastic": 0.0 if _is_zero(self.elastic) else _pair("elastic", self.elastic, (0, 0.5)),
            "crop": _checks.integer(_OWN, "crop", self.crop, 0),
            "resize": bounded("resize", below=1),
            "cutout": _checks.integer(_OWN, "cutout", self.cutout, 0),
            "mixup": bounded("mixup"),
            "border": _checks.choice(_OWN, "border", self.border, _BORDERS),
            "seed": _checks.seed(_OWN, self.seed),
            "backend": _checks.backend(_OWN, self.backend),
        }
        if not isinstance(self.flip, bool):
            _checks.choice(_OWN, "flip", self.flip, _FLIPS)
        if isinstance(self.fill, list | tuple | np.ndarray):
            checked["fill"] = tuple(_checks.number(_OWN, "fill", value) for value in self.fill)
        else:
            checked["fill"] = _checks.number(_OWN, "fill", self.fill)
        if isinstance(self.seed, np.random.Generator):
            checked["seed"] = int(self.seed.integers(2**63))
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def apply(self, x: ArrayLike, rows: ArrayLike | None = None, epoch: int = 0) -> Array:
        """Changed copies of the images x (N, H, W, C), as floats; float64 stays float64.

        rows: their numbers (N,) in the data set, 0..N-1 when None. With them and the epoch, the images are those that
        `fit` trains on; with mixup, if x is one of its batches. Raises ValueError for a wrong shape or row.
        """
        found = _checks.numeric(_OWN, "x", x)
        dtype = _checks.FLOAT_DTYPES[found.dtype == np.float64]
        x = _checks.array(_OWN, "x", found, dtype, ("N", ...))
        self.check(_OWN, x.shape)
        numbers, key, ops = _row_numbers(rows, len(x)), self.key(epoch), operations(self.backend)
        out = np.empty_like(x)
        for start in range(0, len(x), _AT_ONCE):
            part = slice(start, min(start + _AT_ONCE, len(x)))
            places = np.arange(part.start, part.stop)
            _Images(self, len(places), x.shape[1:], dtype).change(ops, x, places, numbers[part], key, out[part])
        return self._mixed(ops, numbers, key, out)

    def apply_to_targets(self, y: ArrayLike, rows: ArrayLike | None = None, epoch: int = 0) -> Array:
        """The targets y (N, ...) of the images that `apply` gives for the same rows and epoch: mixed where they are.

        y holds what can be mixed, such as one-hot rows (N, C), no class numbers. Floats; float64 stays float64.
        """
        found = _checks.numeric(_OWN, "y", y)
        y = _checks.array(_OWN, "y", found, _checks.FLOAT_DTYPES[found.dtype == np.float64], ("N", ...))
        return self._mixed(operations(self.backend), _row_numbers(rows, len(y)), self.key(epoch), y.copy())

    def _mixed(self, ops: Any, rows: Array, key: int, x: Array) -> Array:
        if not self.mixup:
            return x
        mixed = np.empty_like(x)
        ops.mixup(rows, key, self.mixup, x.reshape(len(x), -1), mixed.reshape(len(x), -1))
        return mixed

    @cached_property
    def _entropy(self) -> Any:
        return np.random.SeedSequence().entropy if self.seed is None else self.seed

    # For fit

    def key(self, epoch: int) -> int:
        """What all random numbers of an epoch are drawn from: 63 bits."""
        epoch = _checks.integer(_OWN, "epoch", epoch, 0)
        return int(np.random.SeedSequence([self._entropy, epoch]).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def check(self, owner: str, shape: Shape) -> None:
        """Refuse data of a shape (N, ...) that cannot be changed so."""
        if (self.moves or self.cutout) and len(shape) != 4:
            purpose = "" if owner == _OWN else " for augmentation"
            raise ValueError(f"{owner}: x must have shape (N, H, W, C){purpose}, got {shape}")
        if isinstance(self.fill, tuple) and len(self.fill) != shape[-1]:
            raise ValueError(f"{_OWN}: fill must be a number or {shape[-1]} of them, got {len(self.fill)}")

    @property
    def moves(self) -> bool:
        """Whether pixels move."""
        amounts = (self.rotate, self.scale, self.shear, self.elastic, self.flip, self.crop, self.resize)
        return any((self.shift != (0, 0), *amounts))


class _Images:
    """The changes of `size` images at once but for mixup: the calls of operations, and the memory between them."""

    def __init__(self, settings: Augmentation, size: int, shape: Shape, dtype: np.dtype[Any]) -> None:
        self.settings, self.shape = settings, shape
        self._maps = aligned((size, 2, 3), dtype)
        self._field = aligned((size, 2, *shape[:2]) if settings.elastic else (0, 0, 0, 0), dtype)
        self._fill = np.full(shape[-1], settings.fill, dtype)

    def change(self, ops: Any, source: Array, places: Array, rows: Array, key: int, out: Array) -> None:
        """out (size, *shape) = the samples source[places], changed as `rows` and `key` say."""
        of = self.settings
        if not of.moves:
            ops.gather(source.reshape(len(source), -1), places, out.reshape(len(out), -1))
        else:
            flip = _FLIPS["horizontal"] if of.flip is True else _FLIPS.get(str(of.flip), 0)
            ops.random_affine(
                rows, key, of.shift, of.crop, of.resize, of.rotate, of.scale, of.shear, flip, self.shape[:2], self._maps
            )
            if isinstance(of.elastic, tuple):
                ops.elastic_field(rows, key, *of.elastic, self._field)
            ops.warp(source, places, self._maps, self._field, _BORDERS[of.border], self._fill, out)
        if of.cutout:
            ops.cutout(rows, key, of.cutout, self._fill, out)


class Batch:
    """Augmented batches, x (size, *shape) with targets y (size, ...): the calls of operations, and their memory."""

    def __init__(self, settings: Augmentation, x: Array, y: Array) -> None:
        self.settings, self._x, self._y = settings, x, y
        self._images = _Images(settings, len(x), x.shape[1:], x.dtype)
        self._first_x, self._first_y = (aligned(a.shape, a.dtype) if settings.mixup else a for a in (x, y))

    def gather(self, ops: Any, x: Array, y: Array, rows: Array, key: int) -> None:
        """Fill the batch with these rows of the data."""
        self._images.change(ops, x, rows, rows, key, self._first_x)
        size = len(rows)
        ops.gather(y.reshape(len(y), -1), rows, self._first_y.reshape(size, -1))
        if self.settings.mixup:
            for first, mixed in ((self._first_x, self._x), (self._first_y, self._y)):
                ops.mixup(rows, key, self.settings.mixup, first.reshape(size, -1), mixed.reshape(size, -1))


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and value == 0


def _pair(name: str, value: Any, minimum: tuple[float, float]) -> tuple[float, float]:
    """Two numbers, or for `shift` one for both."""
    if name == "shift" and not isinstance(value, tuple | list):
        value = (value, value)
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{_OWN}: {name} must be 0 or a pair of numbers, got {value!r}")
    first, second = (_checks.number(_OWN, name, v, minimum=least) for v, least in zip(value, minimum, strict=True))
    return first, second


def _row_numbers(rows: ArrayLike | None, count: int) -> Array:
    if rows is None:
        return np.arange(count)
    found = _checks.numeric(_OWN, "rows", rows)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise ValueError(f"{_OWN}: rows must be {count} row numbers >= 0, got shape {found.shape}, dtype {found.dtype}")
    if found.min() < 0:
        row = int(found.argmin())
        raise ValueError(f"{_OWN}: rows must be {count} row numbers >= 0, got {found[row]} in row {row}")
    return np.ascontiguousarray(found, np.intp)
