"""Initialisers: spread, fans, names."""

import math

import numpy as np
import pytest

from fastnn import initializers
from fastnn.initializers import TABLE, config, get, glorot_normal, glorot_uniform, he_normal, he_uniform, normal, zeros

DENSE, CONV = (300, 200), (3, 5, 20, 100)
VARIANCE = {
    he_normal: (2 / 300, 2 / 300),
    he_uniform: (2 / 300, 2 / 300),
    glorot_normal: (2 / 500, 2 / (15 * 120)),
    glorot_uniform: (2 / 500, 2 / (15 * 120)),
    normal(0.1): (0.01, 0.01),
    zeros: (0, 0),
}


@pytest.mark.parametrize("init", VARIANCE)
def test_mean_and_variance(init):
    for shape, variance in zip((DENSE, CONV), VARIANCE[init], strict=True):
        drawn = init(shape, np.random.default_rng(0))
        assert drawn.shape == shape
        assert drawn.dtype == np.float64
        assert drawn.var() == pytest.approx(variance, rel=0.03)
        assert abs(drawn.mean()) <= 4 * math.sqrt(variance / drawn.size)


@pytest.mark.parametrize("init", [he_uniform, glorot_uniform])
def test_uniform_has_limits(init):
    drawn = init(DENSE, np.random.default_rng(0))
    assert np.abs(drawn).max() == pytest.approx(math.sqrt(3 * VARIANCE[init][0]), rel=1e-3)


@pytest.mark.parametrize("init", VARIANCE)
def test_the_generator_decides(init):
    a, b = (init((3, 2), np.random.default_rng(5)) for _ in "ab")
    np.testing.assert_array_equal(a, b)


def test_names_numbers_and_functions():
    for name, init in TABLE.items():
        assert get("Dense", name) is init is getattr(initializers, name)
        assert config(init) == name
    assert get("Dense", 0.01) == normal(0.01)
    assert config(normal(0.01)) == 0.01
    own = lambda shape, rng: np.ones(shape)  # noqa: E731
    assert get("Dense", own) is own
    assert config(own) is None


def test_refusals():
    with pytest.raises(ValueError, match="^Dense: init must be one of 'he_normal', .*, got 'he'$"):
        get("Dense", "he")
    with pytest.raises(TypeError, match="^Dense: init must be a name, a number or a function, got list$"):
        get("Dense", [1])
    with pytest.raises(ValueError, match="^normal: std must be >= 0, got -1$"):
        normal(-1)
