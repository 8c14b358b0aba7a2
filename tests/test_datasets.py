"""Data sets: what they return, and what is said of every kind of damage."""

from __future__ import annotations

import gzip
import struct
import sys
from functools import partial
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fastnn import DataError, datasets
from fastnn.datasets import idx, mnist, read_idx, write_idx

IMAGES = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
LABELS = np.array([0, 9, 4], np.uint8)


def idx_bytes(shape, data, type_code=8, zeros=0):
    return struct.pack(f">HBB{len(shape)}I", zeros, type_code, len(shape), *shape) + data


GOOD = idx_bytes((2, 3), bytes(range(6)))


def test_digits():
    (x_train, y_train), (x_test, y_test) = datasets.load_digits()
    assert x_train.shape == (1500, 8, 8, 1)
    assert x_test.shape == (297, 8, 8, 1)
    for x, y in ((x_train, y_train), (x_test, y_test)):
        assert x.dtype == np.float32
        assert (x.min(), x.max()) == (0, 1)
        assert y.dtype == np.int64
        assert y.shape == (len(x),)
        assert np.bincount(y).min() >= 27
    assert y_train[:10].tolist() == list(range(10))


def test_digits_cannot_be_changed_for_the_next_caller():
    datasets.load_digits()[0][0][:] = 5
    assert datasets.load_digits()[0][0].max() == 1


@pytest.mark.parametrize("name", datasets.NAMES)
def test_ten_class_names(name):
    assert len(set(datasets.class_names(name))) == 10


def test_unknown_name():
    with pytest.raises(DataError, match="^datasets: 'imagenet' is none of digits, mnist, .*, nor a file or folder$"):
        datasets.load("imagenet")
    with pytest.raises(ValueError, match="datasets: name must be one of digits, mnist, .*, got 'imagenet'"):
        datasets.class_names("imagenet")


# The file format


@given(npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4)), st.sampled_from(["a.gz", "a"]))
def test_round_trip(tmp_path_factory, array, name):
    path = tmp_path_factory.mktemp("idx") / name
    write_idx(path, array)
    again = read_idx(path, ndim=array.ndim)
    assert again.dtype == np.uint8
    np.testing.assert_array_equal(again, array)


def test_compression_is_told_by_the_content_not_the_name(tmp_path):
    (tmp_path / "plain.gz").write_bytes(GOOD)
    (tmp_path / "zipped").write_bytes(gzip.compress(GOOD))
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), read_idx(tmp_path / "zipped"))


@pytest.mark.parametrize("array", [np.zeros(3), np.zeros(3, np.int64), np.uint8(3)])
def test_only_bytes_are_written(tmp_path, array):
    with pytest.raises(TypeError, match="write_idx: array must be uint8 with 1 axis or more"):
        write_idx(tmp_path / "a", array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: 0 bytes are too few for an IDX header"),
        (b"\0\0\x08", "truncated: 3 bytes"),
        (GOOD[:9], "truncated inside the IDX header"),
        (GOOD[:-1], r"truncated: shape \(2, 3\) needs 6 bytes of data"),
        (GOOD[:12], "truncated: shape"),
        (GOOD + b"\0", r"bytes left over after the 6 bytes that shape \(2, 3\) needs"),
        (idx_bytes((2, 3), bytes(6), zeros=1), "not an IDX file: it starts with 00010802"),
        (b"\x89PNG\r\n\x1a\n" + bytes(9), "not an IDX file: it starts with 89504e47"),
        (idx_bytes((), b""), "not an IDX file"),
        (idx_bytes((2, 3), bytes(24), type_code=0x0D), r"IDX type code must be 8 \(unsigned byte\), got 13"),
        (idx_bytes((6,), bytes(6)), "must have 2 axes, got 1"),
        (idx_bytes((0, 3), b""), r"holds no data: its shape is \(0, 3\)"),
        (idx_bytes((2**32 - 1, 2**32 - 1), bytes(6)), "truncated: shape"),
    ],
)
def test_damaged_file(tmp_path, content, message, pack):
    path = tmp_path / "broken-idx"
    path.write_bytes(pack(content))
    with pytest.raises(DataError, match=f"broken-idx: {message}"):
        read_idx(path, ndim=2)


def flipped(packed: bytes, at: int) -> bytes:
    return packed[:at] + bytes([packed[at] ^ 0xFF]) + packed[at + 1 :]


@pytest.mark.parametrize("name", ["some-idx", "some-idx.gz"])
def test_images_in_many_pieces(tmp_path, monkeypatch, name):
    monkeypatch.setattr(idx, "_PIECE", 7)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    write_idx(tmp_path / name, pixels)
    np.testing.assert_array_equal(read_idx(tmp_path / name), pixels)
    images = idx.read_images(tmp_path / name, 255)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, pixels[..., np.newaxis] / np.float32(255))


def test_file_that_is_larger_than_the_memory(tmp_path, monkeypatch):
    def nothing_left(*arguments):
        raise MemoryError

    (tmp_path / "some-idx").write_bytes(GOOD)
    monkeypatch.setattr(np, "empty", nothing_left)
    with pytest.raises(DataError, match="some-idx: does not fit into memory"):
        read_idx(tmp_path / "some-idx")


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-9],  # the end of the stream is missing
        lambda packed: packed[:-4],  # the checksum's second half is missing
        lambda packed: packed[:7],  # the gzip header is cut
        partial(flipped, at=3),  # unknown flags
        partial(flipped, at=-8),  # wrong CRC
        partial(flipped, at=300),  # damaged content
        lambda packed: packed + b"garbage",
    ],
)
def test_damaged_gzip(tmp_path, damage):
    noise = np.random.default_rng(0).integers(0, 256, 600, np.uint8)
    path = tmp_path / "broken.gz"
    path.write_bytes(damage(gzip.compress(idx_bytes((600,), noise.tobytes()), mtime=0)))
    with pytest.raises(DataError, match=r"broken\.gz: damaged gzip file"):
        read_idx(path)


def test_unreadable_file(tmp_path):
    with pytest.raises(DataError, match="nowhere: cannot be read: No such file"):
        read_idx(tmp_path / "nowhere")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_idx(tmp_path)


# MNIST and its kin


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty user cache, no FASTNN_DATA."""
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "fastnn" / "data"


def write_mnist(folder: Path, suffix=".gz", images=IMAGES, labels=LABELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)
    return folder


LOADERS = [
    (datasets.load_mnist, "mnist"),
    (datasets.load_fashion_mnist, "fashion-mnist"),
    (datasets.load_kmnist, "kmnist"),
]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("loader", "name"), LOADERS)
def test_found_in_data_dir_in_the_folder_above_in_the_environment_and_in_the_cache(
    tmp_path, cache, monkeypatch, loader, name, suffix
):
    folder = write_mnist(tmp_path / "data" / name, suffix)
    results = [loader(folder), loader(str(folder)), loader(tmp_path / "data")]
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "data"))
    results.append(loader())
    monkeypatch.delenv("FASTNN_DATA")
    write_mnist(cache / name, suffix)
    results.append(loader())
    for (x_train, y_train), (x_test, y_test) in results:
        for x, y in ((x_train, y_train), (x_test, y_test)):
            assert x.shape == (3, 28, 28, 1)
            assert x.dtype == np.float32
            np.testing.assert_array_equal(x[..., 0], IMAGES.astype(np.float32) / np.float32(255))
            np.testing.assert_array_equal(y, LABELS)
            assert y.dtype == np.int64


def test_files_directly_in_the_environment_folder_are_taken_for_mnist_only(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(write_mnist(tmp_path / "here")))
    monkeypatch.setattr(mnist, "_download", lambda source, folder: pytest.fail("a download"))
    assert len(datasets.load_mnist()[0][0]) == 3
    with pytest.raises(pytest.fail.Exception, match="a download"):
        datasets.load_kmnist()


def test_nothing_in_data_dir(tmp_path, cache):
    with pytest.raises(DataError, match=r"no MNIST files in .*: train-images-idx3-ubyte\.gz is missing"):
        datasets.load_mnist(tmp_path)


def test_incomplete_folder(tmp_path, cache):
    folder = write_mnist(tmp_path / "data")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"MNIST in .*data is incomplete: t10k-labels.*\.gz is missing"):
        datasets.load_mnist(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": LABELS[:2]}, r"train-labels-idx1-ubyte\.gz: 2 labels for 3 images"),
        ({"labels": LABELS + 1}, r"train-labels-idx1-ubyte\.gz: labels must be below 10, got 10 in row 1"),
        ({"images": IMAGES[:, 1:]}, r"train-images-idx3-ubyte\.gz: images must be 28x28 pixels, got 27x28"),
        ({"images": IMAGES[0]}, r"train-images-idx3-ubyte\.gz: must have 3 axes, got 2"),
        ({"labels": LABELS[:, None]}, r"train-labels-idx1-ubyte\.gz: must have 1 axes, got 2"),
    ],
)
def test_files_that_do_not_go_together(tmp_path, cache, arrays, message):
    with pytest.raises(DataError, match=message):
        datasets.load_mnist(write_mnist(tmp_path / "data", **arrays))


# Downloads, without a network


@pytest.fixture
def retrieve(cache, monkeypatch):
    """pooch.retrieve replaced: `answers` maps the start of an address to an exception, `asked` records."""
    pooch = pytest.importorskip("pooch")

    class Fake:
        def __init__(self):
            self.answers, self.asked = {}, []

        def __call__(self, url, known_hash, fname, path, downloader):
            assert known_hash.startswith("sha256:")
            assert len(known_hash) == 71
            self.asked.append(url)
            for start, error in self.answers.items():
                if url.startswith(start):
                    raise error
            write_mnist(Path(path))
            return str(Path(path) / fname)

    fake = Fake()
    monkeypatch.setattr(pooch, "retrieve", fake)
    return fake


@pytest.mark.parametrize("source", [mnist._MNIST, mnist._FASHION_MNIST, mnist._KMNIST])
def test_the_second_mirror_is_asked_when_the_first_fails(retrieve, source):
    for error in (ConnectionError("down"), ValueError("SHA256 hash of downloaded file does not match")):
        retrieve.answers = {source.mirrors[0]: error}
        retrieve.asked.clear()
        paths = mnist._download(source, Path(platformdirs.user_cache_path("fastnn")))
        assert retrieve.asked == [m + f"{name}.gz" for name in source.sha256 for m in source.mirrors]
        assert all(path.is_file() for path in paths.values())


def test_a_download_that_was_cut_short_goes_on(retrieve, cache):
    folder = write_mnist(cache / "mnist")
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    assert len(datasets.load_mnist()[1][0]) == 3
    assert len(retrieve.asked) == 4


def test_no_mirror_answers(retrieve):
    retrieve.answers = {"http": ConnectionError("down")}
    with pytest.raises(DataError, match=r"MNIST: train-images.*\.gz could not be downloaded \(https"):
        datasets.load_mnist()


def test_the_downloader_is_not_installed(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataError, match=r"install the downloader: pip install 'fastnn\[data\]'"):
        datasets.load_mnist()


def test_real_mnist(mnist_folder):
    (x_train, y_train), (x_test, y_test) = datasets.load_mnist(mnist_folder)
    assert x_train.shape == (60_000, 28, 28, 1)
    assert x_test.shape == (10_000, 28, 28, 1)
    assert np.bincount(y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert x_train.mean() == pytest.approx(0.1307, abs=1e-4)  # the published mean
