"""What a report says of the code: every call has its stack, and what must not be in it is named."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.differential import inputs_for
from support.emitted import planned, written
from support.exits import residual_network
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import audit_symbols, harness, stack
from ptee_mcu.firmware.audit_symbols import Audit
from ptee_mcu.firmware.checks import CallStack, Checks, checked, painted_stacks
from ptee_mcu.firmware.machines import machine

M4 = machine("mps2-an386")
RUN = CallStack("net_run", 600)
CLEAN = Checks((RUN,), None, (replace(RUN, nbytes=580),), 4096, Audit(9, (), (), (), ()), clean=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    return written(planned(residual_network()), tmp_path_factory.mktemp("checks") / "project")


def test_every_call_of_the_network_has_its_stack_and_the_worst_is_that_of_all(project: Path, tmp_path: Path) -> None:
    require("qemu-system-arm")
    graph = residual_network()
    firmware = harness.build_firmware(project, graph.name, tmp_path / "firmware.elf", machine=M4, traced=False)
    painted = painted_stacks(firmware, graph, inputs_for(graph)[:1])
    found = checked(project, graph.name, M4, reserved_bytes=4096, painted=painted)
    stacks = {each.function: each.nbytes for each in found.stacks}
    assert {"residual_init", "residual_input", "residual_run", "residual_step", "residual_best"} <= set(stacks)
    assert found.worst is not None
    assert found.worst.nbytes == max(stacks.values()) == stack.worst_stack(project, graph.name, M4).nbytes
    assert [each.function for each in painted] == ["residual_run", "residual_step"]
    assert all(stacks[each.function] - 32 <= each.nbytes <= stacks[each.function] for each in painted)
    assert found.audit == audit_symbols.audit_network(project, graph.name, M4)
    assert found.clean
    assert list(found.problems()) == []


def test_recursion_and_a_heap_are_named_and_leave_no_bound(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    folder = written(planned(residual_network()), tmp_path / "project")
    (folder / "more.c").write_text(
        "void *malloc(unsigned); void residual_more(int n);\nvoid *volatile kept;\n"
        "void residual_more(int n) { if (n) residual_more(n - 1); kept = malloc(4); }\n"
    )
    found = checked(folder, "residual", M4, reserved_bytes=4096)
    assert not found.clean
    assert (found.stacks, found.worst) == ((), None)
    assert found.unbounded == "residual_more calls residual_more: recursion has no bound"
    assert "the network's code holds recursion: residual_more" in list(found.problems())
    (heap,) = (problem for problem in found.problems() if problem.startswith("the network's code holds a heap: "))
    assert "malloc" in heap.split(": ")[1].split(", ")


def test_a_stack_that_is_too_small_and_one_deeper_than_computed_are_problems() -> None:
    assert list(CLEAN.problems()) == []
    assert list(replace(CLEAN, reserved_bytes=512).problems()) == [
        "net_run takes 600 B of stack, the linker script reserves 512 B"
    ]
    (problem,) = replace(CLEAN, painted=(replace(RUN, nbytes=601),)).problems()
    assert problem.startswith("net_run took 601 B of stack in the emulator, more than the 600 B that were computed")


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match=r"holds no network 'absent': absent\.h is missing"):
        checked(tmp_path, "absent", M4, reserved_bytes=1)
