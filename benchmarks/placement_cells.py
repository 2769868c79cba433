"""A shipped network on a board, placed three ways: all in flash, the first segments in RAM, and by the optimizer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmarks.networks import RESNET20_EXITS, Exits, random_network
from benchmarks.traced_plan import trace_plan
from ptee_mcu import boards
from ptee_mcu.plan.expected_cost import point_cycles
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.place import Placed, placed
from ptee_mcu.plan.placement import How, aligned, constants
from ptee_mcu.plan.plan import verify_plan
from ptee_mcu.plan.settings import Mode, PlaceSettings
from ptee_mcu.quant_graph import QuantGraph


@dataclass(frozen=True, slots=True)
class Network:
    """A shipped network under the name that the tables use."""

    title: str
    name: str
    exits: Exits | None = None


@dataclass(frozen=True, slots=True)
class Board:
    """A board; `reserved`: the application takes all of its internal flash, constants must lie elsewhere."""

    name: str
    reserved: bool = False

    @property
    def title(self) -> str:
        """Its name in the tables."""
        return f"{self.name}, constants in QSPI" if self.reserved else self.name


NETWORKS = (
    Network("ResNet-20, 4 exits", "resnet20", RESNET20_EXITS),
    Network("DS-CNN", "ds_cnn"),
    Network("MobileNetV1-0.25, 96x96", "mobilenet_v1_025"),
    Network("autoencoder", "autoencoder"),
)
BOARDS = (
    Board("nucleo_l4r5zi"),
    Board("nucleo_f746zg"),
    Board("disco_f746ng"),
    Board("disco_f746ng", reserved=True),
    Board("nrf52840_dk"),
    Board("pico"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A network on a board: mean cycles of the three placements, and what ours is made of.

    `loaded_bytes`: constants that ours loads into RAM at boot. `traced`: mean cycles by trace of all in flash, and of
    ours; None where nothing was traced. `where`: KiB of constants that ours has in every memory. `gap`: of ours to what
    no placement can beat, as a share; found in `seconds`.
    """

    network: str
    board: str
    flash: float
    greedy: float
    ours: float
    arena_bytes: int
    constant_bytes: int
    loaded_bytes: int
    stage_bytes: int
    where: str
    gap: float
    seconds: float
    traced: tuple[float, float] | None = None

    @property
    def saved(self) -> float:
        """Share of the cycles from flash that ours saves."""
        return 1 - self.ours / self.flash

    @property
    def errors(self) -> tuple[float, float]:
        """Closed form against trace: of all in flash, and of ours."""
        assert self.traced is not None
        return self.flash / self.traced[0] - 1, self.ours / self.traced[1] - 1


def cells(networks: Sequence[Network], places: Sequence[Board], *, traced: bool) -> Iterator[Cell]:
    """Every network on every board.

    Raises:
        PteeError: where a network does not fit a board, or a tool for tracing is missing.
    """
    for network in networks:
        graph = random_network(network.name, network.exits)
        for board in places:
            yield cell(network.title, graph, board, traced=traced)


def cell(title: str, graph: QuantGraph, board: Board, *, traced: bool) -> Cell:
    """`graph` on `board`.

    Raises:
        PteeError: as `cells`.
    """
    target = boards.load(board.name)
    plan = make_plan(graph, target)
    settings = PlaceSettings()
    if board.reserved:
        settings = replace(settings, flash_reserve_bytes=target.code_region.nbytes)
    by_mode = {mode: placed(plan, replace(settings, mode=mode)) for mode in (Mode.FLASH, Mode.GREEDY, Mode.AUTO)}
    flash, ours = by_mode[Mode.FLASH], by_mode[Mode.AUTO]
    for each in by_mode.values():
        verify_plan(each.plan)
    places = ours.plan.placements
    sizes = {constant.name: aligned(constant.nbytes) for constant in constants(graph)}
    return Cell(
        network=title,
        board=board.title,
        flash=mean(flash),
        greedy=mean(by_mode[Mode.GREEDY]),
        ours=mean(ours),
        arena_bytes=plan.arena_bytes,
        constant_bytes=sum(sizes.values()),
        loaded_bytes=sum(nbytes for name, nbytes in sizes.items() if places[name].how is How.BOOT),
        stage_bytes=ours.plan.stage_bytes,
        where=where(ours, sizes),
        gap=ours.partition.gap,
        seconds=ours.partition.seconds,
        traced=(trace_plan(flash.plan).mean, trace_plan(ours.plan).mean) if traced else None,
    )


def mean(done: Placed) -> float:
    """Cycles of the average inference in closed form."""
    return point_cycles(done.plan, done.cost, done.plan.graph.point).mean


def where(done: Placed, sizes: Mapping[str, int]) -> str:
    """KiB of constants by memory that kernels read them in, those in the stage apart; most first."""
    found: Counter[str] = Counter()
    for name, place in done.plan.placements.items():
        found[f"stage in {place.region}" if place.how is How.STAGED else place.region] += sizes[name]
    return ", ".join(f"{nbytes / 1024:.0f} {memory}" for memory, nbytes in found.most_common())
