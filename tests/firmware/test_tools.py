import pytest

from ptee_mcu.errors import ToolMissingError
from ptee_mcu.firmware import tools


def test_a_missing_program_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        ToolMissingError, match="qemu-system-arm is not installed; needed for: run and compare"
    ) as error:
        tools.find("qemu-system-arm")
    assert error.value.hint == (
        "apt-get install -y --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm"
    )


def test_the_survey_lists_what_is_missing_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    by_name = {status.name: status for status in tools.survey()}
    assert not by_name["gcc"].found
    assert "gcc" in by_name["gcc"].install
    assert {"arm-none-eabi-gcc", "qemu-system-arm", "bakenn", "torch"} <= set(by_name)


def test_surveying_imports_none_of_the_packages() -> None:
    import subprocess  # noqa: PLC0415 - only this test starts another interpreter
    import sys  # noqa: PLC0415

    code = (
        "import sys; from ptee_mcu.firmware import tools; tools.survey();"
        "assert not {'torch', 'onnx', 'tensorflow', 'bakenn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
