"""Bodies of requests, made from the published schemas: valid ones, ones with one thing wrong, and anything at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hypothesis import strategies as st
from marshmallow import INCLUDE, fields

from hawkfish.api.resources.base import Resource
from hawkfish.api.schemas.base import StrictSchema
from hawkfish.api.schemas.fields import (
    AnyObject,
    Choice,
    Items,
    Labels,
    MacAddress,
    Number,
    Part,
    Secret,
    Text,
    Truth,
    Uuid,
    Whole,
)

SECRET_MARK = "hush-"
"""Every secret that is sent begins with this, so that it is seen wherever it should not be."""

Known = Mapping[str, tuple[Any, ...]]
"""Values that name things which are there, by the property's name."""

ODD_NUMBERS = (-1, 0, 2**31, 2**63, 2**64, 10**40, -(10**400), 1.5, -0.0, 1e300, float("nan"), float("inf"))
ODD_TEXTS = (
    *("", " ", "\x00", "\ud800", "\x1b[31m", "\u202e", "\ufeff", "..", "../../etc/passwd", "a" * 70_000, "\U0001f985"),
    *("%s%n", "'; DROP TABLE hf_users; --", "${jndi:ldap://127.0.0.1/}", "<script>", "\r\nX-Injected: 1", "ﬁ", "İ"),
)

_plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _plain_text
    | st.sampled_from(ODD_NUMBERS)
    | st.sampled_from(ODD_TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def schemas_of(resource: type[Resource], method: str) -> list[type[StrictSchema]]:
    """The schemas that a responder reads bodies with: whatever it names that is one."""
    responder = getattr(resource, f"on_{method.lower()}", None)
    if responder is None:
        return []
    module = vars(sys.modules[responder.__module__])
    named = (module.get(name) for name in responder.__code__.co_names)
    return [item for item in named if isinstance(item, type) and issubclass(item, StrictSchema)]


def reads_a_body(resource: type[Resource], method: str) -> bool:
    """Whether a responder looks at the body as JSON."""
    responder = getattr(resource, f"on_{method.lower()}", None)
    return responder is not None and "read" in responder.__code__.co_names


def valid(schema: StrictSchema, known: Known) -> st.SearchStrategy[dict[str, Any]]:
    """Bodies that each field by itself takes."""
    needed, others = {}, {}
    for field in schema.fields.values():
        name = str(field.data_key)
        (needed if field.required else others)[name] = _values(name, field, known)
    bodies = st.fixed_dictionaries(needed, optional=others)
    if schema.Meta.unknown == INCLUDE:
        more = st.dictionaries(st.text(max_size=12), anything, max_size=2)
        return st.tuples(bodies, more).map(lambda both: {**both[1], **both[0]})
    return bodies


def _values(name: str, field: fields.Field[Any], known: Known) -> st.SearchStrategy[Any]:
    made = next((make(field, known) for kind, make in _MAKERS if isinstance(field, kind)), None)
    assert made is not None, f"the generator of bodies does not know {type(field).__name__}; teach it"
    if name in known:
        made = st.sampled_from(known[name]) | made
    return st.none() | made if field.allow_none else made


def _text(field: Text, _known: Known) -> st.SearchStrategy[str]:
    if field.pattern is None:
        return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40).map(
            lambda text: text.ljust(field.least, "x")[: field.most]
        )
    made = st.from_regex(field.pattern, fullmatch=True)
    return made.map(lambda text: text[: field.most]).filter(lambda text: bool(field.pattern.fullmatch(text)))  # type: ignore[union-attr]  # looked at above


def _secret(field: Text, _known: Known) -> st.SearchStrategy[str]:
    return _plain_text.map(lambda text: f"{SECRET_MARK}{text}".ljust(12, "x")[: field.most])


def _items(field: Items, known: Known) -> st.SearchStrategy[list[Any]]:
    inner: Any = field.inner
    return st.lists(_values("", inner, known), max_size=min(field.most, 3))


def _part(field: Part, known: Known) -> st.SearchStrategy[dict[str, Any]]:
    schema: Any = field.schema
    return valid(schema, known)


_label = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=10)

_MAKERS: tuple[tuple[type[Any], Callable[[Any, Known], st.SearchStrategy[Any]]], ...] = (
    (Secret, _secret),
    (Uuid, lambda _field, _known: st.uuids().map(str)),
    (MacAddress, _text),
    (Text, _text),
    (Whole, lambda field, _known: st.integers(field.least, field.most)),
    (Number, lambda field, _known: st.floats(field.least, field.most)),
    (Truth, lambda _field, _known: st.booleans()),
    (Choice, lambda field, _known: st.sampled_from(list(field.choices))),
    (Items, _items),
    (Part, _part),
    (Labels, lambda _field, _known: st.dictionaries(_label, _label, max_size=3)),
    (AnyObject, lambda _field, _known: st.dictionaries(_label, anything, max_size=3)),
)
"""How values for each kind of field are made; the first that fits."""


@st.composite
def spoiled(draw: st.DrawFn, schema: StrictSchema, known: Known) -> Any:
    """A valid body with one thing wrong."""
    body = draw(valid(schema, known))
    places = list(_places(body))
    if not places:
        return draw(anything)
    holder, name = draw(st.sampled_from(places))
    value = holder[name]
    kind = draw(st.sampled_from(["value", "number", "text", "null", "absent", "name", "unknown", "list", "deep"]))
    if kind == "value":
        holder[name] = draw(anything)
    elif kind == "number":
        holder[name] = draw(st.sampled_from(ODD_NUMBERS))
    elif kind == "text":
        holder[name] = draw(st.sampled_from(ODD_TEXTS))
    elif kind == "null":
        holder[name] = None
    elif kind == "absent":
        del holder[name]
    elif kind == "name" and isinstance(name, str):
        del holder[name]
        holder[draw(st.sampled_from([name.lower(), name.upper(), f"{name} ", f"@odata.{name}", f"{name}@odata"]))] = (
            value
        )
    elif kind == "unknown" and isinstance(holder, dict):
        holder[draw(_plain_text)] = value
    elif kind == "list":
        holder[name] = [value]
    else:
        for _ in range(draw(st.sampled_from([1, 31, 40, 500]))):
            value = {str(name): value} if draw(st.booleans()) else [value]
        holder[name] = value
    return body


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of every object and list within."""
    names = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for name in names:
        yield value, name
        yield from _places(value[name])


def encoded(value: Any) -> bytes:
    """A body as it is sent, with what JSON does not know (NaN, half surrogates) left in it."""
    return json.dumps(value).encode()


@st.composite
def damaged(draw: st.DrawFn, schema: StrictSchema, known: Known) -> bytes:
    """The bytes of a valid body, damaged."""
    content = encoded(draw(valid(schema, known)))
    place = draw(st.integers(0, len(content)))
    kind = draw(st.sampled_from(["cut", "insert", "bom", "twice", "utf-16", "number", "latin", "tail", "nested"]))
    if kind == "cut":
        return content[:place]
    if kind == "insert":
        return content[:place] + draw(st.binary(min_size=1, max_size=4)) + content[place:]
    if kind == "number":
        return content.replace(b"1", draw(st.sampled_from([b"1e400", b"-1e400", b"01", b"1" * 5000, b"1.", b"0x1"])))
    return {
        "bom": b"\xef\xbb\xbf" + content,
        "twice": b"{" + content[1:-1] + b"," + content[1:-1] + b"}",
        "utf-16": content.decode().encode("utf-16"),
        "latin": content.replace(b'"', b'"\xe4', 1),
        "tail": content + content,
        "nested": b'{"a":' * 100_000 + content,
    }[kind]
