"""What is wrong in a TOML file, in words: pydantic's findings with the nearest known key."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, root: type[BaseModel]) -> str:
    """All findings of `error`, raised by `root`, in one line."""
    return "; ".join(_one(root, item["loc"], item["type"], item["msg"]) for item in error.errors())


def did_you_mean(word: str, known: list[str]) -> str:
    """A question for the nearest of `known`, or all of them where none is near."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"


def _one(root: type[BaseModel], location: tuple[int | str, ...], kind: str, message: str) -> str:
    place = ".".join(map(str, location))
    if kind == "extra_forbidden":
        return f"unknown key {place!r}; {did_you_mean(str(location[-1]), _known_keys(root, location[:-1]))}"
    if kind == "missing":
        return f"{place} is missing"
    if kind == "string_pattern_mismatch":
        return f"{place} must be a C identifier in lower case (a-z, 0-9, _)"
    if kind == "value_error":
        return ": ".join(filter(None, (place, message.removeprefix("Value error, "))))
    return f"{place}: {re.sub('^Input', 'the value', message)}"


def _known_keys(root: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    model = root
    for part in location:
        if isinstance(part, str):  # a number is a place in a list, whose items the annotation names already
            model = next(_models(model.model_fields[part].annotation))
    return sorted(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation such as `list[Model] | None` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
