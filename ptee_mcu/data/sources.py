"""Data sets by the name a config gives: where they are looked for and who reads them."""

import os
from pathlib import Path

from ptee_mcu.data.cifar10 import BIN_FOLDER, PY_FOLDER, load_cifar10
from ptee_mcu.data.dataset import Dataset
from ptee_mcu.data.digits import load_digits
from ptee_mcu.data.npz import load_npz
from ptee_mcu.errors import DataError

ENVIRONMENT = "PTEE_DATA"
SOURCES = ("digits", "cifar10")


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


def load(source: str, folder: Path | None = None) -> Dataset:
    """The data set called `source`: digits (embedded), cifar10, or the path of a .npz archive.

    A relative .npz is looked for in the data folder, then in the current one.

    Raises:
        DataError: saying where it looked and what should be there.
    """
    if source == "digits":
        return load_digits()
    found = data_folder(folder)
    if source.endswith(".npz"):
        beside = found / source if found is not None else Path(source)
        return load_npz(beside if beside.exists() else Path(source))
    if source != "cifar10":
        raise DataError(
            f"unknown data source {source!r}",
            hint=f"known: {', '.join(SOURCES)}, or the path of a .npz archive with x and y",
        )
    if found is None:
        raise DataError(
            f"cifar10: no data folder: neither --data nor {ENVIRONMENT} is given",
            hint=f"give a folder that holds {BIN_FOLDER}/ or {PY_FOLDER}/",
        )
    return load_cifar10(found)
