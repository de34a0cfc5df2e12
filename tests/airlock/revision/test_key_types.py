"""A key of another type altogether: the edits that the command names, each written and run on rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start

TEXT = "SELECT string_agg(p.name, ' ' ORDER BY c.id) FROM parent p JOIN child c ON c.parent_uid = p.uid"


def models(step: int, key: type[Any] = sa.Integer) -> sa.MetaData:
    """0: numbers; 1: UUIDs beside them; 2: UUIDs alone, and a rename is all that is left."""
    metadata = sa.MetaData()
    of: list[sa.Column[Any]] = []
    links: list[sa.Column[Any]] = []
    default: dict[str, Any] = {"server_default": sa.text("gen_random_uuid()"), "nullable": False}
    if step < 2:
        of.append(sa.Column("id", key, primary_key=True))
        links.append(sa.Column("parent_id", sa.ForeignKey("parent.id", name="fk_parent"), nullable=False))
    if step:
        of.append(sa.Column("uid", sa.Uuid, primary_key=step > 1, unique=step == 1 or None, **default))
        links.append(
            sa.Column("parent_uid", sa.ForeignKey("parent.uid", name="fk_uid"), nullable=False, index=True)
        )
    sa.Table("parent", metadata, sa.Column("name", sa.Text), *of)
    sa.Table("child", metadata, sa.Column("id", sa.Integer, primary_key=True), *links)
    return metadata


def test_an_integer_key_becomes_a_uuid(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The sentence names the edits; each row keeps its parent; of a dropped number, rows get new ones when it comes back."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(models(0))
        shop.upgrade(models(0))
        shop.run("INSERT INTO parent (name) VALUES ('a'), ('b'), ('c')")
        shop.run("INSERT INTO child (parent_id) VALUES (3), (1), (1), (2)")
        assert shop.revise(models(0, sa.Uuid)) == []
        assert "no integer is a uuid. Three edits of the models lead there" in caplog.text
        for step in (1, 2):
            shop.revise(models(step), rename="none")
            shop.upgrade(models(step))
            assert shop.revise(models(step)) == []
            assert shop.ask(TEXT) == [("c a a b",)]
        shop.downgrade(models(1), "-1")
        assert shop.ask("SELECT count(DISTINCT id), max(id) FROM parent") == [(3, 3)]
        assert shop.ask(TEXT) == [("c a a b",)]


@pytest.mark.parametrize("kind", ["index", "unique"])
def test_what_keeps_its_name_stays_when_a_column_of_it_goes(
    scratch: ScratchServer, tmp_path: Path, kind: str
) -> None:
    """It was taken for what goes with the column, and was not made again."""

    def made(*names: str) -> sa.MetaData:
        metadata = sa.MetaData()
        one = sa.Index("ix", *names) if kind == "index" else sa.UniqueConstraint(*names, name="uq")
        columns = [sa.Column(name, sa.Integer) for name in names]
        sa.Table("item", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns, one)
        return metadata

    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(made("a", "b"))
        shop.upgrade(made("a", "b"))
        head, was = shop.head(), seen(database)
        shop.revise(made("a"))
        shop.upgrade(made("a"))
        assert shop.revise(made("a")) == []
        shop.downgrade(made("a"), head)
        assert [one for one in differing(was, seen(database)) if "order" not in one] == []
