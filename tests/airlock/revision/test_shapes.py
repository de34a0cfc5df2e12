"""Tables of odd shapes, in Alembic's own words: they come out as the models make them, go, and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import comparators, renderers
from alembic.operations import MigrateOperation, Operations
from sqlalchemy.dialects import postgresql as pg

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, created, differing, seen
from tests.airlock.revision.walk import start

CONVENTION = {"ck": "ck_%(table_name)s_%(constraint_name)s", "ix": "ix_%(column_0_label)s"}


def models(*, odd: bool) -> sa.MetaData:
    metadata = sa.MetaData(naming_convention=CONVENTION)
    number = [sa.Column(name, sa.Integer, primary_key=True, autoincrement=False) for name in "ab"]
    if not odd:
        sa.Table("Parent X", metadata, *number, sa.Column("c", sa.Integer, unique=True))
        return metadata
    sa.Table(
        "Parent X", metadata, *number, sa.Column("c", sa.Integer, unique=True), sa.Column("late", sa.Time(timezone=True)),
        sa.Column("every", sa.Interval), sa.Column("exact", sa.Double), sa.Column("real", sa.REAL),
        sa.Column("at", pg.TIMESTAMP(timezone=True, precision=3)), sa.Column("bits", pg.BIT(3)),
        sa.Column("letters", sa.CHAR(4)), sa.Column("bytes", sa.LargeBinary), sa.Column("range", pg.INT4RANGE),
        sa.Column("names", pg.ARRAY(sa.String(10))), sa.Column("ids", pg.ARRAY(pg.UUID)),
        sa.Column("odd", sa.Enum("a'b", "c:d", "100%", name="odd enum")),
    )  # fmt: skip
    sa.Table(
        "child", metadata,
        sa.Column("id", sa.BigInteger, sa.Identity(always=True, start=5, increment=-2, minvalue=-100, maxvalue=10, cycle=True),
                  primary_key=True),
        sa.Column("a", sa.Integer), sa.Column("b", sa.Integer),
        sa.Column("s", sa.String(30, collation="C"), server_default=sa.text("'x:y %s \\\\ ''q'' NOT NULL'")),
        sa.Column("t", sa.Text, comment="it's 100% :x \\ \"q\""),
        sa.Column("j", pg.JSONB, server_default=sa.text("'{\"a\": [1, 2]}'")),
        sa.Column("g", sa.Integer, sa.Computed("a * 2", persisted=True)),
        sa.Column("v", sa.Integer, sa.Computed("a + b", persisted=False)),
        sa.Column("period", pg.TSTZRANGE), sa.Column("flag", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.Column("kind", sa.Enum("x", "y", name="kd", native_enum=False, create_constraint=True)),
        sa.ForeignKeyConstraint(["a", "b"], ["Parent X.a", "Parent X.b"], name="fk Odd", match="FULL", ondelete="SET NULL",
                                onupdate="CASCADE", deferrable=True, initially="DEFERRED"),
        sa.CheckConstraint("s ~ '^[a-z]+:[0-9]{1,2}$' OR s LIKE 'x%' OR s = 'a, (b'", name="re"),
        sa.UniqueConstraint("a", "s", name="uq1", postgresql_nulls_not_distinct=True, postgresql_include=["t"]),
        pg.ExcludeConstraint(("period", "&&"), name="ex1", using="gist", where=sa.text("flag")),
        sa.Index("ix 1", sa.text("lower(s) DESC NULLS LAST"), "a", postgresql_where=sa.text("s <> 'a:b, )'"),
                 postgresql_include=["t"]),
        sa.Index("ix2", "j", postgresql_using="gin", postgresql_ops={"j": "jsonb_path_ops"}),
        sa.Index("ix3", "s", postgresql_ops={"s": "varchar_pattern_ops"}, postgresql_with={"fillfactor": 70}, unique=True),
        sa.Index("ix4", sa.text("(j->>'a')"), sa.text("coalesce(t, 'x,y')")),
        sa.Index("ix5", sa.desc("a"), sa.text('s COLLATE "C" NULLS FIRST'), unique=True, postgresql_nulls_not_distinct=True),
        comment="A 'table': 100%", postgresql_with={"fillfactor": "80"},
    )  # fmt: skip
    sa.Table(
        "log",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("x", sa.Text),
        prefixes=["UNLOGGED"],
    )
    sa.Table("part", metadata, sa.Column("d", sa.Date, primary_key=True), postgresql_partition_by="RANGE (d)")
    sa.Table(
        "self",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("up", sa.ForeignKey("self.id")),
    )
    first = sa.ForeignKey("second.id", use_alter=True, name="fk_second")
    sa.Table("first", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("other", first))
    sa.Table(
        "second",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("other", sa.ForeignKey("first.id")),
    )
    return metadata


@pytest.mark.proof
def test_odd_tables_come_go_and_come_back(scratch: ScratchServer, tmp_path: Path) -> None:
    """Exact on the way up, a second call finds nothing, exact on the way down; dropped and made again from the revision."""
    odd, plain = models(odd=True), models(odd=False)
    with scratch.database() as database, scratch.database() as alone:
        shop = Shop(start(tmp_path / "p"), database)
        created(odd, alone)
        shop.revise(plain)
        shop.upgrade(plain)
        head, before = shop.head(), seen(database)
        shop.revise(odd, rename="none")
        written = shop.written()
        assert "op.create_table(" in written
        assert "comment=\"A 'table': 100%\"" in written
        assert "op.create_table_comment(" not in written
        assert "op.alter_column(" not in written
        shop.upgrade(odd)
        assert differing(seen(alone), seen(database)) == []
        assert shop.revise(odd, rename="none") == []
        shop.downgrade(odd, head)
        assert differing(before, seen(database)) == []
        shop.upgrade(odd)
        top = shop.head()
        shop.revise(plain, rename="none")
        shop.upgrade(plain)
        assert differing(before, seen(database)) == []
        shop.downgrade(plain, top)
        assert differing(seen(alone), seen(database)) == []


@Operations.register_operation("said")
class SaidOp(MigrateOperation):
    """What an extension of Alembic would find."""

    @classmethod
    def said(cls, operations: Operations) -> None:
        operations.invoke(cls())

    def reverse(self) -> MigrateOperation:
        return SaidOp()

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("said",)


@pytest.mark.proof
def test_what_another_extension_finds_passes_through(scratch: ScratchServer, tmp_path: Path) -> None:
    """Its operation stands in a revision of its own behind ours; alone, it is all that is written."""
    renderers.dispatch_for(SaidOp)(lambda context, operation: "op.said()")
    wanted: list[bool] = [True]

    @comparators.dispatch_for("schema")
    def find(_context: object, found: Any, _schemas: object) -> None:
        if wanted[0]:
            found.ops.append(SaidOp())

    Operations.implementation_for(SaidOp)(lambda operations, operation: None)
    try:
        with scratch.database() as database:
            shop = Shop(start(tmp_path / "p"), database)
            first = shop.revise(models(odd=False))
            assert ["op.said()" in shop.text(one) for one in first] == [False, True]
            shop.upgrade(models(odd=False))
            (second,) = shop.revise(models(odd=False))
            assert shop.text(second).count("op.said()") == 2
    finally:
        wanted[0] = False
