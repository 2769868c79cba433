"""CMSIS-NN as a shared library, compiled once a session."""

import pytest
from support.reference import Reference


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(tmp_path_factory.mktemp("cmsis_nn"))
