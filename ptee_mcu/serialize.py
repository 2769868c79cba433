"""Frozen dataclasses as JSON values plus named arrays, and back: driven by type hints, never by pickle."""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from math import isfinite
from operator import index
from types import MappingProxyType, NoneType
from typing import Any, Literal, TypeAlias, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from ptee_mcu.errors import ModelError
from ptee_mcu.tensor import readonly

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Array: TypeAlias = npt.NDArray[Any]
Registry: TypeAlias = Mapping[type, Mapping[str, type]]  # abstract base to its concrete classes by tag

TAG = "class"  # a keyword, so no field can have this name
_HINT = "the file is damaged or was written by another release; build it again"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """A value as JSON; each array stands there as its key in `arrays`."""

    data: Json
    arrays: Mapping[str, Array]


def encode(value: object, registry: Registry | None = None) -> Encoded:
    """`value`, a dataclass, as JSON and arrays.

    Fields may be int, float (infinities too), str, bool, None, enums, Literals, tuples, mappings from str, arrays,
    dataclasses, unions of dataclasses (tagged by class name) and the registry's abstract bases (tagged by its names).
    An array is named by its path, a tuple's element there by its `name` where it has one; one array object that is
    reached twice is stored once.

    Raises:
        TypeError: where a field's type is none of these.
    """
    encoder = _Encoder(registry or {})
    data = encoder.encode(type(value), value, "")
    return Encoded(data, MappingProxyType(encoder.arrays))


def decode(kind: type[T], encoded: Encoded, registry: Registry | None = None) -> T:
    """The value of type `kind` that `encode` wrote; arrays and mappings are read-only.

    Raises:
        ModelError: naming the place, where a class, field or array is unknown, missing or of the wrong type.
    """
    decoder = _Decoder(registry or {}, encoded.arrays)
    value = decoder.decode(kind, encoded.data, "")
    if unused := sorted(set(encoded.arrays) - set(decoder.made)):
        raise ModelError(f"{kind.__name__}: array {unused[0]!r} belongs to no field", hint=_HINT)
    return cast("T", value)


def dumps(data: Json) -> str:
    """JSON text of `data`, one line a value, ending in a newline."""
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def loads(text: str, where: str) -> Json:
    """The JSON value of `text`.

    Raises:
        ModelError: naming `where`, where the text is not JSON.
    """
    try:
        return cast("Json", json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where} is not valid JSON: {error}", hint=_HINT) from error


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Types of a dataclass's fields, in order."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def _members(kind: object) -> tuple[type, ...] | None:
    """Members of a union; None for any other type."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else None


def _tags(kind: object, registry: Registry) -> Mapping[str, type] | None:
    """Classes by tag where a value of `kind` needs one."""
    if isinstance(kind, type) and kind in registry:
        return registry[kind]
    members = [m for m in _members(kind) or () if m is not NoneType]
    if len(members) > 1 and all(is_dataclass(m) for m in members):
        return {m.__name__: m for m in members}
    return None


def _join(path: str, part: object) -> str:
    return f"{path}/{part}" if path else str(part)


def _element_names(values: Sequence[object]) -> list[str]:
    """A path segment per element: its name where every element has its own, otherwise its index."""
    names = [getattr(value, "name", None) for value in values]
    if names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return [str(name) for name in names]
    return [str(i) for i in range(len(values))]


@dataclass(frozen=True, slots=True)
class _Encoder:
    registry: Registry
    arrays: dict[str, Array] = field(default_factory=dict)
    keys: dict[int, str] = field(default_factory=dict)  # of arrays already stored, by identity

    def encode(self, kind: Any, value: Any, path: str) -> Json:
        if value is None:
            return None
        if tags := _tags(kind, self.registry):
            return self._tagged(tags, value, path)
        if members := _members(kind):
            return self.encode(next(m for m in members if m is not NoneType), value, path)
        return self._plain(kind, value, path)

    def _plain(self, kind: Any, value: Any, path: str) -> Json:
        origin, args = get_origin(kind), get_args(kind)
        if origin is tuple:
            each = [args[0]] * len(value) if args[-1] is Ellipsis else args
            names = _element_names(value)
            return [self.encode(k, v, _join(path, n)) for k, v, n in zip(each, value, names, strict=True)]
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {k: self.encode(args[1], v, _join(path, k)) for k, v in value.items()}
        if isinstance(value, np.ndarray):
            return self._array(value, path)
        if is_dataclass(value):
            hints = _hints(cast("type", type(value)))
            return {name: self.encode(hint, getattr(value, name), _join(path, name)) for name, hint in hints.items()}
        return _scalar_to_json(value, path)

    def _tagged(self, tags: Mapping[str, type], value: Any, path: str) -> Json:
        tag = next((name for name, kind in tags.items() if kind is type(value)), None)
        if tag is None:
            raise TypeError(f"{path}: {type(value).__name__} is none of {', '.join(tags)}")
        body = self.encode(type(value), value, path)
        assert isinstance(body, dict)
        return {TAG: tag, **body}

    def _array(self, array: Array, path: str) -> str:
        if id(array) not in self.keys:
            while path in self.arrays:  # names may hold slashes, so two places can share a path
                path += "+"
            self.keys[id(array)] = path
            self.arrays[path] = array
        return self.keys[id(array)]


def _scalar_to_json(value: Any, path: str) -> Json:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float | np.floating):
        return float(value) if isfinite(value) else str(float(value))
    if isinstance(value, int | np.integer):
        return index(value)
    raise TypeError(f"{path}: {type(value).__name__} has no JSON form")


@dataclass(frozen=True, slots=True)
class _Decoder:
    registry: Registry
    arrays: Mapping[str, Array]
    made: dict[str, Array] = field(default_factory=dict)

    def decode(self, kind: Any, data: Json, path: str) -> Any:
        members = _members(kind)
        if data is None and (kind is NoneType or (members and NoneType in members)):
            return None
        if tags := _tags(kind, self.registry):
            return self._tagged(tags, data, path)
        if members:
            return self.decode(next(m for m in members if m is not NoneType), data, path)
        return self._plain(kind, data, path)

    def _plain(self, kind: Any, data: Json, path: str) -> Any:
        origin, args = get_origin(kind), get_args(kind)
        if origin is tuple:
            return self._tuple(args, data, path)
        if origin is np.ndarray:
            return self._array(kind, data, path)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            pairs = _require(dict, data, path).items()
            return MappingProxyType({k: self.decode(args[1], v, _join(path, k)) for k, v in pairs})
        if is_dataclass(kind):
            return self._fields(cast("type", kind), _require(dict, data, path), path)
        return _scalar_from_json(kind, data, path)

    def _tuple(self, args: tuple[Any, ...], data: Json, path: str) -> tuple[Any, ...]:
        items = _require(list, data, path)
        kinds = [args[0]] * len(items) if args[-1] is Ellipsis else args
        if len(kinds) != len(items):
            raise ModelError(f"{path}: {len(items)} elements where {len(kinds)} belong", hint=_HINT)
        return tuple(self.decode(k, v, _join(path, i)) for i, (k, v) in enumerate(zip(kinds, items, strict=True)))

    def _tagged(self, tags: Mapping[str, type], data: Json, path: str) -> Any:
        body = dict(_require(dict, data, path))
        tag = body.pop(TAG, None)
        if not isinstance(tag, str) or tag not in tags:
            raise ModelError(f"{path}: unknown class {tag!r}; known are {', '.join(tags)}", hint=_HINT)
        return self._fields(tags[tag], body, path)

    def _fields(self, kind: type, data: dict[str, Json], path: str) -> Any:
        hints = _hints(kind)
        place = path or kind.__name__
        if unknown := [name for name in data if name not in hints]:
            near = get_close_matches(unknown[0], hints, 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ModelError(f"{place}: {kind.__name__} has no field {unknown[0]!r}{meant}", hint=_HINT)
        if missing := [name for name in hints if name not in data]:
            raise ModelError(f"{place}: {kind.__name__} lacks its field {missing[0]!r}", hint=_HINT)
        make = cast("Callable[..., Any]", kind)
        return make(**{name: self.decode(hint, data[name], _join(path, name)) for name, hint in hints.items()})

    def _array(self, kind: Any, data: Json, path: str) -> Array:
        key = _require(str, data, path)
        if key not in self.arrays:
            raise ModelError(f"{path}: array {key!r} is missing", hint=_HINT)
        if key not in self.made:
            self.made[key] = readonly(self.arrays[key], self.arrays[key].dtype)
        wanted = get_args(get_args(kind)[1])[0]
        if isinstance(wanted, type) and not issubclass(self.made[key].dtype.type, wanted):
            raise ModelError(f"{path}: array of {self.made[key].dtype} where {wanted.__name__} belongs", hint=_HINT)
        return self.made[key]


J = TypeVar("J", dict[str, Any], list[Any], str)


def _require(kind: type[J], data: Json, path: str) -> J:
    if not isinstance(data, kind):
        raise ModelError(f"{path or 'the top'}: expected {kind.__name__}, got {data!r:.40}", hint=_HINT)
    return data


def _scalar_from_json(kind: Any, data: Json, path: str) -> Any:
    if kind is float:
        return _float_from_json(data, path)
    if isinstance(kind, type) and issubclass(kind, Enum):
        if isinstance(data, str) and data in kind.__members__:
            return kind[data]
    elif data in get_args(kind) if get_origin(kind) is Literal else type(data) is kind:
        return data
    raise ModelError(f"{path}: expected {getattr(kind, '__name__', kind)}, got {data!r:.40}", hint=_HINT)


def _float_from_json(data: Json, path: str) -> float:
    if data in ("inf", "-inf", "nan") or type(data) in (int, float):
        return float(cast("str | float", data))
    raise ModelError(f"{path}: expected float, got {data!r:.40}", hint=_HINT)
