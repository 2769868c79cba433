"""When staged constants are copied, and that a copy given up never lands: with a DMA controller that is late."""

import ctypes
from pathlib import Path

import numpy as np
import pytest
from support.differential import inputs_for
from support.emitted import Instance, Library
from support.exits import residual_network
from support.placed import MODES, placed
from support.tools import require

from ptee_mcu.plan.placement import constants
from ptee_mcu.quant_graph import ALWAYS, NEVER
from ptee_mcu.sim import evaluate

OK, CONTINUE, DONE = 0, 1, 2
GRAPH = residual_network("staged")
INPUTS = inputs_for(GRAPH, 6)
FULL = "b even, w even, b head, w head, b odd, w odd, b head, w head, b even, w even"


class Dma:
    """The fake controller in `library`; even trunks, odd trunks and heads have three places in a stage."""

    def __init__(self, library: Library) -> None:
        self.library = library
        plan = library.plan
        found: dict[str, int] = {}
        for constant in constants(plan.graph):
            offset = plan.placements[constant.name].offset
            assert offset is not None
            name = "head" if constant.head else ("even", "odd")[constant.segment % 2]
            found[name] = min(offset, found.get(name, offset))
        self.names = {offset: name for name, offset in found.items()}

    def forget(self) -> None:
        """Lets everything land and forgets what happened."""
        self.late()
        self._read()

    def late(self) -> int:
        return int(self.library.c.dma_late())

    def events(self, *nets: Instance) -> str:
        """What happened: b begun, w waited for, a abandoned; even or odd trunk, or head."""
        bases = [net.stage.ctypes.data for net in nets]
        found = []
        for kind, place in self._read():
            base = max(at for at in bases if at <= place)
            net = f" of {bases.index(base)}" if len(bases) > 1 else ""
            found.append(f"{kind} {self.names[place - base]}{net}")
        return ", ".join(found)

    def _read(self) -> list[tuple[str, int]]:
        kinds, places = ctypes.create_string_buffer(1024), (ctypes.c_uint64 * 1024)()
        count = int(self.library.c.dma_events(kinds, places))
        return list(zip(kinds.raw[:count].decode(), places[:count], strict=True))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    require("gcc")
    plan = placed(GRAPH, MODES["staged"])
    return Library(plan, tmp_path_factory.mktemp("dma"), Path(__file__).with_name("fake_dma.c"))


@pytest.fixture
def dma(library: Library) -> Dma:
    found = Dma(library)
    found.forget()
    return found


def started(library: Library, thresholds: tuple[int, int]) -> Instance:
    net = Instance(library)
    assert net.init() == OK
    for leave, threshold in enumerate(thresholds):
        assert net.set_threshold(leave, threshold) == OK
    return net


def test_every_image_is_begun_as_early_as_its_place_is_free(library: Library, dma: Dma) -> None:
    net = started(library, (NEVER, NEVER))
    net.give(INPUTS[0])
    assert [net.step() for _ in range(3)] == [CONTINUE, CONTINUE, DONE]
    assert dma.events(net) == FULL
    assert dma.late() == 0


def test_run_copies_nothing_for_heads_that_cannot_fire(library: Library, dma: Dma) -> None:
    net = started(library, (NEVER, NEVER))
    net.give(INPUTS[0])
    assert net.run() == DONE
    assert dma.events(net) == "b even, w even, b odd, w odd, b even, w even"


@pytest.mark.parametrize(
    ("thresholds", "last"),
    [
        ((ALWAYS, NEVER), "b even, w even, b head, w head, b odd, a odd"),
        ((NEVER, ALWAYS), "b head, w head, b even, a even"),
    ],
)
def test_an_exit_that_fires_abandons_what_was_begun_for_the_next_segment(
    library: Library, dma: Dma, thresholds: tuple[int, int], last: str
) -> None:
    net = started(library, thresholds)
    net.give(INPUTS[0])
    assert net.run() == DONE
    assert dma.events(net).endswith(last)
    before = net.stage.copy()
    assert dma.late() == 0
    np.testing.assert_array_equal(net.stage, before)


def test_a_new_input_between_two_steps_abandons_what_was_begun(library: Library, dma: Dma) -> None:
    net = started(library, (NEVER, NEVER))
    net.give(INPUTS[0])
    assert net.step() == CONTINUE
    net.give(INPUTS[1])
    assert dma.events(net) == "b even, w even, b head, w head, b odd, a odd"
    assert dma.late() == 0
    assert [net.step() for _ in range(3)] == [CONTINUE, CONTINUE, DONE]
    assert dma.events(net) == FULL


def test_a_dma_that_is_as_late_as_it_may_be_changes_no_byte(library: Library, dma: Dma) -> None:
    for thresholds in ((0, 0), (ALWAYS, NEVER), (NEVER, ALWAYS), (NEVER, NEVER)):
        wanted = evaluate(GRAPH, INPUTS, thresholds=thresholds)
        net = started(library, thresholds)
        for i, codes in enumerate(INPUTS):
            net.give(codes)
            assert net.run() == DONE
            assert (net.result.exit, net.result.label) == (wanted.exit[i], wanted.label[i])
            assert net.logits() == wanted.logits[i].tolist()
        assert "?" not in dma.events(net)


def test_two_contexts_with_two_stages_take_turns(library: Library, dma: Dma) -> None:
    wanted = evaluate(GRAPH, INPUTS[:2], thresholds=(NEVER, NEVER))
    nets = [started(library, (NEVER, NEVER)) for _ in range(2)]
    for net, codes in zip(nets, INPUTS, strict=False):
        net.give(codes)
    for turn in (0, 1, 1, 0, 0, 1):
        assert nets[turn].step() in {CONTINUE, DONE}
    for i, net in enumerate(nets):
        assert net.logits() == wanted.logits[i].tolist()
        assert net.result.exit == 2
    assert "?" not in dma.events(*nets)
    assert dma.late() == 0


def test_abandoning_one_context_leaves_the_copies_of_another_alone(library: Library, dma: Dma) -> None:
    wanted = evaluate(GRAPH, INPUTS[1:2], thresholds=(NEVER, NEVER))
    first, second = started(library, (NEVER, NEVER)), started(library, (NEVER, NEVER))
    for net, codes in zip((first, second), INPUTS, strict=False):
        net.give(codes)
        assert net.step() == CONTINUE
    first.give(INPUTS[2])
    assert second.run() == DONE
    assert second.logits() == wanted.logits[0].tolist()
    assert "?" not in dma.events(first, second)
