"""What the columns of one table need."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
class Swap:
    """A column of another type that takes the place of the one there is."""

    live: Table
    wanted: Table
    before: Column
    after: Column
    names: Names


@dataclasses.dataclass
class Changes:
    """What the columns of one table need; and what that already does to constraints and indexes.

    `settled`: names of constraints and indexes that are dealt with here. `respelt`: live index bodies as they read
    after the change. `swaps`: columns that a twin takes the place of, planned when every table's are known.
    """

    parts: list[Part] = dataclasses.field(default_factory=list)
    remarks: list[Remark] = dataclasses.field(default_factory=list)
    likely: list[Likely] = dataclasses.field(default_factory=list)
    settled: set[str] = dataclasses.field(default_factory=set)
    respelt: dict[str, str] = dataclasses.field(default_factory=dict)
    swaps: list[Swap] = dataclasses.field(default_factory=list)
