"""Why each constant lies where it lies: what every single move would cost or save, and which memory forbids it."""

from collections.abc import Mapping
from dataclasses import dataclass

from ptee_mcu.plan.partition import Mode, Partition
from ptee_mcu.plan.partition_problem import Ledger, Option
from ptee_mcu.plan.placement import Constant, How, Placement
from ptee_mcu.units import show_bytes

_VERBS = {How.IN_PLACE: "reading it in place in", How.BOOT: "loading it at boot into", How.STAGED: "staging it in"}
_STATES = {How.IN_PLACE: "in place in", How.BOOT: "loaded at boot into", How.STAGED: "staged in"}


@dataclass(frozen=True, slots=True)
class Move:
    """Another place for one constant, all others staying.

    `saves`: cycles per inference, negative where it costs some. `ram_bytes`: more RAM than now, by growth of the stage
    where it is staged. `short`: bytes missing per memory; empty where it fits. `second_stage`: it would need one.
    """

    how: How
    region: str
    load_region: str
    saves: float
    ram_bytes: int
    short: Mapping[str, int]
    second_stage: bool

    @property
    def fits(self) -> bool:
        """True where it could be made."""
        return not self.short and not self.second_stage


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a constant lies where it lies; `cycles`: waited for it per inference; `moves`: most saved first."""

    constant: Constant
    placement: Placement
    mode: Mode
    cycles: float
    moves: tuple[Move, ...]

    @property
    def text(self) -> str:
        """One sentence, without a full stop."""
        state = f"{_STATES[self.placement.how]} {self.placement.region}"
        forced = f', as placement = "{self.mode.value}" says' if self.mode is not Mode.AUTO else ""
        return f"{self.constant.name}: {state}{forced}, {self.cycles:,.0f} cycles per inference; {self._best()}"

    def _best(self) -> str:
        if not self.moves:
            return "no other memory may hold it"
        best = self.moves[0]
        what = f"{_VERBS[best.how]} {best.region}"
        if best.saves <= 0 and (moved := self._without_ram()) not in (None, best):
            assert moved is not None
            return f"{_VERBS[moved.how]} {moved.region} would {_costs(moved)}"
        if best.saves <= 0:
            return f"the best other place, {what}, would {_costs(best)}"
        if best.fits:
            return f"{what} would save {best.saves:,.0f} and fits"
        why = "the stage lies in another memory" if best.second_stage else _missing(best.short)
        return f"{what} would save {best.saves:,.0f}, but {why}"

    def _without_ram(self) -> Move | None:
        """The best place in no RAM that there is room in, for a constant that takes some."""
        fits = (move for move in self.moves if move.how is How.IN_PLACE and move.fits and move.ram_bytes < 0)
        return next(fits, None)


def explain(partition: Partition) -> tuple[Reason, ...]:
    """A reason for every constant, in their order."""
    ledger = Ledger(partition.problem, partition.layout)
    return tuple(_reason(ledger, partition, i) for i in range(len(partition.problem.found)))


def _reason(ledger: Ledger, partition: Partition, i: int) -> Reason:
    now, constant = ledger.options[i], partition.problem.found[i]
    moves = [_move(ledger, i, option) for option in partition.problem.options[i] if option != now]
    elsewhere = [move for move in moves if (move.how, move.region) != (now.how, now.region)]
    ordered = sorted(elsewhere, key=lambda move: (-move.saves, not move.fits, sum(move.short.values())))
    first = {(move.how, move.region): move for move in reversed(ordered)}  # of moves that differ by the image alone
    moves_once = tuple(move for move in ordered if first[(move.how, move.region)] is move)
    return Reason(constant, partition.placements[constant.name], partition.mode, now.cycles, moves_once)


def _move(ledger: Ledger, i: int, option: Option) -> Move:
    now, ram = ledger.options[i], ledger.ram_bytes
    ledger.move(i, option)
    move = Move(
        how=option.how,
        region=option.region,
        load_region=option.load_region,
        saves=now.cycles - option.cycles,
        ram_bytes=ledger.ram_bytes - ram,
        short=ledger.short(),
        second_stage=len(ledger.stage_regions) > 1,
    )
    ledger.move(i, now)
    return move


def _costs(move: Move) -> str:
    cycles = f"cost {-move.saves:,.0f} more" if move.saves < 0 else "save nothing"
    ram = f" and free {show_bytes(-move.ram_bytes)}" if move.ram_bytes < 0 else ""
    return cycles + ram + ("" if move.fits else f"; {_missing(move.short)}" if move.short else "")


def _missing(short: Mapping[str, int]) -> str:
    return " and ".join(f"{show_bytes(nbytes)} are missing in {name}" for name, nbytes in short.items())
