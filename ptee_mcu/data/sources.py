"""Data sets by the name a config gives: where they are looked for and who reads them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ptee_mcu.data import idx, svhn
from ptee_mcu.data.cifar10 import BIN_FOLDER, PY_FOLDER, load_cifar10
from ptee_mcu.data.dataset import Dataset
from ptee_mcu.data.digits import load_digits
from ptee_mcu.data.idx import load_fashion_mnist, load_mnist
from ptee_mcu.data.image_folder import load_image_folder
from ptee_mcu.data.npz import load_npz
from ptee_mcu.data.svhn import load_svhn
from ptee_mcu.errors import DataError

ENVIRONMENT = "PTEE_DATA"
OWN = "the path of a .npz archive, or of a folder with one folder of images per class"


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that is known by name.

    Attributes:
        about: what it holds.
        layout: what the data folder should hold, for people; empty where the set comes with the package.
        places: where it is looked for, relative to the data folder, best first.
        marks: any of these in a place says that the set is there.
        installed: where a system package puts it.
        advice: another way to get it than `ptee-mcu data fetch`.
    """

    name: str
    about: str
    read: Callable[[Path], Dataset]
    layout: str = ""
    places: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    installed: Path | None = None
    advice: str = ""

    @property
    def embedded(self) -> bool:
        """True where the set comes with the package."""
        return not self.places


def _read_digits(_: Path) -> Dataset:
    return load_digits()


_ALL = (
    Source("digits", "UCI handwritten digits, 1,797 of 8x8x1, with the package", _read_digits),
    Source(
        "cifar10",
        "CIFAR-10, 50,000 + 10,000 of 32x32x3",
        load_cifar10,
        layout=f"{BIN_FOLDER}/ or {PY_FOLDER}/",
        places=(".",),
        marks=(BIN_FOLDER, PY_FOLDER),
    ),
    Source(
        "svhn",
        "SVHN cropped digits, 73,257 + 26,032 of 32x32x3",
        load_svhn,
        layout="svhn/train_32x32.mat and svhn/test_32x32.mat",
        places=("svhn", "."),
        marks=svhn.FILES,
    ),
    Source(
        "mnist",
        "MNIST, 60,000 + 10,000 of 28x28x1",
        load_mnist,
        layout="mnist/ with the four idx files, plain or .gz",
        places=("mnist", "MNIST/raw"),
        marks=idx.FILES,
    ),
    Source(
        "fashion-mnist",
        "Fashion-MNIST, 60,000 + 10,000 of 28x28x1",
        load_fashion_mnist,
        layout="fashion-mnist/ with the four idx files, plain or .gz",
        places=("fashion-mnist", "FashionMNIST/raw"),
        marks=idx.FILES,
        installed=Path("/usr/share/datasets/fashion-mnist"),
        advice="on Debian and Ubuntu: apt-get install dataset-fashion-mnist",
    ),
)
SOURCES = {source.name: source for source in _ALL}


def data_folder(folder: Path | None) -> Path | None:
    """`folder`, or else the one that PTEE_DATA names, or None.

    Raises:
        DataError: where it is not a folder.
    """
    chosen = folder or (Path(os.environ[ENVIRONMENT]) if os.environ.get(ENVIRONMENT) else None)
    if chosen is not None and not chosen.is_dir():
        given = "--data" if folder else ENVIRONMENT
        raise DataError(f"{given} names {chosen}, which is not a folder")
    return chosen


def located(source: Source, folder: Path | None) -> Path | None:
    """The place that holds `source`: in the data folder, or else where a system package puts it, or None."""
    places = [folder / place for place in source.places] if folder is not None else []
    if source.installed is not None:
        places.append(source.installed)
    return next((place for place in places if any((place / mark).exists() for mark in source.marks)), None)


def load(source: str, folder: Path | None = None) -> Dataset:
    """The data set called `source`: a name in SOURCES, or the path of a .npz archive or of a folder of images.

    A relative path is looked for in the data folder, then in the current one.

    Raises:
        DataError: saying where it looked and what should be there.
    """
    known = SOURCES.get(source)
    if known is not None:
        return _load_known(known, folder)
    found = data_folder(folder)
    paths = [*([found / source] if found is not None else []), Path(source)]
    if source.endswith(".npz"):
        return load_npz(next((path for path in paths if path.exists()), paths[-1]))
    place = next((path for path in paths if source and path.is_dir()), None)
    if place is not None:
        return load_image_folder(place)
    near = get_close_matches(source, SOURCES, n=1, cutoff=0.5)
    raise DataError(
        f"unknown data source {source!r}: no such name, and no folder of images there",
        hint=(f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(SOURCES)}, or {OWN}",
    )


def _load_known(source: Source, folder: Path | None) -> Dataset:
    if source.embedded:
        return source.read(Path())
    found = data_folder(folder)
    place = located(source, found)
    if place is not None:
        return source.read(place)
    hint = f"ptee-mcu data fetch {source.name} --data DIR downloads it" + (source.advice and f"; {source.advice}")
    if found is None:
        raise DataError(
            f"{source.name}: no data folder: neither --data nor {ENVIRONMENT} is given; it should hold {source.layout}",
            hint=hint,
        )
    raise DataError(f"{source.name}: {found} does not hold {source.layout}", hint=hint)
