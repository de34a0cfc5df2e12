"""What a structure is made of: tables and what belongs to them, sequences, enums; all as text, no oids."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.catalogue.structure.names import in_tablespace, listed, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

# The words of ALTER TABLE before an index that the table tells its rows by, or is ordered by.
IDENTITY, CLUSTER = "REPLICA IDENTITY USING INDEX", "CLUSTER ON"


@dataclasses.dataclass(frozen=True)
class Sequence:
    """A sequence's parameters, and the column that owns it (`identity`: inside the column)."""

    name: str
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cache: int
    cycle: bool
    comment: str | None = None
    privileges: tuple[str, ...] = ()

    def options(self) -> str:
        """Spell every parameter."""
        cycle = "CYCLE" if self.cycle else "NO CYCLE"
        return (
            f"START WITH {self.start} INCREMENT BY {self.increment} MINVALUE {self.minimum}"
            f" MAXVALUE {self.maximum} CACHE {self.cache} {cycle}"
        )

    def usual(self) -> bool:
        """Tell whether every parameter is what PostgreSQL takes by itself."""
        largest = {"smallint": 32767, "integer": 2147483647}.get(self.type, 9223372036854775807)
        return (self.start, self.increment, self.minimum, self.maximum, self.cache, self.cycle) == (
            1, 1, 1, largest, 1, False,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Column:
    """One column. `generated` is "", "s" (stored) or "v" (virtual); `identity` "", "a" or "d"."""

    name: str
    type: str
    collation: str | None
    not_null: bool
    default: str | None
    identity: str
    generated: str
    comment: str | None
    privileges: tuple[str, ...]
    sequence: Sequence | None = None
    not_null_name: str | None = None
    # PostgreSQL 18: rows from before may hold NULL.
    not_null_valid: bool = True
    # A table above has it too.
    inherited: bool = False

    @property
    def spelt_type(self) -> str:
        """Spell the type, with a collation that is not the type's own."""
        return f"{self.type} COLLATE {self.collation}" if self.collation else self.type

    @property
    def serial(self) -> str | None:
        """Name the pseudo-type that makes this column and its sequence at once, if there is one."""
        if self.identity or self.sequence is None or not (self.default or "").startswith("nextval("):
            return None
        if not self.sequence.usual() or not self.not_null or self.sequence.type != self.type:
            return None
        return {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}.get(self.type)


@dataclasses.dataclass(frozen=True)
class Constraint:
    """One constraint; `kind` is p, u, f, c or x. `index` is the definition of the index below it."""

    name: str
    kind: str
    definition: str
    columns: tuple[str, ...]
    valid: bool
    comment: str | None
    index: str | None = None
    references: str | None = None
    source: str | None = None
    referred: tuple[str, ...] = ()
    # What no two rows may have, each with its operator, and of which rows: of an exclusion, or WITHOUT OVERLAPS.
    excludes: tuple[tuple[str, str], ...] = ()
    predicate: str | None = None

    @property
    def bare(self) -> str:
        """Give the definition without NOT VALID."""
        return self.definition.removesuffix(" NOT VALID")

    @property
    def text(self) -> str:
        """Spell the definition for ADD CONSTRAINT, so that PostgreSQL keeps what it keeps now."""
        return self.source or listed(self.bare)


@dataclasses.dataclass(frozen=True)
class Index:
    """One index that stands for itself. `definition` says nothing of its tablespace, None for the database's own."""

    name: str
    definition: str
    columns: tuple[str, ...]
    unique: bool
    valid: bool
    comment: str | None
    source: str | None = None
    tablespace: str | None = None

    @property
    def text(self) -> str:
        """Spell CREATE INDEX, so that PostgreSQL keeps what it keeps now."""
        return self.source or listed(in_tablespace(self.definition, self.tablespace))

    @property
    def body(self) -> str:
        """Give the definition from its table on: what makes it this index whatever its name."""
        return self.definition.partition(" ON ")[2]


@dataclasses.dataclass(frozen=True)
class Table:
    """One table. `extras` are the statements that restore what models do not know (triggers, grants, policies)."""

    schema: str
    name: str
    sql: str
    comment: str | None
    persistence: str
    options: tuple[str, ...]
    partition_key: str | None
    columns: Mapping[str, Column]
    constraints: Mapping[str, Constraint]
    indexes: Mapping[str, Index]
    extras: tuple[str, ...]
    home: str = "public"
    # Schema and name of each table that inherits from this one, without partitions.
    heirs: tuple[tuple[str, str], ...] = ()
    partitions: tuple[tuple[str, str], ...] = ()
    # None for the database's own.
    tablespace: str | None = None
    # The tables that it inherits from, as SQL spells them.
    parents: tuple[str, ...] = ()
    # Indexes that it tells its rows by, or is ordered by: the name, and which of the two.
    marks: tuple[tuple[str, str], ...] = ()
    # PostgreSQL before 18 has no NOT VALID for the foreign keys of a partitioned table.
    validates_at_once: bool = False

    def marked(self, index: str, name: str) -> list[str]:
        """Spell that an index has from now on what the one called `index` has."""
        return [f"ALTER TABLE {self.sql} {how} {quoted(name)}" for one, how in self.marks if one == index]

    def tells_by(self, index: str) -> bool:
        """Tell whether the table's replica identity is that index."""
        return (index, IDENTITY) in self.marks

    @property
    def label(self) -> str:
        """Name the table for people, and as differences name it: with its schema, quoted where that is needed."""
        return f"{plain(self.schema or self.home)}.{plain(self.name)}"

    @property
    def found_as(self) -> str:
        """Name the table as a trace's findings name it: with its schema, never quoted."""
        return f"{self.schema or self.home}.{self.name}"

    def label_of(self, column: str) -> str:
        """Name a column for people, and as differences name it."""
        return f"{self.label}.{plain(column)}"

    def labels_of(self, column: str) -> list[str]:
        """Name a column, and those of the same name in tables that inherit it."""
        heirs = [f"{plain(schema)}.{plain(name)}.{plain(column)}" for schema, name in self.heirs]
        return [self.label_of(column), *heirs]

    @property
    def key(self) -> Constraint | None:
        """Return the primary key."""
        return next((one for one in self.constraints.values() if one.kind == "p"), None)


@dataclasses.dataclass(frozen=True)
class Domain:
    """One domain: `base` from AS on, with its collation; CHECKs by name, NOT VALID where they are."""

    base: str
    default: str | None
    not_null: bool
    checks: Mapping[str, str]

    @property
    def text(self) -> str:
        """Spell what stands behind the name in CREATE DOMAIN."""
        return self.bare + "".join(
            f" CONSTRAINT {quoted(name)} {text.removesuffix(' NOT VALID')}"
            for name, text in self.checks.items()
        )

    @property
    def bare(self) -> str:
        """Spell the same without the CHECKs."""
        default = f" DEFAULT {self.default}" if self.default is not None else ""
        return f"{self.base}{default}{' NOT NULL' if self.not_null else ''}"


@dataclasses.dataclass(frozen=True)
class Structure:
    """Tables by (schema, name); free sequences, enums and domains by name; names as the caller wants them spelt.

    Domains that others are made of come first.
    """

    tables: Mapping[tuple[str, str], Table]
    sequences: Mapping[str, Sequence]
    enums: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, Domain] = dataclasses.field(default_factory=dict)
