"""PostgreSQL's eight table lock modes: their names, which conflict, and what each keeps others from doing.

The conflict table is PostgreSQL's own (manual, "Table-Level Locks"); `blocks` puts it into the words that an
operator thinks in, by asking which of everyday's statements have to wait.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Blocks = Literal["reads and writes", "writes", "DDL only", "nothing"]


class LockMode(str, enum.Enum):
    """A lock mode in PostgreSQL's spelling, weakest first."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    # In a text it is its spelling, under every Python: Enum's own would be the member's name.
    __str__ = str.__str__

    def __format__(self, spec: str) -> str:
        """Spell it as a text is spelt."""
        return str.__format__(self, spec)

    @classmethod
    def observed(cls, name: str) -> LockMode:
        """Translate the spelling of `pg_locks.mode` ("AccessExclusiveLock"); raises KeyError on another."""
        return _OBSERVED[name]

    @property
    def strength(self) -> int:
        """Tell the place in PostgreSQL's order of modes, 1 to 8."""
        return _ORDER[self]


_ORDER = {mode: place for place, mode in enumerate(LockMode, start=1)}
_OBSERVED = {"".join(word.capitalize() for word in mode.split()) + "Lock": mode for mode in LockMode}

_WITH_ACCESS_EXCLUSIVE = frozenset({LockMode.ACCESS_EXCLUSIVE})
_WITH_EXCLUSIVE = _WITH_ACCESS_EXCLUSIVE | {LockMode.EXCLUSIVE}
_WITH_SHARE = _WITH_EXCLUSIVE | {LockMode.SHARE, LockMode.SHARE_ROW_EXCLUSIVE}
# Which modes have to wait while one is held on the same object.
_CONFLICTS: dict[LockMode, frozenset[LockMode]] = {
    LockMode.ACCESS_SHARE: _WITH_ACCESS_EXCLUSIVE,
    LockMode.ROW_SHARE: _WITH_EXCLUSIVE,
    LockMode.ROW_EXCLUSIVE: _WITH_SHARE,
    LockMode.SHARE_UPDATE_EXCLUSIVE: _WITH_SHARE | {LockMode.SHARE_UPDATE_EXCLUSIVE},
    # SHARE goes with SHARE: two plain CREATE INDEX on one table run side by side.
    LockMode.SHARE: (_WITH_SHARE - {LockMode.SHARE})
    | {LockMode.ROW_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE},
    LockMode.SHARE_ROW_EXCLUSIVE: _WITH_SHARE | {LockMode.ROW_EXCLUSIVE, LockMode.SHARE_UPDATE_EXCLUSIVE},
    LockMode.EXCLUSIVE: frozenset(LockMode) - {LockMode.ACCESS_SHARE},
    LockMode.ACCESS_EXCLUSIVE: frozenset(LockMode),
}

_WORDS: tuple[Blocks, ...] = ("nothing", "DDL only", "writes", "reads and writes")


def blocks(mode: LockMode) -> Blocks:
    """Say what others cannot do meanwhile: SELECT waits, INSERT/UPDATE/DELETE wait, or only DDL."""
    if LockMode.ACCESS_SHARE in _CONFLICTS[mode]:
        return "reads and writes"
    return "writes" if LockMode.ROW_EXCLUSIVE in _CONFLICTS[mode] else "DDL only"


def most(found: Iterable[Blocks]) -> Blocks:
    """Give the worst of these words; "nothing" where there is none."""
    return max(found, key=_WORDS.index, default="nothing")


def harms(mode: LockMode) -> bool:
    """Tell whether reads or writes wait for this mode."""
    return blocks(mode) in ("reads and writes", "writes")


def covers(mode: LockMode, other: LockMode) -> bool:
    """Tell whether holding `mode` keeps out everybody that `other` would keep out."""
    return _CONFLICTS[other] <= _CONFLICTS[mode]


def strongest(modes: Iterable[LockMode]) -> tuple[LockMode, ...]:
    """Leave out every mode that another one of them covers; strongest first.

    Two can remain: neither SHARE nor SHARE UPDATE EXCLUSIVE covers the other.
    """
    kept: list[LockMode] = []
    for mode in sorted(set(modes), key=lambda mode: mode.strength, reverse=True):
        if not any(covers(stronger, mode) for stronger in kept):
            kept.append(mode)
    return tuple(kept)
