"""What torch computes on."""

import torch

from ptee_mcu.errors import ToolMissingError


def found_device(name: str) -> torch.device:
    """The device called `name`: cpu, cuda, cuda:1, mps, or with "auto" the first of cuda, mps and cpu that is there.

    Raises:
        ToolMissingError: where there is no such device, or this torch cannot use it.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, found in there.items() if found))
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        usable = ", ".join(kind for kind, found in there.items() if found)
        raise ToolMissingError(
            f"device {name!r} cannot be used: {str(error).splitlines()[0]}", hint=f"usable here: {usable}"
        ) from error
    return device
