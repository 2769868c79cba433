from dataclasses import replace
from itertools import combinations

import pytest
from support.placed import board
from support.targets import region

from ptee_mcu import boards
from ptee_mcu.emit_linker import Memory, memory, script
from ptee_mcu.firmware.layout import Spare, bare, emulated, windows
from ptee_mcu.firmware.machines import MACHINES, machine
from ptee_mcu.target import Target

M4 = machine("mps2-an386")
EMULATED = [name for name in boards.names() if boards.load(name).machine in MACHINES]


def board_script(target: Target) -> str:
    memories = [memory(r) for r in target.regions]
    return script(target.title, memories, code=target.code_region.name, ram=target.main_ram.name, stack_bytes=4096)


@pytest.mark.parametrize("spare", [Spare(), Spare(main=1 << 18, other=1024)], ids=["exact", "with room"])
@pytest.mark.parametrize("name", EMULATED)
def test_the_memories_of_a_board_lie_in_its_machine_and_share_no_byte(name: str, spare: Spare) -> None:
    target = boards.load(name)
    assert target.machine is not None
    on = machine(target.machine)
    found = windows(target, on, spare)
    assert set(found) == {r.name for r in target.regions}
    for window in found.values():
        assert any(b.base <= window.base and window.base + window.nbytes <= b.base + b.nbytes for b in on.banks)
    for one, other in combinations(found.values(), 2):
        assert one.base + one.nbytes <= other.base or other.base + other.nbytes <= one.base
    assert found[target.code_region.name].base == on.flash_base
    assert found[target.main_ram.name].base == on.ram_base


def test_a_window_is_as_large_as_the_memory_it_stands_for() -> None:
    target = board()
    assert {n: w.nbytes for n, w in windows(target, M4, Spare()).items()} == {r.name: r.nbytes for r in target.regions}
    roomy = windows(target, M4, Spare(main=4096, other=64))
    more = {r.name: 4096 if r.name in {"FLASH", "SRAM"} else 64 for r in target.regions}
    assert {name: window.nbytes - target.region(name).nbytes for name, window in roomy.items()} == more


def test_a_window_is_cut_where_the_machine_has_no_such_room() -> None:
    whole = board()
    huge = replace(whole, regions=(*whole.regions, region("SDRAM", "external", 0xC000_0000, 1 << 25)))
    sizes = {name: window.nbytes for name, window in windows(huge, M4, Spare()).items()}
    assert sizes["QSPI"] == 2 << 20
    assert sizes["SDRAM"] == 14 << 20


def test_only_the_numbers_of_the_memories_change_in_a_script() -> None:
    target = board()
    before = board_script(target)
    after = emulated(target, M4, before, Spare()).script
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert changed == [
        (
            "    SRAM2 (rwx) : ORIGIN = 0x28000000, LENGTH = 128K",
            "    SRAM2 (rwx) : ORIGIN = 0x20040000, LENGTH = 128K",
        ),
        ("    DTCM (rwx) : ORIGIN = 0x30000000, LENGTH = 128K", "    DTCM (rwx) : ORIGIN = 0x20060000, LENGTH = 128K"),
        ("    QSPI (rx) : ORIGIN = 0x90000000, LENGTH = 2048K", "    QSPI (rx) : ORIGIN = 0x21000000, LENGTH = 2048K"),
    ]


def test_every_memory_that_is_written_is_poisoned() -> None:
    target = board()
    found = windows(target, M4, Spare())
    assert set(emulated(target, M4, board_script(target), Spare()).writable) == {
        found[n] for n in ("SRAM", "SRAM2", "DTCM")
    }
    assert [(bank.base, bank.nbytes) for bank in bare(M4).writable] == [(M4.ram_base, M4.ram_bytes)]


def test_the_letters_and_sizes_of_a_memory_are_the_linker_s() -> None:
    odd = Memory("ODD", 0, 1000, writable=False, executable=False)
    assert (odd.attributes, odd.length) == ("r", "1000")
    assert (Memory("RAM", 0, 4096, writable=True).attributes, Memory("RAM", 0, 4096, writable=True).length) == (
        "rwx",
        "4K",
    )
