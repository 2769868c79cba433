from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from exits.networks import two_blocks
from support.differential import Differential, inputs_for
from support.emitted import planned

from ptee_mcu.calibrate import calibrate
from ptee_mcu.config import Config
from ptee_mcu.data import load
from ptee_mcu.errors import ConfigError, ModelError
from ptee_mcu.exits.costs import exit_costs
from ptee_mcu.exits.heads import HEADS, attach, head_nodes
from ptee_mcu.frontends.imported import Imported
from ptee_mcu.graph import Graph, forward
from ptee_mcu.integer_graph import integer_graph, integer_part
from ptee_mcu.ops import QConv2d, QFullyConnected, QOp
from ptee_mcu.passes.fold import fold
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.quantize import quantize
from ptee_mcu.requant import Requant
from ptee_mcu.sim import evaluate
from ptee_mcu.stages.capturing import captured
from ptee_mcu.stages.importing import calibration_inputs, reported_without_labels
from ptee_mcu.stages.inputs import normalisation, with_own_pixels
from ptee_mcu.tensor import Float, Quant, readonly
from ptee_mcu.train.heads import train_heads
from ptee_mcu.train.recipe import Augment, HeadRecipe
from ptee_mcu.train.trunk import IntegerTrunk
from ptee_mcu.train.workspace import Workspace

PIXELS = np.zeros((1, 16, 20, 3), np.uint8)


def images(count: int, seed: int = 0) -> Float:
    rng = np.random.default_rng(seed)
    colours = 2 * rng.normal(size=(count, 1, 1, 3))
    return (colours + rng.normal(size=(count, 16, 20, 3))).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> QuantGraph:
    folded = fold(two_blocks(0))
    return quantize(folded, calibrate(folded, images(50), observer="minmax"))


@pytest.fixture(scope="module")
def graph(network: QuantGraph) -> Graph:
    return integer_graph(network, two_blocks(0).taps)


def with_heads(graph: Graph, head: str = "pooled") -> Graph:
    return attach(graph, graph.taps, HEADS[head])


def quantized(graph: Graph, network: QuantGraph) -> QuantGraph:
    folded = fold(graph)
    return quantize(folded, calibrate(folded, images(50), observer="minmax"), backbone=network)


def test_its_forward_pass_is_the_simulator_code_for_code(graph: Graph, network: QuantGraph) -> None:
    codes = inputs_for(network, 4)
    run = evaluate(network, codes, record=True)
    values = forward(graph, network.input_tensor.quant.reals(codes), list(run.tensors))
    for name, said in run.tensors.items():
        assert np.array_equal(network.tensors[name].quant.codes(values[name]), said), name


def test_it_counts_the_macs_of_the_int8_network(graph: Graph, network: QuantGraph) -> None:
    heads = with_heads(graph)
    assert exit_costs(heads) == pytest.approx(quantized(heads, network).exit_costs())


@pytest.mark.parametrize("head", ["pooled", "pool", "bnpool_relu", "plain"])
def test_quantized_with_heads_it_is_the_same_backbone_integer_for_integer(
    graph: Graph, network: QuantGraph, head: str
) -> None:
    with_exits = quantized(with_heads(graph, head), network)
    theirs = {node.name: node for node in with_exits.nodes}
    assert all(theirs[node.name].op is node.op for node in network.nodes)
    assert all(with_exits.tensors[name] == tensor for name, tensor in network.tensors.items())
    codes = inputs_for(network)
    assert np.array_equal(evaluate(with_exits, codes).logits, evaluate(network, codes).logits)


def test_its_pixel_table_stays(graph: Graph, network: QuantGraph) -> None:
    table = np.zeros((256, 3), np.int8)
    table.flags.writeable = False
    of_pixels = replace(network, preprocess=table)
    assert quantized(with_heads(graph), of_pixels).preprocess is table


def test_heads_train_on_the_real_values_of_the_simulators_codes(graph: Graph, network: QuantGraph) -> None:
    heads = with_heads(graph)
    read = [tap.tensor for tap in graph.taps]
    x = torch.from_numpy(images(7))
    values = IntegerTrunk(heads, network, [*read, network.exits[-1].logits])(x)
    run = evaluate(network, network.input_tensor.quant.codes(x.numpy()), record=True)
    for name, value in values.items():
        assert np.array_equal(value.numpy(), network.tensors[name].quant.reals(run.tensors[name])), name


@pytest.mark.parametrize("budget", [0, 2**30], ids=["live", "features kept"])
def test_training_heads_leaves_the_integers_alone(graph: Graph, tmp_path: Path, budget: int) -> None:
    heads = with_heads(graph, "pool")
    recipe = HeadRecipe(epochs=2, batch=32, augment=Augment.NONE)
    trained = train_heads(heads, images(64), recipe, workspace=Workspace(tmp_path, budget, "cpu", keep=True))
    own = head_nodes(heads)
    assert all(trained.node(node.name).op is node.op for node in heads.nodes if node.name not in own)
    assert all(not np.array_equal(trained.node(n).params["weight"], heads.node(n).params["weight"])
               for n in own if "weight" in heads.node(n).params)  # fmt: skip


def test_it_runs_with_exits_as_c_on_host_and_cortex_m4(graph: Graph, network: QuantGraph, tmp_path: Path) -> None:
    with_exits = quantized(with_heads(graph), network)
    differential = Differential(with_exits, tmp_path)
    for where in ("host", "mps2-an386"):
        for node in with_exits.nodes:
            differential.compare(where, node.name)


def test_a_network_of_floats_has_no_integer_part() -> None:
    assert integer_part(two_blocks(0)) is None


def test_an_int8_network_with_exits_is_refused(graph: Graph, network: QuantGraph) -> None:
    with pytest.raises(ModelError, match="has 2 early exits already"):
        integer_graph(quantized(with_heads(graph), network))


def test_ranges_of_its_tensors_are_those_of_their_codes_whatever_was_seen(graph: Graph, network: QuantGraph) -> None:
    ranges = calibrate(graph, images(3)).of
    for node in graph.nodes:
        low, high = network.tensors[node.output].quant.reals(np.array([-128, 127]))
        assert (ranges[node.output].low, ranges[node.output].high) == (low, high)


def test_an_int8_layer_cannot_take_other_scales(graph: Graph) -> None:
    node, other = graph.nodes[0], Quant(0.123, 4)
    with pytest.raises(ModelError, match=f"{node.name}: an int8 layer cannot take other scales"):
        node.op.quantize(node.name, [other], other, node.params)


@pytest.mark.parametrize("kind", [QConv2d, QFullyConnected])
def test_layers_that_differ_in_their_multipliers_only_look_different(network: QuantGraph, kind: type[QOp]) -> None:
    node = next(node for node in network.nodes if isinstance(node.op, kind))
    assert isinstance(node.op, QConv2d | QFullyConnected)
    pairs = node.op.requant
    other = replace(node.op, requant=Requant(readonly(pairs.multiplier ^ 1, np.int32), pairs.shift))
    nodes = [replace(n, op=other) if n is node else n for n in network.nodes]
    before, after = (integer_graph(net).node(node.name).op for net in (network, replace(network, nodes=tuple(nodes))))
    assert repr(before) != repr(after)  # checkpoints and kept features are told apart by it
    assert repr(before) == repr(integer_graph(network).node(node.name).op)


def config(**data: object) -> Config:
    section = {"source": "digits", **data}
    return Config.model_validate({"model": {"file": "a.tflite"}, "data": section, "build": {"name": "a"}})


@pytest.mark.parametrize("quant", [Quant(1.0, -128), Quant(0.003921568859368563, -128), Quant(0.0078, 3)])
def test_pixels_of_an_int8_file_are_its_codes_plus_128(network: QuantGraph, quant: Quant) -> None:
    shifted = replace(network, tensors={**network.tensors, network.input: replace(network.input_tensor, quant=quant)})
    resolved = with_own_pixels(config(), integer_graph(shifted), PIXELS)
    norm = normalisation(resolved, np.zeros((1, 16, 20, 3), np.uint8))
    assert norm is not None
    assert np.array_equal(norm.table(quant), np.repeat(np.arange(-128, 128)[:, None], 3, axis=1))


def test_mean_and_std_of_the_config_count_where_they_are_given(graph: Graph) -> None:
    given = config(mean=[0.5] * 3)
    assert with_own_pixels(given, graph, PIXELS) is given
    assert with_own_pixels(config(), two_blocks(0), PIXELS) == config()


def test_images_of_floats_are_inputs_of_an_int8_file_already(graph: Graph) -> None:
    assert with_own_pixels(config(), graph, images(1)) == config()


def test_mean_and_std_are_held_against_the_images_before_anything_is_trained(graph: Graph) -> None:
    with pytest.raises(ConfigError, match=r"data\.mean has 2 values for images of 3 channels"):
        with_own_pixels(config(mean=[0.5] * 2, std=[1.0] * 2), graph, PIXELS)
    with pytest.raises(ConfigError, match=r"these images are float inputs already"):
        with_own_pixels(config(mean=[0.5] * 3), graph, images(1))


def test_inputs_of_floats_cannot_stand_for_the_pixels_of_a_uint8_file(network: QuantGraph, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", images(2))
    given = Config.model_validate(
        {"model": {"file": "a.tflite"}, "quantize": {"inputs": "x.npy"}, "build": {"name": "a"}}
    )
    assert np.array_equal(calibration_inputs(given, Imported(quantized=network), beside=tmp_path), images(2))
    table = readonly(np.zeros((256, 3)), np.int8)
    held = Imported(quantized=replace(network, preprocess=table))
    with pytest.raises(ConfigError, match=r"a\.tflite: takes uint8 pixels, for which inputs of floats cannot stand"):
        calibration_inputs(given, held, beside=tmp_path)


def test_without_inputs_a_uint8_file_is_reported_on_random_pixels(network: QuantGraph) -> None:
    table = readonly(np.repeat(np.arange(-128, 128)[:, None], 3, axis=1), np.int8)
    for graph, kind in ((network, np.int8), (replace(network, preprocess=table), np.uint8)):
        report, inputs = reported_without_labels(planned(graph), None, 0, ("a note",))
        assert (inputs.x.dtype, inputs.labels) == (kind, None)
        assert (report.accuracy, report.notes) == (None, ("a note",))
        assert "accuracy means nothing" in report.of


def test_a_file_that_rescales_its_uint8_inputs_wants_mean_and_std(
    network: QuantGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = np.repeat(np.arange(-128, 128, dtype=np.int8)[:, None], 3, axis=1)
    data = load("digits")
    for table, refused in ((usual, False), (usual // 2, True)):
        held = Imported(quantized=replace(network, preprocess=table), notes=("a note",))
        monkeypatch.setattr("ptee_mcu.stages.capturing.imported", lambda *_, held=held, **__: held)
        captured(config(mean=[0.5] * 3), data, beside=Path(), data=None)
        if refused:
            with pytest.raises(ConfigError, match=r"a\.tflite: rescales its uint8 inputs before its first layer"):
                captured(config(), data, beside=Path(), data=None)
        else:
            graph, said = captured(config(), data, beside=Path(), data=None)
            assert (graph.name, said) == ("a", ("a note",))
