"""The arenas of published networks: no larger than stated, and early exits cost next to nothing."""

from functools import cache
from time import perf_counter

import numpy as np
import pytest
import torch
from support.torch_networks import randomised

from ptee_mcu import boards
from ptee_mcu.calibrate import calibrate
from ptee_mcu.exits.heads import attach, find_head
from ptee_mcu.exits.placement import by_name
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.models import build, find
from ptee_mcu.passes.fold import fold
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quantize import quantize

GOALS = {"resnet8": 50_000, "mobilenet_v1_025": 57_000}  # bytes, input and output included


@cache
def planned(name: str, *, exits: bool = False) -> tuple[Plan, float]:
    """The plan, and the seconds it took; with exits at all blocks but the last."""
    spec = find(name)
    _, h, w, c = spec.input_shape
    graph = capture(randomised(build(name)), torch.zeros(1, c, h, w), name="net", taps=spec.blocks)
    if exits:
        graph = attach(graph, by_name(graph, spec.blocks[:-1]), find_head("pooled2"), seed=1)
    x = np.random.default_rng(5).normal(size=(2, h, w, c)).astype(np.float32)
    folded = fold(graph)
    quantized = quantize(folded, calibrate(folded, x))
    start = perf_counter()
    plan = make_plan(quantized, boards.load("mps2_an386"))
    seconds = perf_counter() - start
    verify_plan(plan)
    return plan, seconds


@pytest.mark.parametrize("name", GOALS)
def test_the_arena_is_at_most_what_was_aimed_at_and_proven_optimal(name: str) -> None:
    plan, _ = planned(name)
    assert plan.arena_bytes <= GOALS[name]
    assert plan.arena_optimal


def test_mobilenet_is_as_small_as_its_widest_pointwise_layer_lets_it() -> None:
    plan, _ = planned("mobilenet_v1_025")
    assert plan.arena_bytes == 48 * 48 * (8 + 16)


@pytest.mark.parametrize("name", ["resnet8", "resnet20", "ds_cnn", "mobilenet_v1_025"])
def test_exits_at_all_blocks_add_at_most_two_percent(name: str) -> None:
    bare, _ = planned(name)
    exits, _ = planned(name, exits=True)
    assert len(exits.graph.exits) > 2
    assert exits.arena_bytes <= 1.02 * bare.arena_bytes


@pytest.mark.parametrize("name", ["ds_cnn", "mobilenet_v1_025", "resnet20"])
def test_a_plan_with_exits_is_made_in_five_seconds(name: str) -> None:
    assert planned(name, exits=True)[1] < 5
