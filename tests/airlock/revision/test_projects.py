"""Other projects than this one: the default schema, an asynchronous env.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.util import CommandError

from airlock.operations.revision.parent import revise
from airlock.scratch.servers import ScratchServer
from tests.airlock.histories import Revision, write_project
from tests.airlock.revision.harness import ENV, MAKO, Shop, start
from tests.airlock.revision.shop import MUTATIONS, SOURCE, built


@pytest.mark.proof
def test_tables_without_a_schema_are_written_without_one(scratch: ScratchServer, tmp_path: Path) -> None:
    """What the models do not qualify, the revisions do not: they run wherever search_path leads."""
    plain = SOURCE.replace('    schema="shop",\n', "").replace("shop.", "")
    changed = plain
    for old, new in MUTATIONS["many at once"]:
        changed = changed.replace(old.replace("shop.", ""), new.replace("shop.", ""))
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "plain"), database)
        for source in (plain, changed):
            metadata = built(source)
            assert shop.revise(metadata, rename="none")
            shop.upgrade(metadata)
            assert shop.revise(metadata, rename="none") == []
        for path in (tmp_path / "plain").rglob("versions/*.py"):
            assert "public." not in path.read_text().partition("def upgrade")[2]
        shop.downgrade(metadata, "base")
        assert shop.ask(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ) == [("versions",)]


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_another_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    """env.py connects as it likes; what is written is proved all the same."""
    (tmp_path / "tables.py").write_text(
        "import sqlalchemy as sa\nmetadata = sa.MetaData()\n"
        "sa.Table('thing', metadata, sa.Column('id', sa.Integer, primary_key=True), sa.Column('name', sa.String(20), index=True),"
        " sa.Column('at', sa.DateTime(True), nullable=False, server_default=sa.func.now()))\n"
    )
    ini = write_project(
        tmp_path,
        [
            Revision(
                "r1",
                'op.create_table("thing", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(10)))',
                'op.drop_table("thing")',
            )
        ],
        driver=driver,
        options=', target_metadata=__import__("tables").metadata',
    )
    (tmp_path / "alembic" / "script.py.mako").write_text(MAKO)
    monkeypatch.chdir(tmp_path)
    revised = revise(ini, "Add thing.at")
    assert revised.written
    assert (revised.dangerous, revised.left, revised.differences, revised.unproved) == ((), (), (), "")
    assert revised.sound


def test_a_translated_schema_is_said(scratch: ScratchServer, tmp_path: Path) -> None:
    """What is written in SQL does not follow a schema_translate_map: the sentence says what does, and nothing is written."""
    metadata = sa.MetaData()
    sa.Table("thing", metadata, sa.Column("id", sa.Integer, primary_key=True))
    translating = ENV.replace(
        "as connection:\n", "as connection:\n    connection.execution_options(schema_translate_map={None: 'acme'})\n", 1
    )  # fmt: skip
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "tenants"), database)
        shop.run("CREATE SCHEMA acme")
        (shop.directory / "alembic" / "env.py").write_text(translating)
        with pytest.raises(CommandError, match=r"translates the default schema to acme .* Let search_path"):
            shop.revise(metadata)
        assert list((shop.directory / "alembic" / "versions").iterdir()) == []
