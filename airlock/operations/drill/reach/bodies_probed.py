"""Bodies with probes in them, put in the place of a database's own, and what they tell of what was entered."""

from __future__ import annotations

import contextlib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command, identifiers, literal, quoted
from airlock.operations.drill.reach import functions_called
from airlock.operations.drill.reach.asking import Counted, run
from airlock.recorder import plpgsql_probes, probes, row_changes
from airlock.recorder.branches import Branch, Scope
from airlock.recorder.plpgsql import Unreadable
from airlock.recorder.tokens import masked, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.drivers.statements import Query
    from airlock.operations.drill.reach.functions_called import Function, Known
    from airlock.recorder.probes import Probe
    from airlock.recorder.row_changes import DataStatement

_NOWHERE = Scope("", "", "", "")
# A column that must become another one for a condition to hold.
_CHANGED = re.compile(
    r"\bNEW\.(\w+)\)?\s*(?:<>|!=|IS DISTINCT FROM)\s*\(?OLD\.\1\b|\bOLD\.(\w+)\)?\s*(?:<>|!=|IS DISTINCT FROM)\s*\(?NEW\.\2\b",
    re.IGNORECASE,
)
_OF_OTHERS = re.compile(r"\b(SELECT|EXISTS|FOUND)\b", re.IGNORECASE)
_DEFINITIONS = "SELECT p.oid::bigint, pg_get_functiondef(p.oid) FROM pg_proc p WHERE p.oid IN ({0})"


@dataclass(frozen=True, slots=True)
class Probed:
    """One body of the trial: whose it is, its probes, what it is called in reports."""

    function: Function | None
    name: str
    prefix: str
    body: str
    probed: probes.Probed


def bodies_of(
    statement: str, called: Sequence[Function], blocks: Sequence[str], *, expressions: bool
) -> list[Probed]:
    """Put probes into DO blocks and functions that a statement gets to; what cannot be read is left out."""
    found = []
    for number, block in enumerate(blocks):
        prefix = f"airlock.reach_do{number}"
        with contextlib.suppress(Unreadable):
            probed = plpgsql_probes.in_plpgsql(
                _uncommitted(block), prefix, trigger=False, expressions=expressions
            )
            found.append(Probed(None, "DO", prefix, block, probed))
    for one in called:
        prefix = f"airlock.reach_f{one.oid}"
        with contextlib.suppress(Unreadable):
            if one.language == "sql":
                probed = probes.in_sql(one.body, prefix, expressions=expressions)
            else:
                given = functions_called.given(statement, one)
                probed = plpgsql_probes.in_plpgsql(
                    one.body, prefix, trigger=one.is_trigger, given=given, expressions=expressions
                )
            found.append(Probed(one, f"{one.name}()", prefix, one.body, probed))
    return found


def _uncommitted(block: str) -> str:
    """Leave out COMMIT, which a trial that is undone cannot run: a backfill in batches does the same without it."""
    for one, after in itertools.pairwise(list(tokens(block))):
        if one.word == "COMMIT" and block[after.start : after.end] == ";":
            block = f"{block[: one.start]}NULL  {block[one.end :]}"
    return block


def definitions(own: Query, bodies: Sequence[Probed]) -> dict[int, str]:
    """Read the definitions of the functions among some bodies."""
    oids = [str(one.function.oid) for one in bodies if one.function is not None]
    if not oids:
        return {}
    return {int(row[0]): str(row[1]) for row in own(_DEFINITIONS.format(", ".join(oids)))}


def replace_body(own: Query, one: Probed, definition: str) -> None:
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


def settings_of(own: Query, bodies: Sequence[Probed]) -> dict[str, str]:
    """Read what the probes of some bodies count."""
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


def told_by(
    known: Known,
    statement: str,
    sent: str,
    plain: Sequence[DataStatement],
    bodies: Sequence[Probed],
    settings: dict[str, str],
) -> Iterator[Counted]:
    """Make of probes what the bodies did that were entered."""
    # Its names tell where rows are to be made; its constants belong to its own data statements, but for what it calls with.
    names = masked(sent, numbers=True)
    # What rows it inserts, it says itself: no others can be made for it.
    fixed = bool(plain) and all(
        it.kind == row_changes.INSERT and not it.chooses and it.scope is None for it in plain
    )
    for one in bodies:
        sql = one.function is not None and one.function.language == "sql"
        entered = 1 if sql else _number(settings, f"{one.prefix}_in")
        counted = any(_number(settings, probe.setting) for probe in one.probed.probes)
        if sql and not counted and not _is_called_once(one.function, statement, plain):
            continue
        if not entered:
            continue
        given = _given_by(statement, plain, one.function)
        texts = [statement, *(other.body for other in bodies)]
        constants = functions_called.constants_given(texts, one.function) if one.function is not None else ""
        about = "; ".join(text for text in (names, constants) if text)
        yield from _of_body(known, one, about, settings, entered, given, fixed=fixed)
    for data in plain:
        for trigger in known.behind(data.relation, statement):
            if _stays_shut(trigger.when, names, fixed=fixed):
                continue
            prefix = f"airlock.reach_f{trigger.function}"
            fired = settings.get(f"{prefix}_tg_name", "").split().count(trigger.name)
            scope = Scope("", f"{data.table} AS new", trigger.when, "")
            text = f"trigger {trigger.name} WHEN ({trigger.when})"
            yield Counted(
                row_changes.DataStatement(
                    row_changes.CALL, data.table, text, scope, True, around=f"{names}; {trigger.when}"
                ),
                fired,
            )


def _is_called_once(function: Function | None, statement: str, plain: Sequence[DataStatement]) -> bool:
    """Tell whether a statement does no more than call a function, not for rows: `CALL f('x')`, `SELECT f('x')`."""
    words = [token.word for token in tokens(statement)]
    return (
        function is not None
        and not plain
        and words[0] in {"CALL", "SELECT"}
        and not {"FROM", "WHERE", "CASE"} & set(words)
        and function.name.lower().rpartition(".")[2] in {one.lower() for one in identifiers(statement)}
    )


def _of_body(
    known: Known,
    one: Probed,
    names: str,
    settings: dict[str, str],
    entered: int,
    given: tuple[str, str],
    *,
    fixed: bool,
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
        and not (rows == 0 and _stays_shut(probe.condition or probe.label, names, fixed=fixed))
    ]
    table = tables[0] if tables else given[0]
    data = row_changes.DataStatement(
        row_changes.CALL, table, f"in {one.name}", None, True,
        tuple(Branch(f"line {probe.line}: {probe.label}", probe.condition, _scope(table, probe, given[1])) for probe, _ in ways),
        around=around,
    )  # fmt: skip
    yield Counted(data, entered, None, tuple(rows for _, rows in ways))
    for probe in one.probed.probes:
        if probe.kind != probes.ROWS or (probe.within and not _number(settings, probe.within)):
            continue
        text = " ".join(probe.label.split())
        told = next(iter(row_changes.body_data_statements(f"{probe.label};")), None)
        kind = told.kind if told is not None else command(probe.label)
        data = row_changes.DataStatement(
            kind,
            told.table if told is not None else "",
            f"in {one.name}, line {probe.line}: {text}",
            None,
            True,
            around=around,
        )
        yield Counted(data, _number(settings, probe.setting))


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


def _stays_shut(condition: str, names: str, *, fixed: bool) -> bool:
    """Tell whether no row can open a way: where a statement inserts constants, or does not set the column that must change."""
    if fixed and not _OF_OTHERS.search(condition):
        return True
    if " or " in condition.lower():
        return False
    mentioned = {one.lower() for one in identifiers(names)}
    return any(
        column.lower() not in mentioned for pair in _CHANGED.findall(condition) for column in pair if column
    )


def _tables(known: Known, function: Function | None, names: str) -> list[str]:
    """List the tables whose trigger a function is, those that a statement names first."""
    if function is None or not function.is_trigger:
        return []
    named = identifiers(names)
    found = dict.fromkeys(one.table for one in known.triggers if one.function == function.oid)
    return sorted(found, key=lambda it: (it.lower() not in named, it))


def _given_by(statement: str, plain: Sequence[DataStatement], function: Function | None) -> tuple[str, str]:
    """Spell a FROM in which the arguments that a statement gives to a function have their names, and tell of which table."""
    if function is None or not function.arguments:
        return "", ""
    for data in plain:
        scope = data.scope
        name = data.table.rpartition(".")[2]
        if scope is None or not scope.mine or (tokens(scope.mine)[-1].text != name):
            continue
        found = functions_called.arguments(statement, function)
        if not found or len(found) > len(function.arguments):
            continue
        listed = ", ".join(
            f"{text} AS {quoted(one)}" for one, text in zip(function.arguments, found, strict=False)
        )
        return data.table, f"(SELECT {name}.tableoid, {name}.ctid, {listed} FROM {scope.source}) AS {name}"
    return "", ""


def _scope(table: str, probe: Probe, given: str) -> Scope:
    """Tell which rows of a trigger's table, or of a function's arguments, go a way, as they are before the statement."""
    if not table or not probe.condition:
        return _NOWHERE
    if given:
        return Scope("", given, probe.condition, "")
    named = quoted(table)
    both = f"{named} AS new JOIN {named} AS old ON old.ctid = new.ctid"
    return Scope("", both if "old." in probe.condition.lower() else f"{named} AS new", probe.condition, "")


def _number(settings: dict[str, str], name: str) -> int:
    return int(settings.get(name) or 0)
