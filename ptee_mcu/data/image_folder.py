"""A user's own images from a folder with one folder per class."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptee_mcu.data.dataset import Dataset, Labels, make_dataset
from ptee_mcu.data.hashing import hold_out
from ptee_mcu.errors import DataError, ToolMissingError
from ptee_mcu.tensor import UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

HELD_OUT = 0.4  # of all images, where the folder brings no test part
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".pgm", ".ppm")
TRAIN, TEST = "train", "test"
_LAYOUT = "train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png alone, are expected"
_GREY = frozenset({"1", "L"})
_COLOUR = frozenset({"RGB", "P"})


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    label: int


def load_image_folder(folder: Path) -> Dataset:
    """The images under `folder`, uint8 (N, H, W, 1) where all are grey, else (N, H, W, 3).

    Classes are the folders' names in alphabetical order, as torchvision's ImageFolder numbers them. With train/ and
    test/ the division is the user's; otherwise 40 % is held out by hash of the images.

    Raises:
        DataError: where the folder has another layout, a file is no image, or the images differ in size.
        ToolMissingError: where Pillow is not installed.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: is not a folder", hint=_LAYOUT)
    given = [part for part in (TRAIN, TEST) if (folder / part).is_dir()]
    if not given:
        classes = _folders(folder)
        files = _files(folder, classes)
        x, y = _pixels(files), _labels(files)
        kept, held = hold_out(x, HELD_OUT)
        return make_dataset(folder.resolve().name, (x[kept], y[kept]), (x[held], y[held]), classes, official_test=False)
    if len(given) == 1:
        raise DataError(f"{folder}: has {given[0]}/ but not both {TRAIN}/ and {TEST}/", hint=_LAYOUT)
    classes = _folders(folder / TRAIN)
    if strange := sorted(set(_folders(folder / TEST)) - set(classes)):
        raise DataError(
            f"{folder}: class {strange[0]!r} is in {TEST}/ and not in {TRAIN}/", hint="give it training images"
        )
    train, test = (_files(folder / part, classes) for part in (TRAIN, TEST))
    x = _pixels((*train, *test))  # together, so that both parts have the same channels
    parts = (x[: len(train)], _labels(train)), (x[len(train) :], _labels(test))
    return make_dataset(folder.resolve().name, *parts, classes, official_test=True)


def _folders(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(names) < 2:
        raise DataError(f"{folder}: has {len(names)} class folders, at least 2 are needed", hint=_LAYOUT)
    return names


def _files(folder: Path, classes: tuple[str, ...]) -> tuple[_File, ...]:
    found = []
    for label, name in enumerate(classes):
        paths = sorted((folder / name).iterdir()) if (folder / name).is_dir() else []
        for path in paths:
            if path.name.startswith("."):
                continue
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                raise DataError(
                    f"{path}: is not an image file ({', '.join(SUFFIXES)})", hint="move it elsewhere, or convert it"
                )
            found.append(_File(path, label))
    if not found:
        raise DataError(f"{folder}: holds no images", hint=_LAYOUT)
    return tuple(found)


def _labels(files: tuple[_File, ...]) -> Labels:
    return np.asarray([file.label for file in files], dtype=np.int64)


def _pixels(files: tuple[_File, ...]) -> UInt8:
    """(N, H, W, C) of all files; C is 1 where every image is grey."""
    images = [_decoded(file.path) for file in files]
    first = images[0]
    for file, image in zip(files, images, strict=True):
        if image.size != first.size:
            raise DataError(
                f"{file.path}: its size is {_size(image)}, that of {files[0].path} is {_size(first)} (width x height)",
                hint="all images must have one size: resize them to the network's input",
            )
    grey = all(image.mode in _GREY for image in images)
    pixels = np.stack([np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8) for image in images])
    return pixels[..., None] if grey else pixels


def _size(image: "Image") -> str:
    return f"{image.width}x{image.height}"


def _decoded(path: Path) -> "Image":
    try:
        from PIL import Image  # noqa: PLC0415 - optional: only folders of images need it
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{path}: reading images needs Pillow", hint="pip install 'ptee-mcu[images]'") from error
    try:
        with Image.open(path) as image:
            image.load()
            decoded = image.copy()
    except Exception as error:  # decoders of a dozen formats fail in as many ways
        raise DataError(
            f"{path}: {path.stat().st_size} bytes that are not an image ({type(error).__name__}: {error})",
            hint="remove or replace the file",
        ) from error
    if decoded.mode not in _GREY | _COLOUR or "transparency" in decoded.info:
        raise DataError(
            f"{path}: its pixels are {decoded.mode}"
            + (" with transparency" if "transparency" in decoded.info else "")
            + ", 8-bit grey or RGB is expected",
            hint="convert it: what transparency, 16 bits or ink should become is not for this program to guess",
        )
    return decoded
