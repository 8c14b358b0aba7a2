"""Folders of images: layouts, order, classes, what is skipped and what is refused; and reading by several processes."""

import os
import time

import numpy as np
import pytest
from PIL import Image

from fastnn import DataError, datasets
from fastnn.datasets import _reading
from fastnn.datasets._form import Form, SampleShape


def save(path, value=0, size=(4, 3), mode="L"):
    """An image whose first pixel says what it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("L", size, 255)
    image.putpixel((0, 0), value)
    image.convert(mode).save(path)


@pytest.fixture
def pets(tmp_path):
    """Ten cats 0..9, ten dogs 10..19, and what is no image."""
    for number in range(20):
        save(tmp_path / "pets" / ("cat", "dog")[number // 10] / f"{number % 10 + 1}.png", number)
    (tmp_path / "pets" / "labels.txt").write_text("not an image")
    (tmp_path / "pets" / "cat" / "notes.md").write_text("not an image")
    save(tmp_path / "pets" / ".thumbnails" / "1.png")
    save(tmp_path / "pets" / "cat" / "1.prepared.png", 99)
    return tmp_path / "pets"


def firsts(part):
    """The number of each image."""
    return np.rint(255 * part[0][:, 0, 0, 0]).astype(int).tolist()


def test_class_folders(pets):
    data = datasets.load(pets, split="0.6/0.2/0.2")
    assert data.class_names == ("cat", "dog")
    assert data.skipped == ()
    numbers = []
    for part, size in ((data.train, 12), (data.validation, 4), (data.test, 4)):
        x, y = part
        assert x.shape == (size, 3, 4, 1)
        assert x.dtype == np.float32
        assert x.flags.carray
        assert y.dtype == np.int64
        assert np.bincount(y).tolist() == [size // 2, size // 2]
        assert y.tolist() == [number // 10 for number in firsts(part)]
        assert firsts(part) == sorted(firsts(part))  # 10.png is the last cat
        assert x.max() == 1
        numbers += firsts(part)
    assert sorted(numbers) == list(range(20))


def test_the_seed_decides_the_split(pets):
    same = [firsts(datasets.load(pets, seed=seed).test) for seed in (3, 3, 4, 5)]
    assert same[0] == same[1]
    assert len({tuple(rows) for rows in same}) > 1
    (x, _), (x_test, _) = datasets.load(str(pets), split=(0.5, 0.5))
    assert (len(x), len(x_test)) == (10, 10)
    assert datasets.load(pets, split=(0.5, 0.5)).validation is None


def test_folders_of_parts(tmp_path, pets):
    for part, numbers in (("train", (0, 1, 2, 10, 11)), ("Val", (3, 13)), ("test", (4, 14, 15))):
        for number in numbers:
            save(tmp_path / "all" / part / ("cat", "dog")[number // 10] / f"{number}.png", number)
    data = datasets.load(tmp_path / "all")
    assert [firsts(part) for part in (data.train, data.validation, data.test)] == [
        [0, 1, 2, 10, 11], [3, 13], [4, 14, 15],
    ]  # fmt: skip
    assert data.test[1].tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="all: has a test part of its own: split must be two shares"):
        datasets.load(tmp_path / "all", split="0.8/0.2")
    (tmp_path / "all" / "Val").rename(tmp_path / "all" / "other")  # beside two parts it is no class
    data = datasets.load(tmp_path / "all", split="0.6/0.4")
    assert data.validation is not None
    assert len(data.train[0]) + len(data.validation[0]) == 5
    assert firsts(data.test) == [4, 14, 15]
    with pytest.raises(ValueError, match="split must be two shares, of training and validation"):
        datasets.load(tmp_path / "all", split="0.8/0.1/0.1")
    (tmp_path / "all" / "test").rename(tmp_path / "all" / "valid")
    (tmp_path / "all" / "other").rename(tmp_path / "all" / ".other")
    data = datasets.load(tmp_path / "all")  # of two parts the second is for the test
    assert (data.validation, firsts(data.test)) == (None, [4, 14, 15])


def test_a_class_may_be_called_train(tmp_path):
    for name in ("train", "plane"):
        for number in range(5):
            save(tmp_path / "vehicles" / name / f"{number}.png", number)
    assert datasets.load(tmp_path / "vehicles").class_names == ("plane", "train")


def test_a_flat_folder(tmp_path):
    for number in range(12):
        save(tmp_path / "flat" / f"{(9, 10, 100)[number % 3]}_{number:04}.png", number)
    data = datasets.load(tmp_path / "flat", split="1/1")
    assert data.class_names == ("9", "10", "100")
    assert data.train[1].tolist() == [number % 3 for number in firsts(data.train)]
    for name, label in (("T-shirt_1.png", "T-shirt"), ("T-shirt_2_b.png", "T-shirt"), ("cat.3.png", "cat")):
        save(tmp_path / "mixed" / name)
        assert label in datasets.load(tmp_path / "mixed", class_names=("T-shirt", "cat"), test_only=True).class_names
    save(tmp_path / "mixed" / "nameless.png")
    with pytest.raises(DataError, match=r"nameless\.png: its name must begin with a label, as in 7_0012\.png"):
        datasets.load(tmp_path / "mixed")


def test_images_below_class_folders_and_beside_them(pets):
    save(pets / "dog" / "more" / "deep" / "11.png", 77)
    save(pets / "preview.png")
    with pytest.warns(UserWarning, match=r"^1 file skipped: .*preview\.png: in no class folder$"):
        data = datasets.load(pets, test_only=True)
    assert 77 in firsts(data.test)
    assert len(data.skipped) == 1


def test_size_colour_and_form(tmp_path, pets):
    assert datasets.load(pets, image_size=7).train[0].shape[1:] == (7, 7, 1)
    assert datasets.load(pets, image_size=(5, 6), colour=True).train[0].shape[1:] == (5, 6, 3)
    for number in range(3):
        save(tmp_path / "red" / str(number % 2) / f"{number}.png", mode="RGB")
    assert datasets.load(tmp_path / "red", split="1/1").train[0].shape[1:] == (3, 4, 1)  # RGB, but grey
    for number in range(2):
        Image.new("RGB", (4, 3), (200, 10, number)).save(tmp_path / "red" / str(number) / f"{number}.png")
    assert datasets.load(tmp_path / "red", split="1/1").train[0].shape[1:] == (3, 4, 3)
    assert datasets.load(tmp_path / "red", split="1/1", colour=False).train[0].shape[1:] == (3, 4, 1)
    drawings = datasets.load(pets, form="mnist")
    assert drawings.train[0].shape[1:] == (28, 28, 1)
    assert drawings.metadata["images"] == {"form": "mnist", "box": 20 / 28}
    assert datasets.load(pets, form=Form("mnist", 0.9), image_size=14).metadata["images"]["box"] == 0.9


def test_metadata(pets):
    data = datasets.load(pets, seed=5)
    kept = {"split": [0.8, 0.1, 0.1], "seed": 5, "label_column": None}
    assert data.metadata == {"dataset": str(pets), "images": {"form": "plain"}, "data": kept}
    assert datasets.load("digits").metadata == {"dataset": "digits", "images": {"form": "mnist", "box": 1.0}}


def test_the_test_part_alone(pets):
    cut = datasets.load(pets, split="0.6/0.4", seed=1)
    alone = datasets.load(pets, split="0.6/0.4", seed=1, test_only=True)
    assert firsts(alone.test) == firsts(cut.test)
    assert len(alone.train[0]) == 0
    assert firsts(datasets.load(pets, test_only=True).test) == list(range(20))


# Damage


def test_files_that_cannot_be_read_are_listed_and_left_out(pets):
    (pets / "dog" / "3.png").write_text("text")
    (pets / "cat" / "1.png").write_bytes((pets / "cat" / "1.png").read_bytes()[:-26])
    with pytest.warns(UserWarning, match=r"^2 files skipped: .*1\.png: damaged image: .*; .*3\.png: not an image"):
        data = datasets.load(pets, split="0.5/0.5")
    assert sorted(firsts(data.train) + firsts(data.test)) == [*range(1, 12), *range(13, 20)]
    for part in data:
        assert part[1].tolist() == [number // 10 for number in firsts(part)]
    assert [os.path.basename(line.split(":")[0]) for line in data.skipped] in (["1.png", "3.png"], ["3.png", "1.png"])


def test_a_long_list_of_files_is_cut(tmp_path):
    for number in range(15):
        save(tmp_path / "x" / "ab"[number % 2] / f"{number}.png")
        (tmp_path / "x" / "ab"[number % 2] / f"{number}b.png").write_text("text")
    with pytest.warns(UserWarning, match=r"^15 files skipped: .*; and 5 more$"):
        assert len(datasets.load(tmp_path / "x").skipped) == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: (p / "bird").mkdir(), r"pets: class 'bird' has no samples to train with$"),
        (lambda p: [f.unlink() for f in (p / "dog").iterdir()] + [(p / "dog").rmdir()],
         r"pets: a classifier needs two classes or more, got one: cat$"),
        (lambda p: [f.write_text("text") for f in (p / "dog").iterdir()],
         r"pets: class 'dog' has no image that can be read; .*\.png: not an image"),
        (lambda p: [f.write_text("text") for f in p.rglob("*.png")], r"pets: no image could be read; .*: not an image"),
        (lambda p: [f.unlink() for f in p.rglob("*.png")], r"pets: holds no samples$"),
        (lambda p: save(p / "dog" / "5.png", size=(4, 4)),
         r"5\.png: is 4x4 pixels, others are 3x4: say which size all images shall have \(image_size, --image-size\)$"),
    ],
)  # fmt: skip
def test_refused(pets, change, message):
    change(pets)
    with pytest.raises(DataError, match=message):  # and no warning, which would be an error here
        datasets.load(pets)


def test_no_images(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no images, neither in folders of classes nor itself$"):
        datasets.load(tmp_path / "empty")
    with pytest.raises(DataError, match="nor a file or folder$"):
        datasets.load(tmp_path / "none")
    save(tmp_path / "parts" / "test" / "cat" / "1.png")
    with pytest.raises(DataError, match="parts: class 'cat' has no samples to train with$"):
        datasets.load(tmp_path / "parts")


def test_a_label_outside_the_classes(pets):
    with pytest.raises(DataError, match=r"dog/1\.png: label 'dog' is outside the classes cat, bird$"):
        datasets.load(pets, class_names=("cat", "bird"))
    assert datasets.load(pets, class_names=("dog", "bird", "cat"), split="0/1").test[1].tolist() == [2] * 10 + [0] * 10


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"label_column": 3}, ValueError, "datasets: label_column does not apply to .*pets, got 3"),
        ({"data_dir": "."}, ValueError, "datasets: data_dir does not apply to .*pets, got '.'"),
        ({"form": "emnist"}, ValueError, "datasets: form must be one of 'plain', 'mnist', got 'emnist'"),
        ({"image_size": 0}, ValueError, "datasets: image_size must be >= 1, got 0"),
        ({"image_size": "28"}, TypeError, "datasets: image_size must be an integer, got '28'"),
        ({"seed": -1}, ValueError, "datasets: seed must be >= 0, got -1"),
        ({"split": "0.8"}, ValueError, "datasets: split must be shares .* such as '0.8/0.1/0.1', got '0.8'"),
        ({"split": "a/b"}, ValueError, "datasets: split must be shares .*, got 'a/b'"),
        ({"split": (0.5, -0.5)}, ValueError, "datasets: split must be shares .*, got .0.5, -0.5."),
        ({"split": "nan/1"}, ValueError, "datasets: split must be shares .*, got 'nan/1'"),
        ({"split": 0.5}, ValueError, "datasets: split must be shares .*, got 0.5"),
    ],
)
def test_wrong_options(pets, options, error, message):
    with pytest.raises(error, match=message):
        datasets.load(pets, **options)


# By several processes


@pytest.fixture
def busy(monkeypatch):
    """This process reads so slowly that others are worth their start."""
    monkeypatch.setattr(_reading, "_WORTH", 0)
    read_image = _reading.read_image
    monkeypatch.setattr(_reading, "read_image", lambda *a, **k: time.sleep(0.02) or read_image(*a, **k))
    monkeypatch.setattr(_reading, "_cores", lambda: 2)
    monkeypatch.setattr(_reading, "_CHUNK_FILES", 5)


@pytest.fixture
def many(tmp_path):
    for number in range(150):
        save(tmp_path / "many" / "ab"[number % 2] / f"ü {number}.png", number)
    return tmp_path / "many"


def test_processes_read_the_same(many, busy, monkeypatch):
    (many / "a" / "ü 40.png").write_text("text")
    asked = []
    ask = _reading._ask
    monkeypatch.setattr(_reading, "_ask", lambda worker, files, shape: asked.append(files) or ask(worker, files, shape))
    with pytest.warns(UserWarning, match=r"1 file skipped: .*ü 40\.png: not an image"):
        data = datasets.load(many, split="0/1")
    assert sorted(firsts(data.test)) == [number for number in range(150) if number != 40]
    assert data.test[1].tolist() == [number % 2 for number in firsts(data.test)]
    assert asked


def test_processes_prepare_drawings(many, busy):
    x, _ = datasets.load(many, form="mnist", split="0/1", image_size=8).test
    assert x.shape == (150, 8, 8, 1)
    assert (x.max(axis=(1, 2, 3)) > 0.9).all()


def test_an_image_of_another_size_ends_the_reading(many, busy):
    save(many / "b" / "ü 149.png", size=(9, 9))
    with pytest.raises(DataError, match=r"ü 149\.png: is 9x9 pixels, others are 3x4"):
        datasets.load(many)


def test_a_process_that_dies(many, busy, monkeypatch):
    monkeypatch.setattr(_reading, "_CODE", "import sys; sys.exit(3)  # {} {!r}")
    with pytest.raises(RuntimeError, match="^datasets: a process that reads images ended with status 3$"):
        datasets.load(many)


def test_reading_by_itself(tmp_path):
    save(tmp_path / "1.png", 51)
    out = np.full((2, 3, 4, 1), np.nan, np.float32)
    files = [str(tmp_path / "1.png"), str(tmp_path / "2.png")]
    failures = _reading.read_images(files, SampleShape(3, 4, 1), Form(), out)
    assert failures == {1: f"{files[1]}: cannot be read: No such file or directory"}
    assert out[0, 0, 0, 0] == np.float32(0.2)
