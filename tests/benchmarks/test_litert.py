"""The comparison with LiteRT: what it counts on small samples, and which differences it takes for explained."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")
pytest.importorskip("onnx", reason="reading ONNX files needs the package onnx")
pytest.importorskip("ai_edge_litert.interpreter", reason="comparing with LiteRT needs ai-edge-litert")
pytest.importorskip("onnxruntime", reason="comparing with onnxruntime needs onnxruntime")

from support.data import require_shared
from support.tflite_cases import LAYERS as CASES
from support.tflite_files import write

from benchmarks import litert
from benchmarks.litert_files import FloatRow, ModelFile, NetworkRow, model_files, network_rows
from benchmarks.litert_ops import Apart, OpRow, layer_rows, op_rows
from ptee_mcu.frontends.load import load_model

LAYERS = [
    "mlperf_tiny/ic/pretrainedResnet_large_int8.tflite",
    "mlperf_tiny/sww/str_ww_ref_model.tflite",
    "mlperf_tiny/vww/vww_96_int8.tflite",
    "models/mcunet/mcunet_vww.tflite",
    "models/tflm/micro_speech_quantized.tflite",
]
SHARES = {  # codes that may differ: several fully connected layers one after another, and a large one
    "mlperf_tiny/ad/ad01_int8.tflite": 0.35,
    "models/tflm/hello_world_int8.tflite": 0.15,
    "mlperf_tiny/ic/pretrainedResnet_large_int8.tflite": 0.02,
}


def found(name: str) -> ModelFile:
    path = require_shared(*name.split("/"))
    return ModelFile(name, path, load_model(path), None)


def test_every_op_is_compared_on_all_codes_where_there_is_room() -> None:
    rows = list(op_rows(networks=1, inputs=1))
    assert {row.fault for row in rows} == {None}
    assert {row.operators: row.apart.compared for row in rows}["HARD_SWISH",] == 256
    kinds = {kind for row in rows for kind in row.operators}
    assert {"CONV_2D", "FULLY_CONNECTED", "MEAN", "PRELU", "TRANSPOSE_CONV"} <= kinds


def test_every_layer_of_published_files_agrees_but_for_fully_connected_ones() -> None:
    rows = layer_rows([require_shared(*name.split("/")) for name in LAYERS], inputs=2)
    kinds = {"ADD", "AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MEAN"}
    assert {row.title: row.apart.differing for row in rows if row.title != "FULLY_CONNECTED"} == dict.fromkeys(
        kinds - {"FULLY_CONNECTED"}, 0
    )
    assert [row.fault for row in rows if row.fault] == []


@pytest.mark.parametrize("name", SHARES)
def test_layers_that_are_one_code_off_add_up_within_bounds(name: str) -> None:
    (row,) = network_rows(found(name), 50, {})
    assert row.fault is None
    assert row.inputs == 50
    assert 0 < row.apart.differing <= SHARES[name] * row.apart.compared
    assert row.apart.largest <= 3
    assert not row.labels


def test_a_file_that_litert_refuses_is_named() -> None:
    (row,) = network_rows(found("models/tflm/person_detect.tflite"), 1, {})
    assert row.refused == "quantized_dimension must be in range [0, 1)"
    assert "LiteRT refuses the file" in litert.page(results(tflite=(row,)), [])


def test_every_file_of_the_folders_is_imported_or_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    write(folder / "net.tflite", *CASES["hard swish"](np.random.default_rng(0)))
    (folder / "damaged.onnx").write_bytes(b"no model")
    (folder / "notes.txt").write_text("no model")
    damaged, net = model_files(tmp_path, tmp_path)
    assert (net.name, net.kind, net.ops, net.macs) == ("models/net.tflite", "int8", 1, 0)
    assert (damaged.name, damaged.kind) == ("models/damaged.onnx", "refused")
    assert damaged.refused is not None
    assert f"| models/damaged.onnx | refused | | | {damaged.refused.split(chr(10))[0]}" in litert.page(
        litert.Results((), (), (), (), (), (damaged, net)), []
    )


def test_a_difference_without_a_known_cause_is_a_fault() -> None:
    assert OpRow("sum", ("ADD",), 1, Apart(9, 0, 0)).fault is None
    assert OpRow("sum", ("ADD",), 1, Apart(9, 1, 1)).fault == (
        "sum: 1 codes differ, and no operator of ('ADD',) is known to"
    )
    layer = OpRow("dense", ("FULLY_CONNECTED",), 1, Apart(9, 3, 1))
    assert (layer.fault, layer.cause) == (None, "LiteRT rounds once, from double; CMSIS-NN twice, from integers")
    assert OpRow("dense", ("FULLY_CONNECTED",), 1, Apart(9, 1, 2)).fault == "dense: a code differs by 2, more than 1"


def results(*, tflite: tuple[NetworkRow, ...] = (), floats: tuple[FloatRow, ...] = ()) -> litert.Results:
    return litert.Results((), (), tflite, (), floats, ())


def test_a_float_file_off_by_more_than_the_limit_is_a_fault_unless_it_is_dynamic() -> None:
    rows = [FloatRow(name, "LiteRT", 1, error, judged) for name, error, judged in (
        ("near", 1e-4, True), ("far", 2e-4, True), ("nan", float("nan"), True), ("dynamic", 0.04, False),
    )]  # fmt: skip
    assert results(floats=tuple(rows)).faults == (
        "far: off by 2.0e-04 of the largest logit, more than 0.0001",
        "nan: off by nan of the largest logit, more than 0.0001",
    )


def test_a_folder_without_models_ends_with_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert litert.main(["--data", str(tmp_path)]) == 2
    assert "holds none of mlperf_tiny and models" in capsys.readouterr().err
