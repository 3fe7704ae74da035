"""Conditions and pages as SQL."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, Float, Select, String, and_, cast, false, literal, not_, or_, true, type_coerce

from hawkfish.domain.pages import AllOf, AnyOf, Comparison, Condition, Key, Not, Operator, Page, PageRequest

if TYPE_CHECKING:
    from hawkfish.db.unit_of_work import UnitOfWork

Rows = Select[*tuple[Any, ...]]  # of whatever columns
R = TypeVar("R")
T = TypeVar("T")

_ORDERINGS: Mapping[Operator, Callable[[Any, Any], Any]] = {
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


@dataclass(frozen=True)
class FilterColumn:
    """A value that conditions may name.

    Attributes:
        kind: `str`, `float` (for all numbers) or `bool`; values of another kind never equal it.
        element: The SQL of it, given the rest of the path where the value is one of many.
    """

    kind: type
    element: Callable[[tuple[str, ...]], Any]


def text(element: Any) -> FilterColumn:
    """A string, or an enumeration that is stored as one."""
    return FilterColumn(str, lambda _rest: type_coerce(element, String()))


def number(element: Any) -> FilterColumn:
    """A number."""
    return FilterColumn(float, lambda _rest: element)


def truth(element: Any) -> FilterColumn:
    """True or false."""
    return FilterColumn(bool, lambda _rest: element)


def entries(document: Any) -> FilterColumn:
    """The strings of a flat JSON object, by their names."""
    return FilterColumn(str, lambda rest: document[rest[0]].as_string())


Columns = Mapping[str, FilterColumn]


def narrow(uow: UnitOfWork, statement: Rows, condition: Condition | None, columns: Columns | None = None) -> Rows:
    """The rows that meet a condition."""
    return statement if condition is None else statement.where(_to_sql(condition, columns or {}, uow.is_postgresql))


def cut(statement: Rows, wanted: PageRequest, key: Any, *, newest_first: bool = False) -> Rows:
    """The rows of a page, and one more where there is one, by which it is known that the page is not the last.

    Args:
        statement: What would give all rows.
        wanted: The page.
        key: The column of the places; indexed, and unique.
        newest_first: The greatest place comes first.
    """
    if wanted.after is not None:
        statement = statement.where(key < wanted.after if newest_first else key > wanted.after)
    statement = statement.order_by(key.desc() if newest_first else key)
    if wanted.skip:
        statement = statement.offset(wanted.skip)
    return statement if wanted.top is None else statement.limit(wanted.top + 1)


def to_page(
    rows: Sequence[R], wanted: PageRequest, total: int, key: Callable[[R], Key], make: Callable[[Sequence[R]], list[T]]
) -> Page[T]:
    """The page that `cut` gave rows for.

    Args:
        rows: What the statement gave.
        wanted: The page.
        total: How many there are on all pages.
        key: The place of a row.
        make: Turns rows into values.
    """
    found = rows[: wanted.top]
    more = len(rows) > len(found) and found
    return Page(items=make(found), total=total, next_after=key(found[-1]) if more else None)


def _to_sql(condition: Condition, columns: Columns, postgresql: bool) -> ColumnElement[bool]:
    """The condition over columns; it is true or false, never unknown."""
    match condition:
        case AllOf(parts):
            return and_(true(), *(_to_sql(part, columns, postgresql) for part in parts))
        case AnyOf(parts):
            return or_(false(), *(_to_sql(part, columns, postgresql) for part in parts))
        case Not(part):
            return not_(_to_sql(part, columns, postgresql))
        case Comparison():
            return _compare(condition, columns[condition.path[0]], postgresql)


def _compare(comparison: Comparison, column: FilterColumn, postgresql: bool) -> ColumnElement[bool]:
    element: Any = column.element(comparison.path[1:])
    value, wanted = comparison.value, comparison.operator
    differs = true() if wanted is Operator.NOT_EQUAL else false()
    if value is None:
        found: Any = element.is_(None) if wanted is Operator.EQUAL else element.is_not(None)
        return found if wanted in {Operator.EQUAL, Operator.NOT_EQUAL} else false()
    kind = next(known for known in (str, bool, float) if isinstance(value, (int, float) if known is float else known))
    if kind is not column.kind:
        return differs
    if kind is float:
        # A double holds every number that the parser lets through; compared with an integer, a fraction would be rounded.
        element, other = cast(element, Float(53)), literal(float(value), Float(53))
    else:
        other = literal(kind(value))
    if wanted is Operator.EQUAL:
        found = element.is_not_distinct_from(other)
    elif wanted is Operator.NOT_EQUAL:
        found = element.is_distinct_from(other)
    elif kind is bool:
        found = false()
    else:
        # Text by code points, whatever the language of the database, as everywhere else.
        place = element.collate("C") if kind is str and postgresql else element
        found = and_(element.is_not(None), _ORDERINGS[wanted](place, other))
    return found  # type: ignore[no-any-return]  # built of untyped columns
