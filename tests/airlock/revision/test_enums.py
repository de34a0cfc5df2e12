"""Enums that PostgreSQL cannot change: made again beside, with every column of theirs; or the sentence why not."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.operations.ops import MigrateOperation
from sqlalchemy.dialects import postgresql as pg

from airlock.operations.revision.foreign import spoken_for
from airlock.operations.revision.parts import Part, Stage
from airlock.scratch.servers import ScratchServer
from tests.airlock.revision.harness import Shop, differing, seen
from tests.airlock.revision.walk import start


def cases(*labels: str, more: bool = False) -> sa.MetaData:
    """Two tables, a column, an array, a default, an index and a CHECK of one enum in another schema."""
    metadata = sa.MetaData()
    state = pg.ENUM(*labels, name="State", schema="law", metadata=metadata)
    sa.Table(
        "case", metadata, sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("state", state, nullable=False, comment="how it stands",
                  server_default=sa.text("'new'::law.\"State\"")),
        sa.Column("past", pg.ARRAY(state)), sa.Index("ix_state", "state", postgresql_where=sa.text("state <> 'done'")),
        sa.CheckConstraint("state <> 'done' OR past IS NOT NULL", name="ck_state"), schema="law",
    )  # fmt: skip
    sa.Table("file", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("state", state))
    if more:
        sa.Table("paper", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("state", state))
    return metadata


BEFORE = cases("new", "lost", "done")


def stands(shop: Shop) -> list[tuple[object, ...]]:
    return shop.ask(
        "SELECT id, state::text, past::text FROM law.case UNION ALL SELECT id, state::text, '' FROM file ORDER BY 1, 3"
    )


@pytest.mark.proof
def test_a_label_goes_with_the_columns_that_held_it(scratch: ScratchServer, tmp_path: Path) -> None:
    """Rows get the label that is to be filled in, arrays too; a view reads on; trace and drill find nothing; and back."""
    wanted = cases("done", "new", "held")
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.run("CREATE SCHEMA law")
        shop.revise(BEFORE)
        shop.upgrade(BEFORE)
        shop.run("CREATE VIEW open AS SELECT id, state FROM law.case WHERE state <> 'done'")
        shop.run(
            "INSERT INTO law.case (state, past) VALUES ('lost', '{new,lost}'), ('new', NULL), ('done', '{}')"
        )
        shop.run("INSERT INTO file (state) VALUES ('lost'), (NULL)")
        head, before = shop.head(), seen(database)
        shop.revise(wanted)
        text = shop.written()
        assert text.count("# FILL IN: 'new' for 'lost' is a stand-in.") == 3
        shop.upgrade(wanted)
        assert stands(shop) == [
            (1, "new", ""), (1, "new", "{new,new}"), (2, None, ""), (2, "new", None), (3, "done", "{}"),
        ]  # fmt: skip
        assert shop.ask('SELECT enum_range(NULL::law."State")::text') == [("{done,new,held}",)]
        shop.run("INSERT INTO law.case (state) VALUES ('held')")
        assert shop.revise(wanted) == []
        shop.downgrade(wanted, head)
        assert differing(before, seen(database)) == []
        # A label that the old type does not have becomes its column's default again.
        assert stands(shop)[-1] == (4, "new", None)


@pytest.mark.proof
def test_a_type_that_no_column_is_of_is_made_again_at_once(scratch: ScratchServer, tmp_path: Path) -> None:
    """One revision, no twin."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        sides = []
        for labels in (("a", "b"), ("b",)):
            sides.append(sa.MetaData())
            sa.Table("t", sides[-1], sa.Column("id", sa.Integer, primary_key=True))
            pg.ENUM(*labels, name="kind", metadata=sides[-1])
        shop.revise(sides[0])
        shop.upgrade(sides[0])
        before = seen(database)
        (written,) = shop.revise(sides[1])
        assert "DROP TYPE kind" in shop.text(written)
        shop.upgrade(sides[1])
        assert shop.revise(sides[1]) == []
        shop.downgrade(sides[1], "-1")
        assert differing(before, seen(database)) == []


@pytest.mark.proof
@pytest.mark.parametrize(
    ("wanted", "statement", "said"),
    [
        (cases("new", "done", more=True), "", "public.paper.state of that type comes, goes or changes at once"),
        (cases("new", "done"), "CREATE FUNCTION f(law.\"State\") RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "function f(law.\"State\") holds"),
        (cases("new", "done"), "CREATE DOMAIN d AS law.\"State\"", "type d holds the type"),
        (cases("new", "done"), "CREATE TYPE c AS (s law.\"State\")", "column s of composite type c holds the type"),
        (cases("new", "done"), "CREATE TABLE part () INHERITS (file)", "column state of table part holds the type"),
    ],
    ids=["a new table", "a function", "a domain", "a composite", "inheritance"],
)  # fmt: skip
def test_what_holds_a_type_is_named(
    scratch: ScratchServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, wanted: sa.MetaData, statement: str, said: str
) -> None:  # fmt: skip
    """The values stay, and the sentence says what is in the way."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        shop.run("CREATE SCHEMA law")
        shop.revise(BEFORE)
        shop.upgrade(BEFORE)
        if statement:
            shop.run(statement)
        shop.revise(wanted)
        assert (
            'type law."State": the models have the values new, done, the database new, lost, done, and '
            in caplog.text
        )
        assert said in caplog.text
        assert "ALTER TYPE" not in shop.written()


@pytest.mark.parametrize("wanted", [("c", "a"), ("a", "b", "new", "c")], ids=["two", "one more"])
def test_a_written_enum_is_proved(scratch: ScratchServer, tmp_path: Path, wanted: tuple[str, ...]) -> None:
    """On a small project in the default schema: trace without danger, every downgrade proved."""
    with scratch.database() as database:
        shop = Shop(start(tmp_path / "p"), database)
        sides = []
        for labels in (("a", "b", "c"), wanted):
            sides.append(sa.MetaData())
            sa.Table(
                "t", sides[-1], sa.Column("id", sa.Integer, primary_key=True),
                sa.Column("kind", pg.ENUM(*labels, name="kind"), nullable=False),
            )  # fmt: skip
        (base,) = shop.revise(sides[0])
        shop.upgrade(sides[0])
        shop.revise(sides[1])
        assert shop.dangerous(shop.trace(f"{base}:head")) == []
        proofs = shop.drill(f"{base}:head", scratch)
        assert [one.reason for one in proofs if one.verdict != "proved"] == []


def test_types_are_theirs_and_labels_ours() -> None:
    """A type is made by its operation, labels change by our part, a dropped table takes its type along."""

    def theirs(kind: str, name: str) -> MigrateOperation:
        members = {"__module__": "alembic_postgresql_enum.operations", "name": name}
        made: MigrateOperation = type(kind, (MigrateOperation,), members)()
        return made

    create, sync, drop = (
        theirs("CreateEnumOp", "mood"),
        theirs("SyncEnumValuesOp", "Kind"),
        theirs("DropEnumOp", "old"),
    )
    parts = (
        Part(Stage.EXPAND, "create type mood", (), (), types=("mood",)),
        Part(
            Stage.EXPAND,
            'create type law."Kind_new", which will be law."Kind"',
            (),
            (),
            relabels='law."Kind"',
        ),
        Part(Stage.DROP, "drop public.gone", (), (), types=("old",)),
    )
    assert spoken_for([create, sync, drop], parts) == ([create], parts[1:])
    assert spoken_for([], parts) == ([], parts)
