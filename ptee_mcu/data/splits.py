"""Disjoint splits of a data set, each with what it may serve."""

from dataclasses import dataclass
from enum import Enum

import numpy as np

from ptee_mcu.data.dataset import Dataset, Images, Labels
from ptee_mcu.data.hashing import Index, hash_order
from ptee_mcu.errors import DataError, SplitError, VerifyError
from ptee_mcu.tensor import readonly

# Shares of the test part: candidates for thresholds, their check, the report (1,000, 5,000 and 4,000 of CIFAR-10's).
_THRESHOLDS_A = 0.1
_THRESHOLDS_B = 0.5
_LEAST_TEST_IMAGES = 10


class Use(Enum):
    """What a split serves."""

    TRAINING = "training"
    CALIBRATION = "calibration of int8 ranges"
    THRESHOLDS = "choosing thresholds"
    REPORT = "reporting"


class Part(Enum):
    """Which part of its data set a split was taken from."""

    TRAIN = "training"
    TEST = "test"


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Images `index` of one part of a data set, who has seen them, and what they serve."""

    name: str
    part: Part
    index: Index
    x: Images
    y: Labels
    seen_by_backbone: bool
    seen_by_heads: bool
    used_for: frozenset[Use]

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.index)


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """One division of a data set; calibration lies within the training images, all else is disjoint."""

    dataset: str
    train: Split
    calibration: Split
    threshold_a: Split
    threshold_b: Split
    report: Split

    def describe(self) -> str:
        """One line for reports: where the thresholds and the reported numbers come from."""
        return (
            f"{self.dataset}: thresholds chosen on {len(self.threshold_a):,} + {len(self.threshold_b):,} test images, "
            f"reported on {len(self.report):,} others (divided by a hash of each image)"
        )


def divide(dataset: Dataset, *, pretrained: bool, calibration: int = 200) -> Splits:
    """The splits of `dataset`: its training part, and its test part divided 1 : 5 : 4 by a hash of each image.

    Where the backbone came trained from elsewhere and the division of the set was made here, nobody knows which
    images that backbone has seen: all then count as seen.

    Args:
        dataset: what to divide.
        pretrained: True where the backbone came with its weights, False where it is trained on `train` here.
        calibration: images of the training part, by hash, that set the int8 ranges; all of it where it has fewer.

    Raises:
        DataError: where the test part is too small to be divided.
    """
    if len(dataset.test_x) < _LEAST_TEST_IMAGES:
        raise DataError(
            f"{dataset.name}: {len(dataset.test_x)} test images cannot be divided into thresholds and report",
            hint=f"at least {_LEAST_TEST_IMAGES} are needed, thousands for a trustworthy threshold",
        )
    unknown = pretrained and not dataset.official_test
    order = hash_order(dataset.test_x)
    ends = np.round(np.cumsum([0, _THRESHOLDS_A, _THRESHOLDS_B]) * len(order)).astype(int)
    chosen = [np.sort(part) for part in np.split(order, ends[1:])]
    tests = [
        _split(dataset, name, Part.TEST, index, seen_by_backbone=unknown, seen_by_heads=False, use=use)
        for name, index, use in zip(
            ("thresholds A", "thresholds B", "report"),
            chosen,
            (Use.THRESHOLDS, Use.THRESHOLDS, Use.REPORT),
            strict=True,
        )
    ]
    ranges = np.sort(hash_order(dataset.train_x)[:calibration])
    every = np.arange(len(dataset.train_x))
    train, calibrating = (
        _split(dataset, name, Part.TRAIN, index, seen_by_backbone=True, seen_by_heads=True, use=use)
        for name, index, use in (("training", every, Use.TRAINING), ("calibration", ranges, Use.CALIBRATION))
    )
    splits = Splits(dataset.name, train, calibrating, *tests)
    verify_splits(splits)
    return splits


def verify_splits(splits: Splits) -> None:
    """Holds every Splits to its contract.

    Raises:
        VerifyError: naming two splits that share an image although only one of them may see it.
    """
    apart = [splits.train, splits.threshold_a, splits.threshold_b, splits.report]
    pairs = [(a, b) for i, a in enumerate(apart) for b in apart[i + 1 :]]
    pairs += [(splits.calibration, b) for b in apart[1:]]
    for a, b in pairs:
        shared = np.intersect1d(a.index, b.index) if a.part is b.part else np.empty(0, np.int64)
        if shared.size:
            raise VerifyError(f"{splits.dataset}: {a.name} and {b.name} share {shared.size} images, {shared[0]} first")


def require_choosable(split: Split) -> None:
    """Holds a split to what choosing thresholds asks for.

    Raises:
        SplitError: where backbone or heads have seen it, or it serves something else.
    """
    for who, seen in (("the backbone", split.seen_by_backbone), ("the exit heads", split.seen_by_heads)):
        if seen:
            raise SplitError(
                f"thresholds cannot be chosen on {split.name} ({len(split)} images): {who} may have been trained on "
                "them, and such images promise less disagreement than new ones give",
                hint="give images that were never trained on, such as x_test and y_test of a .npz archive",
            )
    if Use.THRESHOLDS not in split.used_for:
        raise SplitError(
            f"thresholds cannot be chosen on {split.name}: it is for {_uses(split)}",
            hint="choose on the splits threshold_a and threshold_b",
        )


def require_reportable(split: Split) -> None:
    """Holds a split to what a reported number asks for.

    Raises:
        SplitError: where it was trained on or thresholds were chosen on it.
    """
    if split.seen_by_backbone or split.seen_by_heads or split.used_for != frozenset({Use.REPORT}):
        seen = split.seen_by_backbone or split.seen_by_heads
        raise SplitError(
            f"nothing can be reported on {split.name}: it is for {_uses(split)}"
            + (", and backbone or heads may have been trained on it" if seen else ""),
            hint="report on the split report",
        )


def _uses(split: Split) -> str:
    return " and ".join(sorted(use.value for use in split.used_for)) or "nothing"


def _split(
    dataset: Dataset, name: str, part: Part, index: Index, *, seen_by_backbone: bool, seen_by_heads: bool, use: Use
) -> Split:
    x, y = (dataset.train_x, dataset.train_y) if part is Part.TRAIN else (dataset.test_x, dataset.test_y)
    whole = len(index) == len(x)  # the training images of CIFAR-10 are 150 MB: not copied
    return Split(
        name,
        part,
        readonly(index, np.int64),
        x if whole else readonly(x[index], x.dtype),
        y if whole else readonly(y[index], y.dtype),
        seen_by_backbone,
        seen_by_heads,
        frozenset({use}),
    )
