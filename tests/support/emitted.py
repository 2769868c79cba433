"""Emitted networks as folders, as shared libraries, and in the harness."""

import ctypes
import subprocess
from ctypes import POINTER, c_bool, c_int, c_int8, c_int32, c_size_t, c_uint8, c_uint32, c_void_p
from pathlib import Path

import numpy as np
from support.tools import require

from ptee_mcu import boards
from ptee_mcu.emit import emit
from ptee_mcu.firmware import build
from ptee_mcu.plan.make import make_plan
from ptee_mcu.plan.plan import Plan, verify_plan
from ptee_mcu.quant_graph import QuantGraph
from ptee_mcu.tensor import Int8, UInt8

BOARD = "mps2_an386"


def planned(graph: QuantGraph) -> Plan:
    plan = make_plan(graph, boards.load(BOARD))
    verify_plan(plan)
    return plan


def written(plan: Plan, folder: Path, *, yield_every_op: bool = False) -> Path:
    """The emitted project in `folder`."""
    require("cmsis-nn")
    emit(plan, yield_every_op=yield_every_op).write(folder)
    return folder


class Result(ctypes.Structure):
    """NAME_result."""

    _fields_ = (
        ("logits", POINTER(c_int8)),
        ("exit", c_uint32),
        ("label", c_uint32),
        ("confidence", c_int32),
        ("fired", c_bool),
    )


class Library:
    """An emitted network as a shared library of the host; arenas, stages and contexts are the caller's, as in C.

    `more`: C files that are linked with it.
    """

    def __init__(self, plan: Plan, folder: Path, *more: Path, yield_every_op: bool = False) -> None:
        require("gcc")
        name = plan.graph.name
        project = written(plan, folder / name, yield_every_op=yield_every_op)
        sources = build.sources_in(project)
        (folder / "arm_acle.h").touch()
        path = folder / f"lib{name}.so"
        includes = [f"-I{place}" for place in (*sources.include_dirs, *sources.third_party_include_dirs, folder)]
        files = [*map(str, sources.own), *map(str, sources.third_party), *map(str, more)]
        command = ["gcc", "-std=c11", "-O1", "-w", "-fPIC", "-shared", *includes, *files, "-o", str(path)]
        subprocess.run(command, check=True)
        library = ctypes.CDLL(str(path))
        self.plan = plan
        self.c = library
        buffers = (c_void_p, c_size_t) * (2 if plan.stage else 1)
        self.init = self._function(library, f"{name}_init", c_int, c_void_p, *buffers)
        self.input = self._function(library, f"{name}_input", POINTER(c_int8), c_void_p)
        self.run = self._function(library, f"{name}_run", c_int, c_void_p, POINTER(Result))
        self.step = self._function(library, f"{name}_step", c_int, c_void_p, POINTER(Result))
        self.set_threshold = self._function(library, f"{name}_set_threshold", c_int, c_void_p, c_uint32, c_int32)
        if len(plan.graph.exits) > 1:  # without early exits both are inline in the header
            self.set_operating_point = self._function(library, f"{name}_set_operating_point", c_int, c_void_p, c_uint32)
            self.operating_point = self._function(library, f"{name}_operating_point", c_int32, c_void_p)
        if plan.graph.preprocess is not None:
            self.input_u8 = self._function(library, f"{name}_input_u8", c_int, c_void_p, POINTER(c_uint8))

    @staticmethod
    def _function(library: ctypes.CDLL, name: str, result: type, *arguments: type) -> "ctypes._NamedFuncPointer":
        function = library[name]
        function.restype, function.argtypes = result, arguments
        return function


class Instance:
    """A context, an arena and, where the plan has one, a stage of `library`."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.context = ctypes.create_string_buffer(4096)  # more than 253 exits need
        self.memory = np.full(library.plan.arena_bytes + 64, 0xA5, dtype=np.uint8)
        start = -self.memory.ctypes.data % 16
        self.arena = self.memory[start : start + library.plan.arena_bytes]
        self.stage = np.full(library.plan.stage.nbytes if library.plan.stage else 0, 0xA5, dtype=np.uint8)
        self.result = Result()

    def init(self) -> int:
        buffers = [self.arena, self.stage] if self.library.plan.stage else [self.arena]
        return int(self.library.init(self.context, *(word for b in buffers for word in (b.ctypes.data, b.nbytes))))

    def give(self, codes: Int8) -> None:
        place = self.library.input(self.context)
        ctypes.memmove(place, np.ascontiguousarray(codes).ctypes.data, codes.nbytes)

    def give_pixels(self, pixels: UInt8) -> int:
        return int(self.library.input_u8(self.context, pixels.ctypes.data_as(POINTER(c_uint8))))

    def step(self) -> int:
        return int(self.library.step(self.context, ctypes.byref(self.result)))

    def run(self) -> int:
        return int(self.library.run(self.context, ctypes.byref(self.result)))

    def set_threshold(self, leave: int, value: int) -> int:
        return int(self.library.set_threshold(self.context, leave, value))

    def set_operating_point(self, point: int) -> int:
        return int(self.library.set_operating_point(self.context, point))

    @property
    def operating_point(self) -> int:
        return int(self.library.operating_point(self.context))

    def logits(self) -> list[int]:
        return [self.result.logits[i] for i in range(self.library.plan.graph.classes)]
