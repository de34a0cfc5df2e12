"""Count what the data statements of a step do to rows, and which ways rows go through them, where they pass the drivers.

A WHERE that no sample row satisfies makes an UPDATE, DELETE, MERGE or INSERT … SELECT do nothing, on the way up and on the
way down, and every comparison agrees. Statements are seen where they pass the drivers, whoever sends them.
"""

from __future__ import annotations

import contextlib
import re
import time
import weakref
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.drivers.notices import hear
from airlock.drivers.spelling import command
from airlock.operations.drill.failures import end_of_rounds
from airlock.operations.drill.reach import functions_called, rows_met, rows_not_taken, unreached_writes
from airlock.operations.drill.reach.asking import Counted, asked
from airlock.operations.drill.reach.functions_called import Functions
from airlock.operations.drill.reach.modules_called import NOT_THE_PROJECT
from airlock.operations.drill.reach.statements_met import Seen, met, warned_of
from airlock.recorder import installed
from airlock.recorder import row_changes as reading
from airlock.recorder.source import frames
from airlock.recorder.tokens import masked, statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from airlock.drivers.statements import Query
    from airlock.operations.drill.reach.rows_met import Columns, Measure
    from airlock.operations.drill.reach.statements_met import Sent
    from airlock.recorder.row_changes import DataStatement
    from airlock.records.drill import Met

# A loop over rows sends one statement a row: the first ones tell.
_MOST_OF_A_LINE = 200
_QUIET = frozenset({
    "SET", "RESET", "SHOW", "BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "ALTER", "DROP", "COMMENT",
    "GRANT", "REVOKE", "LOCK", "ANALYZE", "VACUUM", "REINDEX",
})  # fmt: skip
_CALLS = frozenset({"SELECT", "CALL"})
_RETYPES = re.compile(r"\bALTER\b.*\bTYPE\b", re.IGNORECASE | re.DOTALL)
# What may grant or revoke; and what the server says of a GRANT or REVOKE that has changed nothing, or not all of it, since
# another role has to do that. Of the drill's owner that is so, of the target's it need not be.
_MAY_GRANT = re.compile(r"\b(grant|revoke|do|select|call)\b", re.IGNORECASE)
_DID_NOTHING = re.compile(
    r"(no|not all) privileges (were granted|could be revoked) for"
    r'|role ".+" (is not a member of|has not been granted membership in) role'
)


def _is_quiet(sql: str) -> bool:
    """Tell whether a text writes, chooses and calls nothing: of several statements, whether none of them does."""
    if command(sql) not in _QUIET or functions_called.converts(sql):
        return False
    return ";" not in sql or all(
        command(piece) in _QUIET and not functions_called.converts(piece) for piece in statements(sql)
    )


def _is_of_the_project(frame: FrameType) -> bool:
    return not frame.f_code.co_filename.startswith((*NOT_THE_PROJECT, "<"))


@dataclass(slots=True)
class _Running:
    """One text between its start and its end."""

    place: tuple[str, int]
    text: str
    in_rounds: bool = False
    measure: Measure | None = None
    apart: list[list[Counted]] = field(default_factory=list)
    # Of a statement that is sent with several sets of values: what each set chooses.
    each: list[Counted] = field(default_factory=list)


class Reach:
    """Counts while `watching`, between `begin` and `end`; drivers tell it of every statement."""

    opening = False

    def __init__(self) -> None:
        self.active = False
        self._busy = False
        self._path = Path()
        self._seen: dict[Sent, Seen] = {}
        self._lines: dict[str, set[int]] = {}
        self._told: Counter[tuple[str, int]] = Counter()
        self._functions = Functions()
        self._below: Columns = frozenset()
        self._sought: dict[str, DataStatement] = {}
        # As sent: what changes the type of a column, and what may have been asked of rows.
        self.retypings: list[str] = []
        self.queries: list[str] = []
        # What looking has cost the step, in milliseconds.
        self.spent_ms = 0.0
        self._undo = contextlib.ExitStack()
        self._hearing: weakref.WeakSet[Any] = weakref.WeakSet()
        # The last statement, and those of which the server only warned that they did nothing.
        self._last: tuple[tuple[str, int], str] = ("", 0), ""
        self._warned: dict[tuple[str, int, str], str] = {}

    def begin(self, path: Path, below: Columns = frozenset()) -> None:
        """Count from now on what a revision's own function sends; `below` are the columns that are there already."""
        self.end()
        self._below = below
        self._path, self._seen, self.active, self._busy = path, {}, True, False
        self._told.clear()
        self._functions.forget()
        self._sought, self.retypings, self.queries, self.spent_ms = {}, [], [], 0.0
        self._warned = {}
        self._lines = self._undo.enter_context(unreached_writes.lines_of(path))

    def end(self) -> None:
        """Count no more."""
        self.active = False
        self._undo.close()

    def line_now(self) -> int:
        """Tell nothing: the place is looked up when a statement is told."""
        return 0

    def before(
        self,
        session: Any,
        own: Query,
        sql: str,
        *,
        outside: bool,
        line: int | None = None,
        bound: Callable[[], str] | None = None,
        many: Callable[[], Sequence[str]] | None = None,
    ) -> _Running | None:
        """Ask what a statement will choose."""
        del line
        if not self.active or self._busy:
            return None
        if session not in self._hearing:
            self._hearing.add(session)
            hear(session, self._told_by_the_server)
        if _MAY_GRANT.search(sql):
            self._last = self._place(), sql
        if _RETYPES.search(sql):
            self.retypings.append(sql)
        if _is_quiet(sql):
            if functions_called.defines(sql):
                self._functions.forget()
            return None
        self._busy, began = True, time.perf_counter()
        try:
            place = self._place()
            self._told[place] += 1
            end_of_rounds(place, self._told[place], sql)
            if self._told[place] > _MOST_OF_A_LINE:
                return None
            pieces = statements(_bound(sql, bound))
            self.queries += pieces
            sent = statements(sql)
            if len(sent) != len(pieces):
                sent = tuple(masked(piece, numbers=True) for piece in pieces)
            running = _Running(place, _bound(sql, bound), self._in_rounds())
            if len(pieces) == 1:
                running.measure = rows_met.begin(
                    own, pieces[0], sent[0], self._functions, self._below, outside=outside
                )
                if running.measure is not None:
                    self._sought |= {one.text: one for one in running.measure.sought}
                    running.each = rows_met.of_each(own, running.measure, _spelled(many), sent[0])
                    self._sought |= {one.data.text: one.data for one in running.each}
            elif self._do_something(own, pieces):
                found = None if outside else rows_met.apart(own, pieces, sent, self._functions, self._below)
                running.apart, sought = found if found is not None else ([_untold(sent)], ())
                self._sought |= {one.text: one for one in sought}
            if any(functions_called.defines(piece) for piece in pieces):
                self._functions.forget()
        finally:
            self._busy = False
            self.spent_ms += (time.perf_counter() - began) * 1000
        return running if running.measure is not None or running.apart else None

    def after(self, running: _Running, *, rows: int, returns_rows: bool) -> None:
        """Count what it has written."""
        del returns_rows
        self._busy, began = True, time.perf_counter()
        try:
            counted = [running.measure.end(rows)] if running.measure is not None else running.apart
            if running.each and running.measure is not None:
                counted = [[*running.each, *running.measure.inside]]
        finally:
            self._busy = False
            self.spent_ms += (time.perf_counter() - began) * 1000
        for number, each in enumerate(counted):
            for place, one in enumerate(each):
                self._add(running, number * 100 + place, one)

    def _do_something(self, own: Query, pieces: Sequence[str]) -> bool:
        """Tell whether statements of one text write rows, or call functions of the project's own, made in the text or before."""
        if any(rows_met.writes(piece) for piece in pieces):
            return True
        loud = [piece for piece in pieces if not _is_quiet(piece) and functions_called.calls(piece)]
        if not loud or any(functions_called.makes_function(piece) for piece in pieces):
            return bool(loud)
        known = self._functions.known(lambda question: asked(own, question, outside=False))
        return any(known.called(piece) for piece in loud)

    def _told_by_the_server(self, said: str) -> None:
        if self.active and _DID_NOTHING.match(said):
            (file, line), sql = self._last
            self._warned[file, line, said] = masked(sql)

    def failed(self, running: _Running) -> None:
        """Forget a statement that raised."""
        del running

    def _add(self, running: _Running, number: int, one: Counted) -> None:
        file, line = running.place
        # Rounds of a loop over rows, or until nothing is left, are one statement; those of a loop over values are not.
        text = rows_not_taken.one_of_rounds(str(self._path), line, one.data.text)
        call = ""
        if one.data.around and one.data.kind != reading.CALL and command(running.text) in _CALLS:
            # A write in a body has the same text whatever values the function is called with.
            call = rows_not_taken.one_of_rounds(str(self._path), line, running.text)
            call = masked(call, numbers=True) if running.in_rounds else call
        self._sought.setdefault(one.data.text, one.data)
        seen = self._seen.setdefault((file, line, text, call, number), Seen(one.data))
        seen.in_rounds |= running.in_rounds
        seen.add(one)

    def _in_rounds(self) -> bool:
        """Tell whether the innermost of the project's own lines stands in a loop that ends when nothing is left."""
        frame = next((it for it in frames() if _is_of_the_project(it)), None)
        if frame is None:
            return False
        around = rows_not_taken.batches(frame.f_code.co_filename)
        return any(start <= frame.f_lineno <= end for start, end in around)

    def _place(self) -> tuple[str, int]:
        """Find the innermost line of the revision's file, else the innermost of the project's own files."""
        # In a greenlet of its own a driver tells of a statement with nothing further up.
        other: tuple[str, int] | None = None
        for frame in frames():
            name = frame.f_code.co_filename
            if name == str(self._path):
                return self._path.name, frame.f_lineno
            if other is None and _is_of_the_project(frame):
                other = Path(name).name, frame.f_lineno
        return other or (self._path.name, 0)

    def data_statements(self) -> tuple[DataStatement, ...]:
        """Give everything that was sent, with its values: for rows to be made of, not to be shown."""
        return tuple({**{seen.data.text: seen.data for seen in self._seen.values()}, **self._sought}.values())

    def met(self, direction: str) -> tuple[Met, ...]:
        """Tell of each statement what it met, in the order of lines, and why nothing is proved where that is so."""
        warned = warned_of(self._warned, direction)
        return (*met(self._seen, self._path, self._lines, direction), *warned)


def _untold(pieces: tuple[str, ...]) -> list[Counted]:
    """Take the data statements of a text whose statements could not be tried one by one for unknown."""
    return [
        Counted(data, None)
        for piece in pieces
        for data in (
            *reading.data_statements(piece),
            *(it for body in reading.bodies(piece) for it in reading.body_data_statements(body)),
        )
        if data.kind != reading.READ
    ]


def _bound(sql: str, bound: Callable[[], str] | None) -> str:
    if bound is None:
        return sql
    with contextlib.suppress(Exception):  # a value that the driver cannot spell
        return bound()
    return sql


def _spelled(many: Callable[[], Sequence[str]] | None) -> Sequence[str]:
    with contextlib.suppress(Exception):  # a value that the driver cannot spell
        return many() if many is not None else ()
    return ()


_REACH = Reach()


@contextlib.contextmanager
def watching() -> Iterator[Reach]:
    """Have the drivers tell of statements while the block runs; connections that stay open know one listener only."""
    with installed(_REACH):
        try:
            yield _REACH
        finally:
            _REACH.end()
