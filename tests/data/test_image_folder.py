import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptee_mcu.data import load
from ptee_mcu.data.image_folder import load_image_folder
from ptee_mcu.errors import DataError, ToolMissingError

Image = pytest.importorskip("PIL.Image", reason="reading images needs Pillow")


def pixels(seed: int, shape: tuple[int, ...] = (4, 6, 3)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def divided(root: Path, shape: tuple[int, ...] = (4, 6, 3)) -> Path:
    for seed, (part, name) in enumerate((p, c) for p in ("train", "test") for c in ("cat", "ant")):
        for i in range(3):
            put(root / part / name / f"{i}.png", pixels(10 * seed + i, shape))
    return root


def undivided(root: Path) -> Path:
    for label, name in enumerate(("ant", "bee")):
        for i in range(10):
            put(root / name / f"{i}.png", pixels(100 * label + i))
    return root


def test_train_and_test_folders_are_the_users_division(tmp_path: Path) -> None:
    own = load("own", divided(tmp_path / "own").parent)
    assert own.name == "own"
    assert own.classes == ("ant", "cat")
    assert own.official_test
    assert own.train_y.tolist() == own.test_y.tolist() == [0, 0, 0, 1, 1, 1]
    assert np.array_equal(own.train_x[3], pixels(0))  # cat/0.png
    assert own.image_shape == (4, 6, 3)


def test_a_folder_without_parts_is_divided_by_hash_whatever_the_files_names(tmp_path: Path) -> None:
    first = load(str(undivided(tmp_path / "own")))
    for path in sorted((tmp_path / "own").rglob("*.png")):
        path.rename(path.with_name(f"{99 - int(path.stem)}.png"))
    second = load(str(tmp_path / "own"))
    assert not first.official_test
    assert len(first.test_x) == 8
    assert {i.tobytes() for i in first.test_x} == {i.tobytes() for i in second.test_x}


def test_grey_images_have_one_channel_and_one_coloured_image_makes_three(tmp_path: Path) -> None:
    root = divided(tmp_path / "own", (4, 6))
    assert load(str(root)).image_shape == (4, 6, 1)
    put(root / "test" / "cat" / "9.png", pixels(0))
    assert load(str(root)).image_shape == (4, 6, 3)


def test_a_palette_is_a_way_to_store_colours(tmp_path: Path) -> None:
    root = divided(tmp_path / "own")
    Image.fromarray(np.full((4, 6, 3), (10, 20, 30), np.uint8)).quantize(4).save(root / "train" / "ant" / "9.png")
    assert load(str(root)).train_x[3, 0, 0].tolist() == [10, 20, 30]


def test_hidden_files_are_not_images(tmp_path: Path) -> None:
    root = divided(tmp_path / "own")
    (root / "train" / "cat" / ".DS_Store").write_text("x")
    (root / "train" / ".cache").mkdir()
    assert len(load(str(root)).train_x) == 6


def test_another_size_is_named_with_both_files(tmp_path: Path) -> None:
    root = divided(tmp_path / "own")
    put(root / "test" / "cat" / "9.png", pixels(0, (5, 6, 3)))
    with pytest.raises(DataError, match=r"cat/9\.png: its size is 6x5, that of .*ant/0\.png is 6x4[\s\S]*resize"):
        load(str(root))


def test_a_cut_image_is_named(tmp_path: Path) -> None:
    path = divided(tmp_path / "own") / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"cat/1\.png: 60 bytes that are not an image"):
        load(str(tmp_path / "own"))


def test_a_file_that_only_bears_the_name_of_an_image_is_named(tmp_path: Path) -> None:
    path = divided(tmp_path / "own") / "train" / "cat" / "1.png"
    path.write_text("text")
    with pytest.raises(DataError, match=r"cat/1\.png: 4 bytes that are not an image \(UnidentifiedImageError"):
        load(str(tmp_path / "own"))


def test_what_is_no_image_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    (divided(tmp_path / "own") / "train" / "cat" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"cat/notes\.txt: is not an image file \(\.png, "):
        load(str(tmp_path / "own"))


@pytest.mark.parametrize(("shape", "dtype", "mode"), [((4, 6, 4), np.uint8, "RGBA"), ((4, 6), np.uint16, "I;16")])
def test_transparency_and_sixteen_bits_are_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: type, mode: str
) -> None:
    put(divided(tmp_path / "own") / "train" / "cat" / "9.png", np.zeros(shape, dtype))
    with pytest.raises(DataError, match=rf"cat/9\.png: its pixels are {mode}, 8-bit grey or RGB is expected"):
        load(str(tmp_path / "own"))


def test_half_a_division_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "own" / "train" / "cat" / "0.png", pixels(0))
    with pytest.raises(DataError, match="has train/ but not both train/ and test/"):
        load(str(tmp_path / "own"))


def test_a_class_that_only_the_test_part_has_is_named(tmp_path: Path) -> None:
    put(divided(tmp_path / "own") / "test" / "dog" / "0.png", pixels(0))
    with pytest.raises(DataError, match="class 'dog' is in test/ and not in train/"):
        load(str(tmp_path / "own"))


def test_one_class_is_none(tmp_path: Path) -> None:
    put(tmp_path / "own" / "cat" / "0.png", pixels(0))
    with pytest.raises(DataError, match="own: has 1 class folders, at least 2 are needed"):
        load(str(tmp_path / "own"))


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "own" / name).mkdir(parents=True)
    with pytest.raises(DataError, match="own: holds no images"):
        load(str(tmp_path / "own"))


def test_a_file_is_not_a_folder_of_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: is not a folder\n  hint: train/CLASS"):
        load_image_folder(tmp_path / "nowhere")


def test_without_pillow_the_way_to_get_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = divided(tmp_path / "own")
    usual = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError(name)
        return usual(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ToolMissingError, match=r"reading images needs Pillow\n  hint: pip install 'ptee-mcu\[images\]'"
    ):
        load(str(root))
