"""Statements that are compiled once: those that run so often that SQLAlchemy's own work costs more than the database's.

On SQLite they go to the driver as they are, in the transaction of the unit of work; elsewhere SQLAlchemy runs them as any other.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Table, bindparam, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql import Select
from sqlalchemy.sql.dml import Insert, UpdateBase

_DIALECT = sqlite.dialect()
AnySelect: TypeAlias = Select[*tuple[Any, ...]]


class Prepared:
    """A statement with all that SQLite needs to run it.

    Its parameters are those that it binds by name; lists (`in_`) and the defaults of columns are not supported.

    Args:
        statement: A SELECT, INSERT, UPDATE or DELETE.
    """

    def __init__(self, statement: AnySelect | UpdateBase) -> None:
        self.statement = statement
        self._form: _SqliteForm | None = None

    @property
    def form(self) -> _SqliteForm:
        """The statement as SQLite takes it; made when first needed, since not every process runs every statement."""
        if self._form is None:
            self._form = _SqliteForm(self.statement)
        return self._form

    def rows(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """What it finds or returns, as rows whose columns are attributes."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self.statement, parameters).all()
        form = self.form
        return [form.row(found) for found in form.execute(connection, parameters).fetchall()]

    def row(self, connection: Connection, parameters: Mapping[str, Any]) -> Any:
        """The one row that there can be, or None."""
        found = self.rows(connection, parameters)
        return found[0] if found else None

    def change(self, connection: Connection, parameters: Mapping[str, Any]) -> int:
        """Runs a statement that returns no rows; gives how many it met."""
        if connection.dialect.name != "sqlite":
            return int(connection.execute(self.statement, parameters).rowcount)
        cursor = self.form.execute(connection, parameters)
        count = int(cursor.rowcount)
        cursor.close()
        return count

    def change_each(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs it once for each of several sets of parameters."""
        if connection.dialect.name != "sqlite":
            connection.execute(self.statement, rows)
        else:
            self.form.execute_many(connection, rows)


def insert_into(table: Table, *given: str) -> Insert:
    """An INSERT that is given some columns; others take their defaults, which are plain values."""
    columns = {name: bindparam(name, type_=table.c[name].type) for name in given}
    defaults: dict[str, Any] = {
        column.key: column.default.arg  # type: ignore[attr-defined]  # a plain value
        for column in table.c
        if column.default is not None and column.key not in columns
    }
    return insert(table).values(defaults | columns)


class _SqliteForm:
    """A statement's text, the order of its parameters, and how values are converted on their way in and out."""

    def __init__(self, statement: AnySelect | UpdateBase) -> None:
        compiled = statement.compile(dialect=_DIALECT)
        self.text = str(compiled)
        names = compiled.positiontup or []
        defaults = compiled.params
        self._parameters: list[tuple[str, Any]] = [(name, defaults[name]) for name in names]
        self._binders: list[tuple[int, Callable[[Any], Any]]] = [
            (position, binder)
            for position, name in enumerate(names)
            if (binder := compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT)) is not None
        ]
        columns = list(statement.selected_columns if isinstance(statement, Select) else statement.exported_columns)
        self._shape: Any = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]  # noqa: PYI024  made of columns
        self._converters: list[tuple[int, Callable[[Any], Any]]] = [
            (position, converter)
            for position, column in enumerate(columns)
            if (converter := column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None)) is not None
        ]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The values in the order of the text."""
        get = parameters.get
        values = [get(name, default) for name, default in self._parameters]
        for position, binder in self._binders:
            values[position] = binder(values[position])
        return values

    def row(self, values: Sequence[Any]) -> Any:
        """A row as SQLAlchemy would give it."""
        converted = list(values)
        for position, converter in self._converters:
            converted[position] = converter(converted[position])
        return self._shape._make(converted)

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> sqlite3.Cursor:
        """Runs it in the connection's transaction; errors are those of SQLAlchemy."""
        arguments = self.arguments(parameters)
        try:
            cursor: sqlite3.Cursor = _driver(connection).execute(self.text, arguments)
        except sqlite3.Error as error:
            raise _translated(error, self.text, arguments, connection) from error
        return cursor

    def execute_many(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Runs it for each row."""
        arguments = [self.arguments(row) for row in rows]
        try:
            _driver(connection).executemany(self.text, arguments).close()
        except sqlite3.Error as error:
            raise _translated(error, self.text, arguments, connection) from error


def run_plainly(connection: Connection, text: str) -> None:
    """Runs words that have no parameters and give nothing, past SQLAlchemy, on SQLite; errors are those of SQLAlchemy."""
    try:
        _driver(connection).execute(text).close()
    except sqlite3.Error as error:
        raise _translated(error, text, None, connection) from error


def _translated(error: sqlite3.Error, text: str, arguments: Any, connection: Connection) -> BaseException:
    return DBAPIError.instance(text, arguments, error, sqlite3.Error, dialect=connection.dialect)


def _driver(connection: Connection) -> sqlite3.Connection:
    found: sqlite3.Connection = connection.connection.dbapi_connection  # type: ignore[assignment]  # open, and SQLite's
    return found
