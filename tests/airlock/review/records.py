"""One review made by hand, with everything a review can hold, for tests of its faces."""

from __future__ import annotations

from airlock.records.diagram import Column, Diagram, Edge, Entity
from airlock.records.difference import Difference
from airlock.records.findings import Draft, Finding, Safer
from airlock.records.locks import LockMode
from airlock.records.review import (
    COLUMN_DROPPED,
    Danger,
    Loss,
    Review,
    ReviewedRevision,
    Script,
    Second,
    TableSize,
)
from airlock.records.trace import Lock, Read, StatementRecord, TracedRevision, Unfilled
from airlock.reports.bundle import files

FILE = "alembic/versions/0002_widen.py"
HELD = Lock("shop.order", LockMode.ACCESS_EXCLUSIVE)


def contents(review: Review, *, version: str = "1", prefix: str = "") -> dict[str, str]:
    """Put the pieces of each file together."""
    return {name: "".join(pieces) for name, pieces in files(review, version=version, prefix=prefix)}


def statement(sql: str, line: int, *, ms: float, **seen: object) -> StatementRecord:
    """Make a record of a statement of the one file."""
    return StatementRecord(sql=sql, file=FILE, line=line, ms=ms, rows=0, transactional=True, **seen)  # type: ignore[arg-type]


ADD = statement(
    'ALTER TABLE shop."order" ADD COLUMN note text', 20, ms=0.5, locks=(HELD,), blocks="reads and writes"
)
WIDEN = statement(
    'ALTER TABLE shop."order" ALTER COLUMN amount TYPE bigint', 21, ms=8.0, held=(HELD,),
    rewrites=("shop.order",), scans=("shop.order",), reads=(Read("shop.order", 4000, 2000),),
    blocks="reads and writes", dangerous=True,
)  # fmt: skip
INDEX = statement(
    "CREATE INDEX ix ON shop.line (no) -- <b>|</b> `tick`", 22, ms=1.5,
    locks=(Lock("shop.line", LockMode.SHARE),), held=(HELD,), scans=("shop.line",),
    reads=(Read("shop.line", 2000, 2000),), blocks="reads and writes", dangerous=True,
)  # fmt: skip
UP = TracedRevision(
    "0002", "Widen order.amount.", "up", True, True, (ADD, WIDEN, INDEX), path=FILE, ms=11.0,
    accepted={"scan shop.line": "lines are few", "stale-plan": "sessions are short"},
    findings=(
        Finding(
            "breaks", "shop.order", "the release below fails: SELECT old FROM shop.order: column \"old\" does not exist",
            "SELECT old FROM shop.order", 'column "old" does not exist', FILE, 21,
        ),
        Finding("stale-plan", "shop.order", "a session that prepared it before the step fails: SELECT …: cached plan", file=FILE),
    ),
)  # fmt: skip
DOWN = TracedRevision(
    "0002", "Widen order.amount.", "down", True, False, (), path=FILE, irreversible="the old amounts are gone"
)
DANGERS = (
    Danger(
        "0002", "Widen order.amount.", "up", WIDEN, WIDEN.findings, (),
        sizes=(TableSize("shop.order", 48_210_113, 9_770_000_000),), expected_ms=192_840.0,
        instead=(
            Safer(
                "shop.order",
                (
                    Draft(
                        "Expand: add shop.order.amount_new beside amount", ('ALTER TABLE shop."order" ADD amount_new bigint',),
                        "op.execute('ALTER TABLE shop.\"order\" ADD amount_new bigint')", "pass",
                    ),
                    Draft(
                        "Expand: index shop.ix_new", ('CREATE INDEX CONCURRENTLY ix_new ON shop."order" (amount_new)',),
                        "with op.get_context().autocommit_block():\n    ...", "pass", frozenset({0}),
                    ),
                ),
                ("shop.order: look at its triggers",),
            ),
        ),
    ),
    Danger("0002", "Widen order.amount.", "up", INDEX, INDEX.findings, (("scan shop.line", "lines are few"),)),
)  # fmt: skip
DIAGRAM = Diagram(
    (
        Entity(
            "shop.line",
            (Column("order_id", "bigint", False, "PK FK"), Column("no", "integer", False, "PK FK")),
        ),
        Entity(
            "shop.order",
            (
                Column("id", "bigint", False, "PK"),
                Column("no", "integer", False),
                Column("amount", "bigint", True, mark="changed"),
                Column("note", "text", True, mark="new"),
            ),
            "changed",
        ),
    ),
    (Edge("fk", "shop.line", ("order_id", "no"), "shop.order", ("id", "no"), "CASCADE", False, True, "new"),),
)
REVIEW = Review(
    server_version="18.4",
    rows=2000,
    target="shop on db.example.org",
    revisions=(
        ReviewedRevision(
            "0002", "Widen order.amount.", FILE,
            why="amounts outgrow int.", locks="ACCESS EXCLUSIVE on shop.order.", undo="refused.",
            up=UP, down=DOWN,
            scripts=(Script("0002.up.sql", "-- 0002\nBEGIN;\nSELECT 1;\nCOMMIT;\n", "depends on rows: this is one path"),),
            seconds_up=(
                Second(0, "adding-field-with-default", "Might rewrite the table.", True),
                Second(1, "changing-column-type", "Rewrites the table.", True),
                Second(1, "ban-drop-column", "May break clients.", False),
            ),
            losses=(Loss("shop.order.note", COLUMN_DROPPED, 1234),),
            kept=(("shop.order.amount", "NULL meant 0"),),
        ),
    ),
    dangers=DANGERS,
    differences=(
        Difference("index shop.ix", "index", None, "CREATE INDEX ix ON shop.line USING btree (no)"),
        Difference("shop.order.amount", "column type", "integer", "bigint"),
        Difference("shop.order.old", "column", "text", None),
    ),
    diagram=DIAGRAM,
    unfilled=(Unfilled("shop.line", "no value can be made for shape (circle)"),),
    linter="squawk 2.70.0",
)  # fmt: skip
