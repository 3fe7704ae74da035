"""The language of `$filter` (DSP0266, Query parameters): reading it, applying it to a resource, handing it to the database."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from hawkfish.api.errors import shown
from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Condition, Literal, Not, Operator
from hawkfish.errors import QueryInvalid

LONGEST_FILTER = 2048
MOST_COMPARISONS = 50
DEEPEST_FILTER = 20
LARGEST_NUMBER = 10**15
"""Every whole number up to here is exact in a double, which the databases compare with."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<bracket>[()])
      | (?P<text>'(?:[^']|'')*')
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_./]))
      | (?P<word>[A-Za-z_@][A-Za-z0-9_.@-]*(?:/[A-Za-z0-9_@][A-Za-z0-9_.@-]*)*)
    )""",
    re.VERBOSE,
)
_CONSTANTS: Mapping[str, Literal] = {"true": True, "false": False, "null": None}
_KEYWORDS = frozenset({"and", "or", "not", *_CONSTANTS, *(item.value for item in Operator)})
_OPERATORS: Mapping[str, Operator] = {item.value: item for item in Operator}
_FUNCTIONS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


# --- reading ---------------------------------------------------------------------------------------------------------


def parse_filter(text: str) -> Condition:
    """The condition that a `$filter` asks for.

    The grammar, loosest first: `or`, `and`, `not`, parentheses; a comparison is a property (`Status/Health`), one of
    eq ne lt le gt ge, and a 'string' (with '' for '), a number, true, false or null.

    Raises:
        QueryInvalid: It does not follow the grammar, or is larger than any client needs.
    """
    if len(text) > LONGEST_FILTER:
        _refuse(text, f"has {len(text)} characters; the limit is {LONGEST_FILTER}")
    return _Parser(text).parse()


class _Parser:
    """Recursive descent over the tokens of one filter."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._position = 0
        self._comparisons = 0

    def parse(self) -> Condition:
        found = self._any_of(0)
        if self._position < len(self._tokens):
            self._fail("and, or, or the end")
        return found

    def _any_of(self, depth: int) -> Condition:
        if depth > DEEPEST_FILTER:
            _refuse(self._text, f"is nested too deeply; the limit is {DEEPEST_FILTER} levels")
        parts = [self._all_of(depth)]
        while self._take("word", "or"):
            parts.append(self._all_of(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _all_of(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._take("word", "and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self, depth: int) -> Condition:
        negations = 0
        while self._take("word", "not"):
            negations += 1
        if self._take("bracket", "("):
            found = self._any_of(depth + 1)
            if not self._take("bracket", ")"):
                self._fail(")")
        else:
            found = self._comparison()
        return Not(found) if negations % 2 else found

    def _comparison(self) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            _refuse(self._text, f"has too many comparisons; the limit is {MOST_COMPARISONS}")
        path = self._next("word", "the name of a property")
        if path in _KEYWORDS:
            self._fail("the name of a property", back=1)
        wanted = _OPERATORS.get(self._next("word", "eq, ne, lt, le, gt or ge"))
        if wanted is None:
            self._fail("eq, ne, lt, le, gt or ge", back=1)
        return Comparison(tuple(path.split("/")), wanted, self._literal())

    def _literal(self) -> Literal:
        expected = "a 'string' in single quotes, a number, true, false or null"
        if self._position == len(self._tokens):
            self._fail(expected)
        kind, text = self._tokens[self._position]
        self._position += 1
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            value = float(text) if re.search("[.eE]", text) else int(text)
            if not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
                _refuse(self._text, f"holds a number beyond {LARGEST_NUMBER}")
            return value
        if text not in _CONSTANTS:
            self._fail(expected, back=1)
        return _CONSTANTS[text]

    def _take(self, kind: str, text: str) -> bool:
        found = self._tokens[self._position : self._position + 1] == [(kind, text)]
        self._position += found
        return found

    def _next(self, kind: str, expected: str) -> str:
        if self._position == len(self._tokens) or self._tokens[self._position][0] != kind:
            self._fail(expected)
        self._position += 1
        return self._tokens[self._position - 1][1]

    def _fail(self, expected: str, *, back: int = 0) -> NoReturn:
        position = self._position - back
        found = self._tokens[position][1] if position < len(self._tokens) else "the end"
        _refuse(self._text, f"has {shown(found)} where {expected} was expected")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    end = len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            _refuse(text, f"cannot be read from {shown(text[position:].strip()[:20])} on")
        kind = str(found.lastgroup)
        if kind == "text" and not found[kind].isprintable():
            _refuse(text, "holds a character that cannot be printed")
        yield kind, found[kind]
        position = found.end()


def _refuse(text: str, rule: str) -> NoReturn:
    raise QueryInvalid(
        f"$filter {rule}. An example that works: Name eq 'a' or not (Status/Health eq 'OK').",
        parameter="$filter",
        value=shown(text),
    )


# --- applying it to what a resource shows ----------------------------------------------------------------------------


def matches(condition: Condition, body: Mapping[str, Any]) -> bool:
    """Whether a resource meets a condition; a property within a list is met by any entry of it."""
    match condition:
        case AllOf(parts):
            return all(matches(part, body) for part in parts)
        case AnyOf(parts):
            return any(matches(part, body) for part in parts)
        case Not(part):
            return not matches(part, body)
        case Comparison(path, wanted, value):
            return any(holds(found, wanted, value) for found in _values(body, path))


def holds(found: Any, wanted: Operator, value: Literal) -> bool:
    """Whether a comparison holds; see `Comparison` for what is absent and for values of different types."""
    if _kind(found) is not _kind(value) or value is None:
        same = found is None and value is None
        return same if wanted is Operator.EQUAL else wanted is Operator.NOT_EQUAL and not same
    if isinstance(value, bool) and wanted not in {Operator.EQUAL, Operator.NOT_EQUAL}:
        return False
    return _FUNCTIONS[wanted](found, value)


def _kind(value: Any) -> type:
    if isinstance(value, bool):
        return bool
    if isinstance(value, (int, float)):
        return float
    return str if isinstance(value, str) else type(value)


def _values(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(item, path)
    elif not path:
        yield value
    else:
        yield from _values(value.get(path[0]) if isinstance(value, Mapping) else None, path[1:])


# --- handing it to the database --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A property that the database holds as it is shown.

    Attributes:
        name: What the record calls it.
        scale: What a number is multiplied with before it is stored.
    """

    name: str
    scale: int = 1


@dataclass(frozen=True)
class Cases:
    """A property that follows from others: each of its values with the condition under which it is shown."""

    values: Mapping[Literal, Condition]


Fields = Mapping[str, Stored | Cases]
"""Properties by their paths, such as `Status/Health`; a path that ends in `/*` holds strings by names of the users' choice."""


def translate(condition: Condition, fields: Fields) -> Condition | None:
    """The same condition in the words of the records; None if it names a property that is not among `fields`."""
    match condition:
        case AllOf(parts) | AnyOf(parts):
            found = [translate(part, fields) for part in parts]
            known = tuple(part for part in found if part is not None)
            return type(condition)(known) if len(known) == len(found) else None
        case Not(part):
            inner = translate(part, fields)
            return None if inner is None else Not(inner)
        case Comparison():
            return _translate(condition, fields)


def _translate(comparison: Comparison, fields: Fields) -> Condition | None:
    path, wanted, value = comparison.path, comparison.operator, comparison.value
    field = fields.get("/".join(path))
    if isinstance(field, Cases):
        return AnyOf(tuple(case for shown_value, case in field.values.items() if holds(shown_value, wanted, value)))
    if field is not None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return Comparison((field.name,), wanted, value * field.scale if is_number else value)  # type: ignore[operator]  # a number
    named = fields.get("/".join((*path[:-1], "*")))
    return Comparison((named.name, path[-1]), wanted, value) if isinstance(named, Stored) else None
