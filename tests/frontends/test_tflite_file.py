import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")

from support.tflite_files import Op, T, code, whole, write

from ptee_mcu.errors import ModelError, PteeError, UnsupportedOpError
from ptee_mcu.frontends.tflite import file as reader
from ptee_mcu.frontends.tflite.file import read_tflite
from ptee_mcu.frontends.tflite.load import load_tflite
from ptee_mcu.frontends.tflite.model import Dtype
from ptee_mcu.frontends.tflite.options import (
    ConvOptions,
    Fused,
    PaddingScheme,
    ReshapeOptions,
    SoftmaxOptions,
)
from ptee_mcu.tensor import HW

WEIGHTS = np.arange(-54, 54, dtype=np.int8).reshape(4, 3, 3, 3)
BIAS = np.array([1, -2, 3, -4], dtype=np.int32)
CONV = {"Padding": 0, "StrideH": 2, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1}
TENSORS = (
    T((1, 6, 5, 3), signature=(-1, 6, 5, 3), name="pixels", **code(0.5, -3)),
    T((4, 3, 3, 3), scales=(0.1, 0.2, 0.3, 0.4), zeros=(0, 0, 0, 0), data=WEIGHTS, name="weights"),
    T((4,), "INT32", scales=(0.05, 0.1, 0.15, 0.2), zeros=(0, 0, 0, 0), axis=0, data=BIAS, name="bias"),
    T((1, 3, 5, 4), name="map", **code(0.7, 2)),
    T((1, 60), name="flat", **code(0.7, 2)),
    T((1, 60), name="chances", **code(1 / 256, -128)),
)
OPERATORS = (
    Op("CONV_2D", (0, 1, 2), (3,), CONV | {"FusedActivationFunction": 3}),
    Op("RESHAPE", (3,), (4,), {"NewShape": (-1, 60)}),
    Op("SOFTMAX", (4,), (5,), {"Beta": 1.0}),
)


def _changed(index: int, **changes: object) -> tuple[T, ...]:
    return (*TENSORS[:index], replace(TENSORS[index], **changes), *TENSORS[index + 1 :])


def _operators(index: int, **changes: object) -> tuple[Op, ...]:
    return (*OPERATORS[:index], replace(OPERATORS[index], **changes), *OPERATORS[index + 1 :])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.tflite"


def test_a_file_is_read_as_plain_values(path: Path) -> None:
    model = read_tflite(write(path, TENSORS, OPERATORS))
    pixels, weights, bias, *_ = model.tensors
    assert (model.inputs, model.outputs, len(model.tensors)) == ((0,), (5,), 6)
    assert (pixels.name, pixels.shape, pixels.dtype, pixels.data) == ("pixels", (1, 6, 5, 3), Dtype.INT8, None)
    assert pixels.open_batch
    assert not weights.open_batch
    assert pixels.code is not None
    assert (pixels.code.scales.tolist(), pixels.code.zero_points.tolist()) == ([0.5], [-3])
    assert weights.code is not None
    assert weights.code.per_channel
    np.testing.assert_array_equal(weights.data, WEIGHTS)
    np.testing.assert_array_equal(bias.data, BIAS)
    assert [(op.kind, op.inputs, op.outputs) for op in model.operators] == [
        ("CONV_2D", (0, 1, 2), (3,)),
        ("RESHAPE", (3,), (4,)),
        ("SOFTMAX", (4,), (5,)),
    ]
    assert [op.options for op in model.operators] == [
        ConvOptions(PaddingScheme.SAME, HW(2, 1), HW(1, 1), Fused.RELU6),
        ReshapeOptions((-1, 60)),
        SoftmaxOptions(1.0),
    ]


def test_constants_cannot_be_written(path: Path) -> None:
    model = read_tflite(write(path, TENSORS, OPERATORS))
    assert all(t.data is None or not t.data.flags.writeable for t in model.tensors)


def test_data_behind_the_tables_is_read_where_it_lies_in_the_file(path: Path) -> None:
    tensors = (T((1, 4), **code(0.5, 0)), whole([0, 0]), T((1, 4), **code(0.5, 0)))
    write(path, tensors, [Op("RESHAPE", (0, 1), (2,))], outside=(10_000, 8))
    base = path.stat().st_size
    write(path, tensors, [Op("RESHAPE", (0, 1), (2,))], outside=(base, 8), tail=struct.pack("<ii", 1, 4))
    data = read_tflite(path).tensors[1].data
    assert data is not None
    assert data.tolist() == [1, 4]


def test_an_optional_input_may_be_left_out(path: Path) -> None:
    model = read_tflite(write(path, TENSORS, _operators(0, inputs=(0, 1, -1))))
    assert model.optional(model.operators[0], 2) is None
    with pytest.raises(ModelError, match=r"operator 0 \(CONV_2D\), which makes map, has no input 2"):
        model.input(model.operators[0], 2)


def test_a_computed_tensor_is_refused_where_a_constant_belongs(path: Path) -> None:
    model = read_tflite(write(path, TENSORS, OPERATORS))
    with pytest.raises(UnsupportedOpError, match=r"its input 0 \(pixels\) is computed\n  hint: make it a constant"):
        model.constant(model.operators[0], 0)


def test_one_output_is_one_output(path: Path) -> None:
    tensors = (T((1, 4, 4, 4), **code(1, 0)), whole(3), *[T((1, 4, 4, 2), **code(1, 0))] * 2)
    model = read_tflite(write(path, tensors, [Op("SPLIT", (1, 0), (2, 3), {"NumSplits": 2})], outputs=(2,)))
    with pytest.raises(ModelError, match=r"operator 0 \(SPLIT\).* makes 2 tensors, not one"):
        model.output(model.operators[0])


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "version": (lambda p: write(p, TENSORS, OPERATORS, version=2), "schema version 2; only version 3 is known"),
    "no subgraph": (lambda p: write(p, TENSORS, OPERATORS, subgraphs=0), "has 0 subgraphs"),
    "two subgraphs": (lambda p: write(p, TENSORS, OPERATORS, subgraphs=2), "has 2 subgraphs.*only networks of one"),
    "batch": (
        lambda p: write(p, _changed(0, shape=(7, 6, 5, 3)), OPERATORS),
        r"input tensor 0 \(pixels\) has the shape \(7, 6, 5, 3\): a batch of 7\n  hint: convert the model for a batch",
    ),
    "open height": (
        lambda p: write(p, _changed(0, signature=(1, -1, 5, 3)), OPERATORS),
        r"input tensor 0 \(pixels\) leaves dimensions open",
    ),
    "signature": (
        lambda p: write(p, _changed(0, signature=(1, 5)), OPERATORS),
        r"tensor 0: \(pixels\): has 4 dimensions, 2 in its signature",
    ),
    "sparse": (lambda p: write(p, _changed(1, sparse=True), OPERATORS), "tensor 1: .weights.: is sparse"),
    "element type": (lambda p: write(p, _changed(3, dtype=77), OPERATORS), "has element type 77, which does not exist"),
    "text as data": (
        lambda p: write(p, _changed(1, dtype="STRING"), OPERATORS),
        "holds constants of type STRING, which are not read",
    ),
    "data too short": (
        lambda p: write(p, _changed(1, data=WEIGHTS[:2]), OPERATORS),
        r"has the shape \(4, 3, 3, 3\) of 108 B of INT8; its buffer has 54 B",
    ),
    "buffer": (lambda p: write(p, _changed(3, buffer=99), OPERATORS), "names buffer 99 of 7"),
    "data outside": (
        lambda p: write(p, TENSORS, OPERATORS, outside=(10**6, 108)),
        "buffer 2 ends at byte 1,000,108 of a file of",
    ),
    "negative extent": (
        lambda p: write(p, _changed(3, shape=(1, -3, 5, 4)), OPERATORS),
        r"has the shape \(1, -3, 5, 4\), which no tensor can have",
    ),
    "huge": (
        lambda p: write(p, _changed(3, shape=(1, 2**30, 2**30, 4)), OPERATORS),
        "at most 16,777,216 elements are read",
    ),
    "many dimensions": (
        lambda p: write(p, _changed(3, shape=(1,) * 9), OPERATORS),
        "has a shape of 9 dimensions; at most 8 are read",
    ),
    "scale": (
        lambda p: write(p, _changed(3, scales=(-1.0,)), OPERATORS),
        "tensor 3: .map.: has a scale that is negative or not finite",
    ),
    "infinite scale": (
        lambda p: write(p, _changed(3, scales=(float("inf"),)), OPERATORS),
        "has a scale that is negative or not finite",
    ),
    "scales": (
        lambda p: write(p, _changed(1, scales=(0.1, 0.2), zeros=(0, 0)), OPERATORS),
        r"has 2 scales along axis 0 of \(4, 3, 3, 3\)",
    ),
    "zero points": (
        lambda p: write(p, _changed(1, zeros=(0, 0)), OPERATORS),
        "has 4 scales and 2 zero points",
    ),
    "operator": (lambda p: write(p, TENSORS, _operators(2, kind=5000)), "builtin operator 5000 does not exist"),
    "tensor of an operator": (
        lambda p: write(p, TENSORS, _operators(0, inputs=(0, 1, 40))),
        "operator 0: inputs name tensor 40 of 6",
    ),
    "output left out": (
        lambda p: write(p, TENSORS, _operators(0, outputs=(-1,))),
        "operator 0: outputs name tensor -1 of 6",
    ),
    "network input": (lambda p: write(p, TENSORS, OPERATORS, inputs=(9,)), "inputs name tensor 9 of 6"),
    "options": (
        lambda p: write(p, TENSORS, _operators(2, table="Pool2DOptions", options={})),
        "operator 2: SOFTMAX: has options Pool2DOptions, not SoftmaxOptions",
    ),
    "options left out": (
        lambda p: write(p, TENSORS, _operators(0, table="")),
        "operator 0: CONV_2D: has no Conv2DOptions, which it cannot do without",
    ),
    "made twice at once": (
        lambda p: write(p, TENSORS, _operators(1, outputs=(4, 4))),
        r"operator 1 \(RESHAPE\) writes tensor 4 \(flat\), which is there already",
    ),
    "stride": (
        lambda p: write(p, TENSORS, _operators(0, options=CONV | {"StrideH": 0})),
        r"operator 0: CONV_2D: stride \(0, 1\) lies outside \[1, 32767\]",
    ),
    "padding": (
        lambda p: write(p, TENSORS, _operators(0, options=CONV | {"Padding": 9})),
        "PaddingScheme 9 does not exist",
    ),
    "reshape": (
        lambda p: write(p, TENSORS, _operators(1, options={"NewShape": (1,) * 9})),
        "names 9 dimensions; 8 are possible",
    ),
    "cycle": (
        lambda p: write(p, TENSORS, _operators(0, inputs=(5, 1, 2))),
        r"operator 0 \(CONV_2D\) reads tensor 5 \(chances\), which nothing before it makes",
    ),
    "written twice": (
        lambda p: write(p, TENSORS, _operators(1, outputs=(3,))),
        r"operator 1 \(RESHAPE\) writes tensor 3 \(map\), which is there already",
    ),
    "no output": (
        lambda p: write(p, [*TENSORS, T((1, 2), name="nobody")], OPERATORS, outputs=(6,)),
        r"output tensor 6 \(nobody\) is made by no operator",
    ),
    "constant input": (
        lambda p: write(p, TENSORS, OPERATORS, inputs=(0, 1)),
        r"input tensor 1 \(weights\) holds constant data",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_damaged_file_is_refused_by_place_and_reason(case: tuple[Callable[[Path], object], str], path: Path) -> None:
    make, message = case
    make(path)
    with pytest.raises(ModelError, match=f"^net.tflite: .*{message}"):
        read_tflite(path)


def test_another_file_is_refused(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04 not a network")
    with pytest.raises(ModelError, match=r"net.tflite: is not a TFLite file: bytes 4 to 7 are not TFL3"):
        read_tflite(path)


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing.tflite: cannot be read: No such file"):
        read_tflite(tmp_path / "missing.tflite")


def test_a_file_above_the_limit_is_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_BYTES", 100)
    write(path, TENSORS, OPERATORS)
    with pytest.raises(ModelError, match=r"has more than 100 B, the most that are read"):
        read_tflite(path)


def test_more_tables_than_any_network_has_are_not_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MOST_ENTRIES", 5)
    write(path, TENSORS, OPERATORS)
    with pytest.raises(ModelError, match="has 7 buffers; at most 5 are read"):
        read_tflite(path)


def test_tables_cannot_claim_the_same_bytes_again_and_again(path: Path) -> None:
    tensors = [*TENSORS, *[T((1,), name="x" * 2000)] * 40]
    write(path, tensors, OPERATORS)
    whole_file = path.read_bytes()
    names = [at for at in range(len(whole_file) - 4) if whole_file[at : at + 8] == struct.pack("<I", 2000) + b"xxxx"]
    assert len(names) == 40
    damaged = bytearray(whole_file)
    for at in names:  # every string grows over all behind it
        damaged[at : at + 4] = struct.pack("<I", len(whole_file) - at - 8)
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match=r"its tables claim more bytes than the file has|is not text"):
        read_tflite(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    data = write(path, TENSORS, OPERATORS).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelError, match=r"net\.tflite: .*is damaged: an offset leads outside the file"):
        read_tflite(path)


def test_mutated_files_end_in_a_network_or_an_error_that_says_why(path: Path) -> None:
    good, chance, read = write(path, TENSORS, OPERATORS).read_bytes(), np.random.default_rng(0), 0
    for _ in range(300):
        data = bytearray(good)
        for at in chance.integers(len(data) - 4, size=chance.integers(1, 4)).tolist():
            data[at : at + 4] = struct.pack("<I", chance.choice([0, 1, 2**31, 2**32 - 1, 2**31 - 1, len(data), at]))
        path.write_bytes(data)
        with suppress(PteeError):
            load_tflite(path, "net")
            read += 1
    assert 0 < read < 300
