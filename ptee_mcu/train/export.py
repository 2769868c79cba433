"""A trained graph's parameters back under their torch names, and as a weights file that `load_weights` reads."""

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ptee_mcu.atomic import replacing
from ptee_mcu.errors import ModelError
from ptee_mcu.frontends.pytorch import capture
from ptee_mcu.graph import Graph, Node
from ptee_mcu.models import torch_shape
from ptee_mcu.ops import Clamp, ConvTranspose2d, Dropout, Elementwise, Flatten, Linear, Mul
from ptee_mcu.tensor import Float, Shape
from ptee_mcu.train.record import KEY, TrainingRecord, as_json

_NAMES = {"mean": "running_mean", "var": "running_var", "slope": "weight"}  # of BatchNorm and PReLU, by role
_COUNTER = ".num_batches_tracked"  # no graph has it, nothing here reads it
_HINT = "export the trained graph as `capture` made it from this network: no exits attached, nothing folded"


def state_dict_of(graph: Graph, network: nn.Module) -> dict[str, Tensor]:
    """The parameters of `graph` by the names, in the layout and in the order of `network.state_dict()`.

    Verified: a copy of the network that loads them is captured with the very parameters of `graph`.

    Args:
        graph: captured from `network`, then trained; neither folded nor with exits.
        network: gives names and shapes; its own parameters do not matter and stay as they are.

    Raises:
        ModelError: naming the parameter, where one of either side has no counterpart on the other.
    """
    own = network.state_dict()
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        if isinstance(node.op, Mul):  # its factor is a constant of the network
            continue
        for role in node.params:
            key, tensor = _torch_name(node, role), torch.from_numpy(_torch_layout(graph, node, role))
            if key in own and own[key].dim() == 3 and tensor.dim() == 4:  # of a line, which has no height
                tensor = tensor.squeeze(2)
            _require_place(graph, key, tensor, own)
            if key in values and not torch.equal(values[key], tensor):
                raise ModelError(
                    f"{graph.name}: {key} was used twice and trained to two values",
                    hint="give each use a module of its own",
                )
            values[key] = tensor
    missing = [key for key in own if key not in values and not key.endswith(_COUNTER)]
    if missing:
        raise ModelError(f"{graph.name}: nothing for {missing[0]} of the network ({len(missing)} such)", hint=_HINT)
    state = {key: values.get(key, tensor) for key, tensor in own.items()}
    _require_same_capture(graph, network, state)
    return state


def save_weights(graph: Graph, network: nn.Module, path: Path, record: TrainingRecord) -> None:
    """Writes the parameters of `graph` as `state_dict_of` gives them to `path`, a .safetensors file, with `record`.

    The same parameters and record make the same bytes. Written aside first and then renamed into place.

    Raises:
        ModelError: where the graph does not belong to the network, or the file cannot be written.
    """
    metadata = {"format": "pt", KEY: as_json(record)}
    content = _ordered(save(state_dict_of(graph, network), metadata=metadata))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be written: {error.strerror}") from error


def _torch_name(node: Node, role: str) -> str:
    name = _NAMES.get(role, role)
    return f"{node.module}.{name}" if node.module else name


def _torch_layout(graph: Graph, node: Node, role: str) -> Float:
    """A parameter as torch has it: convolutions OIHW, transposed ones IOHW, columns of a Linear in order C, H, W."""
    array = node.params[role]
    if isinstance(node.op, ConvTranspose2d) and role == "weight":
        array = array.transpose(3, 0, 1, 2)
    elif array.ndim == 4:
        array = array.transpose(0, 3, 1, 2)
    elif isinstance(node.op, Linear) and role == "weight" and len(shape := _before_flatten(graph, node)) == 4:
        array = array.reshape(len(array), *shape[1:]).transpose(0, 3, 1, 2).reshape(len(array), -1)
    return np.array(array, order="C")


def _before_flatten(graph: Graph, node: Node) -> Shape:
    """Shape of the feature map whose elements a Linear reads; (1, features) where there was none."""
    tensor = node.inputs[0]
    while len(graph.shapes[tensor]) == 2:
        before = graph.producer(tensor)
        if before is None or not isinstance(before.op, Flatten | Clamp | Dropout | Elementwise | Mul):
            break
        tensor = before.inputs[0]
    return graph.shapes[tensor]


def _require_place(graph: Graph, key: str, tensor: Tensor, own: Mapping[str, Tensor]) -> None:
    if key not in own:
        raise ModelError(f"{graph.name}: the network has no {key}", hint=_HINT)
    if own[key].shape != tensor.shape:
        raise ModelError(
            f"{graph.name}: {key} has shape {tuple(tensor.shape)}, the network's {tuple(own[key].shape)}", hint=_HINT
        )


def _require_same_capture(graph: Graph, network: nn.Module, state: Mapping[str, Tensor]) -> None:
    copy = deepcopy(network).cpu()
    copy.load_state_dict(dict(state))
    again = capture(copy, _example(graph, network), name=graph.name)
    captured = {node.name: node.params for node in again.nodes}
    for node in graph.nodes:
        for role, array in node.params.items():
            other = captured.get(node.name, {}).get(role)
            if other is None or not np.array_equal(array, other):
                raise ModelError(
                    f"{graph.name}: {_torch_name(node, role)} does not come back as {role} of {node.name}",
                    hint="use the layers of torch.nn, not products written out with their parameters",
                )


def _example(graph: Graph, network: nn.Module) -> Tensor:
    """An input in the shape that `network` reads: (1, C, L) where it has layers of lines."""
    shape = torch_shape(graph.input_shape)
    lines = any(isinstance(module, nn.Conv1d | nn.ConvTranspose1d) for module in network.modules())
    return torch.zeros(shape[:2] + shape[3:] if lines and shape[2:3] == (1,) else shape)


def _ordered(content: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes them in an order that differs by process.

    Source: safetensors, "Format": 8 bytes of header length (little endian), a JSON header padded by spaces, data.
    """
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + size :]
