"""Changes of types that only cast are counted by the types; what computes values is said to be uncounted."""

from __future__ import annotations

import pytest

from airlock.operations.downgrade.recasts import recast
from airlock.records.locks import LockMode
from airlock.records.trace import Lock, StatementRecord

CASTS = (
    "ALTER TABLE t ALTER COLUMN c TYPE INTEGER USING c::integer",
    "ALTER TABLE t ALTER c TYPE int USING (c)::integer, ADD d int",
    "ALTER TABLE t ALTER c TYPE mood USING (c::text)::mood, ALTER d TYPE varchar(30)",
    'ALTER TABLE t ALTER "C d" SET DATA TYPE s.mood USING "C d"::text::s.mood',
    "ALTER TABLE t ALTER c TYPE VARCHAR(50) USING c::varchar",
    "ALTER TABLE t ALTER c TYPE TIMESTAMP WITHOUT TIME ZONE USING t.c::timestamp",
    "ALTER TABLE t ALTER c TYPE numeric(10, 2) USING CAST(c AS numeric(10,2))",
    "ALTER TABLE t ALTER c TYPE bigint",
    "ALTER TABLE t ALTER c TYPE mood USING CAST((t.c)::text AS mood), ADD CHECK (d <> ', DROP d')",
    "DO $$ BEGIN ALTER TABLE t ALTER c TYPE int USING c::int; END $$",
)
COMPUTES = (
    "ALTER TABLE t ALTER c TYPE text USING lower(c)",
    "ALTER TABLE t ALTER c TYPE int USING c::text::int",
    "ALTER TABLE t ALTER c TYPE timestamp USING c::date",
    "ALTER TABLE t ALTER c TYPE numeric(6,2) USING c::numeric(6,1)",
    "ALTER TABLE t ALTER c TYPE int USING d::int",
    "ALTER TABLE t ALTER c TYPE int USING c::int / 100",
    "ALTER TABLE t ALTER c TYPE timestamp USING c AT TIME ZONE 'UTC'",
    "ALTER TABLE t ALTER c TYPE mood USING (CASE c WHEN 'a' THEN 'b' END)::mood",
    "ALTER TABLE t ALTER c TYPE mood USING c::text::mood, ALTER d TYPE text USING d || 'x'",
    "ALTER TABLE t ALTER c TYPE mood USING replace(c, ', DROP d', '')::mood",
    "ALTER TABLE t ALTER c TYPE mood USING (c::text || '')::mood",
    "DO $$ BEGIN EXECUTE format('ALTER TABLE t ALTER c TYPE %s USING c::%s', a, a); END $$",
)


def named(*statements: str) -> list[str]:
    """Name the tables of a step that sends these statements, each under a lock of one table."""
    lock = Lock("public.t", LockMode.ACCESS_EXCLUSIVE)
    sent = [StatementRecord(sql, "f.py", 1, 1.0, 0, transactional=True, locks=(lock,)) for sql in statements]
    return list(recast(sent))


@pytest.mark.parametrize("statement", CASTS)
def test_a_cast_computes_nothing(statement: str) -> None:
    """Of the column itself, to the type that it gets."""
    assert named(statement) == []


@pytest.mark.parametrize("statement", COMPUTES)
def test_what_computes_is_named(statement: str) -> None:
    """Another column, another type, an expression; also beside a cast."""
    assert named(statement) == ["public.t"]


def test_a_type_between_two_others_computes() -> None:
    """A date in between takes the time away; a text does not, where it is read as a type of the project."""
    text, last = "ALTER TABLE t ALTER c TYPE {}", "ALTER TABLE t ALTER c TYPE {0} USING c::{0}"
    assert named(text.format("varchar"), last.format("mood")) == []
    assert named(text.format("date"), text.format("timestamp")) == ["public.t"]
    assert named(text.format("text"), last.format("int")) == ["public.t"]
