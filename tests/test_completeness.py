from pathlib import Path

import pytest

from ptee_mcu.ops import OPS, QOPS
from ptee_mcu.sim.kernels import KERNELS

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", QOPS)
def test_every_int8_op_has_a_simulator_kernel(name: str) -> None:
    assert QOPS[name] in KERNELS


@pytest.mark.parametrize("name", QOPS)
def test_every_int8_op_has_a_template(name: str) -> None:
    assert (ROOT / "templates" / "ops" / f"{QOPS[name].template}.c.j2").is_file()


@pytest.mark.parametrize("name", QOPS)
def test_every_int8_op_has_a_differential_test(name: str) -> None:
    assert (ROOT / "tests" / "ops" / f"test_{QOPS[name].template}.py").is_file()


@pytest.mark.parametrize("name", OPS)
def test_registry_names_are_class_names(name: str) -> None:
    assert OPS[name].__name__ == name


def test_every_kernel_serves_a_registered_op() -> None:
    assert set(KERNELS) == set(QOPS.values())


def test_the_simulator_never_imports_the_emitter_nor_the_firmware() -> None:
    for path in (ROOT / "sim").rglob("*.py"):
        text = path.read_text()
        assert "ptee_mcu.emit" not in text, path
        assert "ptee_mcu.firmware" not in text, path


def test_the_emitter_never_imports_the_simulator() -> None:
    for path in (ROOT / "ptee_mcu").glob("emit*.py"):
        assert "ptee_mcu.sim" not in path.read_text(), path
