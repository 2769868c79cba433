from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.programs import cache, cached_board, calling, program, traced
from support.targets import tiny_board

from ptee_mcu.cycles.cores import CORES, Core, core_of
from ptee_mcu.cycles.price import Priced, price
from ptee_mcu.errors import ConfigError
from ptee_mcu.firmware.trace_file import Trace

LOOP = """
    push {r4-r7, lr}
    ldr r0, =numbers
    movs r1, #10
begin:
    ldr r2, [r0]
    ldm r0, {r4-r6}
    ldr r3, [r0, #4]
    udiv r2, r2, r3
    mla r2, r2, r3, r4
    str r2, [r0, #8]
    subs r1, #1
    bne begin
finish:
    pop {r4-r7, pc}
"""
NARROW = """
    push {r4-r7, lr}
    ldr r7, =numbers
    movs r1, #10
begin:
    mov r0, r7
    ldr r2, [r0]
    str r2, [r0, #4]
    muls r2, r2, r2
    ldm r0!, {r4-r6}
    subs r1, #1
    bne begin
finish:
    pop {r4-r7, pc}
"""
DUAL = """
    push {r4-r7, lr}
    ldr r0, =numbers
begin:
    ldrd r2, r3, [r0]
    strd r2, r3, [r0, #8]
    ldr r4, [r0]
    ldr r5, [r0]
    ldr r6, [r4, #-7]
    adds r6, #1
    b finish
    nop
finish:
    pop {r4-r7, pc}
"""
NUMBERS = """
    .section .data.numbers, "aw", %progbits
    .balign 16
numbers: .word 7, 7, 0, 0
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def loop(folder: Path, cache_folder: Path) -> Trace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PTEE_CACHE", str(cache_folder))
        return traced(program(folder, LOOP, rest=NUMBERS), tiny_board())


def priced(folder: Path, body: str, core: str = "cortex-m4") -> Priced:
    return price(traced(program(folder, body, rest=NUMBERS), tiny_board()), core_of(core), tiny_board())


# Ten rounds of eight instructions; nine times the branch is taken.
@pytest.mark.parametrize(
    ("core", "cycles"),
    [
        # ldr 2, ldm 1 + 3, ldr 2, udiv 6, mla 1, str 1, subs 1, bne 1; refill 2
        ("cortex-m4", 10 * 18 + 9 * 2),
        ("cortex-m3", 10 * 19 + 9 * 2),  # mla 2
        ("cortex-m7", 0.61 * (10 * 18 + 9 * 2)),
        # ldm 3, udiv 6, and one more where udiv needs what ldr brought
        ("cortex-m33", 10 * (8 + 2 + 5 + 1) + 9 * 2),
        ("cortex-m55", 10 * 8),
    ],
)
def test_a_loop_costs_what_its_instructions_are_documented_to_take(loop: Trace, core: str, cycles: float) -> None:
    found = price(loop, core_of(core), tiny_board())
    assert found.by_interval.instructions.tolist() == [80]
    assert found.by_interval.compute.tolist() == pytest.approx([cycles])
    assert found.cycles == pytest.approx(cycles)  # no memory waits
    assert found.by_function.cycles.sum() == pytest.approx(cycles)


@pytest.mark.parametrize(("core", "refill"), [("cortex-m0plus", 1), ("cortex-m0", 2)])
def test_small_cores_wait_for_every_load_and_store(tmp_path: Path, core: str, refill: int) -> None:
    found = priced(tmp_path, NARROW, core)
    # mov 1, ldr 2, str 2, muls 1, ldm 1 + 3, subs 1, bne 1
    assert found.cycles == 10 * 12 + 9 * refill


def test_loads_that_follow_each_other_overlap_and_dual_transfers_do_not(tmp_path: Path) -> None:
    # ldrd 3, strd 2, ldr 2, ldr 1, ldr 1, adds 1, b 1 + 2
    assert priced(tmp_path, DUAL).cycles == 13
    # ldrd and strd one more each; strd needs what ldrd loaded last, adds what ldr did; the branch waits 2
    assert priced(tmp_path, DUAL, "cortex-m33").cycles == 7 + 2 + 2 + 2


def test_bytes_are_counted_where_they_are_read_and_written(loop: Trace) -> None:
    found = price(loop, core_of("cortex-m4"), tiny_board())
    sram = found.columns(region="SRAM")
    assert found.by_interval.read[:, sram].sum() == 10 * (4 + 12 + 4)
    assert found.by_interval.written[:, sram].sum() == 10 * 4
    assert found.by_interval.read.sum() == 10 * 20
    assert found.by_function.written.sum() == 10 * 4


def test_cycles_are_given_to_the_function_that_spends_them(tmp_path: Path) -> None:
    found = priced(tmp_path, calling())
    cycles = dict(zip(found.functions, found.by_function.cycles.tolist(), strict=True))
    # bl, subs and bne with two refills of three; nop and bx
    assert cycles["work"] == 3 * (1 + 2) + 3 * 2 + 2 * 2
    assert cycles["helper"] == 3 * (2 + 2)
    assert found.cycles == cycles["work"] + cycles["helper"]


def test_a_missed_line_costs_the_wait_of_every_read_that_brings_it(tmp_path: Path) -> None:
    wide = cache("I", 1024, 32, 4)
    elf = program(tmp_path, ".balign 64\nbegin:\n" + 64 * "    nop\n" + "finish:\n    bx lr\n")
    board = cached_board(instructions=wide, line_bytes=8, wait=3.0)
    found = price(traced(elf, board), core_of("cortex-m4"), board)
    assert found.by_interval.code.sum() == 128 // 32 * (32 // 8) * 3
    assert found.by_interval.compute.tolist() == [64]
    assert found.by_interval.data.sum() == 0


def test_other_waits_need_no_new_trace_and_other_lines_do(loop: Trace) -> None:
    slow = tiny_board(wait=7.0)
    assert price(loop, core_of("cortex-m4"), slow).by_interval.code.sum() > 0
    with pytest.raises(ConfigError, match="region FLASH of tiny_board is not as in tiny_board, which the trace"):
        price(loop, core_of("cortex-m4"), cached_board(line_bytes=16))
    with pytest.raises(ConfigError, match="region FLASH of tiny_board is not as in tiny_board"):
        price(loop, core_of("cortex-m4"), replace(slow, regions=slow.regions[1:]))


def test_two_runs_give_the_same_trace(tmp_path: Path) -> None:
    board = cached_board(data=cache("D", 256, 8, 32), instructions=cache("I", 1024, 8, 128))
    elf = program(tmp_path, LOOP, rest=NUMBERS)
    first, second = traced(elf, board), traced(elf, board)
    for name in ("kinds", "ran", "cells"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.blocks == second.blocks


@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_every_core_says_how_far_to_trust_it(core: Core) -> None:
    assert core.source
    assert core.checked
    assert core.error is None or core.error[0] < 0 < core.error[1]


def test_kernels_of_a_vector_core_are_scaled_by_the_beginning_of_their_name() -> None:
    core = core_of("cortex-m55")
    assert core.scale_of("arm_depthwise_conv_s8") == 1.3
    assert core.scale_of("arm_nn_mat_mult_nt_t_s8") == 1.0
    assert core.scale_of("") == 1.0


def test_an_unknown_core_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no timings are known for 'cortex-a53'\n  hint: known cores: cortex-m4"):
        core_of("cortex-a53")
