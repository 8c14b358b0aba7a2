"""MNIST, Fashion-MNIST and KMNIST: 60,000 + 10,000 grey images of 28x28 pixels in four IDX files.

The files are looked for in data_dir, in the folder that FASTNN_DATA names, and in the user's cache. When none
has them they are downloaded into the cache, and only files with the published SHA-256 are accepted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fastnn.datasets._split import Part, Split, checked_labels
from fastnn.datasets.idx import read_idx, read_images
from fastnn.errors import DataError

_TRAIN_IMAGES = "train-images-idx3-ubyte"
_TRAIN_LABELS = "train-labels-idx1-ubyte"
_TEST_IMAGES = "t10k-images-idx3-ubyte"
_TEST_LABELS = "t10k-labels-idx1-ubyte"
_CLASSES = 10
_WHITE = 255
_TIMEOUT = 30  # seconds without an answer before the next mirror is tried


@dataclass(frozen=True)
class _Source:
    title: str
    folder: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]  # of the gzipped files, by name without .gz


_MNIST = _Source(
    "MNIST",
    "mnist",
    ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"),
    {
        _TRAIN_IMAGES: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        _TRAIN_LABELS: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        _TEST_IMAGES: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        _TEST_LABELS: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
)
_FASHION_MNIST = _Source(
    "Fashion-MNIST",
    "fashion-mnist",
    (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    {
        _TRAIN_IMAGES: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        _TRAIN_LABELS: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        _TEST_IMAGES: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        _TEST_LABELS: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
)
_KMNIST = _Source(
    "KMNIST",
    "kmnist",
    ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    {
        _TRAIN_IMAGES: "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
        _TRAIN_LABELS: "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
        _TEST_IMAGES: "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
        _TEST_LABELS: "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
    },
)
FASHION_MNIST_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
KMNIST_CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def load_mnist(data_dir: str | Path | None = None) -> Split:
    """Load MNIST, the handwritten digits 0 to 9 (LeCun, Cortes and Burges).

    data_dir: the folder of the four IDX files, gzipped or plain, or the folder above it; None: FASTNN_DATA,
    then the user's cache, then a download. Returns ((x_train, y_train), (x_test, y_test)); x (N, 28, 28, 1)
    float32 in 0..1, y (N,) int64 in 0..9. Raises DataError when a file is missing or damaged.
    """
    return _load(_MNIST, data_dir)


def is_mnist_folder(folder: Path) -> bool:
    """Whether the training images' IDX file lies in a folder."""
    return _file(folder, _TRAIN_IMAGES) is not None


def load_fashion_mnist(data_dir: str | Path | None = None) -> Split:
    """Load Fashion-MNIST, ten kinds of clothing (Xiao, Rasul and Vollgraf 2017). Else as load_mnist."""
    return _load(_FASHION_MNIST, data_dir)


def load_kmnist(data_dir: str | Path | None = None) -> Split:
    """Load KMNIST, ten cursive Japanese characters (Clanuwat et al. 2018). Else as load_mnist."""
    return _load(_KMNIST, data_dir)


def _load(source: _Source, data_dir: str | Path | None) -> Split:
    paths = _paths(source, data_dir)
    images, labels = (paths[_TRAIN_IMAGES], paths[_TEST_IMAGES]), (paths[_TRAIN_LABELS], paths[_TEST_LABELS])
    with ThreadPoolExecutor(len(images)) as readers:
        train, test = readers.map(_read_part, images, labels)
    return train, test


def _read_part(images_path: Path, labels_path: Path) -> Part:
    images = read_images(images_path, _WHITE)
    if images.shape[1:3] != (28, 28):
        height, width = images.shape[1:3]
        raise DataError(f"{images_path}: images must be 28x28 pixels, got {height}x{width}")
    return images, checked_labels(read_idx(labels_path, ndim=1), len(images), _CLASSES, labels_path)


def _paths(source: _Source, data_dir: str | Path | None) -> dict[str, Path]:
    from platformdirs import user_cache_path

    cache = user_cache_path("fastnn") / "data" / source.folder
    for folder in _folders(source, data_dir, cache):
        found = {name: path for name in source.sha256 if (path := _file(folder, name))}
        if len(found) == len(source.sha256):
            return found
        if found and folder != cache:  # a download that was cut short goes on where it stopped
            missing = next(name for name in source.sha256 if name not in found)
            raise DataError(f"{source.title} in {folder} is incomplete: {missing}.gz is missing")
    if data_dir is not None:
        raise DataError(f"no {source.title} files in {data_dir}: {_TRAIN_IMAGES}.gz is missing")
    return _download(source, cache)


def _folders(source: _Source, data_dir: str | Path | None, cache: Path) -> Iterator[Path]:
    if data_dir is not None:
        yield from (Path(data_dir) / source.folder, Path(data_dir))
        return
    if environment := os.environ.get("FASTNN_DATA"):
        yield Path(environment) / source.folder
        # The kin's files bear MNIST's names: files directly in the folder are taken for MNIST only.
        if source is _MNIST:
            yield Path(environment)
    yield cache


def _file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / f"{name}.gz", folder / name) if path.is_file()), None)


def _download(source: _Source, folder: Path) -> dict[str, Path]:
    try:
        import pooch
    except ImportError as error:
        raise DataError(
            f"{source.title} is not on this machine; pass its folder as data_dir (or in FASTNN_DATA), "
            f"or install the downloader: pip install 'fastnn[data]'"
        ) from error
    get = pooch.HTTPDownloader(timeout=_TIMEOUT)
    paths = {}
    for name, digest in source.sha256.items():
        failures = []
        for mirror in source.mirrors:
            try:
                url = f"{mirror}{name}.gz"
                file = pooch.retrieve(url, f"sha256:{digest}", f"{name}.gz", folder, downloader=get)
            except (OSError, ValueError) as error:  # no connection or an HTTP error; a wrong checksum
                failures.append(f"{mirror}: {type(error).__name__}")
            else:
                paths[name] = Path(file)
                break
        else:
            raise DataError(f"{source.title}: {name}.gz could not be downloaded ({'; '.join(failures)})")
    return paths
