"""Whether this code's statements run on a schema that newer code has migrated.

In a rolling deploy the database goes ahead and the old release serves on. What its statements name must still be there,
and what it does not write must come by itself. Nothing is tried out: the catalogue is read and compared with the models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.dialects import postgresql

from app.models import metadata
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Column, Row, Table
    from sqlalchemy.orm import Session

_COLUMNS = text("""
SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
    a.atthasdef OR a.attidentity <> '' AS filled, a.attgenerated <> '' AS generated
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = CAST(:schema AS text)::regnamespace AND c.relkind IN ('r', 'p', 'v')
    AND a.attnum > 0 AND NOT a.attisdropped
""")
# Of constraints that are not the models', a CHECK of columns that are not the models' either is met by their defaults.
_RULES = text("""
SELECT c.relname AS table, r.conname AS name, r.contype = 'c' AS checks,
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (r.conkey)) AS columns
FROM pg_constraint r JOIN pg_class c ON c.oid = r.conrelid
WHERE c.relnamespace = CAST(:schema AS text)::regnamespace AND r.contype IN ('c', 'u', 'x', 'f')
UNION ALL
SELECT c.relname, t.tgname, false, '{}' FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = CAST(:schema AS text)::regnamespace AND NOT t.tgisinternal
ORDER BY 1, 2
""")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def judge(session: Session) -> tuple[list[str], list[str]]:
    """Compare the database with the models: what no longer runs, and what cannot be told. Reads the catalogue."""
    found: dict[str, dict[str, Row[tuple[object, ...]]]] = {}
    for row in session.execute(_COLUMNS, {"schema": SCHEMA}):
        found.setdefault(row.table, {})[row.name] = row
    rules = session.execute(_RULES, {"schema": SCHEMA}).all()
    lost: list[str] = []
    untold: list[str] = []
    for table in metadata.sorted_tables:
        columns = found.get(table.name)
        if columns is None:
            lost.append(f"{table.name} is gone")
            continue
        lost += _lost(table, columns)
        untold += _untold(table, columns, [rule for rule in rules if rule.table == table.name])
    return lost, untold


def _lost(table: Table, found: dict[str, Row[tuple[object, ...]]]) -> Iterator[str]:
    for column in table.columns:
        if column.name not in found:
            yield f"{table.name}.{column.name} is gone"
        elif found[column.name].generated:
            yield f"{table.name}.{column.name} is generated now"
        elif column.server_default is not None and _must_be_given(found[column.name]):
            yield f"{table.name}.{column.name} has lost its default"
    for name in sorted(found.keys() - table.columns.keys()):
        if _must_be_given(found[name]):
            yield f"{table.name}.{name} must be given and has no default"


def _must_be_given(row: Row[tuple[object, ...]]) -> bool:
    return bool(row.required and not row.filled)


def _untold(
    table: Table, found: dict[str, Row[tuple[object, ...]]], rules: Sequence[Row[tuple[object, ...]]]
) -> Iterator[str]:
    for column in table.columns:
        row = found.get(column.name)
        if row is not None and row.type != _type(column):
            yield f"{table.name}.{column.name} is {row.type} now"
        if row is not None and row.required and column.nullable:
            yield f"{table.name}.{column.name} must not be null now"
    preparer = _DIALECT.identifier_preparer
    known = {preparer.format_constraint(one) for one in table.constraints}
    for rule in rules:
        of_others = rule.checks and set(table.columns.keys()).isdisjoint(rule.columns)
        if rule.name not in known and not of_others:
            yield f"{table.name} has {rule.name}"


def _type(column: Column[object]) -> str:
    """Spell a column's type as PostgreSQL does."""
    spelled = column.type.compile(_DIALECT).lower()
    return spelled.replace("varchar", "character varying")
