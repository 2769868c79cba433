"""The network of tests/support/points.py as a library with and without NAME_step_op, once for all files here."""

import pytest
from support.anytime import DMA, FULL, Anytime, started
from support.emitted import Library, planned
from support.placed import MODES, placed
from support.points import switched_network

from ptee_mcu.emit_anytime import segment_cycles


@pytest.fixture(scope="session", params=["in place", "staged"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    graph = switched_network()
    folder = tmp_path_factory.mktemp("anytime")
    if request.param == "staged":
        return Library(placed(graph, MODES["staged"]), folder, DMA, yield_every_op=True)
    return Library(planned(graph), folder, yield_every_op=True)


@pytest.fixture(scope="session")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """The same network without NAME_step_op."""
    return Library(planned(switched_network()), tmp_path_factory.mktemp("segments"))


@pytest.fixture
def net(library: Library) -> Anytime:
    return started(library)


@pytest.fixture
def whole(segments: Library) -> Anytime:
    return started(segments, FULL)


@pytest.fixture
def cycles(segments: Library) -> tuple[int, ...]:
    return segment_cycles(segments.plan)
