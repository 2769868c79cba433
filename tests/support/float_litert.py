"""What LiteRT's reference kernels compute for float files; skipped by name where it is not installed."""

from pathlib import Path

import numpy as np
import pytest

from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.float import float_graph
from ptee_mcu.graph import Graph, forward
from ptee_mcu.tensor import Float


def logits(path: Path, x: Float) -> Float:
    """What the file at `path` answers to `x`; before a final softmax, where there is one."""
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="comparing with LiteRT needs ai-edge-litert")
    model = read_tflite(path)
    run = litert.Interpreter(
        str(path),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    run.allocate_tensors()
    run.set_tensor(model.inputs[0], x)
    run.invoke()
    last = model.operators[-1]
    answer: Float = run.get_tensor(last.inputs[0] if last.kind == "SOFTMAX" else model.outputs[0])
    return answer


def evaluate(graph: Graph, x: Float) -> Float:
    """The logits of `graph` for one input of any shape with as many elements."""
    tensor = graph.exits[0].logits
    return forward(graph, x.reshape(graph.input_shape), [tensor])[tensor]


def relative_error(path: Path, inputs: int = 3) -> float:
    """The largest difference between the imported graph and LiteRT over random inputs, to the largest logit."""
    model = read_tflite(path)
    graph = float_graph(model, "net")
    worst = 0.0
    for seed in range(inputs):
        x = np.random.default_rng(seed).normal(size=model.tensors[model.inputs[0]].shape).astype(np.float32)
        want = logits(path, x).ravel()
        got = evaluate(graph, x).ravel()
        assert want.shape == got.shape, f"{want.shape} by LiteRT, {got.shape} by the graph"
        worst = max(worst, float(np.abs(want - got).max() / np.abs(want).max()))
    return worst
