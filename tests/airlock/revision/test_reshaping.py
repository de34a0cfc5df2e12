"""Columns that are split and merged: beside each other, in step, filled as a person says, then the old ones go."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.util.exc import CommandError

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, start


def people(*columns: sa.Column[str]) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table(
        "person",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *columns,
        sa.Column("age", sa.Integer),
    )
    return metadata


def whole() -> sa.MetaData:
    return people(sa.Column("name", sa.String(60), nullable=False, index=True))


def parts() -> sa.MetaData:
    return people(sa.Column("First", sa.String(30), nullable=False), sa.Column("last", sa.String(30)))


@pytest.mark.proof
@pytest.mark.parametrize("way", ["split", "merge"])
def test_columns_take_the_place_of_others(scratch: ScratchServer, tmp_path: Path, way: str) -> None:
    """Code of either side works until the old columns go; what becomes what is left open; after it is said, all is proved."""
    before, after = (whole(), parts()) if way == "split" else (parts(), whole())
    said = "person.name=First,last" if way == "split" else "public.person.First,last=name"
    codes = [
        "INSERT INTO person (name) VALUES ('Ada Lovelace')",
        """INSERT INTO person ("First", last) VALUES ('Ada', 'Lovelace')""",
    ]
    old, new = codes if way == "split" else codes[::-1]
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "project"), database)
        shop.revise(before)
        shop.upgrade(before)
        base, was = shop.head(), shop.fingerprint()
        shop.run(old)
        with pytest.raises(CommandError, match=r"does not go from the database, or does not come"):
            shop.revise(after, **{way: "person.age=First,last"})
        written = shop.revise(after, **{way: said})
        texts = [shop.text(one) for one in written]
        assert sorted(text.count("FILL IN") for text in texts)[-3:] == [1, 1, 2]
        assert texts[-1].count("FILL IN") == 2
        # What a person would say is what stands there: the lines are settled, and the rest is proved.
        for path in (tmp_path / "project" / "alembic" / "versions").glob("*.py"):
            path.write_text(path.read_text().replace("FILL IN: ", ""))
        for one in written[:-1]:
            shop.upgrade(after, one)
            shop.run(old)
            shop.run(new)
        shop.upgrade(after)
        shop.run(new)
        assert shop.revise(after) == []
        listed = (
            'SELECT DISTINCT "First", last FROM person'
            if way == "split"
            else "SELECT DISTINCT name FROM person"
        )
        assert shop.ask(listed) == [("Ada", "Lovelace") if way == "split" else ("Ada Lovelace",)]
        shop.downgrade(after, base)
        assert shop.fingerprint() == was
        shop.run(old)
        listed = (
            "SELECT DISTINCT name FROM person"
            if way == "split"
            else 'SELECT DISTINCT "First", last FROM person'
        )
        assert shop.ask(listed) == [("Ada Lovelace",) if way == "split" else ("Ada", "Lovelace")]
        proofs = shop.drill(f"{base}:{written[-1]}", scratch)
        left = [(one.title, one.reason, one.differences) for one in proofs if one.verdict != "proved"]
        assert left == []
        with scratch.database() as empty:
            traced = Shop(shop.directory, empty)
            assert traced.dangerous(traced.trace(f"{base}:{written[-1]}")) == []
