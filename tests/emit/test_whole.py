from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.builder import small_network
from support.differential import WHERE, Differential
from support.emitted import planned, written
from support.tools import require

from ptee_mcu.firmware import harness, run
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Calls, Options
from ptee_mcu.graph import needed
from ptee_mcu.quant_graph import NEVER, QuantGraph
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8, UInt8

CODES: Int8 = np.random.default_rng(11).integers(-128, 128, (48, 8, 8, 3)).astype(np.int8)
PIXELS: UInt8 = np.random.default_rng(12).integers(0, 256, (48, 8, 8, 3)).astype(np.uint8)


class Programs:
    """A network in the harness, on the host and for each machine; built once."""

    def __init__(self, graph: QuantGraph, folder: Path) -> None:
        require("gcc", "arm-none-eabi-gcc", "qemu-system-arm")
        self.graph = graph
        project = written(planned(graph), folder / "project")
        self.host = harness.build_host(project, graph.name, folder / "host", optimize="-O1", traced=False)
        self.firmware = harness.build_firmware(
            project, graph.name, folder / "firmware.elf", machine=machine("mps2-an386"), traced=False
        )

    def execute(self, where: str, inputs: Int8 | UInt8, options: Options | None = None) -> Execution:
        if where == "host":
            return collect(run.run_host(self.host, inputs, options))
        return collect(run.run_qemu(self.firmware, inputs, options))


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(small_network("small", preprocess=True), tmp_path_factory.mktemp("whole"))


def answers(found: Execution) -> Sequence[np.ndarray]:
    return found.exits, found.labels, found.confidence, found.logits


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("threshold", [-128, -3, 0, 2, 128])
def test_exits_labels_confidences_and_logits_equal_the_simulator(
    programs: Programs, where: str, threshold: int
) -> None:
    found = programs.execute(where, CODES, Options({0: threshold}))
    expected = evaluate(programs.graph, CODES, thresholds=(threshold,))
    for got, wanted in zip(
        answers(found), (expected.exit, expected.label, expected.confidence, expected.logits), strict=True
    ):
        np.testing.assert_array_equal(got, wanted)


def test_some_inputs_leave_early_and_some_do_not(programs: Programs) -> None:
    found = programs.execute("host", CODES, Options({0: 0}))
    assert 0 < (found.exits == 0).sum() < len(CODES)


@pytest.mark.parametrize("where", WHERE)
def test_run_answers_as_step_does(programs: Programs, where: str) -> None:
    stepped = programs.execute(where, CODES, Options({0: 0}))
    ran = programs.execute(where, CODES, Options({0: 0}, calls=Calls.RUN))
    for one, other in zip(answers(stepped), answers(ran), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", WHERE)
def test_pixels_answer_as_their_codes_do(programs: Programs, where: str) -> None:
    from_pixels = programs.execute(where, PIXELS)
    from_codes = programs.execute(where, programs.graph.input_codes(PIXELS))
    for one, other in zip(answers(from_pixels), answers(from_codes), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", WHERE)
def test_the_default_thresholds_are_those_of_the_default_point(programs: Programs, where: str) -> None:
    threshold = programs.graph.point.thresholds[0]
    for one, other in zip(
        answers(programs.execute(where, CODES)), answers(programs.execute(where, CODES, Options({0: threshold}))),
        strict=True,
    ):  # fmt: skip
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", WHERE)
def test_with_all_exits_disabled_the_answer_is_that_of_the_network_without_exits(
    programs: Programs, where: str, tmp_path: Path
) -> None:
    graph = programs.graph
    final = graph.exits[-1]
    nodes = needed(graph.nodes, final.tensors)
    kept = {graph.input, *(node.output for node in nodes)}
    bare = replace(
        graph,
        name="bare",
        nodes=nodes,
        exits=(final,),
        tensors={name: tensor for name, tensor in graph.tensors.items() if name in kept},
        points=(replace(graph.point, thresholds=()),),
    )
    alone = Programs(bare, tmp_path).execute(where, CODES)
    disabled = programs.execute(where, CODES, Options({0: NEVER}))
    np.testing.assert_array_equal(disabled.logits, alone.logits)
    np.testing.assert_array_equal(disabled.labels, alone.labels)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("seed", range(3))
def test_every_op_of_a_network_equals_the_simulator(tmp_path: Path, where: str, seed: int) -> None:
    differential = Differential(small_network(f"seed{seed}", seed=seed), tmp_path)
    for step in differential.plan.steps:
        differential.check(where, step.node.name)
