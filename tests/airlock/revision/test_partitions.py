"""Tables that are partitioned, inherited, or told by no key: what is written of them runs, and is proved."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import sqlalchemy as sa

from airlock import samples
from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.conftest import Shops
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start

HAND = """\
from alembic import op

revision, down_revision = "hand", "{below}"


def upgrade():
    op.execute("CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')")
    op.execute("CREATE TABLE event_rest PARTITION OF event DEFAULT PARTITION BY LIST (kind)")
    op.execute("CREATE TABLE event_rest_all PARTITION OF event_rest DEFAULT")
    op.execute("CREATE TABLE dog (bark text) INHERITS (animal)")


def downgrade():
    op.execute("DROP TABLE dog, event_2026, event_rest")
"""


def models(
    *, edited: bool = False, event: bool = True, key: str = "RANGE (at)", long: int = 20
) -> sa.MetaData:
    metadata = sa.MetaData()
    if event:
        sa.Table(
            "event", metadata, sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("at", sa.DateTime, primary_key=True), sa.Column("kind", sa.String(long), primary_key=True),
            sa.Column("n", sa.Integer, nullable=not edited), sa.Column("note", sa.String(40 if edited else 20)),
            postgresql_partition_by=key,
        )  # fmt: skip
    sa.Table(
        "animal", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("legs", sa.Integer, nullable=not edited, server_default="4" if edited else None),
    )  # fmt: skip
    gone = [] if edited else [sa.Column("weight", sa.Integer)]
    sa.Table("link", metadata, sa.Column("one", sa.Integer), sa.Column("other", sa.Integer), *gone)
    return metadata


def begun(shop: Shop) -> str:
    """Bring a project to where a hand-written revision has made the partitions and the table that inherits."""
    shop.revise(models())
    hand = shop.directory / "alembic" / "versions" / "1799999999_hand.py"
    hand.write_text(HAND.format(below=shop.head()))
    shop.upgrade(models())
    return shop.head()


@pytest.mark.proof
def test_values_of_heirs_and_of_rows_without_a_key_are_said_to_be_lost(
    scratch: ScratchServer, tmp_path: Path
) -> None:
    """A required column of a partitioned table and of an inherited one, a wider one, one gone where no key tells rows: proved."""
    wanted = models(edited=True)
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        head = begun(shop)
        written = shop.revise(wanted, rename="none")
        assert '"public.dog.legs": "NULL in rows that had no value"' in shop.written()
        assert '"rewrite public.event_rest_all": "only the downgrade rewrites' in shop.written()
        shop.upgrade(wanted)
        assert shop.revise(wanted) == []
        proofs = shop.drill(f"{head}:{written[-1]}", scratch)
        assert {(one.title, one.verdict, one.reason) for one in proofs if one.verdict != "proved"} == set()


@pytest.mark.proof
def test_a_partitioned_table_comes_back_with_its_partitions(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What a partitioned table cannot become is said and no more; a table that inherits comes and goes; what goes comes back."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        head, before = begun(shop), seen(database)
        assert shop.revise(models(key="HASH (id)")) == []
        said = [one.partition(", in the models ")[0] for one in caplog.messages if "public.event" in one]
        assert said == ["public.event: it is partitioned by RANGE (at)"]
        assert shop.revise(models(long=40)) == []
        assert (
            "PostgreSQL builds event_pkey of each partition again with it, under ACCESS EXCLUSIVE"
            in caplog.text
        )
        wanted = models(event=False)
        sa.Table(
            "cat", wanted, sa.Column("claws", sa.Integer, primary_key=True), postgresql_inherits="feline"
        )
        sa.Table("feline", wanted, sa.Column("id", sa.Integer, primary_key=True))
        written = shop.revise(wanted, rename="none")
        assert 'postgresql_inherits="feline"' in shop.written()
        shop.upgrade(wanted)
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(before, seen(database)) == []
        assert {one.verdict for one in shop.drill(f"{head}:{written[-1]}", scratch)} == {"proved"}


def test_a_table_that_is_there_inherits(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets what the one above has, then inherits, exactly undone; a parent that goes is said, and nothing is written."""

    def kin(*above: str) -> sa.MetaData:
        metadata = sa.MetaData()
        legs = sa.Column("legs", sa.Integer, nullable=False), sa.CheckConstraint("legs < 100", name="few")
        sa.Table(
            "beast",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.Text),
            *legs,
        )
        sa.Table("pet", metadata, sa.Column("owner", sa.Text))
        more: dict[str, Any] = {"postgresql_inherits": above} if above else {}
        sa.Table(
            "cat",
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("legs", sa.Integer),
            **more,
        )
        return metadata

    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(kin())
        shop.upgrade(kin())
        head, before = shop.head(), seen(database)
        shop.run("INSERT INTO cat (legs) VALUES (4), (NULL)")
        written = shop.revise(kin("beast"), rename="none")
        assert "ALTER TABLE cat INHERIT beast" in shop.text(written[-1])
        shop.upgrade(kin("beast"))
        assert shop.ask("SELECT legs, name FROM beast ORDER BY id") == [(4, None), (0, None)]
        assert shop.revise(kin("beast")) == []
        with contextlib.closing(psycopg2.connect(database.url)) as connection:
            # The keys of an heir with a sequence of its own are none that the sequence above hands out.
            assert not any(one.is_used for one in samples.read_sequences(connection).values())
        assert shop.revise(kin("pet")) == []
        assert "no INHERIT makes them beast's again" in caplog.text
        shop.downgrade(kin(), head)
        assert differing(before, seen(database)) == []


@pytest.mark.proof
def test_what_stands_on_a_partitioned_table_goes_and_comes_back(
    shops: Shops, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A key, an index, a foreign key go, each with its way back; that they come, or are others, is said and not written."""

    def kin(*more: Any) -> sa.MetaData:
        metadata = sa.MetaData()
        sa.Table("kind", metadata, sa.Column("id", sa.Integer, primary_key=True))
        sa.Table(
            "event", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer), *more,
            postgresql_partition_by="RANGE (id)",
        )  # fmt: skip
        return metadata

    def full() -> sa.MetaData:
        note = (
            sa.Column("note", sa.Text, index=True),
            sa.Column("kind_id", sa.Integer, sa.ForeignKey("kind.id")),
        )
        link = sa.ForeignKeyConstraint(["n"], ["kind.id"], name="event_n")
        return kin(*note, link, sa.UniqueConstraint("n", "id", name="event_once"))

    server, _ = shops.at(15)
    with server.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(full())
        shop.upgrade(full())
        shop.run("CREATE TABLE event_all PARTITION OF event DEFAULT")
        head, before = shop.head(), seen(database)
        written = shop.revise(kin(), rename="none")
        shop.upgrade(kin())
        assert shop.revise(kin()) == []
        shop.downgrade(kin(), head)
        assert differing(before, seen(database)) == []
        for one in written:
            next((tmp_path / "p" / "alembic" / "versions").glob(f"*{one}.py")).unlink()
        other = full()
        constraints = {one.name: one for one in other.tables["event"].constraints}
        link, once = constraints["event_n"], constraints["event_once"]
        assert isinstance(link, sa.ForeignKeyConstraint)
        link.ondelete = "CASCADE"
        other.tables["event"].constraints.remove(once)
        other.tables["event"].append_constraint(sa.UniqueConstraint("id", "n", name="event_once"))
        assert shop.revise(other) == []
        assert "event_n of public.event: public.event is partitioned, and before PostgreSQL 18" in caplog.text
        assert (
            "event_once of public.event: public.event is partitioned, and a key of it is not built"
            in caplog.text
        )
