"""Errors a user can cause: each says where, how much, what the limit is and what to do."""


class PteeError(Exception):
    """A fault in what the user gave; shown without a traceback, exit code 2.

    Args:
        message: place, number and limit.
        hint: one thing to do about it.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n  hint: {self.hint}" if self.hint else message


class ConfigError(PteeError):
    """A config file that cannot be used: unknown key, wrong type, missing file."""


class DataError(PteeError):
    """Data or labels that cannot be used: wrong shape, range, NaN, empty."""


class SplitError(PteeError):
    """A split used for what it may not serve, such as choosing thresholds on images the backbone has seen."""


class ModelError(PteeError):
    """A network or its weights that cannot be used."""


class UnsupportedOpError(PteeError):
    """An operation that has no counterpart here."""


class QuantizationError(PteeError):
    """A tensor or accumulator that int8 arithmetic cannot hold."""


class DoesNotFitError(PteeError):
    """More memory is needed than a target has."""


class BudgetError(PteeError):
    """A network that takes more of its board than its budget allows."""


class ToolMissingError(PteeError):
    """A compiler, emulator or optional package that is not installed."""


class FirmwareError(PteeError):
    """A compile, link or run of generated C that failed."""


class VerifyError(PteeError):
    """A stage made a value that breaks its own contract: a fault of this program."""
