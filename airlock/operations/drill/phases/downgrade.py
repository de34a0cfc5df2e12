"""The downgrade: what must be as it was before the upgrade, and what of the rows written meanwhile is lost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.drivers import client
from airlock.drivers.spelling import bare, mentions
from airlock.operations.downgrade import snapshot
from airlock.operations.drill import compare, failures
from airlock.operations.drill.missing_objects import needs
from airlock.operations.drill.outcome import (
    NOTHING,
    Outcome,
    failed,
    irreversible,
    not_examined,
    noted,
)
from airlock.operations.drill.phases import freedoms, interim_writes, rows_made_up, trigger_rows
from airlock.operations.drill.reach.statements_met import met_meanwhile
from airlock.operations.drill.rows import (
    cast_demands,
    dimensions,
    filled_back,
    guarded_back,
    held_before,
    rare_rows,
    rows_inserted,
    set_back,
    spelled_back,
)
from airlock.operations.drill.step import StepTaken, touched_tables
from airlock.records.drill import Condition

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from airlock.operations.drill.phases.interim_writes import Meanwhile
    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject
    from airlock.records.difference import Difference
    from airlock.records.drill import Loss

    # Keys of rows by how sure it is that such rows were there before, and by table.
    Unsure = Mapping[str, Mapping[str, Collection[str]]]

_MOST_LESSONS = 3
_EXCLUDED, _COULD_NOT_CREATE = "23P01", "could not create exclusion constraint"


@dataclass(frozen=True)
class Upgraded:
    """What lies above an upgrade: the step, the states around it, and what was written then."""

    step: StepTaken
    before: State
    after: State
    written: Meanwhile


@dataclass(frozen=True)
class Way:
    """One way up and down again: the downgrade's step and the state `below` it, both None where it could not be taken.

    `narrows` says which rows would stand in its way, or be lost; `conditions` which values must not be there before it.
    `left_out` are the rows whose loss is told and not held against the revision.
    """

    up: Upgraded
    step: StepTaken | None = None
    below: State | None = None
    outcome: Outcome = NOTHING
    losses: tuple[Loss, ...] = ()
    narrows: tuple[freedoms.Narrow, ...] = ()
    left_out: Unsure = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()

    def taken(self) -> tuple[StepTaken, ...]:
        """Give the steps that were taken."""
        return (self.up.step,) if self.step is None else (self.up.step, self.step)


def upgraded(subject: Subject, step: StepTaken, before: State, after: State, written: Meanwhile) -> Upgraded:
    """Put together what lies above an upgrade; what rows written meanwhile did in new bodies is told of its step."""
    met = met_meanwhile(subject.facts.path, written.fired)
    data_statements = tuple(one.data for one in written.fired)
    return Upgraded(
        replace(step, met=(*step.met, *met), data_statements=(*step.data_statements, *data_statements)),
        before,
        after,
        written,
    )


def go_down(subject: Subject, up: Upgraded, unsure: Unsure | None = None) -> Way:
    """Downgrade, and compare with what was there before the upgrade. Commits.

    Never raises what the revision raises: the outcome says it. `unsure` are rows that were made of constants and need
    not have been there before.
    """
    before, after = up.before, up.after
    # Read only where there is something to tell.
    over = snapshot.take(subject.ledger.reading) if freedoms.grants(before, after) else None
    step, written, lessons, unfilled, error = _downgrade(subject, up)
    up = replace(up, written=written)
    if step is None:
        return Way(up, outcome=noted(lessons).then(no_way_down(subject, error)))
    by_others = written.changed
    narrows: tuple[freedoms.Narrow, ...] = ()
    below = subject.ledger.read(written.state, step.touched, before)
    spelled = spelled_back.SpelledBack()
    if over is not None:
        under = snapshot.take(subject.ledger.reading)
        narrows = freedoms.narrows(subject.facts.revision, over, under, (up.step, step))
        spelled = spelled_back.spelled_back(
            subject.ledger, (up.step, step), (before, below), (over, under), written.changed
        )
        written = replace(written, changed=frozenset({*written.changed, *spelled.values}))
        up = replace(up, written=written)
    if _excluded(error) and not any("place_beside" in one.item.condition for one in narrows):
        # No condition tells which rows must not be there.
        return Way(up, outcome=noted(lessons).then(no_way_down(subject, error)))
    found, notes = compare.structure(before, below)
    found += compare.sequences(before, below)
    values, judged, left_out, held = _values(subject, step, (before, below), written, unsure or {})
    over_theirs = compare.written_over(before, after, up.written.state, below, by_others)
    stayed = trigger_rows.stayed(before, after, written, below, up.step.data_statements)
    made_up = rows_made_up.made_up(subject.ledger, before, written, below, (unsure or {}).values())
    found, kept = compare.keep([*found, *values, *stayed.differences, *made_up], subject.facts.kept)
    unsaid, more_kept = compare.keep(list(stayed.unsaid), subject.facts.kept)
    notes += [*stayed.notes, *trigger_rows.set_beside(subject.ledger, found)]
    outcome = noted(lessons).then(
        judged,
        *(
            not_examined(f"{name} holds too many rows to tell what was written meanwhile from what was there")
            for name in compare.incomparable(before, below, written.blurred)
        ),
        *(
            not_examined(
                f"{one.object} holds {one.after}: whether they stay says kept = {{{one.object!r}: 'why'}} in the revision"
            )
            for one in unsaid
        ),
        *(
            not_examined(f"{name} is neither what it was before nor what others made of it meanwhile")
            for name in over_theirs
            if name not in subject.facts.kept
        ),
        Outcome(tuple(found), (*kept, *more_kept), tuple(notes)),
        *_unfilled(subject, (up.step, step), before, after, below),
        *_written_far(subject, (up.step, step), after),
    )
    losses = interim_writes.losses(written, below)
    conditions = (
        *unfilled,
        *held,
        *spelled.conditions,
        *dimensions.taken_apart(subject.ledger, up.step, before, after),
    )
    return Way(up, step, below, outcome, losses, narrows, left_out, conditions)


def no_way_down(subject: Subject, error: Exception) -> Outcome:
    """Tell a refusal of the revision's own from a fault, and from what scratch lacks."""
    refusal = failures.own_refusal(error, subject.facts)
    needed = needs(error, subject.gaps)
    if refusal is not None:
        # Whatever else was not seen: there is no way back to be proved.
        return irreversible(f"irreversible: {refusal}")
    if needed is not None:
        return not_examined(f"the downgrade fails: {needed}")
    if failures.is_endless(error):
        return not_examined(f"the downgrade does not end on sample rows: {failures.one_line(error)}")
    return failed("the downgrade fails", error)


def _downgrade(
    subject: Subject, up: Upgraded
) -> tuple[StepTaken | None, Meanwhile, list[str], list[Condition], Exception]:
    """Take the step; rows written meanwhile that stop it get other values, as long as its errors teach which."""
    written, notes, conditions = up.written, list[str](), list[Condition]()
    error: Exception = RuntimeError("no way down")
    for _ in range(_MOST_LESSONS):
        try:
            return subject.take("down"), written, notes, conditions, error
        except Exception as another:  # noqa: BLE001  a revision may raise anything
            error = another
        rewritten = _rewritten(subject, error, replace(up, written=written))
        if rewritten is not None:
            written, changed = rewritten
            notes.append(f"{', '.join(changed)}, written meanwhile, got values that the downgrade can read")
            continue
        filled = _without_unfilled(subject, error, up.before, written)
        if filled is not None:
            written, condition = filled
            conditions.append(condition)
            continue
        alike = _without_alike(subject, error, replace(up, written=written))
        if alike is not None:
            written = alike
            continue
        fewer = _without_excluding(subject, error, written)
        if fewer is None:
            break
        written, table = fewer
        notes.append(
            f"rows written meanwhile into {table} exclude each other below: it goes down without them"
        )
    return None, written, notes, [], error


def _without_unfilled(
    subject: Subject, error: Exception, before: State, written: Meanwhile
) -> tuple[Meanwhile, Condition] | None:
    """Take back rows written meanwhile that the downgrade has no value for, raises for, or cannot set a key beside.

    `before` is the state below. Commits.
    """
    ledger, state = subject.ledger, sqlstate(error)
    meant = (
        failures.is_its_own(error, subject.facts.path)
        or failures.own_refusal(error, subject.facts) is not None
    )
    if meant and subject.facts.irreversible:
        # It says so itself.
        return None
    if not meant and state not in filled_back.STATES | set_back.STATES:
        return None
    if not ledger.asked or ledger.read().catalogue != written.state.catalogue:
        return None
    rows, told_by = written.written, written.told_by
    asked = guarded_back.guarded(ledger, error, rows, told_by) if meant else None
    if asked is not None:
        left = _without(subject, written, asked.keys)
        return (left, asked.condition) if left is not None else None
    if meant:
        found = filled_back.unfilled_for_its_own_rule(ledger, error, rows, told_by)
    else:
        found = filled_back.unfilled(ledger, error, before.catalogue.objects, rows, told_by)
        found = found or set_back.kept_out(ledger, error, rows, told_by)
    left = _without(subject, written, {found.table.label: found.keys}) if found is not None else None
    return (left, found.condition) if left is not None and found is not None else None


def _without(subject: Subject, written: Meanwhile, rows: Mapping[str, frozenset[str]]) -> Meanwhile | None:
    """Take some of the rows written meanwhile back, by table and key; None where the server does not let it. Commits."""
    told_by = {name: written.told_by.get(name) or written.state.digests[name].key for name in rows}
    if not subject.ledger.delete({name: (told_by[name], keys) for name, keys in rows.items()}):
        return None
    left = {**written.written, **{name: written.written[name] - keys for name, keys in rows.items()}}
    return replace(written, state=subject.ledger.read(written.state, rows.keys()), written=left)


def _without_alike(subject: Subject, error: Exception, up: Upgraded) -> Meanwhile | None:
    """Take back rows written meanwhile that hold what the upgrade inserted, where the downgrade wants one row. Commits.

    What such a row does is tried by itself (`like_inserted`), and is a condition.
    """
    ledger, written = subject.ledger, up.written
    if not failures.wants_one_row(error) or ledger.read().catalogue != written.state.catalogue:
        return None
    gone: dict[str, frozenset[str]] = {}
    for one in rows_inserted.inserted(ledger, up.step, up.before, up.after):
        label = one.table.label
        key = written.told_by.get(label) or written.state.digests[label].key
        if alike := rows_inserted.alike_among(ledger, one, key, written.written.get(label, ())):
            gone[label] = alike
    return _without(subject, written, gone) if gone else None


def _without_excluding(
    subject: Subject, error: Exception, written: Meanwhile
) -> tuple[Meanwhile, str] | None:
    """Take back rows written meanwhile that an exclusion below does not let in: the upgrade lifted it, a condition counts such.

    Values that are far apart do not tell whether two rows exclude each other, as they do for a unique key. Commits.
    """
    ledger = subject.ledger
    if not _excluded(error) or ledger.read().catalogue != written.state.catalogue:
        return None
    place = filled_back.stopped_by(error).place
    for table in ledger.tables({name for name, keys in written.written.items() if keys}):
        if (table.schema, table.name) == place:
            left = _without(subject, written, {table.label: written.written[table.label]})
            return (left, table.label) if left is not None else None
    return None


def _excluded(error: Exception) -> bool:
    cause = failures.origin(error)
    return client.told(cause, "sqlstate") == _EXCLUDED and _COULD_NOT_CREATE in str(cause)


def _rewritten(subject: Subject, error: Exception, up: Upgraded) -> tuple[Meanwhile, tuple[str, ...]] | None:
    """Give rows written meanwhile the values that the downgrade can read, where it is they that stop it."""
    written, demand = up.written, cast_demands.said(error)
    unreadable = failures.is_unreadable(error)
    if not (demand or unreadable) or subject.ledger.read().catalogue != written.state.catalogue:
        return None
    names = {name for name, keys in written.written.items() if keys}
    changed: tuple[str, ...] = ()
    if demand is not None:
        changed = cast_demands.meet(
            subject.ledger, demand, names, subject.source, written.written
        ) or cast_demands.copy_documents(subject.ledger, demand, written.written)
    if not changed and unreadable:
        # What the upgrade has written into its columns, the downgrade can read.
        columns = {f"{name}.{one}" for name, digest in up.before.digests.items() for one in digest.columns}
        columns = columns - compare.steady(up.before, up.after) | compare.retyped(up.before, up.after)
        changed = cast_demands.copy_upgraded(subject.ledger, columns, written.written)
    if not changed:
        return None
    state = subject.ledger.read(written.state, names)
    # Their keys may be among those values.
    keys = {
        name: frozenset(now.rows.keys() - ((then.rows if then is not None else None) or {}).keys())
        for name in names
        if (now := state.digests[name]).rows is not None
        and ((then := up.after.digests.get(name)) is None or then.key == now.key)
    }
    return replace(written, state=state, written={**written.written, **keys}), tuple(changed)


def _values(
    subject: Subject, step: StepTaken, states: tuple[State, State], written: Meanwhile, unsure: Unsure
) -> tuple[list[Difference], Outcome, Unsure, tuple[Condition, ...]]:
    """Compare values; what only rows lose that need not have been there before is no fault, and not proved.

    Nor is what only rows lose that hardly a table has. The conditions tell the former, where the server can be asked for them.
    """
    before, below = states
    found, rare = values_of_usual_rows(
        subject, before, lambda usual: compare.values(usual, below, written.changed, blurred=written.blurred)
    )
    if rare != NOTHING:
        return [], rare, {}, ()
    said = _said(found)
    if not found or not unsure:
        return found, NOTHING, {}, ()
    left_out = compare.without(before, unsure.values())
    if compare.values(left_out, below, written.changed, blurred=written.blurred):
        return found, NOTHING, {}, ()
    held = held_before.conditions(
        subject.ledger, step.data_statements, states, unsure.values(), written.changed
    )
    why = f"proved only while no row holds already what the upgrade writes or computes with: {said}"
    return [], not_examined(why), unsure, held


def values_of_usual_rows(
    subject: Subject, before: State, compared: Callable[[State], list[Difference]]
) -> tuple[list[Difference], Outcome]:
    """Hold a state against the one below; where only rows lose that hardly a table has, tell that instead of differences."""
    found, ledger = compared(before), subject.ledger
    if not compare.keep(found, subject.facts.kept)[0]:
        # Nothing, or what the revision says is lost: whichever rows lose it.
        return found, NOTHING
    rare = rare_rows.lost_only_by_rare(before, ledger.edges, ledger.respelled, compared, found, _said(found))
    return ([] if rare != NOTHING else found), rare


def _said(found: Collection[Difference]) -> str:
    return ", ".join(sorted({f"{one.object}: {one.kind} was {one.before}, is {one.after}" for one in found}))


def _unfilled(
    subject: Subject, taken: tuple[StepTaken, StepTaken], before: State, over: State, below: State
) -> list[Outcome]:
    """Nothing is proved about the rows of a table, or of a partition, that has none."""
    up, down = taken
    concerned = touched_tables(up, before, over) | touched_tables(down, over, below)
    source = subject.source
    if up.touched is None:
        # Without its locks a step that finds no row leaves no trace of where it looked.
        concerned |= {name for name in before.tables() if mentions(source, bare(name))}
    found = []
    for name in sorted(concerned & before.digests.keys()):
        if before.digests[name].count == 0:
            if before.takes_no_row(name):
                continue
            filled = subject.ledger.fills.get(name)
            why = filled.reason if filled is not None and filled.reason else "the history leaves it empty"
            found.append(not_examined(f"{name} could not be filled: {why}"))
        else:
            found += [
                not_examined(
                    f"{name}.{column} holds no value in any row: the server takes none that is known of {type_}"
                )
                for column, type_ in subject.ledger.without_values(name)
                if mentions(source, column)
            ]
    unread = (concerned & before.tables()) - before.digests.keys() - {subject.ledger.version_table}
    found += [
        not_examined(
            f"the rows of {name} cannot be read: a partition of it is a foreign table, which its server does not give"
        )
        for name in sorted(unread)
    ]
    above = {name for name in before.empty if name not in over.partitions()}
    found += [
        not_examined(f"{name} is no partition after the upgrade, and held no row") for name in sorted(above)
    ]
    return found


def _written_far(subject: Subject, taken: tuple[StepTaken, StepTaken], over: State) -> list[Outcome]:
    """Nothing is proved about rows of foreign tables: they are another server's, and have no sample rows."""
    names = {name for one in taken for name in one.far}
    if any(one.touched is None and one.data_statements for one in taken):
        # Without its locks a step leaves no trace of where it wrote.
        source = subject.source
        foreign = {name for name, one in over.catalogue.objects.items() if one.kind == "foreign table"}
        names |= {name for name in foreign if mentions(source, bare(name))}
    return [
        not_examined(
            f"{name} is a foreign table, and is written into: its rows are another server's, which no drill sees"
        )
        for name in sorted(names)
    ]
