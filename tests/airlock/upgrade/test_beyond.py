"""What the target holds beyond the history goes with what the history drops: counted too, or undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock.histories import Revision
from tests.airlock.running import rows
from tests.airlock.upgrade.test_losses import at, down, losses, prepare, second

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

pytestmark = pytest.mark.proof

PARTITIONED = "CREATE TABLE log (id integer, day integer) PARTITION BY RANGE (day)"
PARTITION = "CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM (0) TO (100)"
TYPE = second("op.execute(\"CREATE TYPE mood AS ENUM ('glad')\")", 'op.execute("DROP TYPE mood CASCADE")')
LOOP = (
    "DO $$ DECLARE t text; BEGIN FOR t IN SELECT relname FROM pg_class WHERE relname ~ '^tenant' AND relkind = 'r' "
    "LOOP EXECUTE format('DROP TABLE %I', t); END LOOP; END $$"
)


@pytest.mark.parametrize(
    ("revisions", "statements", "expected"),
    [
        pytest.param(
            second(f"op.execute({PARTITIONED!r})", 'op.execute("DROP TABLE log")'),
            (PARTITION, "INSERT INTO log SELECT g, g FROM generate_series(1, 5) AS g"),
            [("public.log_1", 5)],
            id="a partition of a dropped table",
        ),
        pytest.param(
            [
                Revision("d1", f"op.execute({PARTITIONED!r})"),
                Revision(
                    "d2",
                    'op.execute("ALTER TABLE log ADD COLUMN said text")',
                    'op.execute("ALTER TABLE log DROP COLUMN said")',
                ),
            ],
            (PARTITION, "INSERT INTO log VALUES (1, 1, 'a'), (2, 2, NULL), (3, 3, 'c')"),
            [("public.log_1.said", 2)],
            id="a partition of a table that loses a column",
        ),
        pytest.param(
            second('op.execute("CREATE TABLE note (id integer)")', 'op.execute("DROP TABLE note CASCADE")'),
            ("CREATE TABLE child () INHERITS (note)", "INSERT INTO child VALUES (1), (2)"),
            [("public.child", 2)],
            id="a child of a dropped table",
        ),
        pytest.param(
            second(
                'op.execute("CREATE SCHEMA shop; CREATE TABLE shop.own (id integer)")',
                'op.execute("DROP SCHEMA shop CASCADE")',
            ),
            ("CREATE TABLE shop.foreign (id integer)", "INSERT INTO shop.foreign VALUES (1), (2), (3)"),
            [("shop.foreign", 3)],
            id="a table in a dropped schema",
        ),
    ],
)
def test_rows_that_go_with_a_parent_or_a_schema_are_counted(
    revisions: list[Revision],
    statements: tuple[str, ...],
    expected: list[tuple[str, int]],
    tmp_path: Path,
    empty_database: Database,
) -> None:
    """Exit 1 with their number, nothing touched; that number is accepted."""
    ini = prepare(tmp_path, empty_database, revisions, *statements)
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused), at(empty_database)) == (1, expected, "d2"), refused.err
    accepted = down(ini, empty_database, "--accept-loss", str(expected[0][1]))
    assert (accepted.code, at(empty_database)) == (0, "d1"), accepted.err


@pytest.mark.parametrize(
    ("revisions", "statements", "gone"),
    [
        pytest.param(
            TYPE,
            ("ALTER TABLE item ADD COLUMN mood mood", "INSERT INTO item (id, mood) VALUES (1, 'glad')"),
            "public.item.mood",
            id="a column of a dropped type",
        ),
        pytest.param(
            second("pass", f"op.execute({LOOP!r})"),
            ("CREATE TABLE tenant_1 (id integer)", "INSERT INTO tenant_1 VALUES (1)"),
            "public.tenant_1",
            id="a table found by its name",
        ),
    ],
)
def test_what_nobody_foresaw_is_undone(
    revisions: list[Revision],
    statements: tuple[str, ...],
    gone: str,
    tmp_path: Path,
    empty_database: Database,
) -> None:
    """The step took away what it does not in scratch: exit 3 naming it, and it is all still there."""
    ini = prepare(tmp_path, empty_database, revisions, *statements)
    refused = down(ini, empty_database)
    assert (refused.code, at(empty_database)) == (3, "d2"), refused.err
    assert f"d2 took away {gone}, which it does not do in scratch" in refused.error
    assert rows(empty_database.url, f"SELECT count(*) FROM {statements[1].split()[2]}") == [(1,)]
    accepted = down(ini, empty_database, "--accept-unknown-loss")
    assert (accepted.code, at(empty_database)) == (0, "d1"), accepted.err


def test_a_dropped_attribute_is_named(tmp_path: Path, empty_database: Database) -> None:
    """A composite type loses an attribute, and every value of it: no query can count them, exit 3."""
    revisions = [
        Revision("d1", 'op.execute("CREATE TYPE place AS (town text); CREATE TABLE person (lives place)")'),
        Revision(
            "d2",
            'op.execute("ALTER TYPE place ADD ATTRIBUTE code text")',
            'op.execute("ALTER TYPE place DROP ATTRIBUTE code")',
        ),
    ]
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO person VALUES (ROW('a', 'b'))")
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused)) == (3, [("public.place.code", None)]), refused.err


def test_rows_of_a_partitioned_table_may_change(tmp_path: Path, empty_database: Database) -> None:
    """An UPDATE through a parent that has partitions on the target only is named like any other."""
    revisions = [Revision("d1", f"op.execute({PARTITIONED!r})")]
    revisions += [Revision("d2", "pass", 'op.execute("UPDATE log SET id = 0")')]
    ini = prepare(tmp_path, empty_database, revisions, PARTITION, "INSERT INTO log VALUES (1, 1)")
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused)) == (3, [("public.log", None)]), refused.err
