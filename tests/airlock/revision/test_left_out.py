"""What the release below leaves out of an INSERT, because the database gives it, it may leave out until contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen, start


def models(*, after: bool) -> sa.MetaData:
    metadata = sa.MetaData()

    def given(text: str) -> str | None:
        return None if after else text

    mood = sa.Enum("ok", "sad", name="mood")
    code = pg.DOMAIN("code", sa.Text, default=given("abc"))
    sa.Table(
        "thing", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", sa.String(9), nullable=False, server_default=given("new")),
        sa.Column("kind", sa.String(20 if after else 10), nullable=False, server_default=given("plain")),
        sa.Column("code", code, nullable=False),
        sa.Column("long", sa.Integer, *([] if after else [sa.Computed("length(state) + 1", persisted=True)]), nullable=False),
        sa.Column("twice", sa.Integer, *([] if after else [sa.Computed("2 * length(state)", persisted=True)]),
                  server_default="7" if after else None),
        # Texts lead to the type that the models have, by its name alone or with its schema.
        sa.Column("moods", sa.ARRAY(mood), server_default=sa.text("'{ok}'::mood[]")),
        sa.Column("more", sa.ARRAY(mood), server_default=sa.text("ARRAY['ok'::public.mood]")),
    )  # fmt: skip
    return metadata


def test_what_the_database_gives_goes_last(scratch: ScratchServer, tmp_path: Path) -> None:
    """A default of a column, also of one that changes its type, or of a domain; a generated value; each comes back going down."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "project"), database)
        shop.revise(models(after=False), "Create")
        shop.upgrade(models(after=False))
        before = seen(database)
        written = shop.revise(models(after=True), "Give no default")
        expand = [one for one in written if shop.text(one).startswith('"""Expand')]
        contract = written[len(expand) :]
        assert expand
        assert contract
        for one in expand:
            shop.upgrade(models(after=True), one)
            shop.run("INSERT INTO thing DEFAULT VALUES")
        assert shop.ask("SELECT DISTINCT state, kind, code, long, twice FROM thing") == [
            ("new", "plain", "abc", 4, 6)
        ]
        # Code of the release below changes what a value is made of; the new one changes the value.
        shop.run("UPDATE thing SET long = 9 WHERE id = 1")
        shop.run("UPDATE thing SET state = 'older'")
        assert shop.ask("SELECT DISTINCT id = 1, long, twice FROM thing") == [(False, 6, 10), (True, 9, 10)]
        shop.upgrade(models(after=True))
        shop.run("UPDATE thing SET state = 'new'")
        assert shop.ask("SELECT DISTINCT id = 1, long, twice FROM thing") == [(False, 6, 10), (True, 9, 10)]
        assert shop.ask("SELECT count(*) FROM pg_attrdef WHERE adrelid = 'thing'::regclass") == [(4,)]
        shop.check(models(after=True))
        shop.downgrade(models(after=True), f"-{len(written)}")
        shop.run("INSERT INTO thing DEFAULT VALUES")
        assert differing(before, seen(database)) == []


def reckoned(kind: str) -> sa.MetaData:
    metadata = sa.MetaData()
    more = {"virtual": [sa.Computed("length(name)", persisted=False)], "plain": []}[kind]
    sa.Table(
        "named", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text, nullable=False),
        sa.Column("long", sa.Integer, *more, nullable=False, comment="its letters"),
        sa.CheckConstraint("long > 0", name="long_above_0"),
    )  # fmt: skip
    return metadata


def test_a_virtual_column_that_becomes_a_plain_one_keeps_what_it_showed(
    scratch: ScratchServer, tmp_path: Path
) -> None:
    """It stores no value that the plain one could have: that is filled from it; and back, the column is generated again."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "project"), database)
        shop.revise(reckoned("virtual"), "Create")
        shop.upgrade(reckoned("virtual"))
        shop.run("INSERT INTO named (name) SELECT repeat('x', n) FROM generate_series(1, 9) AS n")
        before = seen(database)
        written = shop.revise(reckoned("plain"), "Measure no longer")
        shop.upgrade(reckoned("plain"))
        assert shop.ask("SELECT long FROM named ORDER BY id") == [(n,) for n in range(1, 10)]
        shop.check(reckoned("plain"))
        shop.run("INSERT INTO named (name, long) VALUES ('y', 7)")
        shop.downgrade(reckoned("plain"), f"-{len(written)}")
        shop.run("DELETE FROM named WHERE name = 'y'")
        assert differing(before, seen(database)) == []


@pytest.mark.proof
def test_an_array_becomes_a_document_and_is_one_again(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty one too; what is no array of numbers is not taken for one. An enum that a column keeps so stays."""

    def item(*kinds: sa.types.TypeEngine[Any]) -> sa.MetaData:
        made = sa.MetaData()
        columns = (sa.Column(f"c{place}", one) for place, one in enumerate(kinds))
        sa.Table("item", made, sa.Column("id", sa.Integer, primary_key=True), *columns)
        return made

    moods = pg.ARRAY(pg.ENUM("ok", "sad", name="mood"))
    before, wanted = item(pg.ARRAY(sa.Integer), moods), item(pg.JSONB(), sa.JSON())
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head = shop.head()
        shop.run("INSERT INTO item (c0) VALUES ('{1,NULL}'), ('{}'), (NULL)")
        *others, last = shop.revise(wanted)
        assert "public.item.c1: mood[] -> json rewrites the table, and of a json nothing tells" in caplog.text
        shop.upgrade(wanted, others[-1])
        shop.run("""INSERT INTO item (c0) VALUES ('[3]'), ('null'), ('{"a": 1}'), ('[1.5]')""")
        shop.upgrade(wanted, last)
        assert shop.ask("SELECT c0 FROM item ORDER BY id LIMIT 3") == [([1, None],), ([],), (None,)]
        shop.run("""DELETE FROM item WHERE c0 IN ('{"a": 1}', '[1.5]')""")
        shop.downgrade(wanted, head)
        numbers = [([1, None],), ([],), (None,), ([3],), (None,)]
        assert shop.ask("SELECT c0 FROM item ORDER BY id") == numbers
