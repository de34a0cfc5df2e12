"""The query above a statement that looks at every row finds the rows that the statement would stop at."""

from __future__ import annotations

import sqlalchemy as sa

from airlock.catalogue import structure
from airlock.operations.revision.changes.breaking_rows import noted
from airlock.operations.revision.parts import sql
from airlock.scratch.servers import ScratchServer

ROWS = """
INSERT INTO room VALUES ('[1,2)', '[2026-01-01,2026-02-01)', 3), ('[1,2)', '[2026-02-01,2026-03-01)', 4);
INSERT INTO booking VALUES (1, '[1,2)', '[2026-01-05,2026-02-10)', 'a'), (2, '[1,2)', '[2026-02-20,2026-04-01)', 'b'),
  (3, '[1,2)', '[2026-02-25,2026-02-27)', 'c'), (4, NULL, '[2026-02-25,2026-02-27)', NULL),
  (-5, '[1,2)', '[2026-02-25,2026-02-27)', 'c');
INSERT INTO room VALUES ('[1,2)', '[2026-01-31,2026-02-02)', -1);
"""
ADDED = {
    "room": {
        "no_overlap": "PRIMARY KEY (id, during WITHOUT OVERLAPS)",
        "positive": "CHECK (n > 0)",
    },
    "booking": {
        "within": "FOREIGN KEY (room, during) REFERENCES room (id, during)",
        "one at a time": "EXCLUDE USING gist (room WITH =, daterange(lower(during), upper(during)) WITH &&)"
        " INCLUDE (id) WHERE (id > 0 AND label <> ' WHERE (') DEFERRABLE INITIALLY DEFERRED",
        "labels": "UNIQUE (label)",
    },
}


def test_the_rows_that_break_a_constraint_are_found(scratch: ScratchServer) -> None:
    """CHECK, UNIQUE, exclusion with expressions and a predicate, WITHOUT OVERLAPS, and a period that no partner covers."""
    found: dict[str, int] = {}
    with scratch.database() as database:
        engine = sa.create_engine(database.url.replace("postgresql://", "postgresql+psycopg2://"))
        with engine.connect() as connection:
            run = connection.exec_driver_sql
            run("CREATE TABLE room (id int4range, during daterange, n int)")
            run("CREATE TABLE booking (id int, room int4range, during daterange, label text)")
            for table, constraints in ADDED.items():
                for name, text in constraints.items():
                    period = text.replace("during)", "PERIOD during)") if "REFERENCES" in text else text
                    run(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {period}')
            read = structure.read(connection, {"public": ""})
            for table in ("booking", "room"):
                for name in ADDED[table]:
                    run(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
            run(ROWS)
            for table in ADDED:
                one = read.tables["", table]
                for constraint in one.constraints.values():
                    (statement,) = noted(sql("…"), one, constraint)
                    query = str(statement.note).removeprefix("Rows that break it stop this: ")
                    found[constraint.name] = len(run(query.replace("%", "%%")).all())
        engine.dispose()
    assert found == {"no_overlap": 2, "positive": 1, "within": 1, "one at a time": 1, "labels": 1}
