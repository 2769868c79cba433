"""The emitted bare project: its files, its golden answers, and the CMake build of it."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from project.building import balanced, built, cli, inputs_of, plan_for
from support.builder import small_network
from support.tools import require

from ptee_mcu.emit_project import bare_project, board_defines
from ptee_mcu.errors import ConfigError, DataError, FirmwareError, ModelError
from ptee_mcu.firmware import port as ports
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.selftest import END, parse
from ptee_mcu.golden import golden
from ptee_mcu.onboard import bare_of
from ptee_mcu.project import Inputs, Project
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import run

ABI = "0x01234567"
FILES = {
    "CMakeLists.txt", "CMakePresets.json", "arm-none-eabi.cmake", "board.h", "cycles.c", "golden.c", "golden.h",
    "measure.c", "network.h", "output_rtt.c", "output_semihosting.c", "output_uart.c", "selftest.c", "startup.c",
    "uart.c", "uart_cmsdk.c", "uart_stm32f4.c",
}  # fmt: skip


def test_the_project_is_these_files(on_m4: Project) -> None:
    assert {path.name for path in (on_m4.folder / "bare").iterdir()} == FILES
    manifest = json.loads((on_m4.folder / "manifest.json").read_text())
    assert {f"bare/{name}" for name in FILES} <= set(manifest["files"])


def test_every_c_file_says_its_license(on_m4: Project) -> None:
    for path in (on_m4.folder / "bare").glob("*.[ch]"):
        assert "/* SPDX-License-Identifier: Apache-2.0 */" in path.read_text().splitlines()[:2], path.name


def test_the_same_plan_gives_the_same_files() -> None:
    plan = plan_for(balanced(), "nucleo_f446re")
    first, second = (bare_project(plan, golden(plan, inputs_of(plan.graph)), abi=ABI) for _ in range(2))
    assert first == second


def test_the_golden_answers_of_another_build_do_not_compile(on_m4: Project, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    other = plan_for(small_network(thresholds=(7,)), "mps2_an386")
    foreign = built(other, tmp_path / "other").folder / "bare" / "golden.c"
    shutil.copytree(on_m4.folder, tmp_path / "out")
    shutil.copy(foreign, tmp_path / "out" / "bare")
    done = cli("flash", str(tmp_path / "out"), "--on", "qemu")
    assert isinstance(done.error, FirmwareError)
    assert re.search(r'static assertion failed: "golden\.c and small\.h are of different builds"', str(done.error))


def test_a_bare_project_made_later_is_of_the_same_build(tmp_path: Path) -> None:
    project = built(plan_for(balanced(), "mps2_an386"), tmp_path / "out", bare=False)
    made = bare_of(project, tmp_path / "work")
    abi = json.loads((project.folder / "manifest.json").read_text())["abi"]
    assert f"_Static_assert(SMALL_ABI == UINT32_C({abi})," in (made.folder / "golden.c").read_text()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, r"manifest\.json is missing"),
        ("{", r"manifest\.json is damaged: .*"),
        ("[]", r"manifest\.json: abi is None, not the hash of a build"),
        ('{"abi": "1); #include <x>"}', r"manifest\.json: abi is '1\); #include <x>', not the hash of a build"),
    ],
)
def test_a_manifest_without_a_hash_is_refused(manifest: str | None, said: str, tmp_path: Path) -> None:
    project = built(plan_for(small_network(), "mps2_an386"), tmp_path / "out", bare=False)
    path = project.folder / "manifest.json"
    path.unlink()
    if manifest is not None:
        path.write_text(manifest)
    with pytest.raises(ModelError, match=said + r"\n  hint: build it again"):
        bare_of(project, tmp_path / "work")


def test_golden_cases_are_every_exit_forced_and_every_exit_reached() -> None:
    plan = plan_for(balanced(), "mps2_an386")
    inputs = inputs_of(plan.graph)
    found = golden(plan, inputs)
    assert [(case.leave, case.exit) for case in found.cases] == [(0, 0), (1, 1), (None, 0), (None, 1)]
    for case in found.cases:
        thresholds = {None: plan.graph.point.thresholds, 0: (ALWAYS,), 1: (NEVER,)}[case.leave]
        wanted = run(plan, inputs.x[case.input : case.input + 1].view(np.int8), thresholds=thresholds)
        assert (case.exit, case.label, case.confidence) == (wanted.exit, wanted.label, wanted.confidence)
        np.testing.assert_array_equal(case.logits, wanted.logits)
        np.testing.assert_array_equal(found.inputs[case.input], inputs.x[case.input : case.input + 1])


def test_an_exit_that_no_input_reaches_is_only_forced() -> None:
    plan = plan_for(small_network(thresholds=(NEVER,)), "mps2_an386")
    assert [(c.leave, c.exit) for c in golden(plan, inputs_of(plan.graph)).cases] == [(0, 0), (1, 1), (None, 1)]


def test_a_small_flash_holds_one_input() -> None:
    plan = plan_for(balanced(), "mps2_an386")
    flash = plan.target.code_region
    regions = tuple(replace(r, nbytes=1024) if r == flash else r for r in plan.target.regions)
    tight = replace(plan, target=replace(plan.target, regions=regions))
    assert len(golden(tight, inputs_of(plan.graph)).cases) == 3


def test_no_inputs_give_no_self_test() -> None:
    plan = plan_for(small_network(), "mps2_an386")
    none = Inputs(inputs_of(plan.graph).x[:0], None, "nothing")
    with pytest.raises(DataError, match="small: no inputs to test it with"):
        golden(plan, none)


def test_a_name_that_c_does_not_take_is_refused() -> None:
    plan = plan_for(small_network(), "mps2_an386")
    with pytest.raises(ConfigError, match="2nd"):
        bare_project(plan, golden(plan, inputs_of(plan.graph)), abi=ABI, name="2nd")


@pytest.mark.parametrize("board", ["nucleo_f446re", "nucleo_h743zi2", "pico2", "pico", "alif_e7"])
def test_the_toolchain_file_has_the_flags_of_the_board(board: str) -> None:
    plan = plan_for(small_network(), board)
    files = bare_project(plan, golden(plan, inputs_of(plan.graph)), abi=ABI)
    flags = re.search(r'CMAKE_C_FLAGS_INIT "(.*)"', str(files["bare/arm-none-eabi.cmake"]))
    assert flags is not None
    assert flags[1].split()[: len(plan.target.flags)] == list(plan.target.flags)
    caches = plan.target.cpu in ("cortex-m7", "cortex-m55")
    assert ("BOARD_L1_CACHES=1" in board_defines(plan.target)) == caches
    assert ("BOARD_L1_CACHES=1" in str(files["bare/CMakeLists.txt"])) == caches


def test_the_presets_are_one_per_output(on_m4: Project) -> None:
    presets = json.loads((on_m4.folder / "bare" / "CMakePresets.json").read_text())
    shown = [p["name"] for p in presets["configurePresets"] if not p.get("hidden")]
    assert shown == [p["name"] for p in presets["buildPresets"]] == ["semihosting", "uart", "rtt"]


@pytest.mark.parametrize("preset", ["semihosting", "uart", "rtt"])
def test_cmake_builds_what_passes(preset: str, on_m4: Project, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    shutil.copytree(on_m4.folder, tmp_path / "out")
    bare = tmp_path / "out" / "bare"
    for command in (["cmake", "--preset", preset], ["cmake", "--build", "--preset", preset, "-j2"]):
        done = subprocess.run(command, cwd=bare, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    elf = bare / "build" / preset / "selftest.elf"
    assert (bare / "build" / preset / "measure.elf").is_file()
    assert "warning" not in done.stdout + done.stderr
    if preset == "rtt":  # in an emulator nobody reads it
        return
    with ports.emulated(elf, machine("mps2-an386"), semihosting=preset == "semihosting") as line:
        assert parse(ports.read_text(line, end=END, timeout_s=30), elf).passed


def test_rtt_is_found_by_its_mark_and_holds_the_text(tmp_path: Path) -> None:
    require("gcc")
    text = Path(__file__).parents[2] / "templates" / "project"
    reader = tmp_path / "reader.c"
    reader.write_text(
        """#include <stdio.h>
#include <string.h>
#include "output_rtt.c"
int main(void)
{
    for (const char *at = "hello"; *at != 0; at++) { selftest_putc(*at); }
    const ring *up = &_SEGGER_RTT.up[0];
    printf("%s %d %d %.*s %u", _SEGGER_RTT.mark, (int)_SEGGER_RTT.rings_up, (int)_SEGGER_RTT.rings_down,
           (int)up->written, up->bytes, (unsigned)up->nbytes);
}
"""
    )
    exe = tmp_path / "reader"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{text}"]
    subprocess.run(["gcc", *flags, str(reader), "-o", str(exe)], check=True)
    assert subprocess.run([str(exe)], capture_output=True, text=True, check=True).stdout == "SEGGER RTT 1 0 hello 1024"
    assert b"SEGGER RTT" not in exe.read_bytes()


def test_a_build_with_a_bare_project_is_read_like_any_other(tmp_path: Path) -> None:
    plan = plan_for(small_network(), "mps2_an386")
    with_bare, without = built(plan, tmp_path / "a"), built(plan, tmp_path / "b", bare=False)
    top = [{p.name: p.read_bytes() for p in each.folder.iterdir() if p.is_file()} for each in (with_bare, without)]
    assert {name for name in top[0] if top[0][name] != top[1].get(name)} == {"manifest.json"}
