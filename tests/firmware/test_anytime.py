"""The example that prints on time while a network runs, and every call for deadlines on a Cortex-M4 and a Cortex-M0."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.builder import Builder
from support.emitted import planned, written
from support.points import switched_network
from support.tools import require

from ptee_mcu.firmware import build, qemu, tools
from ptee_mcu.firmware.machines import machine
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import HW, Padding

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "anytime"
PERIOD = 250_000  # ticks of 40 ns in 10 ms


def busy_network() -> QuantGraph:
    """A network whose ops each take milliseconds and whose inference takes longer than several beats."""
    same = Padding.same(1, 1)
    b = Builder((1, 12, 12, 4), seed=3)
    x = b.conv("input", 8, padding=same)
    for _ in range(6):
        x = b.conv(x, 8, padding=same)
    b.exit("early", b.avg_pool(x, HW(4, 4), HW(4, 4)))
    for _ in range(6):
        x = b.conv(x, 8, padding=same)
    b.exit("final", b.avg_pool(x, HW(4, 4), HW(4, 4)), final=True)
    return b.graph("digits_ee", (128,))


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    folder = tmp_path_factory.mktemp("example")
    project = written(planned(busy_network()), folder / "project", yield_every_op=True)
    for name in ("main.c", "network.h"):
        shutil.copy(EXAMPLE / name, folder)
    own = build.CSources(own=(folder / "main.c",), include_dirs=(folder, build.SUPPORT))
    board = machine("mps2-an386")
    elf = build.compile_arm(build.sources_in(project) + own, folder / "example.elf", machine=board)
    command = [str(tools.find("qemu-system-arm").path), "-M", board.name, "-kernel", str(elf), "-icount", "shift=5"]
    command += ["-display", "none", "-monitor", "none", "-serial", "none", "-chardev", "stdio,id=sh"]
    command += ["-semihosting-config", "enable=on,target=native,chardev=sh"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(printed: str, what: str) -> list[int]:
    return [int(text) for text in re.findall(rf"^{what} (\d+)$", printed, re.MULTILINE)]


def test_the_example_is_never_late_by_more_than_the_longest_op(printed: str) -> None:
    late = numbers(printed, "late")
    (op,), (rest,) = numbers(printed, "longest op"), numbers(printed, "longest rest")
    assert len(late) == 50
    assert max(late) <= op + rest
    assert op < PERIOD  # else beats would be missed
    assert rest < PERIOD // 50


def test_the_network_of_the_example_would_block_several_beats_if_it_ran_at_once(printed: str) -> None:
    (answers,), (op,) = numbers(printed, "answers"), numbers(printed, "longest op")
    assert 1 <= answers <= 25  # of 50 beats: two or more for every answer
    assert op > PERIOD // 50  # and an op is no trifle


def test_the_lines_of_the_examples_page_work_as_they_stand(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm", "cmsis-nn")
    pytest.importorskip("torch")
    (lines,) = re.findall(r"```sh\n(.*?)```", (EXAMPLE / "README.md").read_text(), re.DOTALL)
    for name in ("examples", "ptee_mcu"):
        (tmp_path / name).symlink_to(ROOT / name)
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", lines], cwd=tmp_path, env={**os.environ, "PATH": programs}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "warning" not in said
    late, (answers,) = numbers(said, "late"), numbers(said, "answers")
    assert len(late) == 50
    assert max(late) <= sum(numbers(said, "longest op") + numbers(said, "longest rest"))
    assert answers > 0


def test_the_example_is_at_most_sixty_lines_long() -> None:
    assert len((EXAMPLE / "main.c").read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", ["mps2-an386", "microbit"])
def test_every_way_to_end_an_inference_gives_one_answer_in_the_emulator(name: str, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    project = written(planned(switched_network()), tmp_path / "project", yield_every_op=True)
    text = (ROOT / "tests" / "emit" / "anytime" / "anytime.c").read_text()
    text = text.replace("#include <stdio.h>\n", "").replace('    printf("%u\\n", (unsigned)wrong);\n', "")
    (tmp_path / "main.c").write_text(text)
    own = build.CSources(own=(tmp_path / "main.c",), include_dirs=(project,))
    board = machine(name)
    elf = build.compile_arm(build.sources_in(project) + own, tmp_path / "main.elf", machine=board)
    assert qemu.run(elf, board, timeout_s=60, cwd=tmp_path).exit_code == 0
