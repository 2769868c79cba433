"""What can be asked of an operating point, in units that mean something to whoever asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite

from ptee_mcu.errors import ConfigError


class Quantity(StrEnum):
    """What an ask limits."""

    DISAGREEMENT = "disagreement"
    DROP = "drop"
    MEAN_COST = "mean_cost"
    MEAN_CYCLES = "mean_cycles"


@dataclass(frozen=True, slots=True)
class Ask:
    """A limit that holds for new images.

    - `DISAGREEMENT`: share of images whose label differs from the backbone's; needs no labels.
    - `DROP`: accuracy of the backbone less accuracy with exits, as a fraction (0.01: one percentage point); labels.
    - `MEAN_COST`: relative to the bare backbone, every head on the way charged.
    - `MEAN_CYCLES`: cycles, every head on the way charged.
    """

    quantity: Quantity
    limit: float

    @property
    def name(self) -> str:
        """Of the operating point that answers it: a C identifier."""
        if self.quantity in (Quantity.DISAGREEMENT, Quantity.DROP):
            unit = "pct" if self.quantity is Quantity.DISAGREEMENT else "pp"
            return f"max_{self.quantity}_{100 * self.limit:.12g}{unit}".replace(".", "p").replace("-", "m")
        return f"{self.quantity}_{self.limit:.12g}".replace(".", "p").replace("+", "").replace("-", "m")

    def __str__(self) -> str:
        """The ask in words."""
        match self.quantity:
            case Quantity.DISAGREEMENT:
                return f"a disagreement of at most {100 * self.limit:.4g} %"
            case Quantity.DROP:
                return f"a drop of at most {100 * self.limit:.4g} percentage points"
            case Quantity.MEAN_COST:
                return f"a mean cost of at most {self.limit:.4g} backbones"
            case Quantity.MEAN_CYCLES:
                return f"a mean of at most {self.limit:,.0f} cycles"


DEFAULT_ASKS = tuple(Ask(Quantity.DISAGREEMENT, limit) for limit in (0.01, 0.03, 0.1))


def verify_asks(asks: Sequence[Ask], delta: float) -> None:
    """Holds asks to their ranges.

    Raises:
        ConfigError: where there is none, one comes twice, a limit lies outside its range, or delta outside (0, 1).
    """
    if not 0.0 < delta < 1.0:
        raise ConfigError(
            f"delta {delta} lies outside (0, 1)",
            hint="it is the probability that a promise of the table does not hold; 0.05 is usual",
        )
    if not asks:
        raise ConfigError("no operating point is asked for", hint="ask for a disagreement of at most 1 %, for example")
    for ask in asks:
        share = ask.quantity in (Quantity.DISAGREEMENT, Quantity.DROP)
        if share and not 0.0 < ask.limit < 1.0:
            raise ConfigError(
                f"{ask.quantity} {ask.limit} lies outside (0, 1)",
                hint="write 1 % or one percentage point as 0.01; nothing above 0 can be promised to be 0",
            )
        if not share and not (isfinite(ask.limit) and ask.limit > 0):
            raise ConfigError(f"{ask.quantity} {ask.limit} is not a finite number above 0")
    for i, ask in enumerate(asks):
        if ask in asks[:i]:
            raise ConfigError(f"{ask} is asked for twice", hint="every point costs the others samples: leave one out")
