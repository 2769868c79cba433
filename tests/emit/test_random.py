from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.differential import Differential
from support.graphs import networks
from support.placed import MIXED, placed
from support.tools import require

from ptee_mcu.plan.placement import Placement
from ptee_mcu.quant_graph import QuantGraph


@pytest.mark.slow
@given(networks())
@settings(max_examples=12, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_network_in_c_equals_the_simulator_on_the_host(graph: QuantGraph) -> None:
    require("gcc")
    with TemporaryDirectory() as folder:
        differential = Differential(graph, Path(folder))
        for step in differential.plan.steps:
            differential.compare("host", step.node.name)


@pytest.mark.slow
@given(networks())
@settings(max_examples=12, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_network_in_c_equals_the_simulator_on_a_cortex_m4(graph: QuantGraph) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    with TemporaryDirectory() as folder:
        differential = Differential(graph, Path(folder))
        for step in differential.plan.steps:
            differential.compare("mps2-an386", step.node.name)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["host", "mps2-an386"])
@given(networks(), st.lists(st.sampled_from(MIXED), min_size=1, max_size=7))
@settings(max_examples=10, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_network_in_c_equals_the_simulator_wherever_its_constants_lie(
    where: str, graph: QuantGraph, places: list[Placement]
) -> None:
    require("gcc", "arm-none-eabi-gcc", "qemu-system-arm")
    with TemporaryDirectory() as folder:
        differential = Differential(graph, Path(folder))
        differential.plan = placed(graph, lambda i, _: places[i % len(places)])
        for step in differential.plan.steps:
            differential.compare(where, step.node.name)
