from pathlib import Path

import pytest
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, qemu
from ptee_mcu.firmware.build import CSources
from ptee_mcu.firmware.machines import MACHINES, Machine, machine

ANY = machine("mps2-an386")


def firmware(folder: Path, body: str, on: Machine = ANY) -> Path:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    source = folder / "main.c"
    source.write_text(f'#include "semihost.h"\nint main(void);\n{body}\n')
    return build.compile_arm(CSources(own=(source,)), folder / "main.elf", machine=on)


@pytest.mark.parametrize("name", MACHINES)
def test_output_files_command_line_data_floats_and_exit_code_work(name: str, tmp_path: Path) -> None:
    on = machine(name)
    body = """
        static uint32_t initialised = 41, zeroed;
        static volatile float half = 0.5f;
        int main(void)
        {
            char line[64], byte = 0;
            semihost_write0("hello\\n");
            const int32_t in = semihost_open("in", SEMIHOST_READ), out = semihost_open("out", SEMIHOST_WRITE);
            if (semihost_read(in, &byte, 1) != 0 || semihost_read(in, &byte, 1) != 1) { return 1; }
            byte++;
            if (semihost_write(out, &byte, 1) != 0 || semihost_close(out) != 0) { return 2; }
            if (semihost_command_line(line, sizeof line) != 0) { return 3; }
            semihost_write0(line);
            return half * 2.0f == 1.0f ? (int)(++initialised + zeroed) : 4;
        }"""
    (tmp_path / "in").write_bytes(b"A")
    done = qemu.run(firmware(tmp_path, body, on), on, words=("one", "two"), timeout_s=30, cwd=tmp_path)
    assert done.exit_code == 42
    assert done.stdout == "hello\nmain.elf one two"
    assert (tmp_path / "out").read_bytes() == b"B"


def test_a_fault_is_an_error_that_names_the_function(tmp_path: Path) -> None:
    body = """
        __attribute__((noinline)) void broken(void);
        __attribute__((noinline)) void broken(void) { __asm__ volatile("udf #0"); }
        int main(void) { semihost_write0("so far\\n"); broken(); return 0; }"""
    with pytest.raises(
        FirmwareError, match=r"(?s)processor fault in broken; it printed last:\nso far\nfault: exception"
    ):
        qemu.run(firmware(tmp_path, body), ANY, timeout_s=30, cwd=tmp_path)


def test_a_write_outside_the_memories_is_an_error(tmp_path: Path) -> None:
    body = "int main(void) { *(volatile int *)0x90000000 = 1; return 0; }"
    with pytest.raises(FirmwareError, match=r"processor fault in main"):
        qemu.run(firmware(tmp_path, body), ANY, timeout_s=30, cwd=tmp_path)


def test_a_recursion_out_of_the_ram_is_an_error(tmp_path: Path) -> None:
    body = """
        int deeper(volatile int *above);
        int deeper(volatile int *above)
        {
            volatile int here[64] = {*above};
            return *above ? deeper(here) + here[1] : 0;
        }
        int main(void) { volatile int first = 1; return deeper(&first); }"""
    with pytest.raises(FirmwareError, match=r"processor fault"):
        qemu.run(firmware(tmp_path, body), ANY, timeout_s=30, cwd=tmp_path)


def test_a_stack_that_outgrows_its_memory_unharmed_is_an_error(tmp_path: Path) -> None:
    body = """
        int main(void)
        {
            volatile char large[8192];
            for (uint32_t i = 0; i < sizeof large; i++) { large[i] = 1; }
            return 0;
        }"""
    with pytest.raises(FirmwareError, match=r"fault: the stack grew out of its memory"):
        qemu.run(firmware(tmp_path, body), ANY, timeout_s=30, cwd=tmp_path)


def test_an_endless_loop_is_an_error_after_the_time_limit(tmp_path: Path) -> None:
    body = 'int main(void) { semihost_write0("waiting\\n"); for (;;) { __asm__ volatile(""); } }'
    with pytest.raises(FirmwareError, match=r"(?s)did not end within 1 s; it printed last:\nwaiting"):
        qemu.run(firmware(tmp_path, body), ANY, timeout_s=1, cwd=tmp_path)


def test_a_file_that_is_no_firmware_is_an_error(tmp_path: Path) -> None:
    require("qemu-system-arm")
    with pytest.raises(FirmwareError, match=r"qemu-system-arm failed on absent\.elf"):
        qemu.run(tmp_path / "absent.elf", ANY, timeout_s=30, cwd=tmp_path)


def test_a_word_with_a_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match="a word of it holds a space or a comma"):
        qemu.run(tmp_path / "any.elf", ANY, words=("a b",), timeout_s=30, cwd=tmp_path)
