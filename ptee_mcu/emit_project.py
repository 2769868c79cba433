"""A plan as a project without an operating system, beside its C library: what compiles, flashes and tests itself."""

import json
import re
from dataclasses import dataclass
from importlib.resources import files as package_files

from ptee_mcu import emit_c
from ptee_mcu.emit_text import BANNER, environment
from ptee_mcu.errors import ModelError
from ptee_mcu.firmware import uart
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, CONTRACT, NEVER
from ptee_mcu.target import Target
from ptee_mcu.tensor import Int8, UInt8

FOLDER = "bare"
_PACKAGE = "ptee_mcu.templates"
_ABI = re.compile(r"0x[0-9a-f]{8}")
_PER_ROW = 24
_L1_CACHED = ("cortex-m7", "cortex-m55")  # cores whose level 1 caches are off after reset


@dataclass(frozen=True, slots=True, eq=False)
class GoldenCase:
    """The answer to one input: leaving at exit `leave`, or by the default operating point where None."""

    input: int  # number in `Golden.inputs`
    leave: int | None
    exit: int
    label: int
    confidence: int
    logits: Int8  # (classes,)


@dataclass(frozen=True, slots=True, eq=False)
class Golden:
    """Inputs by number, as NAME_input_u8 takes them where they are uint8, else as codes; and answers to them."""

    inputs: dict[int, UInt8 | Int8]
    cases: tuple[GoldenCase, ...]


def abi_of(manifest: str | bytes) -> str:
    """The hash of the build that `manifest` is of.

    Raises:
        ModelError: where it holds none.
    """
    try:
        facts = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"manifest.json is damaged: {error}", hint="build it again") from error
    found = facts.get("abi") if isinstance(facts, dict) else None
    if not isinstance(found, str) or not _ABI.fullmatch(found):
        raise ModelError(f"manifest.json: abi is {found!r}, not the hash of a build", hint="build it again")
    return found


def bare_project(plan: Plan, golden: Golden, *, abi: str, name: str | None = None) -> dict[str, str | bytes]:
    """Files of the folder `bare` beside the library `name` (default: the graph's name) that `emit` makes of `plan`.

    Start-up code, UART drivers, the applications `selftest` and `measure`, CMake files; they link by the library's
    own NAME.ld. `abi`, by `abi_of`: of the build that the golden answers are of; beside another's NAME.h they do not
    compile.

    Raises:
        ConfigError: where `name` cannot begin C identifiers.
    """
    name = emit_c.require_name(name or plan.graph.name)
    templates = environment()
    pixels = plan.graph.preprocess is not None
    context = {
        "banner": BANNER,
        "name": name,
        "prefix": name.upper(),
        "abi": abi,
        "contract": CONTRACT,
        "title": plan.target.title,
        "cpu": plan.target.cpu,
        "flags": plan.target.flags,
        "early": len(plan.graph.exits) > 1,
        "stage": plan.stage is not None,
        "pixels": pixels,
        "c_type": "uint8_t" if pixels else "int8_t",
        "always": ALWAYS,
        "never": NEVER,
        "inputs": [(number, _rows(codes)) for number, codes in golden.inputs.items()],
        "cases": golden.cases,
        "uart": uart.of_board(plan.target),
        "defines": board_defines(plan.target) + uart.of_board(plan.target).defines,
    }
    found: dict[str, str | bytes] = {}
    for item in sorted(package_files(_PACKAGE).joinpath("project").iterdir(), key=lambda item: item.name):
        if item.name.endswith(".j2"):
            text = templates.get_template(f"project/{item.name}").render(context)
            found[f"{FOLDER}/{item.name.removesuffix('.j2')}"] = text
        elif item.name.endswith((".c", ".h", ".json")):
            found[f"{FOLDER}/{item.name}"] = item.read_text(encoding="utf-8")
    return found


def board_defines(target: Target) -> tuple[str, ...]:
    """Macros by which the start-up code knows what `target` wants of it."""
    found = []
    if target.cpu in _L1_CACHED:
        found.append("BOARD_L1_CACHES=1")
    if target.debug is not None and target.debug.probe_rs == "RP235x":
        found.append("BOARD_RP2350=1")
    return tuple(found)


def _rows(codes: UInt8 | Int8) -> list[str]:
    flat = codes.reshape(-1).tolist()
    return [", ".join(map(str, flat[i : i + _PER_ROW])) + "," for i in range(0, len(flat), _PER_ROW)]
