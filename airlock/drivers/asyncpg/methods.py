"""asyncpg: its connection's own methods, which SQLAlchemy's adapter does not use for statements."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from airlock.drivers.spelling import command
from airlock.drivers.statements import fail, sent_by_sqlalchemy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from airlock.drivers.statements import Listener


_METHODS = (
    "execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_from_table", "copy_from_query",
    "copy_to_table", "copy_records_to_table", "fetchmany",
)  # fmt: skip
# What asyncpg's transactions send through its own methods.
_CONTROL = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"})


# Of statements that are prepared, and of cursors, which SQLAlchemy's adapter uses as well.
_PREPARED = ("fetch", "fetchrow", "fetchval", "executemany", "fetchmany")
_CURSOR = ("_bind_exec", "_bind")


def _is_control(text: str) -> bool:
    """Tell whether a text is about a transaction alone: other statements may follow in it."""
    return command(text) in _CONTROL and ";" not in text.rstrip("; \t\n")


@contextlib.contextmanager
def asyncpg_methods(recorder: Listener) -> Iterator[None]:
    """Tap asyncpg's own methods: of connections, of prepared statements, of cursors."""
    from asyncpg.connection import Connection
    from asyncpg.cursor import BaseCursor
    from asyncpg.prepared_stmt import PreparedStatement

    plain = {
        (owner, name): getattr(owner, name)
        for owner, names in ((Connection, _METHODS), (PreparedStatement, _PREPARED), (BaseCursor, _CURSOR))
        for name in names
        if hasattr(owner, name)
    }
    fetch = plain[Connection, "fetch"]

    async def sent(
        connection: Any, name: str, text: str, line: int, original: Callable[[], Awaitable[Any]]
    ) -> Any:
        from sqlalchemy.util import await_only, greenlet_spawn

        def own(query: str) -> list[Any]:
            return [tuple(row) for row in await_only(fetch(connection, query))]

        outside = not connection.is_in_transaction()
        running = await greenlet_spawn(recorder.before, connection, own, text, outside=outside, line=line)
        try:
            result = await original()
        except BaseException:
            fail(recorder, running)
            raise
        if running is not None:
            rows = -1 if name in _CURSOR else _asyncpg_rows(result)
            reads = name.startswith("fetch") or name in ("copy_from_table", "copy_from_query", *_CURSOR)
            await greenlet_spawn(recorder.after, running, rows=rows, returns_rows=reads)
        return result

    def wrapped(owner: type, name: str, original: Any) -> Any:
        @functools.wraps(original)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            text = _asyncpgtext_of(name, args, kwargs) if owner is Connection else _query_of(self)
            if not recorder.active or _is_control(text) or sent_by_sqlalchemy():
                return original(self, *args, **kwargs)
            connection = self if owner is Connection else self._connection
            # Where it is called, not where it is awaited: that may be outside the revision.
            line = recorder.line_now()
            return sent(connection, name, text, line, lambda: original(self, *args, **kwargs))

        return call

    for (owner, name), original in plain.items():
        setattr(owner, name, wrapped(owner, name, original))
    try:
        yield
    finally:
        for (owner, name), original in plain.items():
            setattr(owner, name, original)


def _query_of(prepared: Any) -> str:
    return str(prepared._query)


def _asyncpgtext_of(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    if not name.endswith("_table"):
        return str(args[0] if args else next(iter(kwargs.values())))
    table, schema = args[0] if args else kwargs["table_name"], kwargs.get("schema_name")
    return f"COPY {schema}.{table}" if schema else f"COPY {table}"


def _asyncpg_rows(result: Any) -> int:
    if isinstance(result, str):
        count = result.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0
    return len(result) if isinstance(result, list) else int(result is not None)
