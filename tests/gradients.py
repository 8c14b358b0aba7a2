"""Central differences through whole layers, in float64."""

import numpy as np

STEP = 1e-6
POINTS = 12


def numeric_gradient(function, array, rng):
    """(places, slopes) of function() with respect to some elements of array, which function reads."""
    places = rng.choice(array.size, min(POINTS, array.size), replace=False)
    slopes = np.empty(len(places))
    flat = array.reshape(-1)
    for i, place in enumerate(places):
        before = flat[place]
        flat[place] = before + STEP
        above = function()
        flat[place] = before - STEP
        below = function()
        flat[place] = before
        slopes[i] = (above - below) / (2 * STEP)
    return places, slopes


def check_layer(layer, x, seed=0):
    """backward's gradients of sum(dy * forward(x)), for x and every parameter, against central differences."""
    rng = np.random.default_rng(seed)
    dy = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(dy).copy()
    assert dx.shape == x.shape
    pairs = [(x, dx)]
    for name, parameter in layer.named_parameters().items():
        place = dict(zip(layer.parameter_names, layer.parameter_slices, strict=True))[name]
        pairs.append((parameter, layer.gradients[place].copy()))

    def value():
        return float(np.sum(dy * layer.forward(x)))

    for array, gradient in pairs:
        places, slopes = numeric_gradient(value, array, rng)
        np.testing.assert_allclose(gradient.reshape(-1)[places], slopes, rtol=2e-6, atol=2e-7)


def check_loss(loss, x, y_true, seed=0):
    """backward's gradient against central differences of forward."""
    rng = np.random.default_rng(seed)
    loss.forward(x, y_true)
    dx = loss.backward().copy()
    places, slopes = numeric_gradient(lambda: loss.forward(x, y_true), x, rng)
    np.testing.assert_allclose(dx.reshape(-1)[places], slopes, rtol=2e-6, atol=2e-8)
