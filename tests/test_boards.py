import re
from itertools import combinations
from pathlib import Path

import pytest

from ptee_mcu import boards
from ptee_mcu.errors import ConfigError
from ptee_mcu.firmware.machines import MACHINES
from ptee_mcu.isa import Isa
from ptee_mcu.target import Region, Target, is_unsourced

KIB, MIB = 1024, 1024**2
GOOD = """
title = "Mine"
cpu = "cortex-m3"
isa = "scalar"
flags = ["-mcpu=cortex-m3"]
clock = "8 MHz"
clock_source = "its manual"
[[regions]]
name = "FLASH"
kind = "flash"
base = 0
size = "64 KiB"
holds = ["code", "constants"]
dma = true
line = "4 B"
wait_cycles = 2
data_cache = "BUFFER"
source = "its manual"
timing_source = "its manual"
[[regions]]
name = "SRAM"
kind = "sram"
base = 0x2000_0000
size = "8 KiB"
holds = ["constants", "data"]
dma = true
line = "4 B"
wait_cycles = 0
source = "its manual"
timing_source = "its manual"
[[caches]]
name = "BUFFER"
size = "32 B"
line = "8 B"
ways = 4
source = "its manual"
[energy]
run_ma = 2.0
supply_v = 3.0
source = "its manual"
"""
LISTED = (
    "nucleo_l4r5zi", "nucleo_f446re", "nucleo_f746zg", "nucleo_h743zi2", "nucleo_h7a3zi_q", "nucleo_u575zi_q",
    "nucleo_l476rg", "disco_f746ng", "b_l475e_iot01a", "netduino_plus_2", "nrf52840_dk", "nrf5340_dk", "pico", "pico2",
    "apollo4_plus_evb", "apollo510_evb", "alif_e7", "mps2_an385", "mps2_an386", "mps2_an500", "mps2_an505",
    "mps3_an547",
)  # fmt: skip
every_board = pytest.mark.parametrize("board", [boards.load(name) for name in boards.names()], ids=boards.names())


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return str(path)


def test_these_boards_ship() -> None:
    assert set(boards.names()) == set(LISTED)


@every_board
def test_every_board_that_ships_has_flash_and_sram(board: Target) -> None:
    assert board.nbytes("flash") > 0
    assert board.nbytes("sram") > 0


@every_board
def test_every_number_that_ships_has_a_source_of_several_words(board: Target) -> None:
    sections = len(board.caches) + bool(board.energy) + bool(board.debug)
    assert len(board.sources) == 1 + 2 * len(board.regions) + sections
    for what, source in board.sources:
        assert len(source.removeprefix("unsourced:").split()) >= 2, what


@every_board
def test_the_memories_that_ship_share_no_address(board: Target) -> None:
    assert not [(a.name, b.name) for a, b in combinations(board.regions, 2) if a.base < b.end and b.base < a.end]


@every_board
def test_the_machine_that_stands_for_a_board_has_its_core(board: Target) -> None:
    assert board.machine in MACHINES
    core = "cortex-m3" if board.cpu == "cortex-m0plus" else board.cpu
    assert MACHINES[board.machine].cpu == core
    assert board.emulated_only == (board.name.replace("_", "-") == board.machine)


@every_board
def test_a_machine_that_ships_as_a_board_has_the_memories_it_is_linked_for(board: Target) -> None:
    if board.emulated_only:
        assert board.machine is not None
        machine = MACHINES[board.machine]
        assert (board.code_region.base, board.code_region.nbytes) == (machine.flash_base, machine.flash_bytes)
        assert (board.main_ram.base, board.main_ram.nbytes) == (machine.ram_base, machine.ram_bytes)
        assert (board.flags, board.clock_hz) == (machine.flags, machine.clock_hz)


@every_board
def test_unknown_energy_is_never_zero(board: Target) -> None:
    assert board.milliwatts is None or board.milliwatts > 1


# By hand from vendors' files, not read from the boards: base, bytes, line, wait cycles, caches of data and code.
MEMORIES = {
    "nucleo_l4r5zi": {
        "FLASH": (0x08000000, 2 * MIB, 8, 5, "ART_D", "ART_I"),
        "SRAM1": (0x20000000, 192 * KIB, 4, 0, None, None),
        "SRAM2": (0x10000000, 64 * KIB, 4, 0, None, None),
        "SRAM3": (0x20040000, 384 * KIB, 4, 0, None, None),
    },
    "disco_f746ng": {
        "FLASH": (0x08000000, 1 * MIB, 32, 8, "L1_D", "L1_I"),
        "ITCM": (0x00000000, 16 * KIB, 8, 0, None, None),
        "DTCM": (0x20000000, 64 * KIB, 8, 0, None, None),
        "SRAM": (0x20010000, 256 * KIB, 32, 0, "L1_D", "L1_I"),
        "QSPI": (0x90000000, 16 * MIB, 32, (12 + 32 * 2) * 216 / 72, "L1_D", "L1_I"),
        "SDRAM": (0xC0000000, 8 * MIB, 32, 32 / 2 * 216 / 108, "L1_D", "L1_I"),
    },
    "netduino_plus_2": {
        "FLASH": (0x08000000, 1 * MIB, 16, 5, "ART_D", "ART_I"),
        "SRAM": (0x20000000, 128 * KIB, 4, 0, None, None),
        "CCM": (0x10000000, 64 * KIB, 4, 0, None, None),
    },
    "nrf5340_dk": {
        "FLASH": (0x00000000, 1 * MIB, 16, 5, "CACHE", "CACHE"),
        "RAM": (0x20000000, 512 * KIB, 4, 0, None, None),
    },
    "pico": {
        "XIP": (0x10000000, 2 * MIB, 8, 56, "XIP_CACHE", "XIP_CACHE"),
        "SRAM": (0x20000000, 256 * KIB, 4, 0, None, None),
        "SCRATCH": (0x20040000, 8 * KIB, 4, 0, None, None),
    },
}


def memory(r: Region) -> tuple[int, int, int, float, str | None, str | None]:
    return r.base, r.nbytes, r.line_bytes, r.wait_cycles, r.data_cache, r.instruction_cache


@pytest.mark.parametrize("name", MEMORIES)
def test_the_memories_are_those_of_the_vendors_files(name: str) -> None:
    assert {region.name: memory(region) for region in boards.load(name).regions} == MEMORIES[name]


def test_the_l4r5_has_the_accelerator_clock_and_current_it_was_measured_with() -> None:
    board = boards.load("nucleo_l4r5zi")
    assert {c.name: (c.nbytes, c.line_bytes, c.ways) for c in board.caches} == {
        "ART_D": (256, 8, 32),
        "ART_I": (1024, 8, 128),
    }
    assert (board.clock_hz, board.isa, board.cpu) == (120_000_000, Isa.DSP, "cortex-m4")
    assert board.milliwatts == pytest.approx(23.2 * 1.8)
    assert board.microjoules(1e6) == pytest.approx(board.milliseconds(1e6) * 23.2 * 1.8)
    assert [what for what, source in board.sources if is_unsourced(source)] == [
        "cache ART_D: size, line, ways",
        "cache ART_I: size, line, ways",
    ]


def test_ccm_holds_no_code_and_no_dma_reaches_it() -> None:
    ccm = boards.load("netduino_plus_2").region("CCM")
    assert ("code" in ccm.holds, ccm.dma) == (False, False)


def test_the_arena_goes_to_a_memory_of_the_chip_though_one_beside_it_is_larger() -> None:
    board = boards.load("disco_f746ng")
    assert (board.code_region.name, board.main_ram.name) == ("FLASH", "SRAM")


def test_power_is_unknown_where_no_figure_is_given(tmp_path: Path) -> None:
    assert boards.load(written(tmp_path, GOOD)).milliwatts == 6.0
    without = GOOD.replace("run_ma = 2.0\nsupply_v = 3.0\n", "")
    unknown = boards.load(written(tmp_path, without))
    assert (unknown.milliwatts, unknown.microjoules(1e6)) == (None, None)
    assert boards.load(written(tmp_path, GOOD[: GOOD.index("[energy]")])).milliwatts is None


def test_a_users_own_board_works_by_path(tmp_path: Path) -> None:
    board = boards.load(written(tmp_path, GOOD))
    assert (board.name, board.isa, board.machine, board.nbytes("flash")) == ("mine", Isa.SCALAR, None, 65536)
    assert (board.notes, board.emulated_only, board.main_ram.name) == ((), False, "SRAM")


TWICE = '[[caches]]\nname = "BUFFER"\nsize = "32 B"\nline = "8 B"\nways = 4\nsource = "its manual"\n[energy]'
BAD = {
    "an unknown field": ("cpu =", "cpux =", r"unknown key 'cpux'; did you mean 'cpu'\?"),
    "an unknown field of a memory": (
        "wait_cycles = 2", "wait_cycle = 2", r"'regions.0.wait_cycle'; did you mean 'wait_cycles'\?",
    ),
    "an unknown section": ("[energy]", "[zzz]", r"unknown key 'zzz'; known here: caches, clock, "),
    "a number without its source": (
        'clock_source = "its manual"\n', "", r"clock_source is missing.*adding-a-target\.md explains every field",
    ),
    "an empty source": (
        'clock_source = "its manual"', 'clock_source = " "', r"clock_source: a source is empty; say where the numbers",
    ),
    "no reason for having no source": (
        'timing_source = "its manual"', 'timing_source = "unsourced: "',
        r'regions.0.timing_source: "unsourced:" needs a reason after it',
    ),
    "a size of zero": ('"64 KiB"', '"0 B"', r"regions.0.size: the value should be greater than 0"),
    "a size without its unit": (
        '"64 KiB"', "65536", r"regions.0.size: 65536 is not a size: its unit is missing; write such as 576 B",
    ),
    "a clock without its unit": (
        '"8 MHz"', "8_000_000", r"clock: 8000000 is not a frequency: its unit is missing; write such as 120 MHz",
    ),
    "a kind that is none": ('"flash"', '"rom"', r"regions.0.kind: the value should be 'flash', 'sram', 'tcm' or"),
    "an instruction set that is none": ('"scalar"', '"neon"', r"isa: the value should be 'scalar', 'dsp' or 'mve'"),
    "no name": ('"SRAM"', '"SRAM 1"', r"regions.1.name: 'SRAM 1' is no name: a letter, then letters, digits and _"),
    "a wait that never ends": (
        "wait_cycles = 2", "wait_cycles = inf", r"regions.0.wait_cycles: the value should be a finite number",
    ),
    "no TOML": ("title =", "title", r" is not valid TOML: .*adding-a-target\.md explains every field"),
    "memories that overlap": (
        "base = 0x2000_0000", "base = 0xF800",
        r"memories FLASH \(0x00000000 to 0x0000ffff\) and SRAM \(0x0000f800 to 0x000117ff\) share 2048 B.*an alias",
    ),
    "a memory within another": (
        "base = 0x2000_0000", "base = 0x1000", r"FLASH .* and SRAM \(0x00001000 to 0x00002fff\) share 8192 B",
    ),
    "a base that cuts a line": (
        "base = 0x2000_0000", "base = 0x2000_0002",
        r"SRAM: its base 0x20000002 lies 2 B past a whole line of 4 B.*check base and line",
    ),
    "a size that cuts a line": (
        '"8 KiB"', '"8190 B"', r"SRAM: its size 0x1ffe lies 2 B past a whole line of 4 B.*check size and line",
    ),
    "a memory past the last address": (
        "base = 0x2000_0000", "base = 0xFFFF_F000", r"SRAM: 8 KiB from 0xfffff000 end past the last address 0xffffffff",
    ),
    "a base past the last address": (
        "base = 0x2000_0000", "base = 0x1_0000_0000", r"regions.1.base: the value should be less than 4294967296",
    ),
    "two memories of one name": (
        '"SRAM"', '"FLASH"', r"2 sections describe a memory FLASH; each name must be one of a kind.*rename all but one",
    ),
    "two caches of one name": (
        "[energy]", TWICE, r"2 sections describe a cache BUFFER; each name must be one of a kind.*rename all but one",
    ),
    "a cache that is not there": (
        'data_cache = "BUFFER"', 'data_cache = "BUFER"',
        r"FLASH: data_cache = 'BUFER', and the board has no such cache.*did you mean 'BUFFER'\?",
    ),
    "half a set": (
        'size = "32 B"', 'size = "48 B"', r"cache BUFFER: 48 B are 1.5 sets of 4 x 8 B, not whole.*ways = 6",
    ),
    "a cache line that no reads fill": (
        'line = "8 B"\nways = 4', 'line = "2 B"\nways = 16',
        r"FLASH: a line of cache BUFFER has 2 B, no multiple of its own 4 B.*filled by whole lines",
    ),
    "nowhere for code": (
        '["code", "constants"]', '["constants"]',
        r"no memory holds code and constants when power comes; one must, such as flash.*give the flash",
    ),
    "code only in memory that is written": (
        '["code", "constants"]', '["code", "constants", "data"]', r"no memory holds code and constants when power com",
    ),
    "nowhere for data": (
        '["constants", "data"]', '["constants"]', r"no memory holds data; stack, arena and variables need one.*add the",
    ),
    "a current without its voltage": (
        "supply_v = 3.0\n", "", r"energy: run_ma without supply_v gives no power.*add supply_v, or leave both out",
    ),
    "a voltage without its current": (
        "run_ma = 2.0\n", "", r"energy: supply_v without run_ma gives no power.*add run_ma, or leave both out",
    ),
    "power said twice": (
        "run_ma = 2.0", "run_ma = 2.0\nrun_mw = 7.0", r"energy: run_mw = 7 and a current or voltage beside it.*keep",
    ),
    "no power at all": ("run_ma = 2.0", "run_ma = 0.0", r"energy.run_ma: the value should be greater than 0"),
}  # fmt: skip


@pytest.mark.parametrize(("find", "put", "message"), BAD.values(), ids=BAD)
def test_a_faulty_board_file_is_refused_by_field(tmp_path: Path, find: str, put: str, message: str) -> None:
    assert find in GOOD
    with pytest.raises(ConfigError, match=rf"(?s)^board mine.*{message}"):
        boards.load(written(tmp_path, GOOD.replace(find, put, 1)))


def test_a_cache_named_on_a_board_without_any_is_refused(tmp_path: Path) -> None:
    text = re.sub(r"\[\[caches\]\].*?(?=\[energy\])", "", GOOD, flags=re.DOTALL)
    with pytest.raises(ConfigError, match=r"(?s)no such cache.*describe it in a section \[\[caches\]\]"):
        boards.load(written(tmp_path, text))


def test_a_board_file_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"target file nowhere\.toml does not exist"):
        boards.load("nowhere.toml")


def test_a_board_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"target file .*mine\.toml cannot be read"):
        boards.load(str(tmp_path / "mine.toml"))


def test_the_nearest_board_is_named_where_there_is_none_of_that_name() -> None:
    with pytest.raises(ConfigError, match=r"(?s)'nucleo_l4r5'; did you mean 'nucleo_l4r5zi'\?.*known boards: .*pico2"):
        boards.load("nucleo_l4r5")


SMALLEST = {
    "next to nothing": (1, 1, None, "nucleo_f446re"),
    "exactly its memories": (512 * KIB, 128 * KIB, None, "nucleo_f446re"),
    "a byte of flash more": (512 * KIB + 1, 1, None, "nucleo_l476rg"),
    "a byte of RAM more": (1, 128 * KIB + 1, None, "nrf52840_dk"),
    "vector instructions": (1, 1, Isa.MVE, "apollo510_evb"),
    "no DSP instructions": (1, 1, Isa.SCALAR, "pico"),
    "more flash than any has": (6 * MIB, 1, None, None),
    "more RAM than any has": (1, 5 * MIB, None, None),
}


@pytest.mark.parametrize(("flash", "ram", "isa", "name"), SMALLEST.values(), ids=SMALLEST)
def test_the_smallest_board_that_fits_is_found(flash: int, ram: int, isa: Isa | None, name: str | None) -> None:
    found = boards.smallest_that_fits(flash, ram, isa=isa)
    assert (found and found.name) == name
