"""A store with many instances, without receiving them.

In: a store that holds one received study. Out: the same store with that study's rows (study,
series, instances, events) copied many times under other UIDs, done with, in the same tables and
indexes. Files are not copied: no C-STORE looks at the files of other instances. What must hold:
UIDs and digests of the copies are spread over the indexes as those of many modalities would be, not
appended at their ends.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Engine,
    String,
    Table,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    select,
)

from node.store.tables import Base, Instance, Study

_ROOT = "1.2.826.0.1.3680043.8.498"
# Knuth's multiplicative hash: odd, so that no two numbers below 2^32 meet.
_FACTOR, _MODULUS = 2654435761, 2**32
# Makes every number eleven digits long, without a leading zero.
_OFFSET = 10**10
# Larger than any id of the study that is copied.
_ROWS_PER_COPY = 10_000
# So many copies are committed together: the write-ahead log holds no more than these.
_COPIES_PER_COMMIT = 500
# SQLite's own 2 MB would write every index page many times over.
_SQLITE_CACHE_KIB = 1 << 20


def fill(engine: Engine, instances: int, with_content: bool = True) -> int:
    """Copy the store's only study until there are about as many instances; returns their number.

    `with_content`: whether the objects that stand in the database are copied too.
    """
    with engine.connect().execution_options(sentinode_write=True) as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA cache_size=-{_SQLITE_CACHE_KIB}")
            connection.commit()
        present = _count(connection)
        template = connection.scalars(select(Study.study_uid)).one()
        copies = (instances - present) // present
        for first in range(1, copies + 1, _COPIES_PER_COMMIT):
            numbers = _numbers(first, min(copies, first + _COPIES_PER_COMMIT - 1))
            for table in Base.metadata.sorted_tables:
                if "study_uid" in table.columns:
                    _copy(connection, table, template, numbers, with_content)
            connection.commit()
        total = _count(connection)
    _settle(engine)
    return total


def _count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(Instance)) or 0


def _copy(
    connection: Connection, table: Table, template: str, numbers: CTE, with_content: bool
) -> None:
    values = {
        name: _value(table, column, numbers)
        for name, column in table.columns.items()
        if not _counts_by_itself(column) and (with_content or name != "content")
    }
    rows = (
        select(*values.values())
        .select_from(numbers.join(table, literal(True)))
        .where(table.columns["study_uid"] == template)
    )
    connection.execute(insert(table).from_select(list(values), rows))


def _numbers(first: int, last: int) -> CTE:
    numbers = select(literal(first).label("number")).cte("numbers", recursive=True)
    more = select(numbers.c.number + 1).where(numbers.c.number < last)
    return numbers.union_all(more)


def _value(table: Table, column: ColumnElement[Any], numbers: CTE) -> ColumnElement[Any]:
    name, copy = str(column.name), numbers.c.number
    row = copy * _ROWS_PER_COPY + table.columns["id"] if "id" in table.columns else copy
    by_name: dict[str, ColumnElement[Any]] = {
        "study_uid": _uid(1, copy),
        "series_uid": _uid(2, copy),
        "sop_instance_uid": _uid(3, row),
        "digest": literal("blake3:") + func.substr(_digits(row, 6), 1, 64),
        # Empty where the object stands in the row.
        "path": case((column == "", ""), else_=literal("instances/") + _uid(3, row)),
        "PatientID": _digits(copy, 1),
    }
    if table is Study.__table__:
        by_name |= {"state": literal("done"), "deadline_at": null(), "hard_deadline_at": null()}
    return by_name.get(name, column).label(name)


def _uid(kind: int, number: ColumnElement[Any]) -> ColumnElement[Any]:
    return literal(f"{_ROOT}.{kind}.") + _digits(number, 2)


def _digits(number: ColumnElement[Any], groups: int) -> ColumnElement[Any]:
    text: ColumnElement[Any] = _scrambled(number, 0)
    for group in range(1, groups):
        text = text + _scrambled(number, group)
    return text


def _scrambled(number: ColumnElement[Any], group: int) -> ColumnElement[Any]:
    mixed = ((number + literal(group * 7919)) * literal(_FACTOR)) % literal(_MODULUS)
    return cast(mixed + literal(_OFFSET), String)


def _counts_by_itself(column: Any) -> bool:
    return bool(column.primary_key and column.name == "id")


def _settle(engine: Engine) -> None:
    """What the database would do by itself later, in the middle of the measurement."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")
