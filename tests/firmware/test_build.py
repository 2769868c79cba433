from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, harness, memory
from ptee_mcu.firmware.build import CSources, Toolchain
from ptee_mcu.firmware.machines import MACHINES, machine


def c_file(folder: Path, text: str) -> Path:
    path = folder / "main.c"
    path.write_text(text)
    return path


def test_a_warning_in_our_own_code_is_an_error(tmp_path: Path) -> None:
    require("gcc")
    source = c_file(tmp_path, "int main(void) { long a = 1; int b = a; return b; }\n")
    with pytest.raises(FirmwareError, match=r"(?s)compiling main\.c failed.*Werror=conversion"):
        build.compile_host(CSources(own=(source,)), tmp_path / "program")
    assert list(tmp_path.iterdir()) == [source], "a failed build leaves nothing behind"


def test_an_undefined_function_is_a_link_error(tmp_path: Path) -> None:
    require("gcc")
    source = c_file(tmp_path, "int absent(void);\nint main(void) { return absent(); }\n")
    with pytest.raises(FirmwareError, match=r"(?s)linking program failed.*undefined reference to `absent'"):
        build.compile_host(CSources(own=(source,)), tmp_path / "program")


def test_firmware_larger_than_the_machine_names_the_region(project: Path, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    small = replace(machine("mps2-an386"), ram_bytes=8200)
    with pytest.raises(FirmwareError, match="region `RAM' overflowed by"):
        harness.build_firmware(project, "tiny", tmp_path / "tiny.elf", machine=small)


def test_an_archive_is_made_once_for_the_same_content(project: Path) -> None:
    require("gcc")
    sources = build.sources_in(project)
    chain = Toolchain("gcc", ("-O1",), include_dirs=(build._host_include_dir(),))

    def make(level: str) -> Path:
        return build.archive(replace(chain, flags=(level,)), sources.third_party, sources.third_party_include_dirs)

    with ThreadPoolExecutor(3) as pool:
        made = list(pool.map(make, ["-O1", "-O1", "-Os"]))
    assert made[0] == made[1] != made[2]
    written = made[0].stat().st_mtime_ns
    assert make("-O1").stat().st_mtime_ns == written
    assert not list(build.cache_dir().glob("building-*"))


def test_a_changed_header_makes_another_archive(project: Path, tmp_path: Path) -> None:
    require("gcc")
    sources = build.sources_in(project)
    chain = Toolchain("gcc", ("-O1",), include_dirs=(build._host_include_dir(),))
    extra = tmp_path / "include"
    extra.mkdir()
    before = build.archive(chain, sources.third_party, (*sources.third_party_include_dirs, extra))
    (extra / "more.h").write_text("#define MORE 1\n")
    assert build.archive(chain, sources.third_party, (*sources.third_party_include_dirs, extra)) != before


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTEE_CACHE", str(tmp_path / "here"))
    assert build.cache_dir() == tmp_path / "here"
    monkeypatch.delenv("PTEE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.cache_dir() == tmp_path / "ptee-mcu"


@pytest.mark.parametrize("name", MACHINES)
def test_the_footprint_counts_weights_in_flash_and_the_arena_in_ram(name: str, project: Path, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "arm-none-eabi-nm")
    elf = harness.build_footprint(project, "tiny", tmp_path / "tiny.elf", machine=machine(name))
    use = memory.memory_use(elf)
    by_name = {symbol.name: symbol for symbol in memory.symbols(elf)}
    assert by_name["weights"].nbytes == 64
    assert by_name["weights"].kind == "r"
    assert by_name["arena"].nbytes == 48
    assert 2000 < use.flash_bytes < 6000
    # Arena, context of three words, and nothing else that is worth a word of padding.
    assert 48 + 12 <= use.ram_bytes <= 48 + 12 + 16
    assert use.stack_bytes == machine(name).stack_bytes
    names = set(by_name)
    assert not {"printf", "malloc", "_sbrk", "__aeabi_fmul", "ptee_harness"} & names


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match=r"holds no network 'absent': absent\.h is missing"):
        harness.build_host(tmp_path, "absent", tmp_path / "program")


def test_an_unknown_machine_lists_the_known_ones() -> None:
    with pytest.raises(FirmwareError, match=r"(?s)no emulated machine is called 'an999'.*mps2-an386"):
        machine("an999")
