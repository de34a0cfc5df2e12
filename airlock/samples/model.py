"""What must be known of a table to write rows into it: its columns, keys and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.catalogue.fingerprint.model import plain
from airlock.drivers.spelling import quoted

if TYPE_CHECKING:
    from airlock.samples.builtin_types import Values


@dataclass(frozen=True, slots=True)
class Column:
    """One column that a statement may write; `type` is the domain's base type where it has one.

    `full` is that type with its modifier; `forms` are expressions that its input function was seen to take, for a type
    of which nothing else is known.
    """

    name: str
    number: int
    type: str
    kind: str
    category: str
    is_array: bool
    nullable: bool
    length: int | None
    scale: int | None
    default: str | None
    sequence: str | None
    identity: str
    labels: tuple[str, ...] = ()
    subtype: str | None = None
    domain: str | None = None
    full: str = ""
    forms: tuple[str, ...] = ()
    # Of a text: the column whose type it must be read as.
    fits: Column | None = None
    # Of JSON: "object", "object with KEY", "array" or "array of objects", where nothing else will do.
    shape: str = ""
    # Of an array: its elements' kind, and what their range or domain is over. Of a composite, or an array of them: its parts.
    element: str = ""
    over: str | None = None
    parts: tuple[Column, ...] = ()
    # Values of what it is made of: of an array of a domain the elements, of a range (or an array of them) the bounds, where
    # those are of no type of PostgreSQL's own.
    within: Values | None = None
    # What its domain lets in, where that cannot be asked as a column's CHECK: of a composite's part, say.
    chosen: Values | None = None

    @property
    def handed_out(self) -> bool:
        """Whether a sequence gives its values, as a serial's or an identity's."""
        return bool(self.identity) or self.sequence is not None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns here that must be found together over there."""

    name: str
    columns: tuple[str, ...]
    target: int
    target_columns: tuple[str, ...]
    deferrable: bool
    full: bool


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on a row, as qualified SQL over its columns."""

    name: str
    columns: tuple[str, ...]
    expression: str
    # False where older rows may break it.
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Unique:
    """Columns that are unique together; `expressions` where the index computes something of them."""

    name: str
    columns: tuple[str, ...]
    primary: bool
    deferrable: bool
    expressions: bool
    partial: bool
    exclusion: bool
    not_null: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One table (or the root of a partitioned one) and everything that a new row must satisfy."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    uniques: tuple[Unique, ...] = ()
    bounds: tuple[str, ...] = ()
    partition_check: str | None = None
    has_triggers: bool = False
    has_rules: bool = False
    generated: frozenset[str] = field(default_factory=frozenset)

    @property
    def label(self) -> str:
        """The name for people."""
        return f"{plain(self.schema)}.{plain(self.name)}"

    @property
    def sql(self) -> str:
        """The name for statements."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def rows_sql(self) -> str:
        """The name for statements about its own rows: not those of tables that inherit from it."""
        return self.sql if self.partition_check else f"ONLY {self.sql}"

    @property
    def every_column(self) -> tuple[str, ...]:
        """The names of all columns, the generated ones last."""
        return (*(column.name for column in self.columns), *sorted(self.generated))

    @property
    def alone(self) -> frozenset[str]:
        """The columns that are unique by themselves."""
        return frozenset(
            one.columns[0] for one in self.uniques if len(one.columns) == 1 and not one.expressions
        )

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that tell a row: the primary key, else a unique key without NULLs, else none."""
        return next(iter(self.keys), ())

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """All that tell a row, the best first."""
        plain_keys = [one for one in self.uniques if not (one.expressions or one.partial or one.exclusion)]
        ordered = sorted(plain_keys, key=lambda it: (not it.primary, len(it.columns), it.name))
        return tuple(one.columns for one in ordered if one.primary or one.not_null)

    @property
    def tied(self) -> frozenset[str]:
        """The columns that tell rows, or refer to others: another value there makes another row of it."""
        return frozenset(it for one in (*self.keys, *(it.columns for it in self.foreign_keys)) for it in one)
