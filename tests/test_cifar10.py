"""CIFAR-10's binary files."""

import numpy as np
import pytest

from fastnn import DataError, datasets

RECORD = 3073


def records(labels, seed=0):
    content = np.random.default_rng(seed).integers(0, 256, (len(labels), RECORD)).astype(np.uint8)
    content[:, 0] = labels
    return content


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number in (10, 2):
        records([*range(10)], number).tofile(folder / f"data_batch_{number}.bin")
    records([3, 4, 5]).tofile(folder / "test_batch.bin")
    (folder / "data_batch_x.bin").write_text("something else")
    return folder


def test_planes_become_pixels_and_batches_follow_their_numbers(folder, monkeypatch):
    expected = records(range(10), 2)[0, 1:].reshape(3, 32, 32)
    monkeypatch.setenv("FASTNN_DATA", str(folder.parent))
    for (x, y), (x_test, y_test) in [
        datasets.load_cifar10(), datasets.load_cifar10(folder), datasets.load_cifar10(folder.parent),
        datasets.load("cifar10"), datasets.load(folder),
    ]:  # fmt: skip
        assert x.shape == (20, 32, 32, 3)
        assert x.dtype == np.float32
        np.testing.assert_array_equal(y, [*range(10)] * 2)
        np.testing.assert_array_equal(y_test, [3, 4, 5])
        assert len(x_test) == 3
        np.testing.assert_allclose(x[0].transpose(2, 0, 1), expected / 255, rtol=1e-6)
    assert datasets.load("cifar10").class_names[3:6] == ("cat", "deer", "dog")


def test_damage(folder, monkeypatch):
    records([1, 10]).tofile(folder / "data_batch_2.bin")
    with pytest.raises(DataError, match=r"data_batch_2\.bin: labels must be below 10, got 10 in row 1$"):
        datasets.load_cifar10(folder)
    (folder / "data_batch_2.bin").write_bytes(b"\0" * (RECORD + 1))
    with pytest.raises(DataError, match=r"data_batch_2\.bin: must hold records of 3073 bytes, got 3074 bytes$"):
        datasets.load_cifar10(folder)
    (folder / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"CIFAR-10 in .*bin is incomplete: test_batch\.bin is missing$"):
        datasets.load_cifar10(folder)
    with pytest.raises(DataError, match=r"no CIFAR-10 files in .*: data_batch_1\.bin is missing$"):
        datasets.load_cifar10(folder / "none")
    monkeypatch.delenv("FASTNN_DATA", raising=False)
    with pytest.raises(DataError, match="CIFAR-10 needs the folder of its binary version: pass it as data_dir"):
        datasets.load_cifar10()


def test_real_cifar10(data_folder):
    if not (data_folder / "cifar-10-batches-bin").is_dir():
        pytest.skip("no CIFAR-10 here")
    (x, y), (x_test, y_test) = datasets.load_cifar10(data_folder)
    assert x.shape[1:] == x_test.shape[1:] == (32, 32, 3)
    np.testing.assert_allclose(x.mean(axis=(0, 1, 2)), [0.491, 0.482, 0.447], atol=0.005)  # the published means
    assert y[:3].tolist() == [6, 9, 9]
    assert np.bincount(y_test).sum() == len(x_test)
