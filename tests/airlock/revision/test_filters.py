"""What env.py's filters leave out, and what lies where no table of the models does."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from airlock.catalogue.structure import Structure
from airlock.operations.revision.changes.renames import rename_part
from airlock.operations.revision.comparison import _is_or_in
from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop
from tests.airlock.revision.walk import start


def test_what_include_object_leaves_out_of_a_table_stays(shop: Shop) -> None:
    """Columns, indexes, constraints: those of the database are not dropped, those of the models not made or changed."""

    def theirs(one: Any, name: str | None, _: str, reflected: bool, to: Any) -> bool:
        return not (
            (name or "").startswith("dba_")
            or one.info.get("skip")
            or (not reflected and to is not None and name == "note")
        )

    models = shop.renamed()
    shop.run(
        "ALTER TABLE shop.product ADD COLUMN dba_seen int, ADD COLUMN note text, ADD CONSTRAINT dba_check CHECK (id > 0);"
        " CREATE INDEX dba_index ON shop.product (id) WHERE dba_seen > 1; CREATE INDEX dba_other ON shop.product (id)"
    )  # fmt: skip
    table = models.tables["shop.product"]
    table.append_column(sa.Column("later", sa.Integer, info={"skip": True}, index=True))
    table.append_column(sa.Column("note", sa.String(20), nullable=False))
    assert dataclasses.replace(shop, options={"include_object": theirs}).revise(models, rename="none") == []
    shop.revise(models, rename="none")
    assert "dba_seen" in shop.written()


@pytest.mark.parametrize("level", ["READ COMMITTED", "AUTOCOMMIT"])
def test_a_part_that_the_server_refuses_takes_nothing_else_with_it(
    shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    """A foreign key without a unique key at its other end, an index without an operator class: named, and left as it is.

    The rest is written. So it is where env.py's connection commits by itself.
    """
    monkeypatch.setattr(sa, "create_engine", functools.partial(sa.create_engine, isolation_level=level))
    models = shop.renamed()
    shop.run(
        "ALTER TABLE shop.product ADD COLUMN code text UNIQUE, ADD COLUMN heir text REFERENCES shop.product (code)"
    )
    shop.run("CREATE INDEX words ON shop.product USING gin (to_tsvector('simple', code))")
    table = models.tables["shop.product"]
    table.append_column(sa.Column("code", sa.Text))
    table.append_column(sa.Column("heir", sa.Text, sa.ForeignKey("shop.product.code")))
    table.append_column(sa.Column("other", sa.Text, sa.ForeignKey("shop.product.id")))
    sa.Index("words", table.c.code, postgresql_using="gin")
    table.append_constraint(pg.ExcludeConstraint((table.c.code, "="), using="gist", name="no_two"))
    shop.revise(models, rename="none")
    assert "Not examined: the foreign key of shop.product (heir) to shop.product (code)" in caplog.text
    assert "Not examined: the foreign key of shop.product (other) to shop.product (id)" in caplog.text
    assert (
        "Not examined: the index words of shop.product, which cannot be created: data type text has no"
        in caplog.text
    )
    assert (
        "Not examined: the exclusion constraint no_two of shop.product, which cannot be created"
        in caplog.text
    )
    written = shop.written()
    assert "other" in written
    assert "words" not in written
    assert not {"code", "heir", "FOREIGN KEY", "foreign_key"} & set(
        written.replace('"', " ").replace("(", " ").split()
    )
    assert "product_code_key" not in written
    assert shop.ask("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'airlock%'") == []


def test_differences_of_what_is_left_out_are_none() -> None:
    """By the names that differences have, and with what is in a table."""
    left_out = {"public.account.x_old", "public.x_table"}
    names = "public.account.x_old", "index public.x_table.ix", "public.x_table", "public.account.x_older"
    assert [_is_or_in(one, left_out) for one in names] == [True, True, True, False]


@pytest.mark.proof
def test_a_type_without_a_schema_beside_tables_that_have_one(scratch: ScratchServer, tmp_path: Path) -> None:
    """It lies in the default schema: compared there, and found by triggers whatever search_path their session has."""

    def models(*labels: str) -> sa.MetaData:
        made = sa.MetaData()
        kind = pg.ENUM(*labels, name="mood")
        sa.Table(
            "thing",
            made,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("mood", kind),
            schema="shop",
        )
        return made

    before, after = models("ok", "sad"), models("sad", "ok")
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        for metadata in (before, after):
            written = shop.revise(metadata, rename="none")
            assert written
            for one in written:
                shop.upgrade(metadata, one)
                shop.run(
                    "SET search_path = ''; INSERT INTO shop.thing (mood) VALUES ('sad'); UPDATE shop.thing SET mood = 'ok'"
                )
            assert shop.revise(metadata, rename="none") == []
        shop.downgrade(before, "base")


def test_a_label_is_renamed_by_its_types_plain_name() -> None:
    """As tables are: with spaces and capitals, without quotes; another extension's operation on the type is not wanted."""
    live = Structure({}, {}, {'"Back Office"."The Mood"': ("so so", "a.b:c")})
    for said in ("Back Office.The Mood", '"Back Office"."The Mood"'):
        part, _ = rename_part(f"{said}.a.b:c:d", live, (), {})
        assert part.up[0].text == """ALTER TYPE "Back Office"."The Mood" RENAME VALUE 'a.b:c' TO 'd'"""
        assert part.relabels == '"Back Office"."The Mood"'
