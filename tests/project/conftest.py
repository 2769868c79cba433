"""A compiler cache of the test session's own, and builds that several tests read."""

import pytest
from project.building import balanced, built, plan_for
from support.cache import cache_folder, own_cache

from ptee_mcu.project import Project

__all__ = ["cache_folder", "own_cache"]


@pytest.fixture(scope="session")
def on_m4(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small network, built for mps2_an386 with its bare project; read it, do not write to it."""
    return built(plan_for(balanced(), "mps2_an386"), tmp_path_factory.mktemp("m4") / "out")


@pytest.fixture(scope="session")
def on_netduino(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same for the Netduino Plus 2."""
    return built(plan_for(balanced(), "netduino_plus_2"), tmp_path_factory.mktemp("netduino") / "out")
