"""Staged constants: images in the order of the stage, and when each of them is copied."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ptee_mcu.emit_linker import constant_section
from ptee_mcu.plan.placement import Constant, How, aligned, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import QNode
from ptee_mcu.tensor import readonly


@dataclass(frozen=True, slots=True, eq=False)
class Copy:
    """Bytes that go to `offset` of the stage at once, and the section that holds them."""

    name: str
    note: str
    offset: int
    values: npt.NDArray[np.int8]
    section: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """The staged constants of a segment's trunk, or of its head."""

    id: str
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Loading:
    """Images of a segment: `trunk` is waited for at its entry, `head` begun there; None where nothing is staged."""

    trunk: str | None = None
    head: str | None = None


def images(plan: Plan, name: str) -> tuple[Image, ...]:
    """What is copied into the stage, in the order of execution."""
    arrays = {
        f"{step.node.name}:{role}": values for step in plan.steps for role, values in step.node.op.constants.items()
    }
    staged = [c for c in constants(plan.graph) if plan.placements[c.name].how is How.STAGED]
    found = []
    for (segment, head), group in groupby(staged_order(staged), key=lambda c: (c.segment, c.head)):
        identifier = f"{'head' if head else 'trunk'}_{segment}"
        what = f"{'head' if head else 'trunk'} of segment {segment}"
        copies = [
            _copy(plan, f"{name}_{identifier}_{i}", what, run, arrays) for i, run in enumerate(_runs(plan, list(group)))
        ]
        found.append(Image(identifier, tuple(copies)))
    return tuple(found)


def staged_order(staged: list[Constant]) -> list[Constant]:
    """`staged` by segment, trunk before head."""
    return sorted(staged, key=lambda c: (c.segment, c.head))


def loadings(found: tuple[Image, ...], segments: int) -> tuple[Loading, ...]:
    """The images of each of `segments` segments."""
    ids = {image.id for image in found}

    def known(identifier: str) -> str | None:
        return identifier if identifier in ids else None

    return tuple(Loading(known(f"trunk_{i}"), known(f"head_{i}")) for i in range(segments))


def addresses(plan: Plan, node: QNode) -> Mapping[str, str]:
    """Where the staged constants of `node` lie: a C expression per role."""
    found = {}
    for role, values in node.op.constants.items():
        place = plan.placements[f"{node.name}:{role}"]
        if place.how is How.STAGED:
            at = f"stage + {place.offset}"
            found[role] = at if values.dtype == np.int8 else f"(const void *)({at})"
    return MappingProxyType(found)


def _runs(plan: Plan, group: list[Constant]) -> list[list[Constant]]:
    """`group` by offset, cut where bytes between two members may be another image's, or the section changes."""
    runs: list[list[Constant]] = []
    end, section = -1, None
    for constant in sorted(group, key=lambda c: _offset(plan, c)):
        here = constant_section(plan.placements[constant.name], plan.target)
        if _offset(plan, constant) != end or here != section:
            runs.append([])
        runs[-1].append(constant)
        end, section = _offset(plan, constant) + aligned(constant.nbytes), here
    return runs


def _copy(plan: Plan, name: str, what: str, run: list[Constant], arrays: Mapping[str, npt.NDArray[Any]]) -> Copy:
    start = _offset(plan, run[0])
    content = bytearray(_offset(plan, run[-1]) + run[-1].nbytes - start)
    for constant in run:
        values = arrays[constant.name]
        little = values.astype(values.dtype.newbyteorder("<")).tobytes()
        at = _offset(plan, constant) - start
        content[at : at + len(little)] = little
    note = f"{what}, to byte {start} of the stage: " + ", ".join(constant.name for constant in run)
    section = constant_section(plan.placements[run[0].name], plan.target)
    return Copy(name, note, start, readonly(np.frombuffer(bytes(content), np.int8), np.int8), section)


def _offset(plan: Plan, constant: Constant) -> int:
    offset = plan.placements[constant.name].offset
    assert offset is not None
    return offset
