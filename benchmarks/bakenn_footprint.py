"""Instructions, flash, RAM and stack of one inference of a library of ptee-mcu or BakeNN."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.bakenn_resnet8 import NAME, Library
from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, count, qemu
from ptee_mcu.firmware.build import SUPPORT, CSources
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.harness import build_firmware, build_footprint
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.memory import memory_use
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.firmware.run import run_qemu
from ptee_mcu.tensor import Int8

METRICS = ("instructions", "flash", "ram")
MACHINE = machine("mps2-an386")
_HERE = Path(__file__).parent
_TIMEOUT_S = 120


@dataclass(frozen=True, slots=True)
class Footprint:
    """What one inference costs; how each number is measured is said in bakenn.py."""

    instructions: int
    flash_bytes: int
    ram_bytes: int
    stack_bytes: int

    def of(self, metric: str) -> int:
        """One of METRICS."""
        return {"instructions": self.instructions, "flash": self.flash_bytes, "ram": self.ram_bytes}[metric]

    def as_json(self) -> dict[str, int]:
        """All numbers by name."""
        return asdict(self)


def our_footprint(library: Library, level: str, work: Path) -> Footprint:
    """Of ptee-mcu's library at optimization `level`; `work` takes what is built.

    Raises:
        ToolMissingError, FirmwareError: where it cannot be built or run, or its output is not the simulator's.
    """
    counted = build_firmware(library.folder, NAME, work / "ours.elf", machine=MACHINE, traced=False, optimize=level)
    run = collect(run_qemu(counted, library.codes, Options(calls=Calls.RUN), counted=True, timeout_s=_TIMEOUT_S))
    _require_equal("ptee-mcu", run.logits[0], library.expected)
    image = build_footprint(library.folder, NAME, work / "ours-image.elf", machine=MACHINE, optimize=level)
    assert run.instructions is not None
    return _footprint(int(run.instructions.segments.sum()), image, run.stack_bytes)


def bakenn_footprint(library: Library, level: str, work: Path) -> Footprint:
    """As `our_footprint`, of BakeNN's library."""
    sources = CSources(
        own=(),
        third_party=tuple(sorted(library.folder.rglob("*.c"))),
        third_party_include_dirs=(
            library.folder,
            *(library.folder / "third_party" / part / "Include" for part in ("cmsis_nn", "cmsis_core")),
        ),
    )
    harness = (_HERE / "bakenn_counted.c", SUPPORT / "io_semihost.c", SUPPORT / "marks.S")
    counted = build.compile_arm(
        sources + CSources(harness, (SUPPORT,)), work / "bakenn.elf", machine=MACHINE, optimize=level
    )
    instructions, output, stack_bytes = _run(counted, library.codes, work)
    _require_equal("BakeNN", output, library.expected)
    image = build.compile_arm(
        sources + CSources((_HERE / "bakenn_image.c",)), work / "bakenn-image.elf", machine=MACHINE, optimize=level
    )
    return _footprint(instructions, image, stack_bytes)


def empty_flash_bytes(level: str, work: Path) -> int:
    """Flash of the image whose main does nothing: startup code and what it links."""
    sources = CSources((_HERE / "empty_image.c",))
    image = build.compile_arm(sources, work / "empty.elf", machine=MACHINE, optimize=level)
    return memory_use(image).flash_bytes


def _run(elf: Path, codes: Int8, work: Path) -> tuple[int, Int8, int]:
    """Instructions of the counted call, its output and its stack."""
    (work / "input").write_bytes(codes.tobytes())
    counter = count.counter(elf)
    done = qemu.run(
        elf,
        MACHINE,
        words=("input", "output", "stack"),
        timeout_s=_TIMEOUT_S,
        cwd=work,
        plugin=counter.plugin(work),
    )
    if done.exit_code != 0:
        raise FirmwareError(f"BakeNN's firmware failed with code {done.exit_code}:\n{done.stdout.strip()}")
    output = np.frombuffer((work / "output").read_bytes(), np.int8)
    stack_bytes = int.from_bytes((work / "stack").read_bytes(), "little")
    return counter.read(work).total, output, stack_bytes


def _footprint(instructions: int, image: Path, stack_bytes: int) -> Footprint:
    use = memory_use(image)
    return Footprint(instructions, use.flash_bytes, use.ram_bytes, stack_bytes)


def _require_equal(side: str, output: Int8, expected: Int8) -> None:
    if not np.array_equal(output, expected):
        raise FirmwareError(f"{side}: the firmware answers {output.tolist()}, its simulator {expected.tolist()}")
