"""What counts of agreement from a device say: intervals on its live disagreement, and whether its point still holds."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ptee_mcu.errors import ConfigError, DataError
from ptee_mcu.exits.asks import Quantity
from ptee_mcu.exits.tail_bounds import binomial_upper, samples_at_rate
from ptee_mcu.quant_graph import OperatingPoint, QuantGraph

_NUMBERS = re.compile(r"\d+/\d+(,\d+/\d+)*")
_FORM = "give a JSON file with lists `audited` and `agreed`, or agreed/audited per exit, such as 95/100,40/40"


class Verdict(StrEnum):
    """What the audits say of a limit."""

    HOLDS = "holds"
    BROKEN = "broken"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Counts:
    """Audited answers per exit, and how many of them agreed with the last exit."""

    audited: tuple[int, ...]
    agreed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interval:
    """Of `audited` answers `disagreed` did; their rate lies in [low, high] with the confidence of the audit."""

    audited: int
    disagreed: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Intervals at every exit and over all answers, against the limit of an operating point.

    `limit` is on the disagreement over all answers, `limit_is` where it is from; None where the point has none: then
    there is no verdict. `needed`: about how many audits decide at the rate seen; None where they decide already, or
    none would.
    """

    point: str
    confidence: float
    exits: Mapping[str, Interval]
    overall: Interval
    limit: float | None
    limit_is: str | None
    verdict: Verdict | None
    needed: int | None

    def as_json(self) -> dict[str, object]:
        """For json.dumps."""
        return {
            "operating_point": self.point,
            "confidence": self.confidence,
            "exits": {name: _facts(interval) for name, interval in self.exits.items()},
            "overall": _facts(self.overall),
            "limit": self.limit,
            "limit_is": self.limit_is,
            "verdict": self.verdict,
            "needed": self.needed,
        }


def read_counts(given: str) -> Counts:
    """Counts from agreed/audited per exit, or from a JSON file with the fields of NAME_stats.

    Raises:
        DataError: where it is neither, or the numbers cannot be counts.
    """
    if _NUMBERS.fullmatch(given):
        pairs = [tuple(map(int, pair.split("/"))) for pair in given.split(",")]
        counts = Counts(tuple(pair[1] for pair in pairs), tuple(pair[0] for pair in pairs))
    else:
        counts = _from_file(Path(given))
    for exit_, (audited, agreed) in enumerate(zip(counts.audited, counts.agreed, strict=True)):
        if not 0 <= agreed <= audited:
            raise DataError(f"exit {exit_}: {agreed} of {audited} audited answers agreed", hint=_FORM)
    return counts


def audit(graph: QuantGraph, point: OperatingPoint, counts: Counts, *, delta: float = 0.05) -> Audit:
    """What `counts`, gathered at `point`, say with confidence 1 - `delta`.

    Every interval is two-sided, exact for any number of audits and holds by itself, looked at once. An exit's audits
    are a random part of its answers, so the inputs need only be independent of each other.
    Source: Clopper and Pearson, The use of confidence or fiducial limits, Biometrika 26 (1934).

    Raises:
        ConfigError: where `delta` is no probability.
        DataError: where the counts are not those of this network's exits.
    """
    if not 0 < delta < 1:
        raise ConfigError(f"delta is {delta:g}", hint="give a probability above 0 and below 1")
    if len(counts.audited) != len(graph.exits):
        raise DataError(
            f"counts of {len(counts.audited)} exits; {graph.name} has {len(graph.exits)}",
            hint="give those of this build",
        )
    pairs = [(n, n - agreed) for n, agreed in zip(counts.audited, counts.agreed, strict=True)]
    overall = interval(sum(n for n, _ in pairs), sum(hits for _, hits in pairs), delta)
    limit, limit_is = _limit(point)
    verdict = None if limit is None else _verdict(overall, limit)
    return Audit(
        point.name,
        1 - delta,
        {leave.name: interval(n, hits, delta) for leave, (n, hits) in zip(graph.exits, pairs, strict=True)},
        overall,
        limit,
        limit_is,
        verdict,
        _needed(overall, limit, delta) if limit is not None and verdict is Verdict.UNDECIDED else None,
    )


def interval(audited: int, disagreed: int, delta: float) -> Interval:
    """The two-sided Clopper-Pearson interval at confidence 1 - `delta`; [0, 1] where nothing was audited."""
    if audited == 0:
        return Interval(0, 0, 0.0, 1.0)
    low = 1 - binomial_upper(audited - disagreed, audited, delta / 2)
    return Interval(audited, disagreed, low, binomial_upper(disagreed, audited, delta / 2))


def _limit(point: OperatingPoint) -> tuple[float | None, str | None]:
    if point.quantity != Quantity.DISAGREEMENT:
        return None, None
    if point.bound is not None:
        return point.bound, "certified"
    return point.asked, None if point.asked is None else "asked"


def _verdict(seen: Interval, limit: float) -> Verdict:
    if seen.high <= limit:
        return Verdict.HOLDS
    return Verdict.BROKEN if seen.low > limit else Verdict.UNDECIDED


def _needed(seen: Interval, limit: float, delta: float) -> int | None:
    """Audits after which the upper end is below `limit`, at the rate seen."""
    rate = seen.disagreed / seen.audited if seen.audited else 0.0
    return samples_at_rate(rate, limit, delta / 2) if 0 < limit < 1 else None


def _from_file(path: Path) -> Counts:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}", hint=_FORM) from error
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}", hint=_FORM) from error
    audited, agreed = (_whole(found.get(key)) if isinstance(found, dict) else None for key in ("audited", "agreed"))
    if audited is None or agreed is None or len(audited) != len(agreed):
        raise DataError(f"{path} has no two lists of whole numbers of one length", hint=_FORM)
    return Counts(audited, agreed)


def _whole(each: object) -> tuple[int, ...] | None:
    """The numbers of a list that holds only whole ones."""
    return tuple(each) if isinstance(each, list) and all(type(number) is int for number in each) else None


def _facts(seen: Interval) -> dict[str, object]:
    return {"audited": seen.audited, "disagreed": seen.disagreed, "low": seen.low, "high": seen.high}
