from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.programs import cache, cached_board, program, traced

from ptee_mcu.cycles.caches import Geometry, geometry, in_front_of, miss_cycles
from ptee_mcu.errors import ConfigError
from ptee_mcu.target import Cache, Target


def misses(folder: Path, body: str, board: Target, *, rest: str = "", warm: bool = False) -> tuple[int, int]:
    """Lines that loads and fetches from flash missed."""
    cells = traced(program(folder, body, rest=rest), board, warm=warm).cells
    return int(cells[:, -2].sum()), int(cells[:, -1].sum())


def flash_loads(folder: Path, body: str, board: Target, rest: str) -> int:
    """Lines that loads from flash missed; what lies in SRAM has lines of its own."""
    found = traced(program(folder, body, rest=rest), board)
    flash = [i for i, window in enumerate(found.windows) if window.region == "FLASH"]
    return int(found.cells[np.isin(found.cells[:, 2], flash), -2].sum())


def stream(nbytes: int, passes: int, step: int = 4, load: str = "ldr") -> str:
    """Reads `nbytes` of the label table, `passes` times."""
    return f"""
    movs r3, #{passes}
begin:
    ldr r0, =table
    add r1, r0, #{nbytes}
1:  {load} r2, [r0], #{step}
    cmp r0, r1
    bne 1b
    subs r3, #1
    bne begin
finish:
    bx lr
"""


TABLE = """
    .section .rodata.table, "a", %progbits
    .balign 64
table: .space 1024, 1
"""
SMALL = cache("D", 256, 8, 32)  # fully associative


@pytest.mark.parametrize(
    ("nbytes", "passes", "lines"),
    [
        # Of each pass, one line is that of the literal.
        (512, 1, 64 + 1),
        (512, 3, 3 * (64 + 1)),  # twice as large as the cache: every line has left before it comes again
        (248, 3, 31 + 1),  # fits
        (256, 2, 2 * (32 + 1)),  # one line too many, and so none of them is left when it comes again
    ],
)
def test_a_stream_misses_each_line_once_unless_it_is_still_there(
    tmp_path: Path, nbytes: int, passes: int, lines: int
) -> None:
    assert misses(tmp_path, stream(nbytes, passes), cached_board(data=SMALL), rest=TABLE)[0] == lines


def test_bytes_of_a_line_come_with_its_first(tmp_path: Path) -> None:
    found = misses(tmp_path, stream(512, 1, 1, "ldrb"), cached_board(data=SMALL), rest=TABLE)
    assert found[0] == 64 + 1


def test_a_load_across_two_lines_touches_both(tmp_path: Path) -> None:
    body = """
    ldr r0, =table + 6
begin:
    ldr r1, [r0]
    ldr r1, [r0, #4]
    ldrh r1, [r0, #1]
finish:
    bx lr
"""
    assert misses(tmp_path, body, cached_board(data=SMALL), rest=TABLE)[0] == 2
    # Past no cache there is the line read last: 0 and 8, still 8, 0 and 8 again with the halfword at 7.
    assert misses(tmp_path, body, cached_board(line_bytes=8), rest=TABLE)[0] == 4


def test_without_a_cache_every_load_that_leaves_the_line_waits(tmp_path: Path) -> None:
    body = """
    ldr r0, =table
begin:
    ldr r1, [r0]
    ldr r1, [r0, #12]
    ldr r1, [r0, #16]
    ldr r1, [r0, #28]
    ldr r1, [r0]
finish:
    bx lr
"""
    assert misses(tmp_path, body, cached_board(line_bytes=16), rest=TABLE)[0] == 3
    assert misses(tmp_path, body, cached_board(line_bytes=4), rest=TABLE)[0] == 5


def loop(instructions: int, rounds: int) -> str:
    """A loop of nops, subs and a long bne."""
    return f"""
    movs r3, #{rounds}
    b begin
    .balign 64
begin:
    .rept {instructions}
    nop
    .endr
    subs r3, #1
    bne.w begin
finish:
    bx lr
"""


def test_a_loop_larger_than_the_cache_is_fetched_anew_every_round(tmp_path: Path) -> None:
    board = cached_board(instructions=cache("I", 1024, 8, 128))
    lines = -(-(2 * 600 + 6) // 8)
    assert misses(tmp_path, loop(600, 10), board)[1] == 10 * lines


def test_a_loop_smaller_than_the_cache_is_fetched_once(tmp_path: Path) -> None:
    board = cached_board(instructions=cache("I", 1024, 8, 128))
    assert misses(tmp_path, loop(400, 10), board)[1] == -(-(2 * 400 + 6) // 8)


def test_a_pass_begins_with_empty_caches_unless_they_are_kept(tmp_path: Path) -> None:
    body = """
    push {r4, lr}
    movs r4, #3
1:  bl begin
    bl finish
    subs r4, #1
    bne 1b
    pop {r4, pc}
    .balign 64
begin:
    nop
    bx lr
    .balign 64
finish:
    bx lr
"""
    board = cached_board(instructions=cache("I", 1024, 8, 128))
    # The line of begin, and that of the instruction that calls finish.
    assert misses(tmp_path, body, board)[1] == 3 * 2
    assert misses(tmp_path, body, board, warm=True)[1] == 2


def test_one_cache_may_serve_loads_and_fetches(tmp_path: Path) -> None:
    # A direct-mapped cache of two sets: table begins in the set of the loop's only line, and turns it out each round.
    body = """
    ldr r0, =table
    movs r3, #5
    b begin
    .balign 64
begin:
    ldr r1, [r0]
    subs r3, #1
    bne begin
finish:
    bx lr
"""
    both = cache("C", 64, 32, 1)
    assert misses(tmp_path, body, cached_board(data=both, instructions=both, line_bytes=32), rest=TABLE) == (5, 5)
    apart = cached_board(data=both, instructions=cache("I", 64, 32, 1), line_bytes=32)
    assert misses(tmp_path, body, apart, rest=TABLE) == (1, 1)


def replay(addresses: list[int], shape: Geometry) -> int:
    """Misses of byte loads, from the definition of a set-associative cache that replaces the least recently used."""
    sets: list[list[int]] = [[] for _ in range(shape.sets)]
    count = 0
    for address in addresses:
        line = address // shape.line_bytes
        ways = sets[line % shape.sets]
        count += line not in ways
        ways[:] = ([known for known in ways if known != line] + [line])[-shape.ways :]
    return count


@pytest.mark.parametrize(
    "shape", [Geometry(4, 2, 16), Geometry(1, 5, 8), Geometry(16, 1, 4), Geometry(8, 4, 32)], ids=str
)
def test_loads_in_any_order_miss_what_the_definition_of_the_cache_says(tmp_path: Path, shape: Geometry) -> None:
    offsets = np.random.default_rng(5).integers(0, 1024, 400)
    offsets[100:200] //= 8  # some that come again soon
    body = """
    ldr r0, =table
    ldr r1, =offsets
    ldr r2, =offsets_end
begin:
    ldrh r3, [r1], #2
    ldrb r3, [r0, r3]
    cmp r1, r2
    bne begin
finish:
    bx lr
"""
    order = "\n".join(f"    .hword {offset}" for offset in offsets)
    rest = f'{TABLE}    .section .data.offsets, "aw", %progbits\noffsets:\n{order}\noffsets_end:\n'
    board = cached_board(
        data=cache("D", shape.sets * shape.ways * shape.line_bytes, shape.line_bytes, shape.ways), line_bytes=4
    )
    assert flash_loads(tmp_path, body, board, rest) == replay(offsets.tolist(), shape)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((250, 8, 32), "250 B are not sets of 32 lines of 8 B"),
        ((256, 8, 33), "256 B are not sets of 33 lines of 8 B"),
        ((96, 12, 8), "lines of 12 B, which is no power of two"),
        ((96, 8, 4), "3 sets, which is no power of two"),
    ],
)
def test_a_cache_whose_numbers_do_not_fit_is_refused(shape: tuple[int, int, int], said: str) -> None:
    with pytest.raises(ConfigError, match=f"cache ART.* {said}"):
        geometry(Cache("ART", *shape, "invented"))


def test_a_memory_with_odd_lines_is_refused() -> None:
    board = cached_board(line_bytes=12)
    with pytest.raises(ConfigError, match="region FLASH has lines of 12 B, which is no power of two"):
        in_front_of(board, board.regions[0])


def test_a_line_longer_than_the_memorys_waits_for_each_read() -> None:
    flash = replace(cached_board(line_bytes=16).regions[0], wait_cycles=5.0)
    assert miss_cycles(flash, 16) == 5
    assert miss_cycles(flash, 8) == 5
    assert miss_cycles(flash, 32) == 10
