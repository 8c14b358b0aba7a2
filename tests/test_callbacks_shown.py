"""Callbacks that show a training elsewhere: TensorBoard's files, and LivePlot in a notebook, a window, a file."""

import struct
import sys
import types

import numpy as np
import pytest

import fastnn as fn
from fastnn.callbacks import LivePlot, TensorBoard, TerminateOnNaN, live_plot

(X, Y), _ = fn.datasets.load_digits()
X, Y = X[:100], Y[:100]


def fit(*callbacks, epochs=3, validation_split=0.2, optimizer=None, **options):
    model = fn.Sequential([fn.Flatten(), fn.Dense(64, 10)], (8, 8, 1), backend="numpy", seed=0)
    model.compile(optimizer or fn.SGD(fn.schedules.Exponential(0.1, 0.5)))
    return model.fit(
        X, Y, epochs=epochs, validation_split=validation_split, callbacks=callbacks, verbose=False, **options
    )


class Poison(fn.Callback):
    def on_epoch_begin(self, epoch, logs):
        if epoch == 2:
            self.model.parameters[:] = np.nan


# TensorBoard


def scalars(folder):
    """(name, epoch) -> value of the one event file of a folder: records of length, checksum, event, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    data, found = path.read_bytes(), {}
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + size])
        found.update({(value.tag, event.step): value.simple_value for value in event.summary.value})
        data = data[16 + size :]
    return found


@pytest.fixture
def tensorboardx():
    pytest.importorskip("tensorboardX", reason="the extra `tensorboard` is not installed")


@pytest.mark.usefixtures("tensorboardx")
def test_tensorboard_has_the_numbers_of_the_history(tmp_path):
    history = fit(TensorBoard(tmp_path / "logs"))
    training, validation = scalars(tmp_path / "logs" / "train"), scalars(tmp_path / "logs" / "validation")
    for epoch in range(3):
        for name in ("loss", "accuracy"):
            assert training["epoch_" + name, epoch] == np.float32(history.history[name][epoch])
            assert validation["epoch_" + name, epoch] == np.float32(history.history["val_" + name][epoch])
        assert training["epoch_learning_rate", epoch] == np.float32(0.1 * 0.5 ** (epoch + 1))
    assert (len(training), len(validation)) == (9, 6)


@pytest.mark.usefixtures("tensorboardx")
def test_tensorboard_without_validation_and_with_a_divergence(tmp_path):
    with pytest.raises(fn.DivergenceError):
        fit(TensorBoard(tmp_path), Poison(), validation_split=0)
    assert [path.name for path in tmp_path.iterdir()] == ["train"]
    assert len(scalars(tmp_path / "train")) == 6


def test_tensorboard_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    message = r"^TensorBoard: tensorboardX is not installed \(pip install 'fastnn\[tensorboard\]'\)$"
    with pytest.raises(ModuleNotFoundError, match=message):
        TensorBoard("nowhere")


# LivePlot


@pytest.fixture
def pyplot():
    """pyplot with the backend that opens no window, whatever this machine has."""
    plt = pytest.importorskip("matplotlib.pyplot", reason="the extra `plot` is not installed")
    before = plt.get_backend()
    plt.switch_backend("agg")
    yield plt
    plt.switch_backend(before)


@pytest.fixture
def drawn(monkeypatch):
    """How many epochs each drawing had; a drawing takes no time, so that none is left out."""
    from fastnn import plots

    curves, counts = plots.curves, []

    def count(rows):
        counts.append(len(rows))
        return curves(rows)

    monkeypatch.setattr(plots, "curves", count)
    monkeypatch.setattr(live_plot, "_PAUSE", 0.0)
    return counts


def is_png(data):
    return data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND"


def test_a_file_is_replaced_after_each_epoch(tmp_path, pyplot, drawn):
    path, sizes = tmp_path / "new" / "curves.png", []

    class Look(fn.Callback):
        def on_epoch_end(self, epoch, logs):
            sizes.append(len(path.read_bytes()))

    fit(LivePlot(path), Look())
    assert drawn == [1, 2, 3]
    assert len(set(sizes)) == 3
    assert is_png(path.read_bytes())
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]
    assert pyplot.get_fignums() == []


def test_drawing_takes_a_small_part_of_the_time_and_the_last_epoch_is_drawn(tmp_path, pyplot, drawn, monkeypatch):
    monkeypatch.setattr(live_plot, "_PAUSE", 1e9)
    fit(LivePlot(tmp_path / "curves.png"), epochs=20)
    assert drawn == [1, 20]
    assert "on_batch_end" not in vars(LivePlot)


def test_a_divergence_leaves_the_picture_of_what_was(tmp_path, pyplot, drawn, monkeypatch):
    monkeypatch.setattr(live_plot, "_PAUSE", 1e9)
    fit(LivePlot(tmp_path / "curves.png"), TerminateOnNaN(), Poison(), epochs=4)
    assert drawn == [1, 2]
    fit(LivePlot(tmp_path / "none.png"), epochs=1)
    assert drawn == [1, 2, 1]


def test_values_without_an_accuracy_and_a_second_training(tmp_path, pyplot, drawn):
    model = fn.Sequential([fn.Flatten(), fn.Dense(64, 1)], (8, 8, 1), backend="numpy", seed=0)
    model.compile(fn.SGD(1e-3), fn.MeanSquaredError())
    plot = LivePlot(tmp_path / "curves.png")
    for _ in range(2):
        model.fit(X, Y, epochs=2, callbacks=[plot], verbose=False)
    assert drawn == [1, 2, 1, 2]


def test_in_a_notebook_one_picture_is_redrawn(tmp_path, pyplot, drawn, monkeypatch):
    shown = []

    class Handle:
        def update(self, image):
            shown.append(("update", image))

    def display(image, display_id):
        assert display_id is True
        shown.append(("display", image))
        return Handle()

    ipython, kernel = types.ModuleType("IPython"), types.SimpleNamespace(kernel=object())
    ipython.get_ipython = lambda: kernel
    ipython.display = types.ModuleType("IPython.display")
    ipython.display.display, ipython.display.Image = display, lambda data, format: data
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "IPython", ipython)
        patch.setitem(sys.modules, "IPython.display", ipython.display)
        fit(LivePlot(tmp_path / "curves.png"))
        assert [call for call, _ in shown] == ["display", "update", "update"]
        assert all(is_png(image) for _, image in shown)
        kernel.kernel = None  # IPython in a terminal
        fit(LivePlot(tmp_path / "curves.png"))
        assert len(shown) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_a_window_is_redrawn_until_the_user_closes_it(tmp_path, pyplot, drawn, monkeypatch):
    from matplotlib import backend_bases
    from matplotlib.backends import backend_agg

    events, titles = [], []

    class Window(backend_bases.FigureManagerBase):
        def set_window_title(self, title):
            titles.append(title)

    class Canvas(backend_agg.FigureCanvasAgg):
        """A window that nobody sees: "headless" is what matplotlib may open where there is no display."""

        required_interactive_framework = "headless"
        manager_class = Window

        def draw_idle(self, *arguments, **options):
            self.draw()
            events.append(self.buffer_rgba().tobytes())

        def flush_events(self):
            if len(events) == 2:
                pyplot.close(self.figure)

    window = types.ModuleType("unseen_window")
    window.FigureCanvas = Canvas
    monkeypatch.setitem(sys.modules, "unseen_window", window)
    monkeypatch.setenv("DISPLAY", "")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    pyplot.switch_backend("module://unseen_window")
    fit(LivePlot(tmp_path / "curves.png"), epochs=4)
    assert drawn == [1, 2, 3, 4]
    assert len(events) == 2
    assert titles[-1] == "Training"
    assert events[0] != events[1]
    assert list(tmp_path.iterdir()) == []


def test_live_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"^matplotlib is not installed \(pip install 'fastnn\[plot\]"):
        LivePlot("nowhere")


def test_live_plot_writes_the_file_where_the_chosen_toolkit_cannot_start(monkeypatch, tmp_path):
    import matplotlib.pyplot as plt

    def no_toolkit(*arguments, **options):
        raise ImportError("Cannot load backend 'TkAgg' which requires the 'tk' interactive framework")

    monkeypatch.setattr(plt, "figure", no_toolkit)
    fit(LivePlot(tmp_path / "curves.png"), epochs=1)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
