"""Dense: its attributes, as scripts use them."""

import numpy as np
import pytest
from backends import BACKENDS

from fastnn import initializers
from fastnn.layers import GELU, Dense, Dropout, LeakyReLU


@pytest.fixture(params=BACKENDS)
def common(request):
    return {"backend": request.param, "dtype": "float64", "seed": 0}


def test_forward_and_backward_are_the_textbook_ones(common):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, 3))
    layer = Dense(4, 3, **common)
    layer.biases = [[0.5, -1, 2]]
    y = layer.forward(x)
    np.testing.assert_allclose(y, x @ layer.weights + layer.biases)
    assert layer.output is y
    dx = layer.backward(dy)
    assert layer.dinputs is dx
    np.testing.assert_allclose(dx, dy @ layer.weights.T)
    np.testing.assert_allclose(layer.dweights, x.T @ dy)
    np.testing.assert_allclose(layer.dbiases, dy.sum(axis=0))


def test_weights_are_there_before_the_first_forward(common):
    layer = Dense(4, 3, **common)
    assert layer.weights.shape == layer.dweights.shape == (4, 3)
    assert layer.biases.shape == layer.dbiases.shape == (3,)
    assert layer.weights.any()
    assert not layer.biases.any()
    assert not layer.gradients.any()
    assert layer.parameter_count == 15
    assert layer.multiply_adds((4,)) == 12


def test_assigned_weights_land_in_the_flat_array(common):
    layer = Dense(2, 2, **common)
    parameters = layer.parameters
    layer.weights = [[1, 2], [3, 4]]
    layer.biases = np.array([[5, 6]])
    np.testing.assert_array_equal(parameters, [1, 2, 3, 4, 5, 6])
    layer.weights -= 1
    layer.dweights = np.clip(np.full((2, 2), 9.0), -1, 1)
    np.testing.assert_array_equal(parameters, [0, 1, 2, 3, 5, 6])
    np.testing.assert_array_equal(layer.gradients, [1, 1, 1, 1, 0, 0])


def test_wrong_assignments(common):
    layer = Dense(4, 3, **common)
    with pytest.raises(ValueError, match=r"^Dense: weights must have shape \(4, 3\), got \(3, 4\)$"):
        layer.weights = np.ones((3, 4))
    with pytest.raises(ValueError, match=r"^Dense: weights must have shape \(4, 3\), got \(\)$"):
        layer.weights = 0.0
    with pytest.raises(ValueError, match=r"^Dense: biases must have shape \(3,\), got \(3, 1\)$"):
        layer.biases = np.ones((3, 1))
    with pytest.raises(TypeError, match="^Dense: weights must hold real numbers, got dtype object$"):
        layer.weights = np.full((4, 3), None)


def test_without_biases(common):
    layer = Dense(4, 3, bias=False, **common)
    assert layer.parameter_names == ("weights",)
    assert not hasattr(layer, "biases")
    with pytest.raises(AttributeError, match="^Dense: has no biases$"):
        layer.biases = [1, 2, 3]


def test_in_features_is_inferred_once(common):
    layer = Dense(out_features=3, **common)
    assert layer.parameter_count == 0
    message = r"^Dense: parameters need the input's shape: call forward or build\(input_shape\) first$"
    with pytest.raises(RuntimeError, match=message):
        layer.weights  # noqa: B018
    assert layer.forward(np.ones((2, 4))).shape == (2, 3)
    assert layer.in_features == 4
    weights = layer.weights
    layer.build((4,))
    assert layer.weights is weights
    with pytest.raises(ValueError, match=r"^Dense: x must have shape \(N, 4\), got \(2, 5\)$"):
        layer.forward(np.ones((2, 5)))
    with pytest.raises(ValueError, match=r"^Dense: input_shape must be \(4,\), got \(28, 28, 1\)$"):
        layer.build((28, 28, 1))


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"in_features": 4}, TypeError, "Dense: out_features must be an integer, got None"),
        ({"out_features": 0}, ValueError, "Dense: out_features must be >= 1, got 0"),
        ({"in_features": 2.0, "out_features": 1}, TypeError, "Dense: in_features must be an integer, got float"),
        ({"out_features": True}, TypeError, "Dense: out_features must be an integer, got True"),
        ({"out_features": 1, "bias": 1}, TypeError, "Dense: bias must be True or False, got int"),
        ({"out_features": 1, "init": "xavier"}, ValueError, "Dense: init must be one of 'he_normal', "),
        ({"out_features": 1, "init": -1}, ValueError, "Dense: init must be >= 0, got -1"),
        ({"out_features": 1, "init": None}, TypeError, "Dense: init must be a name, a number or a function, got None"),
        ({"out_features": 1, "activation": "rely"}, ValueError, "Dense: activation must be one of 'relu', "),
        ({"out_features": 1, "activation": max}, TypeError, "Dense: activation must be a name or an activation layer"),
        ({"out_features": 1, "activation": Dropout()}, TypeError, "Dense: activation must be a name or an"),
        ({"out_features": 1, "units": 3}, TypeError, "unexpected keyword argument 'units'"),
    ],
)  # fmt: skip
def test_wrong_constructor_arguments(keywords, error, message):
    with pytest.raises(error, match=message):
        Dense(**keywords)


def test_activation_is_a_layer_of_its_own(common):
    mine = LeakyReLU(0.25)
    layer = Dense(4, 3, activation=mine, **common)
    x = np.random.default_rng(0).standard_normal((6, 4))
    z = x @ layer.weights
    np.testing.assert_allclose(layer.forward(x), np.where(z > 0, z, z / 4))
    assert layer.activation is not mine
    assert mine.output is None
    wide = Dense(4, 3, activation=GELU("tanh"), **common)
    assert wide.config()["activation"] == {"type": "GELU", "approximate": "tanh"}


def test_init_by_name_number_and_function(common):
    shape, rng = (4, 3), np.random.default_rng(0)
    expected = {
        "glorot_uniform": initializers.glorot_uniform(shape, np.random.default_rng(0)),
        0.01: 0.01 * rng.standard_normal(shape),
    }
    for init, weights in expected.items():
        np.testing.assert_array_equal(Dense(4, 3, init=init, **common).weights, weights)
        assert Dense(4, 3, init=init, **common).config()["init"] == init
    own = Dense(4, 3, init=lambda shape, rng: np.full(shape, 2.0), **common)
    assert (own.weights == 2).all()
    assert "init" not in own.config()
    with pytest.raises(ValueError, match=r"^Dense: init must return shape \(4, 3\), got \(3,\)$"):
        Dense(4, 3, init=lambda shape, rng: np.zeros(3), **common).build((4,))


def test_seeds(common):
    seeded = Dense(4, 3, **common)
    np.testing.assert_array_equal(seeded.weights, Dense(4, 3, **common).weights)
    rng = np.random.default_rng(0)
    first, second = Dense(4, 3, **{**common, "seed": rng}), Dense(4, 3, **{**common, "seed": rng})
    assert (first.weights != second.weights).all()
    unseeded = Dense(4, 3, **{**common, "seed": None})
    unseeded.place(seed=0)
    np.testing.assert_array_equal(unseeded.weights, seeded.weights)
    seeded.place(seed=1)
    assert seeded.seed == 0


def test_float32_is_the_default():
    layer = Dense(4, 3, backend="numpy")
    assert layer.forward(np.ones((2, 4), np.int64)).dtype == layer.weights.dtype == np.float32
