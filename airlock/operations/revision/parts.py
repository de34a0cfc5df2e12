"""What a plan is made of: statements, parts that belong together, and the stages that parts run in."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from airlock.operations.revision.model_types import Words

if TYPE_CHECKING:
    from alembic.operations.ops import MigrateOperation

    from airlock.catalogue.structure import Column, Table
    from airlock.records.revision import Likely, Remark


class Stage(enum.IntEnum):
    """When a part runs. Parts of one stage may share a revision; a later stage sees the earlier committed."""

    RENAME = 1
    CLEAR = 5
    EXPAND = 10
    GENERATE = 12
    FIT = 15
    BESIDE = 17
    INDEX = 20
    BACKFILL = 30
    TWIN = 35
    REQUIRE = 40
    REFILL = 45
    VALIDATE = 50
    KEY = 55
    SWAP = 60
    SETTLE = 62
    RETIRE = 65
    DROP = 70
    FILL_TURNED = 71
    REQUIRE_TURNED = 72
    REFILL_TURNED = 73
    VALIDATE_TURNED = 74
    LAST = 75

    @property
    def phase(self) -> str:
        """Name the phase for a title."""
        if self in (Stage.BACKFILL, Stage.REFILL, Stage.FILL_TURNED, Stage.REFILL_TURNED):
            return "backfill"
        if self is Stage.RENAME:
            return "contract"
        return "expand" if self < Stage.BACKFILL else "contract"


@dataclasses.dataclass(frozen=True)
class Sql:
    """One statement. `autocommit`: outside a transaction, and harmless to run twice. `note` says why, above it."""

    text: str
    autocommit: bool = False
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Fill:
    """A value for the rows of a table that have none in a column; `note` where it is a stand-in."""

    table: Table
    column: Column
    value: str
    note: str | None

    @property
    def expression(self) -> str:
        """Spell the value where DEFAULT cannot stand."""
        return self.column.default or "NULL" if self.value == "DEFAULT" else self.value


@dataclasses.dataclass(frozen=True)
class Part:
    """What one change does in one stage, and how that is undone.

    `last` runs after every part's `up` of the same revision: what locks a table against everybody comes after what scans
    it. `loses` is what the upgrade destroys, by object; `accepted` the findings that nothing can be done about, with the
    reason. `types` are the enums that it makes or drops, `relabels` the one whose labels it changes. `fill` is what it fills,
    where that may be done with other columns of the table.
    """

    stage: Stage
    what: str
    up: tuple[Sql, ...]
    down: tuple[Sql, ...]
    last: tuple[Sql, ...] = ()
    own: bool = False
    locks: str = ""
    undo: str = "exact; nothing is lost"
    loses: tuple[tuple[str, str], ...] = ()
    accepted: tuple[tuple[str, str], ...] = ()
    types: tuple[str, ...] = ()
    relabels: str = ""
    fill: Fill | None = None

    @property
    def leaves_transaction(self) -> bool:
        """Tell whether a statement of either direction runs outside a transaction."""
        return any(one.autocommit for one in (*self.up, *self.last, *self.down))


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that leads from the database to the models; `words` are what columns of both sides are said with.

    `others` are operations that other extensions of Alembic have found; `left_out` names what env.py's filters leave out,
    `unmade` what the server does not make of the models.
    """

    parts: tuple[Part, ...] = ()
    remarks: tuple[Remark, ...] = ()
    likely: tuple[Likely, ...] = ()
    words: Words = dataclasses.field(default_factory=Words)
    others: tuple[MigrateOperation, ...] = ()
    left_out: frozenset[str] = frozenset()
    unmade: tuple[str, ...] = ()


def sql(*texts: str) -> tuple[Sql, ...]:
    """Make statements that run inside the revision's transaction."""
    return tuple(Sql(text) for text in texts)


def alone(*texts: str) -> tuple[Sql, ...]:
    """Make statements that commit one by one."""
    return tuple(Sql(text, autocommit=True) for text in texts)
