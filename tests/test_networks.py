"""The networks by name: every one fits every image size it promises, its keywords do what they say, and it learns."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import Sequential, datasets
from fastnn.layers import BatchNorm, Conv2D, Dense, Dropout, MaxPool2D, Tanh
from fastnn.networks import NETWORKS, cnn, lenet5, mlp, resnet, vgg
from fastnn.optimizers import Adam
from fastnn.schedules import OneCycle

SHAPES = [(8, 8, 1), (28, 28, 1), (32, 32, 3), (20, 30, 1)]
RGB = (32, 32, 3)


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def weights(layers, shape):
    model = Sequential(layers, shape, backend="numpy", seed=0)
    return [a.shape for a in model.weights().values() if a.ndim > 1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_takes_every_image_size(name, shape):
    model = Sequential(NETWORKS[name](shape, 7), shape, backend="numpy", seed=0)
    x = np.random.default_rng(0).random((2, *shape), np.float32)
    assert model.predict_proba(x).shape == (2, 7)


@pytest.mark.parametrize("name", ["mlp", "cnn", "lenet5"])
def test_every_network_learns_the_digits(name):
    (x, y), (x_test, y_test) = datasets.load_digits()
    model = Sequential(NETWORKS[name](x.shape[1:], 10), x.shape[1:], backend="numpy", seed=0)
    model.compile(Adam(OneCycle(0.004)))
    model.fit(x, y, epochs=10, batch_size=32, verbose=False)
    assert model.evaluate(x_test, y_test)[1] > 0.9


def test_lenet5_has_the_weights_of_the_paper():
    assert weights(lenet5((32, 32, 1), 10), (32, 32, 1)) == [
        (5, 5, 1, 6), (5, 5, 6, 16), (400, 120), (120, 84), (84, 10),
    ]  # fmt: skip


def test_hidden_layers():
    assert weights(mlp((4,), 3, hidden=(5, 6)), (4,)) == [(4, 5), (5, 6), (6, 3)]
    assert weights(mlp((4,), 3, hidden=[]), (4,)) == [(4, 3)]


def test_the_order_of_an_mlp():
    layers = mlp((4,), 3, hidden=(5, 6), activation="tanh", dropout=0.2, batch_norm=True, init=0.01)
    assert kinds(layers) == [
        "Flatten", "Dense", "BatchNorm", "Tanh", "Dropout", "Dense", "BatchNorm", "Tanh", "Dropout", "Dense",
    ]  # fmt: skip
    dense = [layer for layer in layers if isinstance(layer, Dense)]
    assert [layer.bias for layer in dense] == [False, False, True]
    assert all(layer.config()["init"] == 0.01 for layer in dense)
    assert all(layer.rate == 0.2 for layer in layers if isinstance(layer, Dropout))


def test_what_goes_into_hidden_activations_is_clipped():
    layers = mlp((4,), 3, hidden=(5,), batch_norm=True, clip_pre_activations=2.5)
    assert kinds(layers) == ["Flatten", "Dense", "BatchNorm", "Clip", "ReLU", "Dense"]
    assert (layers[3].min_value, layers[3].max_value) == (-2.5, 2.5)
    layers = cnn(RGB, 10, channels=(4,), dense=(5,), clip_pre_activations=1, pool_first=True)
    assert kinds(layers) == ["Conv2D", "MaxPool2D", "Clip", "ReLU", "Flatten", "Dense", "Clip", "ReLU", "Dense"]


def test_the_order_of_a_cnn():
    block = ["Conv2D", "ReLU"]
    assert kinds(cnn(RGB, 10)) == [*block, "MaxPool2D"] * 2 + ["Flatten", "Dense", "ReLU", "Dense"]
    layers = cnn(
        RGB, 10, channels=(4,), convs=2, kernel_size=5, dense=(), batch_norm=True, pool_first=True, dropout=0.5
    )
    assert kinds(layers) == [
        "Conv2D", "BatchNorm", "ReLU", "Conv2D", "MaxPool2D", "BatchNorm", "ReLU", "Flatten", "Dropout", "Dense",
    ]  # fmt: skip
    assert weights(layers, RGB) == [(5, 5, 3, 4), (5, 5, 4, 4), (16 * 16 * 4, 10)]


def test_a_kernel_size_for_each_stage_and_no_padding():
    layers = cnn((28, 28, 1), 10, channels=(10, 20), kernel_size=(5, 3), padding="valid", dense=())
    assert weights(layers, (28, 28, 1)) == [(5, 5, 1, 10), (3, 3, 10, 20), (5 * 5 * 20, 10)]


def test_vgg_and_resnet():
    sizes = [32, 32, 64, 64, 128, 128]
    assert [layer.out_channels for layer in vgg(RGB, 10) if isinstance(layer, Conv2D)] == sizes
    assert sum(isinstance(layer, MaxPool2D) for layer in vgg(RGB, 10)) == 3
    layers = resnet(RGB, 10, channels=(4, 8), blocks=1, activation="tanh")
    assert kinds(layers) == [
        "Conv2D", "BatchNorm", "Tanh", "Residual", "Tanh", "Conv2D", "BatchNorm", "Tanh", "Residual", "Tanh",
        "GlobalAvgPool2D", "Dense",
    ]  # fmt: skip
    assert kinds(layers[3].layers) == ["Conv2D", "BatchNorm", "Tanh", "Conv2D", "BatchNorm"]
    assert isinstance(layers[2], Tanh)
    assert isinstance(layers[1], BatchNorm)


@pytest.mark.parametrize(
    ("builder", "keywords", "message"),
    [
        (mlp, {"hidden": 3}, "mlp: hidden must be a list of integers, got int"),
        (mlp, {"hidden": (3, 0)}, "mlp: hidden must be >= 1, got 0"),
        (mlp, {"activation": "step"}, "mlp: activation must be one of 'relu', "),
        (mlp, {"dropout": 1}, "mlp: dropout must be >= 0 and < 1, got 1"),
        (mlp, {"batch_norm": 1}, "mlp: batch_norm must be True or False, got int"),
        (mlp, {"clip_pre_activations": -1}, "mlp: clip_pre_activations must be >= 0, got -1"),
        (mlp, {"init": "she"}, "mlp: init must be one of 'he_normal', "),
        (cnn, {"channels": ()}, "cnn: channels must not be empty"),
        (cnn, {"channels": (4,) * 6}, "cnn: channels must be at most 5 for 32x32 pixels, got 6"),
        (cnn, {"convs": 0}, "cnn: convs must be >= 1, got 0"),
        (cnn, {"kernel_size": 0}, "cnn: kernel_size must be >= 1, got 0"),
        (cnn, {"kernel_size": (3, 5, 3)}, "cnn: kernel_size must be one number or 2, one for each stage, got 3"),
        (cnn, {"padding": "full"}, "cnn: padding must be one of 'same', 'valid', got 'full'"),
        (cnn, {"padding": "valid", "channels": (4,) * 4}, "cnn: channels must be at most 3 for 32x32 pixels, got 4"),
        (vgg, {"kernel_size": 33, "padding": "valid"}, "vgg: input_shape is too small for one stage, got 32x32 pixels"),
        (cnn, {"dense": (-1,)}, "cnn: dense must be >= 1, got -1"),
        (vgg, {"pool_first": "yes"}, "vgg: pool_first must be True or False, got 'yes'"),
        (lenet5, {"dropout": "x"}, "lenet5: dropout must be a number, got 'x'"),
        (resnet, {"blocks": 0}, "resnet: blocks must be >= 1, got 0"),
        (resnet, {"channels": []}, "resnet: channels must not be empty"),
    ],
)
def test_wrong_keywords(builder, keywords, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        builder(RGB, 10, **keywords)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("name", ["cnn", "vgg", "lenet5", "resnet"])
def test_samples_that_are_no_images(name):
    with pytest.raises(ValueError, match=rf"^{name}: input_shape must be \(H, W, C\), got \(4,\)$"):
        NETWORKS[name]((4,), 10)


def test_images_that_are_too_small():
    with pytest.raises(ValueError, match=r"^lenet5: input_shape must have 4x4 pixels or more, got \(3, 9, 1\)$"):
        lenet5((3, 9, 1), 10)
