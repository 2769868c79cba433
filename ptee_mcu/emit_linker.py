"""Sections: which of them a constant, an arena or a stage goes to, and the linker script that puts them into memories.

The names extend .rodata, .data and .bss, so that a script which knows nothing of them still makes a program that works:
any startup code loads .data.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ptee_mcu.emit_text import BANNER, environment
from ptee_mcu.plan.placement import How, Placement, constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.target import Region, Target

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """A line of MEMORY."""

    name: str
    base: int
    nbytes: int
    writable: bool
    executable: bool = True

    @property
    def attributes(self) -> str:
        """Its letters for the linker."""
        return "r" + "w" * self.writable + "x" * self.executable

    @property
    def length(self) -> str:
        """Its size as the linker reads it."""
        return f"{self.nbytes // _KIB}K" if self.nbytes and self.nbytes % _KIB == 0 else str(self.nbytes)


@dataclass(frozen=True, slots=True)
class Boot:
    """Constants that are copied to `region` before main from their image in `load_region`; `input`: their section."""

    region: str
    load_region: str
    input: str

    @property
    def output(self) -> str:
        """The section of the linked program."""
        return f".ptee_data.{self.region}.{self.load_region}"


def constant_section(place: Placement, target: Target) -> str | None:
    """The section of a constant; None where it is that of any other constant. Staged ones: that of their image."""
    code = target.code_region.name
    if place.how is How.BOOT:
        return data_section(place.region, None if place.load_region == code else place.load_region)
    return None if place.load_region == code else rodata_section(place.load_region)


def rodata_section(region: str) -> str:
    """The section of constants that are read, or copied, from `region`, which is not where code lies."""
    return f".rodata.ptee.{region}"


def data_section(region: str, load_region: str | None = None) -> str:
    """The section of constants that are copied to `region` before main; their image lies with the code where None."""
    return f".data.ptee.{region}" + (f".{load_region}" if load_region else "")


def bss_section(region: str) -> str:
    """The section of buffers in `region`."""
    return f".bss.ptee.{region}"


def plan_script(plan: Plan) -> str:
    """The linker script of `plan`'s board."""
    target = plan.target
    needs = needed_bytes(plan)
    return script(
        target.title,
        [memory(region) for region in target.regions],
        code=target.code_region.name,
        ram=target.main_ram.name,
        boots=boots(plan),
        needs=[(region.name, needs[region.name]) for region in target.regions if needs[region.name]],
        stack_bytes=plan.stack_bytes,
    )


def memory(region: Region) -> Memory:
    """`region` as the linker sees it: without the bytes at address 0, which C takes for NULL."""
    base = region.base + region.null_bytes
    return Memory(region.name, base, region.end - base, "data" in region.holds, "code" in region.holds)


def needed_bytes(plan: Plan) -> Mapping[str, int]:
    """Bytes per region of arena, stage and constants, load images included; padding between them is not."""
    found: Counter[str] = Counter({plan.arena_region: plan.arena_bytes})
    if plan.stage is not None:
        found[plan.stage.region] += plan.stage.nbytes
    for constant in constants(plan.graph):
        place = plan.placements[constant.name]
        found[place.load_region] += constant.nbytes
        if place.how is How.BOOT:
            found[place.region] += constant.nbytes
    return found


def script(
    title: str,
    memories: Sequence[Memory],
    *,
    code: str,
    ram: str,
    boots: Iterable[Boot] = (),
    needs: Sequence[tuple[str, int]] = (),
    stack_bytes: int,
) -> str:
    """A linker script for `memories`: code in `code`, stack and variables in `ram`; `needs`: bytes to insist on."""
    read_only = [m.name for m in memories if not m.writable and m.name != code]
    writable = [m.name for m in memories if m.writable and m.name != ram]
    template = environment().get_template("model.ld.j2")
    return template.render(
        banner=BANNER,
        title=title,
        memories=memories,
        code=code,
        ram=ram,
        read_only=read_only,
        rodata={name: rodata_section(name) for name in read_only},
        writable=writable,
        bss={name: bss_section(name) for name in writable},
        boots=tuple(boots),
        needs=needs,
        stack_bytes=stack_bytes,
    )


def boots(plan: Plan) -> tuple[Boot, ...]:
    """What needs a section of its own: all but what goes from beside the code to the main memory, which .data does."""
    target = plan.target
    places = {(p.region, p.load_region): p for p in plan.placements.values() if p.how is How.BOOT}
    places.pop((target.main_ram.name, target.code_region.name), None)
    found = []
    for (region, load_region), place in sorted(places.items()):
        section = constant_section(place, target)
        assert section is not None
        found.append(Boot(region, load_region, section))
    return tuple(found)
