from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from ptee_mcu.data import load
from ptee_mcu.data.svhn import FILES, load_svhn
from ptee_mcu.errors import DataError

COUNT = 20


def content(seed: int, **changes: np.ndarray) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (np.arange(COUNT) % 10 + 1).astype(np.uint8)[:, None]
    return {"X": rng.integers(0, 256, (32, 32, 3, COUNT), dtype=np.uint8), "y": labels} | changes


def write(folder: Path, **changes: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(FILES):
        savemat(folder / name, content(seed, **(changes if seed == 0 else {})), do_compression=True)
    return folder


def test_images_come_first_and_label_ten_is_the_digit_zero(tmp_path: Path) -> None:
    loaded = load_svhn(write(tmp_path))
    assert loaded.train_x.shape == (COUNT, 32, 32, 3)
    assert loaded.train_x[7, 3, 5, 1] == content(0)["X"][3, 5, 1, 7]
    assert np.array_equal(loaded.test_x, content(1)["X"].transpose(3, 0, 1, 2))
    assert loaded.train_y.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2
    assert loaded.classes[0] == "0"
    assert loaded.official_test


@pytest.mark.parametrize("place", ["svhn", "."])
def test_the_files_lie_in_the_data_folder_or_in_svhn(tmp_path: Path, place: str) -> None:
    write(tmp_path / place)
    assert load("svhn", tmp_path).name == "svhn"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (write(tmp_path) / "test_32x32.mat").unlink()
    with pytest.raises(DataError, match=r"test_32x32\.mat: does not exist\n  hint: .*data fetch svhn"):
        load_svhn(tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_a_cut_file_is_named_with_its_size(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path) / "train_32x32.mat"
    raw = path.read_bytes()
    size = int(keep if keep >= 1 else keep * len(raw))
    path.write_bytes(raw[:size])
    with pytest.raises(DataError, match=rf"train_32x32\.mat: {size} bytes that are not an SVHN file"):
        load_svhn(tmp_path)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path) / "train_32x32.mat"
    path.write_bytes(b"<html>not found</html>" * 50)
    with pytest.raises(DataError, match="1100 bytes that are not an SVHN file"):
        load_svhn(tmp_path)
    savemat(path, {"other": np.zeros(3)})
    with pytest.raises(DataError, match=r"are not an SVHN file \(KeyError: 'X'"):
        load_svhn(tmp_path)


WRONG = {
    "label 0": ({"y": np.zeros((COUNT, 1), np.uint8)}, r"label 0 of image 0 lies outside \[1, 10\] \(20 such labels\)"),
    "label 11": ({"y": np.full((COUNT, 1), 11, np.uint8)}, "label 11 of image 0"),
    "a half label": ({"y": np.full((COUNT, 1), 1.5)}, r"label 1\.5 of image 0"),
    "fewer labels": ({"y": np.ones((19, 1), np.uint8)}, r"holds uint8 \(32, 32, 3, 20\) with 19 uint8 labels"),
    "floats": ({"X": np.zeros((32, 32, 3, COUNT))}, r"holds float64 \(32, 32, 3, 20\)"),
    "other size": ({"X": np.zeros((28, 28, 3, COUNT), np.uint8)}, r"holds uint8 \(28, 28, 3, 20\)"),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arrays_are_named(tmp_path: Path, changes: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError, match=rf"train_32x32\.mat: {message}"):
        load_svhn(write(tmp_path, **changes))
