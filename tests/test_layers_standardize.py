"""Standardize: moments of data, their place in a model, and what is refused."""

import numpy as np
import pytest
from backends import BACKENDS

import fastnn as fn
from fastnn.layers import Standardize


@pytest.fixture
def images():
    x = np.random.default_rng(0).standard_normal((2500, 3, 2, 4)).astype(np.float32)
    return x * np.float32([1, 5, 0, 0.1]) + np.float32([0, 3, 7.3, -100])


@pytest.mark.parametrize("backend", BACKENDS)
def test_data_come_to_mean_0_and_deviation_1(images, backend):
    layer = Standardize.from_data(images, backend=backend)
    wide = images.astype(np.float64)
    np.testing.assert_allclose(layer.forward(images).mean(axis=(0, 1, 2)), 0, atol=2e-4)
    np.testing.assert_allclose(layer.forward(images).std(axis=(0, 1, 2)), [1, 1, 0, 1], atol=2e-4)
    np.testing.assert_allclose(layer.mean, wide.mean(axis=(0, 1, 2)), rtol=1e-6, atol=1e-6)
    std = wide.std(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.std, [std[0], std[1], 1, std[3]], rtol=1e-5)  # the constant channel


def test_features_of_a_table():
    x = np.array([[1, 10, 5], [3, 30, 5]])
    layer = Standardize.from_data(x, dtype="float64", backend="numpy")
    np.testing.assert_allclose(layer.forward(x), [[-1, -1, 0], [1, 1, 0]])


def test_numbers_can_be_given_and_assigned():
    layer = Standardize(0.5, [2, 4], backend="numpy")
    np.testing.assert_array_equal(layer.forward([[1, 1]]), [[0.25, 0.125]])
    layer.mean, layer.std = [1, 0], [1, 0.5]
    np.testing.assert_array_equal(layer.forward([[1, 1]]), [[0, 2]])
    np.testing.assert_array_equal(layer.std, [1, 0.5])
    np.testing.assert_array_equal(Standardize(1, 4, backend="numpy").forward([[5, 9, 1]]), [[1, 2, 0]])


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_part_of_the_model_and_its_file(tmp_path, backend):
    rng = np.random.default_rng(1)
    x, y = 1000 + 50 * rng.standard_normal((64, 6)), rng.integers(3, size=64)
    model = fn.Sequential([Standardize.from_data(x), fn.Dense(None, 3)], (6,), backend=backend, seed=0)
    assert model.layers[1].parameter_count == model.parameters.size
    before = model.weights()["0.mean"].copy()
    model.fit(x, y, epochs=2, batch_size=16, verbose=False)
    np.testing.assert_array_equal(model.weights()["0.mean"], before)
    expected = model.predict_proba(x)
    model.save(tmp_path / "m.safetensors")
    again = fn.load(tmp_path / "m.safetensors", backend=backend)
    np.testing.assert_array_equal(again.predict_proba(x), expected)
    again.layers[0].mean = before + 50  # a recorded prediction follows
    np.testing.assert_allclose(again.predict_proba(x + 50), expected, rtol=1e-4, atol=1e-5)


def test_a_file_cannot_ask_for_more_memory_than_it_has(tmp_path):
    import json

    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = tmp_path / "m.safetensors"
    fn.Sequential([Standardize(0, 1)], (2,), backend="numpy").save(path)
    with safe_open(path, framework="np") as file:
        description = json.loads(file.metadata()["fastnn"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    description["layers"][0]["num_features"] = description["input_shape"][0] = 10**12
    save_file(arrays, path, {"fastnn": json.dumps(description)})
    with pytest.raises(fn.CheckpointError, match=r"array 0.mean must have shape \(1000000000000,\), got \(2,\)"):
        fn.load(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Standardize(0, 0), "^Standardize: std must be > 0, got 0$"),
        (lambda: Standardize(0, [1, -2]), "^Standardize: std must be > 0, got -2$"),
        (lambda: Standardize([[1]]), r"^Standardize: mean must be a number or have shape \(C,\), got \(1, 1\)$"),
        (lambda: Standardize([np.nan, 1]), "^Standardize: mean must be finite, got nan in row 0$"),
        (lambda: Standardize([1, 2], [1, 2, 3]), "mean and std must have 2 features .last axis., got .3,"),
        (lambda: Standardize([1, 2]).forward(np.ones((2, 3))), r"x must have 2 features .last axis., got \(2, 3\)"),
        (lambda: Standardize([1, 2]).build((5,)), r"input_shape must have 2 features .last axis., got \(5,\)"),
        (lambda: Standardize.from_data([1, 2]), r"x must have shape \(N, ..., C\) and not be empty, got \(2,\)"),
        (lambda: Standardize.from_data(np.ones((0, 2))), r"and not be empty, got \(0, 2\)"),
        (lambda: Standardize.from_data([[1], [np.inf]]), "x must be finite, got inf in row 1"),
        (lambda: setattr(Standardize([1, 2]), "std", 0), "std must be > 0, got 0"),
        (lambda: setattr(Standardize([1, 2]), "std", [1]), r"std must have shape \(2,\), got \(1,\)"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
