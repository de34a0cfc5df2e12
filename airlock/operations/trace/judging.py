"""What a step is said to have done, once it is known how many rows it met: scans of whole families, too few rows, losses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import identifiers
from airlock.operations.downgrade import rehearse
from airlock.operations.downgrade.items import items, unknowns
from airlock.operations.downgrade.recasts import recast
from airlock.recorder.tokens import commands, ends_within
from airlock.records.trace import JUDGED_FROM_ROWS, Met

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airlock.operations.downgrade import snapshot
    from airlock.operations.trace.kin import Kin
    from airlock.records.findings import Finding
    from airlock.records.trace import StatementRecord, TracedRevision


def judged(statement: StatementRecord, few: Mapping[str, int], kin: Kin) -> StatementRecord:
    """Put to a statement what it scanned of tables in many partitions, and which tables had too few rows to tell.

    `few` are the tables of too few rows as the step began, with how many; `kin` are the partitions.
    """
    few = {**few, **{met.object: met.rows for met in statement.few}}
    locks = (*statement.locks, *statement.held)
    if not any(lock.harms for lock in locks):
        return replace(statement, few=())
    spared: set[str] = set()
    scans = set(statement.scans)
    for root in _families(statement, few, kin):
        members = kin.members(root)
        spared |= members | {root}
        if _read_whole(statement, members & kin.leaves, few) and not members & scans:
            scans.add(root)
    dangerous = statement.dangerous or bool(scans)
    met: tuple[Met, ...] = ()
    # What goes is not read first, however large it is.
    if not dangerous and commands(statement.sql) != {"DROP"}:
        texts = identifiers(statement.sql)
        names = {lock.object for lock in statement.locks} | {read.object for read in statement.reads}
        # Locked by an earlier statement already; named by this one.
        names |= {lock.object for lock in statement.held if lock.object.rpartition(".")[2].lower() in texts}
        met = tuple(Met(name, few[name]) for name in sorted((names & few.keys()) - spared))
    return replace(statement, scans=tuple(sorted(scans)), dangerous=dangerous, few=met)


def unseen(step: Iterable[StatementRecord]) -> str:
    """Say which text ended its transaction before anybody could look at what it had locked; empty where none did."""
    for one in step:
        if word := ends_within(one.sql):
            return f"{one.file}:{one.line}: {word} stands inside the text: what was locked before it could not be seen"
    return ""


def _families(statement: StatementRecord, few: Mapping[str, int], kin: Kin) -> Iterator[str]:
    """Yield each root that was taken with all that stands below it, and has rows enough there in all.

    What treats all alike shows on any of them; a statement that takes some alone is judged by those.
    """
    locked = {lock.object for lock in statement.locks}
    for root in sorted({kin.roots[name] for name in locked & kin.roots.keys()} & locked):
        rows = sum(few.get(name, JUDGED_FROM_ROWS) for name in kin.members(root) & kin.leaves)
        if kin.members(root) <= locked and rows >= JUDGED_FROM_ROWS:
            yield root


def _read_whole(statement: StatementRecord, leaves: set[str], few: Mapping[str, int]) -> bool:
    """Tell whether every row of a family was read."""
    read = {one.object: one for one in statement.reads}
    filled = {name for name in leaves if few.get(name, JUDGED_FROM_ROWS) > 0}
    return all(name in read and read[name].rows >= read[name].of for name in filled)


def placed(finding: Finding, step: TracedRevision) -> Finding:
    """Put a finding to the statement that locked its table or view against everybody, else to the revision."""
    name = finding.object
    for one in step.statements:
        if any(lock.object.rpartition(" ")[2] == name and lock.harms for lock in one.locks):
            return replace(finding, file=one.file, line=one.line)
    return replace(finding, file=step.path)


def wanting(step: TracedRevision) -> set[str]:
    """Name the tables that another form may spare: of what only breaks the older release, the step may be the safe form."""
    return {one.object for one in step.every_finding if one.id in ("rewrite", "scan")}


def with_losses(step: TracedRevision, before: snapshot.Snapshot, after: snapshot.Snapshot) -> TracedRevision:
    """Put to a downgrade what it lost, from the catalogue before it and after it."""
    made = rehearse.Rehearsed(
        revision=step.revision,
        before=before,
        after=after,
        writes=tuple(dict.fromkeys(rehearse.writes(step.statements, after.tables.values()))),
        reads_rows=step.depends_on_rows,
        recast=tuple(dict.fromkeys(recast(step.statements))),
    )
    counted = [(item.object, item.why) for item in items([made])]
    uncounted = [(name, why.removeprefix(f"{step.revision}: ")) for name, why in unknowns([made])]
    return replace(step, losses=(*counted, *uncounted))
