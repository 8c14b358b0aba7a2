"""Digits drawn with a pen on a canvas, for the tests of images."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

SMOOTH = 4


def arc(cx, cy, rx, ry, first, last, steps=24):
    angles = [math.radians(first + (last - first) * step / steps) for step in range(steps + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


# The pen's way in a square of side 1, one list for each time that it is put down
STROKES = {
    0: [arc(0.5, 0.5, 0.3, 0.45, -80, 285)],
    1: [[(0.35, 0.25), (0.52, 0.08), (0.5, 0.92)]],
    2: [[*arc(0.5, 0.3, 0.28, 0.22, -170, 40), (0.22, 0.9), (0.82, 0.88)]],
    3: [arc(0.46, 0.28, 0.26, 0.2, -150, 90) + arc(0.46, 0.7, 0.3, 0.22, -90, 150)],
    4: [[(0.6, 0.06), (0.2, 0.6), (0.85, 0.6)], [(0.66, 0.35), (0.62, 0.95)]],
    5: [[(0.78, 0.08), (0.3, 0.1), (0.27, 0.45), *arc(0.47, 0.66, 0.28, 0.24, -130, 140)]],
    6: [[(0.66, 0.05), (0.42, 0.3), (0.28, 0.6), *arc(0.5, 0.7, 0.23, 0.22, 180, -180)]],
    7: [[(0.2, 0.1), (0.8, 0.1), (0.42, 0.94)]],
    8: [arc(0.5, 0.28, 0.2, 0.2, 60, -240) + arc(0.5, 0.72, 0.25, 0.24, -120, 240)],
    9: [[*arc(0.5, 0.3, 0.22, 0.22, 0, -360), (0.7, 0.5), (0.6, 0.94)]],
}


def pen(digit, width, canvas=(200, 200), box=None):
    """Mask of the ink: an image of mode L. canvas and box (x, y, width, height) in pixels."""
    across, down = canvas
    left, top, wide, high = box or (0.2 * across, 0.1 * down, 0.6 * across, 0.8 * down)
    image = Image.new("L", (across * SMOOTH, down * SMOOTH), 0)
    draw = ImageDraw.Draw(image)
    radius = width * SMOOTH / 2
    for stroke in STROKES[digit]:
        points = [((left + x * wide) * SMOOTH, (top + y * high) * SMOOTH) for x, y in stroke]
        draw.line(points, fill=255, width=round(2 * radius), joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image.resize(canvas, Image.Resampling.BOX)


def on_paper(mask, ink=0, paper=255):
    """The mask in grey ink on paper."""
    image = Image.new("L", mask.size, paper)
    image.paste(ink, (0, 0), mask)
    return image


def on_nothing(mask, ink=0):
    """The mask in grey ink, transparent everywhere else."""
    image = Image.new("RGBA", mask.size, (ink, ink, ink, 0))
    image.putalpha(mask)
    return image


def photo(mask, seed=0):
    """The mask as a pencil leaves it, in light from one side, with noise and dust."""
    rng = np.random.default_rng(seed)
    ink = np.asarray(mask, float) / 255
    y, x = np.mgrid[: ink.shape[0], : ink.shape[1]] / max(ink.shape)
    light = (0.45 + 0.4 * x - 0.15 * y) * (1 - 0.7 * ink) + rng.normal(0, 0.02, ink.shape)
    for row, column in rng.integers(0, np.array(ink.shape), (6, 2)):
        light[row : row + 2, column : column + 2] = 0.1
    return Image.fromarray((np.clip(light, 0, 1) * 255).astype(np.uint8))
