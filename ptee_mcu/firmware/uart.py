"""UARTs that the bare project has a driver for: of emulated machines and of boards."""

from dataclasses import dataclass

from ptee_mcu.firmware.machines import Machine
from ptee_mcu.target import Target

_HSI_HZ = 16_000_000  # what an STM32F4 runs at after reset: ST RM0090, 7.2.2


@dataclass(frozen=True, slots=True)
class Uart:
    """A driver uart_*.c of the project, by the end of its name, and the macros it is compiled with.

    `driver` is None where the application brings its own uart_init, uart_putc and uart_getc.
    """

    driver: str | None
    defines: tuple[str, ...] = ()


NONE = Uart(None)


def _cmsdk(base: int, clock_hz: int) -> Uart:
    return Uart("cmsdk", (f"BOARD_UART_BASE={base:#010x}u", f"BOARD_UART_CLOCK_HZ={clock_hz}u"))


def _stm32f4(number: int) -> Uart:
    return Uart("stm32f4", (f"BOARD_UART_NUMBER={number}", f"BOARD_UART_CLOCK_HZ={_HSI_HZ}u"))


# The UART that is serial 0. Source: QEMU 7.2 hw/arm/mps2.c, mps2-tz.c (secure alias) and stm32f405_soc.c.
_OF_MACHINES = {
    "mps2-an385": _cmsdk(0x4000_4000, 25_000_000),
    "mps2-an386": _cmsdk(0x4000_4000, 25_000_000),
    "mps2-an500": _cmsdk(0x4000_4000, 25_000_000),
    "mps2-an505": _cmsdk(0x5020_0000, 20_000_000),
    "mps2-an521": _cmsdk(0x5020_0000, 20_000_000),
    "mps3-an547": _cmsdk(0x5930_3000, 32_000_000),
    "netduinoplus2": _stm32f4(1),
}
# Source: the consoles that the board files name.
_OF_BOARDS = {"netduino_plus_2": _stm32f4(1), "nucleo_f446re": _stm32f4(2)}


def of_machine(machine: Machine) -> Uart:
    """Serial 0 of `machine`; without a driver where there is none for it."""
    return _OF_MACHINES.get(machine.name, NONE)


def of_board(target: Target) -> Uart:
    """The console of `target`; without a driver where there is none for it."""
    if target.emulated_only and target.machine is not None:
        return _OF_MACHINES.get(target.machine, NONE)
    return _OF_BOARDS.get(target.name, NONE)
