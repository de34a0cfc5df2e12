"""What the columns of one table need."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from airlock.catalogue.structure import quoted
from airlock.operations.revision import ddl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.catalogue.structure import Column, Table
    from airlock.operations.revision.parts import Part
    from airlock.records.revision import Likely, Remark


@dataclasses.dataclass(frozen=True)
class Names:
    """How a column, its twin, the column it was, and what keeps two of them equal are called."""

    column: str
    new: str
    old: str
    function: str
    trigger: str


@dataclasses.dataclass(frozen=True)
class Remade:
    """An enum that loses labels or takes another order: made beside, it takes the name when its columns turn."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    beside: str
    behind: str

    def create(self) -> str:
        """Spell CREATE TYPE for the new one, beside."""
        return ddl.create_enum(self.beside, self.after)

    @property
    def turns(self) -> tuple[str, str]:
        """Let the new one take the name."""
        return self._renamed(self.name, self.behind), self._renamed(self.beside, self.name)

    @property
    def turns_back(self) -> tuple[str, str]:
        """Let the old one have its name again."""
        return self._renamed(self.name, self.beside), self._renamed(self.behind, self.name)

    @staticmethod
    def _renamed(name: str, other: str) -> str:
        return f"ALTER TYPE {name} RENAME TO {quoted(ddl.unqualified(other))}"


@dataclasses.dataclass(frozen=True)
class Swap:
    """A column of another type that takes the place of the one there is.

    `before` and `after` are of the types as they are called while the other one has the name. `forth` and `back`
    say what labels become that the other side's enum does not have.
    """

    live: Table
    wanted: Table
    before: Column
    after: Column
    names: Names
    enums: tuple[Remade, ...] = ()
    forth: Mapping[str, str] = dataclasses.field(default_factory=dict)
    back: Mapping[str, str] = dataclasses.field(default_factory=dict)
    # Which values of the old type are some of the new one, and the other way round: a condition on {}; "": all.
    fits: str = ""
    goes_back: str = ""

    @property
    def becomes(self) -> str:
        """Name what the column becomes."""
        return self.enums[0].name if self.enums else self.after.spelt_type


@dataclasses.dataclass
class Changes:
    """What the columns of one table need; and what that already does to constraints and indexes.

    `settled`: names of constraints and indexes that are dealt with here. `respelt`: live index bodies as they read
    after the change. `swaps`: columns that a twin takes the place of, planned when every table's are known. `stuck`:
    columns whose other type is said and not written. `numbered`: columns that come and are numbered row by row.
    """

    parts: list[Part] = dataclasses.field(default_factory=list)
    remarks: list[Remark] = dataclasses.field(default_factory=list)
    likely: list[Likely] = dataclasses.field(default_factory=list)
    settled: set[str] = dataclasses.field(default_factory=set)
    respelt: dict[str, str] = dataclasses.field(default_factory=dict)
    swaps: list[Swap] = dataclasses.field(default_factory=list)
    stuck: set[str] = dataclasses.field(default_factory=set)
    numbered: set[str] = dataclasses.field(default_factory=set)
