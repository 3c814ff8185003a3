"""The migrations lead to the tables that the code was written for, on both databases."""

from __future__ import annotations

from typing import Any

from sqlalchemy import UniqueConstraint, inspect
from sqlalchemy.types import TypeEngine

from node.store.session import Store
from node.store.tables import Base


def _sql(store: Store, kind: TypeEngine[Any]) -> str:
    return kind.compile(store.engine.dialect)


def test_migrated_tables_are_those_of_the_code(store: Store) -> None:
    """Columns, their lengths, primary keys, unique constraints, indexes and foreign keys agree."""
    found = inspect(store.engine)
    for table in Base.metadata.sorted_tables:
        assert {
            column["name"]: (_sql(store, column["type"]), column["nullable"])
            for column in found.get_columns(table.name)
        } == {
            column.name: (_sql(store, column.type), column.nullable) for column in table.columns
        }, table.name
        assert found.get_pk_constraint(table.name)["constrained_columns"] == [
            column.name for column in table.primary_key.columns
        ]
        assert {
            tuple(each["column_names"]) for each in found.get_unique_constraints(table.name)
        } == {
            tuple(column.name for column in each.columns)
            for each in table.constraints
            if isinstance(each, UniqueConstraint)
        }, table.name
        assert {
            tuple(each["column_names"])
            for each in found.get_indexes(table.name)
            if not each.get("duplicates_constraint")
        } == {tuple(column.name for column in each.columns) for each in table.indexes}, table.name
        assert {
            tuple(each["constrained_columns"]) for each in found.get_foreign_keys(table.name)
        } == {tuple(each.column_keys) for each in table.foreign_key_constraints}, table.name


def test_an_instance_is_looked_up_by_an_index(store: Store) -> None:
    """The question that every C-STORE asks does not read the table."""
    if store.engine.dialect.name != "sqlite":
        # PostgreSQL scans a small table whatever its indexes are.
        return
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(
            "EXPLAIN QUERY PLAN SELECT digest, route FROM instance WHERE sop_instance_uid = 'x'"
        ).all()
    assert "USING INDEX" in str(plan)
