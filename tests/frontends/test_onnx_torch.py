"""Networks that torch.onnx.export writes."""

import io
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.onnx_files import float_graph
from support.torch_networks import assert_close, inputs, randomised, to_graph_layout
from torch import Tensor, nn
from torch.nn import functional as F

from ptee_mcu.frontends.onnx.load import load_onnx
from ptee_mcu.graph import Graph, forward
from ptee_mcu.passes.fold import fold

MAP = (1, 3, 16, 12)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.left = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Hardswish(), nn.Conv2d(8, 8, 1))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(x + self.left(x))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class Gated(nn.Module):
    """Squeeze and excitation, SiLU, concatenation, a flatten by the input's own batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.fc = nn.Linear(16 * 8 * 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.stem(x))
        gate = F.hardsigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))
        x = F.max_pool2d(torch.cat([x * gate, x], 1), 2)
        return self.fc(x.view(x.size(0), -1))  # type: ignore[no-any-return]


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "residual": (Residual(), MAP),
    "gated": (Gated(), MAP),
    "layer zoo": (
        nn.Sequential(
            nn.ZeroPad2d((0, 1, 1, 0)), nn.Conv2d(3, 6, 3, (2, 1), dilation=(1, 2)), nn.LeakyReLU(0.2),
            nn.AvgPool2d(2, padding=1), nn.Conv2d(6, 8, 1, groups=2), nn.PReLU(8), nn.Tanh(),
            nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.LazyLinear(7), nn.Dropout(), nn.Hardtanh(-0.5, 2),
            nn.Linear(7, 4, bias=False),
        ),
        MAP,
    ),
    "encoder and decoder": (
        nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3, 2, 1, 1), nn.Upsample(scale_factor=2),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3),
        ),
        MAP,
    ),
    "one dimension": (
        nn.Sequential(
            nn.Conv1d(3, 8, 5, 2, 2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3, groups=8),
            nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
        ),
        (1, 3, 40),
    ),
    "perceptron": (nn.Sequential(nn.Linear(10, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)), (1, 10)),
}  # fmt: skip


def exported(module: nn.Module, shape: tuple[int, ...], opset: int | None, *, dynamo: bool) -> onnx.ModelProto:
    module.eval()(torch.zeros(shape))  # a lazy layer takes its size from its first input
    randomised(module)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old exporter says that it is old
        program = torch.onnx.export(
            module, (torch.zeros(shape),), None if dynamo else stream, opset_version=opset, dynamo=dynamo
        )
    return program.model_proto if program is not None else onnx.ModelProto.FromString(stream.getvalue())


def assert_answers_alike(module: nn.Module, shape: tuple[int, ...], proto: onnx.ModelProto, folder: Path) -> Graph:
    graph = float_graph(proto, folder)
    x = inputs(shape)
    with torch.no_grad():
        expected = module(x).numpy()
    given = to_graph_layout(x) if x.dim() != 3 else np.ascontiguousarray(x.permute(0, 2, 1).numpy()[:, None])
    for each in (graph, fold(graph)):
        logits = each.exits[-1].logits
        assert_close(forward(each, given, [logits])[logits].reshape(expected.shape), expected)
    return graph


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize(("module", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_what_the_old_exporter_writes_answers_as_torch(
    module: nn.Module, shape: tuple[int, ...], opset: int, tmp_path: Path
) -> None:
    assert_answers_alike(module, shape, exported(module, shape, opset, dynamo=False), tmp_path)


needs_new_exporter = pytest.mark.skipif(
    find_spec("onnxscript") is None, reason="torch's new ONNX exporter needs onnxscript"
)


@needs_new_exporter
@pytest.mark.parametrize(("module", "shape"), NETWORKS.values(), ids=NETWORKS)
def test_what_the_new_exporter_writes_answers_as_torch(
    module: nn.Module, shape: tuple[int, ...], tmp_path: Path
) -> None:
    assert_answers_alike(module, shape, exported(module, shape, None, dynamo=True), tmp_path)


@needs_new_exporter
def test_weights_that_the_new_exporter_writes_beside_the_model_are_read(tmp_path: Path) -> None:
    module, x = Residual(), inputs(MAP)
    randomised(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = {0: torch.export.Dim("batch")}
        torch.onnx.export(module, (x,), tmp_path / "net.onnx", dynamo=True, dynamic_shapes=(batch,))
    assert (tmp_path / "net.onnx.data").is_file()
    graph = load_onnx(tmp_path / "net.onnx", "net").graph
    assert graph is not None
    with torch.no_grad():
        expected = module(x).numpy()
    logits = graph.exits[-1].logits
    assert_close(forward(graph, to_graph_layout(x), [logits])[logits], expected)


@pytest.mark.parametrize("opset", [11, 14])
def test_gates_become_single_ops_in_every_spelling(opset: int, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Hardswish(), nn.SiLU(), nn.Flatten(), nn.Linear(768, 3))
    graph = assert_answers_alike(module, MAP, exported(module, MAP, opset, dynamo=False), tmp_path)
    assert [type(node.op).__name__ for node in graph.nodes] == ["Conv2d", "HardSwish", "SiLU", "Linear"]


def test_node_names_are_torch_module_paths(tmp_path: Path) -> None:
    graph = float_graph(exported(Residual(), MAP, 17, dynamo=False), tmp_path)
    assert [node.name for node in graph.nodes][:2] == ["/stem/stem.0/Conv", "/stem/stem.2/Clip"]
