"""Statements of the hot path: written with SQLAlchemy, compiled once, run on the driver's cursor.

Executing a statement through SQLAlchemy costs ten times what SQLite needs for it (120 against 10
microseconds for a look-up by key), and reception runs several for every instance. Here the same
statement objects are compiled once for the dialect, with their types' own conversions, and handed
to the driver within the connection's transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

_Processor = Callable[[Any], Any]


class Statement:
    """A SELECT, INSERT or UPDATE with named bind parameters, or what makes it for a dialect."""

    def __init__(self, executable: ClauseElement | Callable[[str], ClauseElement]) -> None:
        self._executable = executable
        self._compiled: dict[str, _Compiled] = {}

    def rows(self, connection: Connection, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a SELECT. Raises the driver's errors."""
        compiled = self._for(connection)
        cursor = _cursor(connection)
        cursor.execute(compiled.sql, compiled.bound(values))
        return [compiled.converted(row) for row in cursor]

    def run(self, connection: Connection, sets: Iterable[Mapping[str, Any]]) -> None:
        """Run an INSERT or UPDATE once for each set of values. Raises the driver's errors."""
        compiled = self._for(connection)
        _cursor(connection).executemany(compiled.sql, [compiled.bound(each) for each in sets])

    def _for(self, connection: Connection) -> _Compiled:
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            made = self._executable
            executable = made if isinstance(made, ClauseElement) else made(dialect.name)
            found = self._compiled[dialect.name] = _Compiled(executable, dialect)
        return found


def insert_missing(table: type[DeclarativeBase], columns: Iterable[str]) -> Statement:
    """An INSERT of these columns that leaves a row of the same key as it is."""
    values: dict[str, Any] = {name: bindparam(name) for name in columns}

    def made(dialect_name: str) -> ClauseElement:
        insert: Any = sqlite.insert if dialect_name == "sqlite" else postgresql.insert
        statement: ClauseElement = insert(table).values(values).on_conflict_do_nothing()
        return statement

    return Statement(made)


class _Compiled:
    def __init__(self, executable: ClauseElement, dialect: Dialect) -> None:
        compiled = executable.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        self.sql = str(compiled)
        self._positional = compiled.positional
        self._names: Sequence[str] = (
            compiled.positiontup or () if compiled.positional else tuple(compiled.binds)
        )
        self._bind = [_binding(compiled.binds[name].type, dialect) for name in self._names]
        columns = getattr(executable, "selected_columns", ())
        results = [_result(column.type, dialect) for column in columns]
        # Most look-ups need no conversion: their rows are passed on as the driver made them.
        self._results = results if any(results) else None

    def bound(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver wants them."""
        converted = [
            values[name] if convert is None else convert(values[name])
            for name, convert in zip(self._names, self._bind, strict=True)
        ]
        if self._positional:
            return converted
        return dict(zip(self._names, converted, strict=True))

    def converted(self, row: Sequence[Any]) -> tuple[Any, ...]:
        """A row of the driver with the types of its columns."""
        if self._results is None:
            return tuple(row)
        return tuple(
            value if convert is None else convert(value)
            for value, convert in zip(row, self._results, strict=True)
        )


def _binding(kind: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result(kind: TypeEngine[Any], dialect: Dialect) -> _Processor | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()
