"""What the files say of the library to other build systems, and what is refused."""

import os
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from emit.integrations.reading import NAME, PDSC, Files, component, description
from support.builder import Builder, small_network
from support.emitted import planned

from ptee_mcu import boards
from ptee_mcu.artifacts import encoded
from ptee_mcu.emit import emit
from ptee_mcu.emit_integrations import KINDS, component_sub, integrations
from ptee_mcu.errors import ConfigError
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan
from ptee_mcu.tensor import HW


def test_the_zephyr_module_names_every_file_where_it_is(out: Path) -> None:
    text = (out / "integrations" / "zephyr" / "zephyr" / "CMakeLists.txt").read_text()
    named = re.findall(r'"\$\{PTEE_SMALL_DIR\}/([^"]+\.c)"', text)
    built = re.findall(r"^  (\S+\.c)$", (out / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(built)
    kconfig = (out / "integrations" / "zephyr" / "zephyr" / "Kconfig").read_text()
    assert set(re.findall(r"CONFIG_(\w+)", text)) == set(re.findall(r"^config (\w+)", kconfig, re.MULTILINE))
    groups = ("CMSIS_NN_CONVOLUTION", "CMSIS_NN_FULLYCONNECTED", "CMSIS_NN_NNSUPPORT", "CMSIS_NN_POOLING")
    assert ", ".join(groups) in kconfig


def test_the_pack_has_the_structure_of_a_pack(out: Path) -> None:
    pack = out / "integrations" / "pack"
    package = description(pack)
    order = ["vendor", "name", "description", "url", "licenseSets", "releases", "conditions", "components"]
    assert [child.tag for child in package] == order
    assert package.attrib["schemaVersion"] == "1.7.36"
    vendor, name = package.findtext("vendor"), package.findtext("name")
    assert [path.name for path in pack.glob("*.pdsc")] == [f"{vendor}.{name}.pdsc"]
    conditions = {condition.attrib["id"] for condition in package.iter("condition")}
    components = list(package.iter("component"))
    assert {c.attrib["condition"] for c in components} | {
        r.attrib["condition"] for r in package.iter("require") if "condition" in r.attrib
    } == conditions
    assert len({tuple(c.get(k) for k in ("Cclass", "Cgroup", "Csub", "Cvariant")) for c in components}) == 2
    assert [c.get("isDefaultVariant") for c in components] == ["true", None]
    for c in components:
        assert re.fullmatch(r"\d+\.\d+\.\d+", c.attrib["Cversion"])
        for key in ("Cclass", "Cgroup", "Csub", "Cvariant"):
            assert 2 <= len(c.attrib[key]) <= 32
        for file in c.iter("file"):
            path = file.attrib["name"]
            assert ".." not in path
            assert (pack / path).is_dir() if path.endswith("/") else (pack / path).is_file()
    for entry in package.iter("license"):
        assert (pack / entry.attrib["name"]).is_file()


def test_the_pack_is_valid_by_the_schema_that_is_given(out: Path) -> None:
    schema = os.environ.get("PTEE_PACK_XSD")
    if not schema:
        pytest.skip("PTEE_PACK_XSD names no PACK.xsd")
    etree = pytest.importorskip("lxml.etree")
    checker = etree.XMLSchema(etree.parse(schema))
    pdsc = etree.parse(str(out / "integrations" / "pack" / f"ptee-mcu.{NAME}.pdsc"))
    assert checker.validate(pdsc), checker.error_log


def test_the_layer_names_the_pack_beside_it_and_its_default_component(out: Path) -> None:
    pack = out / "integrations" / "pack"
    text = (pack / f"{NAME}.clayer.yml").read_text()
    found = component(description(pack), "Carried CMSIS-NN").attrib
    wanted = f"{found['Cvendor']}::{found['Cclass']}:{found['Cgroup']}:{found['Csub']}&{found['Cvariant']}"
    assert re.findall(r"- component: (.+)", text) == [wanted]
    assert re.findall(r"- pack: (.+)\n      path: (.+)", text) == [("ptee-mcu::small", ".")]
    assert text.splitlines()[1] == "layer:"


@pytest.mark.parametrize(
    ("board", "attributes", "depends"),
    [
        ("pico", [{"Dcore": "Cortex-M0+"}], "CPU_CORTEX_M0PLUS"),
        ("mps2_an385", [{"Dcore": "Cortex-M3"}], "CPU_CORTEX_M3"),
        ("nucleo_h743zi2", [{"Dcore": "Cortex-M7"}], "CPU_CORTEX_M7"),
        ("pico2", [{"Dcore": "Cortex-M33", "Ddsp": "DSP"}], "CPU_CORTEX_M33 && ARMV8_M_DSP"),
        (
            "mps3_an547",
            [{"Dcore": "Cortex-M55", "Dmve": "MVE"}, {"Dcore": "Cortex-M55", "Dmve": "FP_MVE"}],
            "CPU_CORTEX_M55 && ARMV8_1_M_MVEI",
        ),
    ],
)
def test_the_core_is_the_one_that_the_plan_is_for(
    board: str, attributes: list[dict[str, str]], depends: str, emitted: Files
) -> None:
    plan = make_plan(small_network(NAME), boards.load(board))
    files = integrations(plan, emitted, name=NAME, kinds=("pack", "zephyr"))
    package = ET.fromstring(str(files[PDSC]))  # noqa: S314 - our own text
    assert [dict(accept.attrib) for accept in package.iter("accept")] == attributes
    assert f"\tdepends on {depends}\n" in str(files["integrations/zephyr/zephyr/Kconfig"])


def test_every_copy_is_the_emitted_file(emitted: Files, made: Files) -> None:
    originals: dict[str, list[bytes]] = {}
    for path, content in emitted.items():
        originals.setdefault(path.rpartition("/")[2], []).append(encoded(content))
    copies = [path for path in made if path.endswith((".c", ".h"))]
    assert copies
    for path in copies:
        assert encoded(made[path]) in originals[path.rpartition("/")[2]], path


@pytest.mark.parametrize(("kind", "folder"), [("pack", "."), ("arduino", "extras"), ("stm32cube", "licenses")])
def test_licence_and_provenance_travel_with_every_copy(kind: str, folder: str, emitted: Files, made: Files) -> None:
    prefix = f"integrations/{kind}/" + ("" if folder == "." else f"{folder}/")
    for path in ("cmsis_nn/LICENSE.txt", "cmsis_nn/BAKENN_PROVENANCE.md"):
        assert made[prefix + path] == emitted[path]
    if kind != "pack":  # which holds no file of CMSIS-Core
        assert made[f"{prefix}cmsis_nn/Core/LICENSE.txt"] == emitted["cmsis_nn/Core/LICENSE.txt"]
    assert not any("Core" in path for path in made if path.startswith("integrations/pack/"))


def test_the_arduino_properties_are_complete(made: Files) -> None:
    text = str(made["integrations/arduino/library.properties"])
    fields = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= set(fields)
    assert fields["version"] == "1.0.0"
    assert fields["category"] == "Data Processing"
    assert f"integrations/arduino/src/{fields['includes']}" in made


def test_the_cube_readme_is_three_lines_and_no_cmake(made: Files) -> None:
    text = str(made["integrations/stm32cube/README.md"])
    assert len(text.splitlines()) == 3
    assert text.endswith("\n")
    for word in ("Inc", "Src", "CMSIS_Core", "-mcpu=cortex-m4", "licenses"):
        assert word in text
    assert not any("CMake" in path for path in made if path.startswith("integrations/stm32cube/"))


def test_the_same_plan_gives_the_same_files_in_any_order(plan: Plan, emitted: Files, made: Files) -> None:
    again = integrations(plan, dict(reversed(list(emitted.items()))), name=NAME, kinds=(*reversed(KINDS), "pack"))
    assert again == made
    assert integrations(plan, emitted, name=NAME, kinds=()) == {}


def test_a_network_without_cmsis_nn_has_one_variant_and_no_option() -> None:
    b = Builder((1, 4, 4, 2))
    b.exit("final", b.slice("input", (1, 2, 2, 2), step=HW(2, 2)), 3, final=True)
    lean = planned(b.graph("lean"))
    own = {path: content for path, content in emit(lean).files.items() if not path.startswith("cmsis_nn/")}
    files = integrations(lean, own, name="lean", kinds=KINDS)
    package = ET.fromstring(str(files["integrations/pack/ptee-mcu.lean.pdsc"]))  # noqa: S314 - our own text
    assert [c.get("Cvariant") for c in package.iter("component")] == [None]
    assert package.find("licenseSets") is None
    assert "Carried" not in str(files["integrations/pack/lean.clayer.yml"])
    assert "CMSIS_NN" not in str(files["integrations/zephyr/zephyr/Kconfig"])
    assert "CMSIS_NN" not in str(files["integrations/zephyr/zephyr/CMakeLists.txt"])
    assert "No file of CMSIS-NN is needed" in str(files["integrations/stm32cube/README.md"])


def test_a_release_that_needs_no_cmsis_core_asks_for_none(plan: Plan, emitted: Files) -> None:
    later = {path: content for path, content in emitted.items() if not path.startswith("cmsis_nn/Core/")}
    files = integrations(plan, later, name=NAME, kinds=KINDS)
    assert 'Cgroup="CORE"' in str(integrations(plan, emitted, name=NAME, kinds=KINDS)[PDSC])
    assert 'Cgroup="CORE"' not in str(files[PDSC])
    assert 'Cgroup="NN Lib"' in str(files[PDSC])
    assert not any("Core" in path for path in files)
    assert "CMSIS-Core" not in str(files["integrations/stm32cube/README.md"])
    assert "Core/Include" not in str(files["integrations/zephyr/zephyr/CMakeLists.txt"])


def test_a_long_name_becomes_a_component_that_is_still_its_own() -> None:
    first, second = component_sub("n" * 40 + "a"), component_sub("n" * 40 + "b")
    assert len(first) == len(second) == 32
    assert first != second
    assert component_sub("n" * 32) == "n" * 32


def test_the_version_is_the_one_that_is_asked_for(plan: Plan, emitted: Files) -> None:
    files = integrations(plan, emitted, name=NAME, kinds=KINDS, version="2.10.3")
    assert 'version="2.10.3"' in str(files[PDSC])
    assert "version=2.10.3\n" in str(files["integrations/arduino/library.properties"])


def test_a_board_title_of_several_lines_and_marks_breaks_no_file(plan: Plan, emitted: Files) -> None:
    odd = replace(plan, target=replace(plan.target, title='A <B> & "C"\nurl=x'))
    files = integrations(odd, emitted, name=NAME, kinds=("pack", "arduino"))
    package = ET.fromstring(str(files[PDSC]))  # noqa: S314 - our own text
    assert str(package.findtext("description")).endswith('A <B> & "C" url=x')
    assert "\nurl=x" not in str(files["integrations/arduino/library.properties"])


@pytest.mark.parametrize("version", ["1.0", "1.0.0-rc1", "01.0.0", "latest"])
def test_a_version_of_another_form_is_refused(version: str, plan: Plan, emitted: Files) -> None:
    with pytest.raises(ConfigError, match=f"'{version}' is no version of a pack"):
        integrations(plan, emitted, name=NAME, kinds=KINDS, version=version)


def test_an_unknown_build_system_is_refused(plan: Plan, emitted: Files) -> None:
    with pytest.raises(ConfigError, match=r"'mbed' is no build system known here\n.*pack, zephyr, arduino, stm32cube"):
        integrations(plan, emitted, name=NAME, kinds=("pack", "mbed"))


def test_files_of_another_library_are_refused(plan: Plan, emitted: Files) -> None:
    with pytest.raises(ConfigError, match=r"the emitted files hold no other\.c and other\.h"):
        integrations(plan, emitted, name="other", kinds=KINDS)


def test_a_name_that_c_does_not_take_is_refused(plan: Plan, emitted: Files) -> None:
    with pytest.raises(ConfigError, match="2nd"):
        integrations(plan, emitted, name="2nd", kinds=KINDS)


def test_a_core_without_a_name_is_refused(plan: Plan, emitted: Files) -> None:
    other = replace(plan, target=replace(plan.target, cpu="cortex-m99"))
    with pytest.raises(ConfigError, match="cortex-m99 has no name in CMSIS-Pack and Zephyr here"):
        integrations(other, emitted, name=NAME, kinds=KINDS)


@pytest.mark.parametrize("kind", ["arduino", "stm32cube"])
def test_two_files_of_one_place_are_refused(kind: str, plan: Plan, emitted: Files) -> None:
    twice = {**emitted, "cmsis_nn/Source/Other/Small.c": "int x;\n"}
    with pytest.raises(ConfigError, match=r"small\.c and cmsis_nn/Source/Other/Small\.c would both be [Ss]rc/Small\.c"):
        integrations(plan, twice, name=NAME, kinds=(kind,))
