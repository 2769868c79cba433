"""Where training keeps what a killed run goes on from, and how much disk it may take."""

import shutil
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder for checkpoints and for features of the trunk, these within `budget` bytes per network.

    `device` is torch's name of what computes, "auto" for the fastest that is there. `keep`: everything stays for later
    builds; otherwise `discard` leaves nothing.
    """

    folder: Path
    budget: int = 8 * GIB
    device: str = "cpu"
    keep: bool = False

    def discard(self) -> None:
        """Removes the folder once the build is written, unless it is to be kept."""
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
