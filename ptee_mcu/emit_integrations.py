"""An emitted library as other build systems want it: CMSIS-Pack, Zephyr, Arduino, STM32Cube."""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from ptee_mcu import emit_c
from ptee_mcu.emit_facts import CMSIS_NN_FOLDER
from ptee_mcu.emit_text import BANNER, environment
from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa
from ptee_mcu.plan.plan import Plan
from ptee_mcu.project_kind import ProjectKind
from ptee_mcu.target import Target

FOLDER = "integrations"
VENDOR = "ptee-mcu"
COMPONENT_CLASS = "Machine Learning"
COMPONENT_GROUP = "Early Exit Network"
CARRIED = "Carried CMSIS-NN"
OF_THE_PROJECT = "CMSIS-NN of the project"

Files: TypeAlias = dict[str, str | bytes]

_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_CORE_FOLDER = f"{CMSIS_NN_FOLDER}/Core/"
_LONGEST_SUB = 32  # Source: CsubType of PACK.xsd 1.7.60
# As PACK.xsd spells them (DcoreEnum), and Zephyr (CPU_CORTEX_*, arch/arm/core/cortex_m/Kconfig).
_CORES = MappingProxyType({
    "cortex-m0": ("Cortex-M0", "CPU_CORTEX_M0"),
    "cortex-m0plus": ("Cortex-M0+", "CPU_CORTEX_M0PLUS"),
    "cortex-m3": ("Cortex-M3", "CPU_CORTEX_M3"),
    "cortex-m4": ("Cortex-M4", "CPU_CORTEX_M4"),
    "cortex-m7": ("Cortex-M7", "CPU_CORTEX_M7"),
    "cortex-m33": ("Cortex-M33", "CPU_CORTEX_M33"),
    "cortex-m55": ("Cortex-M55", "CPU_CORTEX_M55"),
})  # fmt: skip
# Folders of CMSIS-NN's Source, and the options that compile them. Source: Zephyr, modules/cmsis-nn/Kconfig.
_ZEPHYR_GROUPS = MappingProxyType({
    "ConvolutionFunctions": "CMSIS_NN_CONVOLUTION",
    "FullyConnectedFunctions": "CMSIS_NN_FULLYCONNECTED",
    "NNSupportFunctions": "CMSIS_NN_NNSUPPORT",
    "PoolingFunctions": "CMSIS_NN_POOLING",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Library:
    """The emitted files by what they are; paths as in the project."""

    name: str
    version: str
    target: Target
    files: Mapping[str, str | bytes]

    def _these(self, *, library: bool, suffix: str) -> tuple[str, ...]:
        found = (path for path in sorted(self.files) if path.endswith(suffix))
        return tuple(p for p in found if (p.startswith(f"{CMSIS_NN_FOLDER}/") if library else "/" not in p))

    @property
    def own_sources(self) -> tuple[str, ...]:
        return self._these(library=False, suffix=".c")

    @property
    def own_headers(self) -> tuple[str, ...]:
        return self._these(library=False, suffix=".h")

    @property
    def sources(self) -> tuple[str, ...]:
        """Of CMSIS-NN."""
        return self._these(library=True, suffix=".c")

    @property
    def headers(self) -> tuple[str, ...]:
        """Of CMSIS-NN, without CMSIS-Core."""
        found = self._these(library=True, suffix=".h")
        return tuple(path for path in found if not path.startswith(_CORE_FOLDER))

    @property
    def core_headers(self) -> tuple[str, ...]:
        """Of CMSIS-Core; none where this release of CMSIS-NN needs none."""
        return tuple(path for path in self._these(library=True, suffix=".h") if path.startswith(_CORE_FOLDER))

    @property
    def notices(self) -> tuple[str, ...]:
        """Licences and provenance of CMSIS-NN and CMSIS-Core."""
        return tuple(path for path in self._these(library=True, suffix="") if not path.endswith((".c", ".h")))

    @property
    def context(self) -> dict[str, object]:
        """What several templates use."""
        return {
            "banner": BANNER,
            "name": self.name,
            "prefix": self.name.upper(),
            "version": self.version,
            "title": " ".join(self.target.title.split()),
            "core": _CORES[self.target.cpu][0],
            "flags": self.target.flags,
            "own_sources": self.own_sources,
            "sources": self.sources,
            "needs_core": bool(self.core_headers),
            "notices": self.notices,
        }

    def copied(self, places: Mapping[str, str]) -> Files:
        """The files that `places` names, each at its place."""
        return {place: self.files[path] for path, place in places.items()}


def integrations(
    plan: Plan,
    artifacts_files: Mapping[str, str | bytes],
    *,
    name: str,
    kinds: Sequence[str],
    version: str = "1.0.0",
) -> Files:
    """Files below `integrations/<kind>/` beside the library `name` that `emit` makes of `plan`.

    pack, arduino and stm32cube hold copies of the sources, and of CMSIS-NN's licence and provenance with them; zephyr
    refers to the sources of the project.

    Args:
        plan: what the library runs, where.
        artifacts_files: what `emit` gave, by path; more files beside them do no harm.
        name: of the library.
        kinds: of `KINDS`, in any order.
        version: of the pack and of the Arduino library, whose tools keep what they have until it is another.

    Raises:
        ConfigError: where a kind is unknown, `version` is not of the form 1.2.3, the files are not those of `name`, two
            of them would have one place in a flat folder, or the core has no name in these build systems.
    """
    name = emit_c.require_name(name)
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"{kind!r} is no build system known here", hint=f"choose from {', '.join(KINDS)}")
    if not _VERSION.fullmatch(version):
        raise ConfigError(f"{version!r} is no version of a pack", hint="three numbers, such as 1.0.0")
    if not {f"{name}.c", f"{name}.h"} <= set(artifacts_files):
        raise ConfigError(f"the emitted files hold no {name}.c and {name}.h", hint="give emit the same name")
    if plan.target.cpu not in _CORES:
        raise ConfigError(
            f"{plan.target.name}: {plan.target.cpu} has no name in CMSIS-Pack and Zephyr here",
            hint=f"known are {', '.join(_CORES)}",
        )
    library = _Library(name, version, plan.target, artifacts_files)
    return {
        f"{FOLDER}/{kind}/{path}": content
        for kind in dict.fromkeys(kinds)
        for path, content in _MAKERS[kind](library).items()
    }


def component_sub(name: str) -> str:
    """Csub of the component of network `name`: its name; where that is too long, its start and its CRC-32."""
    return name if len(name) <= _LONGEST_SUB else f"{name[: _LONGEST_SUB - 9]}_{zlib.crc32(name.encode()):08x}"


def _pack(library: _Library) -> Files:
    """A pack is a zip with its description at the top and every path below it: no `..`, so the sources are copied.

    CMSIS-Core is not: every project of a pack has it, and that of its compiler.
    """
    sub = component_sub(library.name)
    carried = [path for path in library.notices if not path.startswith(_CORE_FOLDER)]
    headers = {path: f"Include/{path}" for path in library.own_headers}
    sources = {path: f"Source/{path}" for path in library.own_sources}
    kept = {path: path for path in (*library.sources, *library.headers, *carried)}
    variants = [(CARRIED, CARRIED, True), (OF_THE_PROJECT, OF_THE_PROJECT, False)]
    context = library.context | {
        "vendor": VENDOR,
        "class": COMPONENT_CLASS,
        "group": COMPONENT_GROUP,
        "sub": sub,
        "licenses": [path for path in carried if "LICENSE" in path],
        "records": [path for path in carried if "LICENSE" not in path],
        "accepted": _accepted(library.target),
        "own_headers": tuple(headers.values()),
        "own_sources": tuple(sources.values()),
        "variants": variants if library.sources else [(None, "Core", False)],
        "component": f"{VENDOR}::{COMPONENT_CLASS}:{COMPONENT_GROUP}:{sub}"
        + (f"&{CARRIED}" if library.sources else ""),
    }
    return {
        f"{VENDOR}.{library.name}.pdsc": _rendered("pack.pdsc.j2", context),
        f"{library.name}.clayer.yml": _rendered("layer.clayer.yml.j2", context),
        **library.copied(headers | sources | kept),
    }


def _accepted(target: Target) -> list[dict[str, str]]:
    """Attributes of devices in CMSIS-Pack that have the core of `target`; one of them must fit."""
    core = {"Dcore": _CORES[target.cpu][0]}
    if target.cpu == "cortex-m33":
        return [core | {"Ddsp": "DSP" if target.isa is Isa.DSP else "NO_DSP"}]
    if target.isa is Isa.MVE:
        return [core | {"Dmve": "MVE"}, core | {"Dmve": "FP_MVE"}]
    return [core]


def _zephyr(library: _Library) -> Files:
    """A module's CMakeLists.txt may name files anywhere, so those of the project are compiled where they are."""
    target = library.target
    depends = _CORES[target.cpu][1]
    if target.cpu == "cortex-m33":
        depends += " && ARMV8_M_DSP" if target.isa is Isa.DSP else " && !ARMV8_M_DSP"
    if target.isa is Isa.MVE:
        depends += " && ARMV8_1_M_MVEI"
    folders = {path.split("/")[-2] for path in library.sources}
    context = library.context | {
        "depends": depends,
        "groups": [option for folder, option in _ZEPHYR_GROUPS.items() if folder in folders],
        "include_dirs": sorted({path.rpartition("/")[0] for path in (*library.headers, *library.core_headers)}),
    }
    return {
        "zephyr/module.yml": _rendered("module.yml.j2", context),
        "zephyr/CMakeLists.txt": _rendered("zephyr.cmake.j2", context),
        "zephyr/Kconfig": _rendered("Kconfig.j2", context),
    }


def _arduino(library: _Library) -> Files:
    """Only `src` itself is an include path, so all files lie in it; and a library is a folder of its own: copies."""
    flat = (*library.own_sources, *library.own_headers, *library.sources, *library.headers, *library.core_headers)
    places = _flat(flat, "src") | {path: f"extras/{path}" for path in library.notices}
    return {"library.properties": _rendered("library.properties.j2", library.context), **library.copied(places)}


def _stm32cube(library: _Library) -> Files:
    """A project of STM32CubeIDE or of CubeMX's Makefile takes folders of headers and of sources: copies.

    CMSIS-Core stays apart, since such a project has one of its own.
    """
    places = _flat((*library.own_headers, *library.headers), "Inc")
    places |= _flat((*library.own_sources, *library.sources), "Src")
    places |= _flat(library.core_headers, "CMSIS_Core")
    places |= {path: f"licenses/{path}" for path in library.notices}
    return {"README.md": _rendered("README.md.j2", library.context), **library.copied(places)}


def _flat(paths: Iterable[str], folder: str) -> dict[str, str]:
    """Each of `paths` in `folder`, without the folders it had; distinct also where case does not count."""
    taken: dict[str, str] = {}
    places = {}
    for path in paths:
        place = f"{folder}/{path.rpartition('/')[2]}"
        other = taken.setdefault(place.lower(), path)
        if other != path:
            raise ConfigError(
                f"{other} and {path} would both be {place}", hint="use another release of CMSIS-NN, or CMakeLists.txt"
            )
        places[path] = place
    return places


def _rendered(template: str, context: Mapping[str, object]) -> str:
    return environment().get_template(f"{FOLDER}/{template}").render(context)


_MAKERS: Mapping[str, Callable[[_Library], Files]] = MappingProxyType({
    ProjectKind.PACK: _pack,
    ProjectKind.ZEPHYR: _zephyr,
    ProjectKind.ARDUINO: _arduino,
    ProjectKind.STM32CUBE: _stm32cube,
})  # fmt: skip
KINDS = tuple(_MAKERS)
