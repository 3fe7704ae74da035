"""Reads request bodies: bounded, strict JSON, nothing guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import falcon

from hawkfish.api.errors import ProtocolError, shown
from hawkfish.errors import BodyTooLarge, InvalidRequest, MalformedJson, PropertyInvalidFormat, UnsupportedMediaType

MAX_DEPTH = 32
MAX_ITEMS = 10_000
"""Values in one body; far more than any request needs."""


def read_object(
    req: falcon.Request, limit: int, *, optional: bool = False, keep: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The JSON object that a request carries, without its OData annotations.

    Args:
        req: The request.
        limit: Largest body in bytes.
        optional: No body at all counts as an empty object.
        keep: Properties whose links (`@odata.id`) are wanted.

    Raises:
        BodyTooLarge, UnsupportedMediaType, MalformedJson, PropertyInvalidFormat: What is wrong with it.
    """
    content = _read(req, limit)
    if not content.strip():
        if optional:
            return {}
        raise MalformedJson("The request has no body; send a JSON object.")
    media_type = (req.content_type or "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"The body is {shown(media_type)}; send application/json.")
    value = _parse(content)
    if not isinstance(value, dict):
        raise MalformedJson("The body is not a JSON object; send one, such as {}.")
    _check(value)
    cleaned: dict[str, Any] = _without_annotations({name: value[name] for name in value if name not in keep})
    return cleaned | {name: value[name] for name in keep if name in value}


@contextmanager
def broken_off() -> Iterator[None]:
    """Tells of a body that the server cannot read to its end: it breaks off, or its chunks are none.

    Raises:
        InvalidRequest: That; it is the sender's mistake and none of the service.
    """
    try:
        yield
    except OSError as error:
        raise InvalidRequest(
            "The body breaks off, comes too slowly, or is not divided into chunks as HTTP wants; send it again."
        ) from error


def _read(req: falcon.Request, limit: int) -> bytes:
    """Reads at most one byte more than the limit, whatever the headers promise."""
    with broken_off():
        return _read_pieces(req, limit)


def _read_pieces(req: falcon.Request, limit: int) -> bytes:
    length = req.content_length
    if length is not None:
        if length > limit:
            raise BodyTooLarge(f"The body has {length} bytes; the limit is {limit}.", limit=limit)
        return bytes(req.bounded_stream.read(length))
    if "chunked" not in (req.get_header("Transfer-Encoding") or "").lower():
        return b""
    parts, size = [], 0
    # Reads of a chunked body may be short.
    while part := req.stream.read(limit + 1 - size):
        parts.append(part)
        size += len(part)
        if size > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes, which is the limit.", limit=limit)
    return b"".join(parts)


def _parse(content: bytes) -> Any:
    try:
        return json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_no_duplicates,
        )
    except RecursionError as error:
        raise MalformedJson(f"The body is nested too deeply; the limit is {MAX_DEPTH} levels.") from error
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise MalformedJson(f"The body is not JSON: {error.msg} at {place}.") from error
    except ValueError as error:
        raise MalformedJson(f"The body is not JSON that can be read: {shown(str(error))}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value.")


def _finite(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"the number {shown(text)} is too large.")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            text = f"The property {shown(name)} stands twice in one object; which is meant is not known. Send it once."
            raise ProtocolError(400, "PropertyDuplicate", shown(name), text=text)
        found[name] = value
    return found


def _check(value: Any) -> None:
    """Refuses what no database or answer could hold: depth, mass, half surrogates, NUL."""
    waiting: list[tuple[str, Any, int]] = [("", value, 1)]
    seen = 0
    while waiting:
        path, item, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH:
            raise MalformedJson(f"The body is nested too deeply; the limit is {MAX_DEPTH} levels.")
        if seen > MAX_ITEMS:
            raise MalformedJson(f"The body has too many values; the limit is {MAX_ITEMS}.")
        if isinstance(item, dict):
            for name, inner in item.items():
                _check_text(f"{path}{shown(name)}", name)
                waiting.append((f"{path}{name}/", inner, depth + 1))
        elif isinstance(item, list):
            waiting.extend((f"{path}{index}/", inner, depth + 1) for index, inner in enumerate(item))
        elif isinstance(item, str):
            _check_text(path.rstrip("/"), item)


def _check_text(path: str, text: str) -> None:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise PropertyInvalidFormat(
            f"{path} holds a NUL or half of a surrogate pair; send text of whole characters.",
            property=path.encode("utf-8", "replace").decode(),
            value="(not shown)",  # it may be a password
        )


def _without_annotations(value: Any) -> Any:
    """Drops `@odata.*` at every level: clients send back what they read."""
    if isinstance(value, dict):
        return {name: _without_annotations(inner) for name, inner in value.items() if "@odata." not in name}
    if isinstance(value, list):
        return [_without_annotations(inner) for inner in value]
    return value
