import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from support.cli import ROOT, facts, ptee
from support.data import require_shared

PAGE = ROOT / "docs" / "operators.md"


def test_a_built_in_network_is_inspected_by_name(tmp_path: Path) -> None:
    found = facts(ptee("inspect", "digits_cnn", "--json", cwd=tmp_path))
    assert found["supported"] is True
    assert found["inputs"][0]["shape"] == [1, 8, 8, 1]
    assert [point["tap"] for point in found["points"] if point["tap"]] == ["block1", "block2", "block3"]
    assert all(board["fits"] for board in found["sizes"]["boards"])
    assert found["alive_bytes"] <= found["sizes"]["arena_bytes"]["dsp"]


def test_the_tables_name_ops_boards_and_attach_points(tmp_path: Path) -> None:
    done = ptee("inspect", "digits_cnn", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for word in ("digits_cnn: built-in network, float", "Conv2d", "nucleo_l4r5zi", "block2", "(1, 8, 8, 1)"):
        assert word in done.stdout


def test_a_file_that_is_not_there_is_an_error_with_what_there_is(tmp_path: Path) -> None:
    done = ptee("inspect", "nothing.onnx", cwd=tmp_path)
    assert done.returncode == 2
    assert "nothing.onnx does not exist" in done.stderr
    assert "built-in networks: digits_cnn" in done.stderr


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "net.weights").write_bytes(b"")
    done = ptee("inspect", "net.weights", cwd=tmp_path)
    assert done.returncode == 2
    assert "net.weights is no known kind of model file" in done.stderr
    assert ".tflite" in done.stderr


def test_a_folder_that_holds_no_model_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    done = ptee("inspect", "build", cwd=tmp_path)
    assert done.returncode == 2
    assert "build is a folder without saved_model.pb" in done.stderr
    assert ".tflite" in done.stderr


def test_a_damaged_exported_program_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("net/version", "1")
    done = ptee("inspect", "net.pt2", cwd=tmp_path)
    assert done.returncode == 2
    assert "net.pt2: torch.export.load cannot read it: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("columns", [80, 100])
def test_tables_are_no_wider_than_the_terminal(columns: int, tmp_path: Path) -> None:
    done = ptee("inspect", "digits_cnn", cwd=tmp_path, COLUMNS=str(columns))
    start, end = done.stdout.index("\nops"), done.stdout.index("\nneeded:")
    assert max(map(len, done.stdout[start:end].splitlines())) <= columns
    assert "…" not in done.stdout


def test_a_file_before_a_built_in_network_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "resnet8").write_bytes(b"")
    done = ptee("inspect", "resnet8", cwd=tmp_path)
    assert done.returncode == 2
    assert "resnet8 is no known kind of model file" in done.stderr


def test_an_unsupported_file_is_inspected_with_every_op_it_lacks(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX files need onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Gelu", ["x"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("CumSum", ["b", "axis"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, kind, (1, 4)) for name in "xy")
    axis = onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, (), [1])
    model = helper.make_model(
        helper.make_graph(nodes, "net", [x], [y], [axis]), opset_imports=[helper.make_opsetid("", 20)]
    )
    onnx.save(model, tmp_path / "net.onnx")
    found = facts(ptee("inspect", "net.onnx", "--json", cwd=tmp_path))
    assert found["supported"] is False
    assert "Gelu" in found["refused"]
    assert {op["kind"]: op["supported"] for op in found["ops"]} == {"CumSum": False, "Gelu": False, "Relu": True}
    assert found["sizes"] is None
    shown = ptee("inspect", "net.onnx", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "not supported: " in shown.stdout


@pytest.mark.parametrize(
    ("parts", "macs"),
    [
        (("mlperf_tiny", "ic", "pretrainedResnet_quant.tflite"), 12_501_632),
        (("mlperf_tiny", "kws", "kws_ref_model.tflite"), 2_656_768),
        (("mlperf_tiny", "vww", "vww_96_int8.tflite"), 7_489_664),
        (("mlperf_tiny", "ad", "ad01_int8.tflite"), 264_192),
        (("models", "onnx", "resnet8_kai_jiang.onnx"), 12_501_632),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_published_networks_have_their_published_macs_and_fit_a_nucleo_l4r5zi(
    tmp_path: Path, parts: tuple[str, ...], macs: int
) -> None:
    pytest.importorskip("onnx" if parts[-1].endswith("onnx") else "tflite")
    found = facts(ptee("inspect", str(require_shared(*parts)), "--json", cwd=tmp_path))
    assert found["supported"] is True, found["refused"]
    assert found["macs"] == macs
    assert all(op["supported"] for op in found["ops"])
    boards = {board["board"]: board for board in found["sizes"]["boards"]}
    assert boards["nucleo_l4r5zi"]["fits"]
    shares = [point["share"] for point in found["points"]]
    assert shares == sorted(shares)
    assert found["format"].endswith(", int8")


@pytest.mark.parametrize(
    ("name", "op"), [("keyword_scrambled_8bit", "SVDF"), ("mnist_lstm_int8", "UNIDIRECTIONAL_SEQUENCE_LSTM")]
)
def test_recurrent_networks_are_refused_with_all_their_ops(tmp_path: Path, name: str, op: str) -> None:
    pytest.importorskip("tflite")
    found = facts(ptee("inspect", str(require_shared("models", "tflm", f"{name}.tflite")), "--json", cwd=tmp_path))
    assert found["supported"] is False
    assert op in {each["kind"] for each in found["ops"] if not each["supported"]}
    assert found["parameters"] > 0
    assert found["alive_bytes"] > 0


def test_a_keras_file_is_inspected_as_what_tensorflow_makes_of_it(tmp_path: Path) -> None:
    if find_spec("tensorflow") is None or find_spec("tflite") is None:
        pytest.skip("Keras files need tensorflow and tflite")
    found = facts(ptee("inspect", str(require_shared("mlperf_tiny", "ad", "ad01.h5")), "--json", cwd=tmp_path))
    assert found["name"] == "ad01.h5"
    assert found["format"] == "Keras HDF5, float"
    assert found["macs"] == 264_192


def test_inspecting_and_listing_import_no_framework_until_they_need_one() -> None:
    heavy = "torch onnx tflite tensorflow flatbuffers onnxruntime"
    code = f"import sys, ptee_mcu.cli, ptee_mcu.inspection; print([m for m in {heavy.split()} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_page_of_operators_is_what_the_command_prints(tmp_path: Path) -> None:
    for package in ("torch", "onnx", "tflite"):
        pytest.importorskip(package)
    done = ptee("ops", "--markdown", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert PAGE.read_text() == done.stdout, "run: ptee-mcu ops --markdown > docs/operators.md"


def test_operators_are_printed_as_json(tmp_path: Path) -> None:
    found = facts(ptee("ops", "--json", cwd=tmp_path))
    assert {"float", "int8", "formats"} == set(found)
    assert "arm_convolve_s8" in next(op for op in found["int8"] if op["name"] == "QConv2d")["cmsis_nn"]
