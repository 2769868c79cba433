"""The four int8 files of MLPerf Tiny as published: three-way equality, accuracy, dead channels, published times."""

import importlib.metadata
import sys
from pathlib import Path

import numpy as np
import pytest
from support.data import require_shared
from support.differential import WHERE, Differential, inputs_for

from ptee_mcu.errors import DataError, ModelError, ToolMissingError
from ptee_mcu.passes.dead_channels import remove_dead_channels
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.sim import evaluate

pytest.importorskip("tflite", reason="reading TFLite files needs tflite")

from benchmarks import mlperf_accuracy, mlperf_files, mlperf_published
from benchmarks.mlperf_files import FILES

MACS = {"ic": 12_501_632, "kws": 2_656_768, "vww": 7_489_664, "ad": 264_192}
HEAD = "version,submitter,system,bench,latency_ms,energy_uJ\n"


def published(bench: str) -> QuantGraph:
    return mlperf_files.imported(require_shared("mlperf_tiny", *FILES[bench].path.split("/")))


@pytest.mark.parametrize("bench", FILES)
def test_a_published_file_gives_the_same_bytes_in_simulator_host_c_and_cortex_m4(bench: str, tmp_path: Path) -> None:
    dense = published(bench)
    assert dense.macs(dense.nodes) == MACS[bench]
    thin, _ = remove_dead_channels(dense)
    two = Differential(thin, tmp_path, inputs_for(thin, 1)[[0, -1]])
    np.testing.assert_array_equal(
        two.simulated[thin.exits[0].logits].reshape(2, -1), evaluate(dense, two.inputs).logits
    )
    for where in WHERE:
        for node in thin.nodes:
            two.compare(where, node.name)


def test_half_of_the_visual_wake_words_file_is_left_out_and_no_answer_changes() -> None:
    dense = published("vww")
    thin, removed = remove_dead_channels(dense)
    assert (removed.before.macs, removed.after.macs) == (7_489_664, 3_737_870)
    assert thin.macs(thin.nodes) == 3_737_870
    x = mlperf_files.inputs_for(dense, 60)
    before, after = evaluate(dense, x).logits, evaluate(thin, x).logits
    np.testing.assert_array_equal(before, after)
    assert len(np.unique(before, axis=0)) > 1


def test_resnet8_answers_as_published_on_the_performance_set() -> None:
    model = require_shared("mlperf_tiny", *FILES["ic"].path.split("/"))
    pytest.importorskip("PIL", reason="reading the CIFAR-10 strips needs Pillow")
    images = mlperf_accuracy.named_images(require_shared("cifar10"), model.parent / mlperf_accuracy.INDEX_TABLE)
    rows = images.rows(np.load(model.parent / mlperf_accuracy.PERFORMANCE))
    network = published("ic")
    codes = network.input_tensor.quant.codes(images.x[rows].astype(np.float32))
    labels = evaluate(network, codes).label
    # 175 of 200, 87.5 %: MLPerf Tiny v1.0, OctoML, microtvm_cmsis_nn/NUCLEO_L4R5ZI/ic/accuracy.
    assert (len(rows), int((labels == images.y[rows]).sum())) == (200, 175)
    pytest.importorskip("ai_edge_litert", reason="comparing with LiteRT needs ai-edge-litert")
    np.testing.assert_array_equal(labels[:40], mlperf_accuracy.reference_labels(model, codes[:40]))


def test_images_in_another_order_than_the_index_table_names_are_refused(tmp_path: Path) -> None:
    folder = require_shared("cifar10")
    pytest.importorskip("PIL", reason="reading the CIFAR-10 strips needs Pillow")
    table = tmp_path / "table.csv"
    with np.load(folder / "labels.npz") as stored:
        name, label = stored["f_test"][0].decode(), int(stored["y_test"][0])
    table.write_text(f"original_test_index,filename,label\n18,{name},{(label + 1) % 10}\n")
    with pytest.raises(DataError, match=r"test image 18 is not of the class that .*table\.csv names"):
        mlperf_accuracy.named_images(folder, table)
    table.write_text("original_test_index,filename,label\n18,nothing_s_000001,3\n")
    with pytest.raises(DataError, match=r"lacks 1 of the images in .*, such as nothing_s_000001"):
        mlperf_accuracy.named_images(folder, table)


def test_a_float_file_is_not_taken_for_the_int8_one() -> None:
    with pytest.raises(ModelError, match=r"ad01_fp32\.tflite holds floats"):
        mlperf_files.imported(require_shared("mlperf_tiny", "ad", "ad01_fp32.tflite"))


@pytest.mark.parametrize("bench", FILES)
def test_bakenn_refuses_a_published_file(bench: str) -> None:
    pytest.importorskip("bakenn", reason="asking BakeNN needs bakenn")
    path = require_shared("mlperf_tiny", *FILES[bench].path.split("/"))
    assert "dynamic/incompatible shape signature (-1," in mlperf_files.bakenn_says(path)


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "2.0.0")
    with pytest.raises(ToolMissingError, match=r"asks BakeNN 1\.0\.0; installed: 2\.0\.0"):
        mlperf_files.bakenn_says(tmp_path / "any.tflite")
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(ToolMissingError, match="comparing with LiteRT needs ai-edge-litert"):
        mlperf_accuracy.reference_labels(tmp_path / "any.tflite", np.zeros((1, 32, 32, 3), np.int8))
    (tmp_path / "webp").mkdir()
    (tmp_path / "table.csv").write_text("original_test_index,filename,label\n")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ToolMissingError, match="reading strips needs Pillow"):
        mlperf_accuracy.named_images(tmp_path, tmp_path / "table.csv")


def test_the_published_times_are_those_of_the_result_logs() -> None:
    mlperf_published.require_published(require_shared("published", "mlperf_tiny.csv"))


def test_a_table_that_says_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_text(HEAD)
    with pytest.raises(DataError, match=r"v0\.5 reference, Nucleo-L4R5ZI, ad: no ms, this script has 10\.052 ms"):
        mlperf_published.require_published(path)
    path.write_text(HEAD + "0.5,reference,Nucleo-L4R5ZI,ad,10.0516,400.0\n")
    with pytest.raises(DataError, match=r"ad: 400\.0 uJ, this script has 416\.3 uJ"):
        mlperf_published.require_published(path)


def test_who_computes_dead_channels_is_told_apart_by_a_wide_margin() -> None:
    ratios = sorted(row.vww_against_ic for row in mlperf_published.PUBLISHED)
    assert max(r for r in ratios if r < 1.1) < 1.0
    assert min(r for r in ratios if r > 1.1) > 1.25
    leaving = {(row.version, row.submitter) for row in mlperf_published.PUBLISHED if row.leaves_out}
    assert leaving == {
        ("1.1", "STMicroelectronics"),
        ("1.1", "Skymizer"),
        ("1.1", "plumerai"),
        ("1.2", "STMicroelectronics"),
    }
