"""What PostgreSQL 18 brought: seen on the side of the history, written, and undone."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start


def models(*, parent: bool) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("parent", metadata, sa.Column("id", sa.Integer, primary_key=True))
    link = [sa.ForeignKey("parent.id", name="fk_of")] if parent else []
    checks = [sa.CheckConstraint("n > -5", name="ck_n")] if parent else []
    sa.Table(
        "item", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, nullable=not parent), sa.Column("of", sa.Integer, *link), *checks,
    )  # fmt: skip
    return metadata


@pytest.mark.proof
def test_what_was_not_enforced_is(scratch: ScratchServer, tmp_path: Path) -> None:
    """CHECK and foreign key NOT ENFORCED, NOT NULL NOT VALID: the models hold for every row, and a downgrade lets go again."""
    before, wanted = models(parent=False), models(parent=True)
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        shop.run("INSERT INTO item (n) VALUES (NULL), (3)")
        shop.run("ALTER TABLE item ADD CONSTRAINT ck_n CHECK (n > -5) NOT ENFORCED")
        shop.run("ALTER TABLE item ADD CONSTRAINT item_n_not_null NOT NULL n NOT VALID")
        shop.run(
            'ALTER TABLE item ADD CONSTRAINT fk_of FOREIGN KEY ("of") REFERENCES parent (id) NOT ENFORCED'
        )
        head, was = shop.head(), seen(database)
        shop.revise(wanted)
        assert "VALIDATE CONSTRAINT item_n_not_null" in shop.written()
        shop.upgrade(wanted)
        assert shop.ask(
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'item'::regclass AND NOT convalidated"
        ) == [(0,)]
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []


@pytest.mark.proof
def test_a_table_with_a_period_comes_back(scratch: ScratchServer, tmp_path: Path) -> None:
    """WITHOUT OVERLAPS, PERIOD and NOT NULL NOT VALID of tables that were dropped."""
    plain = models(parent=False)
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(plain)
        shop.upgrade(plain)
        shop.run(
            "CREATE TABLE room (id int4range, during daterange, PRIMARY KEY (id, during WITHOUT OVERLAPS), n int)"
        )
        shop.run("ALTER TABLE room ADD CONSTRAINT room_n_not_null NOT NULL n NOT VALID")
        shop.run(
            "CREATE TABLE booking (room int4range, during daterange,"
            " CONSTRAINT fk FOREIGN KEY (room, PERIOD during) REFERENCES room (id, PERIOD during))"
        )
        head, was = shop.head(), seen(database)
        shop.revise(plain, rename="none")
        shop.upgrade(plain)
        # As of a table that had another name once.
        shop.run("ALTER TABLE item RENAME CONSTRAINT item_id_not_null TO thing_id_not_null")
        assert shop.revise(plain) == []
        shop.run("ALTER TABLE item RENAME CONSTRAINT thing_id_not_null TO item_id_not_null")
        shop.downgrade(plain, head)
        assert differing(was, seen(database)) == []
