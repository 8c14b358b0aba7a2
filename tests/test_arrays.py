"""A data set in an .npz file."""

import zipfile

import numpy as np
import pytest

from fastnn import DataError, datasets

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((20, 3)), np.arange(20) % 2


@pytest.fixture
def write(tmp_path):
    def write(**arrays):
        path = tmp_path / "data.npz"
        np.savez_compressed(path, **arrays)
        return path

    return write


def everything(path, **options):
    return datasets.load(path, test_only=True, **options).test


def test_x_and_y_are_split(write):
    data = datasets.load(write(x=X, y=Y), split="0.5/0.2/0.3", seed=2)
    assert [len(x) for x, _ in (data.train, data.validation, data.test)] == [10, 4, 6]
    x = np.concatenate([data.train[0], data.validation[0], data.test[0]])
    assert x.dtype == np.float32
    np.testing.assert_array_equal(np.sort(x, axis=0), np.sort(X.astype(np.float32), axis=0))
    assert data.class_names == ("0", "1")
    assert data.metadata == {
        "dataset": str(write(x=X, y=Y)), "data": {"split": [0.5, 0.2, 0.3], "seed": 2, "label_column": None},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["x_val", "X_validation", "x_valid"])
def test_parts_of_their_own(write, name):
    path = write(**{"x_train": X[:9], "y_train": Y[:9], "x_test": X[9:15], "y_test": Y[9:15], name: X[15:],
                    name.lower().replace("x", "y", 1): Y[15:]})  # fmt: skip
    data = datasets.load(path)
    for part, rows in ((data.train, slice(0, 9)), (data.test, slice(9, 15)), (data.validation, slice(15, 20))):
        np.testing.assert_array_equal(part[0], X[rows].astype(np.float32))
        np.testing.assert_array_equal(part[1], Y[rows])


def test_a_train_part_is_split_when_that_is_asked(write):
    data = datasets.load(write(x_train=X[:10], y_train=Y[:10], x_test=X[10:], y_test=Y[10:]), split="0.6/0.4")
    assert (len(data.train[0]), len(data.validation[0]), len(data.test[0])) == (6, 4, 10)
    np.testing.assert_array_equal(data.test[1], Y[10:])


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (Y, ("0", "1")),
        (Y.astype(np.float32)[:, None], ("0", "1")),
        (Y.astype(bool), ("0", "1")),
        (np.eye(2)[Y], ("0", "1")),
        (np.eye(2, dtype=bool)[Y], ("0", "1")),
        (Y * 8 + 2, ("2", "10")),
        (np.array(["cat", "dog"])[Y], ("cat", "dog")),
        (np.array([b"cat", b"dog"])[Y], ("cat", "dog")),
    ],
)
def test_labels_of_every_kind(write, labels, names):
    data = datasets.load(write(x=X, y=labels), split="0/1")
    assert data.class_names == names
    np.testing.assert_array_equal(data.test[1], Y)


def test_numbers_can_mean_names(write):
    data = datasets.load(write(x=X, y=Y, class_names=["cat", "dog"]))
    assert data.class_names == ("cat", "dog")
    path = write(x=X, y=Y)
    np.testing.assert_array_equal(everything(path, class_names=["cat", "dog", "bird"])[1], Y)
    np.testing.assert_array_equal(everything(path, class_names=["2", "1", "0"])[1], 2 - Y)
    with pytest.raises(DataError, match=r"data\.npz: row 1 of y_train: label '1' is outside the classes cat$"):
        everything(path, class_names=["cat"])
    with pytest.raises(DataError, match=r"class 'bird' has no samples to train with$"):
        datasets.load(write(x=X, y=Y, class_names=["cat", "dog", "bird"]))


def test_bytes_are_pixels(write):
    pixels = RNG.integers(0, 256, (20, 4, 5)).astype(np.uint8)
    x, _ = everything(write(x=pixels, y=Y))
    np.testing.assert_array_equal(x, pixels[..., None].astype(np.float32) / np.float32(255))
    assert datasets.load(write(x=pixels, y=Y)).metadata["images"] == {"form": "plain"}
    assert everything(write(x=pixels.reshape(20, 20), y=Y), image_size=(4, 5))[0].shape == (20, 4, 5, 1)
    x, _ = everything(write(x=pixels.reshape(20, 20).astype(float), y=Y), image_size=(4, 5))
    assert x.max() <= 1
    assert everything(write(x=X, y=Y), image_size=1)[0].shape == (20, 1, 1, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": X}, r"must hold x and y, or x_train, y_train, x_test, y_test; got a$"),
        ({"x": X}, r"must hold x and y, got x$"),
        ({"data": X, "y_train": Y}, r"must hold x_train and y_train, got data, y_train$"),
        ({"x": X, "y": Y[:9]}, r"y_train has 9 labels for 20 samples$"),
        ({"x": Y, "y": Y}, r"x must hold numbers of shape \(N, ...\), got shape \(20,\) and dtype int64$"),
        ({"x": X.astype(str), "y": Y}, r"x must hold numbers .* dtype <U32$"),
        ({"x": X[:0], "y": Y[:0]}, r"x must hold numbers of shape \(N, ...\), got shape \(0, 3\)"),
        ({"x": np.where(X[7, 1] == X, np.nan, X), "y": Y}, r"x must be finite, got nan in row 7$"),
        ({"x": np.where(X[7, 1] == X, 1e39, X), "y": Y}, r"x must be finite, got inf in row 7$"),
        ({"x": X, "y": Y + 0.5}, r"labels must be whole numbers, got 0.5 in row 0$"),
        ({"x": X, "y": np.ones((20, 2))}, r"labels must be one-hot .one 1, else 0., got \[1.0, 1.0\] in row 0$"),
        ({"x": X, "y": np.ones((20, 2, 2))}, r"labels must be words, whole numbers \(N,\) or one-hot rows \(N, C\)"),
        ({"x": X, "y": Y * 0}, r"a classifier needs two classes or more, got one: 0$"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, 1:], "y_test": Y},
         r"samples must have one shape, got \(2,\), \(3,\)$"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1},
         r"row 1 of y_test: label '2' is outside the classes 0, 1$"),
        ({"x": np.array([None, 3]), "y": Y}, r"no .npz file of numbers and words: it holds Python objects$"),
    ],
)  # fmt: skip
def test_refused(write, arrays, message):
    with pytest.raises(DataError, match=r"data\.npz: " + message):
        datasets.load(write(**arrays))


def test_sizes_that_do_not_fit(write):
    with pytest.raises(DataError, match="rows of 3 values are no images of 2x2 pixels$"):
        datasets.load(write(x=X, y=Y), image_size=2)
    with pytest.raises(DataError, match="images in arrays are not resized: they are 4x5, not 2x2$"):
        datasets.load(write(x=np.zeros((20, 4, 5)), y=Y), image_size=2)
    with pytest.raises(ValueError, match="datasets: colour does not apply to .*data.npz, got True"):
        datasets.load(write(x=X, y=Y), colour=True)


def test_damaged_files(tmp_path, write):
    good = write(x=X, y=Y).read_bytes()
    path = tmp_path / "bad.npz"
    for content in (b"", b"text", good[:-30], good[:60] + b"\0" * 40 + good[100:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz: no \.npz file of numbers and words: damaged$"):
            datasets.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"text")
    with pytest.raises(DataError, match=r"bad\.npz: "):
        datasets.load(path)
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(path)
    with pytest.raises(DataError, match="must be an .npz file of several arrays, got one array$"):
        datasets.load(path)
    (tmp_path / "data.bin").write_bytes(good)
    with pytest.raises(DataError, match="data.bin: must be a folder, an .npz file or a .csv file$"):
        datasets.load(tmp_path / "data.bin")
