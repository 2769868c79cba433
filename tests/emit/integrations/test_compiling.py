"""The library in other build systems: each layout compiled by the flags and include paths that its system gives."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from emit.integrations.reading import NAME, component, description, listed
from support.builder import small_network
from support.placed import MODES, placed
from support.tools import require

from ptee_mcu.artifacts import encoded
from ptee_mcu.emit import emit
from ptee_mcu.emit_integrations import integrations
from ptee_mcu.plan.plan import Plan

# Of a C library and of libgcc; all else must be in the files.
ELSEWHERE = re.compile(r"mem(cpy|set|move)|__aeabi_\w+|__gnu_thumb1_\w+")
SECTIONS = ("-ffunction-sections", "-fdata-sections")


def complete(plan: Plan, sources: Sequence[Path], includes: Iterable[Path], flags: Iterable[str], where: Path) -> None:
    """Compiles `sources` and asserts that together they lack nothing but a C library."""
    where.mkdir()
    call = ["arm-none-eabi-gcc", "-mthumb", *plan.target.flags, *flags, *(f"-I{path}" for path in includes)]
    done = subprocess.run([*call, "-c", *map(str, sources)], cwd=where, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    objects = sorted(where.glob("*.o"))
    assert len(objects) == len(sources)
    nothing_missing(objects, where)


def nothing_missing(objects: Iterable[Path], where: Path) -> None:
    whole = where / "whole.elf"
    subprocess.run(["arm-none-eabi-gcc", "-r", "-nostdlib", *map(str, objects), "-o", str(whole)], check=True)
    shown = subprocess.run(["arm-none-eabi-nm", "-u", str(whole)], capture_output=True, text=True, check=True)
    missing = [symbol for symbol in shown.stdout.replace(" U ", " ").split() if not ELSEWHERE.fullmatch(symbol)]
    assert missing == []
    shown = subprocess.run(["arm-none-eabi-nm", str(whole)], capture_output=True, text=True, check=True)
    assert f" T {NAME}_run\n" in shown.stdout


def test_the_carried_variant_of_the_pack_compiles_with_the_core_of_its_project(
    plan: Plan, out: Path, tmp_path: Path
) -> None:
    pack = out / "integrations" / "pack"
    found = component(description(pack), "Carried CMSIS-NN")
    of_the_project = out / "cmsis_nn" / "Core" / "Include"
    includes = [*(pack / path for path in listed(found, "include")), of_the_project]
    sources = [pack / path for path in listed(found, "source")]
    complete(plan, sources, includes, ("-std=gnu11", "-O1", *SECTIONS), tmp_path / "o")


def test_the_other_variant_compiles_with_a_pack_of_cmsis_nn(plan: Plan, out: Path, tmp_path: Path) -> None:
    pack = out / "integrations" / "pack"
    found = component(description(pack), "CMSIS-NN of the project")
    library = out / "cmsis_nn"
    includes = [*(pack / p for p in listed(found, "include")), library / "Include", library / "Core" / "Include"]
    sources = [*(pack / p for p in listed(found, "source")), *sorted(library.rglob("*.c"))]
    assert not any("cmsis_nn" in path for path in listed(found, "source"))
    complete(plan, sources, includes, ("-std=gnu11", "-O1", *SECTIONS), tmp_path / "o")


def test_the_arduino_library_compiles_with_src_alone(plan: Plan, out: Path, tmp_path: Path) -> None:
    src = out / "integrations" / "arduino" / "src"
    assert not any(path.is_dir() for path in src.iterdir())
    flags = ("-std=gnu11", "-Os", "-nostdlib", *SECTIONS)
    complete(plan, sorted(src.glob("*.c")), [src], flags, tmp_path / "o")


def test_a_sketch_in_cpp_includes_the_header(plan: Plan, out: Path, tmp_path: Path) -> None:
    sketch = tmp_path / "sketch.cpp"
    sketch.write_text(
        f"#include <{NAME}.h>\nint run({NAME}_t &net, {NAME}_result &to) {{ return {NAME}_run(&net, &to); }}\n"
    )
    src = out / "integrations" / "arduino" / "src"
    call = ["arm-none-eabi-g++", "-mthumb", *plan.target.flags, "-std=gnu++14", "-Wall", "-Werror", f"-I{src}"]
    made = subprocess.run(
        [*call, "-c", str(sketch), "-o", "sketch.o"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    shown = subprocess.run(
        ["arm-none-eabi-nm", "-u", "sketch.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert f" U {NAME}_run\n" in shown.stdout


@pytest.mark.parametrize("core", ["integrations/stm32cube/CMSIS_Core", "cmsis_nn/Core/Include"])
def test_the_cube_folder_compiles_with_inc_and_a_cmsis_core(core: str, plan: Plan, out: Path, tmp_path: Path) -> None:
    folder = out / "integrations" / "stm32cube"
    flags = ("-std=gnu11", "-Os", "-Wall", "-fstack-usage", "--specs=nano.specs", *SECTIONS)
    complete(plan, sorted((folder / "Src").glob("*.c")), [folder / "Inc", out / core], flags, tmp_path / "o")


def test_constants_that_a_plan_moves_link_by_a_script_that_knows_nothing_of_them(tmp_path: Path) -> None:
    require("cmsis-nn", "arm-none-eabi-gcc")
    plan = placed(small_network(NAME), MODES["mixed"])
    files = integrations(plan, emit(plan).files, name=NAME, kinds=("stm32cube",))
    assert "integrations/stm32cube/Src/ptee_load_sections.c" in files
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(encoded(content))
    folder = tmp_path / "integrations" / "stm32cube"
    (tmp_path / "main.c").write_text(
        f"""#include "{NAME}.h"
        static {NAME}_t net;
        int main(void) {{ {NAME}_result to; return {NAME}_run(&net, &to); }}
        """
    )
    sources = [tmp_path / "main.c", *sorted((folder / "Src").glob("*.c"))]
    includes = [f"-I{folder / name}" for name in ("Inc", "CMSIS_Core")]
    link = ["-nostartfiles", "--specs=nosys.specs", "-Wl,--gc-sections", "-Wl,-emain", "-o", "app.elf"]
    flags = ["-mthumb", *plan.target.flags, "-w", "-fno-builtin", *SECTIONS]
    call = ["arm-none-eabi-gcc", *flags, *includes, *map(str, sources), *link]
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# What the module calls, by the documentation of Zephyr's extensions.cmake.
ZEPHYR = """cmake_minimum_required(VERSION 3.20)
project(app LANGUAGES C)
add_library(zephyr_interface INTERFACE)
target_compile_options(zephyr_interface INTERFACE {flags})
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${{name}})
  add_library(${{name}} STATIC "")
  target_link_libraries(${{name}} PUBLIC zephyr_interface)
endmacro()
function(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${{ARGV}})
endfunction()
function(zephyr_library_sources)
  target_sources(${{ZEPHYR_CURRENT_LIBRARY}} PRIVATE ${{ARGV}})
endfunction()
function(zephyr_library_include_directories)
  target_include_directories(${{ZEPHYR_CURRENT_LIBRARY}} PRIVATE ${{ARGV}})
endfunction()
set(CONFIG_PTEE_SMALL y)
set(CONFIG_PTEE_SMALL_CARRIED_CMSIS_NN y)
add_subdirectory({module} module)
"""


def test_the_zephyr_module_compiles_by_its_cmake_file(plan: Plan, out: Path, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    module = out / "integrations" / "zephyr"
    told = re.search(r"cmake: (\w+)", (module / "zephyr" / "module.yml").read_text())
    assert told is not None
    flags = " ".join((*plan.target.flags, "-mthumb", "-std=c99", "-Os", "-ffreestanding", "-fno-common", "-Wall"))
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR.format(flags=flags, module=module / told[1]))
    cross = ("-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc")
    configure = ["cmake", "-S", ".", "-B", "b", *cross, "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY"]
    for command in (configure, ["cmake", "--build", "b"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in done.stdout + done.stderr
    nothing_missing(sorted(tmp_path.rglob("*.obj")), tmp_path)
