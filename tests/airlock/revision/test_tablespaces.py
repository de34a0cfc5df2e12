"""Tablespaces that models name: seen, written, undone, and where a table would be copied, said."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from airlock.records.shared import TABLESPACE, Shared
from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start


def models(*, fast: bool) -> sa.MetaData:
    metadata = sa.MetaData()
    space = "Fast disk" if fast else None
    where = sa.text("m IN ('where', ' WHERE ')" if not fast else "m IN (1, 2)")
    sa.Table(
        "item", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer),
        sa.Column("m", sa.Integer if fast else sa.String(20)),
        sa.Index("ix_n", "n", postgresql_tablespace=space, postgresql_where=sa.text("n > 0")),
        sa.Index("ix_m", "m", postgresql_tablespace="Fast disk", postgresql_where=where),
        postgresql_tablespace=space,
    )  # fmt: skip
    sa.Table(
        "made" if fast else "gone", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("n", sa.Integer, index=True), postgresql_tablespace="Fast disk", postgresql_with={"fillfactor": "80"},
    )  # fmt: skip
    return metadata


def test_what_lies_in_a_tablespace(scratch: ScratchServer, tmp_path: Path) -> None:
    """Indexes move while everybody works on, tables come and go with theirs; of a table that would move, that is said."""
    before, wanted = models(fast=False), models(fast=True)
    scratch.ensure(Shared(TABLESPACE, "Fast disk"))
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        shop.run("INSERT INTO item (n, m) VALUES (1, '1'), (2, NULL)")
        head, was = shop.head(), seen(database)
        written = shop.revise(wanted, rename="none")
        assert 'op.f("ix_n_new"), "item", ["n"], postgresql_tablespace="Fast disk"' in " ".join(
            shop.written().split()
        ).replace("( ", "(")
        shop.upgrade(wanted)
        spaces = shop.ask(
            "SELECT relname::text FROM pg_class WHERE reltablespace <> 0 AND relname !~ '^(pg_|versions)' ORDER BY 1"
        )
        assert [one for (one,) in spaces] == ["ix_m", "ix_n", "made"]
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []
        assert len(written) > 1
