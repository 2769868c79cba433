"""Rescale pairs for what our own kernels rescale without a sum: one difference of codes, or the product of two."""

from ptee_mcu.errors import QuantizationError
from ptee_mcu.requant import Requant

_CODE_SHIFT = 22  # 255 * 2**22 stays below 2**30, so that twice it fits int32
_PRODUCT_SHIFT = 14  # so does 255 * 255 * 2**14


def code_requant(name: str, factor: float) -> Requant:
    """The pair that rescales a difference of codes, at most 255, by `factor`.

    Raises:
        QuantizationError: where `factor` is 2**22 or more, beyond which int32 overflows.
    """
    return _requant(f"{name}: the input scale is", factor, _CODE_SHIFT)


def product_requant(name: str, factor: float) -> Requant:
    """The pair that rescales a product of two differences of codes by `factor`.

    Raises:
        QuantizationError: where `factor` is 2**14 or more, beyond which int32 overflows.
    """
    return _requant(f"{name}: the product of the input scales is", factor, _PRODUCT_SHIFT)


def _requant(what: str, factor: float, most_shift: int) -> Requant:
    requant = Requant.from_real([min(factor, 2.0**most_shift)])  # which has a shift of one more
    if requant.shift[0] > most_shift:
        raise QuantizationError(
            f"{what} {factor:.3g} times the output scale, above 2**{most_shift}",
            hint="nearly every output is clamped; check the range of this layer's calibration data",
        )
    return requant
