"""Emulated cores as boards, and one network of every case of every op for each of them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from ops import (
    pool_cases,
    test_add,
    test_concat,
    test_conv2d,
    test_depthwise_conv2d,
    test_fully_connected,
    test_mean,
    test_reshape,
    test_resize,
    test_transposed_conv2d,
)
from ops import test_pad as pad_cases
from ops import test_slice as slice_cases
from support.builder import Builder
from support.targets import region, tiny_board

from ptee_mcu.firmware.machines import MACHINES, machine
from ptee_mcu.quant_graph import QConfidence, QExit, QuantGraph
from ptee_mcu.target import Target
from ptee_mcu.tensor import HW

IN_PLACE = {
    "add",
    "avg_pool2d",
    "concat",
    "conv2d",
    "depthwise_conv2d",
    "max_pool2d",
    "mean",
    "reshape",
    "resize",
    "slice",
}
SMALL = "microbit"  # its 16 KiB hold the small network only
CORES = tuple(name for name in MACHINES if name != SMALL)

_NETWORKS: Mapping[str, Callable[[], QuantGraph]] = {
    "conv2d": test_conv2d.network,
    "depthwise_conv2d": test_depthwise_conv2d.network,
    "fully_connected": test_fully_connected.network,
    "max_pool2d": lambda: pool_cases.network("max_pool"),
    "avg_pool2d": lambda: pool_cases.network("avg_pool"),
    "add": test_add.network,
    "concat": test_concat.network,
    "pad": pad_cases.network,
    "slice": slice_cases.network,
    "mean": test_mean.network,
    "reshape": test_reshape.network,
    "resize": test_resize.network,
    "transposed_conv2d": test_transposed_conv2d.network,
}


def core_board(name: str) -> Target:
    """The machine called `name` as a board."""
    on = machine(name)
    flash = region("FLASH", "flash", on.flash_base, on.flash_bytes)
    ram = region("SRAM", "sram", on.ram_base, on.ram_bytes)
    return replace(tiny_board(isa=on.isa), name="core", cpu=on.cpu, flags=on.flags, regions=(flash, ram), machine=name)


def every_case() -> QuantGraph:
    """The networks of tests/ops as one, each on its own cut of one input, all exits kept."""
    networks = {op: make() for op, make in _NETWORKS.items()}
    shapes = [graph.input_tensor.shape for graph in networks.values()]
    b = Builder((1, *(max(sides) for sides in list(zip(*shapes, strict=True))[1:])))
    for op, graph in networks.items():
        _, h, w, channels = graph.input_tensor.shape
        names = {graph.input: b.cut(HW(h, w), channels, graph.input_tensor.quant)}
        names |= {tensor: f"{op}: {tensor}" for tensor in graph.tensors if tensor != graph.input}
        for node in graph.nodes:
            inputs = tuple(names[tensor] for tensor in node.inputs)
            b.tensors[names[node.output]] = graph.tensors[node.output]
            b.nodes.append(replace(node, name=f"{op}: {node.name}", inputs=inputs, output=names[node.output]))
        for leave in graph.exits:
            logits = names[leave.logits]
            confidence = (
                names[leave.rule.tensor] if leave.rule else b.linear(logits, 1, name=f"{op}: {leave.name}.last")
            )
            b.exits.append(QExit(f"{op}: {leave.name}", logits, QConfidence(confidence)))
    b.exits[-1] = replace(b.exits[-1], rule=None)
    del b.tensors[b.nodes.pop().output]  # the confidence that the final exit does not need
    return b.graph("cases")
