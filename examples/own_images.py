"""A folder of images of one's own: train on it, save the model, and ask it about a file."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

import fastnn as fn

with TemporaryDirectory() as name:
    folder = Path(name) / "shapes"

    # Stands for images that you have: shapes/disc/000.png, shapes/square/000.png, of any size, in colour or grey
    rng = np.random.default_rng(0)
    for shape in ("disc", "ring", "square"):
        (folder / shape).mkdir(parents=True)
        for number in range(120):
            side, radius = rng.integers(30, 60), rng.uniform(6, 11)
            rows, columns = (np.arange(side) - centre for centre in rng.uniform(radius, side - radius, 2))
            rows = rows[:, None]
            distance = np.maximum(abs(rows), abs(columns)) if shape == "square" else np.hypot(rows, columns)
            inside = (distance < radius) & ((distance > radius / 2) | (shape != "ring"))
            pixels = 90 + 120 * inside + rng.normal(0, 15, inside.shape)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / shape / f"{number:03}.png")

    data = fn.datasets.load(folder, image_size=32, split="0.7/0.15/0.15", seed=0)
    x, y = data.train
    print(f"{len(x)} training images {x.shape[1:]} of {', '.join(data.class_names)}")
    layers = [fn.Standardize.from_data(x), *fn.networks.cnn(x.shape[1:], len(data.class_names), channels=(16, 32))]
    model = fn.Sequential(layers, x.shape[1:], class_names=data.class_names, seed=0)
    model.metadata.update(data.metadata)  # so that fastnn predict prepares images as they are prepared here
    model.compile(fn.Adam(fn.schedules.OneCycle(0.004)))
    changes = fn.Augmentation(flip="both", shift=2, border="edge")
    model.fit(x, y, epochs=20, batch_size=32, validation_data=data.validation, augmentation=changes)
    found = fn.predict_images(model, [folder / "ring" / "000.png"])[0]
    print(f"{Path(found.file).name}: {found.label} ({found.confidence:.1%})")
    print(f"accuracy {model.evaluate(*data.test)[1]:.4f}")
