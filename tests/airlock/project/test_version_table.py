"""Whether the version table is there: asked in airlock's words, answered as Alembic's own question is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from airlock.project.environment import _seek_version_table_as_text
from tests.servers import Database

CASES = {
    "nowhere": ((), None),
    "in the search path": (("CREATE TABLE alembic_version (version_num text)",), None),
    "behind the first place of the search path": (
        ("CREATE TABLE alembic_version ()", "CREATE SCHEMA a", "SET search_path = a, public"),
        None,
    ),
    "outside the search path": (("CREATE SCHEMA a", "CREATE TABLE a.alembic_version ()"), None),
    "a view": (("CREATE VIEW alembic_version AS SELECT 1 AS version_num",), None),
    "a temporary table": (("CREATE TEMPORARY TABLE alembic_version (version_num text)",), None),
    "a sequence": (("CREATE SEQUENCE alembic_version",), None),
    "in its schema": (("CREATE SCHEMA a", "CREATE TABLE a.alembic_version ()"), "a"),
    "in another schema than its own": (("CREATE SCHEMA a", "CREATE TABLE alembic_version ()"), "a"),
    "in no schema that is there": (("CREATE TABLE alembic_version ()",), "a"),
}


@pytest.mark.parametrize(("made", "schema"), CASES.values(), ids=CASES.keys())
def test_the_version_table_is_found_where_alembic_finds_it(
    made: tuple[str, ...], schema: str | None, empty_database: Database
) -> None:
    """Both answers are the same, and both leave SQLAlchemy in the transaction that the question began."""
    engine = sa.create_engine(empty_database.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in made:
            connection.exec_driver_sql(statement)
        connection.commit()
        context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
        own = context._has_version_table()
        connection.rollback()
        _seek_version_table_as_text(context)
        assert "_has_version_table" in vars(context)
        assert context._has_version_table() is own
        assert connection.in_transaction()


@pytest.mark.parametrize("name", ['we "quote" it', "50%", "it's", "a:b", "back\\slash"])
def test_a_name_that_must_be_spelled_is_left_to_alembic(name: str, empty_database: Database) -> None:
    """Alembic's own question is asked then, and finds the table."""
    engine = sa.create_engine(empty_database.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        sa.Table(name, sa.MetaData(), sa.Column("version_num", sa.Text())).create(connection)
        context = MigrationContext.configure(connection, opts={"version_table": name})
        _seek_version_table_as_text(context)
        assert "_has_version_table" not in vars(context)
        assert context._has_version_table()
