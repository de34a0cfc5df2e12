"""Materialized views that a step refreshes: whether they hold again below what their queries give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.operations.drill import compare
from airlock.operations.drill.outcome import Outcome
from airlock.records.difference import Difference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.operations.drill.subject import Subject

_VIEWS = """SELECT n.nspname || '.' || c.relname, c.oid::regclass::text, rtrim(pg_get_viewdef(c.oid), ';')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' AND c.relispopulated ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a view holds, and what its query would give: None where that is another thing each time."""

    held: str
    asked: str | None


def shown(subject: Subject) -> Mapping[str, Shown]:
    """Read what the materialized views hold and would hold. Reads, changes nothing.

    Whether the revision refreshes one, its text need not say: a function may, or a module that it calls.
    """
    reading = subject.ledger.reading
    with client.transaction(reading), reading.cursor() as cursor:
        views = client.rows(cursor, _VIEWS)
        if not views:
            return {}
        held = {name: str(_sum(cursor, spelled)) for name, spelled, _ in views}
        asked = {name: _sum(cursor, f"({query})") for name, _, query in views}
    with client.transaction(reading), reading.cursor() as cursor:
        again = {name: _sum(cursor, f"({query})") for name, _, query in views}
    return {name: Shown(held[name], one if one == again[name] else None) for name, one in asked.items()}


def _sum(cursor: client.Cursor, source: str) -> str | None:
    """Sum up rows; None where the sample rows are such that the query fails."""
    query = f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {source} AS t"
    found = client.in_savepoint(cursor, lambda: client.rows(cursor, query.replace("%", "%%")))
    return str(found[0]) if found else None


def left_stale(
    subject: Subject, before: Mapping[str, Shown], above: Mapping[str, Shown], below: Mapping[str, Shown]
) -> Outcome:
    """Name the views that the upgrade filled with what only its rows give, and that hold no longer what theirs give below."""
    found = []
    for name in sorted(before.keys() & above.keys() & below.keys()):
        then, up, down = before[name], above[name], below[name]
        if None in (then.asked, up.asked, down.asked) or up.held != up.asked or up.held == then.asked:
            continue
        if down.held != down.asked:
            found.append(
                Difference(
                    name,
                    "rows",
                    "what its query gives",
                    "what it gave above: the downgrade does not refresh it",
                )
            )
    differences, kept = compare.keep(found, subject.facts.kept)
    return Outcome(tuple(differences), tuple(kept))
