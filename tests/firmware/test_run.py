import shutil
from pathlib import Path

import numpy as np
import pytest
from support.tools import require

from ptee_mcu.errors import DataError, FirmwareError
from ptee_mcu.firmware import execution, harness, run
from ptee_mcu.firmware.execution import Execution
from ptee_mcu.firmware.harness import Firmware, HostProgram
from ptee_mcu.firmware.machines import MACHINES, machine
from ptee_mcu.firmware.records import Calls, Options, TraceForm
from ptee_mcu.tensor import Int8

NEVER = {0: 128}
OUTPUTS = TraceForm.OUTPUTS
CODES: Int8 = np.random.default_rng(7).integers(-128, 128, (50, 8)).astype(np.int8)
SIZES = {0: 8, 1: 3, 2: 1, 3: 8, 4: 3}  # of tiny.c's ops


@pytest.fixture(scope="session")
def host(project: Path, tmp_path_factory: pytest.TempPathFactory) -> HostProgram:
    require("gcc")
    return harness.build_host(project, "tiny", tmp_path_factory.mktemp("host") / "tiny")


@pytest.fixture(scope="session")
def traced(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    out = tmp_path_factory.mktemp("traced") / "tiny.elf"
    return harness.build_firmware(project, "tiny", out, machine=machine("mps2-an386"))


@pytest.fixture(scope="session")
def plain(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    out = tmp_path_factory.mktemp("plain") / "tiny.elf"
    return harness.build_firmware(project, "tiny", out, machine=machine("mps2-an386"), traced=False)


def changed(project: Path, folder: Path, before: str, after: str) -> Path:
    """A copy of `project` whose network differs."""
    copy = folder / "changed"
    shutil.copytree(project, copy)
    text = (copy / "tiny.c").read_text()
    assert before in text
    (copy / "tiny.c").write_text(text.replace(before, after))
    return copy


def layer(inputs: Int8, offset: int, features: int, shift: int) -> Int8:
    """A layer of tiny.c, from the definition of the requantization; Python integers do not overflow."""
    text = (Path(__file__).parent / "tiny" / "tiny.c").read_text()
    table = text.split("weights[64] = {")[1].split("}")[0]
    weights = np.array([int(word) for word in table.split(",") if word.strip()]).reshape(8, 8)[:features]
    bias = np.array([120, -340, 77, 0, 900, -15, 333, -1000])[:features]
    sums = (inputs.astype(np.int64) + offset) @ weights.T + bias
    high = (sums * 1518500250 + (1 << 30)) >> 31
    rounding = (1 << (-shift - 1)) - (high < 0)
    codes: Int8 = np.clip(((high + rounding) >> -shift) - 5, -128, 127).astype(np.int8)
    return codes


def assert_same(a: Execution, b: Execution) -> None:
    for name in ("exits", "labels", "confidence", "logits"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.trace.order, b.trace.order)
    for op in a.trace.ops:
        np.testing.assert_array_equal(a.trace.ops[op].inputs, b.trace.ops[op].inputs)
        np.testing.assert_array_equal(a.trace.ops[op].outputs, b.trace.ops[op].outputs)


def test_the_host_computes_what_the_formula_says(host: HostProgram) -> None:
    done = execution.collect(run.run_host(host, CODES, Options(NEVER, trace=OUTPUTS)))
    features = layer(CODES, 3, 8, -8)
    deeper = layer(features, 5, 8, -8)
    expected = {
        0: features,
        1: layer(features, 5, 3, -8),
        2: layer(features, 5, 1, -7),
        3: deeper,
        4: layer(deeper, 3, 3, -8),
    }
    for op, outputs in expected.items():
        np.testing.assert_array_equal(done.trace.ops[op].outputs, outputs)
    np.testing.assert_array_equal(done.logits, expected[4])
    np.testing.assert_array_equal(done.labels, np.argmax(expected[4], axis=1))
    np.testing.assert_array_equal(done.records.confidence[::2], expected[2][:, 0])
    np.testing.assert_array_equal(done.records.logits[::2], expected[1])


@pytest.mark.parametrize("threshold", [-128, 0, 128])
def test_host_and_machine_agree_on_every_op_and_exit(host: HostProgram, traced: Firmware, threshold: int) -> None:
    options = Options({0: threshold}, trace=OUTPUTS)
    on_host = execution.collect(run.run_host(host, CODES, options))
    in_qemu = execution.collect(run.run_qemu(traced, CODES, options))
    assert_same(on_host, in_qemu)
    assert {op: trace.outputs.shape[1] for op, trace in in_qemu.trace.ops.items()} == (
        SIZES if threshold > -128 else {op: SIZES[op] for op in (0, 1, 2)}
    )
    if threshold == 0:
        assert set(on_host.exits.tolist()) == {0, 1}
        np.testing.assert_array_equal(on_host.trace.ops[4].inputs, np.flatnonzero(on_host.exits == 1))


def test_every_machine_agrees_with_the_host(host: HostProgram, project: Path, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    options = Options(NEVER, trace=OUTPUTS)
    on_host = execution.collect(run.run_host(host, CODES, options))
    for name, on in MACHINES.items():
        firmware = harness.build_firmware(project, "tiny", tmp_path / f"{name}.elf", machine=on)
        assert_same(on_host, execution.collect(run.run_qemu(firmware, CODES, options)))


def test_pixels_and_codes_give_the_same(host: HostProgram) -> None:
    pixels = (CODES.astype(np.int16) + 128).astype(np.uint8)
    assert_same(execution.collect(run.run_host(host, pixels)), execution.collect(run.run_host(host, CODES)))


def test_points_are_selected_before_the_inputs_they_are_for(host: HostProgram, plain: Firmware) -> None:
    cycle = Options(points=(0, 1, 1))
    default = execution.collect(run.run_host(host, CODES, Options({0: 0})))
    for done in (run.run_host(host, CODES, cycle), run.run_qemu(plain, CODES, cycle)):
        found = execution.collect(done)
        np.testing.assert_array_equal(found.exits, np.where(np.arange(50) % 3 == 0, default.exits, 1))


def test_a_point_that_the_network_lacks_ends_the_run(host: HostProgram) -> None:
    with pytest.raises(FirmwareError, match="there is no such operating point"):
        execution.collect(run.run_host(host, CODES, Options(points=(2,))))


def test_a_network_that_ignores_the_point_ends_the_run(project: Path, tmp_path: Path) -> None:
    require("gcc")
    deaf = changed(project, tmp_path, "ctx->point = (int32_t)point;", "")
    program = harness.build_host(deaf, "tiny", tmp_path / "deaf")
    with pytest.raises(FirmwareError, match="the operating point was not taken"):
        execution.collect(run.run_host(program, CODES, Options(points=(1,))))


def test_one_run_call_ends_where_the_steps_end(plain: Firmware) -> None:
    stepped = execution.collect(run.run_qemu(plain, CODES))
    at_once = execution.collect(run.run_qemu(plain, CODES, Options(calls=Calls.RUN)))
    assert_same(stepped, at_once)
    assert len(at_once.records.exit) == len(CODES)


def test_counts_are_those_of_the_network_alone(plain: Firmware, traced: Firmware) -> None:
    options = Options(NEVER, trace=TraceForm.HEADS)
    bare = execution.collect(run.run_qemu(plain, CODES, options, counted=True)).instructions
    again = execution.collect(run.run_qemu(plain, CODES, options, counted=True, workers=1)).instructions
    with_ops = execution.collect(run.run_qemu(traced, CODES, options, counted=True)).instructions
    assert bare is not None
    assert again is not None
    assert with_ops is not None
    np.testing.assert_array_equal(bare.segments, again.segments)
    assert bare.functions == again.functions
    assert bare.segments.sum() == sum(bare.functions.values())
    assert not {"ptee_harness", "ptee_record_op", "semihost_write"} & set(bare.functions)
    assert not bare.ops
    # Recording costs each op no more than loading three arguments and the call.
    added = with_ops.segments - bare.segments
    assert added.min() >= 0
    assert (added <= np.array([3, 2]) * 8).all()
    per_segment = with_ops.ops[0] + with_ops.ops[1] + with_ops.ops[2]
    assert (per_segment < with_ops.segments[:, 0]).all()


def test_the_stack_of_a_call_is_measured(plain: Firmware, host: HostProgram) -> None:
    assert 100 < execution.collect(run.run_qemu(plain, CODES[:1])).stack_bytes < 1000
    assert execution.collect(run.run_host(host, CODES[:1])).stack_bytes == 0


def test_chunks_come_in_order_and_report_progress(host: HostProgram) -> None:
    finished: list[int] = []
    parts = list(
        run.run_host(host, np.tile(CODES, (3, 1)), Options(trace=OUTPUTS), workers=3, progress=finished.append)
    )
    assert [part.first for part in parts] == [0, 32, 64, 96, 128]
    assert sum(finished) == 150
    whole = execution.collect(iter(parts))
    once = execution.collect(run.run_host(host, CODES, Options(trace=OUTPUTS), workers=1))
    np.testing.assert_array_equal(whole.logits, np.tile(once.logits, (3, 1)))
    np.testing.assert_array_equal(whole.trace.ops[4].inputs[: len(once.trace.ops[4].inputs)], once.trace.ops[4].inputs)


def test_a_run_that_is_given_up_ends(host: HostProgram) -> None:
    chunks = run.run_host(host, np.tile(CODES, (4, 1)))
    assert next(chunks).first == 0
    chunks.close()


@pytest.mark.parametrize("sanitize", [True, False])
def test_a_write_behind_the_arena_fails_on_the_host(project: Path, tmp_path: Path, sanitize: bool) -> None:  # noqa: FBT001
    require("gcc")
    broken = changed(project, tmp_path, "TINY_OVERRUN 0", "TINY_OVERRUN 4")
    program = harness.build_host(broken, "tiny", tmp_path / "tiny", sanitize=sanitize)
    said = "use-after-poison" if sanitize else "bytes after the arena were overwritten, input 0"
    with pytest.raises(FirmwareError, match=said):
        execution.collect(run.run_host(program, CODES, Options(NEVER)))


def test_a_write_behind_the_arena_fails_on_the_machine(project: Path, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "qemu-system-arm")
    broken = changed(project, tmp_path, "TINY_OVERRUN 0", "TINY_OVERRUN 4")
    firmware = harness.build_firmware(broken, "tiny", tmp_path / "tiny.elf", machine=machine("mps2-an386"))
    with pytest.raises(
        FirmwareError, match=r"(?s)failed with code 1:.*bytes after the arena were overwritten, input 0"
    ):
        execution.collect(run.run_qemu(firmware, CODES, Options(NEVER)))


def test_an_accumulator_that_overflows_in_cmsis_nn_is_found(project: Path, tmp_path: Path) -> None:
    require("gcc")
    broken = changed(project, tmp_path, "bias_of_input[8] = {252,", "bias_of_input[8] = {2147483647,")
    program = harness.build_host(broken, "tiny", tmp_path / "tiny")
    with pytest.raises(FirmwareError, match="signed integer overflow"):
        execution.collect(run.run_host(program, CODES))


def test_the_largest_right_shift_of_cmsis_nn_is_let_pass(project: Path, tmp_path: Path) -> None:
    require("gcc")
    flat = changed(project, tmp_path, "connect(ctx, -7, FEATURES, CONFIDENCE", "connect(ctx, -31, FEATURES, CONFIDENCE")
    program = harness.build_host(flat, "tiny", tmp_path / "tiny")
    done = execution.collect(run.run_host(program, CODES, Options(trace=OUTPUTS)))
    assert (done.trace.ops[2].outputs == -5).all()


def test_a_status_that_is_an_error_is_reported_in_words(host: HostProgram) -> None:
    with pytest.raises(FirmwareError, match="harness: there is no such exit, or it has no threshold, input 0"):
        execution.collect(run.run_host(host, CODES, Options({1: 0})))


def test_inputs_of_another_size_or_type_are_refused(host: HostProgram) -> None:
    with pytest.raises(DataError, match="an input holds 9 B, the network takes 8 B"):
        execution.collect(run.run_host(host, np.zeros((4, 9), np.int8)))
    with pytest.raises(DataError, match="inputs are float32"):
        execution.collect(run.run_host(host, np.zeros((4, 8), np.float32)))  # type: ignore[arg-type]


def test_too_small_inputs_are_refused(host: HostProgram) -> None:
    with pytest.raises(FirmwareError, match="a file ended too early"):
        execution.collect(run.run_host(host, CODES[:, :7]))


def test_pixels_for_a_network_without_a_table_are_refused(project: Path, tmp_path: Path) -> None:
    require("gcc")
    copy = tmp_path / "codes_only"
    shutil.copytree(project, copy)
    header = (copy / "tiny.h").read_text()
    (copy / "tiny.h").write_text(header.replace("ptee_status tiny_input_u8(tiny_t *ctx, const uint8_t *pixels);", ""))
    source = (copy / "tiny.c").read_text()
    (copy / "tiny.c").write_text(
        source.replace("ptee_status tiny_input_u8", "static inline ptee_status unused_input_u8")
    )
    program = harness.build_host(copy, "tiny", tmp_path / "tiny")
    with pytest.raises(FirmwareError, match="no preprocessing table for pixels"):
        execution.collect(run.run_host(program, CODES.view(np.uint8)))


def test_a_program_that_hangs_is_stopped(project: Path, tmp_path: Path) -> None:
    require("gcc")
    endless = changed(project, tmp_path, "out->exit = (uint16_t)ctx->next;", "while (ctx != NULL) { out->exit++; }")
    program = harness.build_host(endless, "tiny", tmp_path / "tiny", sanitize=False)
    with pytest.raises(FirmwareError, match="on the host did not end within 1 s"):
        execution.collect(run.run_host(program, CODES[:2], timeout_s=1))
