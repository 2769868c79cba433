from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptee_mcu.data import ENVIRONMENT, SOURCES, data_folder, load, make_dataset, require_fits
from ptee_mcu.data.official import OFFICIAL
from ptee_mcu.errors import DataError

Arrays = dict[str, np.ndarray]


def arrays(count: int = 20, **changes: np.ndarray) -> Arrays:
    rng = np.random.default_rng(0)
    usual = {"x": rng.integers(0, 256, (count, 4, 5, 1), dtype=np.uint8), "y": np.arange(count) % 3}
    return usual | changes


def saved(folder: Path, content: Arrays) -> str:
    np.savez(folder / "own.npz", **content)
    return str(folder / "own.npz")


def test_the_digits_need_no_folder() -> None:
    digits = load("digits")
    assert len(digits.train_x) + len(digits.test_x) == 1797
    assert digits.image_shape == (8, 8, 1)
    assert (digits.train_x.min(), digits.train_x.max()) == (0, 255)
    assert len(np.unique(digits.train_x)) == 17
    assert not digits.official_test
    counts = np.bincount(np.concatenate([digits.train_y, digits.test_y]))
    assert counts.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]  # as UCI lists them


def test_an_archive_brings_its_own_test_part(tmp_path: Path) -> None:
    content = arrays(x_test=np.zeros((6, 4, 5, 1), np.uint8), y_test=np.ones(6, np.int64))
    own = load(saved(tmp_path, content))
    assert own.official_test
    assert len(own.test_x) == 6
    assert own.classes == ("0", "1", "2")


def test_an_archive_without_a_test_part_is_divided_the_same_whatever_the_order(tmp_path: Path) -> None:
    content = arrays()
    first = load(saved(tmp_path, content))
    second = load(saved(tmp_path, {name: a[::-1] for name, a in content.items()}))
    assert len(first.test_x) == 8
    assert not first.official_test
    assert {i.tobytes() for i in first.test_x} == {i.tobytes() for i in second.test_x}


def test_images_without_a_channel_axis_get_one(tmp_path: Path) -> None:
    content = arrays()
    assert load(saved(tmp_path, content | {"x": content["x"][..., 0]})).image_shape == (4, 5, 1)


def test_float_inputs_stay_as_they_are(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(20, 4, 5, 1))
    loaded = load(saved(tmp_path, arrays(x=x)))
    assert loaded.train_x.dtype == np.float32
    assert set(loaded.train_x.ravel()) <= set(x.astype(np.float32).ravel())


def test_a_relative_archive_is_found_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, arrays())
    assert load("own.npz", tmp_path).name == "own"
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    assert load("own.npz").name == "own"


def nan_images() -> np.ndarray:
    x = np.zeros((20, 4, 5, 1), np.float32)
    x[3, 1, 1, 0] = np.nan
    return x


BAD = {
    "no labels": ({"x": np.zeros((3, 4, 4, 1), np.uint8)}, "lacks 'y', holds"),
    "half a test part": (arrays(x_test=np.zeros((3, 4, 5, 1), np.uint8)), "only one is there"),
    "fewer labels": (arrays(y=np.zeros(19, np.int64)), "has 20 images and 19 labels"),
    "no images": (arrays(0), "has 0 images"),
    "int16 pixels": (arrays(x=np.zeros((20, 4, 5, 1), np.int16)), "images are int16"),
    "float labels": (arrays(y=np.zeros(20)), "y is float64, integers"),
    "negative label": (
        arrays(y=np.full(20, -1), classes=np.asarray(["a"])),
        r"label -1 of image 0 lies outside \[0, 0\]",
    ),
    "NaN": (arrays(x=nan_images()), "1 of .* values are NaN or infinite"),
    "flat images": (arrays(x=np.zeros((20, 9), np.uint8)), r"images have shape \(12, 9\)"),
    "other test images": (
        arrays(x_test=np.zeros((3, 4, 4, 1), np.uint8), y_test=np.zeros(3, np.int64)),
        r"training images are uint8 \(4, 5, 1\), test images uint8 \(4, 4, 1\)",
    ),
    "objects": (arrays(x=np.asarray([{}, {}], dtype=object)), "is not an archive of plain arrays"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_an_archive_that_cannot_be_used_says_why(tmp_path: Path, content: Arrays, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(saved(tmp_path, content))


def test_labels_of_another_shape_are_refused() -> None:
    x = np.zeros((4, 2, 2, 1), np.uint8)
    with pytest.raises(DataError, match=r"labels are int64 \(4, 1\) beside 4 images"):
        make_dataset("set", (x, np.zeros((4, 1), np.int64)), (x, np.zeros(4, np.int64)), ("a",), official_test=True)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_text("text")
    with pytest.raises(DataError, match=r"own\.npz: is not an archive of plain arrays"):
        load("own.npz", tmp_path)
    np.save(tmp_path / "one.npy", np.zeros(3))
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    with pytest.raises(DataError, match=r"one\.npz: is a single array"):
        load("one.npz", tmp_path)


def test_a_missing_archive_is_named() -> None:
    with pytest.raises(DataError, match=r"nowhere\.npz: does not exist"):
        load("nowhere.npz")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("cifar-10", "cifar10"), ("mnits", "mnist"), ("fashion_mnist", "fashion-mnist"), ("SVHN", None), ("zzz", None)],
)
def test_an_unknown_source_is_answered_with_the_nearest_and_all_known_ones(typed: str, meant: str | None) -> None:
    nearest = f"did you mean '{meant}'. " if meant else ""
    known = "known: digits, cifar10, svhn, mnist, fashion-mnist, or the path of a .npz archive, or of a folder"
    with pytest.raises(DataError, match=rf"unknown data source '{typed}'.*\n  hint: {nearest}{known}"):
        load(typed)


@pytest.mark.parametrize("name", ["cifar10", "svhn", "mnist"])
def test_a_set_without_a_folder_says_where_it_looked(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(
        DataError, match=f"neither --data nor PTEE_DATA is given; it should hold .*\n  hint: .*data fetch {name}"
    ):
        load(name)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("cifar10", "cifar-10-batches-bin/ or cifar-10-batches-py/"),
        ("svhn", "svhn/train_32x32.mat and svhn/test_32x32.mat"),
        ("mnist", "mnist/ with the four idx files, plain or .gz"),
    ],
)
def test_a_folder_that_lacks_a_set_says_what_it_should_hold(tmp_path: Path, name: str, layout: str) -> None:
    with pytest.raises(
        DataError, match=f"{name}: {tmp_path} does not hold {layout}\n  hint: ptee-mcu data fetch {name}"
    ):
        load(name, tmp_path)


def test_the_page_on_data_names_every_source() -> None:
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for source in SOURCES.values():
        assert f"`{source.name}`" in page
    for file in (file for files in OFFICIAL.values() for file in files):
        assert all(url in page for url in file.urls), file.urls
        assert file.md5 in page


@given(st.integers(0, 2**32 - 1), st.sampled_from(["cut", "flip"]))
def test_an_archive_that_is_cut_or_has_a_flipped_byte_is_refused_or_whole(seed: int, how: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "own.npz"
        np.savez_compressed(path, **arrays())
        whole = load(str(path))
        raw = bytearray(path.read_bytes())
        at = np.random.default_rng(seed).integers(len(raw))
        if how == "cut":
            del raw[at:]
        else:
            raw[at] ^= 0x10
        path.write_bytes(raw)
        try:
            loaded = load(str(path))
        except DataError:
            return
        assert np.array_equal(loaded.train_x, whole.train_x)  # the byte is none that matters, such as a date
        assert np.array_equal(loaded.test_y, whole.test_y)


def test_a_data_folder_that_is_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"--data names .*absent, which is not a folder"):
        data_folder(tmp_path / "absent")
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "absent"))
    with pytest.raises(DataError, match="PTEE_DATA names"):
        data_folder(None)


def test_images_are_held_against_the_network() -> None:
    digits = load("digits")
    require_fits(digits, (1, 8, 8, 1), 10)
    with pytest.raises(DataError, match=r"images are \(8, 8, 1\), the network takes \(32, 32, 3\)"):
        require_fits(digits, (1, 32, 32, 3), 10)
    with pytest.raises(DataError, match="has 10 classes, the network answers with 2 logits"):
        require_fits(digits, (1, 8, 8, 1), 2)


def test_pixels_stored_as_floats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"whole numbers 0 to 25\d: pixels, not network inputs[\s\S]*uint8"):
        load(saved(tmp_path, arrays(x=arrays(60)["x"].astype(np.float32), y=np.arange(60) % 3)))
