"""Imported networks against LiteRT and onnxruntime: op by op, network by network, and what becomes of every file.

    python benchmarks/litert.py [--data DIR]

--data  folder with mlperf_tiny/ and models/, and cifar10/ for real inputs; by default what the tests use
        ($PTEE_TEST_DATA, or shared/data beside the checkout).
Needs the extras tflite, onnx, tensorflow and test. Writes docs/benchmarks/litert.md. A few minutes on one core. Exit
code 1 where something differs for no known reason, 2 where something is missing.
"""

import argparse
import importlib.metadata
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout and what its tests support are meant.
    sys.path[0] = str(ROOT)
    sys.path.insert(1, str(ROOT / "tests"))

from support.data import shared_data

from benchmarks.litert_files import (
    FOLDERS,
    FloatRow,
    ModelFile,
    NetworkRow,
    float_row,
    model_files,
    network_rows,
    real_inputs,
)
from benchmarks.litert_ops import KNOWN, OpRow, layer_rows, op_rows
from ptee_mcu.errors import DataError, PteeError, ToolMissingError

Item = TypeVar("Item")

PAGE = ROOT / "docs" / "benchmarks" / "litert.md"
PACKAGES = ("ai-edge-litert", "onnxruntime")
OP_NETWORKS, OP_INPUTS, LAYER_INPUTS = 150, 8, 20
INPUTS, FLOAT_INPUTS = 200, 10
TOLERANCE = 1e-4  # of the largest logit

_INTRODUCTION = """\
# Imported networks against LiteRT and onnxruntime

Made by `python benchmarks/litert.py --data DIR`; {versions}.
The yardsticks are LiteRT's reference kernels (the reference resolver) and onnxruntime with its graph optimizations off.
Ours is the simulator, which the C on host and Cortex-M equals byte for byte. Everything is seeded; a softmax at the end
is left out on both sides.

## Op by op, on equal inputs

Each op in {networks} TFLite files of random shapes, options, scales, zero points and weights, -128 among them, on
{inputs} inputs each, all 256 codes among them where they have room.
{summary}

| op | operators in the file | networks | codes compared | differ | at most by | why |
|---|---|---:|---:|---:|---:|---|
"""
_LAYERS = """
## Layer by layer, in published files

Every layer of the int8 TFLite files below, each on the codes that LiteRT itself computed before it, for {inputs}
random inputs.

| operator | layers | codes compared | differ | at most by | why |
|---|---:|---:|---:|---:|---|
"""
_NETWORKS = """
## End to end, int8 TFLite

Codes at the input of the final softmax; a label is the largest of them. What differs comes from fully connected layers
alone. The classifiers have one, at the end. hello_world is three of them and the autoencoder ad01 ten: a code that is
off by one is an input of the next layer, and ad01 squeezes all it knows through 8 codes, each of which reaches every
output.

| file | inputs | codes | differ | equal | at most by | other labels |
|---|---:|---:|---:|---:|---:|---:|
"""
_QDQ = """
## End to end, QDQ ONNX

onnxruntime computes these files in float: each layer between DequantizeLinear and QuantizeLinear, rounded once, half to
even; CMSIS-NN rounds every layer in integers, twice. On equal inputs each layer is at most one code off, in 2 of 100
codes at most, means in 10 (`tests/frontends/test_onnx_published.py`); over a network that adds up.

| file | inputs | codes | differ | equal | at most by | other labels |
|---|---:|---:|---:|---:|---:|---:|
"""
_FLOATS = """
## Float files

The largest difference between logits over {inputs} standard normal inputs, to the largest logit; {tolerance:g} is the
limit. Keras files: of TensorFlow's conversion. A dynamic-range file is not judged: LiteRT rounds its activations to 8
bits, from input to input anew, which here happens once, by calibration.

| file | against | largest relative error |
|---|---|---:|
"""
_FILES = """
## Every file

| file | becomes | ops | MACs | or why not |
|---|---|---:|---:|---|
"""


@dataclass(frozen=True, slots=True)
class Results:
    """All rows of the page."""

    ops: tuple[OpRow, ...]
    layers: tuple[OpRow, ...]
    tflite: tuple[NetworkRow, ...]
    qdq: tuple[NetworkRow, ...]
    floats: tuple[FloatRow, ...]
    files: tuple[ModelFile, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """What no known cause explains."""
        compared = [row.fault for row in (*self.ops, *self.layers)]
        compared += [row.fault for row in (*self.tflite, *self.qdq)]
        floats = [
            f"{row.name}: off by {row.error:.1e} of the largest logit, more than {TOLERANCE:g}"
            for row in self.floats
            if row.judged and not row.error <= TOLERANCE
        ]
        return (*(fault for fault in compared if fault is not None), *floats)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, writes the page, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="DIR", default=shared_data())
    try:
        versions = [f"{package} {_version(package)}" for package in PACKAGES]
        with tempfile.TemporaryDirectory(prefix="ptee-litert-") as scratch:
            results = measure(parser.parse_args(arguments).data, Path(scratch))
    except PteeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    PAGE.write_text(page(results, versions), encoding="utf-8")
    for fault in results.faults:
        print(f"error: {fault}", file=sys.stderr)
    return int(bool(results.faults))


def measure(data: Path, scratch: Path) -> Results:
    """Everything, over the files in `data`.

    Raises:
        DataError: where there are none.
        ToolMissingError: where a package that reads them is not installed.
    """
    if not any((data / folder).is_dir() for folder in FOLDERS):
        raise DataError(f"{data}: holds none of {' and '.join(FOLDERS)}", hint="name the folder by --data")
    real = real_inputs(data, INPUTS)
    files = tuple(_said(model_files(data, scratch), lambda found: f"{found.name}: {found.kind}"))
    int8 = [found for found in files if found.kind == "int8"]
    compared = [row for found in _said(int8, lambda found: found.name) for row in network_rows(found, INPUTS, real)]
    on_device = {row.name for row in compared if row.name.endswith(".tflite") and row.refused is None}
    return Results(
        ops=tuple(_said(op_rows(OP_NETWORKS, OP_INPUTS), lambda row: f"{row.title}: {row.apart.differing}")),
        layers=tuple(layer_rows([found.file for found in int8 if found.name in on_device], LAYER_INPUTS)),
        tflite=tuple(row for row in compared if row.name.endswith(".tflite")),
        qdq=tuple(row for row in compared if row.name.endswith(".onnx")),
        floats=tuple(
            float_row(found, FLOAT_INPUTS)
            for found in _said([f for f in files if f.kind.startswith("float")], lambda found: found.name)
        ),
        files=files,
    )


def page(results: Results, versions: Sequence[str]) -> str:
    """docs/benchmarks/litert.md."""
    differ = [row.title for row in results.ops if row.apart.differing]
    compared = sum(row.apart.compared for row in results.ops)
    summary = f"{compared:,} codes; all ops are equal but for {len(differ)}: {', '.join(differ)}."
    introduction = _INTRODUCTION.format(
        versions=", ".join(versions), networks=OP_NETWORKS, inputs=OP_INPUTS, summary=summary
    )
    return "".join(
        (
            introduction,
            *(f"| {row.title} | {', '.join(row.operators)} | {row.count} | {_apart(row)}|\n" for row in results.ops),
            _reasons(),
            _LAYERS.format(inputs=LAYER_INPUTS),
            *(f"| {row.title} | {row.count} | {_apart(row)}|\n" for row in results.layers),
            _NETWORKS,
            *map(_network, results.tflite),
            _QDQ,
            *map(_network, results.qdq),
            _FLOATS.format(inputs=FLOAT_INPUTS, tolerance=TOLERANCE),
            *map(_float, results.floats),
            _FILES,
            *map(_file, results.files),
        )
    )


def _reasons() -> str:
    known = "".join(f"- **{kind}**: {cause}.\n" for kind, cause in KNOWN.items())
    return (
        "\nKnown causes, with the reasons in [arithmetic.md](../arithmetic.md#where-tflites-own-kernels-differ);\n"
        f"any other fails the script:\n\n{known}"
    )


def _apart(row: OpRow) -> str:
    apart = row.apart
    why = f" {row.cause} " if row.cause else " "
    return f"{apart.compared:,} | {apart.differing:,} | {apart.largest} |{why}"


def _network(row: NetworkRow) -> str:
    if row.refused is not None:
        return f"| {row.name} | none: LiteRT refuses the file, {row.refused!r} | | | | | |\n"
    apart = row.apart
    share = 1 - apart.differing / apart.compared
    labels = "no labels" if row.labels is None else f"{row.labels}"
    return (
        f"| {row.name} | {row.inputs} {row.what} | {apart.compared:,} | {apart.differing:,} | {100 * share:.2f} % "
        f"| {apart.largest} | {labels} |\n"
    )


def _float(row: FloatRow) -> str:
    return f"| {row.name} | {row.yardstick} | {row.error:.1e}{'' if row.judged else ', dynamic range: not judged'} |\n"


def _file(found: ModelFile) -> str:
    if found.refused is not None:
        why = found.refused.replace("\n  hint: ", ". To do: ").replace("|", "\\|").replace("\n", " ")
        return f"| {found.name} | refused | | | {why} |\n"
    return f"| {found.name} | {found.kind} | {found.ops} | {found.macs:,} | |\n"


def _said(items: Iterable[Item], text: Callable[[Item], str]) -> Iterator[Item]:
    """Items, each told on standard error."""
    for item in items:
        print(text(item), file=sys.stderr, flush=True)
        yield item


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ToolMissingError(f"comparing needs {package}", hint=f"pip install {package}") from error


if __name__ == "__main__":
    sys.exit(main())
