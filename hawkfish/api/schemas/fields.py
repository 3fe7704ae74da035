"""Strict fields: the type is checked before the value, nothing is converted, and what is wrong has a class of its own."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from marshmallow import ValidationError, fields

from hawkfish import errors

T = TypeVar("T")

LABELS_LIMIT = 64
LABEL_LENGTH = 256


@dataclass(frozen=True)
class Problem:
    """What is wrong with a value; its place is known to marshmallow only, and joined to it in `StrictSchema.read`.

    Attributes:
        kind: The class that is raised in the end.
        rule: What is allowed, as the end of a sentence that begins with the property's name.
    """

    kind: type[errors.PropertyError]
    rule: str
    data: Mapping[str, Any] = field(default_factory=dict)


REQUIRED = Problem(errors.PropertyMissing, "is required and absent")


def _null(expected: str) -> Problem:
    return Problem(errors.PropertyWrongType, f"is null; it must be {expected}", {"value": None})


def wrong_type(value: Any, expected: str) -> ValidationError:
    """The error for a value of another JSON type."""
    return fail(errors.PropertyWrongType, f"must be {expected}", value)


def refuse(kind: type[errors.PropertyError], name: str, rule: str, value: Any = None) -> ValidationError:
    """The error for a property that does not go with the rest of its object."""
    return ValidationError({name: [Problem(kind, rule, {"value": value})]})


def fail(kind: type[errors.PropertyError], rule: str, value: Any, **data: Any) -> ValidationError:
    """The error for a value that breaks a rule."""
    return ValidationError([Problem(kind, rule, {"value": value, **data})])


def _messages(expected: str) -> dict[str, Any]:
    return {"required": REQUIRED, "null": _null(expected)}


class Strict(fields.Field[T]):
    """A field that checks a value and, mostly, leaves it as it is."""

    @abstractmethod
    def _check(self, value: Any) -> T:
        """Gives the value to load; raises what `wrong_type` and `fail` make."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> T:  # noqa: ARG002  marshmallow's
        return self._check(value)


class Text(Strict[str]):
    """A string, of so many characters, of such a form."""

    def __init__(
        self, *, least: int = 0, most: int = 1024, pattern: str | None = None, form: str = "", **kwargs: Any
    ) -> None:
        super().__init__(error_messages=_messages("a string"), **kwargs)
        self.least = least
        self.most = most
        self.pattern = re.compile(pattern) if pattern else None
        self.form = form

    def _check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise wrong_type(value, "a string")
        if not self.least <= len(value) <= self.most:
            rule = f"has {len(value)} characters; it takes {self.least} to {self.most}"
            raise fail(errors.PropertyOutOfRange, rule, value)
        if self.pattern and not self.pattern.fullmatch(value):
            raise fail(errors.PropertyInvalidFormat, f"must be {self.form}", value)
        return value


class Secret(Text):
    """A string that is never shown back."""

    def _check(self, value: Any) -> str:
        try:
            return super()._check(value)
        except ValidationError as error:
            hidden = [Problem(item.kind, item.rule, {"value": "(hidden)"}) for item in error.messages]  # type: ignore[union-attr]  # always a list here
            raise ValidationError(hidden) from None


class Whole(Strict[int]):
    """An integer; neither a truth value nor a string of digits is one."""

    def __init__(self, *, least: int, most: int, **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("an integer"), **kwargs)
        self.least = least
        self.most = most

    def _check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(value, "an integer")
        if not self.least <= value <= self.most:
            raise fail(errors.PropertyOutOfRange, f"must be from {self.least} to {self.most}", _bounded(value))
        return value


class Number(Strict[float]):
    """A number, whole or not."""

    def __init__(self, *, least: float, most: float, **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("a number"), **kwargs)
        self.least = least
        self.most = most

    def _check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong_type(value, "a number")
        if not self.least <= value <= self.most:
            shown = value if isinstance(value, float) else _bounded(value)
            raise fail(errors.PropertyOutOfRange, f"must be from {self.least:g} to {self.most:g}", shown)
        return float(value)


class Truth(Strict[bool]):
    """true or false."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("true or false"), **kwargs)

    def _check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise wrong_type(value, "true or false")
        return value


class Choice(Strict[Any]):
    """One of the values of an enum, in Redfish's spelling."""

    def __init__(self, choices: type[StrEnum] | Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("a string"), **kwargs)
        self.choices = choices if isinstance(choices, Mapping) else {item.value: item for item in choices}

    def _check(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise wrong_type(value, "a string")
        if value not in self.choices:
            allowed = list(self.choices)
            raise fail(errors.PropertyNotInList, f"must be one of {', '.join(allowed)}", value, allowed=allowed)
        return self.choices[value]


class Uuid(Text):
    """A UUID in its usual form."""

    def __init__(self, **kwargs: Any) -> None:
        pattern = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
        super().__init__(pattern=pattern, form="a UUID such as 0b5c7b9e-6a0e-4a1c-9d3b-5b8c2e9c7c11", **kwargs)

    def _check(self, value: Any) -> Any:
        identity = UUID(super()._check(value))
        if identity.int == 0:
            raise fail(errors.PropertyInvalidFormat, "must not be the nil UUID", value)
        return identity


class MacAddress(Text):
    """A unicast MAC address; loaded in lower case."""

    def __init__(self, **kwargs: Any) -> None:
        form = "a MAC address of one machine such as 52:54:00:12:34:56"
        super().__init__(pattern=r"[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}", form=form, **kwargs)

    def _check(self, value: Any) -> str:
        return super()._check(value).lower()


class Items(fields.List[Any]):
    """A list of bounded length."""

    def __init__(self, inner: fields.Field[Any], *, most: int, **kwargs: Any) -> None:
        super().__init__(inner, error_messages=_messages("a list"), **kwargs)
        self.most = most

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise wrong_type(value, "a list")
        if len(value) > self.most:
            raise fail(errors.PropertyOutOfRange, f"has {len(value)} entries; it takes {self.most}", len(value))
        return list(super()._deserialize(value, attr, data, **kwargs) or ())


class Part(fields.Nested):
    """An object within the body."""

    def __init__(self, schema: Any, **kwargs: Any) -> None:
        super().__init__(schema, error_messages=_messages("an object"), **kwargs)


class Labels(Strict[dict[str, str]]):
    """A flat object of strings, which `what` names in messages."""

    def __init__(self, *, what: str = "label", **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("an object of strings"), **kwargs)
        self.what = what

    def _check(self, value: Any) -> dict[str, str]:
        if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise wrong_type(value, "an object of strings")
        if len(value) > LABELS_LIMIT or any(_too_long(part) for pair in value.items() for part in pair):
            rule = f"takes {LABELS_LIMIT} {self.what}s, whose names and values have at most {LABEL_LENGTH} characters"
            raise fail(errors.PropertyOutOfRange, rule, len(value))
        if "" in value:
            raise fail(errors.PropertyInvalidFormat, f"must not hold a {self.what} without a name", "")
        return dict(value)


class AnyObject(Strict[dict[str, Any]]):
    """An object whose content another part of the service checks."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(error_messages=_messages("an object"), **kwargs)

    def _check(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise wrong_type(value, "an object")
        return value


def _too_long(text: str) -> bool:
    return len(text) > LABEL_LENGTH


def _bounded(value: int) -> int | str:
    """A number that is fit for a message; Python refuses to write very large ones in decimal."""
    return value if abs(value) < 10**30 else "a very large number"
