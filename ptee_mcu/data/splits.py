"""Disjoint splits of a data set, each with what it may serve."""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from ptee_mcu.data.dataset import Dataset, Images, Labels
from ptee_mcu.data.hashing import Index, hash_order
from ptee_mcu.errors import DataError, SplitError, VerifyError
from ptee_mcu.tensor import readonly

# Shares of a test part that is divided: candidates for thresholds, their check, the report (1,000, 5,000 and 4,000 of
# CIFAR-10's).
_THRESHOLDS_A = 0.1
_THRESHOLDS_B = 0.5
# Training images held out for thresholds where the backbone is trained here and the official test part stays whole.
_HELD_OUT = 10_000
_HELD_OUT_SHARE = 0.2  # where the training part has fewer than five times as many
_HELD_OUT_A = 0.2  # of the held-out ones; the rest is B
_LEAST_IMAGES = 10  # of what is divided
_NAMED_CLASSES = 3  # in a note; the others are counted


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
    """One division of a data set; calibration lies within the training images, all else is disjoint.

    `notes` say what a reader of results should know about the division, such as a class that the report lacks.
    """

    dataset: str
    train: Split
    calibration: Split
    threshold_a: Split
    threshold_b: Split
    report: Split
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line for reports: where the thresholds and the reported numbers come from, and who has seen those."""
        a, b = self.threshold_a, self.threshold_b
        held_out = a.part is Part.TRAIN
        chosen_on = f"{len(a):,} + {len(b):,} {'held-out training' if held_out else 'test'} images"
        report = f"all {len(self.report):,} test images" if held_out else f"{len(self.report):,} others"
        seen = "the backbone may have seen all" if a.seen_by_backbone else "none seen by backbone or exit heads"
        return (
            f"{self.dataset}: thresholds chosen on {chosen_on}, reported on {report} "
            f"(divided by a hash of each image), {seen}"
        )


def divide(dataset: Dataset, *, pretrained: bool, calibration: int = 200) -> Splits:
    """The splits of `dataset`, by a hash of each image, so that no split depends on the order of the files.

    - Backbone trained here, official test part: 10,000 training images (20 % where there are fewer than 50,000) are
      held out from backbone and heads, a fifth of them as thresholds A, the rest as B; the report is the whole test
      part.
    - Otherwise the test part is divided 1 : 5 : 4 into thresholds A, B and report. Where the backbone came trained
      from elsewhere and the division of the set was made here, nobody knows which images that backbone has seen: all
      then count as seen.

    Args:
        dataset: what to divide.
        pretrained: True where the backbone came with its weights, False where it is trained on `train` here.
        calibration: images of the training split, by hash, that set the int8 ranges; all of it where it has fewer.

    Raises:
        DataError: where a part is too small to be divided, or a class has no training image.
    """
    if dataset.official_test and not pretrained:
        splits = _held_out(dataset, calibration)
    else:
        splits = _divided_test(dataset, calibration, seen_by_backbone=pretrained and not dataset.official_test)
    splits = replace(splits, notes=_notes(dataset, splits))
    verify_splits(splits)
    return splits


def _held_out(dataset: Dataset, calibration: int) -> Splits:
    """Thresholds from held-out training images, the report from the whole test part."""
    order = hash_order(dataset.train_x)
    held = _HELD_OUT if len(order) >= _HELD_OUT / _HELD_OUT_SHARE else round(_HELD_OUT_SHARE * len(order))
    if held < _LEAST_IMAGES:
        raise DataError(
            f"{dataset.name}: of {len(order)} training images {held} can be held out for thresholds, "
            f"at least {_LEAST_IMAGES} are needed",
            hint=f"give at least {round(_LEAST_IMAGES / _HELD_OUT_SHARE)} training images, thousands for a trustworthy "
            "threshold",
        )
    middle = round(_HELD_OUT_A * held)
    a, b = np.sort(order[:middle]), np.sort(order[middle:held])
    train, ranges = np.sort(order[held:]), np.sort(order[held:][:calibration])
    return Splits(
        dataset.name,
        _split(dataset, "training", Part.TRAIN, train, Use.TRAINING, backbone=True, heads=True),
        _split(dataset, "calibration", Part.TRAIN, ranges, Use.CALIBRATION, backbone=True, heads=True),
        _split(dataset, "thresholds A", Part.TRAIN, a, Use.THRESHOLDS, backbone=False, heads=False),
        _split(dataset, "thresholds B", Part.TRAIN, b, Use.THRESHOLDS, backbone=False, heads=False),
        _split(dataset, "report", Part.TEST, np.arange(len(dataset.test_x)), Use.REPORT, backbone=False, heads=False),
    )


def _divided_test(dataset: Dataset, calibration: int, *, seen_by_backbone: bool) -> Splits:
    """Thresholds and report from the test part."""
    if len(dataset.test_x) < _LEAST_IMAGES:
        raise DataError(
            f"{dataset.name}: {len(dataset.test_x)} test images cannot be divided into thresholds and report",
            hint=f"at least {_LEAST_IMAGES} are needed, thousands for a trustworthy threshold",
        )
    order = hash_order(dataset.test_x)
    ends = np.round(np.cumsum([0, _THRESHOLDS_A, _THRESHOLDS_B]) * len(order)).astype(int)
    a, b, report = (np.sort(part) for part in np.split(order, ends[1:]))
    train, ranges = np.arange(len(dataset.train_x)), np.sort(hash_order(dataset.train_x)[:calibration])
    seen = seen_by_backbone
    return Splits(
        dataset.name,
        _split(dataset, "training", Part.TRAIN, train, Use.TRAINING, backbone=True, heads=True),
        _split(dataset, "calibration", Part.TRAIN, ranges, Use.CALIBRATION, backbone=True, heads=True),
        _split(dataset, "thresholds A", Part.TEST, a, Use.THRESHOLDS, backbone=seen, heads=False),
        _split(dataset, "thresholds B", Part.TEST, b, Use.THRESHOLDS, backbone=seen, heads=False),
        _split(dataset, "report", Part.TEST, report, Use.REPORT, backbone=seen, heads=False),
    )


def _notes(dataset: Dataset, splits: Splits) -> tuple[str, ...]:
    """A note for each of thresholds and report that lacks a class.

    Raises:
        DataError: where training lacks one: neither backbone nor heads can learn it.
    """
    missing = _missing(dataset, splits.train)
    if missing:
        raise DataError(
            f"{dataset.name}: class {missing[0]!r} has no image in the {splits.train.name} split "
            f"({len(missing)} of {len(dataset.classes)} classes have none)",
            hint="give training images of every class, or leave the class out of classes",
        )
    notes = []
    for split in (splits.threshold_a, splits.threshold_b, splits.report):
        if missing := _missing(dataset, split):
            named = ", ".join(repr(name) for name in missing[:_NAMED_CLASSES])
            more = f" and {len(missing) - _NAMED_CLASSES} more" if len(missing) > _NAMED_CLASSES else ""
            notes.append(
                f"{split.name} ({len(split):,} images) has none of class {named}{more}: nothing is known about it there"
            )
    return tuple(notes)


def _missing(dataset: Dataset, split: Split) -> list[str]:
    counts = np.bincount(split.y, minlength=len(dataset.classes))
    return [name for name, count in zip(dataset.classes, counts, strict=True) if not count]


def verify_splits(splits: Splits) -> None:
    """Holds every Splits to its contract.

    Raises:
        VerifyError: naming two splits that share an image although only one of them may see it, or images that set
            ranges and do not belong to the training ones.
    """
    apart = [splits.train, splits.threshold_a, splits.threshold_b, splits.report]
    pairs = [(a, b) for i, a in enumerate(apart) for b in apart[i + 1 :]]
    pairs += [(splits.calibration, b) for b in apart[1:]]
    for a, b in pairs:
        shared = np.intersect1d(a.index, b.index) if a.part is b.part else np.empty(0, np.int64)
        if shared.size:
            raise VerifyError(f"{splits.dataset}: {a.name} and {b.name} share {shared.size} images, {shared[0]} first")
    outside = np.setdiff1d(splits.calibration.index, splits.train.index)
    if outside.size or splits.calibration.part is not splits.train.part:
        raise VerifyError(
            f"{splits.dataset}: {outside.size} images of {splits.calibration.name} are not {splits.train.name} images"
        )


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


def _split(dataset: Dataset, name: str, part: Part, index: Index, use: Use, *, backbone: bool, heads: bool) -> Split:
    x, y = (dataset.train_x, dataset.train_y) if part is Part.TRAIN else (dataset.test_x, dataset.test_y)
    whole = len(index) == len(x)  # the training images of CIFAR-10 are 150 MB: not copied
    return Split(
        name,
        part,
        readonly(index, np.int64),
        x if whole else readonly(x[index], x.dtype),
        y if whole else readonly(y[index], y.dtype),
        backbone,
        heads,
        frozenset({use}),
    )
