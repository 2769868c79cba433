"""What the C computes at each operating point, and switched between inputs: the simulator's bytes, on host and M4."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.differential import WHERE
from support.emitted import planned, written
from support.points import CODES, switched_network
from support.tools import require

from ptee_mcu.firmware import harness, run
from ptee_mcu.firmware.execution import Execution, collect
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.records import Calls, Options, TraceForm
from ptee_mcu.plan.plan import Plan
from ptee_mcu.sim import evaluate
from ptee_mcu.sim import run as simulate
from ptee_mcu.tensor import Int8


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(switched_network())


class Programs:
    """The network in the harness, traced, on the host and on a Cortex-M4; built once."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        require("gcc", "arm-none-eabi-gcc", "qemu-system-arm")
        project = written(plan, folder / "project")
        self.host = harness.build_host(project, plan.graph.name, folder / "host", optimize="-O1")
        self.firmware = harness.build_firmware(
            project, plan.graph.name, folder / "firmware.elf", machine=machine("mps2-an386")
        )

    def execute(self, where: str, options: Options, inputs: Int8 = CODES) -> Execution:
        if where == "host":
            return collect(run.run_host(self.host, inputs, options))
        return collect(run.run_qemu(self.firmware, inputs, options))


@pytest.fixture(scope="module")
def programs(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return Programs(plan, tmp_path_factory.mktemp("programs"))


def test_the_points_share_the_inputs_differently(plan: Plan) -> None:
    shares = [
        tuple(Counter(evaluate(plan.graph, CODES, thresholds=point.thresholds).exit.tolist()).items())
        for point in plan.graph.points
    ]
    assert len(set(shares)) == 3
    assert all(len(share) > 1 for share in shares)


def assert_equals_the_simulator(found: Execution, plan: Plan, points: list[int]) -> None:
    """Every evaluated exit and every op of every input `i`, run at `points[i]` by NAME_step."""
    graph = plan.graph
    for i, point in enumerate(points):
        wanted = evaluate(graph, CODES[i : i + 1], thresholds=graph.points[point].thresholds, record=True)
        rows = np.flatnonzero(found.records.input == i)
        assert found.records.exit[rows].tolist() == list(range(wanted.exit[0] + 1))
        assert (found.exits[i], found.labels[i], found.confidence[i]) == (
            wanted.exit[0], wanted.label[0], wanted.confidence[0],
        )  # fmt: skip
        np.testing.assert_array_equal(found.logits[i], wanted.logits[0])
        for step in plan.steps:
            trace = found.trace.ops.get(step.index)
            row = np.flatnonzero(trace.inputs == i) if trace else np.empty(0, np.int64)
            outputs = wanted.tensors[step.node.output]
            assert len(row) == len(outputs)
            if trace is not None and len(row):
                np.testing.assert_array_equal(trace.outputs[row[0]], outputs.reshape(-1))


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("point", range(3))
def test_every_byte_at_every_point_equals_the_simulator(programs: Programs, plan: Plan, where: str, point: int) -> None:
    found = programs.execute(where, Options(trace=TraceForm.OUTPUTS, points=(point,)))
    assert_equals_the_simulator(found, plan, [point] * len(CODES))


@pytest.mark.parametrize("where", WHERE)
def test_every_byte_equals_the_simulator_where_the_point_changes_from_input_to_input(
    programs: Programs, plan: Plan, where: str
) -> None:
    cycle = (0, 2, 1, 2, 0)
    found = programs.execute(where, Options(trace=TraceForm.OUTPUTS, points=cycle))
    assert_equals_the_simulator(found, plan, [cycle[i % len(cycle)] for i in range(len(CODES))])


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("points", [(0,), (1,), (2,), (2, 0, 1)])
def test_run_computes_what_the_simulator_computes_and_nothing_else(
    programs: Programs, plan: Plan, where: str, points: tuple[int, ...]
) -> None:
    found = programs.execute(where, Options(calls=Calls.RUN, trace=TraceForm.OUTPUTS, points=points))
    index = {step.node.name: step.index for step in plan.steps}
    for i in range(len(CODES)):
        thresholds = plan.graph.points[points[i % len(points)]].thresholds
        wanted = simulate(plan, CODES[i : i + 1], thresholds=thresholds)
        assert (found.exits[i], found.labels[i], found.confidence[i]) == (wanted.exit, wanted.label, wanted.confidence)
        np.testing.assert_array_equal(found.logits[i], wanted.logits)
        ran = found.trace.order[found.trace.order[:, 0] == i, 1]
        assert ran.tolist() == [index[name] for name in wanted.executed]
        for name in wanted.executed:
            trace = found.trace.ops[index[name]]
            output = wanted.tensors[plan.steps[index[name]].node.output].reshape(-1)
            np.testing.assert_array_equal(trace.outputs[np.searchsorted(trace.inputs, i)], output)


def test_run_leaves_out_heads_that_cannot_fire_but_not_what_a_later_head_reads(programs: Programs, plan: Plan) -> None:
    found = programs.execute("host", Options(calls=Calls.RUN, trace=TraceForm.HEADS, points=(2,)))
    ran = {plan.steps[op].node.name for op in found.trace.ops}
    assert {"a.pool", "a.logits", "a.confidence", "b.confidence"}.isdisjoint(ran)
    assert {"one", "two", "b.logits", "c.linear", "c.logits", "c.confidence"} <= ran
