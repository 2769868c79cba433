import struct

import numpy as np
import pytest

from ptee_mcu.errors import ConfigError, DataError, FirmwareError
from ptee_mcu.firmware import execution, records
from ptee_mcu.firmware.count import CALL, OP, Counts
from ptee_mcu.firmware.records import InputForm, Options


def results(rows: list[tuple[int, int, int]], inputs: int) -> bytes:
    """A results file of two classes; a row is input, exit, ended."""
    head = struct.pack("<6I", 0x52455450, 64, 8, 2, 2, 0)
    body = b"".join(struct.pack("<6i4b", i, e, 1, 9, ended, ended, -3, 4, 0, 0) for i, e, ended in rows)
    return head + body + struct.pack("<4I", 0x45455450, inputs, 100, 0)


def op(index: int, number: int, data: bytes) -> bytes:
    return struct.pack("<3I", index, number, len(data)) + data


def test_exits_are_decoded_in_order() -> None:
    found = records.decode_results(results([(0, 0, 0), (0, 1, 1), (1, 0, 1)], 2), 2)
    assert (found.arena_bytes, found.input_bytes, found.classes, found.exits, found.stack_bytes) == (64, 8, 2, 2, 100)
    assert found.records.exit.tolist() == [0, 1, 0]
    assert found.records.logits.tolist() == [[-3, 4]] * 3


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_results_that_were_cut_off_are_refused(cut: int) -> None:
    with pytest.raises(FirmwareError, match=r"not whole|did not finish"):
        records.decode_results(results([(0, 1, 1)], 1)[:-cut], 1)


def test_an_input_without_an_answer_is_refused() -> None:
    found = records.decode_results(results([(0, 0, 0), (1, 0, 1)], 2), 2)
    with pytest.raises(FirmwareError, match="1 answers to 2 inputs"):
        execution.execution(0, 2, found, records.decode_trace(b""), None)


def test_op_outputs_are_gathered_per_op() -> None:
    trace = records.decode_trace(op(0, 3, b"ab") + op(0, 4, b"c") + op(1, 3, b"de"))
    assert trace.order.tolist() == [[0, 3], [0, 4], [1, 3]]
    assert trace.ops[3].outputs.tobytes() == b"abde"
    assert trace.ops[4].inputs.tolist() == [0]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"12345", "ends inside a record, at byte 0"),
        (op(0, 5, b"abcd")[:-1], "ends inside the output of op 5"),
        (op(0, 2, b"ab") + op(1, 2, b"a"), "op 2: its output has 1 to 2 B"),
    ],
)
def test_a_trace_that_is_not_whole_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(FirmwareError, match=said):
        records.decode_trace(raw)


def test_counts_are_given_to_inputs_segments_and_ops() -> None:
    found = records.decode_results(results([(0, 0, 0), (0, 1, 1), (1, 0, 1)], 2), 2)
    trace = records.decode_trace(op(0, 7, b"") + op(0, 8, b"") + op(1, 7, b""))
    kinds = [CALL, OP, CALL, OP, CALL, CALL, OP, CALL]
    counts = Counts(np.array(kinds, np.uint64), np.array([5, 10, 1, 20, 2, 6, 30, 3], np.uint64), {"f": 77})
    split = execution.instructions(counts, found, trace, 2, Options(input=InputForm.PIXELS))
    assert split.input_u8.tolist() == [5, 6]
    assert split.segments.tolist() == [[11, 22], [33, 0]]
    assert {number: cost.tolist() for number, cost in split.ops.items()} == {7: [10, 30], 8: [20]}
    with pytest.raises(FirmwareError, match="5 calls were counted; 3 exits of 2 inputs"):
        execution.instructions(counts, found, trace, 2, Options())
    with pytest.raises(FirmwareError, match="3 ops were counted, 1 were traced"):
        execution.instructions(counts, found, records.decode_trace(op(0, 7, b"")), 2, Options(input=InputForm.PIXELS))


def test_collecting_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="no inputs were run"):
        execution.collect(iter(()))


def words(raw: bytes) -> list[int]:
    return [word for (word,) in struct.iter_unpack("<i", raw)]


def test_points_follow_the_thresholds_one_for_all_or_one_per_input() -> None:
    assert words(Options({1: -5}).encode(3))[1:] == [3, 0, 0, 0, 1, 0, 1, -5]
    assert words(Options(points=(2,)).encode(3))[1:] == [3, 0, 0, 0, 0, 1, 2]
    assert words(Options(points=(2, 0)).encode(3))[6:] == [3, 2, 0, 2]


def test_the_cycle_of_points_goes_on_in_the_next_chunk() -> None:
    options = Options(points=(0, 1, 2))
    assert words(options.encode(4, first=5))[7:] == [2, 0, 1, 2]
    assert words(options.encode(1, first=5))[6:] == [1, 2]


def test_thresholds_beside_points_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"operating points \[1\] and thresholds of exits \[0\] exclude each other"):
        Options({0: 3}, points=(1,))
