"""Dangerous or harmless, on shapes that a verdict has been wrong about: partitions, whole schemas, text that names no table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from airlock.operations.trace import trace
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

MONTHS = " ".join(
    f"CREATE TABLE part_{month} PARTITION OF part FOR VALUES FROM ('2026-{month:02}-01') TO"
    f" ('{2026 + month // 12}-{month % 12 + 1:02}-01');"
    for month in range(1, 13)
)
BASES = {
    "partitions": f"CREATE TABLE part (id serial, at date NOT NULL, x int) PARTITION BY RANGE (at); {MONTHS}",
    "schema": "CREATE SCHEMA shop; CREATE TABLE shop.orders (id serial PRIMARY KEY, note text)",
    "heirs": "CREATE TABLE root (a int, b text); CREATE TABLE heir () INHERITS (root)",
    "view": "CREATE TABLE looked (id serial PRIMARY KEY, note text); CREATE MATERIALIZED VIEW seen AS SELECT * FROM looked;"
    " CREATE UNIQUE INDEX ON seen (id)",
    "kept": "CREATE TABLE kept (id serial PRIMARY KEY, note text); CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RAISE EXCEPTION ''rows stay here''; END';"
    " CREATE TRIGGER stays BEFORE TRUNCATE ON kept EXECUTE FUNCTION stays()",
    "serial": "CREATE TABLE customer (id serial PRIMARY KEY, note text)",
}
AUTOCOMMIT = "with op.get_context().autocommit_block():\n    op.execute({!r})"
# Base, statements (| runs one outside a transaction), and what they are.
CASES = [
    ("partitions", "ALTER TABLE part ADD y int", "harmless"),
    ("partitions", "ALTER TABLE part ALTER x SET NOT NULL", "dangerous"),
    ("partitions", "ALTER TABLE part ADD CHECK (x > -2147483648)", "dangerous"),
    ("partitions", "ALTER TABLE part ADD CHECK (x > 0) NOT VALID", "harmless"),
    ("partitions", "CREATE INDEX ON part (x)", "dangerous"),
    ("partitions", "CREATE INDEX ON ONLY part (x)", "harmless"),
    ("partitions", "ALTER TABLE part ALTER x TYPE bigint", "dangerous"),
    ("partitions", "CREATE INDEX ON part_3 (x)", "not examined"),
    ("schema", "|REINDEX SCHEMA shop", "dangerous"),
    ("schema", "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'CREATE INDEX ON shop.orders (note)'; SELECT f()", "dangerous"),
    ("schema", "ALTER TABLE shop.orders ADD y int; SELECT count(*) FROM shop.orders", "dangerous"),
    ("heirs", "ALTER TABLE root ALTER a SET NOT NULL", "dangerous"),
    ("serial", "ALTER TABLE customer ALTER id DROP DEFAULT", "harmless"),
    # What a condition chose may be next to nothing elsewhere; what is deleted whole is gone everywhere.
    ("serial", "DELETE FROM customer WHERE id > 0; ALTER TABLE customer ALTER id TYPE bigint", "not examined"),
    ("serial", "|DELETE FROM customer WHERE id > 0; ALTER TABLE customer ALTER id TYPE bigint", "not examined"),
    ("serial", "DO 'BEGIN TRUNCATE customer;END'; ALTER TABLE customer ALTER id TYPE bigint", "not examined"),
    ("serial", "DELETE FROM customer; ALTER TABLE customer ALTER id TYPE bigint", "harmless"),
    # Nobody but REFRESH writes into a materialized view.
    ("view", "|REFRESH MATERIALIZED VIEW CONCURRENTLY seen", "harmless"),
    ("view", "REFRESH MATERIALIZED VIEW seen", "dangerous"),
    # Rows that the type refuses are taken away, whatever a trigger says of that.
    ("kept", "ALTER TABLE kept ALTER note TYPE int USING note::int", "dangerous"),
]  # fmt: skip
OBJECTS = re.compile(r"\b(part|shop|root|heir|customer|looked|seen|kept|stays|f)(?=\b|_\d)")


def _own(sql: str, number: int) -> str:
    return OBJECTS.sub(lambda found: f"{found.group()}{number:02}", sql)


def _body(sql: str) -> str:
    return "\n".join(
        AUTOCOMMIT.format(one[1:]) if one.startswith("|") else f"op.execute({one!r})"
        for one in sql.split("; ")
    )


def test_values_that_an_upgrade_does_not_take_hide_no_danger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """An amount turned into cents has no room for the largest ones: it is seen on ordinary ones, not called unexamined.

    So are bounds of a range in their order, a text in the format that its dates are read in, and what a trigger counts in a
    table that the revision does not name.
    """
    base = Revision(
        "r1",
        _body(
            "CREATE TABLE paid (id serial PRIMARY KEY, amount numeric(10, 2) NOT NULL, note text, "
            "day text, since timestamptz, until timestamptz); CREATE TABLE visit (id serial PRIMARY KEY); "
            "CREATE TABLE counted (id serial PRIMARY KEY, hits int NOT NULL); "
            "CREATE FUNCTION counts() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN UPDATE counted SET hits = hits + 1 WHERE id = NEW.id;RETURN NULL;END'; "
            "CREATE TRIGGER counts AFTER UPDATE ON visit FOR EACH ROW EXECUTE FUNCTION counts()"
        ),
    )
    lasts = "ALTER TABLE paid ADD lasts tstzrange; UPDATE paid SET lasts = tstzrange(since, until)"
    day = "ALTER TABLE paid ALTER day TYPE date USING to_date(day, 'DD.MM.YYYY')"
    cents = "ALTER TABLE paid ADD cents int; UPDATE paid SET cents = (amount * 100)::int"
    short = "ALTER TABLE paid ADD short varchar(60); UPDATE paid SET short = note || note"
    seen = "ALTER TABLE visit ADD seen boolean; UPDATE visit SET seen = true"
    bodies = enumerate((cents, short, lasts, day, seen), 2)
    ini = write_project(tmp_path, [base, *(Revision(f"r{at}", _body(one), "pass") for at, one in bodies)])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, from_to="r1:r6", rows=1000, scratch=server.admin_url)
    assert not report.unexamined
    assert [step.revision for step, _ in report.dangerous] == ["r2", "r3", "r4", "r5", "r6"]


def test_a_name_that_a_row_gives_is_no_fault_of_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """It renames a table for each row: no row names one here, so it is not examined, and the range goes on."""
    renames = (
        "for (name,) in op.get_bind().exec_driver_sql('SELECT name FROM listed').fetchall():\n"
        '    op.execute(f\'ALTER TABLE "{name}_history" RENAME TO "{name}_past"\')'
    )
    ini = write_project(
        tmp_path,
        [
            Revision("r1", _body("CREATE TABLE listed (id serial PRIMARY KEY, name text NOT NULL)")),
            Revision("r2", renames, "pass"),
            Revision("r3", _body("ALTER TABLE listed ADD note text"), "pass"),
        ],
    )
    monkeypatch.chdir(ini.parent)
    report = trace(ini, scratch=server.admin_url)
    told = {step.revision: step.unexamined for step in report.revisions if step.direction == "up"}
    assert told["r2"].startswith("no sample rows fit what it demands")
    assert (told["r1"], told["r3"]) == ("", "")


@pytest.mark.proof
def test_each_is_called_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
    """One revision each, on tables of its own."""
    bases = [_own(BASES[base], number) for number, (base, *_) in enumerate(CASES)]
    revisions = [Revision("tables", "\n".join(f"op.execute({one!r})" for one in bases))]
    revisions += [
        Revision(
            f"case_{number:02}", _body(_own(sql, number)), "raise NotImplementedError(irreversible)",
            extra='irreversible = "nobody goes back"',
        )
        for number, (_, sql, _) in enumerate(CASES)
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions)
    monkeypatch.chdir(ini.parent)
    report = trace(ini, rows=2_000, scratch=server.admin_url)
    found = {}
    for step in report.revisions:
        if step.direction == "up" and step.revision != "tables":
            assert step.unexamined == ""
            dangerous = any(one.dangerous for one in step.statements)
            few = any(one.few for one in step.statements)
            found[step.revision] = "dangerous" if dangerous else "not examined" if few else "harmless"
    assert found == {f"case_{number:02}": said for number, (*_, said) in enumerate(CASES)}, CASES
    assert report.unfilled == ()


def test_what_stands_first_in_a_text_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """A text of several statements is more than its first; and locks that it has given back itself are not called harmless.

    Nor is what comes behind a revision that emptied the table: it may be deployed long after, and meets rows again.
    """
    index = "CREATE INDEX ON orders (note)"
    texts = [
        f"SHOW work_mem; {index}", f"SAVEPOINT a; {index}; RELEASE SAVEPOINT a", f"BEGIN; {index}; COMMIT", "COMMIT; BEGIN",
        "DELETE FROM orders", index, "TRUNCATE part", "CREATE INDEX ON part (note)",
    ]  # fmt: skip
    tables = (
        "CREATE TABLE orders (id serial PRIMARY KEY, note text); CREATE TABLE part (id int, note text) PARTITION BY HASH (id); "
        "CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 1, REMAINDER 0)"
    )
    base = Revision("r1", _body(tables))
    steps = [Revision(f"r{at}", f"op.execute({one!r})", "pass") for at, one in enumerate(texts, 2)]
    ini = write_project(tmp_path, [base, *steps])
    monkeypatch.chdir(ini.parent)
    report = trace(ini, scratch=server.admin_url)
    assert [step.revision for step, _ in report.dangerous] == ["r2", "r3", "r7", "r9"]
    assert {step.revision: step.unexamined for step in report.revisions if step.unexamined} == {
        "r4": "alembic/versions/r4.py:12: COMMIT stands inside the text: what was locked before it could not be seen"
    }
