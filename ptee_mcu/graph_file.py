"""Float graphs on disk: NAME.json for the structure, NAME.safetensors for the weights."""

from hashlib import sha256
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from ptee_mcu.atomic import replacing
from ptee_mcu.errors import ModelError
from ptee_mcu.graph import Graph, make_graph
from ptee_mcu.ops import OPS, Op
from ptee_mcu.serialize import Encoded, Json, Registry, decode, dumps, encode, loads

FORMAT = "ptee.graph.v1"
_REGISTRY: Registry = {Op: OPS}


def save(graph: Graph, stem: Path) -> None:
    """Writes `stem`.json and `stem`.safetensors, each aside first and then renamed into place.

    Raises:
        ModelError: where they cannot be written.
    """
    encoded = encode(graph, _REGISTRY)
    weights = save_arrays(dict(encoded.arrays))
    header: Json = {"format": FORMAT, "weights_sha256": sha256(weights).hexdigest(), "graph": encoded.data}
    try:
        _replace(stem.with_name(f"{stem.name}.safetensors"), weights)
        _replace(stem.with_name(f"{stem.name}.json"), dumps(header).encode())
    except OSError as error:
        raise ModelError(f"{graph.name}: cannot be saved as {stem}: {error.strerror}") from error


def load(stem: Path) -> Graph:
    """The graph that `save` wrote at `stem`, verified.

    Raises:
        ModelError: naming the file or the place in it, where it is missing, damaged or not a valid graph.
    """
    structure, weights = stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.safetensors")
    for path in (structure, weights):
        if not path.is_file():
            raise ModelError(f"{path} does not exist", hint="a graph is two files, NAME.json and NAME.safetensors")
    header = loads(structure.read_text(encoding="utf-8"), str(structure))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ModelError(f"{structure} is not a graph of format {FORMAT}", hint="save it again with this release")
    blob = weights.read_bytes()
    if sha256(blob).hexdigest() != header.get("weights_sha256"):
        raise ModelError(f"{weights} is not the file that {structure.name} was saved with", hint="save both again")
    try:
        arrays = load_arrays(blob)
    except SafetensorError as error:
        raise ModelError(f"{weights} is not a safetensors file: {error}") from error
    graph = decode(Graph, Encoded(header.get("graph"), arrays), _REGISTRY)
    return _verified(graph, structure)


def _verified(graph: Graph, path: Path) -> Graph:
    if graph.input not in graph.shapes:
        raise ModelError(f"{path}: no shape is given for the input {graph.input!r}")
    checked = make_graph(
        graph.name, graph.input, graph.input_shape, graph.nodes, graph.exits, taps=graph.taps, softmax=graph.softmax
    )
    if dict(checked.shapes) != dict(graph.shapes):
        raise ModelError(f"{path}: the shapes in the file are not those that its nodes make")
    return checked


def _replace(path: Path, content: bytes) -> None:
    with replacing(path) as aside:
        aside.write_bytes(content)
