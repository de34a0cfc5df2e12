"""asyncpg: its connection's own methods, which SQLAlchemy's adapter does not use for statements."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from airlock.recorder.interception.report import fail
from airlock.recorder.source import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.recorder.interception.report import Listener


_METHODS = (
    "execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_from_table", "copy_from_query",
    "copy_to_table", "copy_records_to_table",
)  # fmt: skip
# What asyncpg's transactions send through its own methods.
_CONTROL = frozenset({"BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"})


@contextlib.contextmanager
def asyncpg_methods(recorder: Listener) -> Iterator[None]:
    """Tap asyncpg's own methods; SQLAlchemy's adapter prepares its statements and does not pass here."""
    from asyncpg.connection import Connection

    plain = {name: getattr(Connection, name) for name in _METHODS}
    fetch = plain["fetch"]

    def wrapped(name: str, original: Any) -> Any:
        @functools.wraps(original)
        async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            from sqlalchemy.util import await_only, greenlet_spawn

            text = _asyncpgtext_of(name, args, kwargs)
            if not recorder.active or command(text) in _CONTROL:
                return await original(self, *args, **kwargs)
            line = recorder.line_now()

            def own(query: str) -> list[Any]:
                return [tuple(row) for row in await_only(fetch(self, query))]

            outside = not self.is_in_transaction()
            running = await greenlet_spawn(recorder.before, self, own, text, outside=outside, line=line)
            try:
                result = await original(self, *args, **kwargs)
            except BaseException:
                fail(recorder, running)
                raise
            if running is not None:
                rows = _asyncpg_rows(result)
                reads = name.startswith("fetch") or name in ("copy_from_table", "copy_from_query")
                await greenlet_spawn(recorder.after, running, rows=rows, returns_rows=reads)
            return result

        return call

    for name, original in plain.items():
        setattr(Connection, name, wrapped(name, original))
    try:
        yield
    finally:
        for name, original in plain.items():
            setattr(Connection, name, original)


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
