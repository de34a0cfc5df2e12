"""Cut a step at every statement by ending its server process, run again, and see where that leads."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import event
from sqlalchemy.engine import Engine

from airlock.acts.drill import judge
from airlock.acts.drill.step import take
from airlock.words.drill import Cut
from airlock.words.errors import AirlockError, HalfApplied

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.acts.drill.ledger import State
    from airlock.acts.drill.revision import Examination

_MOST_CUTS = 200


@dataclass
class _Cutter:
    """Counts the statements that env.py's connections send, and ends the server process before one of them."""

    one: Examination
    at: int
    seen: int = 0
    sql: str = ""

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        event.listen(Engine, "before_cursor_execute", self._before)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", self._before)

    def _before(self, connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.seen += 1
        if self.seen != self.at:
            return
        self.sql = " ".join(statement.split())
        pid = _backend_pid(connection)
        if pid is not None:
            with self.one.ledger.reading.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def _backend_pid(connection: Any) -> int | None:
    """Ask the driver for the server process, without a statement."""
    raw = connection.connection.driver_connection
    info = getattr(raw, "info", None)
    if info is not None:
        return int(info.backend_pid)
    ask = getattr(raw, "get_server_pid", None)
    return int(ask()) if ask is not None else None


def cut_everywhere(one: Examination, below: State, above: State) -> None:
    """Cut the upgrade and the downgrade at each statement; after each, the rerun must arrive.

    The database stands above the revision, before and after. A rerun that stops with exit 41 is what the design
    promises for a revision that left its transaction without being `resumable`; then the cuts of that revision end.
    """
    for direction, goal in (("down", below), ("up", above)):
        for number in range(1, _MOST_CUTS):
            if one.stuck:
                return
            if direction == "up":
                take(one.project, one.facts.revision, "down")
            cutter = _Cutter(one, number)
            failed = _run_cut(one, direction, cutter)
            if not cutter.sql:
                # Past the last statement: the step went through whole.
                if direction == "down":
                    take(one.project, one.facts.revision, "up")
                break
            one.cuts.append(_rerun(one, direction, number, cutter.sql, goal, failed=failed))
            if direction == "down" and not one.stuck:
                take(one.project, one.facts.revision, "up")


def _run_cut(one: Examination, direction: str, cutter: _Cutter) -> bool:
    try:
        with cutter.listening():
            _go(one, direction)
    except Exception:  # noqa: BLE001  it was made to fail
        return True
    return False


def _go(one: Examination, direction: str) -> None:
    """Upgrade as `airlock upgrade` does; a downgrade step by itself, for that one would count losses first."""
    if direction == "down":
        take(one.project, one.facts.revision, "down")
        return
    from airlock.acts.upgrade import migrate
    from airlock.instruments.target import resolve_target
    from airlock.words.upgrade import Request

    target = resolve_target(one.ledger.url, {}, lambda: None)
    migrate(one.project, target, Request(one.facts.revision, "up", wait_s=30.0))


def _rerun(one: Examination, direction: str, number: int, sql: str, goal: State, *, failed: bool) -> Cut:
    left = (
        one.up is None or one.up.touched is None
        if direction == "up"
        else one.down is None or one.down.touched is None
    )
    try:
        if failed:
            _go(one, direction)
    except HalfApplied as error:
        one.stuck = True
        expected = left and not one.facts.resumable
        return Cut(direction, number, sql, f"the rerun stops with exit 41: {error.message}", expected)
    except (AirlockError, psycopg2.Error, Exception) as error:  # noqa: BLE001
        one.stuck = True
        expected = direction == "down" and left and not one.facts.resumable
        words = "half applied and not resumable" if expected else "the rerun fails"
        return Cut(
            direction, number, sql, f"{words}: {type(error).__name__}: {str(error).splitlines()[0]}", expected
        )
    found, _ = judge.structure(goal, one.ledger.read())
    if found:
        one.stuck = True
        return Cut(
            direction, number, sql, f"the rerun ends elsewhere: {found[0].object}, {found[0].kind}", False
        )
    return Cut(direction, number, sql, "the rerun arrived", True)
