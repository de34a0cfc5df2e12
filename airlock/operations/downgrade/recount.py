"""What was found and accepted, and the second count that holds each step to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.drivers import raw
from airlock.drivers.spelling import quoted
from airlock.operations.downgrade.beyond import held, named
from airlock.records.errors import NotExamined, Refused

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from airlock.operations.downgrade.beyond import Held, type_place
    from airlock.operations.downgrade.items import Item
    from airlock.records.upgrade import Loss


@dataclass
class Counted:
    """What was found; `recount` and `settle` hold the steps to it.

    `foreseen` is everything that may go, by revision, also what could not be counted. `heads` are the version rows
    that it was counted at, None where the same run goes on from them.
    """

    items: tuple[Item, ...] = ()
    losses: tuple[Loss, ...] = ()
    unknown: tuple[str, ...] = ()
    allowed: int = 0
    unknown_allowed: bool = False
    foreseen: frozenset[tuple[str, type_place]] = frozenset()
    lost: dict[str, int] = field(default_factory=dict)
    heads: tuple[str, ...] | None = None
    _held: Held | None = None

    @property
    def rows(self) -> int:
        """Add up what was counted."""
        return sum(loss.rows or 0 for loss in self.losses)

    def recount(self, revision: str, connection: Connection, *, locking: bool) -> None:
        """Lock what the step takes away and count it again.

        Raises Refused where it is more than was accepted, NotExamined where this session's role does not see all
        rows and `--accept-unknown-loss` is not given. Where every statement is a transaction of its own there is
        nothing that could hold a lock: then the count is the last moment at which nothing has happened yet.
        """
        self._recount(revision, connection, locking=locking)
        self._held = None if self.unknown_allowed or not locking else held(connection)

    def settle(self, revision: str, connection: Connection) -> None:
        """Look, before the step is committed, whether it took away what the same step in scratch did not.

        Raises NotExamined, naming it, where `--accept-unknown-loss` is not given.
        """
        if self._held is None:
            return
        gone = [
            named(place)
            for place in self._held.gone(held(connection))
            if (revision, place) not in self.foreseen
        ]
        if gone:
            raise NotExamined(
                f"{revision} took away {', '.join(gone)}, which it does not do in scratch: not counted, and undone.",
                then="--accept-unknown-loss, after a look at it",
            )

    def _recount(self, revision: str, connection: Connection, *, locking: bool) -> None:
        # What an earlier attempt has committed outside a transaction is gone, and not lost a second time.
        mine = [
            item for item in self.items if item.revision == revision and raw.scalar(connection, _there(item))
        ]
        if not mine:
            return
        if locking:
            # The step is about to take this lock anyway; taken late, it would be an upgrade of a weaker one.
            # What the server refuses by itself needs none.
            tables = sorted({quoted(*item.table_at_step) for item in mine if not item.enforced})
            if tables:
                raw.execute(connection, f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        for item in mine:
            # env.py's session may have another role than the one that has counted.
            if not self.unknown_allowed and raw.scalar(connection, _sees_less(item)):
                raise NotExamined(
                    f"{item.object} could not be counted again: row-level security hides rows of it from this session.",
                    then="--accept-unknown-loss, or a role that sees all rows",
                )
        self.lost[revision] = sum(int(raw.scalar(connection, item.count_sql(at_step=True))) for item in mine)
        lost = sum(self.lost.values())
        if lost > self.allowed:
            raise Refused(
                f"{revision} would now lose {lost} rows and values, more than the {self.allowed} that were accepted: "
                "somebody has written in the meantime."
            )


def _there(item: Item) -> str:
    table = f"pg_catalog.to_regclass({_literal(quoted(*item.table_at_step))})"
    if item.column_at_step is None:
        return f"SELECT {table} IS NOT NULL"
    column = f"attname = {_literal(item.column_at_step)} AND NOT attisdropped"
    return f"SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = {table} AND {column})"  # noqa: S608


def _sees_less(item: Item) -> str:
    return f"SELECT pg_catalog.row_security_active({_literal(quoted(*item.table_at_step))}::regclass)"


def _literal(text: str) -> str:
    return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
