"""Small programs in assembly with counts that a reader can check by hand, and boards to price them on."""

from dataclasses import replace
from pathlib import Path

from support.targets import region, tiny_board
from support.tools import require

from ptee_mcu.firmware import build
from ptee_mcu.firmware.build import CSources
from ptee_mcu.firmware.machines import Machine, machine
from ptee_mcu.firmware.trace import trace
from ptee_mcu.firmware.trace_file import Trace
from ptee_mcu.target import Cache, Target

M4 = machine("mps2-an386")

_HEAD = """
    .syntax unified
    .thumb
    .section .text.work, "ax", %progbits
    .balign 64
    .global work
    .thumb_func
    .type work, %function
work:
"""
_TAIL = """
    .ltorg
    .size work, . - work
"""
_CALLS = """
    push {r4, lr}
    movs r4, #3
begin:
    bl helper
head:
    subs r4, #1
    bne begin
finish:
    pop {r4, pc}
    .size work, . - work
    .type helper, %function
helper:
<helper>
    .type unused, %function
unused:
"""
_MAIN = "void work(void);\nint main(void);\nint main(void) { work(); return 0; }\n"


def calling(helper: str = "    nop\n    bx lr\n    .size helper, . - helper") -> str:
    """Three rounds from begin to finish, with head behind the call; `helper` is the body of what they call."""
    return _CALLS.replace("<helper>", helper)


def program(folder: Path, body: str, *, on: Machine = M4, rest: str = "") -> Path:
    """A program whose main calls `work`, which is `body`; `rest`: other sections."""
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc")
    (folder / "main.c").write_text(_MAIN)
    (folder / "work.S").write_text(f"{_HEAD}{body}{_TAIL}{rest}")
    return build.compile_arm(CSources(own=(folder / "main.c", folder / "work.S")), folder / "work.elf", machine=on)


def traced(elf: Path, target: Target, *, on: Machine = M4, warm: bool = False) -> Trace:
    """What lies between the labels begin and finish of `elf`."""
    return trace(elf, on, target, between=("begin", "finish"), warm=warm, timeout_s=60)


def cached_board(
    *,
    data: Cache | None = None,
    instructions: Cache | None = None,
    line_bytes: int = 8,
    wait: float = 5.0,
) -> Target:
    """A Cortex-M4 whose flash waits, behind one cache for loads and one for fetches; both may be the same."""
    flash = replace(
        region("FLASH", "flash", 0, 1 << 22, wait_cycles=wait, line_bytes=line_bytes),
        data_cache=data.name if data else None,
        instruction_cache=instructions.name if instructions else None,
    )
    board = tiny_board()
    caches = tuple(dict.fromkeys(cache for cache in (data, instructions) if cache))
    return replace(board, regions=(flash, *board.regions[1:]), caches=caches)


def cache(name: str, nbytes: int, line_bytes: int, ways: int) -> Cache:
    """An invented cache."""
    return Cache(name, nbytes, line_bytes, ways, "invented")
