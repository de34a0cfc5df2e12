"""Questions about a statement, asked on its own connection: in savepoints that are rolled back, so that nothing stays."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.database.server_errors import sqlstate
from airlock.operations.drill.failures import is_endless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from airlock.drivers.statements import Query
    from airlock.recorder.row_changes import DataStatement

_SAVEPOINT = "airlock_reach"


@dataclass(slots=True)
class Counted:
    """One data statement of what was sent: how many rows it wrote, how many it left, how many went through each branch.

    None where that cannot be told.
    """

    data: DataStatement
    changed: int | None
    left: int | None = None
    branches: tuple[int | None, ...] = ()


@contextlib.contextmanager
def tried(own: Query, *, outside: bool) -> Iterator[None]:
    """Undo what the block does; outside a transaction there is nothing that a question could leave behind."""
    if outside:
        yield
        return
    run(own, f"SAVEPOINT {_SAVEPOINT}")
    try:
        yield
    finally:
        run(own, f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        run(own, f"RELEASE SAVEPOINT {_SAVEPOINT}")


def run(own: Query, statement: str) -> None:
    """Run a statement that gives no rows: drivers complain that there are none to fetch, the server does not."""
    try:
        list(own(statement))
    except Exception as error:
        if sqlstate(error) is not None:
            raise


def asked(own: Query, question: str, *, outside: bool) -> list[Any] | None:
    """Ask in a savepoint; None where the server does not answer. Raises where it answers too late: the statement would, too."""
    try:
        with tried(own, outside=outside):
            return list(own(question))
    except Exception as error:
        if is_endless(error):
            raise
        # A question that cannot be asked has no answer.
        return None
