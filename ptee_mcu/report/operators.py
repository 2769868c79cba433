"""The table of supported operators, read from the code: float and int8 ops, the C they call, ops of each format."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files

from rich.markup import escape
from rich.table import Table

from ptee_mcu.frontends.registries import FORMATS, Support
from ptee_mcu.ops import OPS, QOPS
from ptee_mcu.ops.base import Op, QOp
from ptee_mcu.report.tables import plain_table

_CALLED = re.compile(r"\b(ptee_\w+)\(")
_KERNEL = re.compile(r"\barm_\w+")
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_Section = tuple[str, tuple[str, ...], Sequence[tuple[str, ...]]]  # title, headers, rows
_INTRO = """\
# Supported operators

Printed by `ptee-mcu ops --markdown` from the code; a test holds this page equal to it. `ptee-mcu inspect MODEL` says
which of them a model file uses. How to add one: [adding-an-op.md](adding-an-op.md).
"""


@dataclass(frozen=True, slots=True)
class FloatOp:
    """A float op: what it computes, and what it becomes in int8."""

    name: str
    does: str
    int8: str


@dataclass(frozen=True, slots=True)
class Int8Op:
    """An int8 op: what it computes, the functions of the run-time library that do it, the kernels these call."""

    name: str
    does: str
    c: tuple[str, ...]
    cmsis_nn: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operators:
    """All there are; `sources` by format, then by the format's own name of an op; None: its package is missing."""

    float_ops: tuple[FloatOp, ...]
    int8_ops: tuple[Int8Op, ...]
    sources: Mapping[str, Mapping[str, Support] | None]


def collect() -> Operators:
    """What the registries and docstrings of this installation say."""
    sources = {title: _installed(title) for title in FORMATS}
    return Operators(
        tuple(_float_op(name, op) for name, op in OPS.items()),
        tuple(_int8_op(name, op) for name, op in QOPS.items()),
        sources,
    )


def as_json(found: Operators) -> dict[str, object]:
    """All of it."""
    return {
        "float": [asdict(op) for op in found.float_ops],
        "int8": [asdict(op) for op in found.int8_ops],
        "formats": {
            title: None if known is None else {kind: asdict(support) for kind, support in known.items()}
            for title, known in found.sources.items()
        },
    }


def tables(found: Operators) -> Iterator[Table]:
    """For the terminal."""
    for title, headers, rows in _sections(found):
        table = plain_table(title)
        for header in headers:
            table.add_column(header, overflow="fold")
        for row in rows:
            table.add_row(*map(escape, row))
        yield table


def markdown(found: Operators) -> str:
    """The page docs/operators.md."""
    text = _INTRO
    for title, headers, rows in _sections(found):
        lines = [headers, ("---",) * len(headers), *rows]
        cells = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
        text += f"\n## {title}\n\n" + "\n".join(cells) + "\n"
    return text


def _sections(found: Operators) -> Iterator[_Section]:
    yield "Float operators", ("op", "what it is", "in int8"), [(o.name, o.does, o.int8) for o in found.float_ops]
    yield (
        "Int8 operators",
        ("op", "what it is", "run-time library", "CMSIS-NN"),
        [(o.name, o.does, ", ".join(o.c), ", ".join(o.cmsis_nn) or "none: own C") for o in found.int8_ops],
    )
    for title, known in found.sources.items():
        if known is None:
            continue
        if any(support.int8 for support in known.values()):
            rows = [(kind, _mark(s.float), _mark(s.int8), s.becomes) for kind, s in sorted(known.items())]
            yield f"From {title}", ("op", "float networks", "int8 networks", "becomes"), rows
        else:
            yield f"From {title}", ("op", "becomes"), [(kind, s.becomes) for kind, s in sorted(known.items())]


def _installed(title: str) -> Mapping[str, Support] | None:
    try:
        return FORMATS[title]()
    except ModuleNotFoundError:
        return None


def _float_op(name: str, op: type[Op]) -> FloatOp:
    int8 = _paragraphs(op.quantize)[0]
    return FloatOp(name, " ".join(_paragraphs(op)), "fused into its neighbours" if int8.startswith("Never") else int8)


def _int8_op(name: str, op: type[QOp]) -> Int8Op:
    called = list(dict.fromkeys(function for text in _templates(op.template) for function in _CALLED.findall(text)))
    kernels = dict.fromkeys(kernel for function in called for kernel in _kernels(function))
    return Int8Op(name, " ".join(_paragraphs(op)), tuple(called), tuple(kernels))


def _templates(stem: str) -> Iterator[str]:
    """The call of an op, then those of its variants: templates called as the op's with a word before."""
    taken = {op.template for op in QOPS.values()}
    for item in sorted(files("ptee_mcu.templates").joinpath("ops").iterdir(), key=lambda item: len(item.name)):
        name = item.name.removesuffix(".c.j2")
        if name == stem or (name.endswith(f"_{stem}") and name not in taken):
            yield item.read_text(encoding="utf-8").partition("macro call(c)")[2]


def _kernels(function: str) -> Iterable[str]:
    text = files("ptee_mcu.templates").joinpath("runtime", f"{function}.c").read_text(encoding="utf-8")
    found = _KERNEL.findall(_COMMENT.sub("", text))
    return (name for name in found if not name.startswith("arm_cmsis_nn") and not name.endswith("_get_buffer_size"))


def _paragraphs(thing: object) -> list[str]:
    """The docstring's, each on one line, up to the sections on sources and errors."""
    found = [" ".join(part.split()) for part in (inspect.getdoc(thing) or "").split("\n\n")]
    return [part for part in found if not part.startswith(("Raises:", "Source:", "Args:"))] or [""]


def _mark(supported: bool) -> str:  # noqa: FBT001 - a table's cell
    return "yes" if supported else "no"
