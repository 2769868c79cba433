"""A network with every integration, as a build writes it, once for all files here."""

from pathlib import Path

import pytest
from emit.integrations.reading import NAME, Files
from support.builder import small_network
from support.emitted import planned
from support.tools import require

from ptee_mcu.emit import emit
from ptee_mcu.emit_integrations import KINDS, integrations
from ptee_mcu.plan.plan import Plan


@pytest.fixture(scope="session")
def plan() -> Plan:
    require("cmsis-nn")
    return planned(small_network(NAME, preprocess=True))


@pytest.fixture(scope="session")
def emitted(plan: Plan) -> Files:
    return emit(plan).files


@pytest.fixture(scope="session")
def made(plan: Plan, emitted: Files) -> Files:
    return integrations(plan, emitted, name=NAME, kinds=KINDS)


@pytest.fixture(scope="session")
def out(plan: Plan, made: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with every integration, as a build writes it; read it, do not write to it."""
    require("arm-none-eabi-gcc")
    folder = tmp_path_factory.mktemp("integrations") / "out"
    emit(plan).with_files(made).write(folder)
    return folder
