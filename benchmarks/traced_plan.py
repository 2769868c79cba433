"""A plan as firmware of its own board, one inference through every layer in the emulator, priced for the board."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from benchmarks.networks import random_codes
from ptee_mcu.cycles.price import Priced
from ptee_mcu.emit import emit
from ptee_mcu.execute import emulated, trace_pass
from ptee_mcu.plan.expected_cost import reach_of
from ptee_mcu.plan.plan import Plan


@dataclass(frozen=True, slots=True, eq=False)
class TracedPlan:
    """What one inference costs that enters every segment; `segments` (segments,): cycles of each NAME_step."""

    priced: Priced
    segments: npt.NDArray[np.float64]
    reach: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Cycles of the average inference, under the reach of the default operating point."""
        return float(np.dot(self.segments, self.reach))


def trace_plan(plan: Plan, *, optimize: str = "-O3", seed: int = 0) -> TracedPlan:
    """Compiles `plan` as its board would run it, memories moved into the emulator's, and runs one random input.

    Every head is evaluated; caches are empty when a segment begins. `seed`: of the input.

    Raises:
        ToolMissingError: where the compiler, QEMU or CMSIS-NN is not installed.
        FirmwareError: where the firmware does not fit the emulated machine, or fails.
        ConfigError: where the board has no emulator, or its caches cannot be modelled.
    """
    with TemporaryDirectory(prefix="ptee-bench-") as scratch:
        project = Path(scratch) / "project"
        emit(plan).write(project)
        firmware = emulated(project, plan, Path(scratch) / "traced.elf", optimize=optimize)
        found = trace_pass(firmware, plan, random_codes(plan.graph, seed))
    return TracedPlan(found.priced, found.segments, reach_of(plan.graph.point))
