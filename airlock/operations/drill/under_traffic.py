"""Take a revision down and up again while clients of the older release are at work."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from airlock.operations.drill import failures
from airlock.operations.drill.kept_values import put_back
from airlock.operations.drill.step import StepTaken, take
from airlock.operations.drill.traffic import Traffic
from airlock.operations.older_release.refused import refused_anyway

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from alembic.runtime.migration import MigrationContext

    from airlock.operations.drill.examination import Examination
    from airlock.operations.drill.kept_values import Remembered
    from airlock.records.drill import Broken
    from airlock.samples import Table

# As `airlock upgrade --lock-timeout 100ms` would: clients that stand behind the step stand no longer than this.
_LOCK_MS = 100
_TRY_S = 60.0
_RETRIED = frozenset({"55P03", "40P01"})


def under_traffic(
    one: Examination, older: Mapping[str, Table], remembered: Collection[Remembered] = ()
) -> None:
    """Go down and up under traffic of statements made from `older`; add stalls and broken statements.

    Statements in both directions are the older release's: it is the one that is still running when an upgrade
    comes, and again after the downgrade. What the downgrade keeps is put back before the upgrade. Raises what a step
    raises.
    """
    tables = [table for name, table in sorted(older.items()) if name != one.ledger.version_table]
    broken: list[Broken] = []
    for turn, direction in enumerate(("down", "up")):
        traffic = Traffic(
            one.ledger.url, one.options.traffic, tables, one.ledger.search_path, one.options.blocker,
            2 * one.turn + turn,
        )  # fmt: skip
        with traffic.flowing():
            _take_in_budget(one, direction)
        stall = traffic.stall(direction)
        if stall is not None:
            one.stalls.append(stall)
        broken += traffic.broken(direction)
        if direction == "down":
            anyway = refused_anyway(one.ledger.url, tables, one.ledger.search_path)
            # Else the upgrade would find its work done, and keep nobody waiting.
            put_back(one.ledger, remembered)
    met = {(it.statement, it.error) for it in broken}
    one.broken += [it for it in broken if (it.statement, it.error) not in anyway]
    one.notes += [
        f"no fault of the step, the older schema refuses it too: {name}: {why}"
        for name, why in sorted(anyway)
        if (name, why) in met or name.startswith("select ")
    ]


def _take_in_budget(one: Examination, direction: str) -> StepTaken:
    deadline = time.monotonic() + _TRY_S
    attempt = 0
    while True:
        try:
            return take(one.project, one.facts.revision, direction, around=_set_budget)
        except Exception as error:
            if failures.sqlstate(error) not in _RETRIED or time.monotonic() > deadline:
                raise
            attempt += 1
            time.sleep(random.random() * min(0.1 * 2**attempt, 2.0))  # noqa: S311  jitter


def _set_budget(context: MigrationContext) -> None:
    if context.connection is not None:
        context.connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_MS}ms'")
