"""What a model file or a built-in network holds, what it takes, which boards it fits and where exits may attach."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ptee_mcu import boards
from ptee_mcu.errors import ModelError, PteeError, QuantizationError, ToolMissingError, UnsupportedOpError
from ptee_mcu.exits.cuts import AttachPoint, attach_points, most_alive_bytes, path_macs, taps_of
from ptee_mcu.frontends.keras import convert_keras
from ptee_mcu.frontends.listing import Border, ListedOp, Listing, list_file
from ptee_mcu.frontends.load import LOADERS, load_model
from ptee_mcu.graph import Graph, Tap
from ptee_mcu.isa import Isa
from ptee_mcu.models import MODELS, build, torch_shape
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.settings import CODE_BYTES, STACK_BYTES
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.skeleton import skeleton
from ptee_mcu.target import Target

FORMATS = {
    ".tflite": "TensorFlow Lite",
    ".onnx": "ONNX",
    ".keras": "Keras",
    ".h5": "Keras HDF5",
    ".hdf5": "Keras HDF5",
    ".pt2": "torch.export",
    "folder": "SavedModel",
}
_BY_TENSORFLOW = frozenset({".keras", ".h5", ".hdf5", "folder"})  # converted to TensorFlow Lite first
_NO_PARAMETERS = frozenset({"mean", "var", "multiplier", "shift", "table"})  # statistics, and what int8 adds
_AMPLE = 2**30  # bytes of a board on which every network can be planned


@dataclass(frozen=True, slots=True)
class BoardFit:
    """A board: what is there in its memory of code and in its largest RAM, and what the network needs of both."""

    board: str
    title: str
    flash_bytes: int
    ram_bytes: int
    needs_flash_bytes: int
    needs_ram_bytes: int
    emulated_only: bool

    @property
    def fits(self) -> bool:
        """True where both are enough."""
        return self.needs_flash_bytes <= self.flash_bytes and self.needs_ram_bytes <= self.ram_bytes


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the network takes in int8: bytes of constants, bytes of the planned arena per instruction set."""

    weight_bytes: int
    arena_bytes: tuple[tuple[Isa, int], ...]
    boards: tuple[BoardFit, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is known of a network; None where a file that is refused does not say.

    `ops` are the file's own where its format lists them, else the float ops that they became. `refused`: why it cannot
    be compiled. `stored_bytes`: of its constants in the file. `alive_bytes`: the most int8 activations that are alive
    at once, which no arena for this order undercuts. `taps`: those of `points` that exits go to, under the names by
    which a config calls them.
    """

    name: str
    format: str
    inputs: tuple[Border, ...]
    outputs: tuple[Border, ...]
    ops: tuple[ListedOp, ...]
    notes: tuple[str, ...]
    refused: str | None
    parameters: int | None
    stored_bytes: int | None
    macs: int | None
    alive_bytes: int | None
    sizes: Sizes | None
    points: tuple[AttachPoint, ...]
    taps: tuple[Tap, ...]


def inspect(source: str) -> Inspection:
    """The model file or SavedModel folder at `source`, or the built-in network of that name.

    Raises:
        ModelError: where there is neither, or the file is damaged.
        ToolMissingError: where the package that reads the format is not installed.
    """
    path = Path(source)
    if source in MODELS and not path.exists():
        return describe(source, "built-in network", _built_in(source))
    kind = "folder" if path.is_dir() else path.suffix.lower()
    if not path.exists() or kind not in LOADERS or (path.is_dir() and not (path / "saved_model.pb").exists()):
        raise _unknown(path)
    if kind not in _BY_TENSORFLOW:
        return _of_file(path, path.name, FORMATS[kind])
    with TemporaryDirectory(prefix="ptee-inspect-") as folder:
        return _of_file(convert_keras(path, Path(folder)), path.name, FORMATS[kind])


def _of_file(path: Path, name: str, format_: str) -> Inspection:
    listing = list_file(path)
    assert listing is not None
    try:
        imported = load_model(path)
    except ToolMissingError:
        raise
    except PteeError as error:
        return Inspection(
            name, format_, listing.inputs, listing.outputs, listing.ops, notes=(), refused=str(error),
            parameters=listing.parameters, stored_bytes=listing.weight_bytes, macs=None,
            alive_bytes=listing.alive_bytes, sizes=None, points=(), taps=(),
        )  # fmt: skip
    network = imported.quantized or imported.graph
    assert network is not None
    return describe(name, format_, network, notes=imported.notes, listing=listing)


def _unknown(path: Path) -> ModelError:
    kinds = ", ".join(kind for kind in LOADERS if kind != "folder")
    if path.is_dir():
        what = "is a folder without saved_model.pb, which a SavedModel has"
    else:
        what = "is no known kind of model file" if path.exists() else "does not exist"
    names = ", ".join(MODELS)
    return ModelError(f"{path} {what}", hint=f"known kinds: {kinds}, SavedModel folders; built-in networks: {names}")


def _built_in(name: str) -> Graph:
    spec, network = MODELS[name], build(name)
    import torch  # noqa: PLC0415 - `build` has said so where it is missing

    from ptee_mcu.frontends.pytorch import capture  # noqa: PLC0415

    return capture(network, torch.zeros(torch_shape(spec.input_shape)), name=name, taps=spec.blocks)


def describe(
    name: str,
    format_: str,
    network: Graph | QuantGraph,
    *,
    notes: tuple[str, ...] = (),
    listing: Listing | None = None,
) -> Inspection:
    """What `network` is and takes; `listing`: what a first look at its file gave, `notes`: what its import said."""
    sizes, refused = _sizes(network)
    borders = ((_input(network),), (_output(network),))
    inputs, outputs = (listing.inputs, listing.outputs) if listing else borders
    points = attach_points(network)
    return Inspection(
        name=name,
        format=f"{format_}, {'int8' if isinstance(network, QuantGraph) else 'float'}",
        inputs=inputs,
        outputs=outputs,
        ops=listing.ops if listing else _own_ops(network),
        notes=notes,
        refused=refused,
        parameters=_parameters(network),
        stored_bytes=listing.weight_bytes if listing else None,
        macs=path_macs(network),
        alive_bytes=most_alive_bytes(network),
        sizes=sizes,
        points=points,
        taps=_taps(network, {point.tensor for point in points}),
    )


def _sizes(network: Graph | QuantGraph) -> tuple[Sizes | None, str | None]:
    """What the network takes in int8; or why it has no int8 form."""
    try:
        graph = skeleton(network) if isinstance(network, Graph) else network
    except (UnsupportedOpError, QuantizationError) as error:
        return None, str(error)
    known = [boards.load(name) for name in boards.names()]
    arenas: dict[Isa, int] = {}
    for board in known:
        if board.isa not in arenas:
            arenas[board.isa] = make_plan(graph, _ample(board)).arena_bytes
    weight_bytes = sum(array.nbytes for node in graph.nodes for array in node.op.constants.values())
    fits = tuple(_fit(board, weight_bytes, arenas[board.isa]) for board in known)
    return Sizes(weight_bytes, tuple(arenas.items()), fits), None


def _ample(board: Target) -> Target:
    """`board` with room for any network: an arena depends on the instruction set alone."""
    regions = (replace(board.code_region, nbytes=_AMPLE), replace(board.main_ram, nbytes=_AMPLE))
    return replace(board, regions=regions)


def _fit(board: Target, weight_bytes: int, arena_bytes: int) -> BoardFit:
    return BoardFit(
        board.name,
        board.title,
        board.code_region.nbytes,
        board.main_ram.nbytes,
        weight_bytes + CODE_BYTES,
        arena_bytes + STACK_BYTES,
        board.emulated_only,
    )


def _taps(network: Graph | QuantGraph, cuts: Collection[str]) -> tuple[Tap, ...]:
    """The network's own places for exits, where it has any, that cut it; else all there can be."""
    own = network.taps if isinstance(network, Graph) else ()
    return tuple(tap for tap in own if tap.tensor in cuts) or taps_of(network)


def _own_ops(network: Graph | QuantGraph) -> tuple[ListedOp, ...]:
    counted = Counter(type(node.op).__name__ for node in network.nodes)
    return tuple(ListedOp(kind, count, supported=True) for kind, count in counted.most_common())


def _input(network: Graph | QuantGraph) -> Border:
    return _border(network, network.input)


def _output(network: Graph | QuantGraph) -> Border:
    return _border(network, network.exits[-1].logits)


def _border(network: Graph | QuantGraph, tensor: str) -> Border:
    if isinstance(network, Graph):
        return Border(tensor, network.shapes[tensor], "float32")
    known = network.tensors[tensor]
    return Border(tensor, known.shape, "int8", known.quant.scale, known.quant.zero_point)


def _parameters(network: Graph | QuantGraph) -> int:
    if isinstance(network, Graph):
        arrays = [(role, array) for node in network.nodes for role, array in node.params.items()]
        return sum(array.size for role, array in arrays if role not in _NO_PARAMETERS)
    found = [(role, array) for node in network.nodes for role, array in node.op.constants.items()]
    return sum(array.size for role, array in found if role not in _NO_PARAMETERS)
