"""Inputs over an emulated UART: the bytes come back right, also where the line loses some."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from project.building import balanced, bare_in, built, cli, inputs_of, plan_for
from support.tools import require

from ptee_mcu.errors import DataError, FirmwareError
from ptee_mcu.firmware import port as ports
from ptee_mcu.firmware.app_kind import App, Output
from ptee_mcu.firmware.apps import for_machine
from ptee_mcu.firmware.flash import require_uart
from ptee_mcu.firmware.frames import Frame, Kind, NoAnswerError, packed, receive
from ptee_mcu.firmware.machines import machine
from ptee_mcu.firmware.measure import greet, measure
from ptee_mcu.firmware.port import ClosedError, Descriptor
from ptee_mcu.onboard import agreement, load_inputs
from ptee_mcu.project import Project

PLACES = [
    ("mps2_an385", "mps2-an385"),
    ("mps2_an505", "mps2-an505"),
    ("mps3_an547", "mps3-an547"),
    ("netduino_plus_2", "netduinoplus2"),
]


@contextmanager
def running(project: Project, place: str, work: Path) -> Iterator[Descriptor]:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    m = machine(place)
    made = for_machine(bare_in(project), App.MEASURE, work / "measure.elf", m, output=Output.UART, uart=require_uart(m))
    with ports.emulated(made.elf, m) as line:
        yield line


@contextmanager
def pair() -> Iterator[tuple[Descriptor, socket.socket]]:
    here, there = socket.socketpair()
    with here, there:
        yield Descriptor(here.fileno(), "here"), there


@dataclass
class Noisy:
    """A line that drops, flips or adds the byte of these numbers on the way out."""

    line: Descriptor
    dropped: set[int] = field(default_factory=set)
    flipped: set[int] = field(default_factory=set)
    added: set[int] = field(default_factory=set)
    sent: int = 0

    def write(self, data: bytes) -> None:
        out = bytearray()
        for byte in data:
            if self.sent in self.added:
                out.append(0x50)
            if self.sent not in self.dropped:
                out.append(byte ^ 0x10 if self.sent in self.flipped else byte)
            self.sent += 1
        self.line.write(bytes(out))

    def read(self, most: int, timeout_s: float) -> bytes:
        return self.line.read(most, timeout_s)


@pytest.mark.parametrize(("board", "place"), PLACES, ids=[place for _, place in PLACES])
@pytest.mark.parametrize("leave", [None, 0, 1])
def test_a_machine_gives_the_simulators_bytes(
    board: str, place: str, leave: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / f"measured-{board}"
    plan = plan_for(balanced(), board)
    project = built(plan, folder / "out")
    codes = inputs_of(plan.graph).x.view(np.int8)
    with running(project, place, folder) as line:
        found = measure(line, codes, name="small", leave=leave)
    same = agreement(plan, codes, found, leave=leave)
    assert (same.inputs, same.differing, same.differing_bytes, same.first) == (40, 0, 0, None)
    assert set(found.exits.tolist()) == ({0, 1} if leave is None else {leave})
    assert (found.device.counter, found.device.exits, found.retries) == ("SysTick", 2, 0)
    assert (found.cycles > 0).all()
    assert found.stack_bytes > 100


# A hello takes 11 B; the first input follows it: mark 11 to 12, type 13, length 14 to 17, exit 18, codes from 19.
@pytest.mark.parametrize(
    "fault",
    [
        {"dropped": {60}},
        {"flipped": {60}},
        {"added": {60}},
        {"dropped": {12}},
        {"flipped": {13}},
        {"flipped": {15}},
        {"dropped": {3}},
        {"flipped": {8}},
        {"flipped": {60, 600}},
    ],
    ids=str,
)
def test_a_line_that_errs_costs_a_retry_and_no_byte(fault: dict[str, set[int]], on_m4: Project, tmp_path: Path) -> None:
    codes = on_m4.codes(on_m4.inputs)[:6]
    with running(on_m4, "mps2-an386", tmp_path) as line:
        found = measure(Noisy(line, **fault), codes, name="small", timeout_s=1)
    assert agreement(on_m4.plan, codes, found, leave=None).differing == 0
    assert found.retries >= (0 if min(min(f) for f in fault.values()) < 11 else 1)


def test_another_network_is_refused(on_m4: Project, tmp_path: Path) -> None:
    codes = on_m4.codes(on_m4.inputs)[:1]
    with (
        running(on_m4, "mps2-an386", tmp_path) as line,
        pytest.raises(FirmwareError, match=r"network 'small' with inputs of 192 B answers; 'big' with 192 B was asked"),
    ):
        measure(line, codes, name="big")


def test_an_exit_that_is_none_is_refused(on_m4: Project, tmp_path: Path) -> None:
    codes = on_m4.codes(on_m4.inputs)[:1]
    with running(on_m4, "mps2-an386", tmp_path) as line, pytest.raises(DataError, match=r"no exit 2; .* 0 to 1"):
        measure(line, codes, name="small", leave=2)
    with pair() as (line, _), pytest.raises(DataError, match="no inputs to measure"):
        measure(line, codes[:0], name="small")


def test_nobody_there_is_told() -> None:
    with pair() as (line, _), pytest.raises(NoAnswerError, match="no answer within 2 s; nothing came"):
        greet(line, input_bytes=10)
    with pair() as (line, other):
        other.sendall(b"\nfault: exception 0x3\n")
        with pytest.raises(NoAnswerError, match=r"22 bytes came that are no frame: '\\nfault: exception 0x3\\n'"):
            receive(line, 0.1)


def answering(other: socket.socket, *frames: Frame) -> threading.Thread:
    def serve() -> None:
        for frame in frames:
            with suppress(OSError):  # the test is over
                other.recv(1 << 16)
                other.sendall(packed(frame))

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_a_stranger_is_told_from_a_friend() -> None:
    with pair() as (line, other):
        answering(other, Frame(Kind.HELLO, b"\x09" + bytes(12) + b"a\0b\0")).join(0.01)
        with pytest.raises(FirmwareError, match="speaks version 9, this program 1"):
            greet(line, input_bytes=1)


HELLO = Frame(Kind.HELLO, b"\x01\x03\0\0\0\x02\0\0\0\x01\0\0\0DWT\0net\0")


def test_a_device_that_refuses_every_frame_is_given_up() -> None:
    codes = np.zeros((1, 3), np.int8)
    with pair() as (line, other):
        refused = Frame(Kind.REFUSED, b"\x01")
        # After the first refusal zeros come before each request: answered once they were read together.
        answering(other, HELLO, *[refused] * 8).join(0.01)
        with pytest.raises(FirmwareError, match="asked 4 times in vain: the CRC was wrong"):
            measure(line, codes, name="net", timeout_s=1)
        other.close()


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (bytes(24), "an answer of 24 B, not 26"),
        (b"\x08" + bytes(25), "input 0: the network returned status 8"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(payload: bytes, said: str) -> None:
    with pair() as (line, other):
        answering(other, HELLO, Frame(Kind.ANSWER, payload)).join(0.01)
        with pytest.raises(FirmwareError, match=said):
            measure(line, np.zeros((1, 3), np.int8), name="net", timeout_s=1)


def test_a_frame_is_found_in_noise() -> None:
    frame = Frame(Kind.ANSWER, b"PMabc")
    damaged = bytearray(packed(frame))
    damaged[9] ^= 1
    with pair() as (line, other):
        other.sendall(b"PPMxPM" + b"\x01\xff\xff\xff\xff" + bytes(damaged) + packed(frame))
        assert receive(line, 1) == frame


def test_a_line_that_was_closed_is_told() -> None:
    with pair() as (line, other):
        other.close()
        with pytest.raises(ClosedError, match="here: the other end closed it"):
            line.read(1, 1)
        with pytest.raises(ClosedError, match="here: cannot be written: Broken pipe"):
            line.write(b"x")
    with pytest.raises(ClosedError, match="gone: cannot be read: Is a directory"):
        Descriptor(os.open("/", os.O_RDONLY), "gone").read(1, 1)


def test_a_serial_device_carries_every_byte_as_it_is() -> None:
    board, name = os.openpty()
    every = bytes(range(256))
    with ports.device(os.ttyname(name)) as line:
        line.write(every)
        assert os.read(board, 1000) == every
        os.write(board, every)
        assert line.read(1000, 1) == every
        assert line.read(1, 0.05) == b""
    os.close(board)
    os.close(name)


def test_what_is_no_serial_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FirmwareError, match="cannot be opened: No such file"), ports.device(str(tmp_path / "none")):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(FirmwareError, match="file: is no serial device"), ports.device(str(tmp_path / "file")):
        pass
    board, name = os.openpty()
    with pytest.raises(FirmwareError, match="12345 baud is no speed"), ports.device(os.ttyname(name), baud=12345):
        pass
    os.close(board)
    os.close(name)


def test_the_command_measures_an_archive_over_a_serial_device(on_m4: Project, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=on_m4.inputs.x[:5])
    board, name = os.openpty()
    stop = threading.Event()

    def bridge(line: Descriptor) -> None:
        console = Descriptor(board, "console")
        while not stop.is_set():
            line.write(console.read(4096, 0.01))
            os.write(board, line.read(4096, 0.01))

    with running(on_m4, "mps2-an386", tmp_path) as line:
        thread = threading.Thread(target=bridge, args=(line,))
        thread.start()
        saved = tmp_path / "saved.npz"
        words = ("--port", os.ttyname(name), "--inputs", str(tmp_path / "data.npz"), "--save", str(saved))
        done = cli("measure", str(on_m4.folder), *words)
        stop.set()
        thread.join()
    assert done.exit_code == 0, done
    assert "5 inputs: 0 differ from the simulator" in done.stdout
    with np.load(saved) as arrays:
        assert arrays["logits"].shape == (5, 4)
    os.close(board)
    os.close(name)


def test_the_command_measures_in_the_emulator(on_m4: Project) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    done = cli("measure", str(on_m4.folder), "--port", "qemu", "--count", "7", "--exit", "0", "--json")
    assert done.exit_code == 0, done
    facts = json.loads(done.stdout)
    assert (facts["inputs"], facts["differing_inputs"], facts["exits"]) == (7, 0, [0] * 7)
    assert facts["emulated"]


def test_an_answer_that_is_not_the_simulators_is_shown(on_m4: Project, tmp_path: Path) -> None:
    codes = on_m4.codes(on_m4.inputs)[:3]
    with running(on_m4, "mps2-an386", tmp_path) as line:
        found = measure(line, codes, name="small", leave=0)
    same = agreement(on_m4.plan, codes, found, leave=1)
    assert same.differing == 3
    assert same.first is not None
    assert same.first.startswith("input 0: exit 0 instead of 1")


def test_inputs_that_do_not_fit_are_refused(on_m4: Project, tmp_path: Path) -> None:
    graph = on_m4.plan.graph
    path = tmp_path / "x.npz"
    with pytest.raises(DataError, match="does not exist"):
        load_inputs(path, graph)
    path.write_bytes(b"no archive")
    with pytest.raises(DataError, match="is no archive of plain arrays"):
        load_inputs(path, graph)
    np.savez(path, y=np.zeros(3))
    with pytest.raises(DataError, match=r"lacks 'x', holds \['y'\]"):
        load_inputs(path, graph)
    np.savez(path, x=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match=r"x is uint8 \(2, 8, 8, 3\); int8 \(N, 8, 8, 3\) is expected"):
        load_inputs(path, graph)
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(DataError, match="is no archive of plain arrays"):
        load_inputs(tmp_path / "x.npy", graph)
