"""Every model file of a folder as C: compiled as it is, compared with the simulator on the host and on a Cortex-M4.

    python benchmarks/model_files.py DIR [--inputs 8] [--board nucleo_l4r5zi]

Writes docs/benchmarks/model_files.md. A float file is calibrated on random inputs, which says nothing of its accuracy
and all of its C. Three minutes for 28 files. Exit code 1 where a byte differs, 2 where a tool is missing.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    # A script's own folder comes first on its path; the checkout is meant.
    sys.path[0] = str(ROOT)

from ptee_mcu.compare import Comparison, compare_project
from ptee_mcu.config import Config, of_model_file, with_target
from ptee_mcu.errors import PteeError, ToolMissingError
from ptee_mcu.frontends.load import LOADERS, load_model
from ptee_mcu.pipeline import build_file
from ptee_mcu.project import load_project
from ptee_mcu.report.console import Console

PAGE = ROOT / "docs" / "benchmarks" / "model_files.md"
PLACES = ("host", "qemu")
_HEAD = """\
# Third-party model files as C

Made by `python benchmarks/model_files.py DIR`, {inputs} random inputs a file, board {board}: every op's output and the
logits, simulator against host C (with sanitizers) and against the emulated Cortex-M4. Float files are calibrated on
random inputs: of no use, but their C must agree all the same. Beside LiteRT and onnxruntime: [litert.md](litert.md).

| file | becomes | ops | arena B | constants B | bytes compared | differing |
|---|---|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a file; all but `name` and `refused` are None where it was refused."""

    name: str
    refused: str | None = None
    kind: str = ""
    ops: int = 0
    arena_bytes: int = 0
    constant_bytes: int = 0
    compared: Comparison | None = None

    def line(self) -> str:
        """Its line of the table."""
        if self.compared is None:
            return f"| {self.name} | refused: {self.refused} | | | | | |\n"
        found = self.compared
        return (
            f"| {self.name} | {self.kind} | {self.ops} | {self.arena_bytes:,} | {self.constant_bytes:,} "
            f"| {found.bytes_compared:,} | {found.mismatched_bytes + found.mismatched_exits} |\n"
        )


def main() -> int:
    """Prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of model files, at any depth")
    parser.add_argument("--inputs", type=int, default=8)
    parser.add_argument("--board", default="nucleo_l4r5zi")
    given = parser.parse_args()
    try:
        rows = list(_rows(given.folder, given.board, given.inputs))
    except ToolMissingError as error:
        print(error, file=sys.stderr)
        return 2
    if not rows:
        print(f"{given.folder} holds no model file", file=sys.stderr)
        return 2
    text = _HEAD.format(inputs=given.inputs, board=given.board) + "".join(row.line() for row in rows)
    print(text)
    PAGE.write_text(text, encoding="utf-8")
    return int(any(row.compared is not None and not row.compared.equal for row in rows))


def _rows(folder: Path, board: str, inputs: int) -> Iterator[Row]:
    for path in sorted(path for path in folder.rglob("*") if path.suffix in LOADERS):
        name = path.relative_to(folder).as_posix()
        print(name, file=sys.stderr)
        with TemporaryDirectory() as work:
            try:
                yield _compiled(path, name, board, inputs, Path(work))
            except ToolMissingError:
                raise
            except PteeError as error:
                yield Row(name, refused=str(error).splitlines()[0].replace("|", "/"))


def _compiled(path: Path, name: str, board: str, inputs: int, work: Path) -> Row:
    imported, quiet = load_model(path), Console(quiet=True)
    calibration: Path | None = None
    if imported.quantized is None:
        assert imported.graph is not None
        calibration = work / "inputs.npy"
        shape = (max(inputs, 32), *imported.graph.input_shape[1:])
        np.save(calibration, np.random.default_rng(0).normal(size=shape).astype(np.float32))
    built = build_file(_config(path, calibration, board), beside=Path(), data=None, out=work / "out", console=quiet)
    plan = built.planned.plan
    compared = compare_project(load_project(work / "out"), PLACES, inputs, None, quiet)
    kind = "int8, its integers" if imported.quantized is not None else "int8, quantized here"
    return Row(name, None, kind, len(plan.graph.nodes), plan.arena_bytes, plan.weight_bytes, compared)


def _config(path: Path, calibration: Path | None, board: str) -> Config:
    asked = of_model_file(path, calibration)
    return with_target(asked, board=board, placement=None, project=None, cmsis_nn=None, crc=False, yield_every_op=False)


if __name__ == "__main__":
    sys.exit(main())
