"""Networks of awkward shapes, staged and loaded, on the host and on three kinds of kernels."""

from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from integration.shapes import SHAPES, many_exits
from integration.whole import built, hold_to_the_simulator, optimized
from support.emitted import Instance, Library
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.emit import emit
from ptee_mcu.errors import ConfigError
from ptee_mcu.plan.plan import Plan
from ptee_mcu.plan.settings import Mode
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import evaluate

MIXED_KERNELS = ("shrinking", "growing", "one_row")  # whose outputs lie over inputs by the distance of windows


def shared(plan: Plan) -> set[str]:
    """Kinds of ops whose outputs share bytes with an input while they run."""
    return {
        step.node.op.template
        for step in plan.steps
        for name in step.node.inputs
        if plan.arena[step.node.output].overlaps(plan.arena[name])
    }


@pytest.mark.parametrize("shape", SHAPES)
def test_awkward_shapes_with_staged_constants_give_the_bytes_of_the_simulator(shape: str, tmp_path: Path) -> None:
    require("gcc", "arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    plan = optimized(SHAPES[shape](), boards.load("nrf52840_dk"), Mode.STAGED).plan
    assert (plan.stage is None) == (shape == "no_constants")
    hold_to_the_simulator(built(plan, tmp_path, application=False))


@pytest.mark.parametrize("board", ["alif_e7", "pico"])
@pytest.mark.parametrize("shape", MIXED_KERNELS)
def test_outputs_over_inputs_hold_for_vector_and_portable_kernels(shape: str, board: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    plan = optimized(SHAPES[shape](), boards.load(board)).plan
    assert "conv2d" in shared(plan)
    hold_to_the_simulator(built(plan, tmp_path, host=False, application=False))


def test_as_many_exits_as_a_context_can_count_run_staged(tmp_path: Path) -> None:
    require("gcc", "cmsis-nn")
    graph = many_exits(253)
    start = perf_counter()
    plan = optimized(graph, boards.load("nrf52840_dk"), Mode.STAGED).plan
    assert perf_counter() - start < 20
    net = Instance(Library(plan, tmp_path))
    codes = np.arange(18, dtype=np.int8).reshape(1, 3, 3, 2)
    for last in (0, 100, 251, 252):
        thresholds = tuple(ALWAYS if i == last else NEVER for i in range(252))
        assert net.init() == 0
        assert [net.set_threshold(i, threshold) for i, threshold in enumerate(thresholds)] == [0] * 252
        net.give(codes)
        assert net.run() == 2
        wanted = evaluate(graph, codes, thresholds=thresholds)
        assert (net.result.exit, net.logits()) == (last, wanted.logits[0].tolist())


def test_one_exit_more_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"many: 254 exits; the C counts up to 253\n  hint: keep fewer exits"):
        emit(optimized(many_exits(254), boards.load("nrf52840_dk"), Mode.FLASH).plan)
