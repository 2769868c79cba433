import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest
from support.tools import require

from ptee_mcu.errors import ToolMissingError
from ptee_mcu.firmware import build, cmsis_nn, tools

TOOLCHAINS = {
    "host": ("gcc", "nm", ()),
    "cortex-m3": ("arm-none-eabi-gcc", "arm-none-eabi-nm", ("-mcpu=cortex-m3", "-mthumb")),
    "cortex-m4": ("arm-none-eabi-gcc", "arm-none-eabi-nm", ("-mcpu=cortex-m4", "-mthumb")),
    "cortex-m55": ("arm-none-eabi-gcc", "arm-none-eabi-nm", ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard")),
}


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> cmsis_nn.Location:
    require("cmsis-nn")
    monkeypatch.delenv("CMSIS_NN_PATH", raising=False)
    return cmsis_nn.locate()


def a_library(folder: Path, revision: str) -> Path:
    (folder / "Include").mkdir(parents=True)
    (folder / "Include" / "arm_nnfunctions.h").write_text(f"/* $Revision:    V.{revision} */\n")
    return folder


def linked(members: Iterable[str], needs: dict[str, set[str]]) -> set[str]:
    """Every file that a linker would pull in for `members`."""
    found: set[str] = set()
    waiting = list(members)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needs[name])
    return found


@pytest.mark.parametrize("chain", TOOLCHAINS)
def test_the_closure_of_every_function_is_what_the_linker_needs(
    library: cmsis_nn.Location, chain: str, tmp_path: Path
) -> None:
    compiler, nm, flags = TOOLCHAINS[chain]
    require(compiler)
    includes = [f"-I{folder}" for folder in library.include_dirs]
    if chain == "host":
        includes.append(f"-I{build._host_include_dir()}")
    defined: dict[str, str] = {}
    undefined: dict[str, set[str]] = {}
    for source in sorted((library.folder / "Source").rglob("*.c")):
        name = source.relative_to(library.folder).as_posix()
        made = tmp_path / f"{source.stem}.o"
        build.call([compiler, *flags, "-O1", "-w", *includes, "-c", str(source), "-o", str(made)], "compiling")
        undefined[name] = set()
        for line in build.call([nm, str(made)], "reading symbols").splitlines():
            kind, symbol = line.split()[-2:]
            if kind == "U":
                undefined[name].add(symbol)
            elif kind in "TD":
                defined[symbol] = name
    needs = {name: {defined[symbol] for symbol in symbols if symbol in defined} for name, symbols in undefined.items()}
    support = "Source/NNSupportFunctions/bakenn_cmsis_memory.c"
    for symbol in cmsis_nn.functions() & set(defined):
        files = set(cmsis_nn.sources_for({symbol}).c_files)
        assert linked([defined[symbol]], needs) <= files, symbol
    # All the code that is there, and nothing more: no instruction set needs less than one of the files.
    assert set(cmsis_nn.sources_for(cmsis_nn.functions() - {"bakenn_cmsis_memcpy", "bakenn_cmsis_memset"}).c_files) == (
        set(undefined) | {support}
    )
    assert tools.find(compiler).version


def test_one_function_brings_its_files_headers_licences_and_provenance(library: cmsis_nn.Location) -> None:
    found = cmsis_nn.sources_for({"arm_fully_connected_s8"})
    assert found.release == library.release == "4.0.0"
    assert found.c_files == (
        "Source/FullyConnectedFunctions/arm_fully_connected_s8.c",
        "Source/NNSupportFunctions/arm_nn_vec_mat_mult_t_s8.c",
        "Source/NNSupportFunctions/bakenn_cmsis_memory.c",
    )
    assert {"LICENSE.txt", "Core/LICENSE.txt", "BAKENN_PROVENANCE.md", "Core/Include/cmsis_gcc.h"} <= set(found.files)
    assert found.files["LICENSE.txt"] == (library.folder / "LICENSE.txt").read_bytes()


def test_the_sources_are_found_without_importing_the_package_that_carries_them(library: cmsis_nn.Location) -> None:
    import subprocess  # noqa: PLC0415 - only this test starts another interpreter
    import sys  # noqa: PLC0415

    code = "import sys; from ptee_mcu.firmware import cmsis_nn; cmsis_nn.locate(); assert 'bakenn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert library.folder.is_dir()


def test_a_function_without_source_is_refused(library: cmsis_nn.Location) -> None:
    assert library.release == "4.0.0"
    with pytest.raises(ToolMissingError, match=r"arm_elementwise_add_s8: CMSIS-NN 4\.0\.0 in .* has no source"):
        cmsis_nn.sources_for({"arm_elementwise_add_s8"})


def test_a_folder_named_by_the_environment_is_used(
    library: cmsis_nn.Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.core is not None
    shutil.copytree(library.folder, tmp_path / "CMSIS-NN")
    shutil.copytree(library.core, tmp_path / "Core")
    monkeypatch.setenv("CMSIS_NN_PATH", str(tmp_path / "CMSIS-NN"))
    assert cmsis_nn.locate().folder == tmp_path / "CMSIS-NN"
    assert cmsis_nn.sources_for({"arm_avgpool_s8"}).c_files[-1] == "Source/PoolingFunctions/arm_avgpool_s8.c"


def test_a_folder_without_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"holds no CMSIS-NN: Include/arm_nnfunctions\.h is missing"):
        cmsis_nn.locate(tmp_path)


def test_missing_core_headers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"needs cmsis_compiler\.h and cmsis_gcc\.h of CMSIS-Core"):
        cmsis_nn.locate(a_library(tmp_path / "nn", "11.2.0"))
