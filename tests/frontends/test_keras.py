import importlib.util
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.data import require_shared

from ptee_mcu.errors import ModelError, ToolMissingError
from ptee_mcu.frontends import keras_convert
from ptee_mcu.frontends.keras import convert_keras, load_keras
from ptee_mcu.graph import forward

TOLERANCE = 1e-4  # of the largest logit

# Writes one network as net.keras, net.h5 and the SavedModel net; an input and its logits; files that are refused.
NETWORKS = """
import keras, numpy as np, sys, tensorflow as tf
from keras import layers
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
folder = sys.argv[1]
keras.utils.set_random_seed(1)
x = start = keras.Input((8, 7, 2))
for layer in (
    layers.Conv2D(4, 3, strides=2, padding="same"), layers.BatchNormalization(beta_initializer="ones"),
    layers.ReLU(6.0), layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), layers.LeakyReLU(),
    layers.GlobalAveragePooling2D(), layers.Dropout(0.5), layers.Dense(3),
):
    x = layer(x)
model = keras.Model(start, x)
for name in ("net.keras", "net.h5"):
    model.save(f"{folder}/{name}")
model.export(f"{folder}/net", verbose=False)
image = np.random.default_rng(0).normal(size=(1, 8, 7, 2)).astype(np.float32)
np.savez(f"{folder}/answer.npz", image=image, logits=model.predict(image, verbose=0))

keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: 2 * x)]).save(f"{folder}/code.keras")
keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 1)]).save(f"{folder}/open.keras")
two = [keras.Input((4,)), keras.Input((4,))]
keras.Model(two, layers.Add()(two)).save(f"{folder}/two.keras")
model.save_weights(f"{folder}/only.weights.h5")

def save(name, function, signature=True):
    module = tf.Module()
    module.f = tf.function(function, input_signature=[tf.TensorSpec((1, 4), tf.float32)])
    tf.saved_model.save(module, f"{folder}/{name}", signatures=module.f if signature else {})

save("lacking", tf.math.digamma)
save("reading", lambda x: x * tf.cast(tf.strings.length(tf.io.read_file("/etc/hostname")), tf.float32))
save("mute", tf.nn.relu, signature=False)

def printed(x):
    tf.print(x, output_stream=f"file://{folder}/printed.txt")
    return x + 1

save("printing", printed)
save("hiding", tf.nn.relu)
two = SavedModel.FromString(open(f"{folder}/hiding/saved_model.pb", "rb").read())
two.meta_graphs.extend(SavedModel.FromString(open(f"{folder}/reading/saved_model.pb", "rb").read()).meta_graphs)
two.meta_graphs[0].meta_info_def.tags[:] = ["other"]
open(f"{folder}/hiding/saved_model.pb", "wb").write(two.SerializeToString())
"""

# Runs the converter for one file after the other, which spares importing TensorFlow each time.
CONVERSIONS = """
import pathlib, runpy, sys
folder = pathlib.Path(sys.argv[2])
main = runpy.run_path(sys.argv[1])["main"]
for kind, name in (pair.split(":") for pair in sys.argv[3:]):
    scratch = folder / f"scratch.{name}"
    scratch.mkdir()
    main(kind, folder / name, scratch)
"""

REFUSED = {
    "code.keras": ("keras", "holds a Lambda layer, which is code"),
    "open.keras": ("keras", r"its input shape \(None, None, None, 3\) is open"),
    "two.keras": ("keras", "has 2 inputs where one is expected"),
    "only.weights.h5": ("h5", "holds weights without a network"),
    "lacking": ("saved_model", "TensorFlow cannot convert it: TFLite lacks operations of it: Custom ops: Digamma"),
    "reading": ("saved_model", "its graph runs ReadFile"),
    "hiding": ("saved_model", r"its saved_model\.pb holds 2 graphs, not one"),
    "printing": ("saved_model", "its graph runs PrintV2"),
    "mute": ("saved_model", r"has no signature serving_default \(found: none\)"),
}


def _run(folder: Path, code: str, *arguments: str) -> None:
    """Runs `code`, which needs TensorFlow, in another process."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_HOME": str(folder), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("writing Keras files needs tensorflow")
    folder = tmp_path_factory.mktemp("keras")
    _run(folder, NETWORKS, str(folder))
    return folder


@pytest.mark.slow
def test_all_three_formats_compute_what_keras_computes(models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with np.load(models / "answer.npz") as answer:
        image, logits = answer["image"], answer["logits"]
    for name in ("net.keras", "net.h5", "net"):
        graph = load_keras(models / name, "net").graph
        assert graph is not None
        tensor = graph.exits[0].logits
        found = forward(graph, image, [tensor])[tensor]
        assert np.abs(found - logits).max() <= TOLERANCE * np.abs(logits).max(), name
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_what_tensorflow_may_not_or_cannot_convert_is_refused(models: Path) -> None:
    pairs = [f"{kind}:{name}" for name, (kind, _) in REFUSED.items()]
    _run(models, CONVERSIONS, keras_convert.__file__, str(models), *pairs)
    for name, (_, message) in REFUSED.items():
        report = json.loads((models / f"scratch.{name}" / "report.json").read_text())
        assert re.match(message, report["reason"]), f"{name}: {report}"
        assert report["hint"], name
        assert not (models / f"scratch.{name}" / "model.tflite").exists(), name


@pytest.mark.slow
def test_a_refusal_is_told_with_the_file_and_what_to_do(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"code\.keras: holds a Lambda layer, which is code") as caught:
        convert_keras(models / "code.keras", tmp_path)
    assert "save a SavedModel where you trust it" in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_file_of_keras_2_computes_what_the_published_tflite_file_computes() -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("reading Keras files needs tensorflow")
    pytest.importorskip("tflite", reason="reading TFLite files needs the package tflite")
    from ptee_mcu.frontends.tflite.load import load_tflite  # noqa: PLC0415 - needs that package

    answers = []
    for load, name in ((load_keras, "vww_96.h5"), (load_tflite, "vww_96_float.tflite")):
        graph = load(require_shared("mlperf_tiny", "vww", name), "net").graph
        assert graph is not None
        image = np.random.default_rng(0).normal(size=graph.input_shape).astype(np.float32)
        answers.append(forward(graph, image, [graph.exits[0].logits])[graph.exits[0].logits])
    assert np.abs(answers[0] - answers[1]).max() <= TOLERANCE * np.abs(answers[1]).max()


def _archive(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("_", "."), text)
    return path


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.keras", b"nothing", "it is no zip archive"),
        ("net.h5", b"nothing", "it does not begin as HDF5"),
        ("net.bin", b"nothing", "a file of kind '.bin' is no Keras file"),
        ("net", None, "it holds no saved_model.pb"),
        ("missing.keras", "", "no such file or folder"),
    ],
)
def test_what_is_no_keras_file_is_refused_at_once(
    name: str, content: bytes | str | None, message: str, tmp_path: Path
) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    elif isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: .*{message}"):
        convert_keras(tmp_path / name, tmp_path / "made")


def _with_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> Path:
    """A Keras file, in a place where importing tensorflow runs `code`."""
    (tmp_path / "tensorflow.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return _archive(tmp_path / "net.keras", config_json="{}")


def test_a_python_without_tensorflow_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _with_tensorflow(tmp_path, monkeypatch, "raise ImportError('No module named tensorflow')")
    with pytest.raises(ToolMissingError, match="Keras models need TensorFlow") as caught:
        convert_keras(path, tmp_path / "made")
    assert caught.value.hint == 'pip install "ptee-mcu[tensorflow]"'


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = _archive(tmp_path / "net.keras", config_json="{}")
    with pytest.raises(ToolMissingError, match="no-python cannot be run: No such file"):
        convert_keras(path, tmp_path / "made", python=str(tmp_path / "no-python"))


def test_a_conversion_has_a_time_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _with_tensorflow(tmp_path, monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(ModelError, match=r"had not converted it after 0\.5 s"):
        convert_keras(path, tmp_path / "made", timeout_s=0.5)


def test_a_crash_of_tensorflow_is_told_by_its_last_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code = "import os; print('loading'); print('out of cheese', flush=True); os._exit(3)"
    path = _with_tensorflow(tmp_path, monkeypatch, code)
    with pytest.raises(ModelError, match="TensorFlow ended with status 3: out of cheese"):
        convert_keras(path, tmp_path / "made")
    assert capfd.readouterr() == ("", "")


def test_what_only_training_needs_is_left_out_and_what_keras_3_does_not_know() -> None:
    config = {
        "class_name": "Functional",
        "compile_config": {"loss": {"module": "mine", "class_name": "Loss"}},
        "config": {
            "layers": [
                {
                    "class_name": "DepthwiseConv2D",
                    "config": {
                        "groups": 1,
                        "strides": [2, 2],
                        "bias_initializer": {"module": "mine", "class_name": "Start"},
                    },
                },
                {"class_name": "Conv2D", "config": {"groups": 2, "kernel_regularizer": None, "kernel_constraint": {}}},
            ]
        },
    }
    mended = json.loads(keras_convert._mended_text(json.dumps(config)))
    layers = [layer["config"] for layer in mended["config"]["layers"]]
    assert layers == [{"strides": [2, 2]}, {"groups": 2}]
    assert "compile_config" not in mended


@pytest.mark.parametrize("module", ["keras", "keras.layers", "keras.src.models.functional", "keras.engine.sequential"])
def test_the_parts_of_keras_that_networks_are_made_of_are_allowed(module: str) -> None:
    part = {"module": module, "class_name": "Thing", "config": {}}
    assert json.loads(keras_convert._mended_text(json.dumps(part))) == part


@pytest.mark.parametrize("module", ["builtins", "os", "keras.utils", "keras.src.utils.file_utils", "keras_hub.layers"])
def test_a_class_from_elsewhere_is_refused(module: str) -> None:
    part = {"config": {"layers": [{"module": module, "class_name": "Thing", "config": {}}]}}
    with pytest.raises(keras_convert.RefusalError, match=rf"{module}.Thing is not a class of Keras'"):
        keras_convert._mended_text(json.dumps(part))


def test_code_is_refused_wherever_it_stands() -> None:
    part = {"config": {"activation": {"class_name": "__lambda__", "config": {"value": ["4wEAAA"]}}}}
    with pytest.raises(keras_convert.RefusalError, match="holds a __lambda__ layer, which is code"):
        keras_convert._mended_text(json.dumps(part))


def test_an_archive_that_grows_without_bounds_is_refused(tmp_path: Path) -> None:
    path = _archive(tmp_path / "net.keras", config_json="{}", model_weights=" " * 1_000_000)
    with pytest.raises(keras_convert.RefusalError, match="grows to more than 20 times its size"):
        keras_convert._mend_archive(path, tmp_path / "mended.keras")


def test_an_archive_without_a_network_is_refused(tmp_path: Path) -> None:
    path = _archive(tmp_path / "net.keras", metadata_json="{}")
    with pytest.raises(keras_convert.RefusalError, match=r"has no config\.json"):
        keras_convert._mend_archive(path, tmp_path / "mended.keras")


def test_data_outside_the_file_is_refused(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="writing HDF5 files needs h5py")
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = [1.0]
    with h5py.File(tmp_path / "linked.h5", "w") as linked:
        linked.create_group("weights")["kernel"] = h5py.ExternalLink("other.h5", "/data")
    with h5py.File(tmp_path / "stored.h5", "w") as stored:
        stored.create_dataset("kernel", (1,), "f4", external=[(str(tmp_path / "other.h5"), 0, 4)])
    with h5py.File(tmp_path / "round.h5", "w") as circle:
        circle.create_group("a")["back"] = circle["/"]
    for name, message in (
        ("linked", "/weights/kernel is a link"),
        ("stored", "/kernel keeps its data in another file"),
    ):
        with pytest.raises(keras_convert.RefusalError, match=message):
            keras_convert._mend_h5(tmp_path / f"{name}.h5", tmp_path / "mended.h5")
    with pytest.raises(keras_convert.RefusalError, match="holds weights without a network"):
        keras_convert._mend_h5(tmp_path / "round.h5", tmp_path / "mended.h5")
