"""The pictures of the guide: `FASTNN_DATA=... python docs/_site/pictures.py` draws them anew into docs/pictures/."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from PIL import Image

import fastnn as fn

if TYPE_CHECKING:
    from fastnn._typing import Array

PICTURES = Path(__file__).parents[1] / "pictures"
CHANGES: list[dict[str, Any]] = [
    {},
    {"shift": 3},
    {"rotate": 20},
    {"scale": 0.25},
    {"shear": 25},
    {"elastic": (34, 4)},
    {"cutout": 10},
    {"mixup": 1.0},
    {"shift": 2, "rotate": 10, "scale": 0.1, "elastic": (34, 4)},
]


def augmentation(x: Array, columns: int = 9) -> Figure:
    """One row of images for each of CHANGES, out of the first of x (N, H, W, C)."""
    figure = Figure(figsize=(7.6, 0.6 * len(CHANGES)), layout="constrained")
    for row, (settings, axes) in enumerate(zip(CHANGES, figure.subplots(len(CHANGES), columns), strict=True)):
        changed = fn.Augmentation(**settings, seed=row).apply(x[:columns])
        label = ", ".join(f"{name}={value}" for name, value in settings.items()) or "as they are"
        label = label.replace("scale=0.1, ", "scale=0.1,\n")
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8, family="monospace")
        for axis, image in zip(axes, changed, strict=True):
            axis.imshow(image[..., 0], cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("#dddddd")
    return figure


def runs() -> Iterator[Path]:
    """The pictures that `fastnn train --dataset mnist --model mlp --epochs 5` and a learning rate test make."""
    settings = fn.Settings.for_network("mlp").override({"data.dataset": "mnist", "training.epochs": 5})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = fn.train(settings, folder, verbose=False).data
        yield from (folder / f"{name}.png" for name in ("confusion", "top_losses"))
        test = fn.lr_finder.find_learning_rate(fn.run.build(settings, data), *data.training)
        fn.plots.learning_rates(test, folder / "learning_rates.png")
        yield folder / "learning_rates.png"


def keep(picture: Path | BytesIO, name: str) -> None:
    """Write a picture to docs/pictures/ in 64 colours, which show no difference."""
    Image.open(picture).convert("RGB").quantize(64).save(PICTURES / name, optimize=True)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    (x, _), _ = fn.datasets.load_mnist()
    drawn = BytesIO()
    augmentation(x).savefig(drawn, dpi=110)
    keep(drawn, "augmentation.png")
    for picture in runs():
        keep(picture, picture.name)
