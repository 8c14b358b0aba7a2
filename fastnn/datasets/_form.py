"""Which samples a model takes images as; what makes them from files is in `images.py`, and needs Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any, Literal

from fastnn._typing import Shape


@dataclass(frozen=True)
class Form:
    """How an image becomes a sample; a model keeps it under metadata["images"].

    name: "plain": the whole image, resized. "mnist": a drawing, brought to MNIST's form. box: the longer side of the
    drawn ink, as a share of the sample's shorter side.
    """

    name: Literal["plain", "mnist"] = "plain"
    box: float = 20 / 28

    def metadata(self) -> dict[str, Any]:
        """JSON values for `from_metadata`."""
        return {"form": self.name} if self.name == "plain" else {"form": self.name, "box": self.box}

    @classmethod
    def from_metadata(cls, value: Any) -> Form:
        """The form that `metadata` wrote. Raises ValueError for anything else."""
        name, box = (value.get("form"), value.get("box", cls.box)) if isinstance(value, Mapping) else (None, None)
        if name not in ("plain", "mnist") or not isinstance(box, float | int) or not 0 < box <= 1:
            raise ValueError(f"images: must be {{'form': 'plain' or 'mnist', 'box': 0..1}}, got {value!r}")
        return cls(name, float(box))


@dataclass(frozen=True)
class SampleShape:
    """Size of the samples that images become, in pixels. channels: 1 grey, 3 red, green, blue."""

    height: int
    width: int
    channels: int

    @classmethod
    def of(cls, shape: Shape) -> SampleShape | None:
        """The images that a model for samples of this shape takes: (H, W, C), (H, W), or (H * W,) for square grey ones;
        None when these are no images."""
        if len(shape) == 1:
            side = isqrt(shape[0])
            return cls(side, side, 1) if side > 3 and side * side == shape[0] else None
        if len(shape) == 2:
            shape = (*shape, 1)
        return cls(*shape) if len(shape) == 3 and shape[2] in (1, 3) else None

    @property
    def size(self) -> int:
        """Number of values of a sample."""
        return self.height * self.width * self.channels

    @property
    def axes(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.height, self.width, self.channels
