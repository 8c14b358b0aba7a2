"""What starting fastnn costs, in fresh processes, beside `import numpy`."""

import os
import subprocess
import sys

import pytest

from .pairs import ONCE, Effort, Pairs
from .shapes import Figures

EACH = Effort(11, 0.0, 0.0)  # a process is a sample of its own
PROGRAMS = {
    "import fastnn": ("-c", "import fastnn"),
    "import fastnn and all its names": ("-c", "from fastnn import *; import sys; assert 'numba' not in sys.modules"),
    "fastnn --help": ("-m", "fastnn", "--help"),
}
HELP, IMPORT = Figures(ours_most=0.3), Figures(extra_most=0.1)


def process(*arguments):
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return lambda: subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=kept)


@pytest.mark.benchmark(group="start")
@pytest.mark.parametrize("title", PROGRAMS)
def test_start(compare, title):
    ours, numpy = process(*PROGRAMS[title]), process("-c", "import numpy")
    pairs = Pairs(ours, numpy, ONCE if compare.once else EACH)
    compare.run(pairs, ours, title, "NumPy: import numpy", HELP if "--help" in title else IMPORT)
    del compare.benchmark.extra_info["ratio"]  # what counts is the difference
