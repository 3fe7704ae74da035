"""What all models share: the metadata with its naming convention, column types and `Annotated` shapes."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from sqlalchemy import JSON, BigInteger, CursorResult, DateTime, Enum, Integer, MetaData, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

from hawkfish.errors import DatabaseUnavailable

Item = TypeVar("Item")

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """A time that always has a zone, and that zone is UTC; SQLite, which knows none, keeps it without."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any] | None:
        """For SQLite, whose times are texts, in one go: nearly every statement has some."""
        return _to_text if dialect.name == "sqlite" else super().bind_processor(dialect)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuses naive times, which would mean something else on each machine."""
        return None if value is None else _in_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Gives back UTC whatever the zone of the database session."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _in_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone; use datetime.now(UTC)")
    return value.astimezone(UTC)


def _to_text(value: datetime | None) -> str | None:
    """A time as SQLAlchemy writes it for SQLite, in a form that sorts as text."""
    return None if value is None else _in_utc(value).replace(tzinfo=None).isoformat(" ", "microseconds")


JsonType = JSON().with_variant(JSONB(), "postgresql")
BigInt = BigInteger().with_variant(Integer(), "sqlite")  # only INTEGER can be SQLite's own row number


def enum_by_value(kind: type[enum.Enum], name: str) -> Enum:
    """An enumeration stored as the values of its members, with a CHECK; the same on every database.

    Args:
        kind: The enumeration; its values are strings.
        name: Name of the constraint, without the prefix that the convention adds.
    """
    return Enum(
        kind,
        name=name,
        native_enum=False,
        create_constraint=True,
        length=32,
        values_callable=lambda members: [member.value for member in members],
        validate_strings=True,
    )


Uuid36 = Annotated[str, mapped_column(String(36))]
UuidKey = Annotated[str, mapped_column(String(36), primary_key=True)]
Name = Annotated[str, mapped_column(String(255))]
Instant = Annotated[datetime, mapped_column(UtcDateTime())]
Json = Annotated[Any, mapped_column(JsonType)]
Version = Annotated[int, mapped_column(Integer(), default=1, server_default="1")]


class Base(DeclarativeBase):
    """The base of all models."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)


def changed_rows(result: Any) -> int:
    """How many rows an UPDATE or DELETE met; SQLAlchemy types the result of `execute` more widely."""
    return result.rowcount if isinstance(result, CursorResult) else 0


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turns "the database does not answer" into our error."""
    try:
        yield
    except OperationalError as error:
        raise DatabaseUnavailable(f"The database does not answer: {str(error.orig).strip()}", retry_after=5) from error


MOST_PARAMETERS = 10_000
"""Values that one statement may be given; SQLite takes 32,766 and PostgreSQL 65,535."""


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in pieces of that size, the last one shorter; nothing for none."""
    return (items[start : start + size] for start in range(0, len(items), size))
