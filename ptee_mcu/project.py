"""A build on disk: the C library beside the plan it was emitted from and the images it was reported on."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ptee_mcu.artifacts import Artifacts
from ptee_mcu.errors import DataError, ModelError
from ptee_mcu.ops import QOPS, QOp
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quant_graph import verify_quant_graph
from ptee_mcu.report.summary import Report
from ptee_mcu.serialize import Encoded, Registry, decode, dumps, encode, loads
from ptee_mcu.tensor import Int8, UInt8

PLAN_JSON, PLAN_ARRAYS, INPUTS, REPORT = "plan.json", "plan.npz", "inputs.npz", "report.json"
_REGISTRY: Registry = {QOp: QOPS}


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Images with labels: uint8 pixels (N, H, W, C) where the network has a pixel table, else int8 codes (N, ...)."""

    x: UInt8 | Int8
    labels: npt.NDArray[np.int64] | None
    of: str  # which images, and what they were used for

    def head(self, count: int | None) -> "Inputs":
        """The first `count`, or all of them."""
        labels = None if self.labels is None else self.labels[:count]
        return Inputs(self.x[:count], labels, self.of)


@dataclass(frozen=True, slots=True, eq=False)
class Project:
    """What `build` wrote to `folder`."""

    folder: Path
    plan: Plan
    inputs: Inputs

    @property
    def name(self) -> str:
        """Name of the network and of its C library."""
        return self.plan.graph.name

    def codes(self, inputs: Inputs) -> Int8:
        """Input codes of `inputs`, through the pixel table where they are pixels."""
        if inputs.x.dtype == np.int8:
            return inputs.x.view(np.int8)
        return self.plan.graph.input_codes(inputs.x.view(np.uint8))


def with_project(artifacts: Artifacts, plan: Plan, inputs: Inputs, report: Report) -> Artifacts:
    """`artifacts` and what `load_project` needs."""
    encoded = encode(plan, _REGISTRY)
    stored: dict[str, npt.NDArray[Any]] = {"x": inputs.x, "of": np.array(inputs.of)}
    if inputs.labels is not None:
        stored["labels"] = inputs.labels
    return artifacts.with_files(
        {
            PLAN_JSON: dumps(encoded.data),
            PLAN_ARRAYS: _npz(encoded.arrays),
            INPUTS: _npz(stored),
            REPORT: dumps(report.as_json()),
        }
    )


def load_project(folder: Path) -> Project:
    """The build in `folder`, verified.

    Raises:
        ModelError: where `folder` holds no build, or a file of it is missing or damaged.
    """
    for name in (PLAN_JSON, PLAN_ARRAYS, INPUTS):
        if not (folder / name).is_file():
            raise ModelError(f"{folder} holds no build: {name} is missing", hint="ptee-mcu build CONFIG.toml --out OUT")
    structure = loads((folder / PLAN_JSON).read_text(encoding="utf-8"), str(folder / PLAN_JSON))
    plan = decode(Plan, Encoded(structure, _arrays(folder / PLAN_ARRAYS)), _REGISTRY)
    verify_quant_graph(plan.graph)
    verify_plan(plan)
    stored = _arrays(folder / INPUTS)
    inputs = Inputs(stored["x"], stored.get("labels"), str(stored["of"]))
    if inputs.x.shape[1:] != plan.graph.input_tensor.shape[1:]:
        raise DataError(f"{folder / INPUTS}: inputs of shape {inputs.x.shape[1:]} for another network")
    return Project(folder, plan, inputs)


def _npz(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The arrays as an .npz; numpy writes no dates, so equal arrays give equal bytes."""
    buffer = io.BytesIO()
    contiguous: dict[str, Any] = {key: np.asarray(value, order="C") for key, value in arrays.items()}
    np.savez_compressed(buffer, **contiguous)
    return buffer.getvalue()


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="build it again") from error
