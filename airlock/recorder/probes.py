"""Function bodies with probes in them: settings of the session that count which ways rows went and what they changed.

A probe is an assignment to a setting `airlock.…` by `set_config`, in a place where it disturbs nothing: an IF without
statements touches neither FOUND nor ROW_COUNT. PostgreSQL takes a setting back with the block or savepoint that it was made
in, so that what was undone does not count.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airlock.recorder import arms
from airlock.recorder.tokens import span, statements, tokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.recorder.tokens import Token

ENTRY, WAY, ROWS = "entry", "way", "rows"
DATA = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE"})
_EVERY_ROW = "SELECT airlock_w.* FROM airlock_w"
OF_THE_CALL = re.compile(r"\bTG_\w+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Probe:
    """One place in a body: what stands there, on which line, and whether rows must get there for a proof.

    `condition` tells, of a trigger's row, whether it gets there; empty where that cannot be written down.
    """

    setting: str
    kind: str
    label: str
    line: int
    needed: bool = True
    within: str = ""
    condition: str = ""
    operations: frozenset[str] = frozenset()


@dataclass(slots=True)
class Probed:
    """A body with probes, and the list of them; the first is that of its entry."""

    body: str
    probes: list[Probe] = field(default_factory=list)


def hit(setting: str, more: str = "1") -> str:
    """Spell the expression that adds to a setting; it is never NULL."""
    now = f"coalesce(nullif(pg_catalog.current_setting('{setting}', true), ''), '0')::pg_catalog.int8"
    return f"pg_catalog.set_config('{setting}', ({now} + {more})::pg_catalog.text, false)"


def in_sql(body: str, prefix: str, *, expressions: bool = True) -> Probed:
    """Put probes into the statements of an SQL function: how many rows each write changes, which way each CASE goes."""
    found, pieces = Probed(body), []
    offset = 0
    for number, piece in enumerate(statements(body)):
        offset = body.index(piece, offset)
        line = body.count("\n", 0, offset) + 1
        some = tokens(piece)
        edits: list[tuple[int, int, str]] = []
        if expressions:
            edits = list(in_cases(piece, some, f"{prefix}_{number}", line, found.probes, "", ()))
            for at, arm in enumerate(arms.in_queries(some)):
                setting = f"{prefix}_{number}_o{at}"
                found.probes.append(Probe(setting, WAY, f"OR {span(piece, arm)}", line))
                edits += arm_counted(arm, setting)
        text = edited(piece, edits)
        if some[0].word in DATA - {"MERGE"}:
            setting = f"{prefix}_s{number}"
            found.probes.append(Probe(setting, ROWS, piece, line))
            counted = hit(setting, "(SELECT count(*) FROM airlock_w)")
            if any(one.word == "RETURNING" and one.depth == some[0].depth for one in some):
                text = f"WITH airlock_w AS ({text}) {_EVERY_ROW} WHERE {counted} IS NOT NULL"
            else:
                text = f"WITH airlock_w AS ({text} RETURNING 1) SELECT {counted}"
        pieces.append(text)
    found.body = ";\n".join(pieces)
    return found


def in_cases(
    sql: str,
    some: Sequence[Token],
    prefix: str,
    line: int,
    probes: list[Probe],
    within: str,
    under: tuple[str, ...] | None,
) -> Iterator[tuple[int, int, str]]:
    """Put probes into CASE expressions: a condition that holds is counted, and so is that none did.

    A CASE with a subject is asked its subject for each WHEN. `under` are the conditions of the lists around it, None
    where they cannot be written down. Yields edits, and adds to `probes`.
    """
    place = 0
    while place < len(some):
        if some[place].word != "CASE" or (place and some[place - 1].word == "END"):
            place += 1
            continue
        depth = some[place].depth
        end = next(
            (at for at in range(place + 1, len(some)) if some[at].word == "END" and some[at].depth == depth),
            None,
        )
        if end is None:
            return
        yield from _case(sql, some[place + 1 : end], f"{prefix}_{place}", line, probes, within, under)
        place += 1


def _case(
    sql: str,
    inside: Sequence[Token],
    prefix: str,
    line: int,
    probes: list[Probe],
    within: str,
    under: tuple[str, ...] | None,
) -> Iterator[tuple[int, int, str]]:
    depth = inside[0].depth
    marks = [
        at for at, one in enumerate(inside) if one.depth == depth and one.word in {"WHEN", "THEN", "ELSE"}
    ]
    if not marks or len(marks) < 2:
        return
    subject = span(sql, inside[: marks[0]])
    if subject and "CASE" in subject.upper():
        return
    if subject:
        yield (inside[0].start, inside[marks[0]].start, "")
    number, earlier = 0, under
    for at, following in itertools.pairwise(marks):
        if inside[at].word != "WHEN" or following == at + 1:
            continue
        part = inside[at + 1 : following]
        said = span(sql, part)
        setting = f"{prefix}_w{number}"
        number += 1
        label = f"CASE {subject} WHEN {said}" if subject else f"CASE WHEN {said}"
        holds = f"(({subject}) = ({said}))" if subject else f"({said})"
        probes.append(Probe(setting, WAY, label, line, within=within, condition=joined(earlier, holds)))
        earlier = None if earlier is None else (*earlier, f"{holds} IS NOT TRUE")
        yield (part[0].start, part[0].start, f"(({subject}) = (" if subject else "((")
        yield (part[-1].end, part[-1].end, f")) IS TRUE AND {hit(setting)} IS NOT NULL")
    last = inside[marks[-1]]
    if last.word == "ELSE":
        setting = f"{prefix}_e"
        label = f"ELSE {span(sql, inside[marks[-1] + 1 :])}"
        probes.append(Probe(setting, WAY, label, line, within=within, condition=joined(earlier)))
        yield (last.start, last.start, f" WHEN {hit(setting)} IS NULL THEN NULL ")


def arm_counted(arm: Sequence[Token], setting: str) -> list[tuple[int, int, str]]:
    """Spell the edits that count the rows for which an arm of an OR holds."""
    start, end = arm[0].start, arm[-1].end
    return [(start, start, "(("), (end, end, f") IS TRUE AND {hit(setting)} IS NOT NULL)")]


def joined(earlier: tuple[str, ...] | None, *more: str) -> str:
    """Join conditions by AND, without those about the call; none where the earlier ones cannot be written down."""
    return (
        ""
        if earlier is None
        else " AND ".join(one for one in (*earlier, *more) if not OF_THE_CALL.search(one))
    )


def edited(sql: str, edits: Sequence[tuple[int, int, str]]) -> str:
    """Apply edits; of several at one place the first comes first."""
    parts, place = [], 0
    for start, end, text in sorted(edits, key=lambda it: it[0]):
        parts += [sql[place:start], text]
        place = max(end, place)
    return "".join([*parts, sql[place:]])
