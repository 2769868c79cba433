"""docs/firmware-api.md names all that the emitted headers offer to an application, and nothing else."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.builder import Builder
from support.emitted import planned
from support.placed import MODES, placed
from support.points import switched_network

from ptee_mcu.artifacts import encoded
from ptee_mcu.emit import emit
from ptee_mcu.firmware.cmsis_nn import SourceSet
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import readonly

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "firmware-api.md").read_text(encoding="utf-8")
RUNTIME = (ROOT / "templates" / "runtime" / "ptee_runtime.h").read_text(encoding="utf-8")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
NAMED = re.compile(r"^NAME_(EXIT|POINT|THRESHOLDS)_\w+$")  # after something of the network: one word for all


def images() -> QuantGraph:
    """A network with every part of the API: early exits, points, a pixel table."""
    return replace(switched_network("net"), preprocess=readonly(np.zeros((256, 2)), np.int8))


def features() -> QuantGraph:
    """A network without early exits, on features."""
    b = Builder((1, 6))
    b.exit("final", "input", 3, final=True)
    return b.graph("net")


def staged() -> Plan:
    """A network whose constants go through a stage."""
    return placed(images(), MODES["staged"])


def header(plan: Plan) -> str:
    """The header in NAME's words, without comments."""
    text = encoded(emit(plan, cmsis_nn=SourceSet("none", {}), crc=True, yield_every_op=True).files["net.h"]).decode()
    return COMMENT.sub("", re.sub(r"\b(net|NET)_", "NAME_", text))


PLANS = {"early exits": planned(images()), "none": planned(features()), "staged": staged()}


def macros(text: str) -> set[str]:
    found = set(re.findall(r"^#define (NAME_\w+) ", text, re.MULTILINE))
    return {f"{NAMED.match(name)[1]}" if NAMED.match(name) else name for name in found}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_function_stands_on_the_page_with_its_arguments(plan: Plan) -> None:
    text = header(plan).replace("static inline ", "")
    prototypes = re.findall(r"^(?:\w+ )+\**NAME_\w+\([^)]*\)", text, re.MULTILINE)
    assert len(prototypes) >= 7
    assert [prototype for prototype in prototypes if f"| `{prototype}` |" not in PAGE] == []


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_macro_and_field_stands_on_the_page(plan: Plan) -> None:
    text = header(plan)
    generic = {"EXIT": "NAME_EXIT_<EXIT>", "POINT": "NAME_POINT_<POINT>", "THRESHOLDS": "NAME_THRESHOLDS_<POINT>"}
    names = {generic.get(name, name) for name in macros(text)}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()
    fields = re.findall(r"(\w.*);", text.split("typedef struct NAME_result {")[1].split("}")[0])
    assert len(fields) == 5
    assert [field for field in fields if f"`{field}`" not in PAGE] == []


def test_every_status_stands_on_the_page() -> None:
    statuses = re.findall(r"^    (PTEE_\w+)", RUNTIME.split("typedef enum {")[1].split("}")[0], re.MULTILINE)
    table = PAGE.split("## Statuses")[1]
    assert re.findall(r"`(PTEE_\w+)`", table) != []
    assert set(re.findall(r"`(PTEE_\w+)`", table)) == set(statuses)


def test_the_page_names_nothing_that_the_headers_lack() -> None:
    headers = "".join(header(plan) for plan in PLANS.values())
    known = set(re.findall(r"\bNAME_\w+", headers))
    known |= {"NAME_POINT_", "NAME_EXIT_", "NAME_THRESHOLDS_", "NAME_weights", "NAME_OR_INDEX", "NAME_POINT_P10"}
    assert set(re.findall(r"\bNAME_\w+", PAGE)) - known == set()
    assert set(re.findall(r"\bPTEE_\w+", PAGE)) <= set(re.findall(r"\bPTEE_\w+", RUNTIME))
