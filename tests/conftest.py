"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# The first call of a kernel compiles it, so no example has a deadline.
settings.register_profile("fastnn", deadline=None, print_blob=True, derandomize="CI" in os.environ)
settings.register_profile("thorough", settings.get_profile("fastnn"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fastnn"))


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with real data sets (mnist/, cifar-10-batches-bin/): without it the test is skipped."""
    folder = Path(os.environ.get("FASTNN_DATA") or Path(__file__).parents[1] / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("no real data here: FASTNN_DATA names no folder")
    return folder


@pytest.fixture(scope="session")
def mnist_folder(data_folder: Path) -> Path:
    """The folder of the four MNIST files."""
    folder = data_folder / "mnist"
    if not folder.is_dir():
        pytest.skip("no MNIST here: FASTNN_DATA has no folder mnist")
    return folder
