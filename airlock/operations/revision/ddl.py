"""Statements as text: how to make, and how to make again without blocking anybody, what the catalogue holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure import quoted
from airlock.operations.revision.naming import made_name, postgresql_name
from airlock.operations.revision.parts import Sql, alone, sql

if TYPE_CHECKING:
    import collections.abc

    from airlock.catalogue.structure import Column, Constraint, Index, Sequence, Table

BATCH = 2000


def literal(text: str | None) -> str:
    """Spell a string constant, or NULL."""
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


def column(
    one: Column, *, not_null: bool | None = None, default: bool = True, table: Table | None = None
) -> str:
    """Spell a column for CREATE TABLE or ADD COLUMN; as serial where that makes this sequence of this table."""
    if one.serial and default and (table is None or serial_by_itself(table, one)):
        return f"{quoted(one.name)} {one.serial}" + (" NOT NULL" if one.not_null else "")
    parts = [quoted(one.name), one.spelt_type]
    if one.generated:
        parts.append(f"GENERATED ALWAYS AS ({one.default}) {'STORED' if one.generated == 's' else 'VIRTUAL'}")
    elif one.identity:
        parts.append(identity(one))
    elif one.default is not None and default:
        parts.append(f"DEFAULT {one.default}")
    if one.not_null and one.not_null_valid if not_null is None else not_null:
        parts.append("NOT NULL")
    return " ".join(parts)


def is_serial(one: Column) -> bool:
    """Tell whether a sequence of the column's own gives its values."""
    return not one.identity and one.sequence is not None and (one.default or "").startswith("nextval(")


def serial_by_itself(table: Table, one: Column) -> bool:
    """Tell whether the pseudo-type makes the column and its sequence as they are: name, parameters, no grants."""
    if one.serial is None or one.sequence is None:
        return False
    name = in_schema(table, postgresql_name(table.name, one.name, "seq"))
    return one.sequence.name == name and not one.sequence.privileges and one.sequence.comment is None


def numbers_lost(table: Table, gone: collections.abc.Iterable[Column]) -> list[tuple[str, str]]:
    """Say of numbered columns that go what becomes of their numbers."""
    return [
        (
            f"sequence {plain(table.schema or table.home)}.{plain(unqualified(one.sequence.name))}",
            "goes with its column; a downgrade makes it again, and its numbers start anew",
        )
        for one in gone
        if one.sequence is not None
    ]


def create_sequence(one: Sequence) -> str:
    """Make a sequence as it is, owned by nobody yet."""
    return f"CREATE SEQUENCE {one.name} AS {one.type} {one.options()}"


def unqualified(name: str) -> str:
    """Take the schema and the quotes from a name as SQL spells it."""
    last: str = re.findall(r'"(?:[^"]|"")*"|[^.]+', name)[-1]
    return last[1:-1].replace('""', '"') if last.startswith('"') else last


def beside(name: str, other: str) -> str:
    """Qualify another name as a qualified one is."""
    return name[: len(name) - len(quoted(unqualified(name)))] + quoted(other)


def create_enum(name: str, labels: collections.abc.Iterable[str]) -> str:
    """Spell CREATE TYPE."""
    return f"CREATE TYPE {name} AS ENUM ({', '.join(literal(label) for label in labels)})"


def create_domain(name: str, definition: str) -> str:
    """Spell CREATE DOMAIN."""
    return f"CREATE DOMAIN {name} {definition}"


def sequence_of(table: Table, one: Column) -> str:
    """Spell the sequence that a column owns, for setval."""
    return (
        f"pg_get_serial_sequence({literal(table.sql)}, {literal(one.name)})"
        if one.identity
        else literal(one.sequence.name if one.sequence else None)
    )


def identity(one: Column) -> str:
    """Spell GENERATED … AS IDENTITY with the parameters that are not the usual ones."""
    how = "ALWAYS" if one.identity == "a" else "BY DEFAULT"
    options = f" ({one.sequence.options()})" if one.sequence and not one.sequence.usual() else ""
    return f"GENERATED {how} AS IDENTITY{options}"


def create_table(table: Table, *, foreign_keys: bool = True) -> tuple[Sql, ...]:
    """Make a table as it is: columns, constraints, indexes, comments, and what models do not know."""
    lines = [column(one, table=table) for one in table.columns.values()]
    own = [
        one for one in table.columns.values()
        if one.sequence is not None and not one.identity and not serial_by_itself(table, one)
    ]  # fmt: skip
    lines += [
        f"CONSTRAINT {quoted(one.name)} {one.text}"
        for one in sorted(table.constraints.values(), key=lambda it: ("puxc".find(it.kind), it.name))
        if one.kind != "f"
    ]
    options = f" WITH ({', '.join(table.options)})" if table.options else ""
    partitioned = f" PARTITION BY {table.partition_key}" if table.partition_key else ""
    space = f" TABLESPACE {quoted(table.tablespace)}" if table.tablespace else ""
    unlogged = "UNLOGGED " if table.persistence == "u" else ""
    parents = f" INHERITS ({', '.join(table.parents)})" if table.parents else ""
    body = ",\n    ".join(lines)
    made = [create_sequence(one.sequence) for one in own if one.sequence]
    made += [f"CREATE {unlogged}TABLE {table.sql} (\n    {body}\n){parents}{partitioned}{options}{space}"]
    made += [text for one in own for text in owned(table, one)]
    made += [
        grant.format(sequence=one.sequence.name)
        for one in table.columns.values() if one.identity and one.sequence for grant in one.sequence.privileges
    ]  # fmt: skip
    made += [one.text for one in table.indexes.values()]
    made += [
        not_null_not_valid(table, one)
        for one in table.columns.values()
        if one.not_null and not one.not_null_valid
    ]
    made += comments(table)
    made += [grant.format(table=table.sql) for one in table.columns.values() for grant in one.privileges]
    if foreign_keys:
        made += foreign_key_statements(table)
    marks = [
        text for name in dict.fromkeys(name for name, _ in table.marks) for text in table.marked(name, name)
    ]
    return sql(*made, *table.extras, *marks)


def owned(table: Table, one: Column) -> list[str]:
    """Let a column own its sequence, with the sequence's comment and grants."""
    sequence = one.sequence
    if sequence is None:
        return []
    made = [f"ALTER SEQUENCE {sequence.name} OWNED BY {table.sql}.{quoted(one.name)}"]
    made += (
        [f"COMMENT ON SEQUENCE {sequence.name} IS {literal(sequence.comment)}"] if sequence.comment else []
    )
    return made + [grant.format(sequence=sequence.name) for grant in sequence.privileges]


def foreign_key_statements(table: Table) -> list[str]:
    """Add the foreign keys of a new table."""
    keys = [one for one in table.constraints.values() if one.kind == "f"]
    made = [f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(one.name)} {one.definition}" for one in keys]
    return made + [comment_on_constraint(table, one) for one in keys if one.comment is not None]


def comments(table: Table) -> list[str]:
    """Comment a new table and everything in it but its foreign keys."""
    made = [f"COMMENT ON TABLE {table.sql} IS {literal(table.comment)}"] if table.comment is not None else []
    made += [comment_on_column(table, one) for one in table.columns.values() if one.comment is not None]
    made += [
        comment_on_constraint(table, one)
        for one in table.constraints.values()
        if one.comment is not None and one.kind != "f"
    ]
    return made + [comment_on_index(table, one) for one in table.indexes.values() if one.comment is not None]


def comment_on_column(table: Table, one: Column) -> str:
    """Set a column's comment to what it is."""
    return f"COMMENT ON COLUMN {table.sql}.{quoted(one.name)} IS {literal(one.comment)}"


def comment_on_constraint(table: Table, one: Constraint) -> str:
    """Set a constraint's comment to what it is."""
    return f"COMMENT ON CONSTRAINT {quoted(one.name)} ON {table.sql} IS {literal(one.comment)}"


def comment_on_index(table: Table, one: Index) -> str:
    """Set an index's comment to what it is."""
    return f"COMMENT ON INDEX {in_schema(table, one.name)} IS {literal(one.comment)}"


def in_schema(table: Table, name: str) -> str:
    """Qualify a name as the table's is."""
    return qualified(table.schema, name)


def qualified(schema: str, name: str) -> str:
    """Qualify a name by a schema; "" is the models' default one."""
    return f"{quoted(schema)}.{quoted(name)}" if schema else quoted(name)


def build(definition: str, name: str, how: str = "CONCURRENTLY ") -> str:
    """Spell CREATE INDEX CONCURRENTLY from a definition, under a name."""
    head, _, body = definition.partition(" ON ")
    unique = "UNIQUE " if head.startswith("CREATE UNIQUE") else ""
    return f"CREATE {unique}INDEX {how}{quoted(name)} ON {body.removeprefix('ONLY ')}"


def index_again(table: Table, definition: str, name: str) -> tuple[Sql, ...]:
    """Build an index while everybody works on; whatever an earlier, interrupted build left goes first.

    Of a partitioned table PostgreSQL builds none so: it comes back at once.
    """
    if table.partition_key is not None:
        return alone(f"DROP INDEX IF EXISTS {in_schema(table, name)}", build(definition, name, how=""))
    leftover = Sql(
        f"DROP INDEX CONCURRENTLY IF EXISTS {in_schema(table, name)}",
        autocommit=True,
        note="A build that was cut short leaves an INVALID index of this name behind.",
    )
    return (leftover, Sql(build(definition, name), autocommit=True))


def index_away(table: Table, name: str) -> tuple[Sql, ...]:
    """Drop an index while everybody works on."""
    return alone(f"DROP INDEX CONCURRENTLY IF EXISTS {in_schema(table, name)}")


def not_valid(table: Table, one: Constraint) -> str:
    """Add a CHECK or foreign key that only new rows must meet."""
    return f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(one.name)} {one.text} NOT VALID"


def constraint_again(table: Table, one: Constraint) -> tuple[Sql, ...]:
    """Make a constraint of an existing table again without blocking anybody, each statement by itself."""
    gone = f"ALTER TABLE {table.sql} DROP CONSTRAINT IF EXISTS {quoted(one.name)}"
    add = f"ALTER TABLE {table.sql} ADD CONSTRAINT {quoted(one.name)}"
    comment = alone(comment_on_constraint(table, one)) if one.comment is not None else ()
    if one.kind == "c" or (one.kind == "f" and not table.validates_at_once):
        valid = alone(f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {quoted(one.name)}") if one.valid else ()
        return alone(gone, not_valid(table, one)) + valid + comment
    comment += alone(*(table.marked(one.name, one.name) if one.kind != "f" else ()))
    beside = using_index(one) is not None and table.partition_key is None
    if one.kind in "pu" and one.index is not None and beside:
        made = index_again(table, one.index, one.name)
        return (*alone(gone), *made, *alone(f"{add} {using_index(one)}"), *comment)
    return alone(gone, f"{add} {one.definition}") + comment


def using_index(one: Constraint, name: str | None = None) -> str | None:
    """Spell a key as UNIQUE or PRIMARY KEY USING INDEX; None where that form does not exist."""
    if "WITHOUT OVERLAPS" in one.definition:
        return None
    kind = "PRIMARY KEY" if one.kind == "p" else "UNIQUE"
    tail = "".join(
        f" {word}" for word in ("DEFERRABLE", "INITIALLY DEFERRED") if f" {word}" in one.definition
    )
    return f"{kind} USING INDEX {quoted(name or one.name)}{tail}"


def not_null_not_valid(table: Table, one: Column) -> str:
    """Require a column's values of new rows alone, as PostgreSQL 18 can."""
    name = quoted(one.not_null_name or postgresql_name(table.name, one.name, "not_null"))
    return f"ALTER TABLE {table.sql} ADD CONSTRAINT {name} NOT NULL {quoted(one.name)} NOT VALID"


def present(table: Table, name: str) -> str:
    """Name the CHECK that stands for NOT NULL until the column says so itself."""
    return made_name("ck", table.name, name, "present")


def not_null_again(table: Table, name: str) -> tuple[Sql, ...]:
    """Require a column's values again without blocking anybody, each statement by itself."""
    check, column_ = quoted(present(table, name)), quoted(name)
    return alone(
        f"ALTER TABLE {table.sql} DROP CONSTRAINT IF EXISTS {check}",
        f"ALTER TABLE {table.sql} ADD CONSTRAINT {check} CHECK ({column_} IS NOT NULL) NOT VALID",
        f"ALTER TABLE {table.sql} VALIDATE CONSTRAINT {check}",
        f"ALTER TABLE {table.sql} ALTER COLUMN {column_} SET NOT NULL",
        f"ALTER TABLE {table.sql} DROP CONSTRAINT {check}",
    )


def backfill(table: Table, assignment: str, condition: str, *, note: str | None = None) -> Sql:
    """Update a table batch by batch along its primary key, each batch committed by itself."""
    key = table.key
    if key is None:
        return Sql(_by_place(table, assignment, condition), autocommit=True, note=note)
    names = [quoted(name) for name in key.columns]
    columns = ", ".join(names)
    descending = ", ".join(f"{name} DESC" for name in names)
    row = _row(names)
    first, last, final = (
        _row([f"{word}.{name}" for name in names]) for word in ("batch_first", "batch_last", "table_last")
    )
    # Records: of whatever type the key is when this runs, for a revision before or after may give it another one.
    text = f"""DO $backfill$
DECLARE
    batch_first record;
    batch_last record;
    table_last record;
BEGIN
    SELECT {columns} INTO batch_first FROM {table.sql} ORDER BY {columns} LIMIT 1;
    SELECT {columns} INTO table_last FROM {table.sql} ORDER BY {descending} LIMIT 1;
    LOOP
        SELECT {columns} INTO batch_last FROM {table.sql}
            WHERE {row} >= {first} ORDER BY {columns} OFFSET {BATCH - 1} LIMIT 1;
        IF NOT FOUND THEN
            batch_last := table_last;
        END IF;
        UPDATE {table.sql} SET {assignment}
            WHERE {row} >= {first} AND {row} <= {last} AND {condition};
        COMMIT;
        SELECT {columns} INTO batch_first FROM {table.sql}
            WHERE {row} > {last} ORDER BY {columns} LIMIT 1;
        EXIT WHEN NOT FOUND OR {first} > {final};
    END LOOP;
END
$backfill$"""
    return Sql(text, autocommit=True, note=note)


def _row(names: collections.abc.Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def _by_place(table: Table, assignment: str, condition: str) -> str:
    # No key to walk along: the pages that are there now. New versions of rows land behind them or meet the condition no more.
    return f"""DO $backfill$
DECLARE
    pages bigint := pg_relation_size({literal(table.sql)}) / current_setting('block_size')::bigint;
    page bigint := 0;
BEGIN
    WHILE page <= pages LOOP
        UPDATE {table.sql} SET {assignment}
            WHERE ctid >= ('(' || page || ',0)')::tid AND ctid < ('(' || page + 64 || ',0)')::tid AND {condition};
        COMMIT;
        page := page + 64;
    END LOOP;
END
$backfill$"""
