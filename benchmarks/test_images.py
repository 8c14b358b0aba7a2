"""A folder of small PNG files, as a data set, beside a plain loop over Pillow.

FASTNN_BENCH_FILES=60000 python -m pytest benchmarks/test_images.py measures as many files as MNIST has.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fastnn import datasets

from .pairs import ONCE, Effort, Pairs
from .shapes import Figures

MNIST = 60_000
FILES = int(os.environ.get("FASTNN_BENCH_FILES", "20000"))
EACH = Effort(5, 0.3, 0.0)  # one reading a round
# Its own peak as the kernel shows it: getrusage's is that of the process that started it, if that was larger
MEMORY = """
import re, resource, sys
from pathlib import Path
from fastnn import datasets

x = datasets.load(sys.argv[1], split="1/0/0").train[0]
own = int(re.search("VmHWM: *([0-9]+)", Path("/proc/self/status").read_text().replace("\\t", " "))[1])
print(x.nbytes, 1024 * own, 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, request):
    """Digits of 28x28 pixels in ten folders: the embedded ones, enlarged and shifted."""
    files = 300 if request.config.getoption("benchmark_disable") else FILES
    folder = tmp_path_factory.mktemp("images")
    (x, y), _ = datasets.load_digits()
    large = np.rint(255 * x[..., 0]).astype(np.uint8).repeat(3, 1).repeat(3, 2)
    for label in range(10):
        (folder / str(label)).mkdir()
    for number in range(files):
        image, label = large[number % len(x)], y[number % len(x)]
        shifted = np.zeros((28, 28), np.uint8)
        shifted[2:26, 2:26] = np.roll(image, number // len(x) % 7 - 3, axis=1)
        Image.fromarray(shifted).save(folder / str(label) / f"{number}.png")
    return folder


def plain_loop(folder):
    """What one writes without thinking about it."""
    files = sorted(folder.rglob("*.png"))
    x = np.empty((len(files), 28, 28, 1), np.float32)
    y = np.empty(len(files), np.int64)
    for row, file in enumerate(files):
        with Image.open(file) as image:
            x[row, :, :, 0] = np.asarray(image.convert("L"), np.float32) / 255
        y[row] = int(file.parent.name)
    return x, y


def by_label(x, y):
    """The samples in an order that does not depend on the files'."""
    rows = np.concatenate([y[:, None], x.reshape(len(x), -1)], axis=1)
    return rows[np.lexsort(rows.T[::-1])]


@pytest.mark.benchmark(group="images")
def test_a_folder_of_png_files(compare, folder):
    def ours():
        return datasets.load(folder, split="1/0/0").train

    np.testing.assert_array_equal(by_label(*ours()), by_label(*plain_loop(folder)))
    files = sum(1 for _ in folder.rglob("*.png"))
    pairs = Pairs(ours, lambda: plain_loop(folder), ONCE if compare.once else EACH)
    figures = Figures(ratio_least=2.0 if files >= MNIST else 0.0)
    compare.run(pairs, ours, "read a folder of PNG files", f"{files:,} of 28x28; NumPy: a loop over Pillow", figures)


@pytest.mark.benchmark(group="images")
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak is read from Linux's /proc")
def test_memory(benchmark, folder):
    """The peak of the process and of both its workers: at most twice the array, where the array is worth it."""
    command = [sys.executable, "-c", MEMORY, str(folder)]
    answer = benchmark.pedantic(
        lambda: subprocess.run(command, check=True, capture_output=True, text=True).stdout, rounds=1
    )
    array, own, child = map(int, answer.split())
    benchmark.extra_info.update(array=array, own=own, child=child)
    if array >= MNIST * 28 * 28 * 4:
        print(f"\narray {array / 2**20:.0f} MiB, own peak {own / 2**20:.0f}, largest worker {child / 2**20:.0f}")
        assert own + 2 * child <= 2 * array
