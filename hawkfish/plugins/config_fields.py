"""Configuration that plugins ask for: declared as fields, checked by core, handed over frozen."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from hawkfish.errors import PluginConfigInvalid


@dataclass(frozen=True)
class SecretReference:
    """Names a secret without holding it: `env:NAME` (an environment variable) or `file:PATH` (the file's first line)."""

    reference: str

    def __repr__(self) -> str:
        return "SecretReference(...)"


@dataclass(frozen=True, kw_only=True)
class ConfigField:
    """One key of a plugin's configuration.

    Attributes:
        name: The key, in lower case with underscores.
        type: `str`, `int`, `float` or `bool`; a secret is always a `str` that holds a reference.
        help: One sentence for people.
        default: The value when the key is absent; None means that the factory gets None.
        required: The key must be there.
        secret: The value is a reference (`env:NAME`, `file:PATH`); the factory gets a `SecretReference`.
        choices: The values allowed; empty for any.
        minimum: Smallest number, or shortest text.
        maximum: Largest number, or longest text.
        pattern: Regular expression that a text must match as a whole.
    """

    name: str
    type: type = str
    help: str = ""
    default: Any = None
    required: bool = False
    secret: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None


_JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean"}
_SECRET_FORM = re.compile(r"(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)")


def validate_config(fields: Sequence[ConfigField], given: Mapping[str, Any], *, plugin: str) -> Mapping[str, Any]:
    """Checks a configuration against its fields.

    Returns:
        A frozen mapping with every field's name as key.

    Raises:
        PluginConfigInvalid: A key is unknown or missing, or a value does not fit; the message names it.
    """
    known = {item.name: item for item in fields}
    for key in given:
        if key not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise PluginConfigInvalid(
                f"{plugin} has no setting {key!r}; remove it. Its settings are: {allowed}.", plugin=plugin, field=key
            )
    return MappingProxyType({item.name: _validate_field(item, given, plugin) for item in fields})


def _validate_field(item: ConfigField, given: Mapping[str, Any], plugin: str) -> Any:  # noqa: C901  one check a line
    value: Any = given.get(item.name)
    if value is None:
        if item.required:
            raise PluginConfigInvalid(
                f"{plugin} needs the setting {item.name!r}: {item.help or 'give it a value'}.",
                plugin=plugin,
                field=item.name,
            )
        return item.default

    def refuse(expected: str) -> PluginConfigInvalid:
        shown = "the value given" if item.secret else repr(value)
        return PluginConfigInvalid(
            f"The setting {item.name!r} of {plugin} must be {expected}; {shown} is not.", plugin=plugin, field=item.name
        )

    if item.secret:
        if not isinstance(value, str) or not _SECRET_FORM.fullmatch(value):
            raise refuse("a reference of the form env:NAME or file:/PATH")
        return SecretReference(value)
    if item.type is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not item.type:
        raise refuse(f"of type {_JSON_TYPES[item.type]}")
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse("a finite number")
    if item.choices and value not in item.choices:
        raise refuse("one of " + ", ".join(str(choice) for choice in item.choices))
    size: Any = len(value) if isinstance(value, str) else value
    if item.minimum is not None and size < item.minimum:
        raise refuse(f"at least {item.minimum}" + (" characters long" if item.type is str else ""))
    if item.maximum is not None and size > item.maximum:
        raise refuse(f"at most {item.maximum}" + (" characters long" if item.type is str else ""))
    if item.pattern and not re.fullmatch(item.pattern, str(value)):
        raise refuse(f"of the form {item.pattern}")
    return value


def config_schema(fields: Sequence[ConfigField]) -> dict[str, Any]:
    """The JSON Schema of a configuration, for publication."""
    properties = {item.name: _field_schema(item) for item in fields}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": [item.name for item in fields if item.required],
    }


def _field_schema(item: ConfigField) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _JSON_TYPES[item.type]}
    if item.help:
        schema["description"] = item.help
    if item.secret:
        schema["pattern"] = f"^{_SECRET_FORM.pattern}$"
        return schema
    if item.default is not None:
        schema["default"] = item.default
    if item.choices:
        schema["enum"] = list(item.choices)
    if item.pattern:
        schema["pattern"] = f"^(?:{item.pattern})$"
    low, high = ("minLength", "maxLength") if item.type is str else ("minimum", "maximum")
    if item.minimum is not None:
        schema[low] = item.minimum
    if item.maximum is not None:
        schema[high] = item.maximum
    return schema
