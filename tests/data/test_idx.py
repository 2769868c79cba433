import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptee_mcu.data import divide, load
from ptee_mcu.data.idx import FASHION, PARTS, load_fashion_mnist, load_mnist
from ptee_mcu.data.sources import SOURCES
from ptee_mcu.errors import DataError

INSTALLED = SOURCES["fashion-mnist"].installed
assert INSTALLED is not None


def images(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 5), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder: Path, *, suffix: str = "", counts: tuple[int, int] = (20, 10)) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (part, count) in enumerate(zip(PARTS.values(), counts, strict=True)):
        for name, array in zip(part, (images(seed, count), (np.arange(count) % 10).astype(np.uint8)), strict=True):
            raw = idx(array)
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_plain_and_compressed_files_give_the_same_images(tmp_path: Path, suffix: str) -> None:
    loaded = load_mnist(write(tmp_path, suffix=suffix))
    assert np.array_equal(loaded.train_x[..., 0], images(0, 20))
    assert np.array_equal(loaded.test_x[..., 0], images(1, 10))
    assert loaded.train_y.tolist() == [*range(10), *range(10)]
    assert loaded.classes == tuple("0123456789")
    assert loaded.official_test


def test_each_of_the_two_sets_has_its_folder_and_classes(tmp_path: Path) -> None:
    write(tmp_path / "mnist")
    write(tmp_path / "FashionMNIST" / "raw", suffix=".gz")
    assert load("mnist", tmp_path).name == "mnist"
    assert load("fashion-mnist", tmp_path).classes == FASHION


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"holds neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte\.gz"):
        load_mnist(tmp_path)


BROKEN = {
    "cut": (lambda raw: raw[:-1], r"has 415 bytes, its header announces \(20, 4, 5\): 416 are expected"),
    "longer": (lambda raw: raw + b"x", "has 417 bytes"),
    "cut in the header": (lambda raw: raw[:9], "begins with 00 00 08 03, 00 00 08 03 is expected"),
    "labels for images": (lambda raw: b"\0\0\x08\x01" + raw[4:], "begins with 00 00 08 01, 00 00 08 03 is expected"),
    "floats": (lambda raw: b"\0\0\x0d\x03" + raw[4:], "begins with 00 00 0d 03"),
    "empty": (lambda _: b"", "begins with nothing"),
    "announces terabytes": (lambda raw: raw[:4] + b"\xff" * 12 + raw[16:], "has 416 bytes, its header announces"),
}


@pytest.mark.parametrize(("breaking", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_file_says_what_is_wrong(tmp_path: Path, breaking: Callable[[bytes], bytes], message: str) -> None:
    path = write(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(breaking(path.read_bytes()))
    with pytest.raises(
        DataError, match=f"train-images-idx3-ubyte: {message}[\\s\\S]*ptee-mcu data fetch fashion-mnist"
    ):
        load_fashion_mnist(tmp_path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_a_cut_gzip_file_is_named(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path, suffix=".gz") / "train-images-idx3-ubyte.gz"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: cannot be read: "):
        load_mnist(tmp_path)


def test_a_flipped_byte_in_a_gzip_file_is_found(tmp_path: Path) -> None:
    path = write(tmp_path, suffix=".gz") / "t10k-images-idx3-ubyte.gz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0x55
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: cannot be read: "):
        load_mnist(tmp_path)


def test_a_label_outside_the_classes_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.full(20, 10, np.uint8)))
    with pytest.raises(DataError, match=r"mnist, training part: label 10 of image 0 lies outside \[0, 9\]"):
        load_mnist(tmp_path)


def test_as_many_labels_as_images_are_needed(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, np.uint8)))
    with pytest.raises(DataError, match=r"labels are int64 \(19,\) beside 20 images"):
        load_mnist(tmp_path)


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="the Debian package dataset-fashion-mnist is not installed")
def test_the_debian_package_of_fashion_mnist_is_found_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PTEE_DATA", raising=False)
    fashion = load("fashion-mnist")
    assert fashion.train_x.shape == (60_000, 28, 28, 1)
    assert fashion.test_x.shape == (10_000, 28, 28, 1)
    assert np.bincount(fashion.train_y).tolist() == [6000] * 10
    assert np.bincount(fashion.test_y).tolist() == [1000] * 10
    assert fashion.train_y[:5].tolist() == [9, 0, 0, 3, 0]  # as the set's README shows them
    splits = divide(fashion, pretrained=False)
    assert [len(s) for s in (splits.train, splits.threshold_a, splits.threshold_b, splits.report)] == [
        50_000, 2_000, 8_000, 10_000,
    ]  # fmt: skip
    assert not splits.notes


def test_a_folder_of_the_user_goes_before_the_debian_package(tmp_path: Path) -> None:
    write(tmp_path / "fashion-mnist")
    assert len(load("fashion-mnist", tmp_path).train_x) == 20
