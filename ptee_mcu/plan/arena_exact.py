"""Smallest arenas of few buffers: branch and bound over the orders in which the buffers start in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

from ptee_mcu.plan.buffers import Buffers

EXACT_BUFFERS = (10, 20, 40)  # how many of the most crowded are laid out alone before the others
_NODES = 40_000  # of the search tree: a second; counted, not timed, so that equal input gives an equal arena


@dataclass(frozen=True, slots=True)
class Improved:
    """Offsets, and a lower bound on the height of any; `proven`: no others are lower."""

    offsets: list[int]
    bound: int
    proven: bool


def improve(buffers: Buffers, offsets: Sequence[int], bound: int) -> Improved:
    """Offsets at most as high as `offsets`; none is lower than `bound`.

    Any layout can be pushed down until every buffer rests on the start or on one that starts before it. Those layouts
    are enumerated by placing buffers in the order of their offsets, each as low as what is placed lets it.

    Source: canonical layouts as in Moffitt, MiniMalloc (ASPLOS 2023), with gaps between starts instead of sizes.
    """
    tree = _Tree(buffers, list(offsets), bound)
    tree.visit([-1] * len(buffers.sizes), [0] * len(buffers.sizes), (0, -1))
    proven = tree.left > 0 or tree.height <= bound
    return Improved(tree.best, max(bound, tree.height) if proven else bound, proven)


class _Tree:
    """The search: the best layout so far and how many nodes are left."""

    def __init__(self, buffers: Buffers, best: list[int], bound: int) -> None:
        self.buffers = buffers
        self.best = best
        self.height = buffers.height(best)
        self.bound = bound
        self.left = _NODES
        self.crowds = [alive for _, alive in buffers.crowds]
        self.footprints: dict[tuple[int, ...], int] = {}
        # Later buffers first: an output then precedes what it is written over where both start together.
        self.rank = {i: n for n, i in enumerate(sorted(range(len(best)), key=lambda i: (-buffers.lives[i].first, i)))}

    def visit(self, offsets: list[int], floors: list[int], last: tuple[int, int]) -> None:
        """All ways to place the buffers that have no offset yet, none before `last` (offset, rank).

        `floors`: the lowest offset of each above the placed ones it meets.
        """
        self.left -= 1
        if self.left <= 0 or self.height <= self.bound:
            return
        unplaced = [i for i, offset in enumerate(offsets) if offset < 0]
        if not unplaced:
            if (height := self.buffers.height(offsets)) < self.height:
                self.best, self.height = list(offsets), height
            return
        if self._hopeless(offsets, floors, last):
            return
        for i in sorted(unplaced, key=lambda i: (floors[i], self.rank[i])):
            if (floors[i], self.rank[i]) > last and not self._leaves_room(i, offsets, floors):
                self._place(i, offsets, floors)

    def _place(self, i: int, offsets: list[int], floors: list[int]) -> None:
        raised = list(floors)
        for j in self.buffers.meets[i]:
            raised[j] = max(raised[j], floors[i] + self.buffers.gap[i][j])
        offsets[i] = floors[i]
        self.visit(offsets, raised, (floors[i], self.rank[i]))
        offsets[i] = -1

    def _leaves_room(self, i: int, offsets: list[int], floors: list[int]) -> bool:
        """True where another buffer fits whole under i, where it would be in nobody's way."""
        sizes = self.buffers.sizes
        return any(offsets[j] < 0 and floors[j] + sizes[j] <= floors[i] for j in self.buffers.meets[i])

    def _hopeless(self, offsets: list[int], floors: list[int], last: tuple[int, int]) -> bool:
        """True where no layout from here on is lower than the best."""
        for i, offset in enumerate(offsets):
            if offset < 0 and (floors[i], self.rank[i]) <= last and all(offsets[j] >= 0 for j in self.buffers.meets[i]):
                return True  # nothing can raise it any more, and its turn is over
        for n, alive in enumerate(self.crowds):
            waiting = tuple([i for i in alive if offsets[i] < 0])
            if not waiting:
                continue
            start = max(last[0], min([floors[i] for i in waiting]))
            if start + self._footprint(waiting) >= self.height:
                self.crowds.insert(0, self.crowds.pop(n))  # it will often be the next one's obstacle too
                return True
        return False

    def _footprint(self, waiting: tuple[int, ...]) -> int:
        if waiting not in self.footprints:
            self.footprints[waiting] = self.buffers.footprint(waiting)
        return self.footprints[waiting]
