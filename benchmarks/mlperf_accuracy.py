"""What the published int8 ResNet-8 answers to the CIFAR-10 test images that MLPerf Tiny names by their index."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptee_mcu.data import load
from ptee_mcu.errors import DataError, ToolMissingError
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8, Int32, UInt8

INDEX_TABLE = "cifar10_test_index_to_name.csv"  # original_test_index, filename, label
PERFORMANCE, CALIBRATION = "perf_samples_idxs.npy", "calibration_samples_idxs.npy"


@dataclass(frozen=True, slots=True, eq=False)
class NamedImages:
    """All CIFAR-10 test images (N, 32, 32, 3) and labels (N,); `at`: where an image of the official order stands."""

    x: UInt8
    y: npt.NDArray[np.int64]
    at: Mapping[int, int]

    def rows(self, indices: Iterable[int]) -> npt.NDArray[np.int64]:
        """Where the images with these official indices stand."""
        return np.array([self.at[int(index)] for index in indices])


@dataclass(frozen=True, slots=True)
class Right:
    """Right answers of the int8 network on a set of images."""

    title: str
    images: int
    right: int


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Per set of images; `same_labels`: of the performance set, where LiteRT's reference kernels answer alike."""

    sets: tuple[Right, ...]
    same_labels: int


def accuracy(network: QuantGraph, model: Path, cifar10: Path) -> Accuracy:
    """Right answers of `network`, imported from `model`, beside which the index files lie.

    Raises:
        DataError: where the images in `cifar10` are not those of the index table.
        ToolMissingError: where Pillow or LiteRT is needed and not installed.
    """
    images = named_images(cifar10, model.parent / INDEX_TABLE)
    codes = network.input_tensor.quant.codes(images.x.astype(np.float32))
    labels = evaluate(network, codes).label
    performance = images.rows(np.load(model.parent / PERFORMANCE))
    sets = {
        "MLPerf Tiny's performance set": performance,
        "images that the file was calibrated on": images.rows(np.load(model.parent / CALIBRATION)),
        "both": np.array(sorted(images.at.values())),
        "all test images": np.arange(len(images.y)),
    }
    right = labels == images.y
    theirs = reference_labels(model, codes[performance])
    return Accuracy(
        tuple(Right(title, len(rows), int(right[rows].sum())) for title, rows in sets.items()),
        int((theirs == labels[performance]).sum()),
    )


def named_images(folder: Path, table: Path) -> NamedImages:
    """CIFAR-10 in `folder`: the official files, or strips of images (webp/test_*.webp) with names in labels.npz.

    Raises:
        DataError: where an image that `table` names is missing, or has another label.
        ToolMissingError: where strips need Pillow, which is not installed.
    """
    with table.open(encoding="utf-8", newline="") as file:
        named = {int(row["original_test_index"]): (row["filename"], int(row["label"])) for row in csv.DictReader(file)}
    if (folder / "webp").is_dir():
        x, y, names = _strips(folder)
        missing = [name for name, _ in named.values() if name not in names]
        if missing:
            raise DataError(f"{folder}: lacks {len(missing)} of the images in {table}, such as {missing[0]}")
        at = {index: names[name] for index, (name, _) in named.items()}
    else:
        dataset = load("cifar10", folder)
        x, y = np.asarray(dataset.test_x, np.uint8), dataset.test_y
        at = {index: index for index in named}
    wrong = [index for index, (_, label) in named.items() if y[at[index]] != label]
    if wrong:
        raise DataError(
            f"{folder}: test image {wrong[0]} is not of the class that {table} names, nor are {len(wrong) - 1} others",
            hint="give CIFAR-10 in its official order",
        )
    return NamedImages(x, y, at)


def reference_labels(model: Path, codes: Int8) -> Int32:
    """What LiteRT's reference kernels answer.

    Raises:
        ToolMissingError: where LiteRT is not installed.
    """
    try:
        from ai_edge_litert import interpreter as litert  # noqa: PLC0415 - only where it is installed
    except ModuleNotFoundError as error:
        raise ToolMissingError(
            "comparing with LiteRT needs ai-edge-litert", hint="pip install ai-edge-litert"
        ) from error
    run = litert.Interpreter(str(model), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF)
    run.allocate_tensors()
    given, answer = run.get_input_details()[0]["index"], run.get_output_details()[0]["index"]
    labels = []
    for code in codes:
        run.set_tensor(given, code[np.newaxis])
        run.invoke()
        labels.append(int(run.get_tensor(answer)[0].argmax()))
    return np.array(labels, np.int32)


def _strips(folder: Path) -> tuple[UInt8, npt.NDArray[np.int64], dict[str, int]]:
    try:
        from PIL import Image  # noqa: PLC0415 - only for strips
    except ModuleNotFoundError as error:
        raise ToolMissingError(f"{folder}: reading strips needs Pillow", hint="pip install pillow") from error
    strips = sorted((folder / "webp").glob("test_*.webp"))
    pixels = [np.asarray(Image.open(path).convert("RGB")).reshape(-1, 32, 32, 3) for path in strips]
    with np.load(folder / "labels.npz") as stored:
        names = {name.decode(): i for i, name in enumerate(stored["f_test"].tolist())}
        return np.concatenate(pixels), stored["y_test"].astype(np.int64), names
