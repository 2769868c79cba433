"""Inputs through a network in C, on the host or in QEMU: in chunks, on several cores, in order."""

import os
import re
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ptee_mcu.errors import DataError, FirmwareError
from ptee_mcu.firmware import count, execution, qemu, records
from ptee_mcu.firmware.count import Counter
from ptee_mcu.firmware.execution import Execution
from ptee_mcu.firmware.harness import Firmware, HostProgram
from ptee_mcu.firmware.intervals import Intervals, intervals
from ptee_mcu.firmware.records import InputForm, Options
from ptee_mcu.firmware.trace import Tracer
from ptee_mcu.firmware.trace_file import Trace
from ptee_mcu.tensor import Int8, UInt8

Progress = Callable[[int], None]  # called with the number of inputs that were just finished

_FILES = ("options", "inputs", "results", "trace")
_CHUNK = 32  # inputs per process: traces of some MB, seconds of emulation

# arm_nn_divide_by_power_of_two with exponent 31: see build.py.
_KNOWN_REPORT = re.compile(
    r"arm_nnsupportfunctions\.h:\d+:\d+: runtime error: "
    r"(left shift of 1 by 31 places cannot be represented|signed integer overflow: -2147483648 - 1 cannot)"
)


def run_host(
    program: HostProgram,
    inputs: Int8 | UInt8,
    options: Options | None = None,
    *,
    timeout_s: float = 600,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Generator[Execution, None, None]:
    """Runs `program` over `inputs` (n, ...): int8 are codes, uint8 are pixels.

    Args:
        program: made by `build_host`.
        inputs: first axis: input; the rest is flattened.
        options: thresholds or operating points, calls and trace; what the inputs are follows from their type.
        timeout_s: limit for one chunk of at most 32 inputs.
        workers: processes at a time; as many as there are cores where None.
        progress: told how many inputs a chunk has finished.

    Raises:
        FirmwareError: where the program fails, a sanitizer reports, or guard bytes change.
        DataError: where `inputs` are neither int8 nor uint8.
    """

    def once(folder: Path) -> None:
        _run_host_once(program, folder, timeout_s)

    yield from _in_chunks(once, None, inputs, options or Options(), workers, progress)


def run_qemu(
    firmware: Firmware,
    inputs: Int8 | UInt8,
    options: Options | None = None,
    *,
    counted: bool = False,
    timeout_s: float = 600,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Generator[Execution, None, None]:
    """As `run_host`, in QEMU; `counted`: with exact instruction counts.

    Raises:
        ToolMissingError: where QEMU is not installed.
        FirmwareError: where the firmware fails or faults, guard bytes change, or the plugin does not fit this QEMU.
        DataError: as `run_host`.
    """
    counter = count.counter(firmware.path) if counted else None

    def once(folder: Path) -> None:
        _run_qemu_once(firmware, folder, timeout_s, counter)

    yield from _in_chunks(once, counter, inputs, options or Options(), workers, progress)


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """What a network did, and what that took; row i of `intervals` tells of interval i of `trace`."""

    execution: Execution
    intervals: Intervals
    trace: Trace


def trace_qemu(
    firmware: Firmware, inputs: Int8 | UInt8, tracer: Tracer, options: Options | None = None, *, timeout_s: float = 600
) -> Traced:
    """As `run_qemu`, all inputs in one run, traced by `trace.harness_tracer` of the same firmware.

    Raises:
        ToolMissingError, FirmwareError, DataError: as `run_qemu`.
    """
    chosen = _with_form(options or Options(), inputs)
    with tempfile.TemporaryDirectory(prefix="ptee-") as scratch:
        folder = Path(scratch)
        results, recorded = _ran(lambda at: _run_qemu_once(firmware, at, timeout_s, tracer), folder, 0, inputs, chosen)
        found = tracer.read(folder)
    placed = intervals(found.kinds, results, recorded, len(inputs), chosen)
    return Traced(execution.execution(0, len(inputs), results, recorded, None), placed, found)


def _run_qemu_once(firmware: Firmware, folder: Path, timeout_s: float, counter: Counter | Tracer | None) -> None:
    plugin = counter.plugin(folder) if counter else None
    done = qemu.run(firmware.path, firmware.machine, words=_FILES, timeout_s=timeout_s, cwd=folder, plugin=plugin)
    if done.exit_code != 0:
        raise FirmwareError(
            f"{firmware.path.name} on {firmware.machine.name} failed with code {done.exit_code}:\n{done.stdout.strip()}"
        )


def _run_host_once(program: HostProgram, folder: Path, timeout_s: float) -> None:
    name = program.path.name
    # The networks allocate nothing, and leak detection does not work in every container.
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=0"}
    command = [str(program.path.resolve()), *_FILES]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout_s, cwd=folder, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise FirmwareError(f"{name} on the host did not end within {timeout_s:g} s") from error
    reports = [line for line in done.stderr.splitlines() if "runtime error:" in line]
    unknown = [line for line in reports if not _KNOWN_REPORT.search(line)]
    if done.returncode != 0 or unknown:
        said = "\n".join(unknown or done.stderr.strip().splitlines()[:40])
        raise FirmwareError(f"{name} on the host failed with code {done.returncode}:\n{said}")


def _in_chunks(
    once: Callable[[Path], None],
    counter: Counter | None,
    inputs: Int8 | UInt8,
    options: Options,
    workers: int | None,
    progress: Progress | None,
) -> Generator[Execution, None, None]:
    chosen = _with_form(options, inputs)
    count_of_workers = workers or os.cpu_count() or 1
    size = max(1, min(_CHUNK, -(-len(inputs) // count_of_workers)))
    starts = deque(range(0, len(inputs), size))
    running: deque[Future[Execution]] = deque()
    pool = ThreadPoolExecutor(count_of_workers)
    try:
        while starts or running:
            # One more than there are workers keeps them busy and bounds what is held.
            while starts and len(running) <= count_of_workers:
                first = starts.popleft()
                running.append(pool.submit(_one_chunk, once, counter, first, inputs[first : first + size], chosen))
            done = running.popleft().result()
            if progress is not None:
                progress(done.inputs)
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def _with_form(options: Options, inputs: Int8 | UInt8) -> Options:
    forms = {np.dtype(np.int8): InputForm.CODES, np.dtype(np.uint8): InputForm.PIXELS}
    if inputs.dtype not in forms:
        raise DataError(f"inputs are {inputs.dtype}", hint="int8 codes or uint8 pixels")
    return replace(options, input=forms[inputs.dtype])


def _one_chunk(
    once: Callable[[Path], None], counter: Counter | None, first: int, inputs: Int8 | UInt8, options: Options
) -> Execution:
    with tempfile.TemporaryDirectory(prefix="ptee-") as scratch:
        folder = Path(scratch)
        results, recorded = _ran(once, folder, first, inputs, options)
        counted = None
        if counter is not None:
            counted = execution.instructions(counter.read(folder), results, recorded, len(inputs), options)
    return execution.execution(first, len(inputs), results, recorded, counted)


def _ran(
    once: Callable[[Path], None], folder: Path, first: int, inputs: Int8 | UInt8, options: Options
) -> tuple[records.Results, records.Trace]:
    (folder / "options").write_bytes(options.encode(len(inputs), first))
    (folder / "inputs").write_bytes(np.ascontiguousarray(inputs).tobytes())
    once(folder)
    results = records.decode_results((folder / "results").read_bytes(), len(inputs))
    if results.input_bytes * len(inputs) != inputs.size:
        raise DataError(f"an input holds {inputs.size // len(inputs)} B, the network takes {results.input_bytes} B")
    return results, records.decode_trace((folder / "trace").read_bytes())
