"""Operating points in the emitted C: their table and names, selecting one, and what refuses to."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from emit.test_api import Status
from support.builder import Builder, small_network
from support.emitted import Instance, Library, planned, written
from support.points import CODES, switched_network
from support.tools import require

from ptee_mcu import emit_c
from ptee_mcu.artifacts import encoded
from ptee_mcu.emit import emit
from ptee_mcu.emit_view import threshold_table
from ptee_mcu.errors import ConfigError
from ptee_mcu.plan.plan import Plan
from ptee_mcu.quant_graph import ALWAYS, NEVER, OperatingPoint
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

CUSTOM = -1


@pytest.fixture(scope="module")
def plan() -> Plan:
    return planned(switched_network())


@pytest.fixture(scope="module")
def library(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(plan, tmp_path_factory.mktemp("points"))


@pytest.fixture
def net(library: Library) -> Instance:
    instance = Instance(library)
    assert instance.init() == Status.OK
    return instance


@pytest.mark.parametrize(
    ("rows", "c_type", "less", "stored"),
    [
        ([(-128, 127), (0, 5)], "int8_t", 0, ((-128, 127), (0, 5))),
        ([(-127, 128), (0, 5)], "int8_t", 1, ((-128, 127), (-1, 4))),
        ([(-128, 128)], "int16_t", 0, ((-128, 128),)),
        ([()], "int8_t", 0, ((),)),
    ],
)
def test_thresholds_are_stored_in_a_byte_unless_both_128_and_its_negative_occur(
    rows: list[tuple[int, ...]], c_type: str, less: int, stored: tuple[tuple[int, ...], ...]
) -> None:
    table = threshold_table(rows)
    assert (table.c_type, table.less, table.rows) == (c_type, less, stored)


@pytest.mark.parametrize("thresholds", [(ALWAYS, 127, 5), (NEVER, 7, -127), (ALWAYS, NEVER, 0)])
def test_every_way_of_storing_gives_the_thresholds_back(thresholds: tuple[int, ...], tmp_path: Path) -> None:
    other = (3, -2, 1)
    graph = switched_network("stored")
    points = (OperatingPoint("first", other), OperatingPoint("second", thresholds))
    graph = replace(graph, points=points, default=0)
    net = Instance(Library(planned(graph), tmp_path))
    net.init()
    for point, chosen in enumerate((other, thresholds)):
        assert net.set_operating_point(point) == Status.OK
        assert answers(net) == expected(graph.points[point].thresholds, net.library.plan)
        assert chosen == graph.points[point].thresholds


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("d=1", "d:1"), "operating points 'd=1' and 'd:1' have one name in C, D_1"),
        (("low", "LOW"), "operating points 'low' and 'LOW' have one name in C, LOW"),
        (("same", "same"), "operating points 'same' and 'same' have one name in C, SAME"),
    ],
)
def test_two_points_with_one_name_in_c_are_refused_by_both_names(names: tuple[str, ...], message: str) -> None:
    points = tuple(OperatingPoint(name, (0,)) for name in names)
    with pytest.raises(ConfigError, match=message):
        emit(planned(replace(small_network(), points=points)))
    with pytest.raises(ConfigError, match=message):
        emit_c.distinct_identifiers(names, "operating points")


def test_more_points_than_the_context_counts_are_refused() -> None:
    points = tuple(OperatingPoint(f"p{i}", (0,)) for i in range(128))
    with pytest.raises(ConfigError, match="small: 128 operating points; the C counts up to 127"):
        emit(planned(replace(small_network(), points=points)))


def test_more_exits_than_the_context_counts_are_refused() -> None:
    b = Builder((1, 2))
    for i in range(253):
        b.exit(f"e{i}", "input", 2)
    b.exit("final", "input", 2, final=True)
    with pytest.raises(ConfigError, match="many: 254 exits; the C counts up to 253"):
        emit(planned(b.graph("many")))


def test_the_manifest_lists_what_every_point_was_chosen_for(plan: Plan) -> None:
    require("cmsis-nn")
    facts = json.loads(encoded(emit(plan).files["manifest.json"]))
    assert facts["default_point"] == "3 %"
    assert [point["name"] for point in facts["points"]] == ["1 %", "3 %", "10 %"]
    assert facts["points"][0] == {
        "name": "1 %",
        "thresholds": [40, 30, 20],
        "reach": None,
        "asked": 0.01,
        "measured": 0.008,
        "cumulative_macs": list(plan.graph.exit_macs()),
    }
    assert facts["points"][1]["reach"] == [1.0, 0.5, 0.25, 0.125]
    assert facts["points"][2]["cumulative_macs"] == list(plan.graph.exit_macs(plan.graph.points[2]))


def answers(net: Instance) -> list[int]:
    """The exit at which each of some inputs leaves."""
    found = []
    for codes in CODES[:30]:
        net.give(codes)
        assert net.run() == Status.DONE
        found.append(net.result.exit)
    return found


def expected(thresholds: tuple[int, ...], plan: Plan) -> list[int]:
    exits: list[int] = evaluate(plan.graph, CODES[:30], thresholds=thresholds).exit.tolist()
    return exits


def test_init_selects_the_default_point_and_the_getter_says_so(net: Instance, plan: Plan) -> None:
    assert net.operating_point == 1
    assert answers(net) == expected(plan.graph.point.thresholds, plan)


def test_a_point_can_be_selected_again_and_again(net: Instance, plan: Plan) -> None:
    for point in (2, 0, 1, 1, 2):
        assert net.set_operating_point(point) == Status.OK
        assert net.operating_point == point
        assert answers(net) == expected(plan.graph.points[point].thresholds, plan)


@pytest.mark.parametrize("point", [3, 127, 255, 256, 2**32 - 1])
def test_a_point_that_does_not_exist_is_refused_and_nothing_changes(net: Instance, plan: Plan, point: int) -> None:
    assert net.set_operating_point(2) == Status.OK
    before = net.context.raw
    assert net.set_operating_point(point) == Status.BAD_POINT
    assert net.context.raw == before
    assert answers(net) == expected(plan.graph.points[2].thresholds, plan)


def test_a_threshold_set_by_hand_is_custom_until_a_point_is_selected(net: Instance, plan: Plan) -> None:
    thresholds = (plan.graph.point.thresholds[0], ALWAYS, 0)
    assert net.set_threshold(1, 129) == Status.BAD_THRESHOLD
    assert net.operating_point == 1
    assert net.set_threshold(1, ALWAYS) == Status.OK
    assert net.operating_point == CUSTOM
    assert answers(net) == expected(thresholds, plan)
    assert net.set_operating_point(1) == Status.OK
    assert net.operating_point == 1
    assert answers(net) == expected(plan.graph.point.thresholds, plan)


def test_init_forgets_the_point_that_was_selected(net: Instance) -> None:
    net.set_operating_point(2)
    assert net.init() == Status.OK
    assert net.operating_point == 1


def last_at(point: int, plan: Plan) -> Int8:
    """An input that no early exit answers at `point`."""
    thresholds = plan.graph.points[point].thresholds
    run_ = evaluate(plan.graph, CODES, thresholds=thresholds)
    return CODES[np.flatnonzero(run_.exit == len(thresholds))[0]]


def test_a_running_inference_keeps_its_thresholds_to_the_end(net: Instance, plan: Plan) -> None:
    codes = last_at(0, plan)
    net.set_operating_point(0)
    net.give(codes)
    for exit_ in range(3):
        assert net.step() == Status.CONTINUE
        assert net.set_operating_point(1) == Status.OK
        assert net.set_operating_point(99) == Status.BAD_POINT
        assert net.set_threshold(min(exit_ + 1, 2), ALWAYS) == Status.OK
    assert (net.step(), net.result.exit) == (Status.DONE, 3)


def test_what_is_selected_during_an_inference_holds_from_the_next_input_on(net: Instance, plan: Plan) -> None:
    net.set_operating_point(0)
    net.give(last_at(0, plan))
    assert net.step() == Status.CONTINUE
    assert net.set_operating_point(1) == Status.OK
    assert net.operating_point == 1
    assert net.run() == Status.DONE
    assert answers(net) == expected(plan.graph.points[1].thresholds, plan)


def test_thresholds_that_were_set_during_an_inference_all_hold_for_the_next(net: Instance, plan: Plan) -> None:
    net.set_operating_point(0)
    net.give(last_at(0, plan))
    assert net.step() == Status.CONTINUE
    assert net.set_operating_point(1) == Status.OK
    assert net.set_threshold(1, ALWAYS) == Status.OK
    assert net.set_threshold(2, 0) == Status.OK
    assert net.operating_point == CUSTOM
    assert net.run() == Status.DONE
    assert answers(net) == expected((plan.graph.points[1].thresholds[0], ALWAYS, 0), plan)


def test_a_point_selected_after_the_input_was_given_holds_for_it(net: Instance, plan: Plan) -> None:
    codes = CODES[:30]
    for point in (0, 2):
        thresholds = plan.graph.points[point].thresholds
        for one, exit_ in zip(codes, expected(thresholds, plan), strict=True):
            net.give(one)
            assert net.set_operating_point(point) == Status.OK
            assert (net.run(), net.result.exit) == (Status.DONE, exit_)


def test_a_new_input_ends_what_was_running_and_the_point_can_change(net: Instance, plan: Plan) -> None:
    net.set_operating_point(0)
    net.give(last_at(0, plan))
    assert net.step() == Status.CONTINUE
    net.give(CODES[0])
    assert net.set_operating_point(1) == Status.OK
    assert answers(net) == expected(plan.graph.points[1].thresholds, plan)


def test_two_contexts_have_two_points(library: Library, plan: Plan) -> None:
    one, other = Instance(library), Instance(library)
    one.init(), other.init()
    one.set_operating_point(0)
    other.set_operating_point(2)
    assert answers(one) == expected(plan.graph.points[0].thresholds, plan)
    assert answers(other) == expected(plan.graph.points[2].thresholds, plan)


def test_run_after_step_leaves_out_the_remaining_heads_that_cannot_fire(net: Instance, plan: Plan) -> None:
    net.set_operating_point(2)
    for codes, exit_ in zip(CODES[:30], expected(plan.graph.points[2].thresholds, plan), strict=True):
        net.give(codes)
        assert (net.step(), net.result.exit, net.result.fired) == (Status.CONTINUE, 0, False)
        assert (net.run(), net.result.exit) == (Status.DONE, exit_)


def test_a_network_without_early_exits_has_one_point_in_its_header(tmp_path: Path) -> None:
    require("gcc")
    b = Builder((1, 6))
    b.exit("final", "input", 3, final=True)
    points = (OperatingPoint("a", ()), OperatingPoint("b", ()))
    project = written(planned(replace(b.graph("plain"), points=points, default=1)), tmp_path / "plain")
    assert "operating_point" not in (project / "plain.c").read_text()
    (tmp_path / "use.c").write_text(
        '#include "plain.h"\n'
        "int main(void)\n{\n"
        "    static _Alignas(PLAIN_ARENA_ALIGN) unsigned char arena[PLAIN_ARENA_BYTES];\n"
        "    static plain_t net;\n"
        "    int wrong = PLAIN_OPERATING_POINTS != 1 || PLAIN_POINT_B != 0 || PLAIN_DEFAULT_POINT != 0;\n"
        "    wrong |= plain_set_operating_point(NULL, 0) != PTEE_NULL || plain_operating_point(NULL) != -1;\n"
        "    wrong |= plain_set_operating_point(&net, 0) != PTEE_NOT_INITIALIZED;\n"
        "    wrong |= plain_operating_point(&net) != PLAIN_CUSTOM_POINT;\n"
        "    wrong |= plain_init(&net, arena, sizeof arena) != PTEE_OK;\n"
        "    wrong |= plain_set_operating_point(&net, 0) != PTEE_OK || plain_operating_point(&net) != 0;\n"
        "    wrong |= plain_set_operating_point(&net, 1) != PTEE_BAD_POINT;\n"
        "    return wrong;\n}\n"
    )
    (tmp_path / "arm_acle.h").touch()
    library = project / "cmsis_nn"
    includes = [f"-I{folder}" for folder in (project, library / "Include", library / "Core" / "Include", tmp_path)]
    files = [tmp_path / "use.c", *sorted(project.rglob("*.c"))]
    command = ["gcc", "-std=c11", "-w", *includes, *map(str, files), "-o", str(tmp_path / "use")]
    subprocess.run(command, check=True)
    subprocess.run([str(tmp_path / "use")], check=True)
