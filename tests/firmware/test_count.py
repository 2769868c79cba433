from pathlib import Path

import pytest
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, count, qemu
from ptee_mcu.firmware.build import SUPPORT, CSources
from ptee_mcu.firmware.count import CALL, OP, Counts
from ptee_mcu.firmware.machines import MACHINES, Machine, machine

ANY = machine("mps2-an386")

# 1 + 2n instructions and the return.
LOOP = """
    .syntax unified
    .thumb
    .section .text.spin, "ax", %progbits
    .global spin
    .thumb_func
    .type spin, %function
spin:
    movs r2, #0
1:  adds r2, #1
    cmp r2, r1
    bne 1b
    bx lr
    .size spin, . - spin

    .section .text.twice, "ax", %progbits
    .global twice
    .thumb_func
    .type twice, %function
twice:
    push {r4, lr}
    mov r4, r1
    bl spin
    movs r0, #7
    bl ptee_trace_op
    mov r1, r4
    bl spin
    movs r0, #8
    bl ptee_trace_op
    pop {r4, pc}
    .size twice, . - twice
"""
MAIN = """
#include <stdint.h>
uint32_t ptee_counted_call(void *context, uint32_t argument, void (*function)(void));
void spin(void);
void twice(void);
int main(void);
void ptee_record_op(uint32_t index);
static volatile uint32_t wasted;
void ptee_record_op(uint32_t index)
{
    for (uint32_t i = 0; i < 1000; i++) { wasted += index; }
}
int main(void)
{
    (void)ptee_counted_call(0, 100, spin);
    for (uint32_t i = 0; i < 500; i++) { wasted += i; }
    (void)ptee_counted_call(0, 1, spin);
    (void)ptee_counted_call(0, 10, twice);
    return 0;
}
"""


def firmware(folder: Path, on: Machine = ANY) -> Path:
    require("arm-none-eabi-gcc", "arm-none-eabi-nm", "qemu-system-arm", "gcc")
    (folder / "main.c").write_text(MAIN)
    (folder / "loop.S").write_text(LOOP)
    own = (folder / "main.c", folder / "loop.S", SUPPORT / "marks.S")
    return build.compile_arm(CSources(own=own), folder / "main.elf", machine=on)


def counted(elf: Path, folder: Path, on: Machine = ANY) -> Counts:
    counter = count.counter(elf)
    assert qemu.run(elf, on, timeout_s=30, cwd=folder, plugin=counter.plugin(folder)).exit_code == 0
    return counter.read(folder)


def spin(times: int) -> int:
    return 1 + 3 * times + 1


@pytest.mark.parametrize("name", MACHINES)
def test_hand_counted_assembly_is_counted_exactly(name: str, tmp_path: Path) -> None:
    found = counted(firmware(tmp_path, machine(name)), tmp_path, machine(name))
    assert found.kinds.tolist() == [CALL, CALL, OP, OP, CALL]
    first = 3 + spin(10) + 2  # push, mov, bl; the loop; movs, bl
    second = 2 + spin(10) + 2
    assert found.instructions.tolist() == [spin(100), spin(1), first, second, 1]
    assert found.functions == {"spin": spin(100) + spin(1) + 2 * spin(10), "twice": 10}
    assert found.total == sum(found.functions.values())


def test_two_runs_count_the_same(tmp_path: Path) -> None:
    elf = firmware(tmp_path)
    first, second = counted(elf, tmp_path), counted(elf, tmp_path)
    assert first.instructions.tolist() == second.instructions.tolist()
    assert first.functions == second.functions


def test_a_firmware_without_marks_cannot_be_counted(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-nm")
    (tmp_path / "main.c").write_text("int main(void);\nint main(void) { return 0; }\n")
    elf = build.compile_arm(CSources(own=(tmp_path / "main.c",)), tmp_path / "main.elf", machine=ANY)
    with pytest.raises(FirmwareError, match="holds no marks to count between"):
        count.counter(elf)


def test_a_count_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    counter = count.counter(firmware(tmp_path))
    with pytest.raises(FirmwareError, match="left no whole count"):
        counter.read(tmp_path)
    (tmp_path / "counts").write_bytes(b"PTEECNT1" + bytes(64))
    with pytest.raises(FirmwareError, match="left no whole count"):
        counter.read(tmp_path)


def test_a_folder_that_qemu_cannot_be_told_of_is_refused(tmp_path: Path) -> None:
    counter = count.Counter(tmp_path / "plugin.so", "", ())
    with pytest.raises(FirmwareError, match="from a folder with a comma or a space in its name"):
        counter.plugin(tmp_path / "a,b")


def test_a_newer_plugin_interface_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "qemu-system-arm"
    stand_in.write_text("#!/bin/sh\necho QEMU emulator version 9.2.0\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        FirmwareError, match=r"plugin interface 1 \(QEMU 4\.2 to 8\.2\), this is QEMU emulator version 9"
    ):
        count.plugin_library()


def test_a_mark_inside_a_block_is_noticed(tmp_path: Path) -> None:
    elf = firmware(tmp_path)
    counter = count.counter(elf)
    plugin = counter.plugin(tmp_path)
    # The second instruction of twice is never the start of a block.
    lines = counter.table.splitlines()
    start = next(line for line in lines if line.startswith("function") and line.endswith(" 1c"))
    address = int(start.split()[1], 16) + 2
    (tmp_path / "symbols").write_text(counter.table + f"stop {address:x} 5\n")
    assert qemu.run(elf, ANY, timeout_s=30, cwd=tmp_path, plugin=plugin).exit_code == 0
    with pytest.raises(FirmwareError, match="misplaced 1"):
        counter.read(tmp_path)
