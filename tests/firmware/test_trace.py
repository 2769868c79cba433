from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.programs import M4, calling, program
from support.targets import region, tiny_board
from support.tools import require

from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import price
from ptee_mcu.errors import ConfigError, DataError, FirmwareError
from ptee_mcu.firmware import execution, harness, plugin, run
from ptee_mcu.firmware.count import CALL, OP
from ptee_mcu.firmware.elf import Elf, ElfSymbol, Section, read_elf
from ptee_mcu.firmware.harness import Firmware
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Calls, Options, TraceForm
from ptee_mcu.firmware.trace import address_of, harness_tracer, trace
from ptee_mcu.firmware.trace_file import PASS, UNSTOPPED, Block, Function, Trace, read_trace
from ptee_mcu.firmware.windows import Window, flattened, labelled, windows_of
from ptee_mcu.tensor import Int8

NOTHING = Elf(Path("nothing"), (), ())
CODES: Int8 = np.random.default_rng(7).integers(-128, 128, (5, 8)).astype(np.int8)
LOOP = calling("""    nop
    .type inner, %function
inner:
    bx lr
    .size helper, 2
    .size inner, 2""")


def between(elf: Path, first: str, last: str, times: int | None = None) -> Trace:
    return trace(elf, M4, tiny_board(), between=(first, last), times=times, timeout_s=60)


def per_function(found: Trace) -> dict[str, int]:
    priced = price(found, core_of("cortex-m4"), found.target)
    return {name: int(n) for name, n in zip(found.functions, priced.by_function.instructions, strict=True) if n}


def test_a_pass_ends_where_the_second_mark_is_executed(tmp_path: Path) -> None:
    elf = program(tmp_path, LOOP)
    found = between(elf, "begin", "finish")
    assert found.kinds.tolist() == [PASS]
    assert found.instructions.tolist() == [3 * 5]
    assert between(elf, "begin", "head").instructions.tolist() == [3, 3, 3]
    assert between(elf, "head", "begin").instructions.tolist() == [2, 2]


def test_one_mark_for_both_ends_makes_a_pass_of_every_round(tmp_path: Path) -> None:
    elf = program(tmp_path, LOOP)
    assert between(elf, "helper", "helper", times=2).instructions.tolist() == [5, 5]


def test_marks_may_be_addresses_inside_a_block(tmp_path: Path) -> None:
    elf = program(tmp_path, LOOP)
    first = address_of(read_elf(elf), "work") + 2
    found = between(elf, hex(first), "finish")
    assert found.instructions.tolist() == [1 + 3 * 5]


def test_a_function_that_is_run_into_is_counted_as_itself(tmp_path: Path) -> None:
    found = between(program(tmp_path, LOOP), "begin", "finish")
    assert per_function(found) == {"work": 9, "helper": 3, "inner": 3}


def test_a_run_may_be_ended_after_some_passes(tmp_path: Path) -> None:
    endless = "begin:\n    nop\nfinish:\n    b begin\n"
    found = between(program(tmp_path, endless), "begin", "finish", times=4)
    assert found.instructions.tolist() == [1, 1, 1, 1]


def test_a_whole_run_is_one_interval(tmp_path: Path) -> None:
    found = trace(program(tmp_path, LOOP), M4, tiny_board(), timeout_s=60)
    assert found.kinds.tolist() == [UNSTOPPED]
    assert per_function(found)["helper"] == 3
    assert per_function(found)["main"] > 0


def test_blocks_before_the_end_of_a_page_have_their_own_bytes(tmp_path: Path) -> None:
    # QEMU peeks at the last halfword of a page, and its plugin interface counts that halfword twice.
    body = (
        f"    b.w begin\n    .balign 4096\n    .space {4096 - 8}, 0\nbegin:\n"
        + 8 * "    nop\n"
        + "finish:\n    bx lr\n"
    )
    found = between(program(tmp_path, body), "begin", "finish")
    assert sum(len(found.blocks[block].code) for block in found.ran[:, 1]) == 16
    assert found.ran[:, 3].sum() == 0


def test_the_second_mark_must_be_reached(tmp_path: Path) -> None:
    elf = program(tmp_path, LOOP)
    with pytest.raises(FirmwareError, match="came to finish and ended before begin"):
        between(elf, "finish", "begin")
    with pytest.raises(FirmwareError, match="never came to where the trace begins"):
        between(elf, "unused", "begin")


def test_a_program_that_fails_is_not_priced(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    elf = program(tmp_path, LOOP.replace("pop {r4, pc}", "movs r0, #4\n    bl fail\n    pop {r4, pc}"), rest=FAIL)
    with pytest.raises(FirmwareError, match=r"work\.elf on mps2-an386 ended with code 4"):
        between(elf, "begin", "finish")


def test_a_program_may_end_with_any_code_where_that_is_said(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    elf = program(tmp_path, LOOP.replace("pop {r4, pc}", "movs r0, #4\n    bl fail\n    pop {r4, pc}"), rest=FAIL)
    found = trace(elf, M4, tiny_board(), between=("begin", "finish"), any_exit_code=True)
    assert found.instructions.sum() > 0


FAIL = """
    .section .text.fail, "ax", %progbits
    .thumb_func
    .global fail
    .type fail, %function
fail:
    b semihost_exit
    .size fail, . - fail
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("begni", r"work.elf has no symbol 'begni'\n  hint: did you mean begin\?"),
        ("0xZZ", "'0xZZ' is no address"),
        ("twice", "work.elf has 2 places called 'twice': 0x"),
    ],
)
def test_a_mark_that_is_no_single_place_is_refused(tmp_path: Path, name: str, said: str) -> None:
    elf = read_elf(program(tmp_path, LOOP))
    twice = (ElfSymbol("twice", at, 0, function=False, absolute=False) for at in (16, 32))
    with pytest.raises(FirmwareError, match=said):
        address_of(replace(elf, symbols=(*elf.symbols, *twice)), name)


@pytest.fixture(scope="session")
def network(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    return harness.build_firmware(project, "tiny", tmp_path_factory.mktemp("elf") / "tiny.elf", machine=M4)


@pytest.mark.parametrize("calls", Calls)
def test_a_network_is_traced_instruction_for_instruction_as_it_is_counted(network: Firmware, calls: Calls) -> None:
    options = Options(calls=calls, trace=TraceForm.HEADS)
    counted = execution.collect(run.run_qemu(network, CODES, options, counted=True, workers=1)).instructions
    assert counted is not None
    traced = run.trace_qemu(network, CODES, harness_tracer(network.path, tiny_board()), options)
    per_interval = traced.trace.instructions
    segments = np.zeros_like(counted.segments)
    np.add.at(segments, (traced.intervals.input, traced.intervals.segment), per_interval)
    np.testing.assert_array_equal(segments, counted.segments)
    for op, expected in counted.ops.items():
        np.testing.assert_array_equal(per_interval[traced.intervals.op == op], expected)
    assert per_function(traced.trace) == dict(counted.functions)
    assert set(traced.trace.kinds.tolist()) == {OP, CALL}


def test_a_network_answers_the_same_while_it_is_traced(network: Firmware) -> None:
    plain = execution.collect(run.run_qemu(network, CODES, workers=1))
    traced = run.trace_qemu(network, CODES, harness_tracer(network.path, tiny_board())).execution
    np.testing.assert_array_equal(traced.logits, plain.logits)
    np.testing.assert_array_equal(traced.exits, plain.exits)


def test_inputs_of_another_type_are_refused(network: Firmware) -> None:
    with pytest.raises(DataError, match="inputs are float32"):
        run.trace_qemu(network, CODES.astype(np.float32), harness_tracer(network.path, tiny_board()))  # type: ignore[arg-type]


def test_bytes_of_objects_are_counted_apart(network: Firmware) -> None:
    elf, board = read_elf(network.path), tiny_board()
    weights = [symbol.name for symbol in elf.symbols if "weights" in symbol.name and symbol.nbytes]
    windows = labelled(elf, windows_of(elf, board), dict.fromkeys(weights, "weights"))
    traced = run.trace_qemu(network, CODES[:1], harness_tracer(network.path, board, windows), Options({0: 128}))
    priced = price(traced.trace, core_of("cortex-m4"), board)
    read = priced.by_interval.read[:, priced.columns(label="weights")].sum()
    layers = 2 * 64 + 2 * 24 + 8  # three of eight inputs and eight, three or one outputs share the table
    assert read >= layers
    assert read < priced.by_interval.read.sum()


def test_a_firmware_without_marks_cannot_be_traced_by_calls(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match="holds no marks to trace between"):
        harness_tracer(program(tmp_path, LOOP), tiny_board())


def written(*words: int, magic: bytes = b"PTEETRC1") -> bytes:
    return magic + b"".join(word.to_bytes(8, "little") for word in words)


# One interval, PASS: block 0 ran 3 times, left 2 times by a branch, read 4 B of window 1, and wrote nothing, missed one
# line; at the end the interval and the block are counted, and the block's two bytes at 8 are bx lr.
INTERVAL = (2, 1, 1, 0, 3, 2, 0, 1, 4, 0, 1, 0)
TAIL = (2**64 - 1, 1, 1, 8, 2, 0x4770)


def test_a_trace_file_says_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "traced").write_bytes(written(*INTERVAL, *TAIL))
    found = read_trace(tmp_path / "traced", tiny_board(), (), (Function("back", 6, 10),))
    assert found.kinds.tolist() == [PASS]
    assert found.ran.tolist() == [[0, 0, 3, 2]]
    assert found.cells.tolist() == [[0, 0, 1, 4, 0, 1, 0]]
    assert found.blocks == (Block(8, b"\x70\x47", 0),)
    assert found.functions == ("back", "")


def test_a_trace_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "traced"
    whole = written(*INTERVAL, *TAIL)
    for part in (None, b"", whole[:-8], whole[:40], whole + bytes(8)):
        if part is not None:
            path.write_bytes(part)
        with pytest.raises(FirmwareError, match="left no whole trace"):
            read_trace(path, tiny_board(), (), ())
    for other in (written(*INTERVAL, *TAIL, magic=b"PTEECNT1"), written(*TAIL)):
        path.write_bytes(other)
        with pytest.raises(FirmwareError, match=r"traced is no trace of [01] intervals"):
            read_trace(path, tiny_board(), (), ())


VECTORS = """
    push {r4, lr}
    ldr r0, =table
    movs r1, #20
begin:
    vldrw.u32 q0, [r0]
    vldrb.s16 q1, [r0]
    vstrw.32 q0, [r0]
    dlstp.8 lr, r1
1:  vldrb.u8 q2, [r0], #16
    letp lr, 1b
finish:
    pop {r4, pc}
"""
TABLE = """
    .section .data.table, "aw", %progbits
    .balign 16
table: .space 64, 1
"""


def test_vector_loads_count_the_bytes_they_bring(tmp_path: Path) -> None:
    on = machine("mps3-an547")
    elf = program(tmp_path, VECTORS, on=on, rest=TABLE)
    found = trace(elf, on, tiny_board(), between=("begin", "finish"), timeout_s=60)
    # Sixteen, eight, and twenty in a loop whose second round is cut short by predication.
    assert found.cells[:, 3].sum() == 16 + 8 + 20
    assert found.cells[:, 4].sum() == 16
    assert found.instructions.tolist() == [4 + 2 * 2]


def test_a_newer_plugin_interface_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in = tmp_path / "qemu-system-arm"
    stand_in.write_text("#!/bin/sh\necho QEMU emulator version 10.0.1\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(
        FirmwareError, match=r"the tracing plugin is written for QEMU's plugin interface 1 .* version 10"
    ):
        plugin.library("tracing", ("trace_plugin.c",))


# Windows


def test_the_first_of_two_windows_holds_where_they_overlap() -> None:
    windows = [Window("B", 4, 8), Window("A", 0, 10), Window("C", 9, 12), Window("A", 12, 14, "x")]
    assert flattened(windows) == (
        Window("A", 0, 4), Window("B", 4, 8), Window("A", 8, 10), Window("C", 10, 12), Window("A", 12, 14, "x"),
    )  # fmt: skip
    assert flattened([Window("A", 2, 4), Window("A", 0, 2)]) == (Window("A", 0, 4),)


@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 30), st.integers(0, 30)), max_size=8))
def test_flattened_windows_say_of_every_address_what_the_first_said(parts: list[tuple[str, int, int]]) -> None:
    windows = [Window(name, min(a, b), max(a, b)) for name, a, b in parts]
    flat = flattened(windows)
    assert all(one.end <= other.start for one, other in pairwise(flat))
    for address in range(31):
        said = next((w.region for w in windows if w.start <= address < w.end), None)
        assert next((w.region for w in flat if w.start <= address < w.end), None) == said


def label(name: str, address: int) -> ElfSymbol:
    return ElfSymbol(name, address, 0, function=False, absolute=True)


def region_at(windows: tuple[Window, ...], address: int) -> str | None:
    return next((window.region for window in windows if window.start <= address < window.end), None)


def test_addresses_stand_for_the_board_s_then_for_what_their_section_is() -> None:
    elf = replace(
        NOTHING,
        sections=(
            Section(".text", 0x1000, 0x100, writable=False, executable=True),
            Section(".data", 0x38000000, 0x100, writable=True, executable=False),
            Section(".rodata", 0x48000000, 0x100, writable=False, executable=False),
        ),
    )
    board = replace(tiny_board(), regions=(*tiny_board().regions, region("QSPI", "external", 0x90000000, 4096)))
    found = flattened(windows_of(elf, board, {".rodata": "QSPI"}))
    assert region_at(found, 0x1000) == "FLASH"
    assert region_at(found, 0x38000000) == "SRAM"
    assert region_at(found, 0x48000000) == "QSPI"
    assert region_at(found, 0x90000000) == "QSPI"
    assert region_at(found, 0x3FFFFFFF) == "SRAM"  # a stack in no section
    assert region_at(found, 0x40000000) is None  # peripherals
    own = (label("ptee_region_QSPI_start", 0x21000000), label("ptee_region_QSPI_end", 0x21000400))
    foreign = (label("ptee_region_TCM_start", 0), label("ptee_region_TCM_end", 64))
    ours = flattened(windows_of(replace(elf, symbols=(*own, *foreign)), board))
    assert region_at(ours, 0x21000000) == "QSPI"
    assert region_at(ours, 0x21000400) == "SRAM"
    assert region_at(ours, 0) == "FLASH"
    with pytest.raises(FirmwareError, match="nothing: ptee_region_QSPI_start has no ptee_region_QSPI_end above it"):
        windows_of(replace(elf, symbols=own[:1]), board)


def test_sections_and_memories_that_do_not_exist_are_refused() -> None:
    elf = replace(NOTHING, sections=(Section(".text", 0, 4, writable=False, executable=True),))
    with pytest.raises(ConfigError, match=r"nothing has no section '.rodata'\n  hint: it has: .text"):
        windows_of(elf, tiny_board(), {".rodata": "FLASH"})
    with pytest.raises(
        ConfigError, match=r"section .text: tiny_board has no memory 'QSPI'\n  hint: its memories: FLASH"
    ):
        windows_of(elf, tiny_board(), {".text": "QSPI"})
    with pytest.raises(FirmwareError, match="nothing has no object 'weights' of a known size"):
        labelled(elf, windows_of(elf, tiny_board()), {"weights": "w"})
    lost = replace(elf, symbols=(replace(label("weights", 0xF0000000), nbytes=4),))
    with pytest.raises(ConfigError, match="weights at 0xf0000000 lies in no window"):
        labelled(lost, windows_of(lost, tiny_board()), {"weights": "w"})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "some.elf is no ELF file"),
        (b"MZ" + bytes(100), "some.elf is no ELF file"),
        (b"\x7fELF\x02\x01" + bytes(12) + b"\x3e\x00" + bytes(100), "for machine 62, not for Arm"),
        (b"\x7fELF\x01\x02" + bytes(12) + b"\x28\x00" + bytes(100), "not for Arm .40. in 32-bit little endian"),
    ],
)
def test_a_file_that_is_no_program_for_arm_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "some.elf").write_bytes(raw)
    with pytest.raises(FirmwareError, match=said):
        read_elf(tmp_path / "some.elf")


def test_a_program_that_is_missing_or_cut_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match=r"gone\.elf does not exist"):
        read_elf(tmp_path / "gone.elf")
    elf = program(tmp_path, LOOP)
    elf.write_bytes(elf.read_bytes()[:-100])
    with pytest.raises(FirmwareError, match=r"work\.elf is cut off"):
        read_elf(elf)


def test_sections_and_symbols_are_those_of_the_file(tmp_path: Path) -> None:
    elf = read_elf(program(tmp_path, LOOP, rest=TABLE))
    sections = {section.name: section for section in elf.sections}
    assert sections[".text"].executable
    assert not sections[".text"].writable
    assert all(section.writable for section in elf.sections if section.address >= M4.ram_base)
    work = next(symbol for symbol in elf.symbols if symbol.name == "work")
    text = sections[".text"]
    assert work.function
    assert text.address <= work.address < text.address + text.nbytes
    assert work.address % 2 == 0
