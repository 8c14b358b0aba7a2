"""The checks at the doors: what passes unchanged, what is converted, what is refused in which words."""

import numpy as np
import pytest

from fastnn import _checks
from fastnn._backend import operations

F4, F8 = np.dtype(np.float32), np.dtype(np.float64)


def test_a_fitting_array_passes_as_it_is():
    x = np.ones((2, 3), np.float32)
    assert _checks.array("Dense", "x", x, F4, ("N", 3)) is x


@pytest.mark.parametrize(
    "value",
    [[[1, 2, 3]], ((True, False, True),), np.ones((3, 1)).T, np.ones((1, 3), ">f4"), np.ones((1, 6))[:, ::2],
     np.broadcast_to(np.float32(1), (1, 3)), np.ones((1, 3)).view(np.matrix), range(3)],
)  # fmt: skip
def test_anything_else_is_converted(value):
    axes = ("N",) if isinstance(value, range) else ("N", 3)
    got = _checks.array("Dense", "x", value, F4, axes)
    assert type(got) is np.ndarray
    assert got.dtype == np.float32
    assert got.flags.carray
    np.testing.assert_array_equal(got, np.asarray(value))


@pytest.mark.parametrize(
    ("shape", "axes", "fits"),
    [
        ((2, 3), ("N", 3), True),
        ((2, 3), ("N", 4), False),
        ((2, 3), ("N", "C"), True),
        ((2,), ("N", "C"), False),
        ((2, 3, 4), ("N", ...), True),
        ((2,), ("N", ...), True),
        ((), ("N", ...), False),
        ((), (), True),
        ((1,), (), False),
        ((5, 5), (...,), True),
        ((), (...,), True),
        ((2, 3), (2, 3), True),
    ],
)
def test_fits(shape, axes, fits):
    assert _checks.fits(shape, axes) is fits


def test_shapes_are_written_in_axis_letters():
    axes = {("N", 784): "(N, 784)", ("N",): "(N,)", ("N", "C", ...): "(N, C, ...)", (32, 10): "(32, 10)"}
    for wanted, written in axes.items():
        with pytest.raises(ValueError, match="must have shape") as caught:
            _checks.array("Dense", "x", 1.0, F4, wanted)
        assert str(caught.value) == f"Dense: x must have shape {written}, got ()"


def test_finite_names_the_first_bad_row():
    x = np.ones((10_000, 2, 2))
    _checks.finite("fit", "x", x)
    x[8191, 1, 0], x[9000, 0, 0] = -np.inf, np.nan
    with pytest.raises(ValueError, match="^fit: x must be finite, got -inf in row 8191$"):
        _checks.finite("fit", "x", x)
    with pytest.raises(ValueError, match="^fit: y must be finite, got nan in row 2$"):
        _checks.finite("fit", "y", np.array([1, 2, np.nan]))
    _checks.finite("fit", "y", np.array([1, 2]))


def test_labels_pass_or_are_converted():
    y = np.array([0, 2, 1])
    for form in (y, y.astype(np.int32), np.eye(3)[y], y[:, None]):
        got = _checks.labels("fit", "y", form, 3)
        assert got.dtype == np.int64
        np.testing.assert_array_equal(got, y)
    np.testing.assert_array_equal(_checks.labels("fit", "y", [[0], [0]], 1), [0, 0])
    with pytest.raises(ValueError, match=r"^fit: y must have shape \(N,\) or \(N, 3\), got \(2, 2, 2\)$"):
        _checks.labels("fit", "y", np.ones((2, 2, 2)), 3)
    with pytest.raises(ValueError, match=r"^fit: y must not be empty, got shape \(0,\)$"):
        _checks.labels("fit", "y", [], 3)


@pytest.mark.parametrize("value", [1, 1.0, np.float32(1), np.int8(1), np.float64(1)])
def test_numbers(value):
    assert _checks.number("SGD", "momentum", value) == 1
    assert type(_checks.number("SGD", "momentum", value)) is float


@pytest.mark.parametrize("value", [True, None, "1", [1], 1j, np.ones(1)])
def test_what_is_no_number(value):
    with pytest.raises(TypeError, match="^SGD: momentum must be a number, got "):
        _checks.number("SGD", "momentum", value)


def test_bounds_are_written_out():
    with pytest.raises(ValueError, match="^SGD: momentum must be > 0 and < 1, got 1$"):
        _checks.number("SGD", "momentum", 1, above=0, below=1)
    with pytest.raises(ValueError, match="^SGD: momentum must be finite, got inf$"):
        _checks.number("SGD", "momentum", np.inf)


def test_pairs():
    assert _checks.pair("Conv2D", "stride", 2, 1) == (2, 2)
    assert _checks.pair("Conv2D", "stride", [np.int64(2), 3], 1) == (2, 3)
    assert type(_checks.pair("Conv2D", "stride", np.int64(2), 1)[0]) is int
    with pytest.raises(TypeError, match="^Conv2D: stride must be an integer, got float$"):
        _checks.pair("Conv2D", "stride", (1, 2.0), 1)


def test_sizes():
    assert _checks.sizes("mlp", "hidden", [np.int64(2), 3]) == (2, 3)
    assert _checks.sizes("mlp", "hidden", ()) == ()
    with pytest.raises(TypeError, match="^mlp: hidden must be a list of integers, got int$"):
        _checks.sizes("mlp", "hidden", 3)
    with pytest.raises(ValueError, match="^mlp: hidden must be >= 1, got 0$"):
        _checks.sizes("mlp", "hidden", [3, 0])


def test_optional_integer_flag_and_instance():
    assert _checks.optional_integer("Dense", "in_features", None, 1) is None
    assert _checks.flag("Dense", "bias", np.True_) is True
    _checks.instance("Sequential", "loss", 1, int, "an int")
    with pytest.raises(TypeError, match="^Sequential: loss must be an int, got 'x'$"):
        _checks.instance("Sequential", "loss", "x", int, "an int")


@pytest.mark.parametrize("value", ["float32", np.float32, F4])
def test_dtypes(value):
    assert _checks.float_dtype("Dense", value) is _checks.FLOAT_DTYPES[0]


@pytest.mark.parametrize("value", ["float16", int, None, "x", 32, np.dtype(">f4"), []])
def test_wrong_dtypes(value):
    with pytest.raises(TypeError, match="^Dense: dtype must be float32 or float64, got "):
        _checks.float_dtype("Dense", value)


def test_input_shapes():
    assert _checks.input_shape("Dense", [np.int64(3), 4], ("H", 4)) == (3, 4)
    for wrong in [(3, 0), (3, -1), (3.0, 4)]:
        with pytest.raises(ValueError, match=r"^Dense: input_shape must be \(H, W\), got"):
            _checks.input_shape("Dense", wrong, ("H", "W"))


def test_backends():
    assert operations("numpy").__name__ == "fastnn.reference"
    with pytest.raises(ValueError, match="^backend must be 'numba' or 'numpy', got 'torch'$"):
        operations("torch")
