"""Whatever is called wrongly says so by its status and changes nothing: on the host, on a Cortex-M4 and a Cortex-M0.

What does not belong together does not compile: tests/firmware/test_safety.py for the library, the golden answers with
the manifest's hash in tests/project/test_emit_project.py.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from emit.test_api import Status
from support.builder import small_network
from support.emitted import planned
from support.tools import require

from ptee_mcu.emit import emit
from ptee_mcu.firmware import build, qemu
from ptee_mcu.firmware.machines import machine


class Case(NamedTuple):
    """A call on a context that was initialized, and on one that has an input where `given`; what it must answer.

    `then`: what an inference on that context answers afterwards.
    """

    call: str
    answer: Status
    given: bool = False
    then: Status = Status.DONE


LOST = Status.NOT_INITIALIZED
CASES = {
    # NULL
    "init: no context": Case("net_init(NULL, arena, sizeof arena)", Status.NULL),
    "init: no arena": Case("net_init(&net, NULL, sizeof arena)", Status.NULL, then=LOST),
    "input: no context": Case("net_input(NULL) == NULL ? PTEE_NULL : PTEE_OK", Status.NULL),
    "input_u8: no context": Case("net_input_u8(NULL, pixels)", Status.NULL),
    "input_u8: no pixels": Case("net_input_u8(&net, NULL)", Status.NULL),
    "run: no context": Case("net_run(NULL, &result)", Status.NULL),
    "run: no result": Case("net_run(&net, NULL)", Status.NULL, given=True),
    "step: no context": Case("net_step(NULL, &result)", Status.NULL),
    "step: no result": Case("net_step(&net, NULL)", Status.NULL, given=True),
    "step_op: no context": Case("net_step_op(NULL, &result)", Status.NULL),
    "step_op: no result": Case("net_step_op(&net, NULL)", Status.NULL, given=True),
    "best: no context": Case("net_best(NULL, &result)", Status.NULL),
    "best: no result": Case("net_best(&net, NULL)", Status.NULL, given=True),
    "run_until: no context": Case("net_run_until(NULL, 1u, now, &result)", Status.NULL),
    "run_until: no counter": Case("net_run_until(&net, 1u, NULL, &result)", Status.NULL, given=True),
    "run_until: no result": Case("net_run_until(&net, 1u, now, NULL)", Status.NULL, given=True),
    "measure: no context": Case("net_measure(NULL, now, 0u)", Status.NULL),
    "measure: no counter": Case("net_measure(&net, NULL, 0u)", Status.NULL, given=True),
    "audit_begin: no counts": Case("net_audit_begin(NULL, 1u, 1u)", Status.NULL),
    "audit: no context": Case("net_audit(NULL, &stats)", Status.NULL),
    "audit: no counts": Case("net_audit(&net, NULL)", Status.NULL, given=True),
    "set_threshold: no context": Case("net_set_threshold(NULL, 0u, 0)", Status.NULL),
    "set_operating_point: no context": Case("net_set_operating_point(NULL, 0u)", Status.NULL),
    "check: no context": Case("net_check(NULL)", Status.NULL),
    # an arena that is misaligned or too small
    "init: arena off by 1": Case("net_init(&net, arena + 1, NET_ARENA_BYTES)", Status.ARENA_MISALIGNED, then=LOST),
    "init: arena off by 4": Case("net_init(&net, arena + 4, NET_ARENA_BYTES)", Status.ARENA_MISALIGNED, then=LOST),
    "init: arena off by 8": Case("net_init(&net, arena + 8, NET_ARENA_BYTES)", Status.ARENA_MISALIGNED, then=LOST),
    "init: arena short by 1": Case("net_init(&net, arena, NET_ARENA_BYTES - 1)", Status.ARENA_TOO_SMALL, then=LOST),
    "init: arena of nothing": Case("net_init(&net, arena, 0)", Status.ARENA_TOO_SMALL, then=LOST),
    # without an init
    "input: no init": Case("(zero(), net_input(&net)) == NULL ? PTEE_NOT_INITIALIZED : PTEE_OK", LOST, then=LOST),
    "input_u8: no init": Case("(zero(), net_input_u8(&net, pixels))", LOST, then=LOST),
    "run: no init": Case("(zero(), net_run(&net, &result))", LOST, then=LOST),
    "step: no init": Case("(zero(), net_step(&net, &result))", LOST, then=LOST),
    "step_op: no init": Case("(zero(), net_step_op(&net, &result))", LOST, then=LOST),
    "best: no init": Case("(zero(), net_best(&net, &result))", LOST, then=LOST),
    "run_until: no init": Case("(zero(), net_run_until(&net, 1u, now, &result))", LOST, then=LOST),
    "measure: no init": Case("(zero(), net_measure(&net, now, 0u))", LOST, then=LOST),
    "audit: no init": Case("(zero(), net_audit(&net, &stats))", LOST, then=LOST),
    "check: no init": Case("(zero(), net_check(&net))", LOST, then=LOST),
    "set_threshold: no init": Case("(zero(), net_set_threshold(&net, 0u, 0))", LOST, then=LOST),
    "set_operating_point: no init": Case("(zero(), net_set_operating_point(&net, 0u))", LOST, then=LOST),
    "operating_point: no init": Case(
        "(zero(), net_operating_point(&net)) == NET_CUSTOM_POINT ? PTEE_NOT_INITIALIZED : PTEE_OK", LOST, then=LOST
    ),
    # without an input
    "run: no input": Case("net_run(&net, &result)", Status.NO_INPUT),
    "step: no input": Case("net_step(&net, &result)", Status.NO_INPUT),
    "step_op: no input": Case("net_step_op(&net, &result)", Status.NO_INPUT),
    "run_until: no input": Case("net_run_until(&net, UINT32_MAX, now, &result)", Status.NO_INPUT),
    "measure: no input": Case("net_measure(&net, now, 0u)", Status.NO_INPUT),
    "best: no input": Case("net_best(&net, &result)", Status.NO_ANSWER),
    "audit: no input": Case("net_audit(&net, &stats)", Status.NO_ANSWER),
    "run: twice on one input": Case("(net_run(&net, &result), net_run(&net, &result))", Status.ENDED, given=True),
    "step_op: after the end": Case("(net_run(&net, &result), net_step_op(&net, &result))", Status.ENDED, given=True),
    "audit: of a begun inference": Case(
        "(net_step_op(&net, &result), net_audit(&net, &stats))", Status.NO_ANSWER, True
    ),
    # a counter that stands still
    "run_until: a still counter": Case(
        "net_run_until(&net, UINT32_MAX - 1u, still, &result)", Status.STUCK_COUNTER, given=True
    ),
    "measure: a still counter": Case("net_measure(&net, still, 0u)", Status.STUCK_COUNTER, given=True),
    # thresholds, exits and points that there are not
    "set_threshold: below all": Case("net_set_threshold(&net, 0u, -129)", Status.BAD_THRESHOLD),
    "set_threshold: above all": Case("net_set_threshold(&net, 0u, 129)", Status.BAD_THRESHOLD),
    "set_threshold: least number": Case("net_set_threshold(&net, 0u, INT32_MIN)", Status.BAD_THRESHOLD),
    "set_threshold: greatest number": Case("net_set_threshold(&net, 0u, INT32_MAX)", Status.BAD_THRESHOLD),
    "set_threshold: the last exit": Case("net_set_threshold(&net, NET_EXITS - 1u, 0)", Status.BAD_EXIT),
    "set_threshold: no such exit": Case("net_set_threshold(&net, UINT32_MAX, 0)", Status.BAD_EXIT),
    "set_operating_point: one too many": Case("net_set_operating_point(&net, NET_OPERATING_POINTS)", Status.BAD_POINT),
    "set_operating_point: far too many": Case("net_set_operating_point(&net, UINT32_MAX)", Status.BAD_POINT),
    "audit_begin: more than all": Case("net_audit_begin(&stats, 65537u, 1u)", Status.BAD_THRESHOLD),
    # from within another call on the same context
    **{
        f"{what}: re-entered": Case(f"within({number}u)", Status.REENTERED, given=True)
        for number, what in enumerate(
            ("run", "step", "step_op", "run_until", "measure", "audit", "input_u8", "input"), start=1
        )
    },
}
ABOVE = """\
#include <string.h>
#include "net.h"
static _Alignas(NET_ARENA_ALIGN) uint8_t arena[NET_ARENA_BYTES + 16];
static const uint8_t pixels[NET_INPUT_BYTES] = {200, 3, 77};
static net_t net;
static net_stats stats;
static net_result result, other;
static uint32_t moment, wanted;
static ptee_status found;
static void zero(void) { memset(&net, 0, sizeof net); }
static ptee_status again(uint32_t number);
static uint32_t still(void) { return 7; }
static uint32_t now(void)
{
    if (moment++ != 0 && wanted != 0) {
        const uint32_t number = wanted;
        wanted = 0;
        found = again(number);
    }
    return moment;
}
static ptee_status again(uint32_t number)
{
    switch (number) {
    case 1: return net_run(&net, &other);
    case 2: return net_step(&net, &other);
    case 3: return net_step_op(&net, &other);
    case 4: return net_run_until(&net, UINT32_MAX, now, &other);
    case 5: return net_measure(&net, now, 0u);
    case 6: return net_audit(&net, &stats);
    case 7: return net_input_u8(&net, pixels);
    default: return net_input(&net) == NULL ? PTEE_REENTERED : PTEE_OK;
    }
}
/* What call `number` answers while net_run_until is inside, which then ends as if nothing had been. */
static ptee_status within(uint32_t number)
{
    found = PTEE_OK;
    moment = 0;
    wanted = number;
    (void)net_set_threshold(&net, 0u, 128);
    (void)net_input_u8(&net, pixels);
    const ptee_status ended = net_run_until(&net, UINT32_MAX - 1u, now, &result);
    return ended == PTEE_DONE && result.exit == 1u ? found : ended;
}
"""
MAIN = """
static void say(unsigned number, ptee_status answer, ptee_status then, bool same)
{
    char text[] = "000 00 00 0\\n";
    text[0] = (char)('0' + number / 100u);
    text[1] = (char)('0' + number / 10u % 10u);
    text[2] = (char)('0' + number % 10u);
    text[4] = (char)('0' + (unsigned)answer / 10u);
    text[5] = (char)('0' + (unsigned)answer % 10u);
    text[7] = (char)('0' + (unsigned)then / 10u);
    text[8] = (char)('0' + (unsigned)then % 10u);
    text[10] = (char)('0' + same);
    print(text);
}
int main(void);
int main(void)
{
    for (unsigned number = 0; number < sizeof cases / sizeof cases[0]; number++) {
        if (net_init(&net, arena, sizeof arena) != PTEE_OK || net_audit_begin(&stats, 65536u, 1u) != PTEE_OK) {
            return 1;
        }
        (void)net_input_u8(&net, pixels);
        (void)net_run(&net, &other);
        const net_result first = other;
        (void)net_init(&net, arena, sizeof arena);
        if (cases[number].given) {
            (void)net_input_u8(&net, pixels);
        }
        const ptee_status answer = cases[number].call();
        (void)net_set_threshold(&net, 0u, 5); /* what was refused left the operating point as it was */
        (void)net_set_operating_point(&net, NET_DEFAULT_POINT);
        (void)net_input_u8(&net, pixels);
        const ptee_status then = net_run(&net, &result);
        say(number, answer, then, then != PTEE_DONE || (result.exit == first.exit && result.label == first.label));
    }
    return 0;
}
"""
HOST = "#include <stdio.h>\n#define print(text) (void)fputs((text), stdout)\n"
ARM = '#include "semihost.h"\n#define print semihost_write0\n'
REENTERING = Path(__file__).with_name("reenter.c")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("cmsis-nn")
    folder = tmp_path_factory.mktemp("bad") / "net"
    emit(planned(small_network("net", preprocess=True)), crc=True, yield_every_op=True).write(folder)
    return folder


def program(head: str) -> str:
    """The C of all cases: each a function, then a table of them."""
    bodies = "".join(
        f"static ptee_status case_{i}(void) {{ return {case.call}; }}\n" for i, case in enumerate(CASES.values())
    )
    rows = "".join(f"    {{case_{i}, {str(case.given).lower()}}},\n" for i, case in enumerate(CASES.values()))
    table = f"static const struct {{ ptee_status (*call)(void); bool given; }} cases[] = {{\n{rows}}};\n"
    return head + ABOVE + bodies + table + MAIN


@pytest.fixture(scope="module", params=["host", "mps2-an386", "microbit"])
def said(request: pytest.FixtureRequest, project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """Per case: its number, what it answered, what an inference answered afterwards, and whether that was the same."""
    where, folder = request.param, tmp_path_factory.mktemp("said")
    main = folder / "main.c"
    main.write_text(program(HOST if where == "host" else ARM))
    own = build.CSources(own=(main,), include_dirs=(project, build.SUPPORT))
    sources = build.sources_in(project) + own
    if where == "host":
        require("gcc")
        out = build.compile_host(sources, folder / "program", optimize="-O1")
        printed = subprocess.run([str(out)], capture_output=True, text=True, check=True, timeout=60).stdout
    else:
        require("arm-none-eabi-gcc", "qemu-system-arm")
        elf = build.compile_arm(sources, folder / "program.elf", machine=machine(where), optimize="-Os")
        done = qemu.run(elf, machine(where), timeout_s=60, cwd=folder)
        assert done.exit_code == 0, done.stdout
        printed = done.stdout
    return [[int(word) for word in line.split()] for line in printed.splitlines()]


def test_every_call_that_is_wrong_answers_with_its_status_and_changes_nothing(said: list[list[int]]) -> None:
    assert len(said) == len(CASES)
    found = {what: (Status(row[1]), Status(row[2])) for what, row in zip(CASES, said, strict=True)}
    assert found == {what: (case.answer, case.then) for what, case in CASES.items()}
    assert [what for what, row in zip(CASES, said, strict=True) if not row[3]] == []


def test_every_function_of_the_library_is_called_wrongly(project: Path) -> None:
    header = (project / "net.h").read_text()
    declared = {
        line.split("net_", 1)[1].split("(")[0]
        for line in header.splitlines()
        if line.endswith(");") and line.startswith(("ptee_status net_", "int8_t *net_", "int32_t net_"))
    }
    assert declared == {what.split(":")[0] for what in CASES}


def test_a_timer_interrupt_that_calls_on_the_context_in_use_is_refused_every_time(
    project: Path, tmp_path: Path
) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    own = build.CSources(own=(REENTERING,), include_dirs=(project, build.SUPPORT))
    on = machine("mps2-an386")
    elf = build.compile_arm(build.sources_in(project) + own, tmp_path / "reenter.elf", machine=on)
    done = qemu.run(elf, on, timeout_s=60, cwd=tmp_path)
    assert done.exit_code == 0, done.stdout
