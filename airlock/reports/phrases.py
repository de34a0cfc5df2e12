"""The sentences of a review, the same in every form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airlock.records.locks import most
from airlock.reports.text import count, duration, enumeration, number, size, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.difference import Difference
    from airlock.records.review import Danger, Loss, Review, ReviewedRevision, Second
    from airlock.records.trace import StatementRecord, Stopped, TracedRevision

CANNOT_SEE = (
    "Rows were made up: a revision that looks at real values may take another path there.",
    "Locks on types, functions and schemas are not listed; they make only other DDL wait.",
    "Row locks of UPDATE and DELETE are not listed: writers of the same rows wait for the transaction's end.",
    "Times are those of a small, idle server; what is extrapolated grows in a straight line, reality need not.",
    "The release that runs meanwhile is judged as one that uses every column; its own queries and roles are not known.",
)


def title(text: str) -> str:
    """Drop the full stop that ends a title."""
    return text.rstrip(".")


def headline(review: Review) -> str:
    """Say in a sentence what the verdict rests on."""
    if review.stopped is not None:
        return f"{stopped(review.stopped, len(review.revisions))}. {_of_what_was_seen(review)}"
    return _of_what_was_seen(review)


def stopped(stop: Stopped, seen: int) -> str:
    """Say what stopped a trace, and which revisions it had not seen by then."""
    if not stop.left:
        return f"Stopped: {stop.by.rstrip('.')}"
    of = count(seen + len(stop.left), "revision")
    return f"Stopped: {stop.by.rstrip('.')}; {len(stop.left)} of {of} not seen ({some(stop.left)})"


def _of_what_was_seen(review: Review) -> str:
    if not review.revisions:
        return "There is no revision to review."
    steps = count(len(review.revisions), "revision")
    refused = review.refusals
    if refused:
        return (
            f"{count(len(refused), 'statement')} of {steps} "
            f"{'is' if len(refused) == 1 else 'are'} dangerous and not excused."
        )
    if review.unexamined:
        step, why = review.unexamined[0]
        more = len(review.unexamined) - 1
        others = f" (and {count(more, 'other')})" if more else ""
        return f"{step.revision} ({step.direction}) was not examined: {why}{others}; nothing dangerous in what was seen."
    if review.unseen:
        tables = some([one.table for one in review.unseen])
        return f"{tables} held too few rows to tell; in the rest of {steps} nothing dangerous was seen."
    if review.dangers:
        return f"{count(len(review.dangers), 'dangerous statement')} of {steps}, each excused with a reason."
    return f"No statement of {steps}, up or down, scans or rewrites a table while others wait for it."


def told(review: Review) -> Iterator[tuple[str, str, str]]:
    """Say what was found beside dangerous statements: (place, sentence, what became of it)."""
    for step, finding in review.told:
        reason = finding.accepted(step.accepted)
        where = f"{finding.file}:{finding.line}" if finding.line else finding.file
        what = f"accepted: {reason}" if reason else f'to take it on: accepted = {{"{finding.name}": "why"}}'
        yield (
            f"{step.revision} ({step.direction}) {where}",
            f"{finding.id} {finding.object}: {finding.sentence}",
            what,
        )


def circumstances(review: Review) -> str:
    """Say where and on what it was seen."""
    parts = [f"PostgreSQL {review.server_version}", f"{number(review.rows)} rows in every table"]
    parts.append(f"target {review.target}" if review.target else "no target was read")
    parts.append(
        f"second reader {review.linter}" if review.linter else "no second reader (squawk is not installed)"
    )
    return ", ".join(parts)


def held_mode(statement: StatementRecord) -> str:
    """Name the strongest lock that makes reads or writes wait while the statement works."""
    harmful = [lock for lock in (*statement.locks, *statement.held) if lock.harms]
    strongest = max(harmful, key=lambda lock: lock.mode.strength)
    return f"{strongest.mode} on {strongest.object}"


def danger_sentences(danger: Danger) -> Iterator[str]:
    """Say for each table what happens to it, how large it is, and how long that may take."""
    done = dict.fromkeys(danger.statement.rewrites, "rewritten")
    for name in danger.statement.scans:
        done.setdefault(name, "scanned")
    sizes = {one.table: one for one in danger.sizes}
    for name, what in sorted(done.items()):
        known = sizes.get(name)
        large = f"{count(known.rows, 'row')}, {size(known.bytes)}: " if known is not None else ""
        yield f"{name}: {large}{what} under {held_mode(danger.statement)}; {danger.statement.blocks} wait"
    if danger.expected_ms is not None:
        yield (
            f"about {duration(danger.expected_ms)} on the target, extrapolated from"
            f" {duration(danger.statement.ms)} here, in proportion to its rows"
        )


def otherwise(danger: Danger) -> Iterator[str]:
    """Say what else to write where no revision can be drafted: the statement changes rows, or nothing that stays."""
    if danger.instead:
        return
    word = danger.statement.sql.lstrip().partition(" ")[0].upper()
    told = _OTHERWISE.get(word)
    if told:
        yield f"instead: {told}"


_OTHERWISE = {
    "UPDATE": "batches that commit one by one, in a revision of its own, before any lock is taken",
    "DELETE": "batches that commit one by one, in a revision of its own, before any lock is taken",
    "INSERT": "batches that commit one by one, in a revision of its own, before any lock is taken",
    "SELECT": "read in a revision of its own, before any lock is taken",
    "DO": "batches that commit one by one, in a revision of its own, before any lock is taken",
    "REINDEX": "REINDEX ... CONCURRENTLY, outside a transaction",
    "REFRESH": "REFRESH MATERIALIZED VIEW CONCURRENTLY, which wants a unique index on the view",
    "CLUSTER": "pg_repack or a maintenance window, outside the history: nothing that stays depends on it",
    "VACUUM": "VACUUM without FULL, or pg_repack, outside the history: nothing that stays depends on it",
    "ALTER": "a new column, table or constraint beside the old one, filled in batches, then a swap (docs/findings.md)",
}


def answer(danger: Danger) -> str:
    """Say whether the danger is excused, and how."""
    if danger.excused:
        return "excused: " + "; ".join(f"{finding}: {reason}" for finding, reason in danger.accepted)
    wanted = [finding for finding in danger.findings if finding not in dict(danger.accepted)]
    excuse = ", ".join(f'"{finding}": "why"' for finding in wanted)
    return f"not excused; to take it on, write in the revision: accepted = {{{excuse}}}"


def difference(one: Difference) -> str:
    """Say one difference of the catalogue in words."""
    name = one.object if one.object.startswith(f"{one.kind} ") else f"{one.kind} {one.object}"
    if one.before is None:
        return f"new {name}" + (f": {one.after}" if one.after and one.after != one.kind else "")
    if one.after is None:
        return f"{name} is gone" + (f" (was {one.before})" if one.before != one.kind else "")
    return f"{one.object}: {one.kind} was {one.before}, is {one.after}"


def loss(one: Loss) -> str:
    """Say one loss, with the target's numbers where its statistics tell them."""
    return f"{one.object}: {one.why}" + (
        f", about {number(one.rows)} on the target" if one.rows is not None else ""
    )


def waits(step: TracedRevision) -> str:
    """Say who waits during a step, at most."""
    blocked = most(
        lock.blocks for statement in step.statements for lock in (*statement.locks, *statement.held)
    )
    return (
        "nobody waits"
        if blocked == "nothing"
        else f"{blocked} wait"
        if blocked != "DDL only"
        else "only DDL waits"
    )


def second_opinion(revision: ReviewedRevision, direction: str) -> Iterator[tuple[int, str, str]]:
    """Set the linter's words beside what was seen: (statement, agreement, sentence)."""
    step = revision.up if direction == "up" else revision.down
    said: tuple[Second, ...] = revision.seconds_up if direction == "up" else revision.seconds_down
    if step is None:
        return
    spoken = {one.statement for one in said if one.about_locks}
    for place, statement in enumerate(step.statements):
        for one in said:
            if one.statement != place:
                continue
            if not one.about_locks:
                yield place, "not observable", f"squawk {one.rule}: {one.message}"
            elif statement.few and not statement.dangerous:
                yield (
                    place,
                    "not observable",
                    f"squawk {one.rule}: {one.message} Not examined: {too_few(statement)}.",
                )
            elif statement.dangerous:
                yield place, "agrees", f"squawk {one.rule}: {one.message}"
            else:
                yield place, "disagrees", f"squawk {one.rule}: {one.message} Observed: {observed(statement)}."
        if statement.dangerous and place not in spoken:
            yield place, "disagrees", f"squawk says nothing of locks. Observed: {observed(statement)}."


def too_few(statement: StatementRecord) -> str:
    """Say which tables had too few rows for a judgement, and how many."""
    return ", ".join(f"{count(met.rows, 'row')} in {met.object}" for met in statement.few)


def observed(statement: StatementRecord) -> str:
    """Say shortly what a statement did."""
    worked = [f"rewrote {enumeration(statement.rewrites)}"] if statement.rewrites else []
    worked += [f"scanned {enumeration(statement.scans)}"] if statement.scans else []
    work = enumeration(worked) if worked else "no scan and no rewrite"
    return f"{work}, blocking {statement.blocks}, {duration(statement.ms)}"


def timeline(step: TracedRevision) -> list[tuple[str, str, float, float]]:
    """List who is blocked when: (object, blocks, from ms, to ms), for modes that make reads or writes wait.

    A lock is held until the transaction ends, so outside one it ends with its statement. A stronger mode on
    the same object takes over from a weaker one.
    """
    total = sum(statement.ms for statement in step.statements)
    spans: list[tuple[str, str, float, float]] = []
    now = 0.0
    open_: dict[str, tuple[str, float]] = {}
    for statement in step.statements:
        for lock in sorted(statement.locks, key=lambda lock: lock.object):
            if not lock.harms:
                continue
            word = lock.blocks
            if not statement.transactional:
                spans.append((lock.object, word, now, now + statement.ms))
            elif lock.object not in open_:
                open_[lock.object] = (word, now)
            elif open_[lock.object][0] != word and word == "reads and writes":
                before, since = open_[lock.object]
                spans.append((lock.object, before, since, now))
                open_[lock.object] = (word, now)
        now += statement.ms
    spans += [(name, word, since, total) for name, (word, since) in open_.items()]
    return sorted(spans, key=lambda span: (span[2], span[0]))
