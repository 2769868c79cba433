from pathlib import Path

import pytest

from ptee_mcu import boards
from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa

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
source = "its manual"
timing_source = "its manual"
"""


@pytest.mark.parametrize("name", boards.names())
def test_every_board_that_ships_has_flash_and_sram(name: str) -> None:
    board = boards.load(name)
    assert board.nbytes("flash") > 0
    assert board.nbytes("sram") > 0


def test_a_users_own_board_works_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = boards.load(str(path))
    assert (board.name, board.isa, board.machine, board.nbytes("flash")) == ("mine", Isa.SCALAR, None, 65536)


BAD = {
    "an unknown field": ("cpu =", "cpux =", r"board mine: .*cpux"),
    "a number without its source": ('clock_source = "its manual"\n', "", r"clock_source"),
    "a size of zero": ('"64 KiB"', '"0 B"', r"greater than 0"),
    "a size without its unit": ('"64 KiB"', "65536", r"its unit is missing; write such as 576 B"),
    "no TOML": ("title =", "title", r"board mine"),
}


@pytest.mark.parametrize(("find", "put", "message"), BAD.values(), ids=BAD)
def test_a_faulty_board_file_is_refused_by_field(tmp_path: Path, find: str, put: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace(find, put, 1))
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        boards.load(str(path))


def test_a_board_file_that_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match=r"target file nowhere\.toml does not exist"):
        boards.load("nowhere.toml")
