"""Small float networks, made by hand, for tests of the passes and of quantization."""

from types import MappingProxyType

import numpy as np

from ptee_mcu.graph import Exit, Graph, Node, Tap, make_graph
from ptee_mcu.ops import Activation, Add, AvgPool2d, BatchNorm, Clamp, Conv2d, Dropout, Flatten, Linear, Op
from ptee_mcu.tensor import HW, Float, Padding, readonly

RELU = Activation(min=0.0)


class Net:
    """Collects nodes with random parameters; each method returns the name of the tensor it makes."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = shape
        self.nodes: list[Node] = []

    def add(self, op: Op, *inputs: str, **params: Float) -> str:
        name = f"{type(op).__name__.lower()}{len(self.nodes)}"
        frozen = MappingProxyType({role: readonly(value, np.float32) for role, value in params.items()})
        self.nodes.append(Node(name, op, inputs, f"{name}.out", frozen))
        return f"{name}.out"

    def conv(
        self, x: str, out: int, channels: int, op: Conv2d | None = None, kernel: int = 3, *, bias: bool = False
    ) -> str:
        op = op or Conv2d(padding=Padding.same(1, 1))
        weight = self.rng.normal(size=(out, 3, 3, channels // op.groups)) / 3
        extra = {"bias": self.rng.normal(size=out)} if bias else {}
        return self.add(op, x, weight=weight, **extra)

    def norm(self, x: str, channels: int) -> str:
        return self.add(
            BatchNorm(), x,
            weight=self.rng.uniform(0.5, 2, channels), bias=self.rng.normal(size=channels),
            mean=self.rng.normal(size=channels), var=self.rng.uniform(0.5, 2, channels),
        )  # fmt: skip

    def relu(self, x: str) -> str:
        return self.add(Clamp(RELU), x)

    def linear(self, x: str, out: int, features: int) -> str:
        return self.add(Linear(), x, weight=self.rng.normal(size=(out, features)), bias=self.rng.normal(size=out))

    def graph(self, logits: str, *taps: Tap) -> Graph:
        return make_graph("net", "x", self.shape, self.nodes, [Exit("final", logits)], taps=taps)

    def inputs(self, count: int) -> Float:
        return self.rng.normal(size=(count, *self.shape[1:])).astype(np.float32)


def residual_network(seed: int = 0) -> tuple[Net, Graph]:
    """Conv-BN-ReLU, a residual block whose output is a tap, GAP, Dropout, Linear."""
    net = Net((1, 8, 8, 3), seed)
    stem = net.relu(net.norm(net.conv("x", 8, 3), 8))
    inner = net.relu(net.norm(net.conv(stem, 8, 8), 8))
    block = net.relu(net.add(Add(), net.norm(net.conv(inner, 8, 8), 8), stem))
    pooled = net.add(Flatten(), net.add(AvgPool2d(HW(8, 8), HW(8, 8)), block))
    logits = net.linear(net.add(Dropout(), pooled), 5, 8)
    return net, net.graph(logits, Tap("block", block))
