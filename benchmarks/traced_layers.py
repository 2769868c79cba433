"""Layers of a network in the emulator: what each executes, reads and waits for, priced for a board."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ptee_mcu.cycles.cores import core_of
from ptee_mcu.cycles.price import Priced, Tally, price
from ptee_mcu.emit import emit
from ptee_mcu.firmware import qemu
from ptee_mcu.firmware.count import OP
from ptee_mcu.firmware.elf import ElfSymbol, read_elf
from ptee_mcu.firmware.harness import build_firmware
from ptee_mcu.firmware.machines import Machine, machine
from ptee_mcu.firmware.records import Options
from ptee_mcu.firmware.trace import harness_tracer
from ptee_mcu.firmware.trace_file import Trace
from ptee_mcu.firmware.windows import Window, windows_of
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Counts
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.plan.plan import SLOT_ALIGN, Plan, Slot, Step
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.target import Target

ARENA = "arena"
_FILES = ("options", "inputs", "results", "trace")


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """One inference, every head evaluated: `rows` of the priced trace belong to the steps of the plan, in order."""

    plan: Plan
    trace: Trace
    priced: Priced
    rows: tuple[int, ...]

    @property
    def tally(self) -> Tally:
        """Costs of all intervals."""
        return self.priced.by_interval

    def compute(self, step: Step) -> float:
        """Cycles of a step with memory that never waits."""
        return float(self.tally.compute[self.rows[step.index]])

    def code_bytes(self, step: Step) -> int:
        """Bytes of code that a step executed, each counted once."""
        ran = self.trace.ran[self.trace.ran[:, 0] == self.rows[step.index], 1]
        return sum(len(self.trace.blocks[number].code) for number in ran)

    def fetch_stalls(self, step: Step) -> float:
        """Cycles a step waited for instructions."""
        return float(self.tally.code[self.rows[step.index]].sum())

    def data_stalls(self, step: Step, label: str | None = None) -> float:
        """Cycles a step waited for data; where a label is given, for that of its windows."""
        return float(self.tally.data[self.rows[step.index]][self._columns(label)].sum())

    def bytes_read(self, step: Step, label: str) -> int:
        """Bytes a step read from windows with a label."""
        return int(self.tally.read[self.rows[step.index]][self._columns(label)].sum())

    def bytes_written(self, step: Step, label: str) -> int:
        """Bytes a step wrote to windows with a label."""
        return int(self.tally.written[self.rows[step.index]][self._columns(label)].sum())

    def _columns(self, label: str | None) -> list[int]:
        return list(range(self.tally.read.shape[1])) if label is None else self.priced.columns(label=label)


def emulated(target: Target) -> Machine:
    """The machine that stands for `target`, with the code that `target` would run."""
    assert target.machine is not None
    return replace(machine(target.machine), cpu=target.cpu, flags=target.flags)


def side_by_side(graph: QuantGraph, target: Target) -> Plan:
    """A plan in the order of the nodes, every tensor in the first room that is free: quick, not small."""
    steps, last = [], {leave: len(graph.nodes) for end in graph.exits for leave in end.tensors}
    for index, node in enumerate(graph.nodes):
        inputs = [graph.tensors[name] for name in node.inputs]
        per_isa = [node.op.counts(inputs, graph.tensors[node.output], isa) for isa in (target.isa, Isa.SCALAR)]
        scratch = max(counts.scratch_bytes for counts in per_isa)
        steps.append(Step(index, 0, node, Counts(per_isa[0].macs, scratch)))
        last |= {name: max(index, last.get(name, 0)) for name in (*node.inputs, node.output)}
    slots = {graph.input: Slot(0, graph.input_tensor.nbytes, 0, last[graph.input])}
    for step in steps:
        made = graph.tensors[step.node.output].nbytes
        for name, nbytes in ((step.node.output, made), (step.scratch, step.counts.scratch_bytes)):
            if nbytes:
                slots[name] = _first_room(slots, nbytes, step.index, last.get(name, step.index))
    end = -(-max(slot.end for slot in slots.values()) // SLOT_ALIGN) * SLOT_ALIGN
    places = all_in_place(graph, target)
    return Plan(graph, target, tuple(steps), slots, end, 0, target.main_ram.name, places)


def _first_room(slots: Mapping[str, Slot], nbytes: int, first: int, last: int) -> Slot:
    alive = sorted((slot for slot in slots.values() if slot.last >= first), key=lambda slot: slot.offset)
    at = 0
    for slot in alive:
        if slot.offset >= at + nbytes:
            break
        at = max(at, -(-slot.end // SLOT_ALIGN) * SLOT_ALIGN)
    return Slot(at, nbytes, first, last)


def trace_layers(plan: Plan, folder: Path) -> Layers:
    """Runs one random input through the network of `plan` as built for its target; files go to `folder`.

    Constants are labelled with their names (node:role), the arena as ARENA.
    """
    graph, target = plan.graph, plan.target
    emit(plan).write(folder / "project")
    on = emulated(target)
    elf = build_firmware(folder / "project", graph.name, folder / "layers.elf", machine=on).path
    program = read_elf(elf)
    sized = {symbol.name: symbol for symbol in program.symbols if symbol.nbytes}
    windows = windows_of(program, target)
    tracer = harness_tracer(elf, target, (*_labelled(graph, sized, target), *windows))
    codes = np.random.default_rng(0).integers(-128, 128, graph.input_tensor.shape).astype(np.int8)
    options = Options(thresholds=dict.fromkeys(range(len(graph.exits) - 1), NEVER))
    (folder / "options").write_bytes(options.encode(1))
    (folder / "inputs").write_bytes(codes.tobytes())
    done = qemu.run(elf, on, words=_FILES, timeout_s=300, cwd=folder, plugin=tracer.plugin(folder))
    assert done.exit_code == 0, done.stdout
    trace = tracer.read(folder)
    priced = price(trace, core_of(target.cpu), target)
    rows = tuple(int(row) for row in np.flatnonzero(priced.kinds == OP))
    assert len(rows) == len(plan.steps)
    return Layers(plan, trace, priced, rows)


def _labelled(graph: QuantGraph, sized: Mapping[str, ElfSymbol], target: Target) -> list[Window]:
    """A window per constant, of equal arrays under the name of the one that is emitted; and one for the arena."""
    found: dict[bytes, Window] = {}
    for node in graph.nodes:
        for role, array in node.op.constants.items():
            symbol = sized.get(f"{graph.name}_{node.name.replace('.', '_')}_{role}")
            if symbol is not None:
                end, label = symbol.address + symbol.nbytes, f"{node.name}:{role}"
                found[array.tobytes()] = Window(target.code_region.name, symbol.address, end, label)
    arena = sized["memory"]  # of the harness: the arena between its guards
    return [*found.values(), Window(target.main_ram.name, arena.address, arena.address + arena.nbytes, ARENA)]
