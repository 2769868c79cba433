"""The computed stack is never below the measured one; recursion, heap, floats and pointers to functions are found."""

from pathlib import Path

import pytest
from support.differential import inputs_for
from support.emitted import planned, written
from support.exits import residual_network
from support.placed import MODES, placed
from support.tools import require

from ptee_mcu.errors import FirmwareError
from ptee_mcu.firmware import audit_symbols, build, calls, harness, run, stack
from ptee_mcu.firmware.calls import Function
from ptee_mcu.firmware.execution import collect
from ptee_mcu.firmware.machines import machine

M4 = machine("mps2-an386")
CORES = ("microbit", "mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps2-an521", "mps3-an547")
TAKE = 'void take(char *); void take(char *x) { __asm volatile("" : : "r"(x) : "memory"); }\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    return written(planned(residual_network()), tmp_path_factory.mktemp("stack") / "project")


def program(folder: Path, text: str) -> Path:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump")
    (folder / "main.c").write_text(text)
    out = folder / "main.elf"
    command = ["arm-none-eabi-gcc", *M4.flags, "-mthumb", "-O1", "-fno-inline", "-fno-optimize-sibling-calls"]
    command += ["-fstack-usage", "-c", str(folder / "main.c"), "-o", str(folder / "main.o")]
    build.call(command, "compiling")
    link = ["-nostartfiles", "-Wl,--unresolved-symbols=ignore-all", "-Wl,-e,main", "-o", str(out)]
    build.call(["arm-none-eabi-gcc", *M4.flags, "-mthumb", str(folder / "main.o"), *link], "linking")
    return out


def worst(elf: Path, root: str = "main", hooks: frozenset[str] = frozenset()) -> stack.StackUse:
    return stack.deepest(calls.functions(elf), stack.frames(elf.parent), {root}, hooks)


@pytest.mark.parametrize("mode", ["flash", "mixed"])
def test_the_computed_stack_bounds_the_measured_one_closely(mode: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "qemu-system-arm")
    graph = residual_network()
    plan = placed(graph, MODES[mode])
    folder = written(plan, tmp_path / "project")
    firmware = harness.build_firmware(
        folder, graph.name, tmp_path / "firmware.elf", machine=M4, target=plan.target, traced=False
    )
    measured = collect(run.run_qemu(firmware, inputs_for(graph)[:2])).stack_bytes
    graph_of_calls = calls.functions(firmware.path)
    stack.linked(folder, graph.name, M4, tmp_path)
    called = {name for name in ("residual_run", "residual_step", "residual_input") if name in graph_of_calls}
    use = stack.deepest(graph_of_calls, stack.frames(tmp_path), called)
    assert measured <= use.nbytes <= measured + 32
    whole = stack.worst_stack(folder, graph.name, M4)
    assert whole.nbytes >= use.nbytes, "it counts functions that the harness does not call"
    assert sum(nbytes for _, nbytes in whole.path) == whole.nbytes
    assert whole.path[0][0].startswith("residual_")


@pytest.mark.parametrize("core", CORES)
def test_every_core_has_a_bound_and_nothing_that_must_not_be_linked(core: str, project: Path) -> None:
    use = stack.worst_stack(project, "residual", machine(core))
    assert 200 < use.nbytes < 2048
    found = audit_symbols.audit_network(project, "residual", machine(core))
    assert found.clean, found
    assert found.functions > 15


def test_the_frames_of_a_chain_add_up(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        TAKE + "void leaf(void); void leaf(void) { char x[64]; take(x); }\n"
        "void shallow(void); void shallow(void) { char x[8]; take(x); }\n"
        "int main(void) { char x[32]; take(x); shallow(); leaf(); return 0; }\n",
    )
    use = worst(elf)
    assert [name for name, _ in use.path] == ["main", "leaf", "take"]
    assert use.nbytes == sum(stack.frames(tmp_path)[name] for name in ("main", "leaf", "take")) >= 96 + 8
    assert use.with_hook(100) == use.nbytes


def test_where_gcc_said_nothing_the_instructions_do(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        "__attribute__((naked)) void bare(void); __attribute__((naked)) void bare(void)\n"
        '{ __asm volatile("push {r4-r7, lr}\\n vpush {d8-d9}\\n sub sp, #24\\n str r0, [sp, #-8]!\\n bx lr"); }\n'
        "int main(void) { bare(); return 0; }\n",
    )
    graph = calls.functions(elf)
    assert graph["bare"].pushed_bytes == 5 * 4 + 2 * 8 + 24 + 8


def test_recursion_is_found_and_named(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        "int odd(int); int even(int);\n"
        "int odd(int n) { return n ? even(n - 1) + 1 : 0; }\n"
        "int even(int n) { return n ? odd(n - 1) + 2 : 1; }\n"
        "int main(void) { return even(7); }\n",
    )
    with pytest.raises(FirmwareError, match="even calls odd calls even: recursion has no bound"):
        worst(elf)
    assert audit_symbols.audit(elf).recursion


def test_a_function_that_calls_itself_is_recursion(tmp_path: Path) -> None:
    elf = program(
        tmp_path, "int f(int n);\nint f(int n) { return n ? f(n - 1) + n : 0; }\nint main(void) { return f(7); }\n"
    )
    assert audit_symbols.audit(elf).recursion == ("f",)


def test_a_call_through_a_pointer_has_no_bound_except_in_a_hook(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        "void (*volatile hook)(void);\n"
        "void call_it(void); void call_it(void) { hook(); hook(); }\n"
        "int main(void) { call_it(); return 0; }\n",
    )
    with pytest.raises(FirmwareError, match=r"call_it calls through a pointer \(blx r3\)"):
        worst(elf)
    use = worst(elf, hooks=frozenset({"call_it"}))
    assert use.hooks == (("call_it", use.nbytes),)
    assert use.with_hook(100) == use.nbytes + 100
    assert [text.split(":")[0] for text in audit_symbols.audit(elf).indirect] == ["call_it", "call_it"]
    assert audit_symbols.audit(elf, calling_hooks=frozenset({"call_it"})).clean


def test_a_frame_without_a_fixed_size_is_named(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        TAKE + "void grow(int n); void grow(int n) { char x[n]; take(x); }\nint main(void) { grow(9); return 0; }\n",
    )
    with pytest.raises(FirmwareError, match="grow: its frame is dynamic"):
        worst(elf)
    with pytest.raises(FirmwareError, match="grow: nobody knows its frame"):
        stack.deepest(calls.functions(elf), {}, {"main"})


def test_heap_and_floating_point_are_found(tmp_path: Path) -> None:
    elf = program(
        tmp_path,
        "void *malloc(unsigned); void *malloc(unsigned n) { return (void *)n; }\n"
        "float scale(float x); float scale(float x) { return x * 3.0f; }\n"
        "double wide(double x); double wide(double x) { return x * 3.0; }\n"
        "int main(void) { return (int)scale(2) + (int)wide(3) + (malloc(3) != 0); }\n",
    )
    found = audit_symbols.audit(elf)
    assert found.heap == ("malloc",)
    assert "__aeabi_dmul" in found.floats
    assert any(text.startswith("scale: vmul.f32") for text in found.floats)
    assert not found.clean
    assert audit_symbols.audit(elf, frozenset({"malloc"})).floats == ()


def test_a_function_that_is_not_linked_is_named(tmp_path: Path) -> None:
    elf = program(tmp_path, "int main(void) { return 0; }\n")
    with pytest.raises(FirmwareError, match=r"main\.elf has no function 'absent'"):
        audit_symbols.audit(elf, frozenset({"absent"}))


def test_a_network_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match=r"holds no network 'absent': absent\.h is missing"):
        stack.worst_stack(tmp_path, "absent", M4)


def test_a_program_without_code_is_refused(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump")
    (tmp_path / "data.c").write_text("int x = 1;\n")
    build.call(["arm-none-eabi-gcc", "-c", str(tmp_path / "data.c"), "-o", str(tmp_path / "data.o")], "compiling")
    with pytest.raises(FirmwareError, match=r"data\.o holds no code"):
        calls.functions(tmp_path / "data.o")


def test_a_path_that_returns_to_a_common_callee_is_no_recursion() -> None:
    def function(name: str, *callees: str) -> Function:
        return Function(name, frozenset(callees), 8, (), ())

    graph = {"a": function("a", "b", "c"), "b": function("b", "d"), "c": function("c", "b", "d"), "d": function("d")}
    assert calls.recursion(graph, {"a"}) == ()
    assert stack.deepest(graph, {}, {"a"}).path == (("a", 8), ("c", 8), ("b", 8), ("d", 8))
