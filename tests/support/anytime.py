"""What an emitted library offers to applications with deadlines, through ctypes."""

import ctypes
from collections.abc import Callable, Iterator
from ctypes import byref, c_int, c_uint32, c_void_p
from pathlib import Path

from support.emitted import Instance, Library, Result
from support.points import switched_network

from ptee_mcu.quant_graph import NEVER
from ptee_mcu.sim import evaluate
from ptee_mcu.tensor import Int8

DMA = Path(__file__).parents[1] / "firmware" / "fake_dma.c"
FULL = (NEVER, NEVER, NEVER)
Now = Callable[[], int]
CLOCK = ctypes.CFUNCTYPE(c_uint32)


class Stats(ctypes.Structure):
    """NAME_stats of a network with four exits."""

    _fields_ = (
        ("answered", c_uint32 * 4),
        ("audited", c_uint32 * 4),
        ("agreed", c_uint32 * 4),
        ("share", c_uint32),
        ("state", c_uint32),
    )

    @property
    def counts(self) -> tuple[list[int], list[int], list[int]]:
        return list(self.answered), list(self.audited), list(self.agreed)


class Anytime(Instance):
    """An instance with the calls for deadlines and audits; `found` is what NAME_best wrote."""

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self.found = Result()

    def give(self, codes: Int8) -> None:
        super().give(codes)
        if hasattr(self.library.c, "dma_events"):  # fake_dma.c holds the copies of a few inferences
            kinds, places = ctypes.create_string_buffer(1024), (ctypes.c_uint64 * 1024)()
            count = int(self.library.c.dma_events(kinds, places))
            assert b"?" not in kinds.raw[:count]

    def call(self, name: str, *arguments: object) -> int:
        function = self.library.c[f"{self.library.plan.graph.name}_{name}"]
        function.restype = c_int
        return int(function(*arguments))

    def step_op(self) -> int:
        return self.call("step_op", self.context, byref(self.result))

    def best(self) -> int:
        return self.call("best", self.context, byref(self.found))

    def run_until(self, budget: int, now: Now) -> int:
        return self.call("run_until", self.context, c_uint32(budget), CLOCK(now), byref(self.result))

    def measure(self, now: Now, margin: int) -> int:
        return self.call("measure", self.context, CLOCK(now), c_uint32(margin))

    def audit_begin(self, stats: Stats, share: int, seed: int) -> int:
        return self.call("audit_begin", byref(stats), c_uint32(share), c_uint32(seed))

    def audit(self, stats: Stats) -> int:
        return self.call("audit", self.context, byref(stats))

    def has_input(self) -> bool:
        """False where NAME_input gives no address."""
        function = self.library.c[f"{self.library.plan.graph.name}_input"]
        function.restype = c_void_p
        return function(self.context) is not None

    @property
    def answer(self) -> tuple[int, int, int, bool]:
        """Exit, label, confidence, fired."""
        return self.result.exit, self.result.label, self.result.confidence, self.result.fired

    @property
    def best_answer(self) -> tuple[int, int, int, bool]:
        return self.found.exit, self.found.label, self.found.confidence, self.found.fired


def clock(*moments: int) -> Now:
    """A counter that says `moments`, one a call, then goes on saying the last."""
    left: Iterator[int] = iter(moments)
    last = [moments[0]]

    def now() -> int:
        last[0] = next(left, last[0])
        return last[0] % 2**32

    return now


def started(library: Library, thresholds: tuple[int, ...] | None = None) -> Anytime:
    """An initialized instance, by `thresholds` where given."""
    net = Anytime(library)
    assert net.init() == 0
    for leave, threshold in enumerate(thresholds or ()):
        assert net.set_threshold(leave, threshold) == 0
    return net


def answer_of(codes: Int8, thresholds: tuple[int, ...]) -> tuple[int, int, list[int]]:
    """Exit, label and logits that the simulator finds for the network of support/points.py."""
    wanted = evaluate(switched_network(), codes[None] if codes.ndim == 3 else codes, thresholds=thresholds)
    return int(wanted.exit[0]), int(wanted.label[0]), wanted.logits[0].tolist()


def found(net: Anytime) -> tuple[int, int, list[int]]:
    """The same of what the library found."""
    return net.result.exit, net.result.label, net.logits()
