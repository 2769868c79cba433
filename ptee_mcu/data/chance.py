"""Whether a network knows the images it is shown."""

_LEVEL = 0.001  # a network that guesses passes the test with at most this probability


def chance_warning(accuracy: float, classes: int, images: int, *, commonest: float = 0.0) -> str | None:
    """A warning where `accuracy` is not significantly above chance, None where it is.

    The test is the exact binomial one, one-sided at level 0.001, against the better of guessing evenly and of always
    naming the commonest class.

    Args:
        accuracy: share of right answers, 0..1.
        classes: how many the network tells apart.
        images: how many it answered.
        commonest: share of the commonest class among the images, 0..1; 0 where unknown.
    """
    assert 0 <= accuracy <= 1
    assert 0 <= commonest <= 1
    assert classes >= 1
    assert images >= 1
    from scipy.special import bdtrc  # noqa: PLC0415 - scipy is loaded only where a backbone is judged

    chance = max(1 / classes, commonest)
    right = round(accuracy * images)
    # bdtrc(k, n, p) = P(Bin(n, p) > k)
    tail = float(bdtrc(right - 1, images, chance)) if right and chance < 1 else 1.0
    if tail <= _LEVEL:
        return None
    return (
        f"the backbone is right on {right:,} of {images:,} images ({100 * accuracy:.1f} %), which does not tell it "
        f"from guessing ({100 * chance:.1f} % for {classes} classes): these may not be the images it was trained for, "
        "or mean, std or the order of the classes differ"
    )
