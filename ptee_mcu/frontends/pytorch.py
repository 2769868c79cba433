"""PyTorch networks: an nn.Module, traced by torch.export, as a float Graph in NHWC."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches

import torch
from torch import fx, nn
from torch.export import ExportedProgram

from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.pytorch_ops import CONVERTERS, SUPPORTED
from ptee_mcu.frontends.pytorch_trace import Call, Trace, Value, base_name, module_paths, nhwc, refuse
from ptee_mcu.graph import Exit, Graph, Tap, make_graph, needed
from ptee_mcu.tensor import Shape

_HINTS = {
    "chunk": "channel splits and shuffles have no int8 form here; use a plain residual or concatenated block",
    "gelu": "replace it by ReLU or ReLU6 and train again",
}


def capture(module: nn.Module, example: torch.Tensor, *, name: str, taps: Sequence[str] = ()) -> Graph:
    """The function that `module` computes in eval mode, as a Graph.

    Args:
        module: the network; its mode and parameters are left as they were.
        example: one float32 input, (1, C, H, W), (1, C, L) or (1, F).
        name: of the graph.
        taps: paths of the submodules behind whose outputs an exit may attach, such as "layer1.0".

    Raises:
        UnsupportedOpError: naming op, module and source line, where an operation has no counterpart.
        ModelError: where the network cannot be traced, has several outputs, or a tap names no submodule.
    """
    if example.dim() not in (2, 3, 4) or example.shape[0] != 1 or example.dtype != torch.float32:
        raise ModelError(
            f"{name}: the example input is {example.dtype} of shape {tuple(example.shape)}",
            hint="pass one float32 input of shape (1, channels, height, width), (1, channels, length) or (1, features)",
        )
    return capture_program(_export(module, example, name), name=name, taps=taps)


def capture_program(program: ExportedProgram, *, name: str, taps: Sequence[str] = ()) -> Graph:
    """As `capture`, from what torch.export made of a module in eval mode, on one input of batch 1.

    Raises:
        UnsupportedOpError, ModelError: as `capture`, or where the program has not one input of fixed shape.
    """
    trace = Trace(nhwc(_input_shape(program, name)))
    _read_parameters(program, trace)
    for node in program.graph.nodes:
        if node.op == "call_function":
            _convert(trace, node)
    _require_no_stale_reads(program.graph)
    output = next(node for node in program.graph.nodes if node.op == "output")
    logits = _logits(trace, output, name)
    places = [Tap(path, _module_output(trace, program.graph, path)) for path in taps]
    return make_graph(
        name,
        trace.input,
        trace.shapes[trace.input],
        needed(trace.nodes, [logits, *(tap.tensor for tap in places)]),
        [Exit("final", logits)],
        taps=places,
        softmax=trace.softmax,
    )


def _input_shape(program: ExportedProgram, name: str) -> Shape:
    """The one input's, (1, C, H, W), (1, C, L) or (1, F)."""
    given = set(program.graph_signature.user_inputs)
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in given]
    if len(shapes) != 1 or not all(isinstance(side, int) for side in shapes[0]) or shapes[0][0] != 1:
        said = ", ".join(str(tuple(shape)) for shape in shapes) or "none"
        raise ModelError(
            f"{name}: takes inputs of shape {said}; one of fixed shape with batch 1 is expected",
            hint="export it again with one example input of batch 1 and no dynamic shapes",
        )
    return tuple(shapes[0])


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


def _export(module: nn.Module, example: torch.Tensor, name: str) -> ExportedProgram:
    try:
        with warnings.catch_warnings(), _eval_mode(module), torch.no_grad():
            warnings.simplefilter("ignore")  # torch.export warns about its own internals
            return torch.export.export(module, (example,), strict=False)
    except Exception as error:  # whatever the network's own code raises arrives here
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"{name}: torch.export cannot trace it on an input of shape {tuple(example.shape)}: "
            f"{type(error).__name__}: {reason[0] if reason else ''}",
            hint="run the network on this input first; control flow may not depend on the data",
        ) from error


def _read_parameters(program: ExportedProgram, trace: Trace) -> None:
    """Binds the placeholders: parameters and buffers to arrays, the user's input to the graph's."""
    targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if hasattr(spec.arg, "name")}
    tensors = {**program.constants, **program.state_dict}
    for node in program.graph.nodes:
        if node.op != "placeholder":
            continue
        target = targets[node.name]
        if target is None:
            trace.values[node] = Value(trace.input, tuple(node.meta["val"].shape))
        else:
            trace.arrays[node] = tensors[target].detach().cpu().numpy()
            trace.owners[node] = target.rpartition(".")[0]


def _convert(trace: Trace, node: fx.Node) -> None:
    target = str(node.target)
    converter = CONVERTERS.get(target) or CONVERTERS.get(target.replace("_.", "."))
    if converter is None:
        hint = _HINTS.get(base_name(node).strip("_"), f"supported are {SUPPORTED}")
        raise refuse(node, "has no counterpart here", hint)
    result = converter(Call(trace, node))
    if isinstance(result, Value):
        trace.values[node] = result
    elif result is not None:
        trace.arrays[node] = result


def _require_no_stale_reads(graph: fx.Graph) -> None:
    """No tensor is read under an old name after an in-place op has changed it."""
    nodes = list(graph.nodes)
    order = {node: i for i, node in enumerate(nodes)}
    memory = {node: _storage(node) for node in nodes}
    for i, changed in enumerate(nodes):
        if changed.op != "call_function" or not base_name(changed).endswith("_"):
            continue
        older = (node for node in nodes[:i] if memory[node] == memory[changed])
        if any(order[user] > i for node in older for user in node.users):
            why = "changes a tensor in place that is read again later under another name"
            raise refuse(changed, why, "use the out-of-place form of the operation")


def _storage(node: fx.Node) -> int | None:
    value = node.meta.get("val")
    return value.untyped_storage()._cdata if isinstance(value, torch.Tensor) else None  # noqa: SLF001


def _logits(trace: Trace, output: fx.Node, name: str) -> str:
    results = output.args[0]
    assert isinstance(results, tuple | list)
    if len(results) != 1:
        raise ModelError(
            f"{name}: has {len(results)} outputs where one is expected",
            hint="return the logits of the last layer; exits are attached later, at taps",
        )
    value = trace.values.get(results[0]) if isinstance(results[0], fx.Node) else None
    if value is None or value.order is not None or trace.shapes[value.tensor][-1] != trace.elements(value):
        shape = None if value is None else value.shape
        raise ModelError(
            f"{name}: its output of shape {shape} holds no logits",
            hint="end the network in a Linear layer or a global pool, so that it answers (1, classes)",
        )
    return value.tensor


def _module_output(trace: Trace, graph: fx.Graph, path: str) -> str:
    """The tensor that the submodule `path` returns: what is computed inside and read outside."""
    inside = [node for node in graph.nodes if path in module_paths(node).values()]
    if not inside:
        known = {p for node in graph.nodes for p in module_paths(node).values() if p}
        near = get_close_matches(path, known, 1)
        raise ModelError(
            f"tap {path!r} names no submodule that computes anything",
            hint=f"did you mean {near[0]!r}?" if near else f"submodules: {', '.join(sorted(known))}",
        )
    if len({key for node in inside for key, p in module_paths(node).items() if p == path}) > 1:
        raise ModelError(
            f"tap {path!r}: the submodule is called more than once", hint="tap a module that is called once"
        )
    results = [node for node in inside if any(path not in module_paths(user).values() for user in node.users)]
    tensors = {trace.values[node].tensor for node in results if node in trace.values}
    if len(tensors) != 1:
        raise ModelError(f"tap {path!r}: the submodule returns {len(tensors)} tensors where one is expected")
    return tensors.pop()
