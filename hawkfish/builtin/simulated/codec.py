"""Typed values to JSON and back, for the socket and the state file. Types are read from annotations, once each."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import PurePath, PurePosixPath
from typing import Any, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from hawkfish.domain.machines import NetworkAttachment
from hawkfish.domain.storage import ConnectionInfo

Decoder = Callable[[Any], Any]

_TAG = "is"
_TAGGED = {cls: cls.__name__ for cls in (*get_args(ConnectionInfo), *get_args(NetworkAttachment))}
_PLAIN: frozenset[Any] = frozenset({str, int, float, bool, type(None)})


def encode(value: Any) -> Any:  # noqa: PLR0911  one type a line
    """What `json` can write; members of unions bear the name of their class."""
    kind: Any = type(value)
    if kind in _PLAIN:
        return value
    if kind is UUID or isinstance(value, PurePath):
        return str(value)
    if kind in (tuple, list, frozenset):
        return [encode(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if kind is datetime:
        return value.isoformat()
    if kind is dict:
        return {key: encode(item) for key, item in value.items()}
    if is_dataclass(value):
        encoded = {name: encode(getattr(value, name)) for name in _field_names(kind)}
        if kind in _TAGGED:
            encoded[_TAG] = _TAGGED[kind]
        return encoded
    raise TypeError(f"{kind.__name__} cannot be sent to or kept by the simulator")


@cache
def _field_names(cls: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))


@cache
def decoder(wanted: Any) -> Decoder:  # noqa: PLR0911  one kind of type a line
    """A function that makes a value of the type `wanted` from what `json` has read."""
    origin = get_origin(wanted)
    if wanted in _PLAIN or wanted is Any or origin is dict:
        return _as_it_is
    if wanted is datetime:
        return datetime.fromisoformat
    if wanted in (UUID, PurePosixPath) or (isinstance(wanted, type) and issubclass(wanted, Enum)):
        return wanted  # type: ignore[no-any-return]  # each is called with the text
    if origin is tuple:
        return _tuple_decoder(get_args(wanted))
    if origin is frozenset:
        item = decoder(get_args(wanted)[0])
        return lambda data: frozenset(map(item, data))
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(wanted))
    if is_dataclass(wanted):
        return _dataclass_decoder(wanted)  # type: ignore[arg-type]  # a class, as the check above has shown
    raise TypeError(f"{wanted} cannot be read from the simulator")


def _as_it_is(data: Any) -> Any:
    return data


def _tuple_decoder(members: tuple[Any, ...]) -> Decoder:
    if len(members) == 2 and members[1] is Ellipsis:  # noqa: PLR2004  the form tuple[X, ...]
        item = decoder(members[0])
        if item is _as_it_is:
            return tuple
        return lambda data: tuple(map(item, data))
    items = tuple(decoder(member) for member in members)
    return lambda data: tuple(item(part) for item, part in zip(items, data, strict=True))


def _union_decoder(members: tuple[Any, ...]) -> Decoder:
    real = [member for member in members if member is not type(None)]
    if len(real) == 1:
        inner = decoder(real[0])
        return lambda data: None if data is None else inner(data)
    by_name = {member.__name__: decoder(member) for member in real}
    return lambda data: None if data is None else by_name[data[_TAG]](data)


def _dataclass_decoder(cls: type) -> Decoder:
    hints = get_type_hints(cls)
    parts = [
        (item.name, decoder(hints[item.name]), item.default is MISSING and item.default_factory is MISSING)
        for item in fields(cls)
    ]

    def decode_fields(data: dict[str, Any]) -> Any:
        return cls(**{name: part(data[name]) for name, part, needed in parts if needed or name in data})

    return decode_fields


def decode(wanted: Any, data: Any) -> Any:
    """A value of the type `wanted` from what `json` has read."""
    return decoder(wanted)(data)


def parameter_decoders(function: Callable[..., Any]) -> dict[str, Decoder]:
    """Decoders of a function's parameters, by name; raw bytes travel beside the JSON and need none."""
    hints = get_type_hints(function)
    return {name: decoder(hint) for name, hint in hints.items() if name != "return" and hint is not bytes}
