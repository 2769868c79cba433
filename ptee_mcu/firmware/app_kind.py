"""Which applications a bare project makes, and where their text goes; apart from `apps`, which links them."""

from enum import StrEnum


class App(StrEnum):
    """What is linked with the network."""

    SELFTEST = "selftest"
    MEASURE = "measure"


class Output(StrEnum):
    """Where its text goes."""

    SEMIHOSTING = "semihosting"
    UART = "uart"
