"""Mutated model files, and a worker that reads them under limits of time and memory."""

import faulthandler
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

import numpy as np
from support.fuzzing_onnx import structure_changed

SECONDS = 10
MEMORY = 2**30  # bytes beyond what the worker has when it starts
_WORDS = (0, 1, -1, 2**31 - 1, -(2**31), 2**30, 2**16, -4, 4, 127, 2**24)
_SYSTEM = ("/proc/self/", "/dev/", "/etc/", "/sys/", "/usr/", "/lib/")  # what Python and its packages read themselves


@dataclass(frozen=True, slots=True)
class Finding:
    """A file on which reading did what it must not."""

    number: int
    seed: str
    mutation: str
    fault: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many files were read as networks, how many refused, and the findings."""

    read: int
    refused: int
    findings: tuple[Finding, ...]


Mutation = Callable[[bytes, np.random.Generator], bytes]


def truncated(data: bytes, random: np.random.Generator) -> bytes:
    """A beginning of the file."""
    return data[: int(random.integers(0, len(data)))]


def bits_flipped(data: bytes, random: np.random.Generator) -> bytes:
    """One to sixty-four bits anywhere."""
    array = np.frombuffer(data, np.uint8).copy()
    for place in random.integers(0, len(array), random.integers(1, 65)):
        array[place] ^= np.uint8(1 << random.integers(0, 8))
    return array.tobytes()


def words_replaced(data: bytes, random: np.random.Generator) -> bytes:
    """One to eight aligned 32-bit words by zero, one, minus one, the limits of int32, ...: offsets, sizes, shapes."""
    array = np.frombuffer(data[: len(data) // 4 * 4], np.int32).copy()
    for place in random.integers(0, len(array), random.integers(1, 9)):
        array[place] = random.choice(_WORDS)
    return array.tobytes() + data[len(data) // 4 * 4 :]


def words_swapped(data: bytes, random: np.random.Generator) -> bytes:
    """Words copied to other places: offsets that point elsewhere, also back to where they come from."""
    array = np.frombuffer(data[: len(data) // 4 * 4], np.int32).copy()
    for _ in range(random.integers(1, 9)):
        here, there = random.integers(0, len(array), 2)
        array[here] = array[there]
    return array.tobytes() + data[len(data) // 4 * 4 :]


def block_removed(data: bytes, random: np.random.Generator) -> bytes:
    """Without some bytes in the middle."""
    first, last = sorted(random.integers(0, len(data), 2).tolist())
    return data[:first] + data[min(last, first + 64) :]


def near_the_start(data: bytes, random: np.random.Generator) -> bytes:
    """Words replaced in the first and the last kilobyte, where the tables of a file lie."""
    edge = 1024
    if len(data) <= 2 * edge:
        return words_replaced(data, random)
    if random.integers(0, 2):
        return words_replaced(data[:edge], random) + data[edge:]
    tail = len(data) - edge - len(data) % 4
    return data[:tail] + words_replaced(data[tail:], random)


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "bits flipped": bits_flipped,
    "words replaced": words_replaced,
    "words swapped": words_swapped,
    "block removed": block_removed,
    "words at the edges": near_the_start,
}
BY_KIND: dict[str, dict[str, Mutation]] = {".onnx": MUTATIONS | {"structure changed": structure_changed}}


@dataclass(frozen=True, slots=True)
class Sample:
    """A mutated file."""

    seed: str
    mutation: str
    data: bytes


def samples(seeds: Sequence[Path], count: int, *, seed: int = 0) -> Iterator[Sample]:
    """`count` files: every seed by every mutation in turn, each with randomness of its own."""
    contents = {path: path.read_bytes() for path in seeds}
    for i in range(count):
        path = seeds[i % len(seeds)]
        mutations = BY_KIND.get(path.suffix, MUTATIONS)
        name = tuple(mutations)[i // len(seeds) % len(mutations)]
        yield Sample(path.name, name, mutations[name](contents[path], np.random.default_rng([seed, i])))


def read_all(
    files: Iterator[Sample], folder: Path, warm: Sequence[Path], *, told: Callable[[int], None] | None = None
) -> Tally:
    """Reads every file as a model in one forked worker after another: a new one only where one died.

    Every worker first reads the sound files `warm`, whose packages then count as what it has when it starts.

    A finding is: another exception than PteeError, a crash, more than SECONDS, more than MEMORY, or a file opened
    outside `folder` and the system's own.
    """
    read = refused = 0
    findings: list[Finding] = []
    worker: _Worker | None = None
    for i, sample in enumerate(files):
        path = folder / f"model{Path(sample.seed).suffix}"
        path.write_bytes(sample.data)
        worker = worker or _Worker(folder, warm)
        verdict = worker.verdict(path)
        if verdict == "read":
            read += 1
        elif verdict == "refused":
            refused += 1
        else:
            findings.append(Finding(i, sample.seed, sample.mutation, verdict))
            (folder / f"finding{i}{path.suffix}").write_bytes(sample.data)
            if not worker.alive:
                worker = None
        if told is not None:
            told(i + 1)
    if worker is not None:
        worker.end()
    return Tally(read, refused, tuple(findings))


class _Worker:
    """A forked process that is told paths and says what reading them did."""

    def __init__(self, folder: Path, warm: Sequence[Path]) -> None:
        asked, self._ask = os.pipe()
        self._answers, answered = os.pipe()
        self.alive = True
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._ask)
            os.close(self._answers)
            _serve(os.fdopen(asked), os.fdopen(answered, "w"), folder, warm)
        os.close(asked)
        os.close(answered)
        self._lines = os.fdopen(self._answers)

    def verdict(self, path: Path) -> str:
        os.write(self._ask, f"{path}\n".encode())
        line = self._lines.readline().strip()
        if line:
            return line
        _, status = os.waitpid(self._pid, 0)
        self.alive = False
        self._close()
        return f"the process ended: status {status}"

    def end(self) -> None:
        self._close()
        os.waitpid(self._pid, 0)

    def _close(self) -> None:
        os.close(self._ask)
        self._lines.close()


class _TooLongError(BaseException):
    """No handler of Exception swallows it."""


def _serve(asked: TextIO, answered: TextIO, folder: Path, warm: Sequence[Path]) -> None:
    """The worker's life; never returns."""
    faulthandler.disable()  # a crash is counted, its stack is not wanted
    try:
        _answer_all(asked, answered, folder, warm)
    finally:
        os._exit(0)


def _answer_all(asked: TextIO, answered: TextIO, folder: Path, warm: Sequence[Path]) -> None:
    from ptee_mcu.errors import PteeError  # noqa: PLC0415
    from ptee_mcu.frontends.load import load_model  # noqa: PLC0415

    for path in warm:  # what is imported only now is no file's fault
        with suppress(PteeError):
            load_model(path)
    opened: list[str] = []
    allowed = (str(folder.resolve()), sys.prefix, sys.base_prefix, *sys.path, *_SYSTEM)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | bytes):
            name = os.path.realpath(os.fsdecode(arguments[0]))
            if not name.startswith(tuple(os.path.realpath(place) for place in allowed if place)):
                opened.append(name)

    def too_long(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        raise _TooLongError

    sys.addaudithook(hook)
    signal.signal(signal.SIGALRM, too_long)
    limit = _address_space() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in asked:
        opened.clear()
        signal.alarm(SECONDS)
        try:
            load_model(Path(line.strip()))
            said = "read"
        except PteeError as error:
            said = "refused" if str(error) else "an error without a message"
        except _TooLongError:
            said = f"took more than {SECONDS} s"
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        signal.alarm(0)
        answered.write((f"opened {opened[0]}" if opened else said) + "\n")
        answered.flush()


def _address_space() -> int:
    """Bytes that this process has mapped."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - not a path of files
        return int(file.read().split()[0]) * resource.getpagesize()
