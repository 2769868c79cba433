"""Machines that QEMU emulates: compiler flags, memories and the clock of SysTick."""

from dataclasses import dataclass

from ptee_mcu.errors import FirmwareError
from ptee_mcu.isa import Isa

_KIB = 1024
_MIB = 1024 * _KIB


@dataclass(frozen=True, slots=True)
class Bank:
    """A memory of a machine; the emulator writes to every one."""

    base: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of qemu-system-arm with semihosting; the vector table lies at the start of its flash."""

    name: str  # of QEMU's -M
    cpu: str
    isa: Isa  # which kernels of CMSIS-NN `flags` choose
    flags: tuple[str, ...]  # architecture flags of arm-none-eabi-gcc
    flash_base: int
    flash_bytes: int
    ram_base: int
    ram_bytes: int
    clock_hz: int
    stack_bytes: int = 8192
    more: tuple[Bank, ...] = ()  # memories beside flash and RAM

    @property
    def banks(self) -> tuple[Bank, ...]:
        """Flash, RAM, then the others."""
        return (Bank(self.flash_base, self.flash_bytes), Bank(self.ram_base, self.ram_bytes), *self.more)


# Source: QEMU 7.2 hw/arm/mps2.c and mps2-tz.c (memory maps, SYSCLK); `more` is the 16 MB of PSRAM, on
# mps3-an547 the SRAM for code, the DTCM and the start of the DDR4; microbit.c and nrf51_soc.c; netduinoplus2.c and
# stm32f405_soc.c.
_MACHINES = (
    Machine(
        "microbit",
        "cortex-m0",
        Isa.SCALAR,
        ("-mcpu=cortex-m0", "-mfloat-abi=soft"),
        0,
        256 * _KIB,
        0x20000000,
        16 * _KIB,
        16_000_000,
        stack_bytes=2048,
    ),
    Machine(
        "mps2-an385",
        "cortex-m3",
        Isa.SCALAR,
        ("-mcpu=cortex-m3", "-mfloat-abi=soft"),
        0,
        4 * _MIB,
        0x20000000,
        4 * _MIB,
        25_000_000,
        more=(Bank(0x21000000, 16 * _MIB),),
    ),
    Machine(
        "mps2-an386",
        "cortex-m4",
        Isa.DSP,
        ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        0,
        4 * _MIB,
        0x20000000,
        4 * _MIB,
        25_000_000,
        more=(Bank(0x21000000, 16 * _MIB),),
    ),
    Machine(
        "mps2-an500",
        "cortex-m7",
        Isa.DSP,
        ("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
        0,
        4 * _MIB,
        0x20000000,
        4 * _MIB,
        25_000_000,
        more=(Bank(0x60000000, 16 * _MIB),),
    ),
    Machine(
        "mps2-an505",
        "cortex-m33",
        Isa.DSP,
        ("-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
        0x10000000,
        4 * _MIB,
        0x38000000,
        2 * _MIB,
        20_000_000,
        more=(Bank(0x80000000, 16 * _MIB),),
    ),
    Machine(
        "mps2-an521",
        "cortex-m33",
        Isa.SCALAR,
        ("-mcpu=cortex-m33+nodsp+nofp", "-mfloat-abi=soft"),
        0x10000000,
        4 * _MIB,
        0x38000000,
        2 * _MIB,
        20_000_000,
        more=(Bank(0x80000000, 16 * _MIB),),
    ),
    Machine(
        "mps3-an547",
        "cortex-m55",
        Isa.MVE,
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"),
        0,
        _MIB // 2,
        0x21000000,
        4 * _MIB,
        32_000_000,
        more=(Bank(0x01000000, 2 * _MIB), Bank(0x20000000, _MIB // 2), Bank(0x60000000, 16 * _MIB)),
    ),
    Machine(
        "netduinoplus2",
        "cortex-m4",
        Isa.DSP,
        ("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        0x08000000,
        _MIB,
        0x20000000,
        128 * _KIB,
        168_000_000,
    ),
)
MACHINES = {machine.name: machine for machine in _MACHINES}


def machine(name: str) -> Machine:
    """The machine called `name`.

    Raises:
        FirmwareError: where firmware cannot be linked for it.
    """
    if name not in MACHINES:
        raise FirmwareError(f"no emulated machine is called {name!r}", hint=f"known machines: {', '.join(MACHINES)}")
    return MACHINES[name]
