"""Take a revision down and up again while clients of the older release are at work."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.operations.drill.outcome import NOTHING, Outcome, failed, noted
from airlock.operations.drill.phases.kept_values import put_back
from airlock.operations.drill.phases.traffic import Traffic
from airlock.operations.drill.step import StepTaken, take
from airlock.operations.older_release.refused import refused_anyway
from airlock.records.errors import NotExamined

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alembic.runtime.migration import MigrationContext

    from airlock.operations.drill.phases.kept_values import Remembered
    from airlock.operations.drill.subject import Subject
    from airlock.records.drill import Broken, Stall
    from airlock.samples import Table

# As `airlock upgrade --lock-timeout 100ms` would: clients that stand behind the step stand no longer than this.
_LOCK_MS = 100
_TRY_S = 60.0
_RETRIED = frozenset({"55P03", "40P01"})


@dataclass(frozen=True)
class UnderTraffic:
    """How long clients stood, and which of their statements broke; `whole` where both steps went through."""

    stalls: tuple[Stall, ...] = ()
    broken: tuple[Broken, ...] = ()
    outcome: Outcome = NOTHING
    whole: bool = True


def go_both_ways(
    subject: Subject, older: Mapping[str, Table], remembered: Collection[Remembered] = ()
) -> UnderTraffic:
    """Go down and up under traffic of statements made from `older`.

    Statements in both directions are the older release's: it is the one that is still running when an upgrade
    comes, and again after the downgrade. What the downgrade keeps is put back before the upgrade. Raises NotExamined
    where the scratch server does not take so many clients.
    """
    ledger, options = subject.ledger, subject.options
    tables = [table for name, table in sorted(older.items()) if name != ledger.version_table]
    stalls: list[Stall] = []
    broken: list[Broken] = []
    anyway: frozenset[tuple[str, str]] = frozenset()
    for turn, direction in enumerate(("down", "up")):
        traffic = Traffic(
            ledger.url, options.traffic, tables, ledger.search_path, options.blocker, 2 * subject.turn + turn
        )
        try:
            with traffic.flowing():
                _take_in_budget(subject, direction)
            if direction == "down":
                anyway = refused_anyway(ledger.url, tables, ledger.search_path)
                # Else the upgrade would find its work done, and keep nobody waiting.
                put_back(ledger, remembered)
        except NotExamined:
            raise
        except Exception as error:  # noqa: BLE001  a revision may raise anything
            why = failed("a step that went through alone fails", error)
            return UnderTraffic(tuple(stalls), (), why, whole=False)
        stall = traffic.stall(direction)
        if stall is not None:
            stalls.append(stall)
        broken += traffic.broken(direction)
    met = {(it.statement, it.error) for it in broken}
    notes = (
        f"no fault of the step, the older schema refuses it too: {name}: {why}"
        for name, why in sorted(anyway)
        if (name, why) in met or name.startswith("select ")
    )
    at_fault = tuple(it for it in broken if (it.statement, it.error) not in anyway)
    return UnderTraffic(tuple(stalls), at_fault, noted(notes))


def _take_in_budget(subject: Subject, direction: str) -> StepTaken:
    deadline = time.monotonic() + _TRY_S
    attempt = 0
    while True:
        try:
            return take(subject.project, subject.facts.revision, direction, around=_set_budget)
        except Exception as error:
            if sqlstate(error) not in _RETRIED or time.monotonic() > deadline:
                raise
            attempt += 1
            time.sleep(random.random() * min(0.1 * 2**attempt, 2.0))  # noqa: S311  jitter


def _set_budget(context: MigrationContext) -> None:
    if context.connection is not None:
        context.connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_MS}ms'")
