"""Put what was seen of each revision together, and judge it by the one test of what is dangerous."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airlock.catalogue import publications
from airlock.database import sizes
from airlock.records.findings import Finding
from airlock.records.locks import LockMode
from airlock.records.review import COLUMN_DROPPED, TABLE_DROPPED, Danger, Loss, ReviewedRevision, Script
from airlock.records.trace import Unfilled

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airlock.operations.review.second_reader import Said
    from airlock.project.offline import Written
    from airlock.project.project import Project
    from airlock.records.review import TableSize
    from airlock.records.trace import StatementRecord, TracedRevision, TraceReport

_ANSWERS = re.compile(r"^(Why|Locks|Undo):\s*(.*?)(?=^\w+:|\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)


def reviewed(
    project: Project, report: TraceReport, written: Iterable[Written], said: Said, revision: str
) -> ReviewedRevision:
    """Gather one revision: its own answers, both traces, its scripts, the linter's words, what down drops."""
    facts = project.revision(revision)
    steps = {one.direction: one for one in report.revisions if one.revision == revision}
    answers = {name: " ".join(text.split()) for name, text in _ANSWERS.findall(facts.doc)}
    up, down = steps["up"], steps.get("down")
    return ReviewedRevision(
        revision=revision,
        title=facts.title,
        path=up.path,
        why=answers.get("Why", ""),
        locks=answers.get("Locks", ""),
        undo=answers.get("Undo", ""),
        up=up,
        down=down,
        scripts=tuple(_script(one, steps, facts.title) for one in written if one.revision == revision),
        seconds_up=said.get((revision, "up"), ()),
        seconds_down=said.get((revision, "down"), ()),
        losses=_losses(down),
        kept=tuple(sorted(facts.kept.items())),
    )


def losses(connection: Any, revisions: Sequence[ReviewedRevision]) -> tuple[ReviewedRevision, ...]:
    """Put the target's numbers beside the tables and columns that going down drops. Reads statistics."""
    named = {(loss.object, loss.why) for revision in revisions for loss in revision.losses}
    tables = sizes.sizes(connection, {name for name, why in named if why == TABLE_DROPPED})
    columns = sizes.values(connection, {name for name, why in named if why == COLUMN_DROPPED})

    def counted(loss: Loss) -> Loss:
        if loss.why == TABLE_DROPPED:
            return replace(loss, rows=tables[loss.object].rows if loss.object in tables else 0)
        return replace(loss, rows=columns.get(loss.object, 0)) if loss.why == COLUMN_DROPPED else loss

    return tuple(
        replace(revision, losses=tuple(counted(loss) for loss in revision.losses)) for revision in revisions
    )


def published_there(connection: Any, report: TraceReport) -> TraceReport:
    """Add what the trace could not find: tables that a step takes from everybody and that the target publishes.

    What scratch publishes is what the history makes; most publications are made by hand. Reads the target's catalogue.
    """

    def ask(query: str) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    known = {one.name: one for one in publications.published(ask).tables.values()}
    return replace(report, revisions=tuple(_with_published(step, known) for step in report.revisions))


def _with_published(step: TracedRevision, known: dict[str, publications.Published]) -> TracedRevision:
    told = {one.object for one in step.findings if one.id == "published"}
    found = []
    for statement in step.statements:
        for lock in statement.locks:
            if lock.mode is LockMode.ACCESS_EXCLUSIVE and lock.object in known and lock.object not in told:
                told.add(lock.object)
                by = ", ".join(known[lock.object].publications)
                sentence = (
                    f"is altered, and {by} of the target publishes it: a subscriber must have a new column first, and lose a "
                    "dropped one last; without a replica identity UPDATE and DELETE fail"
                )
                found.append(
                    Finding(
                        "published", lock.object, sentence, statement.sql, "", statement.file, statement.line
                    )
                )
    return replace(step, findings=(*step.findings, *found))


def _losses(down: TracedRevision | None) -> tuple[Loss, ...]:
    if down is None:
        return ()
    if down.losses is not None:
        return tuple(Loss(name, why) for name, why in down.losses)
    return tuple(Loss(name, TABLE_DROPPED if name.count(".") == 1 else COLUMN_DROPPED) for name in down.drops)


def dangers(
    connection: Any, revisions: Sequence[ReviewedRevision], report: TraceReport
) -> tuple[Danger, ...]:
    """List the dangerous statements with their excuses and, of a target, sizes and the time to expect."""
    found = report.dangerous
    known: dict[str, TableSize] = {}
    if connection is not None and found:
        names = {name for _, statement in found for name in (*statement.scans, *statement.rewrites)}
        known = sizes.sizes(connection, names)
    titles = {revision.revision: revision.title for revision in revisions}
    return tuple(
        Danger(
            revision=step.revision,
            title=titles[step.revision],
            direction=step.direction,
            statement=statement,
            findings=statement.findings,
            accepted=tuple(step.excuses(statement).items()),
            sizes=(of := _sizes(statement, known)),
            expected_ms=_expected(statement, of),
            instead=step.instead(one.object for one in statement.as_findings()),
        )
        for step, statement in found
    )


def unseen(report: TraceReport) -> tuple[Unfilled, ...]:
    """Name the tables of too few rows that statements met, but for those that could not be filled anyway."""
    known = {one.table for one in report.unfilled}
    met = {few.object: few.rows for step in report.revisions for one in step.statements for few in one.few}
    return tuple(
        Unfilled(name, f"a statement met {rows} rows there")
        for name, rows in sorted(met.items())
        if name not in known
    )


def _sizes(statement: StatementRecord, known: dict[str, TableSize]) -> tuple[TableSize, ...]:
    return tuple(known[name] for name in sorted({*statement.scans, *statement.rewrites}) if name in known)


def _expected(statement: StatementRecord, of: Sequence[TableSize]) -> float | None:
    """Extrapolate: the time measured here, times as many rows as the largest table has more than its sample."""
    sample = {read.object: read.of for read in statement.reads if read.of > 0}
    ratios = [size.rows / sample[size.table] for size in of if size.table in sample]
    return statement.ms / statement.times * max(ratios) if ratios else None


def _script(one: Written, steps: dict[str, TracedRevision], title: str) -> Script:
    name = f"{one.revision}.{one.direction}.sql"
    note = ""
    run = [f"-- psql --file {name}"]
    body = one.sql.strip()
    if one.failed:
        note = f"needs a database to be written ({one.failed}); this is what was executed in scratch"
        # With the names of bound values in it, and the rows of the scratch database: no script for psql.
        run = []
        body = "\n\n".join(
            f"{statement.sql.strip().rstrip(';')};" for statement in steps[one.direction].statements
        )
    elif steps[one.direction].depends_on_rows:
        note = "depends on rows: this is one path"
    head = [f"-- {one.revision} {title} ({one.direction})", *run, *([f"-- {note}"] if note else [])]
    head += ["\\set ON_ERROR_STOP on"] if run else []
    return Script(name, "\n".join([*head, "", body, ""]), note)
