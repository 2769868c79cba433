"""A plan as a C library: every file, as a value; nothing is written here."""

import re
import zlib
from collections.abc import Iterable, Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import jinja2

from ptee_mcu import emit_c, emit_linker, emit_safety
from ptee_mcu.artifacts import Artifacts, with_manifest
from ptee_mcu.emit_anytime import anytime
from ptee_mcu.emit_facts import CMSIS_NN_FOLDER, facts
from ptee_mcu.emit_safety import ABI_PLACEHOLDER, Check
from ptee_mcu.emit_text import BANNER, environment
from ptee_mcu.emit_view import Call, View, make_view
from ptee_mcu.errors import ConfigError, QuantizationError
from ptee_mcu.firmware.cmsis_nn import SourceSet, sources_for
from ptee_mcu.plan.placement import CONSTANT_ALIGN
from ptee_mcu.plan.plan import ARENA_ALIGN, Plan
from ptee_mcu.quant_graph import ALWAYS, CONTRACT, NEVER, QuantGraph

_MOST_EXITS = 253  # NAME_t counts segments in a uint8_t that also says "ended", "no input" and "running"
_MOST_POINTS = 127  # and points in a byte
_INCLUDE = re.compile(r'^#include "(ptee_\w+\.h)"', re.MULTILINE)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CMSIS_NN_FUNCTION = re.compile(r"\barm_\w+_s8\w*")


def emit(
    plan: Plan,
    *,
    cmsis_nn: SourceSet | None = None,
    where: Path | None = None,
    name: str | None = None,
    crc: bool = False,
    yield_every_op: bool = False,
) -> Artifacts:
    """The C library `name` (default: the graph's name) that runs `plan`, with everything it needs to compile.

    Args:
        plan: what to run, where.
        cmsis_nn: the library's files; by default those that the plan needs of the CMSIS-NN in `where`.
        where: a folder or a version in the CMSIS-Pack cache; the installed one where None.
        name: begins every file and identifier.
        crc: with NAME_check, which NAME_init calls too: a CRC-32 over every constant.
        yield_every_op: with NAME_step_op, which runs one op.

    Raises:
        ConfigError: where `name` cannot begin C identifiers, two operating points have one C name, or exits or
            operating points are more than the context can count.
        QuantizationError: where an attribute exceeds what the run-time library can hold, naming the node.
        ToolMissingError: where CMSIS-NN is not installed.
    """
    name = emit_c.require_name(name or plan.graph.name)
    _require_countable(plan.graph)
    view = make_view(plan, name)
    runtime = _runtime_files(plan, view, crc=crc)
    if cmsis_nn is None:
        symbols = cmsis_nn_symbols(runtime.values())
        cmsis_nn = sources_for(symbols, where) if symbols else SourceSet("none", {})
    library = {f"{CMSIS_NN_FOLDER}/{path}": content for path, content in cmsis_nn.files.items()}
    times = anytime(plan, view, yield_every_op=yield_every_op)
    rendered = _rendered(plan, view, name, None, times)
    if crc:
        check = emit_safety.check(view, str(rendered[f"{name}.c"]), str(runtime["ptee_runtime.h"]))
        rendered = _rendered(plan, view, name, check, times)
    abi = emit_safety.abi(rendered)
    files = emit_safety.stamped(rendered, abi) | runtime | library
    include_dirs = [f"{CMSIS_NN_FOLDER}/{path}" for path in cmsis_nn.include_dirs] if library else []
    files[f"{name}.ld"] = emit_linker.plan_script(plan)
    files["CMakeLists.txt"] = environment().get_template("CMakeLists.txt.j2").render(
        banner=BANNER, name=name, sources=sorted(p for p in files if p.endswith(".c")), include_dirs=include_dirs
    )  # fmt: skip
    return with_manifest(
        files, facts(plan, view, name, cmsis_nn) | {"abi": abi, "crc": crc, "yield_every_op": yield_every_op}
    )


def _require_countable(graph: QuantGraph) -> None:
    """Refuses what the bytes of a context cannot count."""
    for what, count, most in (
        ("exits", len(graph.exits), _MOST_EXITS),
        ("operating points", len(graph.points), _MOST_POINTS),
    ):
        if count > most:
            raise ConfigError(f"{graph.name}: {count} {what}; the C counts up to {most}", hint=f"keep fewer {what}")


def cmsis_nn_symbols(sources: Iterable[str | bytes]) -> frozenset[str]:
    """The CMSIS-NN functions that C `sources` name."""
    texts = [text for text in sources if isinstance(text, str)]
    return frozenset(symbol for text in texts for symbol in _CMSIS_NN_FUNCTION.findall(_COMMENT.sub(" ", text)))


def _rendered(
    plan: Plan, view: View, name: str, check: Check | None, times: Mapping[str, object]
) -> dict[str, str | bytes]:
    templates, graph = environment(), plan.graph
    for call in view.calls:
        _require_representable(templates, call)
    context: dict[str, Any] = {
        "banner": BANNER,
        "name": name,
        "prefix": name.upper(),
        "contract": CONTRACT,
        "magic": f"0x{zlib.crc32(name.encode()) | 1:08x}",
        "arena_bytes": plan.arena_bytes,
        "arena_align": ARENA_ALIGN,
        "arena_region": plan.arena_region,
        "loads": ", ".join(dict.fromkeys(boot.region for boot in emit_linker.boots(plan))),
        "arena_section": emit_linker.bss_section(plan.arena_region),
        "stage": plan.stage,
        "stage_align": CONSTANT_ALIGN,
        "stage_section": emit_linker.bss_section(plan.stage.region) if plan.stage else None,
        "input_constants": tuple(_input_constants(graph)),
        "input_layout": "height, width, channel" if len(graph.input_tensor.shape) == 4 else "one per feature",
        "input_offset": plan.arena[graph.input].offset,
        "classes": graph.classes,
        "exits": view.exits,
        "early": view.exits[:-1],
        "points": view.points,
        "default_point": view.default_point,
        "table": view.table,
        "skips": any(part.optional for segment in view.segments for part in segment),
        "calls": view.calls,
        "kinds": view.kinds,
        "segments": view.segments,
        "images": view.images,
        "loadings": view.loadings,
        "lookup": view.lookup,
        "arrays": view.arrays,
        "always": ALWAYS,
        "never": NEVER,
        "abi": ABI_PLACEHOLDER,
        "check": check,
        **times,
    }
    files = {
        f"{name}.h": "model.h.j2",
        f"{name}.c": "model.c.j2",
        f"{name}_weights.h": "weights.h.j2",
        f"{name}_weights.c": "weights.c.j2",
    }
    return {path: templates.get_template(template).render(context) for path, template in files.items()}


def _require_representable(templates: jinja2.Environment, call: Call) -> None:
    try:
        # A template's module holds its macros as attributes that the type checker cannot see.
        module: Any = templates.get_template(f"ops/{call.kind}.c.j2").module
        module.descriptor(call)
    except emit_c.FieldRangeError as error:
        raise QuantizationError(
            f"{call.note}: {error}", hint="change this layer, or the scales of its tensors, in the model"
        ) from error


def _input_constants(graph: QuantGraph) -> Iterable[tuple[str, str]]:
    tensor = graph.input_tensor
    yield "BYTES", str(tensor.nbytes)
    axes = ("H", "W", "C") if len(tensor.shape) == 4 else ("FEATURES",)
    yield from zip(axes, map(str, tensor.shape[1:]), strict=True)
    yield "SCALE", emit_c.single(tensor.quant.scale)
    yield "ZERO_POINT", f"({tensor.quant.zero_point})"


def _runtime_files(plan: Plan, view: View, *, crc: bool) -> dict[str, str | bytes]:
    """The files of the run-time library that the ops and the constants need, and the headers those include."""
    folder = package_files("ptee_mcu.templates").joinpath("runtime")
    waiting = {"ptee_runtime.h", "ptee_guard.h", "ptee_status.c", "ptee_argmax.c"}
    waiting |= {f"ptee_{kind}.c" for kind in view.kinds}
    if view.lookup:
        waiting.add("ptee_lookup_u8.c")
    if view.images:
        waiting |= {"ptee_stage.c", "ptee_copy.c"}
    if emit_linker.boots(plan):
        waiting.add("ptee_load_sections.c")
    if crc:
        waiting.add("ptee_crc32.c")
    found: dict[str, str | bytes] = {}
    while waiting:
        path = waiting.pop()
        text = folder.joinpath(path).read_text(encoding="utf-8")
        found[path] = text
        waiting |= set(_INCLUDE.findall(text)) - set(found)
    return dict(sorted(found.items()))
