"""What the bodies that a statement enters do with rows: DO blocks, functions, triggers; seen in a trial of the statement.

The trial runs the statement on bodies with probes in them (airlock.recorder.probes), reads the probes and undoes everything,
sequences too; the statement itself then runs on the bodies as they are. Where no trial is possible (a body that rolls back,
a language that is not read), counters tell of each write's table, and what they cannot tell is untold.
"""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.operations.drill import functions_called
from airlock.operations.drill.asking import Counted, asked, literal, run, tried
from airlock.recorder import probes, row_changes
from airlock.recorder.branches import Branch, Scope
from airlock.recorder.plpgsql import Unreadable
from airlock.recorder.source import command, identifiers
from airlock.recorder.tokens import STRING, masked, tokens, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.operations.drill.functions_called import Function, Functions, Known
    from airlock.recorder.counters import Query
    from airlock.recorder.probes import Probe
    from airlock.recorder.row_changes import Act

_MOST = 60
_NOWHERE = Scope("", "", "", "")
_DEFINITIONS = "SELECT p.oid::bigint, pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.oid IN ({0})"
_SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences WHERE last_value IS NOT NULL
"""


@dataclass(slots=True)
class Inside:
    """What was seen of the bodies; `acts` are writes that no trial told of, `sought` those that rows are to be made for."""

    counted: list[Counted] = field(default_factory=list)
    acts: tuple[Act, ...] = ()
    sought: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class _Probed:
    """One body of the trial: whose it is, its probes, what it is called in reports."""

    function: Function | None
    name: str
    prefix: str
    body: str
    probed: probes.Probed


def look(
    own: Query, functions: Functions, statement: str, sent: str, plain: Sequence[Act], *, outside: bool
) -> Inside:
    """See what a statement does in the bodies that it enters; nothing where it enters none.

    `plain` are its own acts. Runs it once and undoes that.
    """
    if not _may_enter(statement):
        return Inside()
    known = functions.known(lambda question: asked(own, question, outside=outside))
    called = known.called(statement)[:_MOST]
    blocks = row_changes.bodies(statement)
    rules = tuple(
        act
        for one in plain
        for rule in known.rules.get(_plain(one.table), ())
        if f" ON {one.kind} TO " in rule
        for act in row_changes.body_acts(rule)
    )
    if not called and not blocks:
        return Inside(acts=rules, sought=rules)
    acts = tuple(
        act
        for body in (*blocks, *(one.body for one in called if not one.is_trigger))
        for act in row_changes.body_acts(body)
    )
    for expressions in (True, False):
        bodies = _bodies(statement, called, blocks, expressions=expressions)
        found = _trial(own, statement, bodies, outside=outside)
        if found is not None:
            counted = list(_told(known, statement, sent, plain, bodies, found))
            return Inside(counted, rules, (*acts, *(one.act for one in counted), *rules))
    return Inside(list(_untold(called, blocks, statement)), (*acts, *rules), (*acts, *rules))


def _may_enter(statement: str) -> bool:
    return command(statement) not in {"DECLARE", "FETCH", "CLOSE", "PREPARE", "COPY", "EXPLAIN"}


def _plain(table: str) -> str:
    return table.rpartition(".")[2].strip('"').lower()


def _bodies(
    statement: str, called: Sequence[Function], blocks: Sequence[str], *, expressions: bool
) -> list[_Probed]:
    found = []
    for number, block in enumerate(blocks):
        prefix = f"airlock.reach_do{number}"
        with contextlib.suppress(Unreadable):
            probed = probes.in_plpgsql(_uncommitted(block), prefix, trigger=False, expressions=expressions)
            found.append(_Probed(None, "DO", prefix, block, probed))
    for one in called:
        prefix = f"airlock.reach_f{one.oid}"
        with contextlib.suppress(Unreadable):
            if one.language == "sql":
                probed = probes.in_sql(one.body, prefix, expressions=expressions)
            else:
                given = functions_called.given(statement, one)
                probed = probes.in_plpgsql(
                    one.body, prefix, trigger=one.is_trigger, given=given, expressions=expressions
                )
            found.append(_Probed(one, f"{one.name}()", prefix, one.body, probed))
    return found


def _uncommitted(block: str) -> str:
    """Leave out COMMIT, which a trial that is undone cannot run: a backfill in batches does the same without it."""
    for one, after in itertools.pairwise(list(tokens(block))):
        if one.word == "COMMIT" and block[after.start : after.end] == ";":
            block = f"{block[: one.start]}NULL  {block[one.end :]}"
    return block


@contextlib.contextmanager
def _undone(own: Query, *, outside: bool) -> Iterator[None]:
    """Undo what the block does, what it took from sequences as well."""
    if outside:
        run(own, "BEGIN")
    before = _sequences(own)
    try:
        with tried(own, outside=False):
            yield
    finally:
        if before != (now := _sequences(own)):
            for name, last in now.items():
                if name not in before:
                    start = f"SELECT seqstart FROM pg_sequence WHERE seqrelid = {literal(name)}::regclass"
                    run(own, f"SELECT setval({literal(name)}, ({start}), false)")
                elif before[name] != last:
                    run(own, f"SELECT setval({literal(name)}, {before[name]})")
        if outside:
            run(own, "ROLLBACK")


def _sequences(own: Query) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in own(_SEQUENCES)}


def _trial(own: Query, statement: str, bodies: Sequence[_Probed], *, outside: bool) -> dict[str, str] | None:
    """Run a statement on probed bodies; return the settings, None where that does not go."""
    oids = [str(one.function.oid) for one in bodies if one.function is not None]
    found: dict[str, str] = {}
    try:
        with _undone(own, outside=outside):
            if oids:
                defined = {int(row[0]): str(row[1]) for row in own(_DEFINITIONS.format(", ".join(oids)))}
                for one in bodies:
                    if one.function is not None:
                        _replace(own, one, defined[one.function.oid])
            run(own, _with_blocks(statement, bodies))
            with contextlib.suppress(Exception):
                with tried(own, outside=False):
                    run(own, "SET CONSTRAINTS ALL IMMEDIATE")
                    found |= _settings(own, bodies)
            found = found or _settings(own, bodies)
    except Exception:  # noqa: BLE001  the statement itself will tell, when it runs as it was sent
        return None
    return found


def _replace(own: Query, one: _Probed, definition: str) -> None:
    """Give a function its probed body; it keeps its own where its owner is another one."""
    at = definition.rfind(one.body)
    if at < 0:
        return
    text = definition[:at] + one.probed.body + definition[at + len(one.body) :]
    run(own, "SAVEPOINT airlock_probe")
    try:
        run(own, text)
    except Exception:  # noqa: BLE001  it is not seen into then, and has no entry
        run(own, "ROLLBACK TO SAVEPOINT airlock_probe")
    run(own, "RELEASE SAVEPOINT airlock_probe")


def _with_blocks(statement: str, bodies: Sequence[_Probed]) -> str:
    """Put probed bodies in the place of a DO's own."""
    blocks = {one.body: one.probed.body for one in bodies if one.function is None}
    if not blocks:
        return statement
    parts, place = [], 0
    for token in tokens(statement):
        if token.kind == STRING and value(token) in blocks:
            parts += [statement[place : token.start], _quoted(blocks[value(token)])]
            place = token.end
    return "".join([*parts, statement[place:]])


def _quoted(body: str) -> str:
    """Quote a body with a dollar mark that is not in it."""
    mark = "$airlock$"
    while mark in body:
        mark = f"{mark[:-1]}k$"
    return f"{mark}{body}{mark}"


def _settings(own: Query, bodies: Sequence[_Probed]) -> dict[str, str]:
    names = [probe.setting for one in bodies for probe in one.probed.probes]
    names += [
        f"{one.prefix}_{name}"
        for one in bodies
        if one.function is not None and one.function.is_trigger
        for name in ("tg_op", "tg_name")
    ]
    found: dict[str, str] = {}
    for start in range(0, len(names), 200):
        some = names[start : start + 200]
        asking = ", ".join(f"pg_catalog.current_setting({literal(name)}, true)" for name in some)
        (row,) = list(own(f"SELECT {asking}"))
        found |= {name: str(one or "") for name, one in zip(some, row, strict=True)}
    return found


def _told(
    known: Known,
    statement: str,
    sent: str,
    plain: Sequence[Act],
    bodies: Sequence[_Probed],
    settings: dict[str, str],
) -> Iterator[Counted]:
    """Make of probes what the bodies did that were entered."""
    # Its names tell where rows are to be made; its constants belong to its own acts.
    names = masked(sent, numbers=True)
    for one in bodies:
        sql = one.function is not None and one.function.language == "sql"
        entered = 1 if sql else _number(settings, f"{one.prefix}_in")
        if sql and not any(_number(settings, probe.setting) for probe in one.probed.probes):
            continue
        if not entered:
            continue
        yield from _of_body(known, one, names, settings, entered, _given_by(statement, plain, one.function))
    for act in plain:
        for trigger in known.behind(act.table.rpartition(".")[2].strip('"'), statement):
            prefix = f"airlock.reach_f{trigger.function}"
            fired = settings.get(f"{prefix}_tg_name", "").split().count(trigger.name)
            scope = Scope("", f"{act.table} AS new", trigger.when, "")
            text = f"trigger {trigger.name} WHEN ({trigger.when})"
            yield Counted(
                row_changes.Act(
                    row_changes.CALL, act.table, text, scope, True, around=f"{names}; {trigger.when}"
                ),
                fired,
            )


def _of_body(
    known: Known, one: _Probed, names: str, settings: dict[str, str], entered: int, given: tuple[str, str]
) -> Iterator[Counted]:
    """Tell of one body; `given` are the table and the FROM in which its arguments have their names."""
    around = f"{names}; {one.body}"
    operations = frozenset(settings.get(f"{one.prefix}_tg_op", "").split())
    tables = _tables(known, one.function, names)
    ways = [
        (probe, rows)
        for probe in one.probed.probes
        if probe.kind == probes.WAY
        and (rows := _through(probe, one.probed.probes, settings, operations)) is not None
    ]
    table = tables[0] if tables else given[0]
    act = row_changes.Act(
        row_changes.CALL, table, f"in {one.name}", None, True,
        tuple(Branch(f"line {probe.line}: {probe.label}", probe.condition, _scope(table, probe, given[1])) for probe, _ in ways),
        around=around,
    )  # fmt: skip
    yield Counted(act, entered, None, tuple(rows for _, rows in ways))
    for probe in one.probed.probes:
        if probe.kind != probes.ROWS or (probe.within and not _number(settings, probe.within)):
            continue
        text = " ".join(probe.label.split())
        told = next(iter(row_changes.body_acts(f"{probe.label};")), None)
        kind = told.kind if told is not None else command(probe.label)
        act = row_changes.Act(
            kind,
            told.table if told is not None else "",
            f"in {one.name}, line {probe.line}: {text}",
            None,
            True,
            around=around,
        )
        yield Counted(act, _number(settings, probe.setting))


def _through(
    probe: Probe, every: Sequence[Probe], settings: dict[str, str], operations: frozenset[str]
) -> int | None:
    """Count what went one way; None where nothing needed to, or nothing could."""
    rows = _number(settings, probe.setting)
    if rows:
        return rows
    parent = next((one for one in every if one.setting == probe.within), None)
    if not probe.needed or (
        parent is not None and parent.kind == probes.WAY and not _number(settings, parent.setting)
    ):
        return None
    if probe.operations and not probe.operations & operations:
        return None
    return 0


def _tables(known: Known, function: Function | None, names: str) -> list[str]:
    """List the tables whose trigger a function is, those that a statement names first."""
    if function is None or not function.is_trigger:
        return []
    named = identifiers(names)
    found = dict.fromkeys(one.table for one in known.triggers if one.function == function.oid)
    return sorted(found, key=lambda it: (it.lower() not in named, it))


def _given_by(statement: str, plain: Sequence[Act], function: Function | None) -> tuple[str, str]:
    """Spell a FROM in which the arguments that a statement gives to a function have their names, and tell of which table."""
    if function is None or not function.arguments:
        return "", ""
    for act in plain:
        scope = act.scope
        name = act.table.rpartition(".")[2]
        if scope is None or not scope.mine or (tokens(scope.mine)[-1].text != name):
            continue
        found = functions_called.arguments(statement, function)
        if not found or len(found) > len(function.arguments):
            continue
        listed = ", ".join(
            f"{text} AS {_name(one)}" for one, text in zip(function.arguments, found, strict=False)
        )
        return act.table, f"(SELECT {name}.tableoid, {name}.ctid, {listed} FROM {scope.source}) AS {name}"
    return "", ""


def _name(plain: str) -> str:
    return '"' + plain.replace('"', '""') + '"'


def _scope(table: str, probe: Probe, given: str) -> Scope:
    """Tell which rows of a trigger's table, or of a function's arguments, go a way, as they are before the statement."""
    if not table or not probe.condition:
        return _NOWHERE
    if given:
        return Scope("", given, probe.condition, "")
    quoted = _name(table)
    both = f"{quoted} AS new JOIN {quoted} AS old ON old.ctid = new.ctid"
    return Scope("", both if "old." in probe.condition.lower() else f"{quoted} AS new", probe.condition, "")


def _number(settings: dict[str, str], name: str) -> int:
    return int(settings.get(name) or 0)


def _untold(called: Sequence[Function], blocks: Sequence[str], statement: str) -> Iterator[Counted]:
    """Take bodies with branches for unknown where no trial told of them."""
    for probed in _bodies(statement, called, blocks, expressions=False):
        if any(one.kind == probes.WAY and one.needed for one in probed.probed.probes):
            act = row_changes.Act(row_changes.CALL, "", f"in {probed.name}", None, True, around=probed.body)
            yield Counted(act, None)
