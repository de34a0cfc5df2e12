"""Keys that change below foreign keys: those that stay are bound anew, those that go or change come in time."""

from __future__ import annotations

from pathlib import Path

import psycopg2.errors
import pytest
import sqlalchemy as sa

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start


def tables(key: tuple[str, ...], *, child: tuple[str, ...] = (), unique: bool = False) -> sa.MetaData:
    """Build an item with that primary key, and a parcel whose foreign key leads to those columns of it."""
    made = sa.MetaData()
    columns = ["item_order", "line", "no"]
    sa.Table(
        "item", made,
        *(sa.Column(name, sa.Integer, *([sa.Identity()] if key == (name,) else []), nullable=False) for name in columns),
        sa.PrimaryKeyConstraint(*key, name="item_pkey"),
        *([sa.UniqueConstraint("item_order", "line", name="item_place")] if unique else []),
    )  # fmt: skip
    sa.Table(
        "parcel", made, sa.Column("id", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Integer) for name in columns),
        *([sa.ForeignKeyConstraint(child, [f"item.{name}" for name in child], name="parcel_item")] if child else []),
    )  # fmt: skip
    return made


PLACE = ("item_order", "line")
AFTER = {
    "it stays": tables(("no",), child=PLACE, unique=True),
    "it goes": tables((*PLACE, "no")),
    "it grows": tables((*PLACE, "no"), child=(*PLACE, "no")),
}


@pytest.mark.parametrize(
    "what", ["it stays", *(pytest.param(one, marks=pytest.mark.proof) for one in ("it goes", "it grows"))]
)
def test_a_key_changes_below_a_foreign_key(scratch: ScratchServer, tmp_path: Path, what: str) -> None:
    """Upgraded on rows it holds again at once, a second call finds nothing, and all comes back."""
    before, after = tables(PLACE, child=PLACE), AFTER[what]
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head = shop.head()
        shop.run("INSERT INTO item VALUES (1, 1, 1), (1, 2, 2); INSERT INTO parcel VALUES (1, 1, 2, 2)")
        there = seen(database)
        assert shop.revise(after, rename="none")
        shop.upgrade(after)
        assert shop.revise(after, rename="none") == []
        if what != "it goes":
            with pytest.raises(psycopg2.errors.ForeignKeyViolation):
                shop.run("INSERT INTO parcel VALUES (2, 7, 7, 7)")
        shop.downgrade(after, head)
        assert differing(there, seen(database)) == []


@pytest.mark.proof
def test_a_column_leaves_the_key_before_it_may_be_null(scratch: ScratchServer, tmp_path: Path) -> None:
    """Nothing in a primary key may be NULL."""
    before, after = tables((*PLACE, "no")), tables(PLACE)
    after.tables["item"].columns["no"].nullable = True
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head, there = shop.head(), seen(database)
        shop.revise(after, rename="none")
        shop.upgrade(after)
        shop.run("INSERT INTO item VALUES (1, 1, NULL); DELETE FROM item")
        assert shop.revise(after, rename="none") == []
        shop.downgrade(after, head)
        assert differing(there, seen(database)) == []
