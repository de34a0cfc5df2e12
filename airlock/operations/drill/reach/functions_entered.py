"""What the bodies that a statement enters do with rows: DO blocks, functions, triggers; seen in a trial of the statement.

The trial runs the statement on bodies with probes in them (airlock.recorder.probes), reads the probes and undoes everything,
sequences too; the statement itself then runs on the bodies as they are. Where no trial is possible (a body that rolls back,
a language that is not read), counters tell of each write's table, and what they cannot tell is untold.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import command, literal
from airlock.operations.drill.reach import functions_called
from airlock.operations.drill.reach.asking import Counted, asked, run, tried
from airlock.operations.drill.reach.bodies_probed import (
    bodies_of,
    definitions,
    replace_body,
    settings_of,
    told_by,
)
from airlock.recorder import probes, row_changes
from airlock.recorder.tokens import STRING, closing, identifier, tokens, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.drivers.statements import Query
    from airlock.operations.drill.reach.bodies_probed import Probed
    from airlock.operations.drill.reach.functions_called import Function, Functions
    from airlock.recorder.row_changes import DataStatement

_MOST = 60
_SEQUENCES = """
SELECT format('%I.%I', schemaname, sequencename), last_value FROM pg_sequences WHERE last_value IS NOT NULL
"""


@dataclass(slots=True)
class Inside:
    """What was seen of the bodies.

    `data_statements` are writes that no trial told of, `sought` those that rows are to be made for.
    """

    counted: list[Counted] = field(default_factory=list)
    data_statements: tuple[DataStatement, ...] = ()
    sought: tuple[DataStatement, ...] = ()


def look(
    own: Query,
    functions: Functions,
    statement: str,
    sent: str,
    plain: Sequence[DataStatement],
    *,
    outside: bool,
) -> Inside:
    """See what a statement does in the bodies that it enters; nothing where it enters none.

    `plain` are its own data_statements. Runs it once and undoes that.
    """
    statement, goes = _entered(own, statement, outside=outside)
    if not statement:
        return Inside()
    blocks = row_changes.bodies(statement)
    if not plain and not blocks and not functions_called.calls(statement):
        return Inside()
    known = functions.known(lambda question: asked(own, question, outside=outside))
    called = known.called(statement)[:_MOST]
    rules = tuple(
        data
        for one in plain
        for rule in known.rules.get(one.relation.lower(), ())
        if f" ON {one.kind} TO " in rule
        for data in row_changes.body_data_statements(rule)
    )
    if not called and not blocks:
        return Inside(data_statements=rules, sought=rules)
    texts = [statement, *(one.body for one in called)]
    data_statements = tuple(
        _about(data, constants)
        for body, constants in (
            *((one, "") for one in blocks),
            *(
                (one.body, functions_called.constants_given(texts, one))
                for one in called
                if not one.is_trigger
            ),
        )
        for data in row_changes.body_data_statements(body)
    )
    for expressions in (True, False) if goes else ():
        bodies = bodies_of(statement, called, blocks, expressions=expressions)
        found = _trial(own, statement, bodies, outside=outside)
        if found is not None:
            counted = list(told_by(known, statement, sent, plain, bodies, found))
            return Inside(counted, rules, (*data_statements, *(one.data for one in counted), *rules))
    return Inside(
        list(_untold(called, blocks, statement)), (*data_statements, *rules), (*data_statements, *rules)
    )


def _about(data: DataStatement, constants: str) -> DataStatement:
    """Have a data statement of a body be about what the function was called with, too."""
    return replace(data, around=f"{constants}; {data.whole}") if constants else data


def _entered(own: Query, statement: str, *, outside: bool) -> tuple[str, bool]:
    """Give what runs when a statement does: the query of a cursor, of a COPY, what was prepared; and whether it can be tried.

    Empty where it runs nothing: of a COPY from a client the rows come later.
    """
    word, some = command(statement), tokens(statement)
    words = [token.word for token in some]
    if word in {"FETCH", "CLOSE", "PREPARE"} or (word == "EXPLAIN" and "ANALYZE" not in words):
        return "", False
    if word == "DECLARE":
        return (statement[some[words.index("FOR")].end :], True) if "FOR" in words else ("", False)
    if word == "COPY":
        inner = len(some) > 1 and some[1].text == "("
        return (statement[some[1].end : some[closing(some, 1)].start], True) if inner else (statement, False)
    if word == "EXECUTE" and len(some) > 1:
        text = prepared(own, statement, outside=outside)
        # As it was prepared, but for what runs: that is what EXECUTE names.
        return f"{statement} /* {text.replace('/*', '').replace('*/', '')} */", True
    return statement, True


def prepared(own: Query, statement: str, *, outside: bool) -> str:
    """Read what an EXECUTE names, as it was prepared; "" where that is unknown."""
    some = tokens(statement)
    name = literal(identifier(some[1])) if len(some) > 1 else "''"
    found = asked(own, f"SELECT statement FROM pg_prepared_statements WHERE name = {name}", outside=outside)
    return str(found[0][0]) if found else ""


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


def _trial(own: Query, statement: str, bodies: Sequence[Probed], *, outside: bool) -> dict[str, str] | None:
    """Run a statement on probed bodies; return the settings, None where that does not go."""
    found: dict[str, str] = {}
    try:
        with _undone(own, outside=outside):
            defined = definitions(own, bodies)
            for one in bodies:
                if one.function is not None:
                    replace_body(own, one, defined[one.function.oid])
            run(own, _with_blocks(statement, bodies))
            with contextlib.suppress(Exception):
                with tried(own, outside=False):
                    run(own, "SET CONSTRAINTS ALL IMMEDIATE")
                    found |= settings_of(own, bodies)
            found = found or settings_of(own, bodies)
    except Exception:  # noqa: BLE001  the statement itself will tell, when it runs as it was sent
        return None
    return found


def _with_blocks(statement: str, bodies: Sequence[Probed]) -> str:
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


def _untold(called: Sequence[Function], blocks: Sequence[str], statement: str) -> Iterator[Counted]:
    """Take bodies with branches for unknown where no trial told of them."""
    for probed in bodies_of(statement, called, blocks, expressions=False):
        if any(one.kind == probes.WAY and one.needed for one in probed.probed.probes):
            data = row_changes.DataStatement(
                row_changes.CALL, "", f"in {probed.name}", None, True, around=probed.body
            )
            yield Counted(data, None)
