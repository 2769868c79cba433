"""The decoder against binutils: by objdump's mnemonics in real code, by the assembler's input for MVE."""

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.tools import require

from ptee_mcu.cycles.thumb import Instruction, Kind, decode
from ptee_mcu.firmware import build, cmsis_nn
from ptee_mcu.firmware.build import CSources
from ptee_mcu.firmware.machines import Machine, machine

_CONDITION = "(?:eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
# Mnemonics without condition and width; the first that matches whole holds.
_KINDS = (
    (Kind.IT, r"it[te]*"),
    (Kind.CALL, r"blx?"),
    (Kind.BRANCH_REGISTER, r"bx"),
    (Kind.BRANCH_TABLE, r"tb[bh]"),
    (Kind.BRANCH_COMPARE, r"cbn?z"),
    (Kind.DIV, r"[su]div"),
    (Kind.MUL, r"muls?"),
    (Kind.MLA, r"ml[as]"),
    (Kind.MUL_LONG, r"[su]mull"),
    (Kind.MLA_LONG, r"[su]mlal|umaal"),
    (Kind.DSP_MAC, r"sml[as]l?dx?|smu[as]dx?|smlal?[bt][bt]|smul[bt][bt]|sm(ul|la)w[bt]|smm(ul|la|ls)r?|usada?8"),
    (Kind.LOAD_DUAL, r"ldrd"),
    (Kind.STORE_DUAL, r"strd"),
    (Kind.LOAD_MULTIPLE, r"ldm(ia|db|fd|ea)?|pop|vldm(ia|db)?|vpop"),
    (Kind.STORE_MULTIPLE, r"stm(ia|db|fd|ea)?|push|vstm(ia|db)?|vpush"),
    (Kind.LOAD, r"ldr(s?[bh])?t?|ldrex[bh]?|lda(ex)?[bh]?"),
    (Kind.STORE, r"str[bh]?t?|strex[bh]?|stl(ex)?[bh]?"),
    (Kind.FP_DIV, r"v(div|sqrt)\.f\d\d"),
    (Kind.FP_MAC, r"v(n?ml[as]|fn?m[as])\.f\d\d"),
    (Kind.FP, r"v(add|sub|n?mul|neg|abs|cmpe?|cvt[a-z]?|mov|mrs|msr|sel\w\w|rint\w|maxnm|minnm).*"),
    (Kind.SYSTEM, r"nop|wf[ei]|sev|yield|bkpt|svc|udf|dmb|dsb|isb|cps(id|ie)|mrs|msr|pld|pli|clrex|tta?t?|sg"),
    (
        Kind.ALU,
        r"(mov[wt]?|mvn|add|adc|sub|sbc|rsb|and|orr|orn|eor|bic|lsl|lsr|asr|ror|rrx|neg)s?|(add|sub)w|cmp|cmn|tst|teq|adr",
    ),
    (Kind.ALU, r"[su]xta?[bh](16)?|[su]bfx|bf[ic]|clz|rbit|rev(16|sh)?|[su]sat(16)?|pkh(bt|tb)|sel"),
    (Kind.ALU, r"([su]h?|q|uq)(add|sub)(8|16)|[su]h?(asx|sax)|q(d?add|d?sub|asx|sax)"),
)
_PATTERNS = tuple((kind, re.compile(f"(?:{text}){_CONDITION}")) for kind, text in _KINDS)
_NAMES = {"sp": 13, "lr": 14, "pc": 15, "ip": 12, "fp": 11, "sl": 10, "sb": 9}


@dataclass(frozen=True)
class Line:
    """An instruction as objdump prints it."""

    code: bytes
    mnemonic: str
    operands: str


def listed(path: Path) -> list[Line]:
    output = subprocess.run(["arm-none-eabi-objdump", "-d", path], capture_output=True, text=True, check=True).stdout
    found = []
    for line in output.splitlines():
        match = re.fullmatch(r"\s*[0-9a-f]+:\s+([0-9a-f]{4}(?: [0-9a-f]{4})?)\s+\t(\S+)\s*([^;@]*).*", line)
        if match and not match[2].startswith("."):
            halves = match[1].split()
            code = b"".join(int(half, 16).to_bytes(2, "little") for half in halves)
            nop = code == b"\xc0\x46"  # what Armv6-M has as nop
            name, operands = ("mov", "r8, r8") if nop else (re.sub(r"\.[nw]$", "", match[2]), match[3].strip())
            found.append(Line(code, name, operands))
    return found


def by_mnemonic(line: Line) -> Kind:
    name, operands = line.mnemonic, line.operands
    if re.fullmatch(rf"b{_CONDITION}", name):
        return Kind.BRANCH if name == "b" else Kind.BRANCH_CONDITIONAL
    if name.startswith(("vldr", "vstr")):
        kinds = (Kind.LOAD, Kind.LOAD_DUAL) if name.startswith("vldr") else (Kind.STORE, Kind.STORE_DUAL)
        return kinds[operands.startswith("d")]
    if name.startswith(("mov", "add")) and operands.startswith("pc"):
        return Kind.BRANCH_REGISTER
    if re.fullmatch(r"ldr\w*", name) and operands.startswith("pc") and name[3:4] in {"b", "h", "s"}:
        return Kind.SYSTEM
    return next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(name)), Kind.MVE)


def registers(text: str) -> list[int]:
    found: list[int] = []
    for low, high in re.findall(r"\b(r\d+|sp|lr|pc|ip|fp|sl|sb)\b(?:-(r\d+))?", text):
        first = _NAMES.get(low, -1) if low in _NAMES else int(low[1:])
        found += range(first, int(high[1:]) + 1) if high else [first]
    return found


def loaded(line: Line, kind: Kind) -> int | None:
    """The core register that a load writes last, from its operands."""
    if kind is Kind.LOAD and not line.mnemonic.startswith("v"):
        return registers(line.operands)[0]
    if kind is Kind.LOAD_DUAL and not line.mnemonic.startswith("v"):
        return registers(line.operands)[1]
    if kind is Kind.LOAD_MULTIPLE and not line.mnemonic.startswith("v"):
        return max(registers(line.operands.split("{")[1]))
    return None


def words(line: Line) -> int:
    """Registers between the braces, in words."""
    inside = line.operands.split("{")[1]
    if not line.mnemonic.startswith("v"):
        return len(registers(inside))
    first, *last = re.findall(r"[sd](\d+)", inside)
    return (int(last[-1] if last else first) - int(first) + 1) * (2 if inside.startswith("d") else 1)


def needed(line: Line, kind: Kind) -> set[int] | None:  # noqa: PLR0911 - one line per way operands are written
    """The core registers that an instruction reads, from its operands; None where they do not say."""
    name, found = line.mnemonic, registers(line.operands)
    if name.startswith("v") or kind in {Kind.SYSTEM, Kind.IT, Kind.CALL, Kind.BRANCH_REGISTER, Kind.MVE}:
        return None
    if kind in {Kind.LOAD, Kind.LOAD_DUAL} or name.startswith(("strex", "stlex")):
        if name.startswith(("str", "stl")):
            return set(found[1:]) - {15}
        return set(found[2 if kind is Kind.LOAD_DUAL else 1 :]) - {15}
    if kind is Kind.LOAD_MULTIPLE:
        return {13} if name == "pop" else {found[0]}
    if name == "push":
        return {13, *found}
    if kind in {Kind.STORE, Kind.STORE_DUAL, Kind.STORE_MULTIPLE, Kind.BRANCH_COMPARE, Kind.BRANCH_TABLE}:
        return set(found) - {15}
    if kind in {Kind.MUL_LONG, Kind.DIV} or re.match(r"(cmp|cmn|tst|teq)", name):
        return set(found[2:] if kind is Kind.MUL_LONG else found[1:] if kind is Kind.DIV else found) - {15}
    if kind is Kind.MLA_LONG or re.match(r"sml[as]l|bfi|bfc|movt", name):
        return set(found) - {15}
    if re.match(r"(mov|mvn|sxt|uxt|clz|rbit|rev|adr|[su]sat|[su]bfx|rsb|neg)", name) or len(found) > 2:
        return set(found[1:]) - {15}
    # Two operands, the first both source and target; with a constant as third it is target only.
    return set(found[1:] if line.operands.count(",") == 2 else found) - {15}


def firmware(folder: Path, on: Machine, flags: tuple[str, ...]) -> list[Line]:
    """Everything in a program that calls every CMSIS-NN kernel there is, with the C library's parts."""
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump", "cmsis-nn")
    names = ("arm_convolve_wrapper_s8", "arm_depthwise_conv_wrapper_s8", "arm_fully_connected_s8", "arm_avgpool_s8")
    found = cmsis_nn.sources_for({*names, "arm_max_pool_s8"})
    sources = folder / "cmsis_nn"
    for name, content in found.files.items():
        (sources / name).parent.mkdir(parents=True, exist_ok=True)
        (sources / name).write_bytes(content)
    calls = "".join(f"extern void {name}(void);\n" for name in names)
    (folder / "main.c").write_text(
        f"{calls}\nint main(void);\nint main(void) {{ {' '.join(f'{name}();' for name in names)} return 0; }}\n"
    )
    sums = (
        "double over(double a, float b); double over(double a, float b) { return a / (double)b + (double)(b * b); }\n"
    )
    (folder / "sums.c").write_text(sums)
    own = CSources(
        own=(folder / "main.c", folder / "sums.c"),
        third_party=tuple(sorted(sources.rglob("*.c"))),
        third_party_include_dirs=(sources / "Include", sources / "Core" / "Include"),
    )
    elf = build.compile_arm(own, folder / "all.elf", machine=replace(on, flags=flags))
    return listed(elf)


CORES = {
    "cortex-m4": ("mps2-an386", ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")),
    "cortex-m33": ("mps2-an505", ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16")),
    "cortex-m0plus": ("mps2-an385", ("-mcpu=cortex-m0plus", "-mfloat-abi=soft")),
}


@pytest.mark.parametrize("core", CORES)
def test_every_instruction_of_a_firmware_is_what_the_disassembler_says(core: str, tmp_path: Path) -> None:
    name, flags = CORES[core]
    lines = firmware(tmp_path, machine(name), flags)
    assert len(lines) > 2000
    wrong = []
    for line in lines:
        (found,) = decode(line.code)
        kind = by_mnemonic(line)
        expected = (kind, loaded(line, kind), words(line) if "multiple" in kind.name.lower() else None)
        got = (found.kind, found.loaded, found.words if expected[2] is not None else None)
        reads = needed(line, kind)
        if got != expected or (reads is not None and found.reads != sum(1 << r for r in reads)):
            wrong.append((line, expected, reads, found))
    assert not wrong, f"{len(wrong)} of {len(lines)}: {wrong[:5]}"


MVE = {
    Kind.MVE_LOAD: (
        "vldrw.u32 q0, [r0]", "vldrw.u32 q0, [r0], #16", "vldrb.s8 q1, [r2], #16", "vldrb.s16 q1, [r2, #8]",
        "vldrh.s32 q3, [r4, #-8]!", "vldrb.u8 q0, [r0, q1]", "vldrw.u32 q0, [q1, #4]", "vld20.8 {q0, q1}, [r0]",
        "vld43.32 {q0, q1, q2, q3}, [r3]!", "vldrw.u32 q0, [r1, q2, uxtw #2]",
    ),
    Kind.MVE_STORE: (
        "vstrw.32 q0, [r0], #16", "vstrb.32 q1, [r2], #4", "vstrb.8 q0, [r1]", "vstrh.16 q0, [r0, q1]",
        "vst20.8 {q0, q1}, [r0]",
    ),
    Kind.MVE: (
        "vmladava.s8 r0, q0, q1", "vmladava.s16 r2, q0, q1", "vmlaldava.s16 r0, r1, q0, q1", "vaddva.s8 lr, q0",
        "vadd.i32 q0, q1, q2", "vadd.i32 q0, q1, r2", "vmul.i32 q0, q0, q1", "vqrdmulh.s32 q0, q1, r3",
        "vqrdmulh.s32 q0, q1, q2", "vrshl.s32 q0, q0, q1", "vmax.s32 q0, q0, q1", "vpst\n vaddt.i32 q0, q0, q1",
        "vdup.32 q0, r1", "vmovnb.i16 q0, q1", "vmov.i32 q0, #0", "vcmp.s8 gt, q0, q1", "vpsel q0, q1, q2",
        "vmov q0[2], q0[0], r0, r1", "vmov r0, r1, q0[2], q0[0]", "vshlc q0, r0, #8", "vmlas.s8 q0, q1, r3",
        "vidup.u32 q0, r2, #1", "vqmovnb.s32 q0, q1",
    ),
    Kind.LOOP_START: ("dls lr, r0", "wls lr, r0, 1f", "dlstp.8 lr, r0", "wlstp.8 lr, r3, 1f", "vctp.8 r1"),
    Kind.LOOP_END: ("le lr, start", "letp lr, start", "le start"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MVE, ids=lambda kind: kind.name)
def test_vector_instructions_are_known_by_their_bits(kind: Kind, tmp_path: Path) -> None:
    require("arm-none-eabi-gcc", "arm-none-eabi-objdump")
    lines = "\n".join(MVE[kind])
    (tmp_path / "mve.S").write_text(f".syntax unified\n.thumb\nstart:\nnop\n{lines}\n1:\n")
    flags = ["-mcpu=cortex-m55", "-mfloat-abi=hard", "-mthumb", "-c", "mve.S", "-o", "mve.o"]
    subprocess.run(["arm-none-eabi-gcc", *flags], cwd=tmp_path, check=True)
    copy = ["arm-none-eabi-objcopy", "-O", "binary", "-j", ".text", "mve.o", "mve.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    _, *found = decode((tmp_path / "mve.bin").read_bytes())
    assert len(found) == lines.count("\n") + 1
    # vdup and moves between lanes and core registers share the bits of the floating-point unit's.
    shared = {i for i, text in enumerate(lines.splitlines()) if text.startswith("vdup")}
    assert [one.kind for i, one in enumerate(found) if i not in shared] == [kind] * (len(found) - len(shared))
    assert all(found[i].kind is Kind.FP for i in shared)


EXAMPLES = {
    "ldr r0, [r1]": Instruction(Kind.LOAD, 2, 1 << 1, 0),
    "pop {r4-r6, pc}": Instruction(Kind.LOAD_MULTIPLE, 2, 1 << 13, 15, 4),
    "push {r0, lr}": Instruction(Kind.STORE_MULTIPLE, 2, 1 << 13 | 1 << 14 | 1, None, 2),
    "smlad r0, r1, r2, r3": Instruction(Kind.DSP_MAC, 4, 0b1110),
    "umlal r0, r1, r2, r3": Instruction(Kind.MLA_LONG, 4, 0b1111),
    "ldrd r0, r1, [r2], #8": Instruction(Kind.LOAD_DUAL, 4, 0b100, 1, 2),
    "vpush {d8-d9}": Instruction(Kind.STORE_MULTIPLE, 4, 1 << 13, None, 4),
    "sxtb16 r0, r1, ror #8": Instruction(Kind.ALU, 4, 0b10),
    "tbb [r0, r1]": Instruction(Kind.BRANCH_TABLE, 4, 0b11),
    "vsqrt.f32 s0, s1": Instruction(Kind.FP_DIV, 4),
    "vfma.f32 s0, s1, s2": Instruction(Kind.FP_MAC, 4),
    "ite eq": Instruction(Kind.IT, 2),
}


def test_examples_decode_to_kind_registers_and_words(tmp_path: Path) -> None:
    require("arm-none-eabi-gcc")
    pieces = [f"{text}\n" + ("moveq r0, r1\nmovne r0, r1\n" if text.startswith("it") else "") for text in EXAMPLES]
    (tmp_path / "some.S").write_text(".syntax unified\n.thumb\n" + "".join(pieces))
    flags = ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16", "-mthumb", "-c", "some.S", "-o", "some.o"]
    subprocess.run(["arm-none-eabi-gcc", *flags], cwd=tmp_path, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", "some.o", "some.bin"], cwd=tmp_path, check=True)
    found = decode((tmp_path / "some.bin").read_bytes())
    assert list(found[: len(EXAMPLES)]) == list(EXAMPLES.values())
