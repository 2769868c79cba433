import json
import resource
from collections.abc import Callable
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from passes.networks import Net, residual_network

from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Confidence, Exit, Graph, Node, Tap, make_graph
from ptee_mcu.graph_file import load, save
from ptee_mcu.ops import (
    OPS,
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Clamp,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Linear,
    MaxPool2d,
    Mul,
    Op,
    Pad,
    PReLU,
    Reshape,
    ResizeNearest,
    Sigmoid,
    SiLU,
    Slice,
    Span,
    Tanh,
)
from ptee_mcu.passes.fold import fold
from ptee_mcu.tensor import HW, Padding, readonly


def assert_same(a: Graph, b: Graph) -> None:
    for name in ("name", "input", "exits", "taps", "softmax"):
        assert getattr(a, name) == getattr(b, name)
    assert dict(a.shapes) == dict(b.shapes)
    assert len(a.nodes) == len(b.nodes)
    for x, y in zip(a.nodes, b.nodes, strict=True):
        assert (x.name, x.op, x.inputs, x.output, x.module) == (y.name, y.op, y.inputs, y.output, y.module)
        assert x.params.keys() == y.params.keys()
        for role, array in x.params.items():
            np.testing.assert_array_equal(array, y.params[role], strict=True)
            assert not array.flags.writeable


limits = st.floats(width=32, allow_nan=False)
acts = st.builds(Activation, limits | st.just(-np.inf), limits | st.just(np.inf))
small = st.integers(0, 2)
paddings = st.builds(Padding, small, small, small, small)
sizes = st.builds(HW, st.integers(1, 2), st.integers(1, 2))
ops: st.SearchStrategy[Op] = st.one_of(
    st.builds(Clamp, acts),
    st.builds(Dropout, st.floats(0, 1)),
    st.builds(BatchNorm, st.floats(1e-8, 1)),
    st.builds(Conv2d, sizes, paddings, sizes, st.sampled_from([1, 2]), acts),
    st.builds(MaxPool2d, sizes, sizes, paddings, acts),
    st.builds(AvgPool2d, sizes, sizes, paddings, acts),
    st.builds(Pad, paddings, small, st.sampled_from([0, 2])),
    st.builds(Add, acts),
    st.just(Concat()),
    st.builds(Mul, acts),
    st.sampled_from([HardSigmoid(), HardSwish(), PReLU(), Sigmoid(), SiLU(), Tanh()]),
    st.builds(LeakyReLU, st.floats(0, 1)),
    st.builds(ConvTranspose2d, sizes, paddings, sizes, acts),
    st.builds(ResizeNearest, sizes),
    st.just(Reshape((1, 8, 32, 2))),
    st.builds(Slice, st.just(Span(0, 3, 2)), st.just(Span(1, 3)), st.just(Span(0, 2))),
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    shape: tuple[int, ...] = (1, 16, 16, 2)
    tensor, nodes, taps = "input", [], []
    for i, op in enumerate(draw(st.lists(ops, max_size=5))):
        name = draw(st.sampled_from(["layer.{}", "a/b{}", "µ {}"])).format(i)
        arrays = {}
        if isinstance(op, Conv2d):
            arrays = {"weight": rng.normal(size=(4, 2, 2, shape[3] // op.groups))}
        if isinstance(op, ConvTranspose2d):
            arrays = {"weight": rng.normal(size=(2, 2, 2, shape[3]))}
        if isinstance(op, PReLU):
            arrays = {"slope": rng.normal(size=shape[3])}
        if isinstance(op, BatchNorm):
            arrays = {role: rng.uniform(1, 2, shape[3]) for role in ("weight", "bias", "mean", "var")}
        frozen = MappingProxyType({role: readonly(value, np.float32) for role, value in arrays.items()})
        if (isinstance(op, Slice) and min(shape[1:3]) < 3) or shape[3] % 2:
            continue
        try:
            after = op.output_shape([shape] * (2 if isinstance(op, Add | Concat | Mul) else 1), frozen)
        except ModelError:
            continue
        nodes.append(
            Node(name, op, (tensor,) * (2 if isinstance(op, Add | Concat | Mul) else 1), name, frozen, module=name)
        )
        taps.append(Tap(name, name))
        tensor, shape = name, after
    params = {"weight": readonly(rng.normal(size=(3, prod(shape))), np.float32)}
    nodes += [
        Node("flat", Flatten(), (tensor,), "flat"),
        Node("fc", Linear(), ("flat",), "fc", MappingProxyType(params)),
    ]
    early = Exit("early", "fc", Confidence("fc"), tap=None if not taps else taps[0].name)
    exits = [early, Exit("final", "fc")]
    return make_graph("net", "input", (1, 16, 16, 2), nodes, exits, taps=taps, softmax=draw(st.booleans()))


def test_the_property_covers_every_op() -> None:
    assert set(OPS.values()) == {
        Clamp, Dropout, BatchNorm, Conv2d, MaxPool2d, AvgPool2d, Pad, Add, Concat, Slice, Flatten, Linear,
        ConvTranspose2d, Reshape, ResizeNearest, Mul, PReLU, HardSigmoid, HardSwish, LeakyReLU, Sigmoid, SiLU, Tanh,
    }  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(graphs())
def test_a_graph_survives_its_files(tmp_path: Path, graph: Graph) -> None:
    save(graph, tmp_path / "net")
    assert_same(load(tmp_path / "net"), graph)


def test_a_folded_graph_survives_its_files(tmp_path: Path) -> None:
    _, graph = residual_network()
    save(fold(graph), tmp_path / "net.v1")
    assert_same(load(tmp_path / "net.v1"), fold(graph))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.v1.json", "net.v1.safetensors"]


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    _, graph = residual_network()
    save(graph, tmp_path / "a")
    save(graph, tmp_path / "b")
    for suffix in ("json", "safetensors"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def saved(folder: Path) -> Path:
    save(residual_network()[1], folder / "net")
    return folder / "net"


def edit(stem: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = stem.with_name(f"{stem.name}.json")
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    (tmp_path / "net.safetensors").unlink()
    with pytest.raises(ModelError, match=r"net\.safetensors does not exist\n  hint: a graph is two files"):
        load(stem)


def test_another_format_is_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    edit(stem, lambda data: data.update(format="ptee.graph.v9"))
    with pytest.raises(ModelError, match=r"net\.json is not a graph of format ptee\.graph\.v1"):
        load(stem)


def test_weights_of_another_graph_are_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    save(residual_network(seed=5)[1], tmp_path / "other")
    (tmp_path / "other.safetensors").replace(tmp_path / "net.safetensors")
    with pytest.raises(ModelError, match=r"net\.safetensors is not the file that net\.json was saved with"):
        load(stem)


def test_weights_that_are_no_safetensors_file_are_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    (tmp_path / "net.safetensors").write_bytes(b"")
    edit(
        stem,
        lambda data: data.update(weights_sha256="e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    )
    with pytest.raises(ModelError, match=r"net\.safetensors is not a safetensors file"):
        load(stem)


def test_an_unknown_op_is_refused_by_place(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    edit(stem, lambda data: data["graph"]["nodes"][0]["op"].update({"class": "Attention"}))
    with pytest.raises(ModelError, match=r"nodes/0/op: unknown class 'Attention'; known are Add, "):
        load(stem)


def test_shapes_that_the_nodes_do_not_make_are_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    edit(stem, lambda data: data["graph"]["shapes"].update({"conv2d0.out": [1, 9, 9, 8]}))
    with pytest.raises(ModelError, match=r"net\.json: the shapes in the file are not those that its nodes make"):
        load(stem)


def test_an_input_without_a_shape_is_refused(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    edit(stem, lambda data: data["graph"].update(input="y"))
    with pytest.raises(ModelError, match=r"net\.json: no shape is given for the input 'y'"):
        load(stem)


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    _, graph = residual_network()
    with pytest.raises(ModelError, match=r"net: cannot be saved as .*nowhere/net: No such file"):
        save(graph, tmp_path / "nowhere" / "net")


def test_a_failed_save_keeps_the_files_that_were_there(tmp_path: Path) -> None:
    stem = saved(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))  # as full as a disk can be
    try:
        with pytest.raises(ModelError, match=r"net: cannot be saved as .*: File too large"):
            save(residual_network(seed=5)[1], stem)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_networks_made_by_hand_are_saved_too(tmp_path: Path) -> None:
    net = Net((1, 12))
    graph = net.graph(net.linear("x", 3, 12))
    save(graph, tmp_path / "net")
    assert_same(load(tmp_path / "net"), graph)
