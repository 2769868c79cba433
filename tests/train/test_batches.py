import numpy as np
import pytest
import torch

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.preprocess import Normalisation
from ptee_mcu.train.batches import Batches, inputs_of, require_images
from ptee_mcu.train.recipe import Augment, BackboneRecipe, HeadRecipe, usual_augment

IDENTITY = Normalisation((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))  # inputs are the pixel values


def photographs(count: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, 32, 32, 3), dtype=np.uint8)


def batches(x: np.ndarray, size: int, augment: Augment | None = Augment.NONE, seed: int = 0) -> Batches:
    return Batches(x, size, augment=augment, normalisation=IDENTITY, seed=seed)


def test_an_epoch_is_full_batches_of_images_once_each() -> None:
    epoch = batches(photographs(), 3).epoch(0)
    assert [len(b) for b in epoch] == [3, 3, 3]
    assert len(set(torch.cat(epoch).tolist())) == 9


def test_a_set_smaller_than_a_batch_is_one_batch() -> None:
    assert [len(b) for b in batches(photographs(4), 64).epoch(0)] == [4]


def test_the_same_seed_gives_the_same_batches() -> None:
    x = photographs()
    one, same, other = (batches(x, 5, Augment.CROP_FLIP, seed) for seed in (1, 1, 2))
    for _ in range(2):
        a, b, c = one.epoch(0), same.epoch(0), other.epoch(0)
        assert all(torch.equal(one.inputs(i), same.inputs(j)) for i, j in zip(a, b, strict=True))
        assert not torch.equal(torch.cat(a), torch.cat(c))


def test_a_crop_is_a_window_of_the_padded_image_perhaps_mirrored() -> None:
    x = photographs(40)
    cropped = batches(x, 40, Augment.CROP_FLIP).inputs(torch.arange(40)).numpy().round().astype(np.uint8)
    kinds = set()
    for image, crop in zip(x, cropped, strict=True):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
        windows = {
            (row, column, flip): padded[row : row + 32, column : column + 32][:, :: -1 if flip else 1]
            for row in range(9)
            for column in range(9)
            for flip in (False, True)
        }
        found = [kind for kind, window in windows.items() if np.array_equal(window, crop)]
        assert len(found) == 1
        kinds.add(found[0])
    assert {flip for *_, flip in kinds} == {False, True}
    assert len({row for row, *_ in kinds}) > 4
    assert len({column for _, column, _ in kinds}) > 4


def test_photographs_are_augmented_and_digits_are_not() -> None:
    assert usual_augment((32, 32, 3)) is Augment.CROP_FLIP
    assert usual_augment((8, 8, 1)) is Augment.NONE
    assert batches(photographs(), 2, None).augment is Augment.CROP_FLIP


def test_float_inputs_pass_as_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 1)).astype(np.float32)
    assert np.array_equal(inputs_of(x, None).numpy(), x)


def test_images_that_do_not_suit_the_network_are_refused() -> None:
    x, norm = photographs(), IDENTITY
    require_images(x, (1, 32, 32, 3), norm)
    with pytest.raises(DataError, match=r"training images have shape \(10, 32, 32, 3\), the network takes"):
        require_images(x, (1, 8, 8, 3), norm)
    with pytest.raises(DataError, match=r"training images have shape \(0, 32, 32, 3\)"):
        require_images(x[:0], (1, 32, 32, 3), norm)
    with pytest.raises(DataError, match="training images are uint8 without a normalisation"):
        require_images(x, (1, 32, 32, 3), None)
    with pytest.raises(DataError, match="training images are float32 with a normalisation"):
        require_images(x.astype(np.float32), (1, 32, 32, 3), norm)
    with pytest.raises(DataError, match="mean and std have 1 channels, the images 3"):
        require_images(x, (1, 32, 32, 3), Normalisation((0.5,), (0.5,)))


@pytest.mark.parametrize("recipe", [HeadRecipe, BackboneRecipe])
def test_a_recipe_is_checked_when_it_is_made(recipe: type[HeadRecipe] | type[BackboneRecipe]) -> None:
    with pytest.raises(ConfigError, match="epochs is 0, it must be above 0"):
        recipe(epochs=0)
    with pytest.raises(ConfigError, match="lr is nan, it must be above 0"):
        recipe(lr=float("nan"))
    with pytest.raises(ConfigError, match="seed is -1, it must not be negative"):
        recipe(seed=-1)
