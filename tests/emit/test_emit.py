import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.builder import Builder, small_network
from support.emitted import planned, written
from support.placed import FLASH, MAIN, MODES, placed
from support.tools import require

from ptee_mcu import __version__
from ptee_mcu.artifacts import encoded
from ptee_mcu.emit import emit
from ptee_mcu.errors import ConfigError, QuantizationError
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.ops import QAdd, QConv2d
from ptee_mcu.plan.placement import constants
from ptee_mcu.quant_graph import OperatingPoint, QuantGraph
from ptee_mcu.requant import Requant
from ptee_mcu.tensor import HW, Quant, readonly

CORTEX_M4 = ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
CORTEX_M0 = ("arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-mfloat-abi=soft")
STRICT = (
    *("-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow"),
    *("-Wcast-qual", "-Wcast-align", "-Wundef", "-Wdouble-promotion", "-Wstrict-prototypes", "-Wmissing-prototypes"),
)


def texts(graph: QuantGraph) -> dict[str, str]:
    require("cmsis-nn")
    return {path: encoded(content).decode() for path, content in emit(planned(graph)).files.items()}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(planned(small_network("small", preprocess=True)), tmp_path_factory.mktemp("emitted") / "small")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network with constants in every place."""
    plan = placed(small_network("small", preprocess=True), MODES["mixed"])
    return written(plan, tmp_path_factory.mktemp("placed") / "small")


@pytest.fixture(scope="module")
def optional(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with all that is optional."""
    require("cmsis-nn")
    folder = tmp_path_factory.mktemp("optional") / "small"
    plan = placed(small_network("small", preprocess=True), MODES["mixed"])
    emit(plan, crc=True, yield_every_op=True).write(folder)
    return folder


GOLDEN = ["small.h", "small.c", "small_weights.h", "small_weights.c", "small.ld", "CMakeLists.txt"]
PLACED = ["placed.h", "placed.c", "placed_weights.h", "placed_weights.c", "placed.ld"]


@pytest.mark.parametrize("path", GOLDEN)
def test_the_text_equals_the_golden_file(path: str, golden: Callable[[str, str], None]) -> None:
    text = texts(small_network("small", preprocess=True))[path]
    golden(f"small/{path}", text.replace(f"ptee-mcu {__version__}", "ptee-mcu VERSION"))


@pytest.mark.parametrize("path", PLACED)
def test_the_text_of_constants_in_every_place_equals_the_golden_file(
    path: str, golden: Callable[[str, str], None]
) -> None:
    require("cmsis-nn")
    text = encoded(emit(placed(small_network("placed"), MODES["mixed"])).files[path]).decode()
    golden(f"small/{path}", text.replace(f"ptee-mcu {__version__}", "ptee-mcu VERSION"))


def test_the_manifest_equals_the_golden_file(golden: Callable[[str, str], None]) -> None:
    manifest = json.loads(texts(small_network("small", preprocess=True))["manifest.json"])
    golden("small/manifest.json", json.dumps(manifest | {"files": sorted(manifest["files"]), "ptee_mcu": ""}, indent=1))


def test_two_builds_are_byte_identical() -> None:
    require("cmsis-nn")
    first, second = (emit(planned(small_network("small", preprocess=True))) for _ in range(2))
    assert {p: encoded(c) for p, c in first.files.items()} == {p: encoded(c) for p, c in second.files.items()}
    assert first.digest() == second.digest()


def test_no_file_holds_a_path_of_this_machine_or_a_date(project: Path) -> None:
    for path in sorted(project.glob("*.*")):
        text = path.read_text()
        assert str(Path(__file__).parents[2]) not in text
        assert str(Path.home()) not in text
        assert not re.search(r"\b20\d\d-\d\d-\d\d\b", text)


def test_the_manifest_hashes_every_other_file(project: Path) -> None:
    listed = json.loads((project / "manifest.json").read_text())["files"]
    found = {p.relative_to(project).as_posix(): p.read_bytes() for p in project.rglob("*") if p.is_file()}
    del found["manifest.json"]
    assert listed == {path: hashlib.sha256(content).hexdigest() for path, content in found.items()}


def test_the_manifest_states_exits_memory_and_where_cmsis_nn_is_from() -> None:
    plan = planned(small_network("small"))
    require("cmsis-nn")
    manifest = json.loads(encoded(emit(plan).files["manifest.json"]))
    assert manifest["contract"] == "ptee.int8.v1"
    assert manifest["cmsis_nn"]["release"] == "4.0.0"
    assert manifest["cmsis_nn"]["revision"] == "ca5dc34313be2ee5c46652917c30baac96c52621"
    assert manifest["cmsis_nn"]["provenance"] == ["cmsis_nn/BAKENN_PROVENANCE.md"]
    assert manifest["memory"]["arena_bytes"] == plan.arena_bytes
    assert manifest["memory"]["arena_lower_bound_bytes"] == plan.lower_bound_bytes
    assert [leave["cumulative_macs"] for leave in manifest["exits"]] == list(plan.graph.exit_macs())
    assert [leave["thresholds"] for leave in manifest["exits"]] == [{"default": 10}, None]
    assert [op["name"] for op in manifest["ops"]] == [step.node.name for step in plan.steps]


def test_only_the_needed_files_are_there() -> None:
    b = Builder((1, 4, 4, 2))
    b.exit("final", b.slice("input", (1, 2, 2, 2), step=HW(2, 2)), 3, final=True)
    files = texts(b.graph("lean"))
    assert sorted(path for path in files if path.startswith("ptee_")) == [
        "ptee_argmax.c",
        "ptee_cmsis_nn.h",
        "ptee_fully_connected.c",
        "ptee_guard.h",
        "ptee_runtime.h",
        "ptee_slice.c",
        "ptee_status.c",
    ]
    library = [path for path in files if path.startswith("cmsis_nn/Source")]
    assert "cmsis_nn/Source/FullyConnectedFunctions/arm_fully_connected_s8.c" in library
    assert not [path for path in library if "Conv" in path or "Pool" in path]
    assert {"cmsis_nn/LICENSE.txt", "cmsis_nn/BAKENN_PROVENANCE.md", "cmsis_nn/Core/LICENSE.txt"} <= set(files)


def test_another_cmsis_nn_is_taken_as_given() -> None:
    library = SourceSet("5.0.0", {"Source/a.c": b"int a;\n", "Include/a.h": b""})
    files = emit(planned(small_network()), cmsis_nn=library).files
    assert sorted(path for path in files if path.startswith("cmsis_nn/")) == [
        "cmsis_nn/Include/a.h",
        "cmsis_nn/Source/a.c",
    ]
    facts = json.loads(encoded(files["manifest.json"]))["cmsis_nn"]
    assert facts == {"release": "5.0.0", "revision": None, "provenance": []}


def test_the_name_begins_every_file_and_function() -> None:
    require("cmsis-nn")
    files = emit(planned(small_network()), name="other").files
    assert {"other.h", "other.c", "other_weights.c", "other_weights.h"} <= set(files)
    assert "small" not in encoded(files["other.c"]).decode()


def test_a_name_that_is_no_identifier_is_refused() -> None:
    with pytest.raises(ConfigError, match="'my-net' cannot begin C identifiers"):
        emit(planned(small_network()), name="my-net")


def test_equal_constants_are_kept_once() -> None:
    b = Builder((1, 4, 4, 2))
    first = b.conv("input", 2, HW(1, 1))
    op = b.nodes[-1].op
    assert isinstance(op, QConv2d)
    again = b.node(op, first, quant=Quant(0.05, 2))
    b.exit("final", again, 3, final=True)
    files = texts(b.graph("twins"))
    assert files["twins_weights.c"].count("conv2d_0_weights[") == 1
    assert "conv2d_1_weights" not in files["twins.c"]
    memory = json.loads(files["manifest.json"])["memory"]
    assert memory["weight_bytes"] - memory["constant_bytes"] == sum(a.nbytes for a in op.constants.values())


def test_equal_constants_in_different_places_are_kept_in_each() -> None:
    b = Builder((1, 4, 4, 2))
    first = b.conv("input", 2, HW(1, 1))
    op = b.nodes[-1].op
    b.exit("final", b.node(op, first, quant=Quant(0.05, 2)), 3, final=True)
    require("cmsis-nn")
    plan = placed(b.graph("twins"), lambda _, c: MAIN if c.name == "conv2d_1:weights" else FLASH)
    text = encoded(emit(plan).files["twins_weights.c"]).decode()
    assert "conv2d_0_weights[" in text
    assert 'PTEE_SECTION(".data.ptee.SRAM") const int8_t twins_conv2d_1_weights[' in text
    assert "conv2d_1_bias" not in text


def test_the_manifest_says_where_every_constant_lies() -> None:
    require("cmsis-nn")
    plan = placed(small_network("small"), MODES["mixed"])
    manifest = json.loads(encoded(emit(plan).files["manifest.json"]))
    assert plan.stage is not None
    assert manifest["memory"]["stage_bytes"] == plan.stage.nbytes
    assert (manifest["memory"]["arena_region"], manifest["memory"]["stage_region"]) == ("SRAM", "SRAM2")
    found = {
        name: (facts["how"], facts["region"], facts["load_region"], facts["offset"])
        for name, facts in manifest["constants"].items()
    }
    assert found == {
        name: (place.how.name.lower(), place.region, place.load_region, place.offset)
        for name, place in plan.placements.items()
    }
    regions = manifest["regions"]
    assert {name: facts["bytes"] for name, facts in regions.items()} == {r.name: r.nbytes for r in plan.target.regions}
    staged = sum(c.nbytes for c in constants(plan.graph) if found[c.name][0] == "staged")
    assert 0 < staged <= regions["FLASH"]["used_bytes"] + regions["QSPI"]["used_bytes"]


def test_channels_with_one_table_share_it() -> None:
    graph = small_network("small", preprocess=True)
    assert graph.preprocess is not None
    same = replace(graph, preprocess=readonly(np.repeat(graph.preprocess[:, :1], 3, axis=1), np.int8))
    assert "small_pixel_codes[256]" in texts(same)["small_weights.h"]
    assert "small_pixel_codes[768]" in texts(graph)["small_weights.h"]


def test_there_is_no_pixel_function_without_a_table() -> None:
    files = texts(small_network("small"))
    assert "input_u8" not in files["small.h"]
    assert "ptee_lookup_u8.c" not in files


def test_every_operating_point_is_in_the_header() -> None:
    graph = small_network("small")
    points = (OperatingPoint("d=0.01", (10,)), OperatingPoint("d=0.05", (-20,)))
    header = texts(replace(graph, points=points, default=1))["small.h"]
    assert "#define SMALL_THRESHOLDS_D_0_01 {10}" in header
    assert "#define SMALL_THRESHOLDS_D_0_05 {-20}" in header
    assert "#define SMALL_OPERATING_POINTS 2" in header
    assert "#define SMALL_POINT_D_0_01 0" in header
    assert "#define SMALL_POINT_D_0_05 1" in header
    assert "#define SMALL_DEFAULT_POINT SMALL_POINT_D_0_05" in header


def test_a_number_that_its_field_cannot_hold_names_the_node() -> None:
    b = Builder((1, 300, 2, 1))
    b.exit("final", b.conv("input", 1, HW(260, 1), name="tall"), 2, final=True)
    message = r"tall, 1x300x2x1 to 1x41x2x1: kernel height is 260; the run-time library holds 0 to 255"
    with pytest.raises(QuantizationError, match=message):
        emit(planned(b.graph()))


def test_an_add_whose_output_is_finer_than_the_run_time_library_computes_is_refused() -> None:
    b = Builder((1, 2, 2, 1))
    op = QAdd(0, 0, 0, Requant.from_real([0.5, 0.5, 3.0]), -128, 127)
    b.exit("final", b.node(op, "input", "input", name="fine"), 2, final=True)
    with pytest.raises(QuantizationError, match=r"fine, .*: shift of the output is 2; .* -31 to 0"):
        emit(planned(b.graph()))


@pytest.mark.parametrize("compiler", [("gcc",), CORTEX_M4, CORTEX_M0], ids=["host", "M4", "M0"])
@pytest.mark.parametrize("options", ["-O0 -DPTEE_GUARD", "-Os", "-O3", "-O3 -DPTEE_GUARD"])
@pytest.mark.parametrize("kind", ["project", "mixed", "optional"])
def test_our_c_compiles_without_a_warning(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path, compiler: tuple[str, ...], options: str
) -> None:
    require(compiler[0])
    project: Path = request.getfixturevalue(kind)
    (tmp_path / "arm_acle.h").touch()
    library = [project / "cmsis_nn" / "Include", project / "cmsis_nn" / "Core" / "Include"]
    if compiler == ("gcc",):
        library.append(tmp_path)
    system = [word for folder in library for word in ("-isystem", str(folder))]
    files = [str(path) for path in sorted(project.glob("*.c"))]
    command = [*compiler, *STRICT, *options.split(), f"-I{project}", *system, "-c", *files]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", ["project", "mixed"])
def test_the_header_is_cxx_too(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    require("gcc")
    project: Path = request.getfixturevalue(kind)
    source = tmp_path / "use.cpp"
    arguments = "nullptr, 0, nullptr, 0" if kind == "mixed" else "nullptr, 0"
    source.write_text(f'#include "small.h"\nint main() {{ small_t ctx; return small_init(&ctx, {arguments}); }}\n')
    command = ["gcc", "-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{project}"]
    subprocess.run([*command, "-c", str(source), "-o", str(tmp_path / "use.o")], check=True)


def test_there_is_no_heap_no_float_and_no_mutable_global(project: Path, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-nm")
    library = [project / "cmsis_nn" / "Include", project / "cmsis_nn" / "Core" / "Include"]
    system = [word for folder in library for word in ("-isystem", str(folder))]
    # Without a floating-point unit every float operation would be a call.
    files = [str(path) for path in sorted(project.glob("*.c"))]
    subprocess.run([*CORTEX_M0, "-O2", f"-I{project}", *system, "-c", *files], cwd=tmp_path, check=True)
    objects = [str(path) for path in sorted(tmp_path.glob("*.o"))]
    listing = subprocess.run(["arm-none-eabi-nm", *objects], capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in listing.splitlines() if line.strip() and not line.endswith(":")]
    assert [words[-1] for words in found if words[-2] in "dDbBcC"] == []
    undefined = {words[-1] for words in found if words[0] == "U"}
    assert not undefined & {"malloc", "calloc", "realloc", "free", "printf", "abort"}
    assert not [name for name in undefined if re.match(r"__aeabi_[fd]", name)]


def test_cmake_builds_two_networks_in_one_application(tmp_path: Path) -> None:
    require("gcc")
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    for name in ("one", "two"):
        written(planned(small_network(name, seed=len(name))), tmp_path / name)
    (tmp_path / "main.c").write_text(
        '#include "one.h"\n#include "two.h"\n'
        "static _Alignas(16) char arena[ONE_ARENA_BYTES > TWO_ARENA_BYTES ? ONE_ARENA_BYTES : TWO_ARENA_BYTES];\n"
        "int main(void)\n{\n    one_t one;\n    two_t two;\n"
        "    return ptee_failed(one_init(&one, arena, sizeof arena)) ||\n"
        "           ptee_failed(two_init(&two, arena, sizeof arena));\n"
        "}\n"
    )
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(app C)\nadd_subdirectory(one)\nadd_subdirectory(two)\n"
        "add_executable(app main.c)\ntarget_link_libraries(app one two)\n"
    )
    build = tmp_path / "build"
    subprocess.run(["cmake", "-S", str(tmp_path), "-B", str(build)], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", str(build), "-j2"], check=True, capture_output=True)
    subprocess.run([str(build / "app")], check=True)
