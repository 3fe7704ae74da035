"""Pages of collections, and the conditions that their members must meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")

Key = str | int
"""Place of a member in the order of its collection; no two have the same."""

Literal = str | float | bool | None


class Operator(StrEnum):
    """How a property is compared; the spelling is that of DSP0266."""

    EQUAL = "eq"
    NOT_EQUAL = "ne"
    LESS = "lt"
    LESS_OR_EQUAL = "le"
    GREATER = "gt"
    GREATER_OR_EQUAL = "ge"


@dataclass(frozen=True)
class Comparison:
    """One property compared with a value.

    What is absent equals null and nothing else, and it is neither less nor greater than anything; so are values of different types.

    Attributes:
        path: Name of the property, behind those of the objects that it stands in.
    """

    path: tuple[str, ...]
    operator: Operator
    value: Literal


@dataclass(frozen=True)
class AllOf:
    """Every part must hold; without parts it holds always."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """One part must hold; without parts it never does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """The part must not hold."""

    part: Condition


Condition = Comparison | AllOf | AnyOf | Not


@dataclass(frozen=True, kw_only=True)
class PageRequest:
    """Which members of a collection are wanted.

    Attributes:
        top: How many at most; None for all.
        skip: How many of them are passed over first; it costs as much as reading them.
        after: Only members behind this place; it costs the same wherever that is, and nothing that is made or deleted
            meanwhile makes a member come twice or not at all.
        condition: Only members that meet it.
    """

    top: int | None = None
    skip: int = 0
    after: Key | None = None
    condition: Condition | None = None


EVERYTHING = PageRequest()


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """Some members of a collection in its order.

    Attributes:
        total: How many there are on all pages together.
        next_after: The place behind which the next page begins; None if this is the last one.
    """

    items: Sequence[T]
    total: int
    next_after: Key | None = None
