"""A from-scratch NumPy script goes on as before when only its import changes."""

import numpy as np
import pytest
import scratch_network
from backends import BACKENDS

import fastnn


class Imported:
    """fastnn as the script sees it, with the backend chosen for it: the script does not know the word."""

    def __init__(self, backend):
        self.backend = backend

    def __getattr__(self, name):
        value = getattr(fastnn, name)
        if name in ("SGD", "Accuracy"):
            return value
        return lambda *args, **options: value(*args, backend=self.backend, **options)


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_follows_the_original(backend, dtype, tolerance, one_hot):
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((10, 64))
    y = rng.integers(0, 10, 500)
    X = (centres[y] + 2.5 * rng.standard_normal((500, 64))).astype(dtype)
    if one_hot:
        y = np.eye(10, dtype=dtype)[y]

    expected, expected_accuracy = scratch_network.train(scratch_network, X, y, dtype)
    losses, accuracies = scratch_network.train(Imported(backend), X, y, dtype)

    assert expected[-1] < expected[0] / 3  # the comparison is of a network that learns
    np.testing.assert_allclose(losses, expected, rtol=tolerance)
    np.testing.assert_allclose(accuracies, expected_accuracy, atol=1.5 / 32)
