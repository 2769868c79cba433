"""Thumb and Thumb-2 instructions as the classes that differ in time, decoded from their bits.

Disassemblers do not know all of them: binutils 2.40 prints MVE as coprocessor instructions.
Source: Armv8-M Architecture Reference Manual (DDI0553), chapter C2.3, top level encoding; Armv7-M (DDI0403), A5.
"""

from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """What an instruction is as far as its time goes."""

    ALU = auto()  # data processing in one pass: moves, adds, shifts, extracts, saturation, parallel adds
    MUL = auto()  # 32 x 32 bits to 32
    MLA = auto()  # the same with an addition or subtraction
    MUL_LONG = auto()  # to 64 bits
    MLA_LONG = auto()
    DSP_MAC = auto()  # products of halves, of the upper words, sums of absolute differences
    DIV = auto()
    LOAD = auto()  # one register of up to 32 bits, vldr of one single-precision register too
    LOAD_DUAL = auto()  # two registers, or one of double precision
    LOAD_MULTIPLE = auto()  # ldm, pop, vldm, vpop
    STORE = auto()
    STORE_DUAL = auto()
    STORE_MULTIPLE = auto()
    BRANCH = auto()
    BRANCH_CONDITIONAL = auto()
    BRANCH_COMPARE = auto()  # cbz, cbnz
    BRANCH_REGISTER = auto()  # bx, mov and add to pc
    BRANCH_TABLE = auto()
    CALL = auto()  # bl, blx
    LOOP_START = auto()  # dls, wls and what else prepares a low-overhead loop
    LOOP_END = auto()
    IT = auto()
    SYSTEM = auto()  # hints, barriers, special registers, exceptions, other coprocessors
    FP = auto()
    FP_MAC = auto()
    FP_DIV = auto()  # division and square root
    MVE = auto()
    MVE_LOAD = auto()
    MVE_STORE = auto()


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction. `words`: registers that one of the multiple kinds moves, in words of 32 bits.

    `loaded`: number of the core register that a load writes last, None where it writes none. `reads`: core registers
    it needs, a bit each.
    """

    kind: Kind
    nbytes: int
    reads: int = 0
    loaded: int | None = None
    words: int = 0


_PC = 15
_SP = 13


def decode(code: bytes) -> tuple[Instruction, ...]:
    """The instructions of `code`, which begins with one and ends with one."""
    found = []
    at = 0
    while at < len(code):
        first = int.from_bytes(code[at : at + 2], "little")
        if first >> 11 < 0b11101:
            found.append(_narrow(first))
        else:
            found.append(_wide(first, int.from_bytes(code[at + 2 : at + 4], "little")))
        at += found[-1].nbytes
    return tuple(found)


def _bits(*registers: int) -> int:
    mask = 0
    for register in registers:
        mask |= 1 << register
    return mask & 0x7FFF  # the program counter is never waited for


def _narrow(h: int) -> Instruction:  # noqa: C901, PLR0911, PLR0912 - one line per row of the manual's table
    low, middle, high, wide = h & 7, h >> 3 & 7, h >> 6 & 7, h >> 8 & 7
    top = h >> 11
    if top < 0b00011:  # shifts by a constant
        return Instruction(Kind.ALU, 2, _bits(middle))
    if top == 0b00011:
        return Instruction(Kind.ALU, 2, _bits(middle) if h & 0x400 else _bits(middle, high))
    if top < 0b01000:
        return Instruction(Kind.ALU, 2, 0 if top == 0b00100 else _bits(wide))
    if h >> 10 == 0b010000:
        operation = h >> 6 & 15
        kind = Kind.MUL if operation == 13 else Kind.ALU
        return Instruction(kind, 2, _bits(middle) if operation in {9, 15} else _bits(low, middle))
    if h >> 10 == 0b010001:
        return _high_registers(h)
    if top == 0b01001:
        return Instruction(Kind.LOAD, 2, 0, wide)
    if h >> 12 == 0b0101:
        if h >> 9 & 7 < 3:
            return Instruction(Kind.STORE, 2, _bits(low, middle, high))
        return Instruction(Kind.LOAD, 2, _bits(middle, high), low)
    if 0b01100 <= top <= 0b10001:
        if top & 1:
            return Instruction(Kind.LOAD, 2, _bits(middle), low)
        return Instruction(Kind.STORE, 2, _bits(low, middle))
    if top == 0b10010:
        return Instruction(Kind.STORE, 2, _bits(wide, _SP))
    if top == 0b10011:
        return Instruction(Kind.LOAD, 2, _bits(_SP), wide)
    if h >> 12 == 0b1010:
        return Instruction(Kind.ALU, 2, _bits(_SP) if h & 0x800 else 0)
    if h >> 12 == 0b1011:
        return _miscellaneous(h)
    if h >> 12 == 0b1100:
        words = (h & 0xFF).bit_count()
        if h & 0x800:
            return Instruction(Kind.LOAD_MULTIPLE, 2, _bits(wide), (h & 0xFF).bit_length() - 1, words)
        return Instruction(Kind.STORE_MULTIPLE, 2, _bits(wide) | h & 0xFF, None, words)
    if h >> 12 == 0b1101:
        return Instruction(Kind.SYSTEM if h >> 8 & 15 >= 14 else Kind.BRANCH_CONDITIONAL, 2)
    return Instruction(Kind.BRANCH, 2)


def _high_registers(h: int) -> Instruction:
    target, source = h & 7 | h >> 4 & 8, h >> 3 & 15
    operation = h >> 8 & 3
    if operation == 3:
        return Instruction(Kind.CALL if h & 0x80 else Kind.BRANCH_REGISTER, 2, _bits(source))
    kind = Kind.BRANCH_REGISTER if target == _PC and operation != 1 else Kind.ALU
    return Instruction(kind, 2, _bits(source) if operation == 2 else _bits(source, target))


def _miscellaneous(h: int) -> Instruction:
    part = h >> 8 & 15
    if part == 0:
        return Instruction(Kind.ALU, 2, _bits(_SP))
    if part & 5 == 1:
        return Instruction(Kind.BRANCH_COMPARE, 2, _bits(h & 7))
    if part in {2, 10}:  # extensions, byte reversals
        return Instruction(Kind.ALU, 2, _bits(h >> 3 & 7))
    if part in {4, 5}:
        stored = h & 0xFF | (h & 0x100) << 6
        return Instruction(Kind.STORE_MULTIPLE, 2, stored | _bits(_SP), None, stored.bit_count())
    if part in {12, 13}:
        loaded = h & 0xFF | (h & 0x100) << 7
        return Instruction(Kind.LOAD_MULTIPLE, 2, _bits(_SP), loaded.bit_length() - 1, loaded.bit_count())
    return Instruction(Kind.IT if part == 15 and h & 15 else Kind.SYSTEM, 2)


def _wide(h: int, k: int) -> Instruction:  # noqa: PLR0911 - as above
    if h >> 8 & 0xEF == 0xEF:  # data processing of MVE, where other cores have none
        return Instruction(Kind.MVE, 4)
    if h >> 10 & 3 == 3:
        return _coprocessor(h, k)
    if h >> 11 == 0b11101:
        if h >> 9 & 1:  # shifted register
            first = h & 15
            return Instruction(Kind.ALU, 4, _bits(first, k & 15))
        return _dual_or_exclusive(h, k) if h & 0x40 else _multiple(h, k)
    if h >> 11 == 0b11110:
        return _branch_or_system(h, k) if k & 0x8000 else _immediate(h, k)
    if h >> 9 & 3 == 0:
        return _single(h, k)
    if h >> 8 & 3 == 2:  # shifts by a register, extensions, parallel adds, bit reversal
        return Instruction(Kind.ALU, 4, _bits(h & 15, k & 15))
    return _multiply(h, k)


def _multiple(h: int, k: int) -> Instruction:
    base = h & 15
    if h >> 7 & 3 in {0, 3}:  # security gateway and others
        return Instruction(Kind.SYSTEM, 4)
    if h & 0x10:
        return Instruction(Kind.LOAD_MULTIPLE, 4, _bits(base), k.bit_length() - 1, k.bit_count())
    return Instruction(Kind.STORE_MULTIPLE, 4, _bits(base) | k & 0x7FFF, None, k.bit_count())


def _dual_or_exclusive(h: int, k: int) -> Instruction:
    base, first, second = h & 15, k >> 12, k >> 8 & 15
    load = bool(h & 0x10)
    if h & 0x120:
        if load:
            return Instruction(Kind.LOAD_DUAL, 4, _bits(base), second, 2)
        return Instruction(Kind.STORE_DUAL, 4, _bits(base, first, second), None, 2)
    if h & 0x80 and load and k >> 5 & 7 == 0:
        return Instruction(Kind.BRANCH_TABLE, 4, _bits(base, k & 15))
    if not h & 0x80 and not load and first == _PC:  # test target
        return Instruction(Kind.SYSTEM, 4)
    if load:
        return Instruction(Kind.LOAD, 4, _bits(base), first)
    return Instruction(Kind.STORE, 4, _bits(base, first))


def _immediate(h: int, k: int) -> Instruction:
    source, target = h & 15, k >> 8 & 15
    if not h & 0x200:  # modified constant; moves have no source
        return Instruction(Kind.ALU, 4, _bits(source))
    operation = h >> 4 & 31
    if operation == 0b00100:  # movw
        return Instruction(Kind.ALU, 4)
    if operation == 0b01100:  # movt
        return Instruction(Kind.ALU, 4, _bits(target))
    if operation == 0b10110:  # bfi, bfc
        return Instruction(Kind.ALU, 4, _bits(source, target))
    return Instruction(Kind.ALU, 4, _bits(source))


def _branch_or_system(h: int, k: int) -> Instruction:
    link, always = bool(k & 0x4000), bool(k & 0x1000)
    if link and always:
        return Instruction(Kind.CALL, 4)
    if always:
        return Instruction(Kind.BRANCH, 4)
    if link:  # low-overhead loops; le and letp jump back
        end = h >> 4 & 0xFF in {0x00, 0x01, 0x02} and h & 15 == _PC and not k & 0x2000
        return Instruction(Kind.LOOP_END if end else Kind.LOOP_START, 4, 0 if h & 15 == _PC else _bits(h & 15))
    if h >> 7 & 7 != 7:
        return Instruction(Kind.BRANCH_CONDITIONAL, 4)
    return Instruction(Kind.SYSTEM, 4, _bits(h & 15) if h & 0x60 == 0 else 0)


def _single(h: int, k: int) -> Instruction:
    base, register = h & 15, k >> 12
    indexed = not h & 0x80 and k & 0xFC0 == 0 and base != _PC
    reads = _bits(base, k & 15) if indexed else _bits(base)
    if not h & 0x10:
        return Instruction(Kind.STORE, 4, reads | _bits(register))
    if register == _PC and h >> 5 & 3 != 2:  # a hint to load
        return Instruction(Kind.SYSTEM, 4, reads)
    return Instruction(Kind.LOAD, 4, reads, register)


def _multiply(h: int, k: int) -> Instruction:
    operation, first, second, third = h >> 4 & 7, h & 15, k & 15, k >> 12
    if not h & 0x80:
        reads = _bits(first, second, third)
        if operation:
            return Instruction(Kind.DSP_MAC, 4, reads)
        return Instruction(Kind.MUL if third == _PC else Kind.MLA, 4, reads)
    if operation in {1, 3}:
        return Instruction(Kind.DIV, 4, _bits(first, second))
    if operation in {0, 2}:
        return Instruction(Kind.MUL_LONG, 4, _bits(first, second))
    halves = k >> 6 & 3 and not (operation == 6 and k >> 4 & 15 == 6)
    return Instruction(Kind.DSP_MAC if halves else Kind.MLA_LONG, 4, _bits(first, second, third, k >> 8 & 15))


def _coprocessor(h: int, k: int) -> Instruction:  # noqa: PLR0911 - as above
    number = k >> 8 & 15
    memory = h >> 9 & 7 == 0b110  # loads and stores, transfers of two registers
    load, base = bool(h & 0x10), h & 15
    if memory and h & 0x1A0 == 0:
        return Instruction(Kind.FP if number in {10, 11} else Kind.MVE, 4, 0 if load else _bits(base, k >> 12))
    if number in {14, 15} or (number == 8 and h >> 12 == 15):
        if memory and number != 8:
            return Instruction(Kind.MVE_LOAD if load else Kind.MVE_STORE, 4, _bits(base))
        return Instruction(Kind.MVE, 4)
    if number not in {10, 11}:
        return Instruction(Kind.SYSTEM, 4)
    if memory:
        if h & 0x120 == 0x100:
            dual = number == 11
            kinds = ((Kind.STORE, Kind.STORE_DUAL), (Kind.LOAD, Kind.LOAD_DUAL))
            return Instruction(kinds[load][dual], 4, _bits(base), None, 2 if dual else 0)
        return Instruction(Kind.LOAD_MULTIPLE if load else Kind.STORE_MULTIPLE, 4, _bits(base), None, k & 0xFF)
    if k & 0x10:
        return Instruction(Kind.FP, 4, 0 if load else _bits(k >> 12))
    return Instruction(_fp_arithmetic(h, k), 4)


def _fp_arithmetic(h: int, k: int) -> Kind:
    operation = h >> 4 & 0b1011
    if h >> 12 == 15:  # selections, roundings, extrema
        return Kind.FP
    if operation in {0, 1, 9, 10}:
        return Kind.FP_MAC
    root = operation == 11 and h & 15 == 1 and k >> 6 & 3 == 3
    return Kind.FP_DIV if operation == 8 or root else Kind.FP
