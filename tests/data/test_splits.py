from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data import cifar10_test

from ptee_mcu.data import Dataset, Splits, divide, load, make_dataset, require_choosable, require_reportable
from ptee_mcu.data.splits import verify_splits
from ptee_mcu.errors import DataError, SplitError, VerifyError


def dataset(train: int = 30, test: int = 50, *, official: bool = True, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    parts = [(rng.integers(0, 256, (n, 2, 2, 1), dtype=np.uint8), np.arange(n) % 3) for n in (train, test)]
    return make_dataset("set", parts[0], parts[1], ("a", "b", "c"), official_test=official)


def indices(splits: Splits) -> list[np.ndarray]:
    return [splits.threshold_a.index, splits.threshold_b.index, splits.report.index]


@given(st.integers(10, 300), st.integers(3, 50))
def test_the_test_part_is_divided_without_rest_or_overlap(test: int, train: int) -> None:
    splits = divide(dataset(train, test), pretrained=True, calibration=20)
    assert sorted(np.concatenate(indices(splits)).tolist()) == list(range(test))
    assert len(splits.calibration) == min(train, 20)
    for split in (splits.train, splits.calibration, splits.threshold_a, splits.threshold_b, splits.report):
        assert len(split) == len(split.x) == len(split.y) > 0


def test_the_division_does_not_depend_on_the_order_of_the_files() -> None:
    one = dataset()
    order = np.random.default_rng(3).permutation(50)
    two = make_dataset(
        "set", (one.train_x, one.train_y), (one.test_x[order], one.test_y[order]), one.classes, official_test=True
    )
    for a, b in zip(indices(divide(one, pretrained=True)), indices(divide(two, pretrained=True)), strict=True):
        assert {one.test_x[i].tobytes() for i in a} == {two.test_x[i].tobytes() for i in b}


def test_images_keep_their_labels() -> None:
    whole = dataset()
    split = divide(whole, pretrained=True).report
    assert np.array_equal(split.x, whole.test_x[split.index])
    assert np.array_equal(split.y, whole.test_y[split.index])


def test_cifar10s_test_images_are_divided_1000_5000_4000() -> None:
    x, y = cifar10_test()
    cifar = make_dataset("cifar10", (x[:200], y[:200]), (x, y), tuple("abcdefghij"), official_test=True)
    splits = divide(cifar, pretrained=True)
    assert [len(i) for i in indices(splits)] == [1000, 5000, 4000]
    assert "thresholds chosen on 1,000 + 5,000 test images, reported on 4,000 others" in splits.describe()


def test_thresholds_are_chosen_on_images_that_nothing_was_trained_on() -> None:
    splits = divide(dataset(), pretrained=True)
    require_choosable(splits.threshold_a)
    require_choosable(splits.threshold_b)
    for split in (splits.train, splits.calibration):
        with pytest.raises(SplitError, match=f"cannot be chosen on {split.name} .*the backbone may have been trained"):
            require_choosable(split)
    with pytest.raises(SplitError, match="the exit heads may have been trained"):
        require_choosable(replace(splits.threshold_a, seen_by_heads=True))


def test_thresholds_are_not_chosen_on_the_report() -> None:
    with pytest.raises(SplitError, match="cannot be chosen on report: it is for reporting"):
        require_choosable(divide(dataset(), pretrained=True).report)


def test_nothing_is_reported_on_images_that_chose_or_trained() -> None:
    splits = divide(dataset(), pretrained=True)
    require_reportable(splits.report)
    with pytest.raises(SplitError, match="nothing can be reported on thresholds B: it is for choosing thresholds"):
        require_reportable(splits.threshold_b)
    with pytest.raises(SplitError, match="it is for training, and backbone or heads may have been trained on it"):
        require_reportable(splits.train)


def test_weights_from_elsewhere_may_have_seen_all_of_a_set_that_was_divided_here() -> None:
    ours = dataset(official=False)
    with pytest.raises(SplitError, match="x_test and y_test"):
        require_choosable(divide(ours, pretrained=True).threshold_a)
    require_choosable(divide(ours, pretrained=False).threshold_a)


def test_the_digits_divide_into_training_thresholds_and_report() -> None:
    splits = divide(load("digits"), pretrained=False)
    assert [len(splits.train), *(len(i) for i in indices(splits))] == [1078, 72, 359, 288]
    require_choosable(splits.threshold_b)


def test_too_few_test_images_are_refused() -> None:
    with pytest.raises(DataError, match="9 test images cannot be divided"):
        divide(dataset(test=9), pretrained=True)


@given(st.integers(48, 300), st.integers(1, 50), st.integers(1, 400))
def test_a_backbone_trained_here_holds_out_training_images_and_reports_on_the_whole_test_part(
    train: int, test: int, calibration: int
) -> None:
    whole = dataset(train, test)
    splits = divide(whole, pretrained=False, calibration=calibration)
    kept, a, b = splits.train.index, splits.threshold_a.index, splits.threshold_b.index
    assert sorted(np.concatenate([kept, a, b]).tolist()) == list(range(train))
    assert len(a) + len(b) == round(train / 5)
    assert len(a) == round((len(a) + len(b)) / 5)
    assert splits.report.index.tolist() == list(range(test))
    assert set(splits.calibration.index) <= set(kept)
    assert len(splits.calibration) == min(calibration, len(kept))
    for split in (splits.train, splits.threshold_a, splits.threshold_b):
        assert np.array_equal(split.x, whole.train_x[split.index])
        assert np.array_equal(split.y, whole.train_y[split.index])
    require_choosable(splits.threshold_a)
    require_choosable(splits.threshold_b)
    require_reportable(splits.report)


def test_of_fifty_thousand_training_images_ten_thousand_are_held_out() -> None:
    splits = divide(dataset(50_000, 30), pretrained=False)
    assert [len(s) for s in (splits.train, splits.threshold_a, splits.threshold_b)] == [40_000, 2_000, 8_000]
    assert splits.describe() == (
        "set: thresholds chosen on 2,000 + 8,000 held-out training images, reported on all 30 test images (divided by "
        "a hash of each image), none seen by backbone or exit heads"
    )
    assert len(divide(dataset(70_000, 30), pretrained=False).train) == 60_000


def test_what_is_held_out_does_not_depend_on_the_order_of_the_files() -> None:
    one = dataset(300)
    order = np.random.default_rng(3).permutation(300)
    two = make_dataset(
        "set", (one.train_x[order], one.train_y[order]), (one.test_x, one.test_y), one.classes, official_test=True
    )
    a, b = divide(one, pretrained=False), divide(two, pretrained=False)
    assert {i.tobytes() for i in a.threshold_b.x} == {i.tobytes() for i in b.threshold_b.x}


def test_too_few_training_images_to_hold_some_out_are_refused() -> None:
    with pytest.raises(DataError, match="of 30 training images 6 can be held out for thresholds, at least 10"):
        divide(dataset(30), pretrained=False)


def test_the_description_says_where_the_backbone_may_have_seen_all() -> None:
    assert divide(dataset(official=False), pretrained=True).describe().endswith(", the backbone may have seen all")


@pytest.mark.parametrize("pretrained", [True, False])
def test_a_class_without_a_training_image_is_named(*, pretrained: bool) -> None:
    whole = dataset(60)
    other = make_dataset(
        "set", (whole.train_x, whole.train_y % 2), (whole.test_x, whole.test_y), whole.classes, official_test=True
    )
    with pytest.raises(
        DataError, match=r"set: class 'c' has no image in the training split \(1 of 3 classes have none"
    ):
        divide(other, pretrained=pretrained)


def test_a_class_that_thresholds_or_report_lack_is_noted() -> None:
    whole = dataset(60)
    other = make_dataset(
        "set", (whole.train_x, whole.train_y), (whole.test_x, whole.test_y % 2), whole.classes, official_test=True
    )
    assert divide(other, pretrained=True).notes == (
        "thresholds A (5 images) has none of class 'c': nothing is known about it there",
        "thresholds B (25 images) has none of class 'c': nothing is known about it there",
        "report (20 images) has none of class 'c': nothing is known about it there",
    )
    assert divide(whole, pretrained=True).notes == ()


def test_a_note_counts_classes_instead_of_listing_many() -> None:
    x = np.random.default_rng(0).integers(0, 256, (100, 2, 2, 1), dtype=np.uint8)
    many = make_dataset(
        "set", (x, np.arange(100)), (x, np.zeros(100, int)), tuple(map(str, range(100))), official_test=True
    )
    assert "report (40 images) has none of class '1', '2', '3' and 96 more" in divide(many, pretrained=True).notes[2]


def test_ranges_from_images_that_are_not_training_ones_are_found() -> None:
    splits = divide(dataset(60), pretrained=False)
    held = replace(splits.calibration, index=splits.threshold_a.index)
    with pytest.raises(VerifyError, match="calibration and thresholds A share 2 images"):
        verify_splits(replace(splits, calibration=held))
    strange = replace(splits.calibration, index=np.asarray([60]))
    with pytest.raises(VerifyError, match="set: 1 images of calibration are not training images"):
        verify_splits(replace(splits, calibration=strange))


def test_a_shared_image_is_found() -> None:
    splits = divide(dataset(), pretrained=True)
    broken = replace(splits, report=replace(splits.report, index=splits.threshold_a.index))
    with pytest.raises(VerifyError, match="thresholds A and report share 5 images"):
        verify_splits(broken)
