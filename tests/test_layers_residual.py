"""Residual: layers within a layer."""

import numpy as np
import pytest
from backends import BACKENDS

from fastnn.layers import BatchNorm, Dense, Dropout, Flatten, ReLU, Residual, describe


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64", "seed": 0}


def test_the_sum(common):
    inner = Dense(3, 3, **common)
    layer = Residual([inner])
    x = np.random.default_rng(0).standard_normal((2, 3))
    np.testing.assert_allclose(layer.forward(x), x + x @ inner.weights)
    np.testing.assert_allclose(layer.backward(x), x + x @ inner.weights.T)


def test_parameters_are_joined_and_named_by_place(common):
    layer = Residual([ReLU(**common), Dense(3, 4, **common), BatchNorm(4, **common), Dense(None, 3, **common)])
    layer.build((3,))
    names = ("1.weights", "1.biases", "2.gamma", "2.beta", "3.weights", "3.biases")
    assert layer.parameter_names == tuple(layer.named_parameters()) == names
    assert layer.state_names == tuple(layer.named_states()) == ("2.running_mean", "2.running_var")
    assert layer.parameter_count == 12 + 4 + 8 + 12 + 3
    assert layer.multiply_adds((3,)) == 24
    layer.parameters[:] = 1
    assert (layer.layers[3].weights == 1).all()
    layer.layers[1].weights = np.full((3, 4), 5.0)
    assert (layer.parameters[:12] == 5).all()


def test_modes_scratch_and_release_reach_the_layers(common):
    dropout = Dropout(0.5, **common)
    layer = Residual([dropout, Residual([Dropout(0.5, **common)])])
    layer.eval()
    x = np.ones((2, 3))
    np.testing.assert_array_equal(layer.forward(x), 3 * x)
    layer.train()
    assert dropout.training
    layer.forward(x)
    layer.release()
    assert dropout.output is None
    assert dropout.scratch is layer.scratch


def test_seed_and_dtype_of_the_layers():
    a, b = (Residual([Dense(3, 3), Dense(3, 3)], seed=1, dtype="float64", backend="numpy") for _ in "ab")
    np.testing.assert_array_equal(a.parameters, b.parameters)
    assert a.parameters.dtype == np.float64
    assert a.layers[0].backend == "numpy"
    assert (a.layers[0].weights != a.layers[1].weights).all()
    own = Residual([Dense(3, 3, seed=5)], seed=1)
    np.testing.assert_array_equal(own.layers[0].weights, Dense(3, 3, seed=5).weights)


def test_nested_description_can_be_written_as_json(common):
    import json

    layer = Residual([Residual([Dense(3, 3, **common)]), ReLU(**common)])
    assert json.loads(json.dumps(describe(layer))) == describe(layer)


def test_refusals(common):
    with pytest.raises(ValueError, match="^Residual: layers must not be empty$"):
        Residual([])
    with pytest.raises(TypeError, match=r"^Residual: layers\[1\] must be a Layer, got 'relu'$"):
        Residual([ReLU(), "relu"])
    with pytest.raises(ValueError, match="^Residual: layers must be different objects, got one of them twice$"):
        Residual([ReLU()] * 2)
    with pytest.raises(ValueError, match="^Residual: layers must have one dtype, got float32, float64$"):
        Residual([ReLU(), ReLU(dtype="float64")])
    keeps = r"^Residual: layers must keep the shape \({}\) of x, got \({}\)$"
    with pytest.raises(ValueError, match=keeps.format("4,", "3,")):
        Residual([Dense(4, 3, **common)]).build((4,))
    with pytest.raises(ValueError, match=keeps.format("2, 2, 2", "2, 4")):
        Residual([Flatten(**common)]).forward(np.ones((2, 2, 2)))
    with pytest.raises(ValueError, match=r"^Dense: x must have shape \(N, 4\), got \(2, 3\)$"):
        Residual([Dense(4, 4, **common)]).forward(np.ones((2, 3)))
