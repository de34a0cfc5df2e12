"""A history whose steps each go through, but not in the one run from empty that users take."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.operations.drill import drill
from airlock.records.drill import PROVED, REFUSED
from tests.airlock.histories import Revision, write_project

BY_ALEMBIC = 'import sqlalchemy as sa; op.create_table("{}", sa.Column("m", sa.Enum("x", "y", name="mood")))'
BY_SQL = "op.execute(\"CREATE TYPE mood AS ENUM ('x', 'y')\"); op.execute(\"CREATE TABLE {} (m mood)\")"
GONE = 'op.execute("DROP TABLE {}"); op.execute("DROP TYPE mood")'
TO_TEXT = (
    (
        "op.execute(\"ALTER TABLE first ALTER m TYPE text USING m::text, ADD CONSTRAINT known CHECK (m IN ('x', 'y'))\")"
        '; op.execute("DROP TYPE mood")'
    ),
    (
        "op.execute(\"CREATE TYPE mood AS ENUM ('x', 'y')\")"
        '; op.execute("ALTER TABLE first DROP CONSTRAINT known, ALTER m TYPE mood USING m::mood")'
    ),
)


def history(directory: Path, made: str) -> Path:
    """Create a table with an enum, make its column a text and drop the type by SQL, create another table with the enum."""
    return write_project(
        directory,
        [
            Revision("e1", made.format("first"), GONE.format("first")),
            Revision("e2", *TO_TEXT),
            Revision("e3", made.format("second"), GONE.format("second")),
        ],
    )


@pytest.mark.proof
def test_an_enum_that_a_run_believes_to_be_there_is_refused_where_the_run_stops(tmp_path: Path) -> None:
    """Bare `alembic upgrade head` on an empty database fails at e3; the drill's own steps do not."""
    first, second, third = drill(history(tmp_path, BY_ALEMBIC)).revisions
    assert (first.verdict, second.verdict, third.verdict) == (PROVED, PROVED, REFUSED)
    assert "a run from an empty database to the end fails here" in third.reason
    assert 'type "mood" does not exist' in third.reason


@pytest.mark.proof
def test_types_made_by_sql_are_proved_in_one_run_too(tmp_path: Path) -> None:
    """The sound twin."""
    assert [one.verdict for one in drill(history(tmp_path, BY_SQL)).revisions] == [PROVED] * 3
