from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from exits.branched import attached, images, quantized
from exits.outcomes import outcomes, plausible
from hypothesis import given, settings
from hypothesis import strategies as st

from ptee_mcu.errors import ConfigError, DataError, SplitError
from ptee_mcu.exits import select as search
from ptee_mcu.exits.bound import lower_bound
from ptee_mcu.exits.costs import PlaceCosts
from ptee_mcu.exits.exhaustive import best_state
from ptee_mcu.exits.outcomes import Outcomes, disagreement, exit_taken, make_outcomes, mean_cost
from ptee_mcu.exits.problem import Problem, make_problem
from ptee_mcu.exits.select import JointSelection, Selection, select, select_for
from ptee_mcu.exits.subset import idle_exits, without_exits, without_idle_exits, without_quant_exits
from ptee_mcu.graph import forward
from ptee_mcu.quant_graph import NEVER, OperatingPoint, verify_quant_graph
from ptee_mcu.sim import evaluate

LEVELS = 8


def coarse(seen: Outcomes) -> Outcomes:
    """With 8 confidence codes only."""
    codes = np.floor_divide(seen.confidences.astype(int), 256 // LEVELS) * (256 // LEVELS)
    return make_outcomes(seen.split, seen.labels, codes.astype(np.int8))


def some_places(count: int, head: float, seed: int) -> PlaceCosts:
    rng = np.random.default_rng(seed)
    trunk = np.sort(rng.uniform(0.1, 1.0, count))
    return PlaceCosts((*map(float, trunk), 1.0), tuple(map(float, rng.uniform(0.2, 2.0, count) * head)))


def honest(seen: Outcomes, places: PlaceCosts, kept: tuple[int, ...], thresholds: tuple[int, ...]) -> tuple[int, float]:
    """Disagreements and mean cost of a network that has the exits `kept` only, charged by its definition."""
    exits = [*kept, len(places.heads)]
    costs = [places.trunk[i] + sum(places.heads[k] for k in kept if k <= i) for i in exits]
    own = make_outcomes(seen.split, seen.labels[exits], seen.confidences[list(kept)])
    taken = exit_taken(own.confidences, thresholds)
    return round(disagreement(own, taken) * seen.count), mean_cost(taken, costs)


def brute_force(seen: Outcomes, places: PlaceCosts, limits: tuple[float, ...], most: int) -> float:
    """Least mean over limits of the least cost, over all subsets and thresholds."""
    levels = [sorted({NEVER, *map(int, codes)}) for codes in seen.confidences]
    best = np.inf
    for subset in product((False, True), repeat=len(levels)):
        kept = tuple(i for i, on in enumerate(subset) if on)
        if len(kept) <= most:
            tried = [honest(seen, places, kept, vector) for vector in product(*(levels[i] for i in kept))]
            least = [min(cost for wrong, cost in tried if wrong <= int(lim * seen.count + 1e-9)) for lim in limits]
            best = min(best, float(np.mean(least)))
    return best


CASES = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from([20, 60, 300]),
    st.sampled_from([0.0, 0.01, 0.05, 0.15]),
    st.sampled_from([(0.0,), (0.03,), (0.2,), (0.01, 0.03, 0.1)]),
    st.integers(1, 4),
)


def problem_of(seen: Outcomes, places: PlaceCosts, limits: tuple[float, ...], most: int) -> Problem:
    budgets = [int(limit * seen.count + 1e-9) for limit in limits]
    return make_problem(seen, places.trunk, places.heads, budgets, [1 / len(limits)] * len(limits), most)


@given(CASES)
@settings(max_examples=6, deadline=None)
def test_on_4_places_with_8_levels_nothing_cheaper_exists(case: tuple[int, int, float, tuple[float, ...], int]) -> None:
    seed, count, head, limits, most = case
    seen, places = coarse(plausible(count, 5, seed)), some_places(4, head, seed)
    found = select_for(seen, places, limits, most_exits=most)
    assert found.cost == pytest.approx(brute_force(seen, places, limits, most))
    assert found.optimal
    assert found.gap == 0.0
    assert len(found.exits) <= most
    for limit, point in zip(limits, found.points, strict=True):
        wrong, cost = honest(seen, places, point.exits, point.thresholds)
        assert point.exits == found.exits
        assert (point.cost, point.disagreement * count) == pytest.approx((cost, wrong))
        assert wrong <= limit * count + 1e-9


def test_descent_alone_nearly_always_finds_the_best_of_4_places(monkeypatch: pytest.MonkeyPatch) -> None:
    excess = []
    for seed in range(20):
        seen, places = coarse(plausible(200, 5, seed)), some_places(4, 0.02, seed)
        best = select(seen, places, 0.03).cost
        with monkeypatch.context() as patch:
            patch.setattr(search, "is_small", lambda _: False)
            found = select(seen, places, 0.03)
        assert found.lower_bound <= best + 1e-12 <= found.cost + 2e-12
        excess.append(found.cost / best - 1)
    assert np.mean(np.asarray(excess) > 1e-9) <= 0.05
    assert max(excess) < 0.02


@given(CASES, st.integers(1, 60))
@settings(max_examples=30, deadline=None)
def test_the_lower_bound_lies_below_the_optimum(
    case: tuple[int, int, float, tuple[float, ...], int], steps: int
) -> None:
    seed, count, head, limits, most = case
    seen, places = coarse(plausible(count, 5, seed)), some_places(4, head, seed)
    problem = problem_of(seen, places, limits, most).at(0)
    optimum = best_state(problem)
    for solution in (optimum, problem.never()):
        assert lower_bound(problem, solution, steps=steps) <= problem.cost(optimum) + 1e-12


def test_the_lower_bound_is_tight_where_one_exit_decides() -> None:
    right = outcomes(np.zeros((1, 200)), np.linspace(-100, 100, 200).round()[None])
    found = search._solved(problem := problem_of(right, PlaceCosts((0.4, 1.0), (0.1,)), (0.0,), 1), [problem.never()])
    assert problem.cost(found) == pytest.approx(0.5)
    assert lower_bound(problem, found) == pytest.approx(0.5, abs=1e-3)


def test_a_head_that_costs_more_than_it_saves_is_not_kept() -> None:
    codes = np.arange(-50, 50)[None].repeat(2, axis=0)
    seen = outcomes(np.zeros((2, 100)), codes)
    cheap = select(seen, PlaceCosts((0.5, 0.9, 1.0), (0.01, 0.2)), 0.0)
    assert cheap.exits == (0,)
    assert cheap.cost == pytest.approx(0.51)
    dear = select(seen, PlaceCosts((0.5, 0.9, 1.0), (0.6, 0.2)), 0.0)
    assert (dear.exits, dear.thresholds, dear.cost) == ((), (), 1.0)


def test_a_kept_exit_is_charged_at_a_limit_where_it_never_fires() -> None:
    # Exit 0 is always wrong: worth it under a limit of 50 %, a burden under 0 %.
    seen = outcomes([[1] * 100], [[10] * 50 + [-10] * 50])
    found = select_for(seen, PlaceCosts((0.5, 1.0), (0.1,)), (0.0, 0.5))
    assert found.exits == (0,)
    careful, loose = found.points
    assert careful.thresholds == (NEVER,)
    assert careful.cost == pytest.approx(1.1)
    assert loose.cost == pytest.approx(0.5 * 0.6 + 0.5 * 1.1)
    assert found.cost == pytest.approx((careful.cost + loose.cost) / 2)
    mostly_careful = select_for(seen, PlaceCosts((0.5, 1.0), (0.1,)), (0.0, 0.5), weights=(9, 1))
    assert (mostly_careful.exits, mostly_careful.cost) == ((), 1.0)


def test_the_unit_of_the_costs_scales_the_result_only() -> None:
    seen, places = plausible(400, 7, 3), some_places(6, 0.01, 3)
    cycles = PlaceCosts(tuple(40e6 * t for t in places.trunk), tuple(40e6 * h for h in places.heads))
    a, b = select(seen, places, 0.03), select(seen, cycles, 0.03)
    assert (b.exits, b.thresholds) == (a.exits, a.thresholds)
    assert (b.cost, b.lower_bound, b.gap) == pytest.approx((40e6 * a.cost, 40e6 * a.lower_bound, a.gap), rel=1e-6)


@pytest.fixture(scope="module")
def nine() -> tuple[Outcomes, PlaceCosts, JointSelection]:
    """Nine places as ResNet-20 has, three limits."""
    seen = plausible(500, 10, 5)
    places = PlaceCosts((0.128, 0.245, 0.361, 0.45, 0.567, 0.684, 0.771, 0.887, 0.99, 1.0), (0.004,) * 9)
    return seen, places, select_for(seen, places, (0.01, 0.03, 0.1))


def test_many_places_give_one_set_of_exits_within_every_limit(
    nine: tuple[Outcomes, PlaceCosts, JointSelection],
) -> None:
    seen, places, found = nine
    for limit, point in zip((0.01, 0.03, 0.1), found.points, strict=True):
        wrong, cost = honest(seen, places, found.exits, point.thresholds)
        assert wrong <= limit * seen.count
        assert point.cost == pytest.approx(cost)
        alone = select(seen, places, limit)
        assert alone.cost <= point.cost + 1e-9
        assert point.lower_bound == pytest.approx(alone.lower_bound)
        assert 0 < point.lower_bound <= alone.cost
    assert found.lower_bound < found.cost < 1.0
    assert found.gap == pytest.approx(1 - found.lower_bound / found.cost)
    assert found.gap < 0.25


def test_the_same_input_gives_the_same_selection(nine: tuple[Outcomes, PlaceCosts, JointSelection]) -> None:
    seen, places, found = nine
    assert select_for(seen, places, (0.01, 0.03, 0.1)) == found


def test_fewer_exits_are_kept_where_that_costs_little(nine: tuple[Outcomes, PlaceCosts, JointSelection]) -> None:
    seen, places, found = nine
    thinner = select_for(seen, places, (0.01, 0.03, 0.1), tolerance=0.03)
    assert len(thinner.exits) < len(found.exits)
    assert found.cost <= thinner.cost <= 1.03 * found.cost
    few = select(seen, places, 0.03, most_exits=2)
    assert len(few.exits) <= 2
    assert few.cost >= select(seen, places, 0.03).cost


def refused(**wrong: object) -> Selection | JointSelection:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    given: dict[str, object] = {"outcomes": right, "places": PlaceCosts((0.5, 1.0), (0.1,)), "limits": (0.01,), **wrong}
    return select_for(**given)  # type: ignore[arg-type]


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"limit 1\.5 on disagreement lies outside \[0, 1\]"):
        refused(limits=(1.5,))
    with pytest.raises(ConfigError, match="no limit on disagreement was given"):
        refused(limits=())
    with pytest.raises(ConfigError, match=r"weights \[1\.0, 2\.0\] for 1 limits\n  hint: give one positive"):
        refused(weights=(1.0, 2.0))
    with pytest.raises(ConfigError, match=r"weights \[0\.0\] for 1 limits"):
        refused(weights=(0.0,))
    with pytest.raises(ConfigError, match="most_exits is 0, at least 1 is needed"):
        refused(most_exits=0)
    with pytest.raises(ConfigError, match=r"tolerance 2\.0 lies outside \[0, 1\]"):
        refused(tolerance=2.0)
    with pytest.raises(DataError, match="outcomes of 2 exits, costs of 3"):
        refused(places=PlaceCosts((0.5, 0.7, 1.0), (0.1, 0.1)))


def test_images_that_were_trained_on_choose_no_exits() -> None:
    right = outcomes(np.zeros((1, 30)), np.zeros((1, 30)))
    with pytest.raises(SplitError, match="thresholds cannot be chosen on thresholds"):
        refused(outcomes=replace(right, split=replace(right.split, seen_by_heads=True)))


@pytest.mark.parametrize("keep", [[], ["exit0"], ["exit1"], ["exit0", "exit1"]], ids=len)
def test_the_exits_kept_answer_bit_for_bit_as_before(keep: list[str]) -> None:
    graph = attached("pooled")
    fewer = without_exits(graph, keep)
    assert [e.name for e in fewer.exits] == [*keep, "final"]
    tensors = [t for e in fewer.exits for t in e.tensors]
    x = images(graph, 3)
    before, after = forward(graph, x, tensors), forward(fewer, x, tensors)
    assert all(np.array_equal(before[t], after[t]) for t in tensors)
    gone = {e.name for e in graph.exits} - {*keep, "final"}
    assert not [node.name for node in fewer.nodes if node.name.partition(".")[0] in gone]
    assert fewer.taps == graph.taps


def test_a_kept_head_that_reads_an_earlier_one_keeps_what_it_reads() -> None:
    graph = attached("pooled", cascade=True)
    fewer = without_exits(graph, ["exit1"])
    assert [node.name for node in fewer.nodes if node.name == "exit0.classifier"]
    assert not [node.name for node in fewer.nodes if node.name == "exit0.confidence"]
    x = images(graph, 2)
    logits = graph.exits[1].logits
    assert np.array_equal(forward(graph, x, [logits])[logits], forward(fewer, x, [logits])[logits])


def test_the_int8_network_keeps_the_thresholds_and_answers_of_its_kept_exits() -> None:
    graph = attached("pooled")
    int8 = replace(quantized(graph), points=(OperatingPoint("p", (5, 7), (1.0, 0.5, 0.2), 0.1, 0.05, cost=0.8),))
    fewer = without_quant_exits(int8, ["exit1"])
    verify_quant_graph(fewer)
    assert fewer.points == (OperatingPoint("p", (7,), asked=0.1),)
    x = int8.input_tensor.quant.codes(images(graph, 4))
    before, after = evaluate(int8, x, full=True), evaluate(fewer, x, full=True)
    assert before.labels is not None
    assert after.labels is not None
    assert np.array_equal(before.labels[1:], after.labels)


CERTIFIED = OperatingPoint("p", (NEVER, 7), (1.0, 1.0, 0.4), 0.1, 0.05, delta=0.05, bound=0.09, cost=0.8)


def test_an_exit_that_fires_at_no_point_leaves_with_all_that_was_certified_still_true() -> None:
    graph = attached("pooled")
    never = replace(CERTIFIED, name="never", thresholds=(NEVER, NEVER), reach=(1.0, 1.0, 1.0))
    int8 = replace(quantized(graph), points=(CERTIFIED, never))
    assert idle_exits(int8) == ("exit0",)
    fewer = without_idle_exits(int8)
    verify_quant_graph(fewer)
    assert fewer.points[0] == replace(CERTIFIED, thresholds=(7,), reach=(1.0, 0.4))
    assert fewer.points[1] == replace(never, thresholds=(NEVER,), reach=(1.0, 1.0))
    x = int8.input_tensor.quant.codes(images(graph, 40))
    before, after = evaluate(int8, x), evaluate(fewer, x)
    assert np.array_equal(before.label, after.label)
    assert np.array_equal(before.exit, after.exit + 1)


def test_exits_that_all_fire_or_of_which_none_does_stay() -> None:
    int8 = quantized(attached("pooled"))
    assert without_idle_exits(int8) is int8  # no threshold was chosen
    used = replace(int8, points=(CERTIFIED, replace(CERTIFIED, name="q", thresholds=(3, NEVER))))
    assert without_idle_exits(used) is used


def test_an_exit_that_is_not_there_cannot_be_kept() -> None:
    graph = attached("pool")
    with pytest.raises(ConfigError, match="has no early exit called 'exit7'\n  hint: early exits: exit0, exit1"):
        without_exits(graph, ["exit7"])
    bare = without_exits(graph, [])
    with pytest.raises(ConfigError, match="'exit0'\n  hint: it has no early exits"):
        without_exits(bare, ["exit0"])
