"""The pictures: what they show, that they decode, and that matplotlib's settings stay the user's."""

from __future__ import annotations

import os
import subprocess
import sys
from threading import Thread

import numpy as np
import pytest
from PIL import Image

import fastnn as fn
from fastnn import plots
from fastnn.plots import _figure, _images

matplotlib = pytest.importorskip("matplotlib")

ROWS = [
    {"epoch": 1, "loss": 2.0, "accuracy": 0.3, "val_loss": 1.5, "val_accuracy": 0.5, "seconds": 1.0},
    {"epoch": 2, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.7, "val_accuracy": 0.8, "seconds": 1.0},
    {"epoch": 3, "loss": 0.05, "accuracy": 1.0, "val_loss": 0.9, "val_accuracy": 0.75, "seconds": 1.0},
]
RNG = np.random.default_rng(0)
SAMPLES = RNG.random((60, 8, 8, 3))


def texts(figure):
    """All words of a figure."""
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_visible() and text.get_text()]


def size(path):
    """Width and height of a file that decodes as a whole, and is not empty paper."""
    with Image.open(path) as image:
        image.load()
        assert len(image.convert("RGB").getcolors(1 << 24)) > 5
        return image.size


def predictions(n=60, classes=3):
    scores = RNG.random((n, classes))
    return RNG.integers(classes, size=n), scores / scores.sum(axis=1, keepdims=True)


def network(layers, shape):
    return fn.Sequential(layers, shape, backend="numpy", seed=0)


TRIALS = [(0, "complete", 0.9), (1, "pruned", 0.5), (2, "complete", 0.95), (3, "diverged", None), (4, "complete", 0.93)]

DRAW = {
    "trials": lambda path: plots.trials(TRIALS, path),
    "importance": lambda path: plots.importance({"learning rate (sgd)": 0.7, "width": 0.3}, path),
    "curves": lambda path: plots.curves(ROWS, path),
    "confusion": lambda path: plots.confusion([[5, 1], [2, 7]], None, path),
    "top_losses": lambda path: plots.top_losses(SAMPLES, np.arange(60) % 2, SAMPLES[:, 0, 0, :2], path=path),
    "filters": lambda path: plots.filters(network([fn.Conv2D(1, 8, 3)], (8, 8, 1)), path),
}


@pytest.mark.parametrize("name", DRAW)
def test_every_picture_is_returned_and_written_in_one_piece(name, tmp_path):
    from matplotlib.figure import Figure

    assert isinstance(DRAW[name](None), Figure)
    path = tmp_path / f"{name}.png"
    path.write_bytes(b"old")
    DRAW[name](path)
    width, height = size(path)
    assert 300 < width < 2000
    assert 150 < height < 2000
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    DRAW[name](str(tmp_path / f"{name}.svg"))
    assert "<svg" in (tmp_path / f"{name}.svg").read_text()
    with pytest.raises(ValueError, match=f"^plots: path must end in one of .*png.*, got '.*{name}.txt'$"):
        DRAW[name](tmp_path / f"{name}.txt")
    with pytest.raises(FileNotFoundError):
        DRAW[name](tmp_path / "nowhere" / "x.png")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", DRAW)
def test_settings_of_matplotlib_are_neither_used_nor_changed(name, tmp_path):
    DRAW[name](tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "black", "text.color": "yellow", "font.size": 30, "savefig.dpi": 10}):
        before = dict(matplotlib.rcParams)
        DRAW[name](tmp_path / "dark.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "dark.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_a_failed_picture_leaves_the_settings_alone():
    before = dict(matplotlib.rcParams)
    inside = {}

    def fail():
        with _figure.look():
            inside.update(matplotlib.rcParams)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert inside != before
    assert dict(matplotlib.rcParams) == before


def test_pictures_of_several_threads_leave_the_settings_alone():
    before = dict(matplotlib.rcParams)
    threads = [Thread(target=DRAW["filters"], args=(None,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dict(matplotlib.rcParams) == before


def test_without_a_display_and_without_pyplot(tmp_path):
    code = (
        "import sys\nfrom fastnn import plots\nassert 'matplotlib' not in sys.modules\n"
        "plots.confusion([[3, 1], [0, 2]], path=sys.argv[1])\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"MPLBACKEND": "tkagg"}
    command = [sys.executable, "-c", code, str(tmp_path / "c.png")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    size(tmp_path / "c.png")


@pytest.mark.parametrize("name", DRAW)
def test_without_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"^matplotlib is not installed \(pip install 'fastnn\[plot\]'\)$"):
        DRAW[name](None)


# Curves


def test_curves_mark_the_best_epoch():
    figure = plots.curves(ROWS)
    assert {"Loss", "Accuracy", "0.7 in epoch 2", "80.00% in epoch 2", "validation", "best epoch"} <= set(texts(figure))
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"
    assert [list(line.get_ydata()) for line in accuracy.lines[:2]] == [[0.3, 0.8, 1.0], [0.5, 0.8, 0.75]]
    assert "75.00% in epoch 3" in texts(plots.curves(ROWS, best=3))


def test_curves_of_one_and_two_epochs():
    one = plots.curves(ROWS[:1])
    assert list(one.axes[0].get_xticks()) == [1]
    two = plots.curves([{"epoch": 1, "loss": 0.4, "val_loss": 0.1}, {"epoch": 2, "loss": 0.07, "val_loss": 0.06}])
    two.draw_without_rendering()
    panel = two.axes[0]
    legend = panel.get_legend().get_window_extent()
    for line in panel.get_lines()[:2]:
        assert not line.get_transform().transform_path(line.get_path()).intersects_bbox(legend, filled=False)


def test_curves_of_what_fit_returned():
    model = network([fn.Dense(4, 3)], (4,))
    history = model.fit(RNG.normal(size=(30, 4)), RNG.integers(3, size=30), epochs=2, verbose=False)
    figure = plots.curves(history)
    words = texts(figure)
    assert "training" in words
    assert not {"validation", "best epoch"} & set(words)
    assert list(figure.axes[0].lines[0].get_ydata()) == history.loss


def test_curves_without_accuracy_have_one_panel():
    rows = [{**row, "accuracy": np.nan, "val_accuracy": np.nan} for row in ROWS]
    figure = plots.curves(rows)
    assert len(figure.axes) == 1
    assert "0.7 in epoch 2" in texts(figure)
    assert plots.curves(ROWS[:1]).axes[0].get_xlim() == (0, 2)


@pytest.mark.parametrize(
    ("history", "error", "message"),
    [
        ([], ValueError, "history must hold an epoch, got none"),
        ([{"epoch": 1}], ValueError, "history must have loss in every row, got epoch"),
        ([{"loss": 1}], ValueError, "history must have epoch in every row, got loss"),
        (3, TypeError, "history must be what fit returned, or its rows, got int"),
        ([1, 2], TypeError, "history must be what fit returned, or its rows, got list"),
        ([{"epoch": 1, "loss": "low"}], TypeError, "loss must hold real numbers, got dtype <U3"),
        ([{"epoch": 1, "loss": np.nan}], ValueError, "history must have a loss that is finite, got none"),
    ],
)
def test_curves_refuse(history, error, message):
    with pytest.raises(error, match=f"^plots.curves: {message}$"):
        plots.curves(history)


def test_curves_refuse_an_epoch_that_was_not():
    with pytest.raises(ValueError, match="^plots.curves: best must be one of the epochs, 1 to 3, got 4$"):
        plots.curves(ROWS, best=4)


# Confusion


def test_confusion_shows_counts_and_names():
    words = texts(plots.confusion([[50, 3], [0, 47]], ["cat", "dog $5"]))
    assert {"50", "3", "47", "cat", "dog $5", "predicted", "true", "97.00% of 100 right"} <= set(words)
    assert "0" not in words


def test_confusion_colours_are_shares_of_the_row():
    counts = [[1, 1, 0], [0, 100, 0], [50, 0, 50]]
    pixels = plots.confusion(counts).axes[0].images[0].get_array()
    np.testing.assert_allclose(pixels[0, 0], pixels[2, 2])
    np.testing.assert_allclose(pixels[0, 1], pixels[2, 0])
    assert pixels[1, 1, 2] > pixels[1, 1, 0]  # right: blue
    assert pixels[0, 1, 0] > pixels[0, 1, 2]  # wrong: red
    np.testing.assert_allclose(pixels[0, 2], 1)


@pytest.mark.parametrize("classes", [1, 2, 10, 26, 100, 300])
def test_confusion_of_many_classes(classes, tmp_path):
    counts = RNG.integers(1, 5000, size=(classes, classes)) * (RNG.random((classes, classes)) < 0.2)
    np.fill_diagonal(counts, 9000)
    figure = plots.confusion(counts, [f"class {i}" for i in range(classes)], tmp_path / "c.png")
    width, height = size(tmp_path / "c.png")
    assert max(width, height) < 3200
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / classes
    numbers = [text.get_window_extent().width for text in axes.texts]
    assert len(numbers) == (np.count_nonzero(counts) if classes <= 120 else 0)
    assert max(numbers, default=0) < cell
    frame = figure.get_window_extent()
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label):
        box = label.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_confusion_refuses():
    with pytest.raises(ValueError, match=r"^plots.confusion: counts must have shape \(C, C\), got \(3,\)$"):
        plots.confusion([1, 2, 3])
    with pytest.raises(ValueError, match="^plots.confusion: class_names must be 2 names, got 3$"):
        plots.confusion(np.eye(2), "abc")


# Top losses


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (12, 20, 3), (9, 9, 4), (64,), (192,), (5,)])
@pytest.mark.parametrize("scale", [1, 255, -3])
def test_top_losses_of_every_form(shape, scale):
    truth, scores = predictions()
    figure = plots.top_losses(scale * RNG.random((60, *shape)), truth, scores)
    wrong = int((scores.argmax(axis=1) != truth).sum())
    assert f"The worst 18 of {wrong} errors among 60" in texts(figure)
    assert len(figure.axes) == 18
    assert bool(figure.axes[0].images) == (shape != (5,))


def test_top_losses_captions_and_pixels():
    x = RNG.random((4, 8, 8, 1))
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.9999, 0.0001], [0.2, 0.8]])
    figure = plots.top_losses(x, [0, 1, 1, 1], scores, ["no", "a word that is much too long"])
    words = texts(figure)
    assert words.index("no  100.0%") < words.index("no  60.0%")
    assert {"2 errors among 4", "a word that is m…  <0.1%", "a word that is m…  40.0%"} <= set(words)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), x[2, :, :, 0])
    assert "1 error among 2" in texts(plots.top_losses(x[:2], [0, 1], scores[:2]))


def test_top_losses_without_an_error():
    assert texts(plots.top_losses(np.zeros((2, 3)), [0, 1], np.eye(2))) == ["No error among 2"]


def test_top_losses_refuse():
    truth, scores = predictions()
    with pytest.raises(ValueError, match=r"^plots.top_losses: x must have shape \(60, ...\), got \(59, 4\)$"):
        plots.top_losses(np.ones((59, 4)), truth, scores)
    with pytest.raises(ValueError, match=r"^plots.top_losses: y_true must be class numbers in 0\.\.2, got 3 in row 0$"):
        plots.top_losses(np.ones((60, 4)), truth * 0 + 3, scores)


# Filters


@pytest.mark.parametrize(
    ("layers", "shape", "title"),
    [
        ([fn.Conv2D(1, 8, 3)], (8, 8, 1), "First layer: Conv2D 3 x 3 x 1 x 8"),
        ([fn.Conv2D(3, 5, (3, 5))], (8, 8, 3), "First layer: Conv2D 3 x 5 x 3 x 5"),
        ([fn.Conv2D(2, 4, 3)], (8, 8, 2), "First layer: Conv2D 3 x 3 x 2 x 4"),
        ([fn.Residual([fn.ReLU(), fn.Conv2D(3, 3, 3, padding=1)])], (8, 8, 3), "First layer: Conv2D 3 x 3 x 3 x 3"),
        ([fn.Flatten(), fn.Dense(None, 100)], (6, 9, 1), "First layer: Dense 54 x 100, the largest 64 of 100"),
        ([fn.Dense(64, 1)], (64,), "First layer: Dense 64 x 1"),
        ([fn.BatchNorm(192), fn.Dense(192, 3)], (192,), "First layer: Dense 192 x 3"),
        ([fn.Dense(5, 7)], (5,), "First layer: Dense 5 x 7"),
    ],
)
def test_filters_of_every_form(layers, shape, title, tmp_path):
    figure = plots.filters(network(layers, shape), tmp_path / "f.png")
    assert title in texts(figure)
    width, height = size(tmp_path / "f.png")
    assert 300 < width < 2000
    assert 100 < height < 2000


def test_filters_show_the_weights_on_a_symmetric_scale():
    model = network([fn.Conv2D(1, 2, 3)], (8, 8, 1))
    model.layers[0].weights = np.arange(18.0).reshape(3, 3, 1, 2) - 4
    picture = plots.filters(model).axes[0].images[0]
    assert picture.norm.vmin == -picture.norm.vmax
    pixels = np.asarray(picture.get_array().filled(99))
    np.testing.assert_array_equal(pixels[:3, :3], model.layers[0].weights[:, :, 0, 0])
    model.layers[0].weights = np.zeros((3, 3, 1, 2))
    assert plots.filters(model).axes[0].images[0].norm.vmax == 1


def test_filters_show_the_largest():
    model = network([fn.Conv2D(3, 5, 2)], (8, 8, 3))
    model.layers[0].weights[..., [1, 3]] *= 100
    figure = plots.filters(model, count=2)
    assert "First layer: Conv2D 2 x 2 x 3 x 5, the largest 2 of 5" in texts(figure)
    weights = model.layers[0].weights[..., [1, 3]]
    expected = np.clip(0.5 + weights[..., 0] / np.quantile(np.abs(weights), 0.998) / 2, 0, 1)
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[:2, :2], expected, rtol=1e-5)


def test_filters_refuse():
    with pytest.raises(ValueError, match="^plots.filters: model must have a Dense or Conv2D layer, got none$"):
        plots.filters(network([fn.ReLU()], (4,)))
    with pytest.raises(ValueError, match="^plots.filters: count must be >= 1, got 0$"):
        plots.filters(network([fn.Dense(4, 2)], (4,)), count=0)


# Searches


def test_trials_show_their_states_and_the_best():
    figure = plots.trials(TRIALS)
    words = texts(figure)
    for word in ("complete", "pruned", "diverged or failed", "best so far", "95.00% in trial 2", "Validation accuracy"):
        assert word in words
    assert "trial (at the lower edge: as low or lower)" in words
    line = figure.axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), [0.9, 0.95, 0.95, 0.95])
    assert line.get_xdata()[-1] == 4
    low = figure.axes[0].get_ylim()[0]
    assert 0.8 < low < 0.9  # the pruned one does not press the others together
    assert "93.00% in trial 4" in texts(plots.trials(TRIALS, best=4))
    assert "diverged or failed" in texts(plots.trials([(0, "pruned", 0.5), (1, "failed", None), (2, "running", None)]))


def test_trials_refuse():
    with pytest.raises(ValueError, match="^plots.trials: rows must have a trial with an accuracy, got none$"):
        plots.trials([(0, "diverged", None)])
    with pytest.raises(ValueError, match="^plots.trials: best must be a complete trial, got 1$"):
        plots.trials(TRIALS, best=1)
    with pytest.raises(TypeError, match="^plots.trials: accuracy must be a number, got None$"):
        plots.trials([(0, "complete", None)])


def test_importance_in_the_order_given():
    figure = plots.importance({"a": 0.7, "b": 0.3})
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.7, 0.3]
    assert [word for word in texts(figure) if word in ("a", "b", "70%", "30%")] == ["70%", "30%", "a", "b"]
    with pytest.raises(ValueError, match="^plots.importance: shares must not be empty$"):
        plots.importance({})
    with pytest.raises(ValueError, match="^plots.importance: shares must be >= 0, got -1$"):
        plots.importance({"a": -1})


# Images


def test_what_is_an_image():
    assert _images.image_shape(784) == (28, 28, 1)
    assert _images.image_shape(3072) == (32, 32, 3)
    assert _images.image_shape(54, (6, 9, 1)) == (6, 9, 1)
    for size_, known in ((54, None), (54, (54,)), (16, None), (48, None), (54, (6, 8, 1))):
        assert _images.image_shape(size_, known) is None
    assert _images.as_images(np.ones((2, 3, 4, 5))).shape == (2, 3, 4, 1)
    assert _images.as_images(np.ones((2, 3, 4, 5, 6))) is None


def test_values_are_brought_to_0_and_1():
    images = RNG.random((2, 4, 4, 1))
    assert _images.displayed(images) is images
    np.testing.assert_allclose(_images.displayed(images * 255), images)
    stretched = _images.displayed(images - 0.5)
    assert (stretched.min(), stretched.max()) == (0, 1)
    np.testing.assert_array_equal(_images.displayed(np.full((1, 2, 2, 1), -1.0)), 0)
