"""Boards by name or file, and the smallest that fits."""

from importlib.resources import files
from pathlib import Path

from ptee_mcu.board_file import parse
from ptee_mcu.errors import ConfigError
from ptee_mcu.explain import did_you_mean
from ptee_mcu.isa import Isa
from ptee_mcu.target import Target, total


def names() -> tuple[str, ...]:
    """Names of the boards that ship with the package."""
    folder = files("ptee_mcu.targets")
    return tuple(sorted(item.name.removesuffix(".toml") for item in folder.iterdir() if item.name.endswith(".toml")))


def load(name: str) -> Target:
    """The board called `name`, or described by the TOML file at that path.

    Raises:
        ConfigError: where there is no such board or its file is not valid.
    """
    if name.endswith(".toml"):
        return parse(_read(name), Path(name).stem)
    known = names()
    if name not in known:
        raise ConfigError(
            f"no board is called {name!r}; {did_you_mean(name, list(known))}",
            hint=f"known boards: {', '.join(known)}; or a .toml path",
        )
    return parse(files("ptee_mcu.targets").joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)


def smallest_that_fits(flash_bytes: int, ram_bytes: int, *, isa: Isa | None = None) -> Target | None:
    """The listed board with the least memory that holds both, on a core with `isa` where given; None where none does.

    They must fit the memory that holds the code and the one that holds the arena. Boards that only an emulator has are
    left out: nobody can buy them.
    """
    fitting = [
        board
        for board in map(load, names())
        if not board.emulated_only
        and isa in (None, board.isa)
        and board.code_region.nbytes >= flash_bytes
        and board.main_ram.nbytes >= ram_bytes
    ]
    return min(fitting, key=lambda board: total(board.regions), default=None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"target file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"target file {path} cannot be read: {error}") from error
