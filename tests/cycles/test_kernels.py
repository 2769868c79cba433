"""The closed-form cycle model: its rates against priced traces of shapes and networks it was not fitted to."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from support.builder import Builder
from support.tools import require

from benchmarks import fit_kernels, kernel_shapes
from benchmarks.fit_kernels import Sample
from benchmarks.traced_layers import Layers, trace_layers
from ptee_mcu import boards
from ptee_mcu.cycles import kernels
from ptee_mcu.cycles.kernels import Fetches, Kernel, Rates, compute_cycles, cycles_of, known_rates, missed_lines
from ptee_mcu.cycles.steps import step_cost
from ptee_mcu.errors import ConfigError
from ptee_mcu.isa import Isa
from ptee_mcu.ops.base import Traffic, Work
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.placement import all_in_place
from ptee_mcu.target import Cache

PER_NETWORK, PER_LAYER = 0.05, 0.15
SMALL = 0.01  # of a network's cycles: layers below are left out of the per-layer rule
NETWORKS = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder", "resnet20 layer1.2 layer2.2")
FIRST_CLASS = {"cortex-m4": "nucleo_l4r5zi", "cortex-m33": "nrf5340_dk"}
NO_TRAFFIC = Traffic({}, (), 0, 0, 0)


@pytest.fixture(scope="module", params=[(cpu, name) for cpu in FIRST_CLASS for name in NETWORKS], ids=" ".join)
def layers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layers:
    pytest.importorskip("torch")
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")
    from support.random_networks import random_network  # noqa: PLC0415 - needs torch

    cpu, network = request.param
    plan = make_plan(random_network(*network.split()), boards.load(FIRST_CLASS[cpu]))
    return trace_layers(plan, tmp_path_factory.mktemp("network"))


def closed_form(layers: Layers) -> npt.NDArray[np.float64]:
    """Cycles of the steps with memory that never waits."""
    graph, cpu = layers.plan.graph, layers.plan.target.cpu
    return np.array(
        [
            compute_cycles(
                step.node.op, [graph.tensors[t] for t in step.node.inputs], graph.tensors[step.node.output], cpu
            )
            for step in layers.plan.steps
        ]
    )


def test_networks_cost_what_their_traces_cost(layers: Layers) -> None:
    found, traced = closed_form(layers), np.array([layers.compute(step) for step in layers.plan.steps])
    assert found.sum() == pytest.approx(traced.sum(), rel=PER_NETWORK)
    large = traced > SMALL * traced.sum()
    assert np.abs(found / traced - 1)[large].max() < PER_LAYER


def test_networks_wait_for_memory_as_their_traces_do(layers: Layers) -> None:
    plan = layers.plan
    places = all_in_place(plan.graph, plan.target)
    costs = [step_cost(step, plan.graph, plan.target, places, plan.arena_region).cycles for step in plan.steps]
    traced = sum(layers.compute(s) + layers.fetch_stalls(s) + layers.data_stalls(s) for s in plan.steps)
    assert sum(cost.total for cost in costs) == pytest.approx(traced, rel=PER_NETWORK)


@pytest.mark.parametrize("cpu", FIRST_CLASS)
@pytest.mark.parametrize("layer", kernel_shapes.LAYERS)
def test_committed_rates_predict_new_shapes(cpu: str, layer: str) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "gcc", "cmsis-nn")
    rows = fit_kernels.samples(layer, 6, 3, boards.load(FIRST_CLASS[cpu]))
    rates = known_rates(cpu)
    assert rows
    for row in rows:
        assert cycles_of(row.work, rates) == pytest.approx(row.cycles, rel=PER_LAYER), row.work


def test_cycles_are_rates_times_loops() -> None:
    rates = Rates("cortex-m4", Isa.DSP, "", "", {"k": Kernel(100, {"call": 10.0, "pair": 2.5}, ())})
    assert cycles_of(Work("k", {"call": 1, "pair": 4, "row": 9}, NO_TRAFFIC), rates) == 20.0


def test_fitting_finds_the_rates_that_made_the_cycles() -> None:
    random = np.random.default_rng(0)
    rows = []
    for _ in range(20):
        loops = {"call": 1, "pair": int(random.integers(1, 50)), "never": 0}
        rows.append(Sample(Work("k", loops, NO_TRAFFIC), 30.0 + 7.0 * loops["pair"], 0.0, 0))
    cycles = [row.cycles for row in rows]
    assert fit_kernels.fit(rows, cycles, cycles) == {"call": 30.0, "pair": 7.0}


def test_code_that_a_cache_holds_is_fetched_once() -> None:
    kernel = Kernel(800, {}, (Fetches(1024, 8, 128, {"": {"pair": 2.0}, "row": {"pair": 3.0}}),))
    work = Work("k", {"call": 1, "pair": 10, "row": 1}, NO_TRAFFIC)
    assert missed_lines(work, kernel, Cache("c", 1024, 8, 128, "")) == 100
    smaller = Cache("c", 512, 8, 64, "")
    assert missed_lines(work, kernel, smaller) == 30
    assert missed_lines(Work("k", {"call": 1, "pair": 10, "row": 0}, NO_TRAFFIC), kernel, smaller) == 20


def test_rates_are_read_as_they_were_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(800, {"row pair": 2.5}, (Fetches(1024, 8, 128, {"": {"pair": 2.0}, "row, block": {"pair": 3.0}}),))
    rates = Rates("cortex-x", Isa.DSP, "gcc 12.2", "fit", {"k": kernel})
    (tmp_path / "rates").mkdir()
    (tmp_path / "rates" / "cortex-x.toml").write_text(kernels.encode(rates))
    monkeypatch.setattr(kernels, "files", lambda _package: tmp_path)
    assert known_rates("cortex-x") == rates


def test_an_unknown_core_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no cycle rates are known for 'cortex-a9'") as refused:
        known_rates("cortex-a9")
    assert "cortex-m33, cortex-m4" in str(refused.value.hint).replace("cortex-m3, ", "")


def test_a_kernel_without_rates_is_refused() -> None:
    rates = Rates("cortex-m4", Isa.DSP, "", "fit", {})
    with pytest.raises(ConfigError, match="arm_new has no cycle rates on cortex-m4"):
        cycles_of(Work("arm_new", {}, NO_TRAFFIC), rates)


@pytest.mark.parametrize("cpu", ["cortex-m4", "cortex-m33"])
def test_every_op_has_rates(cpu: str) -> None:
    random = np.random.default_rng(0)
    b = Builder((1, 24, 24, 80))
    for layer in kernel_shapes.LAYERS.values():
        layer(b, random)
    for node in b.nodes:
        inputs = [b.tensors[name] for name in node.inputs]
        assert compute_cycles(node.op, inputs, b.tensors[node.output], cpu) > 0
