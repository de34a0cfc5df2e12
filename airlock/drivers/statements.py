"""What every tap does around a statement: tell the recorder before, after, and of failure."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Row = Sequence[Any]
    # Runs one query without parameters on some connection and fetches all rows.
    Query = Callable[[str], Iterable[Row]]
    # Gets a driver's name, its connect function, and whether that takes a class first; gives another such function.
    Replacement = Callable[[str, Callable[..., Any], bool], Callable[..., Any]]
    # Puts a value in the place of an owner's `connect`, for a while.
    Patch = Callable[[Any, Any], None]


class Listener(Protocol):
    """Who is told of statements: asked `before` each, told `after` it or that it `failed`, with what `before` gave.

    `own` runs a query on the statement's connection, unseen by taps; `bound` spells the statement with its values, `many` with
    each of its other sets of values where it is sent with several.
    """

    def __hash__(self) -> int:
        """Be known by identity: cursor classes are made once for each listener."""

    @property
    def active(self) -> bool:
        """Tell whether statements are of interest now."""

    @property
    def opening(self) -> bool:
        """Tell whether the listener connects for itself."""

    def line_now(self) -> int:
        """Tell the line of the revision that is being executed."""

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
    ) -> Any:
        """Prepare; None where the statement is of no interest."""

    def after(self, running: Any, *, rows: int, returns_rows: bool) -> None:
        """Look at what was done."""

    def failed(self, running: Any) -> None:
        """Let go."""


# A statement may be sent with thousands of sets of values: so many are looked at.
MOST_SETS = 25
# SQLAlchemy's adapters, and psycopg's own look-ups of types as it connects.
_OTHERS = ("sqlalchemy.", "psycopg._typeinfo")


def sent_by_sqlalchemy() -> bool:
    """Tell whether SQLAlchemy called the function that asks: its statements are seen by the Engine's events."""
    return str(sys._getframe(2).f_globals.get("__name__", "")).startswith(_OTHERS)


def reports(factory: Any, marker: type) -> bool:
    """Tell whether a cursor class reports already."""
    return isinstance(factory, type) and issubclass(factory, marker)


def around(recorder: Listener, running: Any, run: Callable[[], Any], cursor: Any) -> Any:
    """Run a statement between the start and the end of its record."""
    try:
        result = run()
    except BaseException:
        fail(recorder, running)
        raise
    finish(recorder, running, cursor)
    return result


def finish(recorder: Listener, running: Any, cursor: Any) -> None:
    """Finish a record from what the cursor knows."""
    if running is not None:
        rows = cursor.rowcount if isinstance(cursor.rowcount, int) else 0
        recorder.after(running, rows=rows, returns_rows=cursor.description is not None)


def fail(recorder: Listener, running: Any) -> None:
    """Give a record up."""
    if running is not None:
        recorder.failed(running)


def statement_of(query: Any, connection: Any, values: Any) -> str:
    """Read a statement as the server gets it, its values left out: beside any values a percent sign is written twice."""
    text = query.as_string(connection) if hasattr(query, "as_string") else text_of(query)
    return text if values is None else text.replace("%%", "%")


def others_of(many: Any) -> tuple[Any, ...]:
    """Take the sets of values behind the first one, as many as are looked at, where looking does not use them up."""
    return tuple(many[1:MOST_SETS]) if isinstance(many, (list, tuple)) else ()


def text_of(query: Any) -> str:
    """Read a query as text."""
    return query.decode(errors="replace") if isinstance(query, bytes) else str(query)
