"""Cells of the matrix: one table a kind of change, in the key and the place of a project, and rows for it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

KEYS = ("serial", "identity", "uuid", "composite", "text")
PLACES = ("default", "named", "new", "quoted", "long")
ROWS = ("none", "rows", "extreme")
LONG = 63


@dataclasses.dataclass(frozen=True)
class Place:
    """How a project names things, and in which schema they lie."""

    name: str

    @property
    def schema(self) -> str | None:
        long = "regal_" + "ö" * 28 + "x"
        return {"default": None, "named": "depot", "new": "annexe", "quoted": "Mein Laden", "long": long}[
            self.name
        ]

    def __call__(self, name: str) -> str:
        """Name a table, column, constraint, type or index as this place does."""
        if self.name == "quoted":
            return f"The {name.replace('_', ' ').title()}"
        if self.name == "long":
            filled = name + "_" + "ä" * ((LONG - 1 - len(name)) // 2)
            return filled + "x" * (LONG - len(filled.encode()))
        return name


@dataclasses.dataclass
class Side:
    """The models on one side of the change."""

    key: str
    place: Place
    metadata: sa.MetaData

    def n(self, name: str) -> str:
        return self.place(name)

    def keys(self, *, wide: bool = False, other: bool = False) -> list[sa.Column[Any]]:
        """Make the key's columns; `wide`: of the wider type; `other`: numbered or made otherwise."""
        name, number = self.n("id"), sa.BigInteger() if wide else sa.Integer()
        if self.key == "serial":
            extra = [sa.Identity()] if other else []
            return [sa.Column(name, number, *extra, primary_key=True)]
        if self.key == "identity":
            extra = [] if other else [sa.Identity(always=False)]
            return [sa.Column(name, number, *extra, primary_key=True)]
        if self.key == "uuid":
            default = "md5(random()::text)::uuid" if other else "gen_random_uuid()"
            kind: Any = sa.Uuid()
            if wide:
                kind, default = sa.Text(), "gen_random_uuid()::text"
            return [sa.Column(name, kind, primary_key=True, server_default=sa.text(default))]
        if self.key == "text":
            return [
                sa.Column(
                    name, sa.String(80 if wide else 40, collation="C" if other else None), primary_key=True
                )
            ]
        first = sa.Column(name, number, primary_key=True, autoincrement=False)
        second = sa.Column(self.n("part"), sa.String(30 if other else 20), primary_key=True)
        return [first, second]

    def table(
        self, kind: str, *more: Any, keys: list[sa.Column[Any]] | None = None, **options: Any
    ) -> sa.Table:
        """Make a kind's table: its key, a label, and what the kind is about."""
        return sa.Table(
            self.n(kind), self.metadata, *(self.keys() if keys is None else keys),
            sa.Column(self.n("label"), sa.String(50), nullable=False), *more, schema=self.place.schema, **options,
        )  # fmt: skip

    def child(self, parent: sa.Table, suffix: str, *, wide: bool = False, link: bool = True) -> sa.Table:
        """Make a table that refers to another one's key."""
        name = self.n(f"{suffix}_child")
        key = list(parent.primary_key.columns)
        columns = [sa.Column(self.n(f"of_{place}"), one.type, nullable=True) for place, one in enumerate(key)]
        link_ = [
            sa.ForeignKeyConstraint(columns, key, name=self.n(f"fk_{suffix}"), ondelete="CASCADE"),
        ] if link else []  # fmt: skip
        return sa.Table(
            name, self.metadata, sa.Column(self.n("id"), sa.BigInteger, sa.Identity(), primary_key=True), *columns,
            *link_, sa.Index(self.n(f"ix_{suffix}"), *columns), schema=self.place.schema,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of change. `lossy`: a downgrade cannot keep rows that only the new form takes, so they go first."""

    name: str
    before: Callable[[Side], Any]
    after: Callable[[Side], Any]
    keys: tuple[str, ...] = KEYS
    lossy: bool = False
    lost: tuple[str, ...] = ()
    always: bool = False
    renames: tuple[str, ...] = ()
    together: bool = True


KINDS: dict[str, Kind] = {}


def kind(name: str, before: Callable[[Side], Any], after: Callable[[Side], Any], **more: Any) -> None:
    """Register a kind of change."""
    KINDS[name] = Kind(name, before, after, **more)


def column(name: str, *before: Any, after: Any = None, **more: Any) -> None:
    """Register a change of the column "value"."""

    def build(arguments: Callable[[Side], Any] | None) -> Callable[[Side], Any]:
        def made(side: Side) -> Any:
            given = arguments(side) if arguments is not None else None
            given = () if given is None else given if isinstance(given, tuple) else (given,)
            return side.table(name, *given)

        return made

    kind(name, build(before[0] if before else None), build(after), **more)


def value(side: Side, *arguments: Any, **options: Any) -> sa.Column[Any]:
    """Make the column that the kind is about."""
    return sa.Column(side.n("value"), *arguments, **options)


column("add_nullable", after=lambda s: value(s, sa.Integer))
column("add_constant", after=lambda s: value(s, sa.String(20), nullable=False, server_default="100% wool"))
# Two, for a row of old code lacks both: neither may be filled without the other.
column(
    "add_required",
    after=lambda s: (
        value(s, sa.Integer, nullable=False), sa.Column(s.n("second"), sa.Text, nullable=False),
    ),
)  # fmt: skip
column(
    "add_volatile",
    after=lambda s: value(s, sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
)
column(
    "add_serial",
    after=lambda s: (
        value(s, sa.Integer, sa.Identity(), nullable=False), sa.UniqueConstraint(s.n("value"), name=s.n("uq_serial")),
    ),
)  # fmt: skip
column(
    "add_unique", after=lambda s: (value(s, sa.Text), sa.UniqueConstraint(s.n("value"), name=s.n("uq_value")))
)
column(
    "drop_required", lambda s: value(s, sa.String(20), nullable=False), after=lambda s: None, lost=("value",)
)
column(
    "drop_default",
    lambda s: value(s, sa.Integer, nullable=False, server_default="7"),
    after=lambda s: None,
    lost=("value",),
)
column(
    "drop_identity",
    lambda s: value(s, sa.Integer, sa.Identity(), nullable=False),
    after=lambda s: None,
    lost=("value",),
)
column(
    "require_default", lambda s: value(s, sa.Integer),
    after=lambda s: value(s, sa.Integer, nullable=False, server_default="7"), lost=("value",),
)  # fmt: skip
column(
    "require",
    lambda s: value(s, sa.String(20)),
    after=lambda s: value(s, sa.String(20), nullable=False),
    lost=("value",),
)
column(
    "release",
    lambda s: value(s, sa.Integer, nullable=False),
    after=lambda s: value(s, sa.Integer),
    lossy=True,
)
column(
    "release_identity",
    lambda s: value(s, sa.Integer, sa.Identity(), nullable=False),
    after=lambda s: value(s, sa.Integer),
    lossy=True,
)
column(
    "default_changed", lambda s: value(s, sa.Integer, nullable=False, server_default="1"),
    after=lambda s: value(s, sa.Integer, nullable=False, server_default="2"), always=True,
)  # fmt: skip
column(
    "to_bigint", lambda s: (value(s, sa.Integer, nullable=False, server_default="5"), sa.Index(s.n("ix_to_bigint"), s.n("value")),
                            sa.CheckConstraint(sa.column(s.n("value")) > -3_000_000_000, name=s.n("ck_to_bigint"))),
    after=lambda s: (value(s, sa.BigInteger, nullable=False, server_default="5"), sa.Index(s.n("ix_to_bigint"), s.n("value")),
                     sa.CheckConstraint(sa.column(s.n("value")) > -3_000_000_000, name=s.n("ck_to_bigint"))), always=True,
)  # fmt: skip
column(
    "two_at_once",
    lambda s: (value(s, sa.Integer, nullable=False), sa.Column(s.n("more"), sa.Integer)),
    after=lambda s: (value(s, sa.BigInteger, nullable=False), sa.Column(s.n("more"), sa.BigInteger),
                     sa.UniqueConstraint(s.n("value"), s.n("label"), name=s.n("uq_two"))), always=True,
)  # fmt: skip
column("wider", lambda s: value(s, sa.String(20)), after=lambda s: value(s, sa.String(30)), always=True)
column("shorter", lambda s: value(s, sa.String(60)), after=lambda s: value(s, sa.String(50)), always=True)
column("to_numeric", lambda s: value(s, sa.Float), after=lambda s: value(s, sa.Numeric), always=True)
column(
    "index",
    lambda s: value(s, sa.Text),
    after=lambda s: (value(s, sa.Text), sa.Index(s.n("ix_index"), s.n("value"))),
    always=True,
)
column(
    "unique", lambda s: value(s, sa.Text),
    after=lambda s: (value(s, sa.Text), sa.UniqueConstraint(s.n("value"), s.n("label"), name=s.n("uq_unique"))), always=True,
)  # fmt: skip
column(
    "check", lambda s: value(s, sa.Integer),
    after=lambda s: (value(s, sa.Integer), sa.CheckConstraint(sa.column(s.n("value")) > -3_000_000_000, name=s.n("ck_check"))),
    always=True,
)  # fmt: skip
column(
    "comment",
    lambda s: value(s, sa.Integer, comment="old"),
    after=lambda s: value(s, sa.Integer, comment="it's 100% :new"),
    always=True,
)
column(
    "virtual",
    lambda s: value(s, sa.Integer),
    after=lambda s: (
        value(s, sa.Integer),
        sa.Column(s.n("twice"), sa.Integer, sa.Computed(sa.column(s.n("value")) + 0, persisted=False)),
    ),
)
kind(
    "table_dropped", lambda s: (s.child(s.table("table_dropped"), "dropped"),), lambda s: None, together=False
)
kind(
    "table_added",
    lambda s: s.table("table_old"),
    lambda s: s.child(s.child(s.table("table_old"), "added"), "twice"),
)
kind(
    "key_made_otherwise", lambda s: s.child(s.table("key_otherwise"), "otherwise"),
    lambda s: s.child(s.table("key_otherwise", keys=s.keys(other=True)), "otherwise"), always=True,
)  # fmt: skip
kind(
    "key_wider", lambda s: s.child(s.table("key_wider"), "wider"),
    lambda s: s.child(s.table("key_wider", keys=s.keys(wide=True)), "wider"), always=True,
)  # fmt: skip
kind(
    "key_wider_alone", lambda s: s.table("key_alone"), lambda s: s.table("key_alone", keys=s.keys(wide=True)), always=True,
)  # fmt: skip
kind(
    "foreign_key", lambda s: s.child(s.table("foreign_key"), "foreign", link=False),
    lambda s: s.child(s.table("foreign_key"), "foreign"), always=True,
)  # fmt: skip


def mood(side: Side, *labels: str, **options: Any) -> pg.ENUM:
    return pg.ENUM(
        *labels,
        name=side.n(options.pop("name", "mood")),
        schema=side.place.schema,
        metadata=side.metadata,
        **options,
    )


column(
    "enum_new",
    after=lambda s: value(
        s, mood(s, "ok", "it's 100%", name="new_mood"), nullable=False, server_default="ok"
    ),
)
column(
    "enum_label", lambda s: value(s, mood(s, "ok", "sad", name="label_mood")),
    after=lambda s: value(s, mood(s, "new", "ok", "so so", "sad", name="label_mood")), lossy=True,
)  # fmt: skip
column(
    "enum_gone",
    lambda s: value(s, mood(s, "ok", "sad", name="gone_mood")),
    after=lambda s: None,
    lost=("value",),
)
column(
    "enum_array", lambda s: value(s, pg.ARRAY(sa.Text)),
    after=lambda s: (
        value(s, pg.ARRAY(sa.Text)), sa.Column(s.n("moods"), pg.ARRAY(mood(s, "ok", "sad", name="array_mood"))),
    ),
)  # fmt: skip


def ordered(side: Side, *labels: str) -> tuple[sa.Column[Any], ...]:
    of = mood(side, *labels, name="order_mood")
    return value(side, of, server_default="ok"), sa.Column(side.n("moods"), pg.ARRAY(of))


column(
    "enum_order", lambda s: ordered(s, "ok", "it's 100%", "sad"),
    after=lambda s: ordered(s, "sad", "ok", "it's 100%"), always=True,
)  # fmt: skip
column(
    "enum_removed", lambda s: value(s, mood(s, "ok", "so", "sad", name="less_mood"), nullable=False, server_default="ok"),
    after=lambda s: value(s, mood(s, "ok", "sad", name="less_mood"), nullable=False, server_default="ok"), lost=("value",),
)  # fmt: skip


def models(key: str, place: str, names: list[str], *, after: bool) -> sa.MetaData:
    """Build the models of one side, with the tables of these kinds."""
    side = Side(key, Place(place), sa.MetaData())
    for name in names:
        (KINDS[name].after if after else KINDS[name].before)(side)
    return side.metadata


def tables_of(key: str, place: str, name: str, *, after: bool) -> dict[str, sa.Table]:
    """Build one kind's tables alone, by name."""
    return {table.name: table for table in models(key, place, [name], after=after).sorted_tables}


def numbered(column_: sa.Column[Any]) -> bool:
    """Tell whether the server gives the number."""
    return column_.identity is not None or column_ is column_.table._autoincrement_column


def row(table: sa.Table, number: int, *, extreme: bool = False, filled: bool = True) -> dict[str, Any]:
    """Make values for what the server does not fill in; `filled`: nullable columns too."""
    values: dict[str, Any] = {}
    for one in table.columns:
        if one.server_default is not None or numbered(one) or one.computed is not None:
            continue
        if one.foreign_keys or (one.nullable and not filled):
            continue
        values[one.name] = _value(one, number, extreme=extreme)
    return values


def _value(one: sa.Column[Any], number: int, *, extreme: bool) -> Any:
    kind_ = one.type
    if isinstance(kind_, pg.ENUM):
        return kind_.enums[number % len(kind_.enums)]
    if isinstance(kind_, sa.ARRAY):
        return [] if extreme else None if isinstance(kind_.item_type, pg.ENUM) else ["a"]
    if isinstance(kind_, sa.Uuid):
        return uuid.UUID(int=number)
    if isinstance(kind_, sa.Integer):
        if one.primary_key:
            return number
        return (2**31 - 1, -(2**31), 0)[number % 3] if extreme else number
    if isinstance(kind_, sa.Float):
        return (1e300, -1e-300, 0.0)[number % 3] if extreme else number / 2
    if isinstance(kind_, sa.Numeric):
        return decimal.Decimal(number)
    if isinstance(kind_, sa.DateTime):
        return dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    longest = getattr(kind_, "length", None) or 50
    text = f"{number}" + ("'\"%s\\\u00e4 \n:x" if extreme else "")
    if extreme and not one.primary_key:
        return text.ljust(min(longest, 50), "\u00fc") if number % 2 else text
    return text
