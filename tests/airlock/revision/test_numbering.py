"""Keys that are numbered: what their numbers come from goes over whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop
from tests.airlock.revision.walk import start


def ticket(*columns: sa.Column[int]) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table("ticket", metadata, *columns, sa.Column("of", sa.Integer))
    return metadata


SERIAL = (sa.Integer, ())
WIDE = (sa.BigInteger, ())
IDENTITY = (sa.Integer, (sa.Identity(),))
ALWAYS = (sa.BigInteger, (sa.Identity(always=True),))
DOWN = (sa.Integer, (sa.Identity(increment=-1, start=-1, minvalue=-1000, maxvalue=-1),))


def made(kind: tuple[type, tuple[sa.Identity, ...]], *, numbered: bool = True) -> sa.MetaData:
    return ticket(
        sa.Column("id", kind[0](), *(one.copy() for one in kind[1]), primary_key=True, autoincrement=numbered)
    )


@pytest.mark.proof
@pytest.mark.parametrize("becomes", [WIDE, IDENTITY, ALWAYS], ids=["bigint", "identity", "bigint always"])
def test_the_last_number_and_the_grants_go_over(
    scratch: ScratchServer, tmp_path: Path, becomes: tuple[type, tuple[sa.Identity, ...]]
) -> None:
    """A gap behind the largest row is kept both ways, and who may use the sequence may use the next one."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(made(SERIAL))
        shop.upgrade(made(SERIAL))
        head = shop.head()
        shop.run("INSERT INTO ticket DEFAULT VALUES; SELECT setval('ticket_id_seq', 41)")
        shop.run("GRANT USAGE ON SEQUENCE ticket_id_seq TO PUBLIC")
        shop.revise(made(becomes), rename="none")
        shop.upgrade(made(becomes))
        shop.run("INSERT INTO ticket DEFAULT VALUES")
        assert shop.ask("SELECT max(id) FROM ticket") == [(42,)]
        granted = "SELECT relname FROM pg_class WHERE relkind = 'S' AND relacl::text LIKE '%,=U/%'"
        assert shop.ask(granted) == [("ticket_id_seq",)]
        assert shop.revise(made(becomes), rename="none") == []
        shop.downgrade(made(becomes), head)
        shop.run("INSERT INTO ticket DEFAULT VALUES")
        assert shop.ask("SELECT max(id) FROM ticket") == [(43,)]
        assert shop.ask(granted) == [("ticket_id_seq",)]


@pytest.mark.proof
@pytest.mark.parametrize(
    ("rows", "kind", "number"),
    [("(7), (-3)", IDENTITY, 8), ("(7), (-3)", DOWN, -4), ("(2147483646)", IDENTITY, 2147483647)],
    ids=["up", "down", "the last of its type"],
)
def test_a_plain_key_is_numbered_behind_its_rows(
    scratch: ScratchServer, tmp_path: Path, rows: str, kind: tuple[type, tuple[sa.Identity, ...]], number: int
) -> None:
    """The sequence goes on behind the largest row, or the smallest where it counts down, within its bounds."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        plain = made(SERIAL, numbered=False)
        shop.revise(plain)
        shop.upgrade(plain)
        head = shop.head()
        shop.run(f"INSERT INTO ticket (id) VALUES {rows}")
        shop.revise(made(kind))
        shop.upgrade(made(kind))
        shop.run("INSERT INTO ticket (of) VALUES (1)")
        assert shop.ask("SELECT id FROM ticket WHERE of = 1") == [(number,)]
        shop.downgrade(made(kind), head)
        shop.run("INSERT INTO ticket (id) VALUES (100)")
