"""What a model sees in image files, from Python and from the command line; evaluate on a user's own data."""

from __future__ import annotations

import json
import struct
import zlib
from importlib import import_module

import numpy as np
import pytest
from click.testing import CliRunner
from pictures import STROKES, on_nothing, on_paper, pen, photo
from PIL import Image

import fastnn as fn
from fastnn import ImageError, datasets
from fastnn.cli import main
from fastnn.prediction import data_options

RED, BLUE, GREEN = (220, 30, 20), (10, 40, 230), (20, 200, 40)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """A folder of red and blue images, and a model file that tells them apart."""
    folder = tmp_path_factory.mktemp("colours")
    rng = np.random.default_rng(0)
    for number in range(40):
        name, colour = (("red", RED), ("blue", BLUE))[number % 2]
        (folder / "data" / name).mkdir(parents=True, exist_ok=True)
        pixels = np.clip(np.array(colour) + rng.integers(-20, 20, (6, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "data" / name / f"{number}.png")
    data = datasets.load(folder / "data", seed=3)
    model = fn.Sequential(
        [fn.layers.Standardize.from_data(data.train[0]), fn.Flatten(), fn.Dense(None, 2)], data.train[0].shape[1:],
        backend="numpy", seed=0, class_names=data.class_names,
    )  # fmt: skip
    model.metadata.update(data.metadata)
    model.fit(*data.train, epochs=30, batch_size=8, verbose=False)
    model.save(folder / "model.safetensors")
    return folder


@pytest.fixture
def model(colours):
    return fn.load(colours / "model.safetensors", backend="numpy")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs fastnn in an empty folder; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    return lambda *arguments, **options: CliRunner().invoke(
        main, [*map(str, arguments), "--backend", "numpy"], prog_name="fastnn", **options
    )


def image(path, colour=RED, size=(30, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def assert_one_line(result, *parts):
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert part in result.stderr


# From Python


def test_predictions_come_in_order_with_all_probabilities(tmp_path, model):
    files = [image(tmp_path / "1.png", RED), image(tmp_path / "2.jpg", BLUE)]
    red, blue = fn.predict_images(model, [files[0], str(files[1])])
    assert (red.file, red.label) == (str(files[0]), "red")
    assert (blue.file, blue.label) == (str(files[1]), "blue")
    for each in (red, blue):
        assert list(each.probabilities) == ["blue", "red"]
        assert sum(each.probabilities.values()) == pytest.approx(1)
        assert each.confidence == max(each.probabilities.values()) == each.probabilities[each.label] > 0.9
    assert red.best(1) == [("red", red.confidence)]
    assert red.as_json() == {
        "file": str(files[0]), "label": "red", "confidence": red.confidence, "probabilities": red.probabilities,
    }  # fmt: skip
    (from_bytes,) = fn.predict_images(model, [files[1].read_bytes()])
    assert (from_bytes.file, from_bytes.label) == ("image", "blue")
    assert fn.predict_images(model, []) == []


def test_many_images(tmp_path, model):
    file = image(tmp_path / "1.png")
    assert {each.label for each in fn.predict_images(model, [file] * 300)} == {"red"}


def test_models_without_names_binary_ones_and_flat_ones(tmp_path):
    file = tmp_path / "3.png"
    on_paper(pen(3, 14)).save(file)
    flat = fn.Sequential([fn.Dense(784, 10)], (784,), backend="numpy", seed=0)
    (found,) = fn.predict_images(flat, [file])
    assert list(found.probabilities) == list("0123456789")
    binary = fn.Sequential([fn.Flatten(), fn.Dense(None, 1)], (8, 8), backend="numpy", class_names=("no", "yes"))
    (found,) = fn.predict_images(binary, [file])
    assert list(found.probabilities) == ["no", "yes"]
    assert sum(found.probabilities.values()) == pytest.approx(1)


def test_the_form_comes_from_the_model(tmp_path):
    """A model that returns the middle pixel: dark paper around a drawing for "mnist", light for "plain"."""
    file = tmp_path / "0.png"
    on_paper(pen(0, 10)).save(file)
    middle = fn.Sequential([fn.Flatten(), fn.Dense(None, 2, bias=False)], (8, 8, 1), backend="numpy")
    middle.layers[1].weights = np.outer(np.arange(64) == 0, [0, 9])
    (corner,) = fn.predict_images(middle, [file])
    assert corner.probabilities["1"] > 0.99
    middle.metadata["images"] = {"form": "mnist"}
    assert fn.predict_images(middle, [file])[0].probabilities["1"] == pytest.approx(0.5)
    assert fn.predict_images(middle, [file], normalise=False)[0].probabilities["1"] > 0.99
    middle.metadata["images"] = "square"
    with pytest.raises(ValueError, match="images: must be {'form': 'plain' or 'mnist'"):
        fn.predict_images(middle, [file])
    ten = fn.Sequential([fn.Flatten(), fn.Dense(None, 10, bias=False)], (8, 8, 1), backend="numpy")  # says nothing
    ten.layers[1].weights = np.outer(np.arange(64) == 0, np.arange(10))
    assert fn.predict_images(ten, [file])[0].confidence == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda: fn.Sequential([fn.Dense(4, 2)], (4,)), r"take images .*, its samples are \(4,\)$"),
        (lambda: fn.Sequential([fn.Conv2D(2, 2, 1), fn.Flatten(), fn.Dense(None, 2)], (5, 5, 2)), r"are \(5, 5, 2\)$"),
        (lambda: fn.Sequential([fn.Dense(4, 2)]), "its samples are none yet$"),
        (lambda: fn.Sequential([fn.Conv2D(1, 2, 3)], (9, 9, 1)),
         r"tell classes apart, its output is \(7, 7, 2\)$"),
    ],
)  # fmt: skip
def test_models_of_another_kind(network, message):
    with pytest.raises(ValueError, match="^predict_images: model must .*" + message):
        fn.predict_images(network(), ["x.png"])
    with pytest.raises(TypeError, match="predict_images: model must be a Sequential, got 'm'"):
        fn.predict_images("m", ["x.png"])


def test_the_first_bad_file_ends_it(tmp_path, model):
    with pytest.raises(ImageError, match=r"none\.png: cannot be read: No such file"):
        fn.predict_images(model, [image(tmp_path / "1.png"), tmp_path / "none.png"])


# The command


def test_plain_text_where_there_is_no_terminal(run, colours, tmp_path):
    image(tmp_path / "a.png")
    result = run("predict", colours / "model.safetensors", "a.png")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.startswith("a.png: red (9")
    assert [row.split()[0] for row in rows] == ["blue", "red"]
    assert "#" * 30 in rows[1]
    assert "#" * 30 not in rows[0]
    top = run("predict", colours / "model.safetensors", "a.png", "--top", 1).stdout.splitlines()
    assert [row.split()[0] for row in top] == ["a.png:", "red"]


def test_bars_where_there_is_a_terminal(colours, tmp_path, monkeypatch, capsys):
    from rich.console import Console

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setattr("rich.console.Console", lambda: Console(width=90, legacy_windows=False))
    model = fn.load(colours / "model.safetensors", backend="numpy")
    import_module("fastnn.cli.predict")._write(fn.predict_images(model, [image(tmp_path / "a.png")])[0], None)
    shown = capsys.readouterr().out
    assert "red (9" in shown
    assert "━" * 30 in shown


def test_json(run, colours, tmp_path):
    image(tmp_path / "more" / "x10.png", BLUE)
    image(tmp_path / "more" / "x9.png", RED)
    image(tmp_path / "a.png", BLUE)
    result = run("predict", colours / "model.safetensors", "a.png", "more", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [(row["file"], row["label"]) for row in rows] == [
        ("a.png", "blue"), ("more/x9.png", "red"), ("more/x10.png", "blue"),
    ]  # fmt: skip
    assert set(rows[0]) == {"file", "label", "confidence", "probabilities"}
    assert set(rows[0]["probabilities"]) == {"red", "blue"}
    top = json.loads(run("predict", colours / "model.safetensors", "a.png", "--json", "--top", 1).stdout)
    assert list(top[0]["probabilities"]) == ["blue"]


def test_a_run_folder_is_a_model(run, colours, tmp_path):
    image(tmp_path / "a.png")
    assert run("predict", colours, "a.png").exit_code == 0


def test_show_writes_the_prepared_image_beside_the_original(run, colours, tmp_path):
    image(tmp_path / "more" / "a.png", size=(300, 100))
    result = run("predict", colours, "more", "--show")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "prepared: more/a.png.prepared.png"
    with Image.open(tmp_path / "more" / "a.png.prepared.png") as shown:
        assert shown.size == (300 + 8 + 46 * 8, 46 * 6)
        assert shown.getpixel((10, 150)) == RED  # the original in the middle of its height
        np.testing.assert_allclose(shown.getpixel((400, 10)), RED, atol=2)
    again = run("predict", colours, "more", "--json")
    assert len(json.loads(again.stdout)) == 1  # the picture is no image to predict
    assert sorted(path.name for path in (tmp_path / "more").iterdir()) == ["a.png", "a.png.prepared.png"]


def test_show_where_nothing_can_be_written(run, colours, tmp_path, monkeypatch):
    image(tmp_path / "a.png")
    monkeypatch.setattr("os.replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    result = run("predict", colours, "a.png", "--show")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["fastnn: a.png.prepared.png: cannot be written: No space left on device"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_interactive(run, colours, tmp_path):
    image(tmp_path / "a b.png")
    image(tmp_path / "c.png", BLUE)
    typed = "a b.png\nnone.png\n'a b.png'\na\\ b.png \nc.png\n\nc.png\n"
    result = run("predict", colours, "--interactive", "--top", 1, input=typed)
    assert result.exit_code == 0, result.output
    heads = [line.split(" (")[0] for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert heads == ["a b.png: red", "a b.png: red", "a b.png: red", "c.png: blue"]
    assert "fastnn: none.png: cannot be read: No such file or directory" in result.stderr
    assert run("predict", colours, "--interactive", input="").exit_code == 0
    assert run("predict", colours, "--interactive", "--json", input="\n").stdout == ""  # no list that nobody asked for
    assert run("predict", colours, "c.png", "--interactive", input="c.png").stdout.count("blue (") == 2


def test_images_or_interactive(run, colours):
    result = run("predict", colours)
    assert result.exit_code == 2
    assert "Missing argument 'IMAGES'" in result.stderr


def huge(path):
    """A PNG whose header says 20,000 x 20,000 pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">2I5B", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b""))


def test_errors_are_one_line_each(run, colours, tmp_path):
    (tmp_path / "text.png").write_text("text")
    (tmp_path / "empty").mkdir()
    huge(tmp_path / "huge.png")
    assert_one_line(run("predict", colours, "none.png"), "none.png: cannot be read: No such file or directory")
    assert_one_line(run("predict", colours, "text.png"), "text.png: not an image, or of an unknown format")
    assert_one_line(run("predict", colours, "huge.png"), "huge.png: must have at most 80 million pixels")
    assert_one_line(run("predict", colours, "empty"), "empty: holds no images")
    assert_one_line(run("predict", "none.safetensors", "text.png"), "none.safetensors: cannot be read")
    fn.Sequential([fn.Dense(4, 2)], (4,), backend="numpy").save("table.safetensors")
    assert_one_line(run("predict", "table.safetensors", "text.png"), "model must take images", "(4,)")
    image(tmp_path / "good.png")
    assert json.loads(run("predict", colours, "none.png", "--json").stdout) == []
    result = run("predict", colours, "none.png", "good.png", "text.png", "--json")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 2
    assert [row["label"] for row in json.loads(result.stdout)] == ["red"]


# evaluate and train on a user's own data


def test_evaluate_takes_what_training_left_for_the_test(run, colours):
    result = run("evaluate", colours)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"4 test images of {colours / 'data'}: loss 0.")
    assert "accuracy 100.00%" in result.stdout
    assert run("evaluate", colours, "--dataset", colours / "data").stdout == result.stdout


def test_evaluate_takes_all_of_another_folder_at_the_models_size(run, colours, tmp_path):
    for number, colour in enumerate((RED, BLUE, BLUE)):
        image(tmp_path / "flat" / f"{('red', 'blue')[colour == BLUE]}_{number}.png", colour, (100, 70))
    (tmp_path / "flat" / "red_9.png").write_text("text")
    result = run("evaluate", colours, "--dataset", "flat")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 test images of flat: ")
    assert result.stderr.startswith("fastnn: warning: 1 file skipped: flat/red_9.png: not an image")
    assert "accuracy 100.00%" in result.stdout


def test_evaluate_on_arrays_and_tables(run, colours, tmp_path):
    x = np.zeros((4, 6, 8, 3), np.uint8)
    x[:2], x[2:] = RED, BLUE
    np.savez("x.npz", x=x, y=[1, 1, 0, 0])
    assert "4 test images of x.npz" in run("evaluate", colours, "--dataset", "x.npz").stdout
    header = ",".join(f"p{n}" for n in range(144))
    rows = [",".join(map(str, row)) for row in x.reshape(4, -1)]
    lines = [f"{header},what,age", *(f"{row},{('red', 'blue')[n // 2]},3" for n, row in enumerate(rows))]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    assert_one_line(run("evaluate", colours, "--dataset", "x.csv"), "rows of 145 values are no images of 6x8 pixels")
    (tmp_path / "x.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    result = run("evaluate", colours, "--dataset", "x.csv", "--label-column", "what")
    assert "accuracy 100.00%" in result.stdout, result.output


def test_errors_of_data_are_one_line_each(run, colours, tmp_path):
    for name in ("red", "green"):
        image(tmp_path / "green" / name / "1.png", GREEN)
    (tmp_path / "hole.csv").write_text("label,a,b\nred,1,2\nblue,,4\n")
    evaluate = ("evaluate", colours, "--dataset")
    assert_one_line(run(*evaluate, "nowhere"), "'nowhere' is none of digits, mnist,", "nor a file or folder")
    assert_one_line(run(*evaluate, "green"), "green/green/1.png: label 'green' is outside the classes blue, red")
    assert_one_line(run(*evaluate, "hole.csv"), "hole.csv: line 3, column 'a': a number is missing")
    assert_one_line(run(*evaluate, "digits"), "label '0' is outside the classes blue, red")
    fn.Sequential([fn.Dense(4, 2)], (4,), backend="numpy", class_names=["red", "green"]).save("table.safetensors")
    assert_one_line(run("evaluate", "table.safetensors", "--dataset", "green"), "holds images", "(4,)")


def test_train_on_a_folder_and_use_the_model(run, colours, tmp_path):
    result = run("train", "--dataset", colours / "data", "--model", "mlp", "--epochs", 3, "--out", "run")
    assert result.exit_code == 0, result.output
    model = fn.load("run/model.safetensors", backend="numpy")
    assert model.class_names == ["blue", "red"]
    assert model.metadata["images"] == {"form": "plain"}
    image(tmp_path / "a.png", BLUE)
    assert run("predict", "run", "a.png").stdout.startswith("a.png: blue")
    assert "4 test images of " in run("evaluate", "run").stdout


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda folder: (folder / "cat").mkdir(), "class 'cat' has no samples to train with"),
        (lambda folder: (folder / "dog").rename(folder.parent / "dog"), "needs two classes or more, got one: bird"),
        (lambda folder: [path.write_text("text") for path in folder.rglob("*.png")], "no image could be read"),
        (lambda folder: [path.write_text("text") for path in (folder / "dog").iterdir()],
         "class 'dog' has no image that can be read"),
        (lambda folder: [huge(path) for path in (folder / "dog").iterdir()], "at most 80 million pixels"),
    ],
)  # fmt: skip
def test_train_on_folders_that_cannot_be(run, tmp_path, change, part):
    for number in range(8):
        image(tmp_path / "pets" / ("bird", "dog")[number % 2] / f"{number}.png")
    change(tmp_path / "pets")
    assert_one_line(run("train", "--dataset", "pets", "--model", "mlp"), part)
    assert not (tmp_path / "runs").exists()


# Hand-drawn digits, seen by a CNN of real MNIST


@pytest.fixture(scope="module")
def digit_reader(mnist_folder):
    wanted = {"data.dataset": "mnist", "data.data_dir": str(mnist_folder), "training.epochs": 1}
    done = fn.train(fn.recipes.load("cnn").override(wanted), verbose=False)
    assert done.accuracy > 0.98
    return done.model


def test_digits_of_every_kind_are_read_right(digit_reader, tmp_path):
    made = {
        "thin": lambda digit: on_paper(pen(digit, 3)),
        "pen": lambda digit: on_paper(pen(digit, 10)),
        "marker": lambda digit: on_paper(pen(digit, 26)),
        "thin chalk": lambda digit: on_paper(pen(digit, 3), ink=255, paper=0),
        "chalk": lambda digit: on_paper(pen(digit, 10), ink=230, paper=40),
        "thick chalk": lambda digit: on_paper(pen(digit, 26), ink=255, paper=0),
        "in a corner": lambda digit: on_paper(pen(digit, 8, (500, 300), (20, 15, 90, 120))),
        "on a tiny canvas": lambda digit: on_paper(pen(digit, 2, (28, 28)), ink=255, paper=0),
        "transparent": lambda digit: on_nothing(pen(digit, 10)),
        "white on nothing": lambda digit: on_nothing(pen(digit, 10), ink=255),
        "photo": lambda digit: photo(pen(digit, 12, (640, 480), (330, 200, 150, 200))),
    }
    wrong = []
    for kind, draw in made.items():
        for digit in STROKES:
            file = tmp_path / f"{digit}.png"
            draw(digit).save(file)
            (found,) = fn.predict_images(digit_reader, [file])
            if found.label != str(digit):
                wrong.append(f"{digit} {kind}: {found.label} ({found.confidence:.2f})")
    assert wrong == []


def test_real_digits_are_read_as_well_from_files(digit_reader, mnist_folder, tmp_path):
    x, y = (part[:2000] for part in datasets.load_mnist(mnist_folder)[1])
    for number, (sample, label) in enumerate(zip(x, y, strict=True)):
        Image.fromarray(255 - np.rint(255 * sample[..., 0]).astype(np.uint8)).resize((112, 112)).save(
            tmp_path / f"{label}_{number}.png"
        )
    from_files = datasets.load_test(tmp_path, **data_options(digit_reader, str(tmp_path))).test
    assert digit_reader.evaluate(*from_files)[1] >= digit_reader.evaluate(x, y)[1] - 0.005
