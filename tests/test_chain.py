"""Dense networks from the shapes of their weights: which axis is the input, activations, loss."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn as fn
from fastnn.errors import CheckpointError
from fastnn.formats import chain
from fastnn.formats.names import Module


def modules(*shapes, biases=None):
    """Layers of these weights, with biases of these shapes, or (out,) taking the last axis for out."""
    found = []
    for number, shape in enumerate(shapes, 1):
        module = Module(f"W{number}", False)
        module.put("weight", f"W{number}", np.zeros(shape))
        bias = (shape[-1],) if biases is None else biases[number - 1]
        if bias is not None:
            module.put("bias", f"b{number}", np.zeros(bias))
        found.append(module)
    return found


@pytest.mark.parametrize(
    ("shapes", "biases", "hints", "expected"),
    [
        ([(4, 3), (3, 2)], None, (None, None), "in-out"),
        ([(3, 4), (2, 3)], [(3,), (2,)], (None, None), "out-in"),
        ([(3, 4), (2, 3)], [(3, 1), (1, 2)], (None, None), "out-in"),
        ([(3, 4), (2, 3)], [None, None], (None, None), "out-in"),
        ([(4, 3)], None, (None, None), "in-out"),
        ([(4, 3)], [None], (3, None), "out-in"),
        ([(4, 3)], [None], (None, 4), "out-in"),
        ([(3, 4), (4, 3)], [(4,), (3,)], (None, None), "in-out"),
        ([(3, 4), (4, 3)], [(3,), (4,)], (None, None), "out-in"),
        ([(4, 4), (4, 4)], [(1, 4), (1, 4)], (None, None), "in-out"),
        ([(4, 4), (4, 4)], [(4, 1), (4, 1)], (None, None), "out-in"),
        ([(4, 1)], [()], (None, None), "in-out"),
    ],
)
def test_the_layout_follows_from_the_shapes(shapes, biases, hints, expected):
    assert chain.layout_of(modules(*shapes, biases=biases), None, *hints, pytorch=False) == expected


def test_where_the_shapes_fit_both():
    square = modules((4, 4), (4, 4))
    with pytest.raises(ValueError, match="import_model: layout must be in-out or out-in where the shapes fit both"):
        chain.layout_of(square, None, None, None, pytorch=False)
    assert chain.layout_of(square, "out-in", None, None, pytorch=False) == "out-in"
    assert chain.layout_of(square, None, None, None, pytorch=True) == "out-in"
    assert chain.layout_of(modules((4, 3), (3, 2)), None, None, None, pytorch=True) == "in-out"


@pytest.mark.parametrize(
    ("found", "hints", "message"),
    [
        (modules((784, 128), (64, 10)), (None, None), r"W2 \(64, 10\) does not fit after W1 \(784, 128\)"),
        (modules((4, 3), (3, 2), biases=[(3,), (5,)]), (None, None), r"b2 must have 2 values for W2 \(3, 2\), got"),
        (modules((4, 4), biases=[(2, 2)]), (None, None), r"b1 must have 4 values for W1 \(4, 4\), got shape \(2, 2\)"),
        (modules((4, 3)), (64, None), r"W1 \(4, 3\) does not fit samples of 64 values"),
        (modules((4, 3)), (None, 10), r"W1 \(4, 3\) does not fit 10 outputs"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit(found, hints, message):
    with pytest.raises(CheckpointError, match=message):
        chain.layout_of(found, None, *hints, pytorch=False)


def test_only_dense_layers_follow_from_their_shapes():
    chain.check(modules((4, 3)))
    with pytest.raises(CheckpointError, match=r"W1 has shape \(3, 3, 1, 8\), but only dense layers of two axes"):
        chain.check(modules((3, 3, 1, 8)))
    norm = Module("bn", True)
    norm.put("weight", "bn.weight", np.ones(3))
    with pytest.raises(CheckpointError, match="bn.weight belongs to a batch norm, but only dense layers"):
        chain.check([norm])


def built(*words, outputs=3, input_shape=None, **options):
    options = {"dtype": "float32", "backend": "numpy", "class_names": None, **options}
    return chain.build(modules((4, 5), (5, outputs)), "in-out", words, input_shape, **options)


@pytest.mark.parametrize(
    ("words", "outputs", "layers", "loss"),
    [
        (("relu", "softmax"), 3, "Dense ReLU Dense", fn.SoftmaxCrossEntropy),
        (("relu", "log_softmax"), 3, "Dense ReLU Dense", fn.SoftmaxCrossEntropy),
        (("tanh", "linear"), 3, "Dense Tanh Dense", fn.SoftmaxCrossEntropy),
        (("none", "identity"), 3, "Dense Dense", fn.SoftmaxCrossEntropy),
        (("sigmoid", "sigmoid"), 3, "Dense Sigmoid Dense Sigmoid", fn.MeanSquaredError),
        (("sigmoid", "sigmoid"), 1, "Dense Sigmoid Dense", fn.BinaryCrossEntropy),
        (("gelu_tanh", "linear"), 1, "Dense GELU Dense", fn.MeanSquaredError),
        (("swish", "tanh"), 1, "Dense SiLU Dense Tanh", fn.MeanSquaredError),
    ],
)
def test_activations_and_loss(words, outputs, layers, loss):
    model = built(*words, outputs=outputs)
    assert " ".join(type(layer).__name__ for layer in model.layers) == layers
    assert type(model.loss) is loss


def test_images_are_flattened():
    model = built("relu", "softmax", input_shape=(2, 2, 1), class_names=["a", "b", "c"], dtype="float64")
    assert isinstance(model.layers[0], fn.Flatten)
    assert model.input_shape == (2, 2, 1)
    assert model.class_names == ["a", "b", "c"]
    assert model.dtype == np.float64


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("relu",), "activations must be 2 names, one for each of W1, W2, got 1"),
        (("relu", "relu", "softmax"), "activations must be 2 names, one for each of W1, W2, got 3"),
        ((), "activations must be 2 names, one for each of W1, W2, got 0"),
        (("rleu", "softmax"), "activations must be of relu, leaky_relu, .*, linear, none, identity, got 'rleu'"),
    ],
)
def test_wrong_activations(words, message):
    with pytest.raises(ValueError, match=f"^import_model: {message}"):
        built(*words)


@pytest.mark.parametrize("words", [None, "relu"])
def test_what_is_no_list_of_activations(words):
    with pytest.raises(ValueError, match="^import_model: activations must be 2 names, one for each of W1, W2, got"):
        chain.build(modules((4, 5), (5, 3)), "in-out", words, None, dtype=None, backend="numpy", class_names=None)
