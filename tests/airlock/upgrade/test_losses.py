"""A downgrade counts what it would lose before it touches anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock import drill
from airlock.records.drill import PROVED
from tests.airlock import forked
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import Ran, airlock, rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Database

# Each runs the history and the downgrade in a scratch database of its own: seconds, not milliseconds.
proof = pytest.mark.proof

FIRST = Revision(
    "d1", "op.execute(\"CREATE TABLE item (id integer PRIMARY KEY, size bigint, kind text DEFAULT 'plain')\")"
)


def second(up: str, down: str, extra: str = "") -> list[Revision]:
    return [FIRST, Revision("d2", up, down, extra=extra)]


def prepare(tmp_path: Path, database: Database, revisions: list[Revision], *statements: str) -> Path:
    """Bring the database to head and put rows into it."""
    ini = write_project(tmp_path, revisions)
    assert forked.airlock(ini, "upgrade", url=database.url).code == 0
    for statement in statements:
        rows(database.url, statement)
    return ini


def down(ini: Path, database: Database, *words: str) -> Ran:
    """Downgrade, with scratch databases on the test's own server: no server to start."""
    if "--scratch" not in words:
        words = (*words, "--scratch", database.url)
    return forked.airlock(ini, "downgrade", "d1", "--json", *words, url=database.url)


def losses(ran: Ran) -> list[tuple[str, int | None]]:
    found = [event for event in ran.events if event["event"] == "losses"]
    return [(loss["object"], loss["rows"]) for event in found for loss in event["losses"]]


def at(database: Database) -> str:
    ((version,),) = rows(database.url, "SELECT version_num FROM alembic_version")
    return str(version)


DROPPED_TABLE = second(
    'op.execute("CREATE TABLE note (id serial PRIMARY KEY, said text)")', 'op.execute("DROP TABLE note")'
)
DROPPED_COLUMN = second(
    "op.execute(\"ALTER TABLE item ADD COLUMN colour text DEFAULT 'red'\")",
    'op.execute("ALTER TABLE item DROP COLUMN colour")',
)
NARROWED = second(
    'op.execute("ALTER TABLE item ALTER COLUMN kind TYPE text")',
    'op.execute("ALTER TABLE item ALTER COLUMN size TYPE real")',
)
INTO_A_DOMAIN = [
    Revision("d1", 'op.execute("CREATE DOMAIN ratio AS real; CREATE TABLE item (id integer, size ratio)")'),
    Revision(
        "d2",
        'op.execute("ALTER TABLE item ALTER COLUMN size TYPE double precision")',
        'op.execute("ALTER TABLE item ALTER COLUMN size TYPE ratio")',
    ),
]
ENUM = second(
    """
    op.execute("CREATE TYPE colour AS ENUM ('red', 'blue')")
    op.execute("ALTER TABLE item ADD COLUMN colour colour")
    """,
    """
    op.execute("ALTER TYPE colour RENAME TO colour_old")
    op.execute("CREATE TYPE colour AS ENUM ('red')")
    op.execute("ALTER TABLE item ALTER COLUMN colour TYPE colour USING colour::text::colour")
    op.execute("DROP TYPE colour_old")
    """,
)
RENAMED = second(
    'op.execute("ALTER TABLE item RENAME COLUMN kind TO sort")',
    'op.execute("ALTER TABLE item RENAME COLUMN sort TO kind")',
)


@proof
@pytest.mark.parametrize(
    ("revisions", "statement", "expected"),
    [
        pytest.param(
            DROPPED_TABLE,
            "INSERT INTO note (said) VALUES ('a'), ('b'), ('c')",
            [("public.note", 3)],
        ),
        (
            DROPPED_COLUMN,
            "INSERT INTO item (id, colour) VALUES (1, 'red'), (2, 'blue'), (3, NULL), (4, 'green')",
            [("public.item.colour", 2)],
        ),
        pytest.param(
            NARROWED,
            "INSERT INTO item (id, size) VALUES (1, 1), (2, 16777217), (3, NULL)",
            [("public.item.size", 1)],
        ),
        pytest.param(
            INTO_A_DOMAIN,
            "INSERT INTO item VALUES (1, 0.5), (2, 16777217), (3, NULL)",
            [("public.item.size", 1)],
        ),
    ],
    ids=["dropped table", "dropped column", "narrowed type", "into a domain"],
)
def test_what_is_lost_is_counted_and_refused(
    revisions: list[Revision],
    statement: str,
    expected: list[tuple[str, int]],
    tmp_path: Path,
    empty_database: Database,
) -> None:
    """Exit 1 with the losses, nothing touched; the number that was printed is accepted, one less is not."""
    ini = prepare(tmp_path, empty_database, revisions, statement)
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused), at(empty_database)) == (1, expected, "d2"), refused.err
    number = sum(count for _, count in expected)
    assert f"--accept-loss {number}" in refused.error
    assert down(ini, empty_database, "--accept-loss", str(number - 1)).code == 1
    accepted = down(ini, empty_database, "--accept-loss", str(number))
    assert (accepted.code, at(empty_database)) == (0, "d1"), accepted.err


@proof
def test_nothing_lost_needs_no_word(tmp_path: Path, empty_database: Database) -> None:
    """A renamed column and an empty table lose nothing: exit 0 without any option."""
    ini = prepare(tmp_path, empty_database, RENAMED, "INSERT INTO item VALUES (1, 2, 'x')")
    ran = down(ini, empty_database)
    assert (ran.code, losses(ran)) == (0, []), ran.err
    assert rows(empty_database.url, "SELECT kind FROM item") == [("x",)]


@proof
def test_a_column_dropped_and_made_again_is_lost(tmp_path: Path, empty_database: Database) -> None:
    """The catalogue is the same before and after; the values are gone all the same."""
    revisions = second(
        "pass",
        'op.execute("ALTER TABLE item DROP COLUMN size")\nop.execute("ALTER TABLE item ADD COLUMN size bigint")',
    )
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO item VALUES (1, 2), (2, 3)")
    assert losses(down(ini, empty_database)) == [("public.item.size", 2)]


@proof
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE item SET kind = 'other'",
        "DELETE FROM item WHERE id > 1",
        "TRUNCATE item",
        "WITH gone AS (DELETE FROM item RETURNING id) SELECT count(*) FROM gone",
        "DO $$ BEGIN EXECUTE 'UPDATE item SET size = 0'; END $$",
        # Whatever stands before it in the text; and where the text has given its locks back itself.
        "-- all of it\nTRUNCATE item",
        "SET LOCAL lock_timeout = '1s'; TRUNCATE item",
        "INSERT INTO item VALUES (9, 9); TRUNCATE item",
        "BEGIN; DELETE FROM item; COMMIT",
        "DO $$ BEGIN TRUNCATE item; END $$",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN EXECUTE concat(''trunc'', ''ate item''); END'; CALL p()",
    ],
)
def test_a_statement_that_may_change_rows_is_named_not_counted(
    statement: str, tmp_path: Path, empty_database: Database
) -> None:
    """Exit 3, never green; `--accept-unknown-loss` goes on."""
    ini = prepare(tmp_path, empty_database, second("pass", f"op.execute({statement!r})"))
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused)) == (3, [("public.item", None)]), refused.err
    assert down(ini, empty_database, "--accept-unknown-loss").code == 0


@proof
def test_values_that_the_step_relabels_are_named_not_counted(
    tmp_path: Path, empty_database: Database
) -> None:
    """No row satisfies the CHECK below as it is, and none is lost: the UPDATE that comes first is said to be uncounted."""
    ways = [
        'op.execute("ALTER TABLE item DROP CONSTRAINT known")\n'
        f'op.execute("UPDATE item SET kind = {turned}(kind)")\n'
        f'op.execute("ALTER TABLE item ADD CONSTRAINT known CHECK (kind IN {kept})")'
        for turned, kept in (("upper", "('A', 'B')"), ("lower", "('a', 'b')"))
    ]
    table = "CREATE TABLE item (id serial PRIMARY KEY, kind text CONSTRAINT known CHECK (kind IN ('a', 'b')))"
    revisions = [Revision("d1", f'op.execute("{table}")'), Revision("d2", *ways)]
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO item (kind) VALUES ('A'), ('B')")
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused)) == (3, [("public.item", None)]), refused.err
    assert down(ini, empty_database, "--accept-unknown-loss").code == 0


@proof
def test_values_that_a_smaller_enum_does_not_have_are_counted(
    tmp_path: Path, empty_database: Database
) -> None:
    """The new type exists in scratch only, so its labels are compared; USING does no more than cast."""
    ini = prepare(
        tmp_path, empty_database, ENUM, "INSERT INTO item (id, colour) VALUES (1, 'red'), (2, 'blue')"
    )
    assert losses(down(ini, empty_database)) == [("public.item.colour", 1)]


# Each is done by the first, and undone by the second with the names the other way round.
NAMES = (
    ("ALTER TYPE grade RENAME VALUE '{}' TO '{}'", "staff", "crew"),
    ("ALTER TYPE {} RENAME TO {}", "grade", "rank"),
    ("ALTER DOMAIN {} RENAME TO {}", "price", "amount"),
    ("ALTER FUNCTION {}(int) RENAME TO {}", "above_0", "positive"),
    ("ALTER TABLE person RENAME CONSTRAINT {} TO {}", "small", "below_500"),
    ("ALTER TABLE person RENAME CONSTRAINT {} TO {}", "apart", "no_overlap"),
    ("ALTER TABLE person RENAME {} TO {}", "n", "number"),
    ("ALTER TABLE org RENAME {} TO {}", "id", "number"),
    ("ALTER TABLE {} RENAME TO {}", "org", "company"),
    ("ALTER TABLE {} RENAME TO {}", "person", "human"),
)
NAMED = (
    "CREATE DOMAIN price AS numeric(12,2) CHECK (VALUE >= 0)", "CREATE TYPE grade AS ENUM ('intern', 'staff')",
    "CREATE FUNCTION above_0(int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'",
    "CREATE TABLE org (id serial PRIMARY KEY, code text UNIQUE)",
    ("CREATE TABLE person (id serial PRIMARY KEY, g grade NOT NULL, p price DEFAULT 3, n int, org int REFERENCES org (id),"
    " during int4range, CHECK (g <> 'staff' OR n > 0), CHECK (p::price < 100), CHECK (above_0(n)),"
    " CONSTRAINT small CHECK (n < 500), UNIQUE (n), CONSTRAINT apart EXCLUDE USING gist (during WITH &&))"),
    "CREATE UNIQUE INDEX ON person ((n + 1), g) WHERE g <> 'staff'",
)  # fmt: skip


@proof
def test_what_gets_its_name_back_is_not_lost(tmp_path: Path, empty_database: Database) -> None:
    """Labels, types, functions, constraints, columns, tables: rules that speak of them ask the same under any name."""
    revisions = [Revision("d1", "\n".join(f"op.execute({one!r})" for one in NAMED))]
    revisions += [
        Revision(f"n{place}", f"op.execute({text.format(*names)!r})", f"op.execute({text.format(*names[::-1])!r})")
        for place, (text, *names) in enumerate(NAMES)
    ]  # fmt: skip
    rows_of_both = (
        "INSERT INTO company (code) VALUES ('x')",
        "INSERT INTO human (g, number, org, during) VALUES ('crew', 3, 1, '[1,3)'), ('intern', 4, 1, '[5,6)')",
    )
    ini = prepare(tmp_path, empty_database, revisions, *rows_of_both)
    proofs = drill(ini, scratch=empty_database.url).revisions[1:]
    assert [
        (one.revision, one.conditions, one.losses) for one in proofs if one.conditions or one.losses
    ] == []
    assert {one.verdict for one in proofs} == {PROVED}
    ran = down(ini, empty_database)
    assert (ran.code, losses(ran), at(empty_database)) == (0, [], "d1"), ran.err


@proof
def test_a_label_that_gets_its_name_back_is_not_lost(tmp_path: Path, empty_database: Database) -> None:
    """Renamed at two steps, with a label that goes between them: no row holds that one."""
    rename = "ALTER TYPE colour RENAME VALUE '{}' TO '{}'"
    smaller = (
        "ALTER TYPE colour RENAME TO old; CREATE TYPE colour AS ENUM ('crimson');"
        " ALTER TABLE item ALTER colour TYPE colour USING colour::text::colour; DROP TYPE old"
    )
    larger = smaller.replace("('crimson')", "('crimson', 'blue')")
    revisions = [
        Revision("d1", "op.execute(\"CREATE TYPE colour AS ENUM ('red'); CREATE TABLE item (id int, colour colour)\")"),
        Revision("d2", f'op.execute("{rename.format("red", "crimson")}")', f'op.execute("{rename.format("crimson", "red")}")'),
        Revision("d3", f'op.execute("{larger}")', f'op.execute("{smaller}")'),
        Revision("d4", f'op.execute("{rename.format("crimson", "ruby")}")', f'op.execute("{rename.format("ruby", "crimson")}")'),
    ]  # fmt: skip
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO item VALUES (1, 'ruby'), (2, 'ruby')")
    ran = down(ini, empty_database)
    assert (ran.code, losses(ran), at(empty_database)) == (0, [], "d1"), ran.err
    assert rows(empty_database.url, "SELECT DISTINCT colour::text FROM item") == [("red",)]


@proof
def test_a_step_that_reads_rows_is_not_examined(tmp_path: Path, empty_database: Database) -> None:
    """What it does may depend on rows that scratch does not have."""
    down_body = (
        'if op.get_bind().execute(sa.text("SELECT id FROM item")).all():\n    op.execute("DROP TABLE item")'
    )
    ini = prepare(tmp_path, empty_database, second("pass", down_body))
    ran = down(ini, empty_database)
    assert ran.code == 3
    assert "reads rows" in ran.events[-2]["unknown"][0]


@proof
def test_a_drifted_table_is_not_counted(tmp_path: Path, empty_database: Database) -> None:
    """Where the target's table is not the history's, its loss is not examined."""
    ini = prepare(
        tmp_path,
        empty_database,
        DROPPED_TABLE,
        "ALTER TABLE note ADD COLUMN more text",
        "INSERT INTO note VALUES (1)",
    )
    ran = down(ini, empty_database)
    assert (ran.code, losses(ran)) == (3, [])
    assert ran.events[-2]["unknown"] == ["public.note is not as the history makes it"]


@proof
def test_without_a_scratch_server_nothing_is_examined(tmp_path: Path, empty_database: Database) -> None:
    """Exit 3 naming the reason; with `--accept-unknown-loss` it goes on."""
    ini = prepare(tmp_path, empty_database, RENAMED)
    refused = down(ini, empty_database, "--scratch", "embedded:9")
    assert refused.code == 3 and "PostgreSQL 9 is not installed" in refused.events[-2]["unknown"][0]
    assert down(ini, empty_database, "--scratch", "embedded:9", "--accept-unknown-loss").code == 0


@proof
def test_a_downgrade_that_fails_in_scratch_is_named(tmp_path: Path, empty_database: Database) -> None:
    """With its revision, the server's words, and nothing touched: it would fail on the target too."""
    ini = prepare(tmp_path, empty_database, second("pass", 'op.execute("DROP TABLE nowhere")'))
    refused = down(ini, empty_database)
    assert (refused.code, at(empty_database)) == (3, "d2"), refused.err
    assert 'did not run in scratch: d2: table "nowhere" does not exist' in refused.events[-2]["unknown"][0]


@proof
def test_an_irreversible_revision_is_refused_in_its_own_words(
    tmp_path: Path, empty_database: Database
) -> None:
    """Declared or raised, the revision's sentence is the answer: exit 1."""
    declared = second(
        "pass", "raise NotImplementedError(irreversible)", 'irreversible = "0 and NULL look the same."'
    )
    ini = prepare(tmp_path, empty_database, declared)
    ran = down(ini, empty_database)
    assert (ran.code, at(empty_database)) == (1, "d2")
    assert "d2 (d2) cannot be undone: 0 and NULL look the same." in ran.error
    (tmp_path / "foreign").mkdir()
    foreign = write_project(
        tmp_path / "foreign", second("pass", 'raise RuntimeError("Can\'t roll back: no.")')
    )
    ran = forked.airlock(foreign, "downgrade", "d1", url=empty_database.url)
    assert ran.code == 1 and "d2 cannot be undone: Can't roll back: no." in ran.error


def writing_late(tmp_path: Path) -> None:
    """Have env.py write a row each time before it starts: a writer between the count and the step."""
    env = tmp_path / "alembic" / "env.py"
    late = "DO $$ BEGIN IF to_regclass('note') IS NOT NULL THEN INSERT INTO note (said) VALUES ('late'); END IF; END $$"
    env.write_text(
        env.read_text()
        .replace(
            "with engine.connect() as connection:",
            "with engine.connect() as connection:\n"
            "    connection.execute(sa.text(LATE))\n"
            "    connection.commit()",
        )
        .replace("import os\n", f"import os\nimport sqlalchemy as sa\nLATE = {late!r}\n")
    )


@proof
def test_more_to_lose_than_was_accepted_is_undone(tmp_path: Path, empty_database: Database) -> None:
    """Rows written between the count and the locks: the step counts again, and is rolled back."""
    revisions = second(
        'op.execute("CREATE TABLE note (id serial PRIMARY KEY, said text)")', 'op.execute("DROP TABLE note")'
    )
    ini = prepare(tmp_path, empty_database, revisions, "INSERT INTO note (said) VALUES ('a')")
    writing_late(tmp_path)
    ran = down(ini, empty_database, "--accept-loss", "2")
    assert (ran.code, at(empty_database)) == (1, "d2"), ran.err
    assert "d2 would now lose 3 rows and values, more than the 2 that were accepted" in ran.error


@proof
def test_export_keeps_what_is_lost_with_its_keys(tmp_path: Path, empty_database: Database) -> None:
    """CSV files in the named directory: whole rows of a dropped table, key and value of a dropped column."""
    revisions = [FIRST, Revision("d2", *_column_and_table())]
    ini = prepare(
        tmp_path, empty_database, revisions,
        "INSERT INTO item (id, colour) VALUES (7, 'blue, and more'), (8, NULL)", "INSERT INTO note VALUES (1, 'it''s')",
    )  # fmt: skip
    kept = tmp_path / "kept"
    ran = airlock(ini, "downgrade", "d1", "--export", str(kept), "--accept-loss", "2", url=empty_database.url)
    assert ran.code == 0, ran.err
    assert (kept / "public.note.csv").read_text() == "id,said\n1,it's\n"
    assert (kept / "public.item.colour.csv").read_text() == 'id,colour\n7,"blue, and more"\n'
    assert (kept / "public.note.csv").stat().st_mode & 0o077 == 0


def _column_and_table() -> tuple[str, str]:
    up = (
        'op.execute("CREATE TABLE note (id integer PRIMARY KEY, said text)")\n'
        'op.execute("ALTER TABLE item ADD COLUMN colour text")'
    )
    return up, 'op.execute("ALTER TABLE item DROP COLUMN colour")\nop.execute("DROP TABLE note")'


FREED = {
    "null": (
        "ALTER TABLE item ALTER COLUMN kind DROP NOT NULL", "ALTER TABLE item ALTER COLUMN kind SET NOT NULL",
        "INSERT INTO item VALUES (9, 1, NULL), (10, 1, 'x')", "public.item.kind", "NULL, where there must be",
    ),
    "duplicates": (
        "ALTER TABLE item DROP CONSTRAINT one", "ALTER TABLE item ADD CONSTRAINT one UNIQUE (kind, size)",
        "INSERT INTO item VALUES (9, 3, 'x'), (10, 3, 'x'), (11, 4, 'x')", "public.item", "alike in kind, size",
    ),
    "duplicates of an expression": (
        "DROP INDEX low", "CREATE UNIQUE INDEX low ON item (lower(kind)) WHERE size > 5",
        "INSERT INTO item VALUES (9, 8, 'x'), (10, 9, 'X'), (11, 4, 'x')", "public.item", "alike in lower(kind)",
    ),
    "no partner": (
        "ALTER TABLE item DROP CONSTRAINT partner",
        "ALTER TABLE item ADD CONSTRAINT partner FOREIGN KEY (size) REFERENCES big (id)",
        "INSERT INTO item VALUES (9, 77, 'x'), (10, NULL, 'y'), (11, 1, 'z')", "public.item.size",
        "refers to no row of public.big",
    ),
    "check": (
        "ALTER TABLE item DROP CONSTRAINT positive", "ALTER TABLE item ADD CONSTRAINT positive CHECK (size > 0)",
        "INSERT INTO item VALUES (9, 0, 'x'), (10, NULL, 'y'), (11, 1, 'z')", "public.item.size", "a CHECK below refuses",
    ),
    "longer": (
        "ALTER TABLE item ALTER name TYPE text", "ALTER TABLE item ALTER name TYPE varchar(3)",
        "INSERT INTO item (id, kind, name) VALUES (9, 'x', 'long'), (10, 'y', 'abc')", "public.item.name", "does not hold",
    ),
}  # fmt: skip


@proof
@pytest.mark.parametrize("freedom", FREED)
def test_a_freedom_that_was_used_is_counted_before_anything_is_touched(
    empty_database: Database, tmp_path: Path, freedom: str
) -> None:
    """One row that may not be there below: refused, with its number; without it the downgrade goes through."""
    lifted, laid_on, used, name, why = FREED[freedom]
    first = Revision(
        "d1",
        """op.execute('''CREATE TABLE big (id bigint PRIMARY KEY);
        INSERT INTO big VALUES (1);
        CREATE TABLE item (id integer PRIMARY KEY, size bigint CONSTRAINT positive CHECK (size > 0)
          CONSTRAINT partner REFERENCES big, kind text NOT NULL, name varchar(3), CONSTRAINT one UNIQUE (kind, size));
        CREATE UNIQUE INDEX low ON item (lower(kind)) WHERE size > 5''')""",
    )
    freed = [lifted] + [
        FREED[other][0]
        for other in ("no partner", "check", "duplicates of an expression")
        if other != freedom
    ]
    up = "\n".join(f"op.execute({statement!r})" for statement in freed)
    ini = prepare(tmp_path, empty_database, [first, Revision("d2", up, f"op.execute({laid_on!r})")], used)
    refused = down(ini, empty_database)
    assert (refused.code, losses(refused), at(empty_database)) == (1, [(name, 1)], "d2"), refused.err
    (told,) = [event for event in refused.events if event["event"] == "losses"]
    assert why in told["losses"][0]["why"]
    rows(empty_database.url, "DELETE FROM item WHERE id < 11")
    assert (down(ini, empty_database).code, at(empty_database)) == (0, "d1")
