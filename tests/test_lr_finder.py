"""The learning rate test: the model is not touched, the curve is honest, the suggestion trains; the command."""

import copy
import csv
import io
import math

import numpy as np
import pytest
from backends import BACKENDS
from click.testing import CliRunner

import fastnn as fn
from fastnn.cli import main
from fastnn.lr_finder import RangeTest, find_learning_rate

(X, Y), TEST = fn.datasets.load_digits()


def mlp(optimizer=None, backend="numba", **options):
    layers = [fn.Flatten(), fn.Dense(64, 32), fn.BatchNorm(32), fn.ReLU(), fn.Dropout(0.2), fn.Dense(32, 10)]
    model = fn.Sequential(layers, (8, 8, 1), backend=backend, seed=0, **options)
    model.compile(optimizer or fn.Adam(fn.schedules.OneCycle(0.01), clip_norm=1.0))
    return model


def everything(model):
    """All that a training would change, as bytes."""
    optimizer = model.optimizer.state()
    return {
        **{name: a.tobytes() for name, a in model.weights().items()},
        **{name: value.tobytes() if isinstance(value, np.ndarray) else value for name, value in optimizer.items()},
        "gradients": model.gradients.tobytes(),
        "model": model.rng.bit_generator.state,
        "dropout": model.layers[4]._rng.bit_generator.state,
        "rate": model.optimizer.current_learning_rate,
        "modes": [model.training, *(layer.training for layer in model.layers)],
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_stays_as_it_is(backend, fails, monkeypatch):
    model = mlp(backend=backend)
    model.fit(X, Y, verbose=False)
    model.eval()
    before, twin = everything(model), copy.deepcopy(model)
    if fails:
        with pytest.raises(ValueError, match="^Sequential: y must be class numbers in 0..9, got 10 in row 0$"):
            find_learning_rate(model, X, Y + 10)
        monkeypatch.setattr("fastnn.lr_finder._moving_mean", None)
        with pytest.raises(TypeError):
            find_learning_rate(model, X, Y)
    else:
        find_learning_rate(model, X, Y)
    assert everything(model) == before
    for each in (model, twin):
        each.fit(X, Y, verbose=False)
    np.testing.assert_array_equal(model.parameters, twin.parameters)


def test_a_model_without_shapes_and_optimizer_stays_without():
    model = fn.Sequential([fn.Flatten(), fn.Dense(None, 10)], backend="numpy")
    assert find_learning_rate(model, X, Y).suggestion is not None
    assert model.input_shape is None
    assert model._optimizer is None


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("optimizer", "low", "high"),
    [(fn.SGD(1.0, momentum=0.9, decay=0.5), 3e-3, 0.5), (fn.Adam(1e-9), 3e-4, 0.03), (fn.RMSprop(0.001), 1e-4, 0.01)],
)
def test_the_suggestion_is_a_rate_that_trains(optimizer, low, high, backend):
    for batch_size in (32, 128):
        model = mlp(copy.deepcopy(optimizer), backend)
        test = find_learning_rate(model, X, Y, batch_size=batch_size)
        assert low < test.suggestion < high
        model.optimizer.learning_rate, model.optimizer.decay = test.suggestion, 0.0
        history = model.fit(X, Y, epochs=5, batch_size=batch_size, validation_data=TEST, verbose=False)
        assert history.val_accuracy[-1] > 0.85


def test_the_curve():
    test = find_learning_rate(mlp(), X, Y, start=1e-5, end=100, steps=70)
    assert 40 < len(test.rates) < 70  # ended where it diverged
    np.testing.assert_allclose(test.rates, np.geomspace(1e-5, 100, 70)[: len(test.rates)])
    assert test.losses.shape == test.smoothed.shape == test.rates.shape
    assert np.isfinite(test.losses).all()
    assert test.suggestion in test.rates
    assert test.suggestion < test.rates[test.smoothed.argmin()]
    rows = list(csv.DictReader(io.StringIO(test.to_csv())))
    assert [float(row["learning_rate"]) for row in rows] == test.rates.tolist()
    assert [float(row["loss"]) for row in rows] == test.losses.tolist()


def test_the_losses_are_those_of_training_by_hand():
    x, y = X[:100], Y[:100]
    model = mlp(fn.SGD(1.0))
    twin = copy.deepcopy(model)
    test = find_learning_rate(model, x, y, 1e-4, 1e-2, steps=10, batch_size=40, seed=5)
    order, rng, losses = np.arange(100), np.random.default_rng(5), []
    for step, rate in enumerate(np.geomspace(1e-4, 1e-2, 10)):
        if step % 2 == 0:  # two whole batches of 40 rows
            rng.shuffle(order)
        rows = order[step % 2 * 40 :][:40]
        twin.optimizer.learning_rate = float(rate)
        losses.append(twin.train_batch(x[rows], y[rows])[0])
    assert test.losses.tolist() == losses


@pytest.mark.parametrize("smoothing", [0, 0.8])
def test_smoothing_does_not_lag(smoothing):
    falling = np.linspace(3, 1, 60)
    from fastnn.lr_finder import _moving_mean

    smoothed = _moving_mean(_moving_mean(falling, smoothing)[::-1], smoothing)[::-1]
    np.testing.assert_allclose(smoothed[25:35], falling[25:35], atol=5e-3 if smoothing else 1e-12)


def test_same_seed_same_result_on_any_block():
    first, again, other = (find_learning_rate(mlp(), X, Y, seed=seed) for seed in (1, 1, 2))
    assert first.losses.tolist() == again.losses.tolist()
    assert first.losses.tolist() != other.losses.tolist()


def test_where_nothing_is_learned_nothing_is_suggested():
    labels = np.random.default_rng(0).permutation(Y)
    assert find_learning_rate(mlp(), X, labels).suggestion is None
    trained = mlp(fn.Adam(0.002))
    trained.fit(X, Y, epochs=20, verbose=False)
    assert find_learning_rate(trained, X, Y).suggestion is None


def test_a_loss_that_is_not_finite_at_once():
    model = mlp()
    model.parameters[:] = np.nan
    test = find_learning_rate(model, X, Y)
    assert (len(test.rates), test.suggestion) == (0, None)


def test_values_and_few_rows():
    model = fn.Sequential([fn.Flatten(), fn.Dense(64, 1)], (8, 8, 1), seed=0)
    model.compile(fn.SGD(0.1), fn.MeanSquaredError())
    for rows in (1, 7, 1000):
        test = find_learning_rate(model, X[:rows], Y[:rows].astype(float))
        assert 1e-5 < test.suggestion < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 0}, "start must be > 0, got 0"),
        ({"start": 1.0, "end": 0.1}, "end must be > 1, got 0.1"),
        ({"steps": 9}, "steps must be >= 10, got 9"),
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"smoothing": 1}, "smoothing must be >= 0 and < 1, got 1"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=f"^find_learning_rate: {message}$"):
        find_learning_rate(mlp(), X, Y, **options)


# The picture


@pytest.mark.parametrize("suggestion", [1e-4, None])
def test_the_picture_marks_the_suggestion_and_cuts_the_divergence_off(suggestion, tmp_path):
    pytest.importorskip("matplotlib")
    from fastnn import plots

    losses = np.array([2.3, 2.4, 2.2, 1.5, 1.0, 900.0])
    test = RangeTest(np.geomspace(1e-6, 1e-1, 6), losses, losses, suggestion)
    figure = plots.learning_rates(test, tmp_path / "curve.png")
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 3
    marks = [line for line in axes.lines if line.get_label() == "steepest fall"]
    assert [mark.get_xdata()[0] for mark in marks] == ([] if suggestion is None else [1e-4])
    assert axes.get_title("right") == (
        "no rate to suggest: the loss does not fall" if suggestion is None else "suggestion 0.0001"
    )
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"


def test_no_picture_of_nothing():
    pytest.importorskip("matplotlib")
    from fastnn import plots

    nothing = np.empty(0)
    with pytest.raises(ValueError, match=r"^plots\.learning_rates: test must hold a loss, got none"):
        plots.learning_rates(RangeTest(nothing, nothing, nothing, None))


# The command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `fastnn lrfind` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return lambda *arguments: CliRunner().invoke(
        main, ["lrfind", "--backend", "numpy", *map(str, arguments)], prog_name="fastnn"
    )


def test_the_command_writes_the_curve_and_prints_the_suggestion(run, tmp_path):
    pytest.importorskip("matplotlib")
    result = run("--model", "mlp")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "lrfind-digits-mlp"
    assert sorted(path.name for path in folder.iterdir()) == ["lrfind.csv", "lrfind.png"]
    (line,) = result.stdout.splitlines()
    assert line.startswith("digits-mlp with adam: suggested learning rate: --lr 0.00")
    assert line.endswith(", written to runs/lrfind-digits-mlp")
    with open(folder / "lrfind.csv") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"learning_rate", "loss", "smoothed"}
    assert math.isclose(float(rows[0]["learning_rate"]), 1e-7)


def test_every_option(run, tmp_path):
    result = run(
        "--dataset", "digits", "--data-dir", ".", "--model", "mlp", "--batch-size", 300, "--optimizer", "sgd",
        "--hidden", "20", "--start", 1e-4, "--end", 1e-3, "--steps", 10, "--seed", 1, "--threads", 1,
        "--out", "here",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("digits-mlp with sgd: ")
    assert len((tmp_path / "here" / "lrfind.csv").read_text().splitlines()) == 11


def test_wrong_usage(run):
    for arguments, part in (
        (["--start", 1, "--end", 0.5], "--end must be above --start, got 0.5 and 1"),
        (["--steps", 5], "5 is not in the range x>=10"),
        (["--model", "alexnet"], "'alexnet' is not one of"),
        (["--lr", 0.1], "No such option"),
        (["--config", "x", "--recipe", "mlp"], "exclude each other"),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert part in result.stderr


def test_without_matplotlib_the_table_is_written(run, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = run("--model", "mlp", "--steps", 10, "--out", "here")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("without lrfind.png: matplotlib is not installed (pip install 'fastnn[plot]')\n")
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["lrfind.csv"]
