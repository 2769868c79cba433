from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from support.differential import Differential
from support.graphs import networks
from support.tools import require

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
