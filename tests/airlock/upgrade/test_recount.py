"""The number that was accepted holds: for a role that does not see all rows, over retries, without a transaction."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.airlock.histories import HEADER, SYNC
from tests.airlock.running import rows
from tests.airlock.upgrade.test_losses import DROPPED_TABLE, at, down, losses, prepare, second, writing_late
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers import Server

pytestmark = pytest.mark.proof

HIDDEN = second(
    """
    op.execute("CREATE TABLE note (id integer PRIMARY KEY, said text)")
    op.execute("ALTER TABLE note ENABLE ROW LEVEL SECURITY")
    op.execute("ALTER TABLE note FORCE ROW LEVEL SECURITY")
    op.execute("CREATE POLICY mine ON note USING (said = current_user)")
    """,
    'op.execute("DROP TABLE note")',
)
THREE = "INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'c')"


@pytest.fixture
def owner(server: Server, empty_database: Database) -> Iterator[str]:
    """Make an ordinary role that owns everything in the database, and no right to pass row-level security by."""
    role = f"owner_{os.getpid()}"
    server.run(f"CREATE ROLE {role} LOGIN{server.password_clause}")
    rows(empty_database.url, f'ALTER DATABASE "{empty_database.name}" OWNER TO {role}')
    rows(empty_database.url, f"GRANT ALL ON SCHEMA public TO {role}")
    try:
        yield role
    finally:
        rows(empty_database.url, f"REASSIGN OWNED BY {role} TO CURRENT_USER")
        rows(empty_database.url, f"DROP OWNED BY {role}")
        server.run(f"DROP ROLE {role}")


def test_rows_that_row_level_security_hides_are_not_counted_as_none(
    tmp_path: Path, empty_database: Database, owner: str, server: Server
) -> None:
    """The table's owner sees none of its three rows: exit 3 and never "loses nothing"; who sees all counts three."""
    url = server.url(empty_database.name, owner)
    as_owner = Database(empty_database.name, url)
    ini = prepare(tmp_path, as_owner, HIDDEN)
    rows(empty_database.url, THREE)
    assert rows(url, "SELECT count(*) FROM note") == [(0,)]
    ran = down(ini, as_owner, "--scratch", empty_database.url)
    assert (ran.code, losses(ran), at(empty_database)) == (3, [], "d2"), ran.err
    assert "public.note could not be counted: query would be affected by row-level security" in ran.out
    assert losses(down(ini, empty_database)) == [("public.note", 3)]


def test_a_session_that_sees_less_than_the_one_that_counted(
    tmp_path: Path, empty_database: Database, owner: str
) -> None:
    """Counted by a superuser, undone under the role that env.py takes: its own count of none is not believed."""
    ini = prepare(tmp_path, empty_database, HIDDEN, THREE)
    # In scratch env.py's login is nobody special, and keeps its own role.
    where = f"rolname = '{owner}' AND pg_has_role(oid, 'MEMBER')"
    takes_role = f"SELECT set_config('role', rolname, false) FROM pg_roles WHERE {where}"
    rows(empty_database.url, f"ALTER TABLE note OWNER TO {owner}")
    rows(empty_database.url, f"ALTER TABLE alembic_version OWNER TO {owner}")
    env = tmp_path / "alembic" / "env.py"
    env.write_text(
        env.read_text().replace(
            "as connection:\n",
            f"as connection:\n    connection.exec_driver_sql({takes_role!r})\n    connection.commit()\n",
        )
    )
    ran = down(ini, empty_database, "--accept-loss", "3")
    assert (ran.code, at(empty_database)) == (3, "d2"), ran.err
    assert "public.note could not be counted again: row-level security hides rows" in ran.error
    assert down(ini, empty_database, "--accept-loss", "3", "--accept-unknown-loss").code == 0


def test_a_retry_does_not_count_twice(tmp_path: Path, empty_database: Database) -> None:
    """A step that got no lock at first and was undone has lost nothing: the accepted number is enough."""
    tries = tmp_path / "tries"
    ini = prepare(
        tmp_path,
        empty_database,
        second(
            'op.execute("CREATE TABLE note (id integer PRIMARY KEY, said text)")',
            f"""
            op.execute("DROP TABLE note")
            with open({str(tries)!r}, "a") as file:
                file.write("x")
            # The first run is the one in scratch.
            if len(open({str(tries)!r}).read()) == 3:
                op.execute("DO $$ BEGIN RAISE lock_not_available; END $$")
            """,
        ),
        THREE,
    )
    assert down(ini, empty_database).code == 1
    ran = down(ini, empty_database, "--accept-loss", "3")
    assert (ran.code, at(empty_database)) == (0, "d1"), ran.err
    assert [event["event"] for event in ran.events].count("retry") == 1


AUTOCOMMIT = SYNC.replace("poolclass=", 'isolation_level="AUTOCOMMIT", poolclass=')


@pytest.mark.parametrize("env", ["every statement by itself", "an autocommit block"])
def test_a_loss_outside_a_transaction_is_not_promised(
    env: str, tmp_path: Path, empty_database: Database
) -> None:
    """No lock outlives the count: exit 3 saying so, although the rows are counted; never "loses at most N"."""
    inside = 'op.execute("DROP TABLE note")'
    if env == "an autocommit block":
        inside = f"with op.get_context().autocommit_block():\n    {inside}"
    ini = prepare(
        tmp_path,
        empty_database,
        second('op.execute("CREATE TABLE note (id integer, said text)")', inside),
        THREE,
    )
    if env == "every statement by itself":
        text = HEADER + AUTOCOMMIT.format(driver="psycopg2", options="")
        (tmp_path / "alembic" / "env.py").write_text(text)
    ran = down(ini, empty_database, "--accept-loss", "3")
    assert (ran.code, losses(ran), at(empty_database)) == (3, [("public.note", 3)], "d2"), ran.err
    said = "d2 leaves its transaction: what is written to public.note after the count is lost uncounted"
    assert ran.events[-2]["unknown"] == [said]
    ran = down(ini, empty_database, "--accept-loss", "3", "--accept-unknown-loss")
    assert (ran.code, at(empty_database)) == (0, "d1"), ran.err


def test_a_loss_outside_a_transaction_is_counted_again_first(
    tmp_path: Path, empty_database: Database
) -> None:
    """Rows written since are seen before the first statement: exit 1, and all of them are there."""
    ini = prepare(tmp_path, empty_database, DROPPED_TABLE, "INSERT INTO note (said) VALUES ('a')")
    (tmp_path / "alembic" / "env.py").write_text(HEADER + AUTOCOMMIT.format(driver="psycopg2", options=""))
    writing_late(tmp_path)
    ran = down(ini, empty_database, "--accept-loss", "2", "--accept-unknown-loss")
    assert (ran.code, at(empty_database)) == (1, "d2"), ran.err
    assert "d2 would now lose 3 rows and values, more than the 2 that were accepted" in ran.error
    assert rows(empty_database.url, "SELECT count(*) FROM note") == [(3,)]
