"""What every layer must do, whichever it is."""

import copy
import pickle
import subprocess
import sys

import gradients
import numpy as np
import pytest
from backends import BACKENDS

from fastnn import layers
from fastnn.layers import TABLE, Layer, describe, rebuild

IMAGE, ROW = (5, 6, 4), (7,)
WIDE = {"dtype": "float64", "seed": 3}

# type name -> (constructor, shape of a sample), several per type where its options matter.
CASES = {
    "Dense": [
        (lambda **c: layers.Dense(7, 5, **c), ROW),
        (lambda **c: layers.Dense(None, 3, bias=False, **c), ROW),
        *[
            (lambda f=f, **c: layers.Dense(7, 5, activation=f, **c), ROW)
            for f in ("relu", "leaky_relu", "elu", "gelu", "gelu_tanh", "silu", "softplus", "sigmoid", "tanh")
        ],
        (lambda **c: layers.Dense(7, 5, activation="softmax", **c), ROW),
        (lambda **c: layers.Dense(7, 5, activation=layers.LeakyReLU(0.3, **c), **c), ROW),
    ],
    "Conv2D": [
        (lambda **c: layers.Conv2D(4, 6, 3, **c), IMAGE),
        (lambda **c: layers.Conv2D(None, 6, (2, 3), stride=(2, 1), padding="same", bias=False, **c), IMAGE),
        (lambda **c: layers.Conv2D(4, 6, 3, stride=2, padding=(1, 2), activation="relu", **c), IMAGE),
        (lambda **c: layers.Conv2D(4, 4, 2, dilation=2, groups=2, activation="gelu", **c), IMAGE),
        (lambda **c: layers.Conv2D(4, 8, 3, padding=1, groups=4, **c), IMAGE),
    ],
    "MaxPool2D": [
        (lambda **c: layers.MaxPool2D(**c), IMAGE),
        (lambda **c: layers.MaxPool2D((3, 2), stride=(1, 2), padding=1, ceil_mode=True, **c), IMAGE),
    ],
    "AvgPool2D": [
        (lambda **c: layers.AvgPool2D(**c), IMAGE),
        (lambda **c: layers.AvgPool2D(3, stride=2, padding=1, ceil_mode=True, **c), IMAGE),
        (lambda **c: layers.AvgPool2D(3, stride=2, padding=1, count_include_pad=False, **c), IMAGE),
    ],
    "GlobalAvgPool2D": [(lambda **c: layers.GlobalAvgPool2D(**c), IMAGE)],
    "BatchNorm": [(lambda **c: layers.BatchNorm(7, **c), ROW), (lambda **c: layers.BatchNorm(**c), IMAGE)],
    "Dropout": [(lambda **c: layers.Dropout(0.4, **c), ROW)],
    "Flatten": [(lambda **c: layers.Flatten(**c), IMAGE)],
    "Reshape": [(lambda **c: layers.Reshape((4, -1), **c), IMAGE)],
    "Residual": [
        (
            lambda **c: layers.Residual(
                [layers.ReLU(**c), layers.Dense(7, 4, **c), layers.Tanh(**c), layers.Dense(4, 7, **c)], **c
            ),
            ROW,
        ),
        (
            lambda **c: layers.Residual(
                [layers.Conv2D(None, 4, 3, padding="same", **c), layers.BatchNorm(**c), layers.ReLU(**c)], **c
            ),
            IMAGE,
        ),
    ],
    "Clip": [(lambda **c: layers.Clip(-0.5, 1, **c), IMAGE)],
    "Standardize": [
        (lambda **c: layers.Standardize([0.5, 2, -1, 0], 3, **c), IMAGE),
        (lambda **c: layers.Standardize(0.1, 0.3, **c), ROW),
    ],
    "ReLU": [(lambda **c: layers.ReLU(**c), IMAGE)],
    "LeakyReLU": [(lambda s=s, **c: layers.LeakyReLU(s, **c), ROW) for s in (0, 0.2)],
    "ELU": [(lambda **c: layers.ELU(0.7, **c), ROW)],
    "GELU": [(lambda a=a, **c: layers.GELU(a, **c), ROW) for a in ("none", "tanh")],
    "SiLU": [(lambda **c: layers.SiLU(**c), ROW)],
    "Softplus": [(lambda **c: layers.Softplus(**c), ROW)],
    "Sigmoid": [(lambda **c: layers.Sigmoid(**c), ROW)],
    "Tanh": [(lambda **c: layers.Tanh(**c), IMAGE)],
    "Softmax": [(lambda **c: layers.Softmax(**c), ROW), (lambda **c: layers.Softmax(**c), IMAGE)],
    "LogSoftmax": [(lambda **c: layers.LogSoftmax(**c), ROW)],
}
ALL = [
    pytest.param(make, shape, id=f"{name}-{number}")
    for name, cases in CASES.items()
    for number, (make, shape) in enumerate(cases)
]

every_layer = pytest.mark.parametrize(("make", "shape"), ALL)


@pytest.fixture(params=BACKENDS)
def common(request):
    return {**WIDE, "backend": request.param}


def sample(shape, n=3, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *shape))


def in_inference(layer):
    """Dropout draws a new mask at every call; elsewhere training mode is the harder case."""
    if isinstance(layer, layers.Dropout):
        layer.eval()
    return layer


def test_every_layer_of_the_table_is_tested():
    assert CASES.keys() == TABLE.keys()


@every_layer
def test_gradients(common, make, shape):
    gradients.check_layer(in_inference(make(**common)), sample(shape))


@every_layer
def test_gradients_of_one_sample(common, make, shape):
    gradients.check_layer(in_inference(make(**common)), sample(shape, n=1))


@every_layer
def test_output_shape_is_told_before(common, make, shape):
    layer = make(**common)
    layer.build(shape)
    assert layer.forward(sample(shape)).shape == (3, *layer.output_shape(shape))


@every_layer
def test_float32(common, make, shape):
    narrow = make(**{**common, "dtype": "float32"})
    wide = make(**common)
    x = sample(shape)
    y, reference = narrow.forward(x), wide.forward(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, reference, rtol=2e-4, atol=2e-5)
    dy = sample(y.shape[1:], seed=1)
    dx = narrow.backward(dy)
    assert dx.dtype == np.float32
    np.testing.assert_allclose(dx, wide.backward(dy), rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(narrow.gradients, wide.gradients, rtol=2e-3, atol=2e-4)


@every_layer
def test_any_memory_layout_and_number_type_is_taken(common, make, shape):
    layer = in_inference(make(**common))
    x = np.round(4 * sample(shape)).astype(np.float64)
    expected = layer.forward(x).copy()
    read_only = x.copy()
    read_only.flags.writeable = False
    bytes_ = np.zeros(x.nbytes + 1, np.uint8)[1:]
    misaligned = bytes_.view(np.float64).reshape(x.shape)
    misaligned[...] = x
    forms = [
        np.asfortranarray(x), x.astype(np.int8), x.astype(np.float32), x.astype(">f8"), x.tolist(), read_only,
        misaligned, np.repeat(x, 2, axis=0)[::2], x[::-1][::-1],
    ]  # fmt: skip
    for form in forms:
        np.testing.assert_allclose(layer.forward(form), expected, rtol=1e-12, atol=1e-12)


@every_layer
def test_bad_input_is_refused(common, make, shape):
    layer = make(**common)
    name = type(layer).__name__
    with pytest.raises(RuntimeError, match=f"^{name}: backward needs a forward before it$"):
        layer.backward(sample(shape))
    layer.forward(sample(shape))
    with pytest.raises(ValueError, match=rf"^{name}: x must (have shape|not be empty)"):
        layer.forward(np.ones((0, *shape)))
    with pytest.raises(TypeError, match=f"^{name}: x must hold real numbers, got dtype complex128$"):
        layer.forward(sample(shape) * 1j)
    with pytest.raises(TypeError, match=f"^{name}: x must hold real numbers, got dtype object$"):
        layer.forward(sample(shape).astype(object))
    with pytest.raises(TypeError, match=f"^{name}: x must hold real numbers, got dtype <U1$"):
        layer.forward("x")
    with pytest.raises(ValueError, match=f"^{name}: x must be a rectangular array, got unequal rows$"):
        layer.forward([[1.0, 2.0], [3.0]])
    with pytest.raises(ValueError, match=f"^{name}: x must have shape"):
        layer.forward(1.0)
    y = layer.forward(sample(shape))
    with pytest.raises(ValueError, match=rf"^{name}: dy must have shape .* got \({len(y) + 1}, "):
        layer.backward(np.ones((len(y) + 1, *y.shape[1:])))


@every_layer
def test_backward_with_the_input_passed_again(common, make, shape):
    a, b = in_inference(make(**common)), in_inference(make(**common))
    x, other = sample(shape), sample(shape, seed=5)
    dy = sample(a.forward(x).shape[1:], seed=1)
    expected = a.backward(dy).copy()
    b.forward(other)
    np.testing.assert_array_equal(b.backward(dy, x), expected)
    np.testing.assert_array_equal(b.gradients, a.gradients)
    fresh = in_inference(make(**common))
    np.testing.assert_array_equal(fresh.backward(dy, x), expected)


@every_layer
def test_results_are_never_overwritten_while_held(common, make, shape):
    layer = make(**common)
    held = []
    for seed in range(8):
        y = layer.forward(sample(shape, seed=seed))
        dx = layer.backward(sample(y.shape[1:], seed=seed))
        held += [(y, y.copy()), (dx, dx.copy()), (y.reshape(-1)[1:], y.reshape(-1)[1:].copy())]
    for array, copy_ in held:
        np.testing.assert_array_equal(array, copy_)


@every_layer
def test_config_makes_the_same_layer_again(common, make, shape):
    layer = make(**common)
    layer.build(shape)
    twin = rebuild(describe(layer))
    assert type(twin) is type(layer)
    assert describe(twin) == describe(layer)
    twin.build(shape)
    twin.parameters[:] = layer.parameters
    for name, state in layer.named_states().items():
        twin.named_states()[name][...] = state
    x = sample(shape)
    np.testing.assert_array_equal(in_inference(twin).forward(x), in_inference(layer).forward(x))
    assert type(layer).__name__ in repr(layer)


@every_layer
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_is_whole_and_independent(common, make, shape, duplicate):
    layer = in_inference(make(**common))
    x = sample(shape)
    expected = layer.forward(x).copy()
    twin = duplicate(layer)
    np.testing.assert_array_equal(twin.forward(x), expected)
    twin.parameters[:] += 1
    for view in twin.named_parameters().values():
        assert np.shares_memory(view, twin.parameters)
    np.testing.assert_array_equal(layer.forward(x), expected)


@every_layer
def test_bind_moves_parameters_and_gradients(common, make, shape):
    layer = in_inference(make(**common))
    x = sample(shape)
    y = layer.forward(x).copy()
    dy = sample(y.shape[1:], seed=1)
    layer.backward(dy)
    n = layer.parameter_count
    old = layer.parameters.copy(), layer.gradients.copy()
    parameters, grads = np.full(n + 2, 7.0), np.full(n + 2, 7.0)
    layer.bind(parameters[1:-1], grads[1:-1])
    np.testing.assert_array_equal(parameters, [7, *old[0], 7])
    np.testing.assert_array_equal(grads, [7, *old[1], 7])
    np.testing.assert_array_equal(layer.forward(x), y)
    grads[1:-1] = 0
    layer.backward(dy)
    np.testing.assert_array_equal(grads[1:-1], old[1])


@every_layer
def test_no_input_gradient_where_none_is_needed(common, make, shape):
    layer, plain = make(**common), make(**common)
    layer.needs_input_gradient = False
    x = sample(shape)
    dy = sample(layer.forward(x).shape[1:], seed=1)
    plain.forward(x)
    plain.backward(dy)
    assert layer.backward(dy) is None
    assert layer.dinputs is None
    np.testing.assert_array_equal(layer.gradients, plain.gradients)


@every_layer
def test_the_same_seed_gives_the_same_layer(common, make, shape):
    x = sample(shape)
    a, b = make(**common).forward(x), make(**common).forward(x)
    np.testing.assert_array_equal(a, b)


@every_layer
def test_place_changes_dtype_and_keeps_parameters(common, make, shape):
    layer = in_inference(make(**common))
    x = sample(shape)
    expected = layer.forward(x).copy()
    layer.place(dtype="float32")
    assert layer.parameters.dtype == np.float32
    assert layer.forward(x).dtype == np.float32
    np.testing.assert_allclose(layer.forward(x), expected, rtol=2e-4, atol=2e-5)
    layer.backward(np.ones_like(expected))


@every_layer
def test_release_frees_everything(common, make, shape):
    layer = make(**common)
    layer.backward(layer.forward(sample(shape)))
    layer.release()
    assert (layer.inputs, layer.output, layer.dinputs) == (None, None, None)
    with pytest.raises(RuntimeError, match="needs a forward"):
        layer.backward(sample(shape))


@pytest.mark.parametrize("kind", TABLE.values())
def test_common_keywords_are_checked(kind):
    needed = {"Dense": {"out_features": 2}, "Conv2D": {"out_channels": 2}, "Reshape": {"shape": (2,)},
              "Clip": {"min_value": 0, "max_value": 1}}  # fmt: skip
    keywords = needed.get(kind.__name__, {})
    if kind is layers.Residual:
        keywords = {"layers": [layers.ReLU()]}
    name = kind.__name__
    with pytest.raises(TypeError, match=f"^{name}: dtype must be float32 or float64, got 'int8'$"):
        kind(**keywords, dtype="int8")
    with pytest.raises(ValueError, match=f"^{name}: backend must be one of 'numba', 'numpy', got 'torch'$"):
        kind(**keywords, backend="torch")
    with pytest.raises(TypeError, match=f"^{name}: seed must be None, an integer or a Generator, got float$"):
        kind(**keywords, seed=1.5)
    with pytest.raises(ValueError, match=f"^{name}: seed must be >= 0, got -1$"):
        kind(**keywords, seed=-1)


def test_rebuild_knows_its_table_only():
    with pytest.raises(ValueError, match="^layers: type must be one of Dense, .* got 'os.system'$"):
        rebuild({"type": "os.system"})


def test_a_layer_must_define_its_work():
    with pytest.raises(TypeError, match="Layer must define _forward"):
        Layer().forward([1.0])


def test_numba_is_not_imported():
    code = "import sys, fastnn.layers, fastnn.losses, fastnn.optimizers; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
