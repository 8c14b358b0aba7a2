"""The layouts of other programs: against NumPy's own sums over images (C, H, W), and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from networks import cnn, filled

import fastnn as fn
from fastnn.formats import names, places

PYTORCH_NAMES = [
    "0.weight", "0.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var", "2.num_batches_tracked",
    "4.0.weight", "4.1.weight", "4.1.bias", "4.1.running_mean", "4.1.running_var", "4.1.num_batches_tracked",
    "5.weight", "5.bias", "7.weight", "7.bias", "7.running_mean", "7.running_var", "7.num_batches_tracked",
    "10.weight", "10.bias", "12.weight", "12.bias",
]  # fmt: skip


def test_names_are_the_places_in_a_sequential_of_pytorch():
    state = places.pytorch_arrays(cnn())
    assert list(state) == PYTORCH_NAMES
    assert state["0.weight"].shape == (4, 3, 3, 3)
    assert state["4.0.weight"].shape == (4, 2, 3, 3)
    assert state["5.weight"].shape == (6, 4, 3, 2)
    assert state["10.weight"].shape == (7, 54)
    assert all(a.flags.c_contiguous for a in state.values())


def test_numpy_names_count_by_kind():
    model = cnn()
    arrays = places.numpy_arrays(model)
    assert list(arrays) == [
        "W1", "b1", "gamma1", "beta1", "running_mean1", "running_var1", "W2", "gamma2", "beta2", "running_mean2",
        "running_var2", "W3", "b3", "gamma3", "beta3", "running_mean3", "running_var3", "W4", "b4", "W5", "b5",
    ]  # fmt: skip
    assert arrays["W2"] is model.layers[3].layers[0].weights or np.shares_memory(arrays["W2"], model.parameters)


def test_a_flattened_image_and_a_convolution_as_sums_over_channels_first():
    layers = [fn.Conv2D(3, 4, (2, 3)), fn.Flatten(), fn.BatchNorm(), fn.Dense(None, 5)]
    model = filled(fn.Sequential(layers, (5, 6, 3), dtype="float64", backend="numpy"))
    state = places.pytorch_arrays(model)
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 6))
    windows = np.lib.stride_tricks.sliding_window_view(x, (2, 3), (2, 3))
    y = np.einsum("nchwrs,kcrs->nkhw", windows, state["0.weight"]) + state["0.bias"][:, None, None]
    y = y.reshape(2, -1)
    y = (y - state["2.running_mean"]) / np.sqrt(state["2.running_var"] + 1e-5) * state["2.weight"] + state["2.bias"]
    y = y @ state["3.weight"].T + state["3.bias"]
    np.testing.assert_allclose(model.predict_outputs(x.transpose(0, 2, 3, 1)), y, rtol=1e-12, atol=1e-12)


def modules_of(arrays, pytorch):
    pairs = [((name,), a) for name, a in arrays.items()]
    return names.pytorch_modules(pairs) if pytorch else names.numpy_modules(pairs)[0]


@pytest.mark.parametrize("pytorch", [True, False])
def test_there_and_back_is_bit_exact(pytorch):
    model, other = cnn(), filled(cnn(), seed=1)
    arrays = places.pytorch_arrays(model) if pytorch else places.numpy_arrays(model)
    places.fill(other, modules_of(arrays, pytorch), pytorch=pytorch, channels_first=pytorch)
    for name, a in model.weights().items():
        np.testing.assert_array_equal(other.weights()[name], a)


def dense(*layers, shape=(3, 4, 2)):
    return fn.Sequential([*layers, fn.Dense(None, 2)], shape, backend="numpy")


@pytest.mark.parametrize(
    "model",
    [
        dense(fn.Flatten(), fn.Reshape((24,)), fn.Dropout(0.1), fn.Softmax()),
        dense(fn.Reshape((-1,))),
        dense(fn.Flatten(), fn.Reshape((3, 4, 2)), fn.Reshape((24,))),
        dense(fn.Flatten(), fn.Dense(None, 6), fn.Reshape((2, 3, 1)), fn.Conv2D(None, 2, 1), fn.Flatten()),
        dense(fn.GlobalAvgPool2D()),
        dense(fn.Conv2D(None, 5, (3, 4)), fn.Flatten(), fn.Reshape((1, 1, 5)), fn.Reshape((5,))),
        dense(fn.Residual([fn.Dense(4, 4)]), shape=(4,)),
    ],
)
def test_changes_of_shape_that_have_a_counterpart(model):
    arrays, copy = places.pytorch_arrays(model), filled(model, 1)
    places.fill(copy, modules_of(arrays, True), pytorch=True, channels_first=True)
    again = places.pytorch_arrays(copy)
    assert all((again[name] == a).all() for name, a in arrays.items())


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (dense(fn.Flatten(), fn.Reshape((6, 2, 2)), fn.Flatten()), "1 .Reshape"),
        (dense(fn.Flatten(), fn.Dense(None, 8), fn.Reshape((2, 2, 2)), fn.Flatten()), "2 .Reshape"),
        (dense(fn.Flatten(), fn.Residual([fn.Dense(24, 24)])), "1 .Residual"),
    ],
)
def test_changes_of_shape_that_have_none(model, place):
    with pytest.raises(ValueError, match=f"export_model: layer {place}.* has no counterpart where images are"):
        places.pytorch_arrays(model)
    assert "W1" in places.numpy_arrays(model)


def test_rows_over_channels_first_in_a_numpy_script():
    model = dense(fn.Flatten())
    w = np.random.default_rng(0).standard_normal((24, 2)).astype(np.float32)
    x = np.random.default_rng(1).standard_normal((5, 2, 3, 4)).astype(np.float32)
    pairs = modules_of({"W1": w, "b1": np.zeros(2)}, False)
    places.fill(model, pairs, pytorch=False, channels_first=True)
    expected = x.reshape(5, -1) @ w
    np.testing.assert_allclose(model.predict_outputs(x.transpose(0, 2, 3, 1)), expected, rtol=1e-5, atol=1e-6)


# What does not fit


def changed(**values):
    """PyTorch's arrays of the network with some replaced, by name with _ for the dot; None: left out."""
    arrays = places.pytorch_arrays(cnn("float32"))
    for name, value in values.items():
        place, _, role = name.removeprefix("m").partition("_")
        arrays[f"{place}.{role}"] = value
    return {name: a for name, a in arrays.items() if a is not None}


NAN = np.zeros((5, 7), np.float32)
NAN[2, 3] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (changed(m12_weight=None, m12_bias=None), "it holds no Dense for layer 10 of the model"),
        (changed(m13_weight=np.zeros((2, 2))), "the model has no layer for 13"),
        (changed(m12_bias=None), r"12 does not fit layer 10 \(Dense\): one of them has no bias"),
        (changed(m12_weight=np.zeros((5, 6))), r"12.weight must have shape \(5, 7\) for layer 10 .* got \(5, 6\); if"),
        (changed(m0_weight=np.zeros((4, 3, 5, 5))), r"0.weight must have shape \(4, 3, 3, 3\) for layer 0 \(Conv2D\)"),
        (changed(m12_weight=NAN), "12.weight must be finite, got nan"),
        (changed(m12_bias=np.full(5, 1e300)), r"12.bias must be finite, got 1e\+300"),
        (changed(m12_bias=np.zeros(5, complex)), "12.bias must hold real numbers, got dtype complex128"),
        (changed(m12_weight=np.zeros((5, 7, 1))), r"12.weight must have 2 or 4 axes, got shape \(5, 7, 1\)"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_change_nothing(arrays, message):
    model = cnn("float32")
    before = {name: a.copy() for name, a in model.weights().items()}
    with pytest.raises(fn.CheckpointError, match=message):
        places.fill(model, modules_of(arrays, True), pytorch=True, channels_first=True)
    for name, a in model.weights().items():
        np.testing.assert_array_equal(a, before[name])
