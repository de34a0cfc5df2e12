"""What leans on a column that changes goes over as it is, both ways; what cannot is named, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airlock.drivers import client
from airlock.scratch.servers import ScratchDatabase, ScratchServer
from tests.airlock.revision.harness import Shop, created, differing, seen
from tests.airlock.revision.walk import start

VIEWS = (
    "CREATE VIEW big WITH (security_barrier='true') AS SELECT id, n FROM item WHERE n > 5",
    "COMMENT ON VIEW big IS 'a view'",
    "COMMENT ON COLUMN big.n IS 'it''s 100% n'",
    "ALTER VIEW big ALTER COLUMN n SET DEFAULT 7",
    "GRANT SELECT (n), UPDATE (id) ON big TO PUBLIC",
    "CREATE VIEW counted AS SELECT n, count(*) AS many FROM big GROUP BY n",
    "CREATE MATERIALIZED VIEW kept WITH (fillfactor='70') AS SELECT n, id FROM item",
    'CREATE UNIQUE INDEX "Kept On n" ON kept (n)',
    """COMMENT ON INDEX "Kept On n" IS 'i'""",
    "GRANT SELECT ON kept TO pg_monitor WITH GRANT OPTION",
    "CREATE MATERIALIZED VIEW empty AS SELECT n FROM big WITH NO DATA",
    "CREATE VIEW behind AS SELECT * FROM kept",
    "CREATE FUNCTION total() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT sum(n) FROM item; END",
)
WITH_THE_TABLE = (
    "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER tells AFTER UPDATE OF n, name ON item FOR EACH ROW WHEN (NEW.n > 5) EXECUTE FUNCTION told()",
    "ALTER TABLE item DISABLE TRIGGER tells",
    "COMMENT ON TRIGGER tells ON item IS 't'",
    "ALTER TABLE item ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY few ON item AS RESTRICTIVE FOR SELECT TO PUBLIC USING (n > 0 AND name <> 'x:y')",
    "COMMENT ON POLICY few ON item IS 'p'",
    "CREATE STATISTICS pairs ON id, n, name FROM item",
    "ALTER STATISTICS pairs SET STATISTICS 50",
    "COMMENT ON STATISTICS pairs IS 's'",
    "CREATE PUBLICATION told FOR TABLE item (id, n, name) WHERE (n > 3)",
    "ALTER TABLE item REPLICA IDENTITY USING INDEX item_n_key",
    "ALTER TABLE item CLUSTER ON item_n_key",
)


def item(
    number: type[sa.Integer] = sa.Integer,
    length: int = 20,
    *more: sa.Column[Any],
    keyed: tuple[str, ...] = ("n",),
) -> sa.MetaData:
    metadata = sa.MetaData()
    sa.Table(
        "item", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(length)),
        sa.Column("n", number, nullable=False), *more,
        *([sa.UniqueConstraint(*keyed, name="item_n_key")] if keyed else []),
    )  # fmt: skip
    return metadata


def run(database: ScratchDatabase, statements: tuple[str, ...]) -> None:
    with client.connect_by_url(database.url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        connection.commit()


@pytest.mark.proof
@pytest.mark.parametrize(
    ("wanted", "statements"),
    [
        (item(sa.BigInteger), VIEWS + WITH_THE_TABLE),
        (item(length=30), (*WITH_THE_TABLE, "CREATE VIEW v AS SELECT name FROM item", "GRANT SELECT ON v TO PUBLIC",
                           "CREATE VIEW w AS SELECT name FROM v")),
        (item(length=30), ("CREATE MATERIALIZED VIEW m AS SELECT name FROM item",)),
        (item(keyed=("n", "id")), WITH_THE_TABLE),
    ],
    ids=["the long way", "in place", "in place but for what is filled", "another key"],
)  # fmt: skip
def test_what_leans_on_a_column_goes_over(
    scratch: ScratchServer, tmp_path: Path, wanted: sa.MetaData, statements: tuple[str, ...]
) -> None:
    """The catalogue is the one that the new models and the same statements make alone; and back, the one before."""
    with scratch.database() as database, scratch.database() as alone:
        created(wanted, alone)
        run(alone, statements)
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(item())
        shop.upgrade(item())
        run(database, (*statements, "INSERT INTO item (n, name) SELECT n, 'a' FROM generate_series(1, 9) n"))
        head, before = shop.head(), seen(database)
        shop.revise(wanted)
        assert "FILL IN" not in shop.written()
        shop.upgrade(wanted)
        assert differing(seen(alone), seen(database)) == []
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(before, seen(database)) == []


def generated(*, stored: bool) -> sa.Column[int]:
    # On another type PostgreSQL spells it otherwise: mod(n, (1)::bigint).
    return sa.Column("g", sa.Integer, sa.Computed("n + 1 + mod(n, 1)", persisted=stored), comment="one more")


@pytest.mark.proof
def test_a_virtual_column_goes_over(scratch: ScratchServer, tmp_path: Path) -> None:
    """It reads the twin from then on; nothing is rewritten."""
    before, wanted = (
        item(sa.Integer, 20, generated(stored=False)),
        item(sa.BigInteger, 20, generated(stored=False)),
    )
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head, was = shop.head(), seen(database)
        shop.run("INSERT INTO item (n) VALUES (5)")
        shop.revise(wanted)
        assert "persisted=False" in shop.written()
        shop.upgrade(wanted)
        shop.run("UPDATE item SET n = 6")
        assert shop.ask("SELECT g FROM item") == [(7,)]
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []


@pytest.mark.proof
def test_a_generated_column_comes_behind_the_other_type_of_what_it_reads(
    scratch: ScratchServer, tmp_path: Path
) -> None:
    """PostgreSQL changes no type of a column that one reads; the way back drops it first."""
    both: list[sa.Column[Any]] = [
        sa.Column(f"g{kept}", sa.Text, sa.Computed("upper(name)", persisted=kept)) for kept in (True, False)
    ]
    before, wanted = item(), item(sa.Integer, 30, *both)
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        head, was = shop.head(), seen(database)
        shop.revise(wanted)
        shop.upgrade(wanted)
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("stored", "statement", "said"),
    [
        (True, "", "generated column g leans on the column: drop it first"),
        (None, "CREATE RULE r AS ON UPDATE TO item WHERE NEW.n > 3 DO INSTEAD NOTHING", "rule r of item leans on the column"),
        (None, "CREATE TABLE part (more int) INHERITS (item)", "table part inherits the column, where no trigger of public.item"),
        (None, "CREATE VIEW v AS SELECT n FROM item; CREATE FUNCTION f() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v'",
         "function f() leans on the column"),
        (None, "CREATE VIEW v AS SELECT '[1,2]'::int4range @> n AS is_in FROM item",
         "view v cannot be made again on the new type ("),
        (False, "CREATE VIEW v AS SELECT g FROM item",
         "virtual column g cannot be made again on the new type (cannot drop column g"),
    ],
    ids=["stored", "rule", "inheritance", "function of a view", "view that does not fit", "view of a virtual column"],
)  # fmt: skip
def test_what_does_not_go_over_is_named(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, stored: bool | None, statement: str,
    said: str,
) -> None:  # fmt: skip
    """Nothing is written, and the sentence says exactly what stands in the way."""
    before, wanted = (
        item(kind, 20, *([generated(stored=stored)] if stored is not None else []))
        for kind in (sa.Integer, sa.BigInteger)
    )
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        if statement:
            shop.run(statement)
        assert shop.revise(wanted) == []
        assert "public.item.n: integer -> bigint rewrites the table, and " in caplog.text
        assert said in caplog.text


@pytest.mark.proof
def test_a_dropped_column_takes_its_statistics_along_and_nothing_else(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A view, or the replica identity, holds it: that is said. Statistics and a generated column go and come back with it."""
    before, wanted = item(sa.Integer, 20, generated(stored=True)), item()
    wanted.tables["item"]._columns.remove(wanted.tables["item"].c.n)
    wanted.tables["item"].constraints = {
        one for one in wanted.tables["item"].constraints if not isinstance(one, sa.UniqueConstraint)
    }
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.revise(before)
        shop.upgrade(before)
        run(
            database,
            (
                *WITH_THE_TABLE[7:10],
                *WITH_THE_TABLE[11:],
                "CREATE VIEW v AS SELECT n FROM item",
                "CREATE VIEW w AS TABLE v",
            ),
        )
        assert shop.revise(item(sa.Integer, 20, generated(stored=True), keyed=())) == []
        assert (
            "item_n_key of public.item: it is the replica identity of public.item, and the models"
            in caplog.text
        )
        there = set((tmp_path / "p" / "alembic" / "versions").glob("*.py"))
        shop.revise(wanted)
        assert (
            "replica identity item_n_key, view v, view w lean on it: change or drop that first, then the column"
            in caplog.text
        )
        for path in set((tmp_path / "p" / "alembic" / "versions").glob("*.py")) - there:
            path.unlink()
        shop.run("DROP VIEW v CASCADE; ALTER TABLE item REPLICA IDENTITY DEFAULT")
        head, was = shop.head(), seen(database)
        shop.revise(wanted)
        shop.upgrade(wanted)
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(was, seen(database)) == []
