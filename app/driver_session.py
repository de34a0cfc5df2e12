"""A session of the driver's own: the statements of the data access, compiled once and sent by asyncpg itself.

An `AsyncSession` costs three times what asyncpg takes for a transaction of one statement: the ORM's session, its
connection, a result. The data access uses none of that. It sends statements that are built once from the models,
and makes records of the rows. What connects, and how, stays the engine's: its pool, TLS, PgBouncer, timeouts.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import asyncpg
from sqlalchemy import exc
from sqlalchemy.dialects.postgresql import asyncpg as spoken
from sqlalchemy.util import await_, greenlet_spawn
from sqlmodel.sql.sqltypes import UTCDateTime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import PoolProxiedConnection

    _Processor = Callable[[Any], Any]

T = TypeVar("T")

_DIALECT: Any = spoken.dialect()  # type: ignore[no-untyped-call]
# Where SQLAlchemy writes the statements of an engine with `echo`.
_log = logging.getLogger("sqlalchemy.engine.Engine")
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# Which of its own classes SQLAlchemy's dialect raises for which of asyncpg's, the narrower before the wider.
_SAME = (
    "CheckViolationError", "ExclusionViolationError", "ForeignKeyViolationError", "NotNullViolationError",
    "RestrictViolationError", "UniqueViolationError", "InvalidCachedStatementError", "InternalServerError",
    "InternalClientError", "InterfaceError",
)  # fmt: skip
_KINDS: tuple[tuple[type[Exception], str], ...] = (
    *((getattr(asyncpg, name), name) for name in _SAME),
    (asyncpg.IntegrityConstraintViolationError, "IntegrityError"),
    (asyncpg.SyntaxOrAccessError, "ProgrammingError"),
    (asyncpg.PostgresError, "Error"),
)


class Rows(list[Any]):
    """The rows of a statement; asked for in the words of SQLAlchemy's `Result`."""

    def all(self) -> Rows:
        """Give every row."""
        return self

    def one_or_none(self) -> Any:
        """Give the only row; None where there is none."""
        if len(self) > 1:
            raise exc.MultipleResultsFound("Multiple rows were found when one or none was required")
        return self[0] if self else None

    def one(self) -> Any:
        """Give the only row. Raises NoResultFound where there is none."""
        row = self.one_or_none()
        if row is None:
            raise exc.NoResultFound("No row was found when one was required")
        return row

    def scalar_one(self) -> Any:
        """Give the first value of the only row."""
        return self.one()[0]


@dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    default: Any
    required: bool
    process: _Processor | None


@dataclass(frozen=True, slots=True)
class Compiled:
    """A statement as asyncpg takes it: its text, what stands for $1, $2 and so on, which columns to read how."""

    text: str
    parameters: tuple[_Parameter, ...]
    columns: tuple[tuple[int, _Processor], ...]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        """Put values into the order of the text. Raises StatementError where one is missing or is none of its type."""
        made = []
        for one in self.parameters:
            try:
                value = values[one.name] if one.required else values.get(one.name, one.default)
                made.append(value if one.process is None else one.process(value))
            except (LookupError, TypeError, ValueError) as error:
                said = f"({type(error).__name__}) {error}"
                raise exc.StatementError(said, self.text, None, error, hide_parameters=True) from error
        return made

    def rows(self, records: Iterable[Any]) -> Rows:
        """Read what the driver returned as the types of the models do."""
        if not self.columns:
            return Rows(records)
        rows = Rows()
        for record in records:
            row = list(record)
            for place, process in self.columns:
                row[place] = process(row[place])
            rows.append(row)
        return rows


@functools.lru_cache(maxsize=500)
def compiled(statement: Executable) -> Compiled:
    """Compile a statement, once for as long as it is among the last 500.

    Raises CompileError for what is another text each time: an IN over a list, a column's default made in Python.
    """
    made: Any = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
    binds = [made.binds[name] for name in made.positiontup]
    if made.prefetch or made.post_compile_params or any(bind.callable for bind in binds):
        raise exc.CompileError(f"This is not the same text each time: {made}")
    read = [
        (place, column.type.dialect_impl(_DIALECT).result_processor(_DIALECT, None))
        for place, column in enumerate(getattr(statement, "exported_columns", ()))
        # asyncpg reads a timestamptz as an aware datetime in UTC: nothing is left to do, for every row of a page.
        if not isinstance(column.type, UTCDateTime)
    ]
    return Compiled(
        made.string,
        tuple(
            _Parameter(
                bind.key, bind.value, bind.required, bind.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
            )
            for bind in binds
        ),
        tuple((place, process) for place, process in read if process is not None),
    )


class DriverSession:
    """What the data access needs of a session, and no more: it sends statements, commits and rolls back.

    Takes a connection from the engine's pool for its first statement and begins a transaction there; `commit` and
    `rollback` end that and give the connection back, and the next statement begins another. As a context it commits
    when the block ends and rolls back when it raises. One task uses it at a time.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self._lent: PoolProxiedConnection | None = None
        self._driver: Any = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, _kind: object, raised: BaseException | None, _trace: object) -> None:
        if raised is None:
            await self.commit()
        else:
            await asyncio.shield(self.rollback())  # also where the task is being cancelled

    async def run_sync(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Call an ordinary function with this session; while it waits for the database, other tasks run."""
        return await greenlet_spawn(function, self, *args, **kwargs)

    def execute(self, statement: Executable, parameters: Mapping[str, Any] | None = None, /) -> Rows:
        """Send a statement and read its rows; for functions that `run_sync` calls.

        Raises what a Session raises: DBAPIError for the database's refusals, the system's own for its network's.
        """
        form = compiled(statement)
        arguments = form.arguments(parameters or {})
        if self._engine.echo:
            _log.info("%s", form.text)
        begin = self._lent is None
        if begin:
            self._take()
        # One wait for both: each costs a switch between greenlets.
        return form.rows(await_(self._fetch(form.text, arguments, begin=begin)))

    async def commit(self) -> None:
        """Make what was done last, and give the connection back."""
        await self._end("COMMIT")

    async def rollback(self) -> None:
        """Undo what was done, and give the connection back."""
        # Where the connection is lost, the server has done it.
        with contextlib.suppress(exc.DBAPIError, OSError):
            await self._end("ROLLBACK")

    def _take(self) -> None:
        dialect = self._engine.dialect
        refused = dialect.loaded_dbapi.Error
        try:
            self._lent = self._engine.raw_connection()
        except refused as error:
            raise exc.DBAPIError.instance(None, None, error, refused, dialect=dialect) from error
        self._driver = self._lent.driver_connection

    async def _fetch(self, text: str, arguments: list[Any], *, begin: bool) -> list[Any]:
        try:
            if begin:
                await self._driver.execute("BEGIN")
            records: list[Any] = await self._driver.fetch(text, *arguments)
        except _FAULTS as error:
            raise self._as_sqlalchemy(error, text) from error
        return records

    async def _end(self, how: str) -> None:
        if self._lent is None:
            return
        lent, driver = self._lent, self._driver
        try:
            await driver.execute(how)
        except _FAULTS as error:
            raise self._as_sqlalchemy(error, how) from error
        finally:
            self._lent = self._driver = None
            # Whoever is lent it next must not find a transaction of ours open.
            lost = driver.is_closed() or driver.is_in_transaction()
            await greenlet_spawn(lent.invalidate if lost else lent.close)

    def _as_sqlalchemy(self, error: Exception, text: str) -> BaseException:
        dialect, lost = self._engine.dialect, self._driver.is_closed()
        name = next(name for of, name in _KINDS if isinstance(error, of))
        # The first line alone: the server's DETAIL repeats the values of the row.
        orig = getattr(dialect.loaded_dbapi, name)(error.args[0], error)
        base = dialect.loaded_dbapi.Error
        made: BaseException = exc.DBAPIError.instance(
            text, None, orig, base, hide_parameters=True, connection_invalidated=lost, dialect=dialect
        )
        return made
