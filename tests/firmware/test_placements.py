"""Every way of placing constants gives the bytes of the simulator: on the host, and on a Cortex-M4 whose memories are
full of poison when power comes."""

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from support.builder import small_network
from support.differential import inputs_for
from support.emitted import written
from support.exits import residual_network
from support.placed import MODES, board, everywhere, placed
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import build, harness, layout, memory, qemu, run
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.layout import Spare
from ptee_mcu.firmware.machines import MACHINES, machine
from ptee_mcu.firmware.records import Calls, Options, TraceForm
from ptee_mcu.isa import Isa
from ptee_mcu.plan.placement import constants
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.sim import evaluate

NETWORKS = {"small": small_network, "residual": residual_network}
M4 = machine("mps2-an386")
EMULATED = [name for name in boards.names() if boards.load(name).machine in MACHINES]


@cache
def graph_of(network: str) -> QuantGraph:
    return NETWORKS[network]()


def thresholds_of(graph: QuantGraph) -> list[tuple[int, ...]]:
    """Every exit forced, then free."""
    early = len(graph.exits) - 1
    forced = [tuple(ALWAYS if i == leave else NEVER for i in range(early)) for leave in range(early + 1)]
    return [*forced, graph.point.thresholds]


def check(graph: QuantGraph, inputs: np.ndarray, thresholds: tuple[int, ...], found: Execution) -> None:
    """Asserts that answers and all that was traced are the simulator's."""
    wanted = evaluate(graph, inputs, thresholds=thresholds, record=True)
    np.testing.assert_array_equal(found.exits, wanted.exit)
    np.testing.assert_array_equal(found.labels, wanted.label)
    np.testing.assert_array_equal(found.confidence, wanted.confidence)
    np.testing.assert_array_equal(found.logits, wanted.logits)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("mode", MODES)
def test_every_placement_gives_the_bytes_of_the_simulator(network: str, mode: str, tmp_path: Path) -> None:
    require("gcc", "arm-none-eabi-gcc", "qemu-system-arm")
    graph = graph_of(network)
    plan = placed(graph, MODES[mode])
    project = written(plan, tmp_path / "project")
    host = harness.build_host(project, graph.name, tmp_path / "host", optimize="-O1")
    elf = tmp_path / "firmware.elf"
    firmware = harness.build_firmware(project, graph.name, elf, machine=M4, target=plan.target)
    inputs = inputs_for(graph, 4)
    for thresholds in thresholds_of(graph):
        for calls in (Calls.STEPS, Calls.RUN):
            options = Options(dict(enumerate(thresholds)), calls=calls, trace=TraceForm.OUTPUTS)
            on_host = collect(run.run_host(host, inputs, options))
            on_machine = collect(run.run_qemu(firmware, inputs, options, workers=1))
            check(graph, inputs, thresholds, on_host)
            check(graph, inputs, thresholds, on_machine)
            np.testing.assert_array_equal(on_host.trace.order, on_machine.trace.order)
            expected = evaluate(graph, inputs, thresholds=thresholds, record=True).tensors
            for step in plan.steps:
                if step.index in on_machine.trace.ops:
                    trace = on_machine.trace.ops[step.index]
                    outputs = expected[step.node.output].reshape(-1, trace.outputs.shape[1])
                    np.testing.assert_array_equal(trace.outputs, on_host.trace.ops[step.index].outputs)
                    if len(outputs) == len(trace.outputs):
                        np.testing.assert_array_equal(trace.outputs, outputs, err_msg=step.node.name)


@pytest.mark.parametrize("name", EMULATED)
def test_every_board_that_is_emulated_reads_constants_from_all_its_memories(name: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    target, graph = boards.load(name), graph_of("small")
    assert target.machine is not None
    plan = placed(graph, everywhere(target), target=target)
    project = written(plan, tmp_path / "project")
    on = machine(target.machine)
    firmware = harness.build_firmware(project, graph.name, tmp_path / "board.elf", machine=on, target=target)
    found = collect(run.run_qemu(firmware, inputs_for(graph, 2), Options({0: NEVER}), workers=1))
    wanted = evaluate(graph, inputs_for(graph, 2), thresholds=(NEVER,))
    np.testing.assert_array_equal(found.logits, wanted.logits)


@pytest.mark.parametrize("mode", ["staged", "mixed"])
def test_two_contexts_with_two_stages_take_turns_on_the_machine(mode: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    graph = graph_of("residual")
    plan = placed(graph, MODES[mode])
    project = written(plan, tmp_path / "project")
    codes = inputs_for(graph, 2)[:2]
    rows = ",\n".join("{" + ", ".join(map(str, row)) + "}" for row in codes.reshape(2, -1).tolist())
    (project / "inputs.h").write_text(f"static const int8_t inputs[2][{codes[0].size}] = {{{rows}}};\n")
    main = build.CSources(own=(Path(__file__).with_name("take_turns.c"),), include_dirs=(project, build.SUPPORT))
    script = (project / "residual.ld").read_text()
    on = layout.emulated(plan.target, M4, script, Spare())
    elf = build.compile_arm(build.sources_in(project) + main, tmp_path / "turns.elf", machine=M4, on=on)
    assert qemu.run(elf, M4, timeout_s=60, cwd=tmp_path).exit_code == 0
    found = np.frombuffer((tmp_path / "logits").read_bytes(), np.int8).reshape(2, -1)
    np.testing.assert_array_equal(found, evaluate(graph, codes, thresholds=(NEVER, NEVER)).logits)


def build_placed(graph: QuantGraph, mode: str, folder: Path, **changes: str) -> harness.Firmware:
    """Firmware of `graph` in `mode`; `changes`: what to append to files of the project, by their stem."""
    plan = placed(graph, MODES[mode])
    project = written(plan, folder / "project")
    for stem, text in changes.items():
        (project / f"{stem}.c").write_text(text)
    return harness.build_firmware(project, graph.name, folder / "firmware.elf", machine=M4, target=plan.target)


def test_constants_that_nobody_loads_show(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    graph, nothing = graph_of("small"), '#include "ptee_runtime.h"\nvoid ptee_load_sections(void)\n{\n}\n'
    firmware = build_placed(graph, "boot to TCM", tmp_path, ptee_load_sections=nothing)
    inputs, options = inputs_for(graph), Options({0: NEVER})
    try:
        found = collect(run.run_qemu(firmware, inputs, options))
    except FirmwareError:
        return  # poison for a shift or a bias may also end in a fault
    assert (found.logits != evaluate(graph, inputs, thresholds=(NEVER,)).logits).any()


def test_a_script_that_knows_nothing_of_the_sections_makes_a_network_that_works(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    graph = graph_of("small")
    plan = placed(graph, MODES["mixed"])
    project = written(plan, tmp_path / "project")
    firmware = harness.build_firmware(project, graph.name, tmp_path / "firmware.elf", machine=M4)
    found = collect(run.run_qemu(firmware, inputs_for(graph), Options({0: NEVER})))
    np.testing.assert_array_equal(found.logits, evaluate(graph, inputs_for(graph), thresholds=(NEVER,)).logits)


def test_a_board_s_flags_choose_the_code_that_the_machine_runs(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    graph = graph_of("small")
    small_core = replace(
        board(), cpu="cortex-m0plus", isa=Isa.SCALAR, flags=("-mcpu=cortex-m0plus", "-mfloat-abi=soft")
    )
    plan = placed(graph, MODES["mixed"], target=small_core)
    project = written(plan, tmp_path / "project")
    on = machine("mps2-an385")
    firmware = harness.build_firmware(project, graph.name, tmp_path / "m0.elf", machine=on, target=small_core)
    found = collect(run.run_qemu(firmware, inputs_for(graph), Options({0: NEVER})))
    np.testing.assert_array_equal(found.logits, evaluate(graph, inputs_for(graph), thresholds=(NEVER,)).logits)
    attributes = build.call(["arm-none-eabi-readelf", "-A", str(firmware.path)], "reading attributes")
    assert "v6S-M" in attributes


def test_the_arena_may_lie_in_another_memory_than_the_stack(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "arm-none-eabi-nm")
    graph = graph_of("small")
    plan = placed(graph, MODES["staged"], arena_region="DTCM")
    project = written(plan, tmp_path / "project")
    elf = tmp_path / "firmware.elf"
    firmware = harness.build_firmware(project, graph.name, elf, machine=M4, target=plan.target)
    found = collect(run.run_qemu(firmware, inputs_for(graph), Options({0: NEVER})))
    np.testing.assert_array_equal(found.logits, evaluate(graph, inputs_for(graph), thresholds=(NEVER,)).logits)
    spans = layout.windows(plan.target, M4, Spare(main=1 << 18, other=1024))
    at = {symbol.name: symbol.address for symbol in memory.symbols(elf)}
    for name, region_name in (("memory", "DTCM"), ("stage", "SRAM2"), ("network", "SRAM")):
        assert spans[region_name].base <= at[name] < spans[region_name].base + spans[region_name].nbytes, name


@pytest.mark.parametrize(
    ("mode", "changed"),
    [("staged", "SRAM2"), ("boot to TCM", "DTCM"), ("external in place", "QSPI"), ("boot to main RAM", "SRAM")],
)
def test_what_does_not_fit_a_memory_of_the_board_does_not_link(mode: str, changed: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    graph = graph_of("residual")
    whole = board()
    regions = tuple(replace(r, nbytes=12 * 1024) if r.name == changed else r for r in whole.regions)
    plan = replace(placed(graph, MODES[mode]), target=replace(whole, regions=regions))
    if changed == "SRAM":  # still the main one, or the constants would go elsewhere
        others = tuple(replace(r, nbytes=8 * 1024) if r.name in {"SRAM2", "DTCM"} else r for r in regions)
        plan = replace(plan, target=replace(whole, regions=others))
    project = written(plan, tmp_path / "project")
    with pytest.raises(FirmwareError, match=f"region `{changed}' overflowed by"):
        harness.build_footprint(project, graph.name, tmp_path / "small.elf", machine=M4, target=plan.target)


def test_a_script_whose_memory_was_made_smaller_than_the_plan_says_so(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    graph = graph_of("small")
    plan = placed(graph, MODES["staged"])
    project = written(plan, tmp_path / "project")
    script = project / f"{graph.name}.ld"
    script.write_text(re.sub(r"(?<=ASSERT\(LENGTH\(SRAM2\) >= )\d+", "99999999", script.read_text()))
    with pytest.raises(FirmwareError, match="SRAM2 is smaller than the"):
        harness.build_footprint(project, graph.name, tmp_path / "small.elf", machine=M4, target=plan.target)


def test_a_project_without_its_script_is_refused(tmp_path: Path) -> None:
    graph = graph_of("small")
    plan = placed(graph, MODES["flash"])
    project = written(plan, tmp_path / "project")
    (project / "small.ld").unlink()
    with pytest.raises(FirmwareError, match=r"holds no linker script of 'small': small\.ld is missing"):
        harness.build_firmware(project, "small", tmp_path / "small.elf", machine=M4, target=plan.target)


def test_linked_constants_and_their_images_are_counted_where_they_lie(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "arm-none-eabi-nm")
    graph = graph_of("residual")
    uses = {mode: footprint(placed(graph, MODES[mode]), tmp_path / mode.replace(" ", "_")) for mode in MODES}
    flat = uses["flash"]
    weights = sum(constant.nbytes for constant in constants(graph))
    gap = 16 * len(constants(graph))  # equal tables are kept once, others stand on words
    for mode, use in uses.items():
        assert sum(use.regions.values()) == use.flash_bytes + use.ram_bytes + use.stack_bytes, mode
    for mode, name in (("boot to main RAM", "SRAM"), ("boot to a second SRAM", "SRAM2"), ("boot to TCM", "DTCM")):
        use = uses[mode]
        assert use.regions[name] - flat.regions[name] == pytest.approx(weights, abs=gap)
        assert use.flash_bytes == pytest.approx(flat.flash_bytes, abs=gap)
        assert use.ram_bytes - flat.ram_bytes == pytest.approx(weights, abs=gap)
    for mode in ("external in place", "boot from external", "staged from external"):
        assert uses[mode].regions["QSPI"] == pytest.approx(weights, abs=gap)
        assert flat.regions["FLASH"] - uses[mode].regions["FLASH"] == pytest.approx(weights, abs=gap + 1500)
    stage = placed(graph, MODES["staged"]).stage
    assert stage is not None
    assert uses["staged"].regions["SRAM2"] == pytest.approx(stage.nbytes, abs=16)
    assert stage.nbytes < weights


def footprint(plan: Plan, folder: Path) -> memory.MemoryUse:
    project = written(plan, folder)
    elf = folder.with_suffix(".elf")
    return memory.memory_use(harness.build_footprint(project, plan.graph.name, elf, machine=M4, target=plan.target))
