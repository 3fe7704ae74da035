"""The base of all request schemas: what is unknown or read-only is refused by name, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from marshmallow import RAISE, Schema, ValidationError

from hawkfish import errors
from hawkfish.api.errors import shown
from hawkfish.api.schemas.fields import Problem

_UNKNOWN = Problem(errors.PropertyUnknown, "is not a property of this resource")
_READ_ONLY = Problem(errors.PropertyNotWritable, "can only be read")
_NOT_AN_OBJECT = Problem(errors.PropertyWrongType, "must be an object")

_READ_ONLY_EVERYWHERE = frozenset({"Id", "Actions", "Links", "Status"})


class StrictSchema(Schema):
    """A body, or a part of one.

    Attributes:
        read_only: Properties that the resource shows and that this request may not set.
    """

    class Meta:
        """Nothing is let through that is not declared."""

        unknown = RAISE

    error_messages: dict[str, Any] = {"unknown": _UNKNOWN, "type": _NOT_AN_OBJECT}  # noqa: RUF012  marshmallow's form
    read_only: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Any:
        """Loads a body.

        Raises:
            PropertyError, SeveralErrors: Everything that is wrong with it; nothing of it may then be used.
        """
        schema = _instance(cls)
        try:
            return schema.load(body)
        except ValidationError as error:
            found = [_error(schema, path, problem, body) for path, problem in _flatten(error.messages, ())]
            raise found[0] if len(found) == 1 else errors.SeveralErrors(found) from None

    @classmethod
    def knows_read_only(cls, name: str) -> bool:
        """Whether the resource has that property although requests may not set it."""
        return name in cls.read_only or name in _READ_ONLY_EVERYWHERE or "@Redfish." in name


class PatchSchema(StrictSchema):
    """The body of a PATCH: what is absent stays as it is."""

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Any:
        """Loads a body; an empty one asks for nothing, which is said."""
        if not body:
            raise errors.NoOperation("The request asks for no change; send the properties that are to change.")
        return super().read(body)


class ActionSchema(StrictSchema):
    """The parameters of an action."""

    action: ClassVar[str]

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Any:
        """Loads the parameters; what is wrong with them is said in the words that Redfish has for actions."""
        try:
            return super().read(body)
        except errors.PropertyError as error:
            raise cls._of_parameter(error) from None
        except errors.SeveralErrors as several:
            found = [cls._of_parameter(error) for error in several.errors]
            raise errors.SeveralErrors(found) from None

    @classmethod
    def _of_parameter(cls, error: errors.HawkFishError) -> errors.HawkFishError:
        data = dict(error.data)
        parameter = data.pop("property", "")
        if isinstance(error, errors.PropertyUnknown):
            text = f"The action {cls.action} has no parameter {parameter}."
            return errors.ActionParameterUnknown(text, action=cls.action, parameter=parameter)
        if isinstance(error, errors.PropertyMissing):
            text = f"The action {cls.action} needs the parameter {parameter}."
            return errors.ActionParameterMissing(text, action=cls.action, parameter=parameter)
        return errors.ActionParameterInvalid(
            f"The action {cls.action}: {error.message}", action=cls.action, parameter=parameter, **data
        )


@cache
def _instance(schema: type[StrictSchema]) -> StrictSchema:
    """Making a schema costs more than using it, and using it leaves no trace in it."""
    return schema()


def _flatten(messages: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Problem]]:
    if isinstance(messages, Mapping):
        for name, inner in messages.items():
            yield from _flatten(inner, path if name == "_schema" else (*path, str(name)))
    elif isinstance(messages, Problem):
        yield path, messages
    elif isinstance(messages, (list, tuple)):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        # A rule of marshmallow's own, told by a sentence.
        yield path, Problem(errors.PropertyInvalidFormat, f"is not valid: {messages}")


def _error(
    schema: StrictSchema, path: tuple[str, ...], problem: Problem, body: Mapping[str, Any]
) -> errors.HawkFishError:
    if problem is _UNKNOWN and _owner(schema, path).knows_read_only(path[-1]):
        problem = _READ_ONLY
    place = shown("/".join(path)) or "the body"
    data = dict(problem.data)
    if problem is _NOT_AN_OBJECT:
        data["value"] = shown(_at(body, path))
    elif "value" in data:
        data["value"] = shown(data["value"])
    return problem.kind(f"{place} {problem.rule}.", property=place, **data)


def _owner(schema: StrictSchema, path: tuple[str, ...]) -> type[StrictSchema]:
    """The schema of the object that the last name of a path stands in."""
    owner: Any = schema
    for name in path[:-1]:
        declared = next((field for field in owner.fields.values() if field.data_key == name), None)
        inner = getattr(declared, "inner", declared)
        owner = getattr(inner, "schema", owner)
    return type(owner)


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body[int(name)] if isinstance(body, list) else body.get(name)
    return body
