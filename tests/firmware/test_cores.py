"""Every emulated core computes the simulator's bytes: one firmware each, one run over all inputs."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from plan.staircase import overlapping, staircase
from support.builder import imported_network, small_network
from support.cores import CORES, IN_PLACE, SMALL, core_board, every_case
from support.differential import Differential
from support.exits import residual_network
from support.tools import require

from ptee_mcu.emit import emit
from ptee_mcu.firmware import build, harness, run
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Options
from ptee_mcu.isa import Isa
from ptee_mcu.ops import QOPS
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, QuantGraph
from ptee_mcu.sim import evaluate

TIGHT = "netduinoplus2"  # its 128 KiB do not hold all chains one above the other
ISAS = {Isa.SCALAR: "", Isa.DSP: "__ARM_FEATURE_DSP", Isa.MVE: "__ARM_FEATURE_MVE"}


@pytest.mark.parametrize("core", CORES)
def test_every_op_in_every_case_as_close_over_its_input_as_permitted_equals_the_simulator(
    core: str, tmp_path: Path
) -> None:
    graph = every_case()
    differential = Differential(graph, tmp_path)
    plan = make_plan(graph, core_board(core))
    differential.plan = plan if core == TIGHT else staircase(plan)
    verify_plan(differential.plan)
    assert core == TIGHT or overlapping(differential.plan) == IN_PLACE
    for step in differential.plan.steps:
        differential.compare(core, step.node.name)


@pytest.mark.parametrize("network", [small_network, imported_network])
def test_every_op_equals_the_simulator_in_the_16_kib_of_a_cortex_m0(
    network: Callable[[], QuantGraph], tmp_path: Path
) -> None:
    graph = network()
    differential = Differential(graph, tmp_path)
    differential.plan = make_plan(graph, core_board(SMALL))
    for step in differential.plan.steps:
        differential.check(SMALL, step.node.name)


def test_the_two_small_networks_have_every_op() -> None:
    nodes = [*small_network().nodes, *imported_network().nodes]
    assert {type(node.op) for node in nodes} == set(QOPS.values())


@pytest.mark.parametrize("core", CORES)
def test_every_exit_forced_and_free_answers_as_the_simulator(core: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    graph = residual_network()
    plan = make_plan(graph, core_board(core))
    emit(plan).write(tmp_path / "project")
    on = machine(core)
    firmware = harness.build_firmware(tmp_path / "project", graph.name, tmp_path / "core.elf", machine=on, traced=False)
    codes = np.random.default_rng(5).integers(-128, 128, (16, *graph.input_tensor.shape[1:])).astype(np.int8)
    left: set[int] = set()
    for thresholds in ((ALWAYS, NEVER), (NEVER, ALWAYS), (NEVER, NEVER), graph.point.thresholds):
        found = collect(run.run_qemu(firmware, codes, Options(dict(enumerate(thresholds)))))
        expected = evaluate(graph, codes, thresholds=thresholds)
        np.testing.assert_array_equal(found.exits, expected.exit)
        np.testing.assert_array_equal(found.labels, expected.label)
        np.testing.assert_array_equal(found.confidence, expected.confidence)
        np.testing.assert_array_equal(found.logits, expected.logits)
        left |= set(found.exits.tolist())
    assert left == {0, 1, 2}


@pytest.mark.parametrize("core", [SMALL, *CORES])
def test_the_flags_of_a_machine_choose_the_kernels_it_says(core: str) -> None:
    require("arm-none-eabi-gcc")
    on = machine(core)
    defined = build.call(["arm-none-eabi-gcc", *on.flags, "-mthumb", "-dM", "-E", "-x", "c", "/dev/null"], "macros")
    found = {isa for isa, macro in ISAS.items() if f"#define {macro} " in defined}
    assert on.isa is (Isa.MVE if Isa.MVE in found else Isa.DSP if Isa.DSP in found else Isa.SCALAR)
