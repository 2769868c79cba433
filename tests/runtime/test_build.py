"""How the run-time library compiles: without a warning, without state, heap or floating point, for one contract."""

import subprocess
from pathlib import Path

import pytest
from runtime.native import (
    CORTEX_M4,
    RUNTIME,
    WARNINGS,
    compile_each,
    include_options,
    run,
    runtime_sources,
    tool,
)

LEVELS = ["-Os", "-O2", "-O3"]
CORES = {
    "Cortex-M0": ["-mcpu=cortex-m0", "-mthumb"],
    "Cortex-M3": ["-mcpu=cortex-m3", "-mthumb"],
    "Cortex-M4": CORTEX_M4,
}
MAY_CALL = {"memcpy", "memmove", "memset"}  # of the C library
MAY_READ = {"ptee_load_table_start", "ptee_load_table_end"}  # of the linker script


@pytest.mark.parametrize("level", LEVELS)
def test_the_host_compiler_has_no_complaint(level: str, tmp_path: Path) -> None:
    compile_each([tool("gcc"), level, *WARNINGS, *include_options(tmp_path)], runtime_sources(), tmp_path)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
def test_the_arm_compiler_has_no_complaint(core: list[str], level: str, tmp_path: Path) -> None:
    compile_each([tool("arm-none-eabi-gcc"), *core, level, *WARNINGS, *include_options()], runtime_sources(), tmp_path)


def test_the_header_serves_c_plus_plus(tmp_path: Path) -> None:
    source = tmp_path / "use.cpp"
    source.write_text('#include "ptee_runtime.h"\nint main() { return ptee_failed(PTEE_OK) ? 1 : 0; }\n')
    options = ["-std=c++14", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{RUNTIME}"]
    run([tool("g++"), *options, "-c", str(source), "-o", str(tmp_path / "use.o")])


def test_single_rounding_breaks_the_contract_and_does_not_compile(tmp_path: Path) -> None:
    source, target = str(RUNTIME / "ptee_add.c"), str(tmp_path / "add.o")
    command = [tool("gcc"), "-DCMSIS_NN_USE_SINGLE_ROUNDING", "-c", source, "-o", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "contract ptee.int8.v1 rounds twice" in done.stderr


@pytest.mark.parametrize("level", LEVELS)
def test_the_library_has_no_state_and_calls_nothing_but_cmsis_nn(level: str, tmp_path: Path) -> None:
    compiler = [tool("arm-none-eabi-gcc"), *CORTEX_M4, level, *include_options()]
    objects = compile_each(compiler, runtime_sources(), tmp_path)
    for line in run([tool("arm-none-eabi-size"), *objects]).splitlines()[1:]:
        assert line.split()[1:3] == ["0", "0"], f"writable data: {line}"
    symbols = [line.split() for line in run([tool("arm-none-eabi-nm"), *objects]).splitlines()]
    called = {fields[1] for fields in symbols if len(fields) == 2 and fields[0] == "U"}
    defined = {fields[2] for fields in symbols if len(fields) == 3 and fields[1] in {"T", "W"}}
    assert {name for name in called - defined if not name.startswith("arm_")} <= MAY_CALL | MAY_READ
    assert {name for name in defined if not name.startswith("ptee_")} == set()


def test_no_file_mentions_floating_point() -> None:
    for source in [*runtime_sources(), *RUNTIME.glob("*.h")]:
        words = set(source.read_text().replace("*", " ").replace("(", " ").split())
        assert not words & {"float", "double", "malloc", "free"}, source.name
