"""Releases of CMSIS-NN: how one is recognised and found, and that one emitted text serves those that differ."""

import re
import shutil
from pathlib import Path

import pytest
from support.builder import small_network
from support.differential import Differential
from support.emitted import planned
from support.tools import require

from ptee_mcu.artifacts import Artifacts
from ptee_mcu.emit import emit
from ptee_mcu.errors import ToolMissingError
from ptee_mcu.firmware import cmsis_nn, releases

REVISIONS = {
    "11.2.0": "4.0.0",
    "11.3.0": "4.1.0",
    "12.4.0": "5.0.0",
    "16.0.0": "6.0.0",
    "18.0.0": "7.0.0",
    "19.1.0": "later than 7.0.0",
}


@pytest.fixture(autouse=True)
def _no_pack_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMSIS_NN_PATH", raising=False)
    monkeypatch.setenv("CMSIS_PACK_ROOT", str(tmp_path / "packs"))


def a_library(folder: Path, revision: str) -> Path:
    (folder / "Include").mkdir(parents=True)
    (folder / "Source").mkdir()
    (folder / "Include" / "arm_nnfunctions.h").write_text(f"/* $Revision:    V.{revision} */\n")
    return folder


def a_pack(root: Path, version: str, revision: str) -> Path:
    return a_library(root / "packs" / "ARM" / "CMSIS-NN" / version, revision)


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_release_is_recognised_by_its_revision(revision: str, tmp_path: Path) -> None:
    assert releases.release(a_library(tmp_path / "nn", revision)) == REVISIONS[revision]


@pytest.mark.parametrize("revision", ["13.0.0", "20.0.0"])
def test_any_other_revision_is_refused_with_what_is_supported(revision: str, tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=rf"revision {revision} belongs to no supported release") as error:
        releases.release(a_library(tmp_path / "nn", revision))
    for known, name in REVISIONS.items():
        assert f"{name} ({known})" in str(error.value)


def test_a_folder_without_the_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"holds no CMSIS-NN: Include/arm_nnfunctions\.h is missing"):
        cmsis_nn.locate(tmp_path)


def test_the_first_release_needs_core_headers_and_says_which(tmp_path: Path) -> None:
    with pytest.raises(ToolMissingError, match=r"4\.0\.0 needs cmsis_compiler\.h and cmsis_gcc\.h of CMSIS-Core"):
        cmsis_nn.locate(a_library(tmp_path / "nn", "11.2.0"))


def test_later_releases_need_no_core_headers(tmp_path: Path) -> None:
    found = cmsis_nn.locate(a_library(tmp_path / "nn", "11.3.0"))
    assert (found.core, found.release) == (None, "4.1.0")
    assert found.include_dirs == (tmp_path / "nn" / "Include",)


def test_core_headers_may_come_from_the_newest_pack_of_cmsis(tmp_path: Path) -> None:
    library = a_pack(tmp_path, "4.0.0", "11.2.0")
    for version in ("5.9.0", "5.10.0"):
        include = tmp_path / "packs" / "ARM" / "CMSIS" / version / "CMSIS" / "Core" / "Include"
        include.mkdir(parents=True)
        for header in ("cmsis_compiler.h", "cmsis_gcc.h"):
            (include / header).touch()
    core = cmsis_nn.locate(library).core
    assert core is not None
    assert core.parts[-3:] == ("5.10.0", "CMSIS", "Core")


def test_a_version_names_a_pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = a_pack(tmp_path, "7.0.0", "18.0.0")
    assert cmsis_nn.locate(Path("7.0.0")).folder == pack
    monkeypatch.setenv("CMSIS_NN_PATH", "7.0.0")
    assert cmsis_nn.locate().folder == pack


def test_a_version_that_is_no_pack_is_refused_with_those_there_are(tmp_path: Path) -> None:
    a_pack(tmp_path, "6.0.0", "16.0.0")
    with pytest.raises(ToolMissingError, match=r"has no pack of CMSIS-NN 7\.0\.0; it has 6\.0\.0") as error:
        cmsis_nn.locate(Path("7.0.0"))
    assert "cpackget add ARM::CMSIS-NN@7.0.0" in str(error.value)


def test_without_the_carried_sources_the_newest_supported_pack_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match="sources are not installed") as error:
        cmsis_nn.locate()
    assert "ptee-mcu[cmsis]" in str(error.value)
    for version, revision in {"5.0.0": "12.4.0", "6.0.0": "16.0.0", "10.0.0": "99.0.0"}.items():
        a_pack(tmp_path, version, revision)
    assert cmsis_nn.locate().release == "6.0.0"


def test_the_pack_cache_is_where_cmsis_toolbox_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CMSIS_PACK_ROOT")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    assert releases.pack_root() == tmp_path / "arm" / "packs"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert releases.pack_root() == tmp_path / "local" / "Arm" / "Packs"


def test_the_hash_of_a_tree_tells_any_change_of_a_source_or_a_header_below(tmp_path: Path) -> None:
    library = a_library(tmp_path / "nn", "18.0.0")
    seen = {releases.source_hash(library)}
    for name in ("Source/a.c", "Include/Internal/b.h"):
        (library / name).parent.mkdir(exist_ok=True)
        (library / name).write_text("int a;\n")
        seen.add(releases.source_hash(library))
    (library / "Source" / "a.c").rename(library / "Source" / "c.c")
    seen.add(releases.source_hash(library))
    (library / "README.md").write_text("no source")
    seen.add(releases.source_hash(library))
    assert len(seen) == 4


def test_the_status_of_a_tree_is_its_release_and_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = a_library(tmp_path / "nn", "18.0.0")
    assert cmsis_nn.status(library).version == f"7.0.0, sources {releases.source_hash(library)[:12]}, in {library}"
    with pytest.raises(ToolMissingError, match="belongs to no supported release"):
        cmsis_nn.status(a_library(tmp_path / "other", "1.2.3"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    missing = cmsis_nn.status()
    assert not missing.found
    assert "ptee-mcu[cmsis]" in missing.install


def later(folder: Path) -> Path:
    """The carried sources changed as 7.0 is: a parameter more, and a fully connected layer that reads ctx->buf only."""
    require("cmsis-nn")
    carried = cmsis_nn.locate()
    assert carried.core is not None
    library = folder / "later"
    shutil.copytree(carried.folder, library)
    for header in ("cmsis_compiler.h", "cmsis_gcc.h"):
        shutil.copy(carried.core / "Include" / header, library / "Include")

    def edit(name: str, pattern: str, replacement: str, *, count: int) -> None:
        path = library / name
        text, made = re.subn(pattern, replacement, path.read_text())
        assert made == count, name
        path.write_text(text)

    declared = r"(arm_convolve_s8\((?:[^()]*?)const int32_t \*bias_data,\s*)(const cmsis_nn_dims \*output_dims)"
    edit("Include/arm_nnfunctions.h", r"V\.11\.2\.0", "V.18.0.0", count=1)
    edit("Include/arm_nnfunctions.h", declared, r"\1const cmsis_nn_dims *upscale_dims, \2", count=1)
    convolve = "Source/ConvolutionFunctions/arm_convolve_s8.c"
    edit(convolve, declared, r"\1const cmsis_nn_dims *upscale_dims, \2", count=1)
    edit(convolve, r"\(void\)bias_dims;", "(void)bias_dims; if (upscale_dims) return ARM_CMSIS_NN_ARG_ERROR;", count=1)
    wrapper = "Source/ConvolutionFunctions/arm_convolve_wrapper_s8.c"
    edit(wrapper, r"(return arm_convolve_s8\((?:[^()]*?)bias_data,\s*)(output_dims)", r"\1NULL, \2", count=1)
    connected = "Source/FullyConnectedFunctions/arm_fully_connected_s8.c"
    edit(connected, r"(kernel,\s*)bias,(\s*output,\s*)fc_params->input_offset", r"\1ctx->buf,\g<2>0", count=1)
    return library


def test_one_text_computes_the_same_bytes_where_signatures_and_kernel_sums_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("gcc")
    monkeypatch.setenv("CMSIS_NN_PATH", str(later(tmp_path)))
    differential = Differential(small_network(), tmp_path)
    for step in differential.plan.steps:
        differential.check("host", step.node.name)


def test_the_text_does_not_depend_on_the_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(small_network())

    def own(found: Artifacts) -> dict[str, str | bytes]:
        listing = ("cmsis_nn/", "CMakeLists.txt", "manifest.json")  # of the library's files, and its release
        return {path: text for path, text in found.files.items() if not path.startswith(listing)}

    carried = own(emit(plan))
    monkeypatch.setenv("CMSIS_NN_PATH", str(later(tmp_path)))
    found = emit(plan)
    assert own(found) == carried
    assert "cmsis_nn/Core/Include/cmsis_gcc.h" not in found.files
    assert '"release": "7.0.0"' in str(found.files["manifest.json"])
