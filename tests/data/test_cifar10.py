import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptee_mcu.data import cifar10
from ptee_mcu.data.cifar10 import load_cifar10
from ptee_mcu.errors import DataError

FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
COUNT = 20  # images per file in these tests


@pytest.fixture(autouse=True)
def short_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "_PER_BATCH", COUNT)


def records(seed: int, count: int = COUNT) -> np.ndarray:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
    table[:, 0] %= 10
    return table


def write_bin(folder: Path) -> Path:
    (folder / "cifar-10-batches-bin").mkdir(parents=True)
    for i, name in enumerate(FILES):
        records(i).tofile(folder / "cifar-10-batches-bin" / f"{name}.bin")
    return folder


def write_py(folder: Path) -> Path:
    (folder / "cifar-10-batches-py").mkdir(parents=True)
    for i, name in enumerate(FILES):
        table = records(i)
        batch = {b"batch_label": b"batch", b"labels": table[:, 0].tolist(), b"data": np.ascontiguousarray(table[:, 1:])}
        (folder / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(batch, protocol=2))
    return folder


def test_a_record_is_a_label_and_three_planes(tmp_path: Path) -> None:
    loaded = load_cifar10(write_bin(tmp_path))
    assert loaded.train_x.shape == (5 * COUNT, 32, 32, 3)
    assert loaded.test_x.shape == (COUNT, 32, 32, 3)
    table = records(0)
    assert loaded.train_y[3] == table[3, 0]
    assert loaded.train_x[3, 7, 9, 1] == table[3, 1 + 1024 + 7 * 32 + 9]
    assert loaded.official_test


def test_both_official_layouts_give_the_same_images(tmp_path: Path) -> None:
    binary, python = load_cifar10(write_bin(tmp_path / "a")), load_cifar10(write_py(tmp_path / "b"))
    for part in ("train_x", "train_y", "test_x", "test_y"):
        assert np.array_equal(getattr(binary, part), getattr(python, part))


def test_arrays_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        load_cifar10(write_bin(tmp_path)).train_x[0, 0, 0, 0] = 1


def test_a_folder_without_either_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither cifar-10-batches-bin/ nor cifar-10-batches-py/"):
        load_cifar10(tmp_path)


@pytest.mark.parametrize(("write", "file"), [(write_bin, "test_batch.bin"), (write_py, "test_batch")])
def test_a_missing_file_is_named(tmp_path: Path, write: Callable[[Path], Path], file: str) -> None:
    path = next(write(tmp_path).rglob(file))
    path.unlink()
    with pytest.raises(DataError, match=rf"{file}: cannot be read: No such file"):
        load_cifar10(tmp_path)


def test_a_cut_binary_file_is_named_with_both_sizes(tmp_path: Path) -> None:
    path = write_bin(tmp_path) / "cifar-10-batches-bin" / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"data_batch_4\.bin: has 1000 bytes, 61460 are expected"):
        load_cifar10(tmp_path)


def test_a_cut_pickle_is_named_with_its_size(tmp_path: Path) -> None:
    path = write_py(tmp_path) / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match="data_batch_2: 500 bytes that are not a CIFAR-10 batch"):
        load_cifar10(tmp_path)


def test_a_pickle_of_other_arrays_is_refused(tmp_path: Path) -> None:
    path = write_py(tmp_path) / "cifar-10-batches-py" / "data_batch_2"
    path.write_bytes(pickle.dumps({b"data": np.zeros((3, 4), np.uint8), b"labels": [1, 2, 3]}, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_2: holds uint8 \(3, 4\) with 3 labels"):
        load_cifar10(tmp_path)


class Touch:
    """Unpickled by the standard library it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_a_pickle_cannot_run_code(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = write_py(tmp_path) / "cifar-10-batches-py" / "data_batch_1"
    path.write_bytes(pickle.dumps({b"data": Touch(trap), b"labels": []}, protocol=2))
    with pytest.raises(DataError, match=r"data_batch_1: the pickle names \w*io\.open, which a CIFAR-10 batch"):
        load_cifar10(tmp_path)
    assert not trap.exists()


def test_a_label_outside_the_classes_is_refused(tmp_path: Path) -> None:
    path = write_bin(tmp_path) / "cifar-10-batches-bin" / "test_batch.bin"
    table = records(5)
    table[7, 0] = 10
    table.tofile(path)
    with pytest.raises(DataError, match=r"test part: label 10 of image 7 lies outside \[0, 9\]"):
        load_cifar10(tmp_path)
