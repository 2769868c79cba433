"""The order of nodes within an exit segment that needs the fewest bytes at its widest step."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from ptee_mcu.isa import Isa
from ptee_mcu.plan.buffers import aligned
from ptee_mcu.plan.overlap import distances, shared_bytes
from ptee_mcu.quant_graph import QNode, QuantGraph

_STATES = 5_000  # sets of executed nodes looked at before the search turns from exact to a beam
_BEAM = 64


@dataclass(frozen=True, slots=True)
class _Task:
    """A node as the search sees it: sets of nodes are bit masks."""

    needs: int  # nodes before it
    output: int  # bytes
    scratch: int
    inputs: tuple[tuple[int, int, int | None], ...]  # bytes, readers (0: needed after the run), distance


def execution_order(graph: QuantGraph, isa: Isa, scratch: Mapping[str, int]) -> tuple[tuple[int, QNode], ...]:
    """(segment, node) in the order of execution.

    Exits keep their order, and nodes that only the exit of their segment needs do not mix with the others. Nodes keep
    the graph's order unless another one makes the widest step of the whole network narrower.

    Args:
        graph: the network.
        isa: whose kernels run.
        scratch: bytes per node.
    """
    runs = list(_runs(graph))
    searched = [_Run(graph, isa, scratch, runs, i).searched() for i in range(len(runs))]
    width = max((best.width for _, best in searched), default=0)
    chosen = [given if given.width <= width else best for given, best in searched]
    return tuple((segment, nodes[i]) for (segment, nodes), order in zip(runs, chosen, strict=True) for i in order.nodes)


@dataclass(frozen=True, slots=True)
class Order:
    """Numbers of nodes in order of execution, and the bytes of the widest step."""

    nodes: tuple[int, ...]
    width: int


def _runs(graph: QuantGraph) -> Iterator[tuple[int, tuple[QNode, ...]]]:
    """(segment, consecutive nodes that are either all left out where the exit cannot fire, or none of them)."""
    optional = graph.head_nodes()
    for segment, nodes in enumerate(graph.segments()):
        for _, run in groupby(nodes, lambda node: node.name in optional):
            yield segment, tuple(run)


class _Run:
    """One run of nodes between what is alive before it and what must be alive after it."""

    def __init__(
        self,
        graph: QuantGraph,
        isa: Isa,
        scratch: Mapping[str, int],
        runs: Sequence[tuple[int, tuple[QNode, ...]]],
        number: int,
    ) -> None:
        segment, nodes = runs[number]
        later = [node for _, other in runs[number + 1 :] for node in other]
        kept = {tensor for node in later for tensor in node.inputs} | set(graph.exits[segment].tensors)
        made = {node.output: i for i, node in enumerate(nodes)}
        before = {graph.input} | {node.output for _, other in runs[:number] for node in other}
        here = {tensor for node in nodes for tensor in node.inputs}
        self.sizes = {name: aligned(tensor.nbytes) for name, tensor in graph.tensors.items()}
        self.alive = sum(self.sizes[tensor] for tensor in before & (kept | here))
        self.readers = {
            tensor: 0 if tensor in kept else sum(1 << i for i, node in enumerate(nodes) if tensor in node.inputs)
            for tensor in here
        }
        self.outputs = [self.sizes[node.output] for node in nodes]
        self.tasks = [self._task(graph, node, isa, scratch.get(node.name, 0), made) for node in nodes]

    def _task(self, graph: QuantGraph, node: QNode, isa: Isa, scratch: int, made: Mapping[str, int]) -> _Task:
        permitted = distances(graph, node, isa)
        return _Task(
            needs=sum(1 << made[tensor] for tensor in set(node.inputs) if tensor in made),
            output=self.sizes[node.output],
            scratch=aligned(scratch),
            inputs=tuple(
                (self.sizes[tensor], self.readers[tensor], permitted.get(tensor))
                for tensor in dict.fromkeys(node.inputs)
            ),
        )

    def searched(self) -> tuple[Order, Order]:
        """The given order and the best one."""
        given = self.width(tuple(range(len(self.tasks))))
        return given, self.best()

    def width(self, nodes: tuple[int, ...]) -> Order:
        """`nodes` with the bytes of their widest step."""
        done, alive, widest = 0, self.alive, self.alive
        for i in nodes:
            width, alive = self.step(i, done, alive)
            done |= 1 << i
            widest = max(widest, width)
        return Order(nodes, widest)

    def step(self, i: int, done: int, alive: int) -> tuple[int, int]:
        """Bytes while node `i` runs after the nodes `done`, and after it; `alive`: bytes alive before it."""
        task = self.tasks[i]
        after = done | 1 << i
        dead = [(nbytes, distance) for nbytes, readers, distance in task.inputs if readers and not readers & ~after]
        over = [(nbytes, aligned(distance)) for nbytes, distance in dead if distance is not None]
        width = alive + task.output + task.scratch - shared_bytes(task.output, over)
        return width, alive + task.output - sum(nbytes for nbytes, _ in dead)

    def ready(self, done: int) -> Iterator[int]:
        """Nodes that can run after `done`."""
        for i, task in enumerate(self.tasks):
            if not done >> i & 1 and not task.needs & ~done:
                yield i

    def best(self) -> Order:
        """Best first over sets of executed nodes: the first complete one has the narrowest widest step."""
        complete = (1 << len(self.tasks)) - 1
        start = (self.alive, 0, (), 0, self.alive)
        waiting: list[tuple[int, int, tuple[int, ...], int, int]] = [start]
        seen: set[int] = set()
        while waiting:
            widest, _, nodes, done, alive = heapq.heappop(waiting)
            if done == complete:
                return Order(nodes, widest)
            if done in seen:
                continue
            seen.add(done)
            if len(seen) > _STATES:
                return self._beam()
            for i in self.ready(done):
                width, left = self.step(i, done, alive)
                order = (*nodes, i)
                heapq.heappush(waiting, (max(widest, width), -len(order), order, done | 1 << i, left))
        raise AssertionError("the nodes of a run form a cycle")

    def _beam(self) -> Order:
        """The best of `_BEAM` partial orders kept at every length."""
        kept: list[tuple[int, int, tuple[int, ...], int]] = [(self.alive, self.alive, (), 0)]
        for _ in self.tasks:
            grown: dict[int, tuple[int, int, tuple[int, ...], int]] = {}
            for widest, alive, nodes, done in kept:
                for i in self.ready(done):
                    width, left = self.step(i, done, alive)
                    after = done | 1 << i
                    entry = (max(widest, width), left, (*nodes, i), after)
                    grown[after] = min(grown.get(after, entry), entry)
            kept = sorted(grown.values())[:_BEAM]
        widest, _, nodes, _ = kept[0]
        return Order(nodes, widest)
