"""The residual add as compiled for Cortex-M: equal to its documented arithmetic, and how many instructions it takes."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from runtime.descriptors import Add
from runtime.native import CORTEX_M4, RUNTIME, WARNINGS, compile_each, run, tool
from runtime.test_add import A, B, documented, random_add

from ptee_mcu.firmware.layout import bare
from ptee_mcu.firmware.machines import machine

FIRMWARE = Path(__file__).parents[2] / "ptee_mcu" / "firmware"
CASES = 24
NS_PER_INSTRUCTION = 32  # of emulated time, -icount shift=5
SYSTICK_HZ = 25_000_000


@dataclass(frozen=True)
class Core:
    machine: str
    flags: list[str]
    most_instructions: int  # per element, the loop included


CORES = {
    "Cortex-M3": Core("mps2-an385", ["-mcpu=cortex-m3", "-mthumb"], 48),
    "Cortex-M4": Core("mps2-an386", CORTEX_M4, 38),
}


def initializer(op: Add) -> str:
    """The descriptor in C."""
    fields = ", ".join(f".{name} = {getattr(op, name)}" for name, _ in op._fields_)
    return f"{{{fields}}},\n"


@pytest.mark.parametrize("level", ["-Os", "-O2", "-O3"])
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_add_on_cortex_m_equals_its_arithmetic_within_its_instruction_budget(
    core: Core, level: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    gcc, qemu = tool("arm-none-eabi-gcc"), tool("qemu-system-arm")
    rng = np.random.default_rng(7)
    cases = [random_add(rng) for _ in range(CASES)]
    (tmp_path / "cases.h").write_text("".join(map(initializer, cases)))
    compiler = [gcc, *core.flags, level, f"-I{RUNTIME}", f"-I{FIRMWARE}", f"-I{tmp_path}"]
    under_test = [Path(__file__).with_name("add_on_cortex_m.c"), RUNTIME / "ptee_add.c"]
    objects = [
        *compile_each([*compiler, *WARNINGS], under_test, tmp_path),
        *compile_each(compiler, [FIRMWARE / "startup.c", FIRMWARE / "semihost.c"], tmp_path),
    ]
    elf = tmp_path / "add.elf"
    (tmp_path / "layout.ld").write_text(bare(machine(core.machine)).script)
    linking = ["-nostartfiles", "--specs=nosys.specs", f"-T{tmp_path / 'layout.ld'}", "-Wl,-e,ptee_reset"]
    run([gcc, *core.flags, *objects, "-o", elf, *linking])
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none"]
    semihosting = ["-chardev", "stdio,id=sh", "-semihosting-config", "enable=on,target=native,chardev=sh"]
    done = subprocess.run(
        [qemu, "-M", core.machine, "-kernel", str(elf), *quiet, *semihosting, "-icount", "shift=5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    written = (tmp_path / "sums.bin").read_bytes()
    sums = np.frombuffer(written[:-4], np.int8).reshape(CASES, A.size)
    for op, row in zip(cases, sums, strict=True):
        np.testing.assert_array_equal(row, documented(op, A, B))

    ticks = int.from_bytes(written[-4:], "little")
    per_element = ticks * 1e9 / (SYSTICK_HZ * NS_PER_INSTRUCTION) / A.size
    record_property("instructions per element", per_element)
    assert per_element <= core.most_instructions
