"""CRC of constants, guards of the arena, the seal of a context and the hash of a build: on the host."""

import json
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.builder import Builder
from support.emitted import planned
from support.placed import MODES, placed
from support.tools import require

from benchmarks import misra
from ptee_mcu import emit_safety
from ptee_mcu.artifacts import Artifacts, encoded
from ptee_mcu.emit import emit
from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build
from ptee_mcu.plan.plan import Plan
from ptee_mcu.tensor import HW, Padding, readonly

MAIN = """\
#include <stdio.h>
#include <string.h>
#include "net.h"
{above}
static _Alignas(NET_ARENA_ALIGN) uint8_t arena[NET_ARENA_BYTES + 16];
static net_t net;
static void say(const char *what, ptee_status status) {{ printf("%s: %s\\n", what, ptee_status_text(status)); }}
int main(void);
int main(void)
{{
    net_result result;
{body}
    (void)result;
    (void)say;
    (void)net;
    (void)arena;
    return 0;
}}
"""
STAGE = "static _Alignas(NET_STAGE_ALIGN) uint8_t stage[NET_STAGE_BYTES];"
INIT = '    say("init", net_init(&net, arena, NET_ARENA_BYTES));\n'
CORRUPT = "a constant or the context was changed: load the firmware again, or call init"


@cache
def plan_of(*, exits: int = 2, first_threshold: int = 20, pixels: bool = True) -> Plan:
    """Every kind of op, and pixels that become codes."""
    b = Builder((1, 6, 6, 4), seed=3)
    x = b.conv("input", 4, padding=Padding.same(1, 1), name="conv")
    y = b.depthwise(x, padding=Padding.same(1, 1), name="depthwise")
    x = b.add(x, y, name="add")
    for i in range(exits - 1):
        b.exit(f"early{i}", b.avg_pool(x, HW(3, 3), HW(3, 3), name=f"pool{i}"))
    x = b.pad(b.slice(x, (1, 4, 4, 3), name="slice"), Padding(1, 0, 0, 1), 1, 0, name="pad")
    x = b.concat(x, x, name="concat")
    x = b.max_pool(b.conv(x, 4, HW(1, 1), name="pointwise"), HW(2, 2), HW(2, 2), name="max_pool")
    b.exit("final", x, final=True)
    graph = b.graph("net", (first_threshold, *range(10, 10 + exits - 2))[: exits - 1])
    table = np.random.default_rng(1).integers(-128, 128, (256, 4))
    return planned(replace(graph, preprocess=readonly(table, np.int8)) if pixels else graph)


@cache
def emitted(*, crc: bool = True, exits: int = 2, first_threshold: int = 20) -> Artifacts:
    require("cmsis-nn")
    return emit(plan_of(exits=exits, first_threshold=first_threshold), crc=crc)


def said(
    artifacts: Artifacts,
    folder: Path,
    body: str,
    *,
    above: str = "",
    changes: Mapping[str, tuple[str, str]] | None = None,
    defines: tuple[str, ...] = (),
) -> list[str]:
    """What the program `body` around the network prints; `changes`: per file a regular expression, its replacement."""
    require("gcc")
    artifacts.write(folder / "net")
    for path, (old, new) in (changes or {}).items():
        text, count = re.subn(old, new, (folder / "net" / path).read_text(), count=1)
        assert count == 1, old
        (folder / "net" / path).write_text(text)
    (folder / "main.c").write_text(MAIN.format(above=above, body=body))
    sources = build.sources_in(folder / "net") + build.CSources(own=(folder / "main.c",), defines=defines)
    out = build.compile_host(sources, folder / "program", sanitize=False, optimize="-O1")
    return subprocess.run([str(out)], check=True, capture_output=True, text=True).stdout.splitlines()


def test_all_is_well_where_nothing_changed(tmp_path: Path) -> None:
    body = (
        '    say("null", net_check(NULL));\n    say("early", net_check(&net));\n'
        f'{INIT}    say("check", net_check(&net));\n'
        '    memset(net_input(&net), 1, NET_INPUT_BYTES);\n    say("run", net_run(&net, &result));\n'
        '    say("check", net_check(&net));\n'
    )
    assert said(emitted(), tmp_path, body) == [
        "null: an argument is NULL",
        "early: the context was not initialized",
        "init: ok",
        "check: ok",
        "run: an exit fired: the result is valid",
        "check: ok",
    ]


@pytest.mark.parametrize("mode", ["flash", "staged", "mixed"])
def test_constants_are_checked_where_they_lie(mode: str, tmp_path: Path) -> None:
    require("cmsis-nn")
    plan = placed(plan_of(exits=3).graph, MODES[mode])
    above = STAGE if plan.stage else ""
    buffers = "arena, NET_ARENA_BYTES" + (", stage, sizeof stage" if plan.stage else "")
    body = f'    say("init", net_init(&net, {buffers}));\n'
    assert said(emit(plan, crc=True), tmp_path, body, above=above) == ["init: ok"]


CHANGES = {
    "a weight": ("net_weights.c", r"(net_conv_weights\[\d+\] = \{\n    )-?\d+,", r"\g<1>0,"),
    "a bias": ("net_weights.c", r"(net_conv_bias\[\d+\] = \{\n    )-?\d+,", r"\g<1>77,"),
    "a code of a pixel": ("net_weights.c", r"(net_pixel_codes\[\d+\] = \{\n    )-?\d+,", r"\g<1>5,"),
    "a number of a descriptor": ("net.c", r"(op_depthwise = \{(?s:.*?)\.padding_h = )1", r"\g<1>0"),
    "a pointer of a descriptor": (
        "net.c",
        r"(op_conv = \{\n    \.weights = )net_conv_weights",
        r"\g<1>net_pixel_codes",
    ),
    "a threshold": ("net.c", r"(threshold_table(?s:.*?)\{)20\}", r"\g<1>21}"),
    "the count of pixels": ("net.c", r"(lookup = \{(?s:.*?)\.pixels = )\d+", r"\g<1>7"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_init_refuses_a_changed_constant(change: tuple[str, str, str], tmp_path: Path) -> None:
    path, old, new = change
    assert said(emitted(), tmp_path, INIT, changes={path: (old, new)}) == [f"init: {CORRUPT}"]


def test_every_constant_and_descriptor_is_in_the_check() -> None:
    files = emitted().files
    source, weights = str(files["net.c"]), str(files["net_weights.h"])
    spans = source[source.index("ptee_span_t spans[]") : source.index("return ptee_check")]
    wanted = set(re.findall(r"extern const \w+ (\w+)\[", weights)) | set(re.findall(r"(op_\w+) = \{", source))
    assert wanted - set(re.findall(r"\w+", spans)) == set()
    assert {"lookup", "threshold_table", "net_pixel_codes"} <= set(re.findall(r"\w+", spans))


def test_structs_of_the_run_time_library_have_pointers_first_and_no_holes() -> None:
    header = str(emitted().files["ptee_runtime.h"])
    layouts = emit_safety.layouts(header)
    used = {f"ptee_{name}_t" for name in ("conv2d", "depthwise_conv2d", "fully_connected", "pool2d", "add", "concat",
                                          "pad", "slice", "lookup_u8")}  # fmt: skip
    assert used <= set(layouts)
    for name in used:
        body = re.search(rf"typedef struct \{{\n((?:    .*\n)+)\}} {name};", header)
        assert body
        members = [line.strip() for line in body[1].splitlines()]
        pointers = [i for i, line in enumerate(members) if line.startswith("const") and "*" in line]
        assert pointers == list(range(len(layouts[name].pointers)))
        sizes = sum(struct.calcsize(kind) for _, kind in layouts[name].numbers)
        assert len(layouts[name].packed({})) == sizes


def test_without_crc_there_is_not_a_byte_of_it() -> None:
    plain = emitted(crc=False).files
    assert "ptee_crc32.c" not in plain
    assert not [path for path in plain if "ptee_check(" in str(plain[path]) and path != "ptee_runtime.h"]
    assert "net_check" not in str(plain["net.h"])
    assert json.loads(str(plain["manifest.json"]))["crc"] is False
    assert emit(plan_of()).digest() == emitted(crc=False).digest()


def test_a_changed_pointer_in_a_context_is_refused(tmp_path: Path) -> None:
    body = INIT + (
        "    memset(net_input(&net), 1, NET_INPUT_BYTES);\n    net.arena += 16;\n"
        '    say("step", net_step(&net, &result));\n    say("run", net_run(&net, &result));\n'
        '    say("check", net_check(&net));\n    printf("%d\\n", net_input(&net) == NULL);\n'
        '    net.arena -= 16;\n    net.seal ^= 1;\n    say("seal", net_step(&net, &result));\n'
        '    net.seal ^= 1;\n    say("step", net_step(&net, &result));\n'
    )
    lines = said(emitted(), tmp_path, body)
    assert lines[1:6] == [f"step: {CORRUPT}", f"run: {CORRUPT}", f"check: {CORRUPT}", "1", f"seal: {CORRUPT}"]
    assert CORRUPT not in lines[6]


@pytest.mark.parametrize(
    "at", ["0", "PTEE_GUARD_BYTES - 1", "NET_ARENA_BYTES - 1", "NET_ARENA_BYTES - PTEE_GUARD_BYTES"]
)
def test_a_debug_build_finds_bytes_beside_the_arena_that_change(at: str, tmp_path: Path) -> None:
    give = "    memset(net_input(&net), 1, NET_INPUT_BYTES);\n"
    body = INIT + give + '    say("step", net_step(&net, &result));\n' + give
    body += f'    arena[{at}] ^= 1;\n    say("step", net_step(&net, &result));\n'
    lines = said(emitted(), tmp_path, body, defines=("PTEE_GUARD",))
    assert lines[0] == "init: ok"
    assert "overwritten" not in lines[1]
    assert lines[2] == "step: bytes beside the arena were overwritten"


def test_the_guards_take_no_room_where_they_are_not_asked_for(tmp_path: Path) -> None:
    body = '    printf("%d %d\\n", (int)NET_ARENA_BYTES, PTEE_GUARD_BYTES);\n'
    nbytes = plan_of().arena_bytes
    assert said(emitted(), tmp_path / "off", body) == [f"{nbytes} 0"]
    assert said(emitted(), tmp_path / "on", body, defines=("PTEE_GUARD",)) == [f"{nbytes + 32} 16"]


def test_an_application_without_guards_does_not_fit_a_library_with_them(tmp_path: Path) -> None:
    nbytes = plan_of().arena_bytes
    body = f'    say("init", net_init(&net, arena, {nbytes}));\n'
    assert said(emitted(), tmp_path, body, defines=("PTEE_GUARD",)) == ["init: the arena has too few bytes"]


def abi_of(artifacts: Artifacts) -> str:
    return str(json.loads(encoded(artifacts.files["manifest.json"]))["abi"])


def test_header_weights_and_manifest_of_one_build_have_one_hash() -> None:
    artifacts = emitted()
    abi = abi_of(artifacts)
    assert re.fullmatch(r"0x[0-9a-f]{8}", abi)
    assert f"#define NET_ABI UINT32_C({abi})" in str(artifacts.files["net.h"])
    assert f"#define NET_WEIGHTS_ABI UINT32_C({abi})" in str(artifacts.files["net_weights.h"])
    assert not [path for path, text in artifacts.files.items() if emit_safety.ABI_PLACEHOLDER in str(text)]


def test_builds_that_differ_in_a_threshold_or_an_option_have_different_hashes() -> None:
    made = [emitted(), emitted(first_threshold=21), emitted(crc=False), emitted(exits=3)]
    assert len({abi_of(artifacts) for artifacts in made}) == 4
    assert abi_of(emit(plan_of(), crc=True)) == abi_of(emitted())


FOREIGN = {
    "net.h": r"net\.h is of another build",
    "net_weights.h": r"net_weights\.h is of another build",
    "net_weights.c": r"net_weights\.h is of another build",
    "net.c": r"net\.h is of another build",
}


@pytest.mark.parametrize("path", FOREIGN)
def test_a_file_of_another_build_does_not_compile(path: str, tmp_path: Path) -> None:
    require("gcc")
    emitted().write(tmp_path / "net")
    (tmp_path / "net" / path).write_text(str(emitted(first_threshold=21).files[path]))
    with pytest.raises(FirmwareError, match=rf"(?s)static assertion failed.*{FOREIGN[path]}"):
        build.compile_host(build.sources_in(tmp_path / "net"), tmp_path / "program", sanitize=False, optimize="-O1")


def test_our_own_c_deviates_from_misra_only_where_the_page_says_so(tmp_path: Path) -> None:
    if shutil.which("cppcheck") is None:
        pytest.skip("cppcheck is not installed")
    require("cmsis-nn")
    found = misra.deviations(tmp_path)
    listed = {
        (row[0], file.rpartition(" (")[0])
        for row in re.findall(r"^\| (\d+\.\d+) \| (.*?) \| .* \|$", misra.PAGE.read_text(), re.MULTILINE)
        for file in row[1].split(", ")
    }
    assert set(found) == listed
    assert {rule for rule, _ in found} == set(misra.REASONS), "every reason is of a rule that is broken"
