"""Run as a script by `keras.py`: a Keras file or SavedModel as a float TFLite file, or a report of why not.

Usage: keras_convert.py keras|h5|saved_model SOURCE SCRATCH; it leaves SCRATCH/model.tflite or SCRATCH/report.json.
It imports nothing of ptee_mcu, so that any Python with TensorFlow can run it.
"""

import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

_MOST_GROWTH = 20  # times the size of an archive that its contents may have
_TRAINING = ("_initializer", "_regularizer", "_constraint", "compile_config")  # ends of what inference does not need
_MODULES = frozenset({"activations", "dtype_policies", "engine", "layers", "mixed_precision", "models"})
_UNSAFE = frozenset(
    {
        "CreateSummaryFileWriter", "DebugIdentity", "DebugIdentityV2", "EagerPyFunc", "FixedLengthRecordDataset",
        "FixedLengthRecordDatasetV2", "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "LoadDataset",
        "MatchingFiles", "PrintV2", "PyFunc", "PyFuncStateless", "ReadFile", "SaveDataset", "SqlDataset",
        "TFRecordDataset", "TFRecordDatasetV2", "TextLineDataset", "WholeFileReader", "WholeFileReaderV2", "WriteFile",
    }
)  # fmt: skip
_EXPORT = "load it in the Keras that wrote it and save a SavedModel: model.export(FOLDER)"


class RefusalError(Exception):
    """Why the file cannot be converted, and what to do."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.hint = hint


def main(kind: str, source: Path, scratch: Path) -> None:
    """Converts; refusals and TensorFlow's own faults go into the report."""
    try:
        tensorflow = import_module("tensorflow")
        import_module("keras")
    except ImportError as error:
        _report(scratch, "missing", str(error), "")
        return
    try:
        folder = source if kind == "saved_model" else _exported(tensorflow, kind, source, scratch)
        (scratch / "model.tflite").write_bytes(_converted(tensorflow, folder))
    except RefusalError as refusal:
        _report(scratch, "refused", str(refusal), refusal.hint)
    except Exception as error:  # noqa: BLE001 - whatever Keras, h5py and the converter raise arrives here
        reason, hint = _meaning(error, kind)
        _report(scratch, "fault", f"TensorFlow cannot convert it: {reason}", hint)


def _report(scratch: Path, kind: str, reason: str, hint: str) -> None:
    text = json.dumps({"kind": kind, "reason": reason, "hint": hint})
    (scratch / "report.json").write_text(text, encoding="utf-8")


def _meaning(error: Exception, kind: str) -> tuple[str, str]:
    """The line of a long message that names the cause, and what to do."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if line.startswith(("Custom ops:", "TF Select ops:"))]
    if named:
        return f"TFLite lacks operations of it: {', '.join(named)}", "replace these operations in the network"
    if type(error).__name__ == "ConverterError":
        lines = [line for line in lines if "error:" in line][:1] or lines
    reason = f"{type(error).__name__}: {lines[-1] if lines else 'no reason given'}"
    return reason, "export it again" if kind == "saved_model" else _EXPORT


def _exported(tensorflow: Any, kind: str, source: Path, scratch: Path) -> Path:
    """A SavedModel of the network for a batch of 1."""
    keras = import_module("keras")
    mended = scratch / f"mended.{kind}"
    (_mend_archive if kind == "keras" else _mend_h5)(source, mended)
    model = keras.models.load_model(mended, compile=False, safe_mode=True)
    shapes = [tuple(tensor.shape) for tensor in model.inputs]
    if len(shapes) != 1:
        raise RefusalError(f"has {len(shapes)} inputs where one is expected", "build it with one input tensor")
    if None in shapes[0][1:]:
        raise RefusalError(f"its input shape {shapes[0]} is open", "build it for a fixed input shape")
    archive = keras.export.ExportArchive()
    archive.track(model)
    signature = [tensorflow.TensorSpec((1, *shapes[0][1:]), model.inputs[0].dtype)]
    archive.add_endpoint("serve", lambda x: model(x, training=False), input_signature=signature)
    folder = scratch / "saved_model"
    archive.write_out(str(folder))
    return folder


def _mend_archive(source: Path, target: Path) -> None:
    """A copy of a .keras archive with a mended configuration."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        members = old.infolist()
        if sum(member.file_size for member in members) > _MOST_GROWTH * source.stat().st_size:
            raise RefusalError(
                f"its archive grows to more than {_MOST_GROWTH} times its size", "save it again with Keras"
            )
        names = [member.filename for member in members]
        if "config.json" not in names or len(set(names)) != len(names):
            raise RefusalError(
                "holds no network: its archive has no config.json, or a name twice", "save it with model.save"
            )
        for member in members:
            if member.filename == "config.json":
                new.writestr("config.json", _mended_text(old.read(member)))
            elif not member.is_dir():
                with old.open(member) as data, new.open(member.filename, "w", force_zip64=True) as copy:
                    shutil.copyfileobj(data, copy)
    h5py = import_module("h5py")
    with zipfile.ZipFile(target) as archive:
        for name in archive.namelist():
            if name.endswith(".h5"):
                with archive.open(name) as data, h5py.File(data, "r") as file:
                    _require_inside(h5py, file)


def _mend_h5(source: Path, target: Path) -> None:
    """A copy of an .h5 file with a mended configuration."""
    h5py = import_module("h5py")
    with h5py.File(source, "r") as file:
        _require_inside(h5py, file)
        if "model_config" not in file.attrs:
            raise RefusalError("holds weights without a network", "save the whole model: model.save(FILE)")
    shutil.copyfile(source, target)
    with h5py.File(target, "r+") as file:
        file.attrs["model_config"] = _mended_text(file.attrs["model_config"])


def _require_inside(h5py: Any, group: Any) -> None:
    """All of an HDF5 file lies in the file."""
    pending, seen = [group], set()
    while pending:
        here = pending.pop()
        if here in seen:  # hard links may go round in a circle
            continue
        seen.add(here)
        for name in here:
            link = here.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise RefusalError(
                    f"{here.name}/{name} is a link, possibly out of the file", "save it again with Keras"
                )
            item = here[name]
            if isinstance(item, h5py.Group):
                pending.append(item)
            elif item.external or item.is_virtual:
                raise RefusalError(f"{item.name} keeps its data in another file", "save it again with Keras")


def _mended_text(config: str | bytes) -> str:
    """A configuration with what Keras 3 chokes on in files of Keras 2 left out, after a look for code in it."""
    tree = _mended(json.loads(config))
    for part in _objects(tree):
        _require_safe(part)
    return json.dumps(tree)


def _objects(tree: Any) -> Iterator[dict[str, Any]]:
    pending = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            yield part
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def _require_safe(part: dict[str, Any]) -> None:
    kind, module = part.get("class_name"), part.get("module")
    if kind in ("Lambda", "TorchModuleWrapper", "__lambda__"):
        raise RefusalError(
            f"holds a {kind} layer, which is code that loading would run",
            "write it with Keras' own layers, or save a SavedModel where you trust it: model.export(FOLDER)",
        )
    if isinstance(module, str) and kind is not None and not _of_keras(module):
        raise RefusalError(f"{module}.{kind} is not a class of Keras'", _EXPORT)


def _of_keras(module: str) -> bool:
    """True for the parts of Keras that networks are made of; its utilities can reach files and the net."""
    parts = [part for part in module.split(".") if part != "src"]
    return parts[0] == "keras" and (len(parts) == 1 or parts[1] in _MODULES)


def _mended(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_mended(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {key: _mended(part) for key, part in tree.items() if not key.endswith(_TRAINING)}
    if tree.get("class_name") == "DepthwiseConv2D" and isinstance(kept.get("config"), dict):
        kept["config"].pop("groups", None)  # Keras 2 wrote it, always 1
    return kept


def _converted(tensorflow: Any, folder: Path) -> bytes:
    """The float TFLite file of a SavedModel's only signature, or of the one that serves."""
    saved = import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    if len(saved.meta_graphs) != 1:  # of several, TensorFlow would choose
        raise RefusalError(f"its saved_model.pb holds {len(saved.meta_graphs)} graphs, not one", "export it again")
    graph = saved.meta_graphs[0]
    nodes = [node.op for node in graph.graph_def.node]
    nodes += [node.op for function in graph.graph_def.library.function for node in function.node_def]
    if unsafe := sorted(_UNSAFE & set(nodes)):
        raise RefusalError(
            f"its graph runs {', '.join(unsafe)}: it reads or writes files or calls Python", "remove that"
        )
    keys = [key for key in graph.signature_def if not key.startswith("__")]
    key = "serving_default" if "serving_default" in keys else keys[0] if len(keys) == 1 else None
    if key is None:
        found = ", ".join(sorted(keys)) or "none"
        raise RefusalError(f"has no signature serving_default (found: {found})", "export it with signatures=")
    converter = tensorflow.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[key])
    made = converter.convert()
    assert isinstance(made, bytes)
    return made


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
