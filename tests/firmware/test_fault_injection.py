"""Bits that flip: in constants they are found, in context, arena and stage nothing else is written for it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.exits import residual_network
from support.placed import MODES, placed
from support.tools import require

from ptee_mcu import emit_safety
from ptee_mcu.emit import emit
from ptee_mcu.emit_view import make_view
from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, layout, qemu
from ptee_mcu.firmware.elf import read_elf
from ptee_mcu.firmware.layout import Spare
from ptee_mcu.firmware.machines import machine
from ptee_mcu.plan.plan import Plan

M4 = machine("mps2-an386")
INFERENCES = 400  # as inject.c
BITS = 10
_PLACE = re.compile(r"&(\w+)(?:\[\d+\])?\.\w+|(\w+)")


@dataclass(frozen=True, slots=True)
class Injection:
    """What inject.c said: per constant its bits flipped and found; inferences that ended with a result and others."""

    names: tuple[str, ...]
    flipped: tuple[int, ...]
    found: tuple[int, ...]
    ended: int
    refused: int


def spots(plan: Plan, project: Path, elf: Path) -> dict[str, tuple[int, int]]:
    """Address and bytes of every constant of the network, pointers of descriptors included."""
    name = plan.graph.name
    header = (project / "ptee_runtime.h").read_text()
    check = emit_safety.check(make_view(plan, name), (project / f"{name}.c").read_text(), header)
    at = {symbol.name: symbol.address for symbol in read_elf(elf).symbols}
    pointers: dict[str, int] = {}
    for link in check.links:
        owner = place(link.at)
        pointers[owner] = pointers.get(owner, 0) + 4
    nbytes = dict(pointers)
    for span in check.spans:
        owner = place(span.at)
        nbytes[owner] = nbytes.get(owner, 0) + len(span.content)
    return {owner: (at[owner], count) for owner, count in nbytes.items()}


def place(expression: str) -> str:
    """The object in a C expression of an address."""
    match = _PLACE.fullmatch(expression)
    assert match, expression
    return match[1] or match[2]


def inject(
    mode: str, folder: Path, *, replacing: tuple[str, str] | None = None, yield_every_op: bool = False
) -> Injection:
    """Runs inject.c; `replacing`: C code of the network, and what stands in its place."""
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    plan = placed(residual_network(), MODES[mode])
    project = folder / "project"
    emit(plan, crc=True, yield_every_op=yield_every_op).write(project)
    if replacing is not None:
        text = (project / "residual.c").read_text()
        assert replacing[0] in text
        (project / "residual.c").write_text(text.replace(*replacing))
    step, steps = ("step_op", len(plan.steps)) if yield_every_op else ("step", len(plan.graph.exits))
    main = build.CSources(
        own=(Path(__file__).with_name("inject.c"),),
        include_dirs=(project, build.SUPPORT),
        defines=(f"PTEE_STEP=residual_{step}", f"PTEE_STEPS={steps}"),
    )
    on = layout.emulated(plan.target, M4, (project / "residual.ld").read_text(), Spare(main=65536, other=16384))
    elf = build.compile_arm(build.sources_in(project) + main, folder / "inject.elf", machine=M4, on=on, optimize="-O2")
    places = spots(plan, project, elf)
    (folder / "spots").write_bytes(np.array(list(places.values()), "<u4").tobytes())
    done = qemu.run(elf, M4, timeout_s=120, cwd=folder)
    if done.exit_code != 0:
        raise FirmwareError(f"inject.elf ended with {done.exit_code}")
    *pairs, (ended, refused) = np.frombuffer((folder / "found").read_bytes(), "<u4").reshape(-1, 2).tolist()
    flipped, found = zip(*pairs, strict=True)
    return Injection(tuple(places), flipped, found, ended, refused)


@pytest.fixture(scope="module", params=[False, True], ids=["a segment a step", "an op a step"])
def injection(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Injection:
    return inject("mixed", tmp_path_factory.mktemp("inject"), yield_every_op=request.param)


def test_a_flipped_bit_in_any_constant_is_found_wherever_it_lies(injection: Injection) -> None:
    missed = [n for n, a, b in zip(injection.names, injection.flipped, injection.found, strict=True) if a != b]
    assert missed == []
    assert set(injection.flipped) == {BITS}
    kinds = {"residual_stem_weights", "op_stem", "op_pool0", "op_exit0_logits", "threshold_table"}
    assert kinds < set(injection.names)
    assert any(name.startswith("residual_trunk_") for name in injection.names), "images of staged constants"
    assert any(name.endswith("_copies") for name in injection.names)


def test_a_flipped_bit_in_context_arena_or_stage_never_causes_a_write_elsewhere(injection: Injection) -> None:
    assert injection.ended + injection.refused == INFERENCES
    assert injection.ended > 50, "flips in the arena and of thresholds go unseen"
    assert injection.refused > 100, "flips of pointers do not"


UNSAFE = {
    "seal": ("ctx->seal == ptee_seal(RESIDUAL_MAGIC, ctx->arena, ctx->stage.bytes)", "true"),
    "bound of the exit in the latest answer": ("if (exit >= RESIDUAL_EXITS) { /*", "if (packed == NO_ANSWER) { /*"),
}


@pytest.mark.parametrize("unsafe", UNSAFE.values(), ids=UNSAFE)
def test_without_what_guards_the_context_a_flipped_bit_writes_elsewhere(
    unsafe: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(FirmwareError, match=r"ended with 2|processor fault"):
        inject("mixed", tmp_path, replacing=unsafe)
