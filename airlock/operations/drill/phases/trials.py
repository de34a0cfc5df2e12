"""Trials of a downgrade where the upgrade stands: inside its own transaction, each in a savepoint, and nothing of it stays."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy.exc import SQLAlchemyError

from airlock.operations.drill import failures
from airlock.operations.drill.step import take
from airlock.project import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

    from airlock.operations.drill.state import State
    from airlock.operations.drill.subject import Subject


class Undone(Exception):
    """Takes back what was tried."""


class Commits(BaseException):
    """Ends a trial whose step would commit: through whatever the revision, or a phase, catches."""


def inside_the_downgrade(
    subject: Subject, above: State, go_through: Callable[[Connection, Callable[[], Any]], None]
) -> str:
    """Call `go_through` with the downgrade's connection and function, and undo what it did; say what broke it off, or nothing.

    The database must stand `above` the upgrade. Runs env.py, commits nothing; raises nothing that the revision does.
    """
    return _inside(
        subject, "down", above, lambda connection, script: go_through(connection, script.downgrade)
    )


def inside_the_upgrade(
    subject: Subject,
    below: State,
    go_through: Callable[[Connection, Callable[[], Any], Callable[[], Any]], None],
) -> str:
    """Call `go_through` with the upgrade's connection, its function and the downgrade's, where the database stands `below`."""
    return _inside(
        subject,
        "up",
        below,
        lambda connection, script: go_through(connection, script.upgrade, script.downgrade),
    )


def _inside(
    subject: Subject, direction: str, state: State, go_through: Callable[[Connection, Any], None]
) -> str:
    ledger = subject.ledger

    def commits() -> NoReturn:
        raise Commits

    def around(context: MigrationContext) -> None:
        script = subject.project.script.get_revision(subject.facts.revision)
        if context.connection is not None and script is not None:
            context.autocommit_block = commits  # type: ignore[method-assign]
            go_through(context.connection, script.module)
        raise Undone

    broken_off = ""
    clean = ledger.is_read()
    try:
        take(subject.project, subject.facts.revision, direction, around=around)
    except Undone:
        pass
    except Commits:
        broken_off = "the step commits in between (autocommit_block)"
    except Exception as error:  # noqa: BLE001  env.py may raise anything
        broken_off = failures.one_line(error)
    if clean:
        ledger.read_at = environment.runs()
    # The one thing that no rollback takes back.
    ledger.set_sequences(state.sequences)
    return broken_off


@contextlib.contextmanager
def undone(connection: Connection) -> Iterator[None]:
    """Take back what the block does, and end quietly where it raises Undone; raises what else it raises."""
    with contextlib.suppress(Undone), connection.begin_nested():
        yield
        raise Undone


def goes(connection: Connection, step: Callable[[], Any]) -> bool:
    """Tell whether a step goes as it is inside the transaction of a trial; undone."""
    try:
        with undone(connection):
            step()
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
    except Exception:  # noqa: BLE001  a revision may raise anything
        return False
    return True


def escaped(query: str) -> str:
    """Spell a query for a driver that reads `%` as a mark for a value."""
    return query.replace("%", "%%")


def counted(connection: Connection, query: str) -> int | None:
    """Count; None where the server does not take the query."""
    if not query:
        return None
    try:
        with connection.begin_nested():
            return int(connection.exec_driver_sql(escaped(query)).scalar() or 0)
    except SQLAlchemyError:
        return None
