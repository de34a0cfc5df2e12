"""Send every connection of env.py to one database, and prove that it arrived.

Three doors (each measured to be needed): SQLAlchemy's `do_connect`, for any driver and any URL; Pool
`connect` and `checkout`, for `creator=`, `pool=` and connections that were pooled earlier; the drivers' own
`connect`, for code that goes past SQLAlchemy. A connection that does not prove itself is closed before it
runs a statement of the project.
"""

from __future__ import annotations

import contextlib
import functools
import re
import uuid
from typing import TYPE_CHECKING, Any

from sqlalchemy import event
from sqlalchemy.engine import URL, Dialect, Engine, make_url
from sqlalchemy.pool import Pool

from airlock.database.server import CONNECT_SECONDS, KEEPALIVE
from airlock.drivers import client  # noqa: F401  loaded before any door is changed
from airlock.drivers.connect_functions import replaced
from airlock.records.errors import WrongTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Query parameters of a libpq URL that asyncpg's connect() does not take (each a TypeError there).
_LIBPQ_ONLY = frozenset(
    {"sslmode", "channel_binding", "options", "application_name", "connect_timeout", "target_session_attrs"}
    | {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"}
    | {
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslcrl",
        "gssencmode",
        "load_balance_hosts",
        "require_auth",
        "hostaddr",
    }
    | {
        "sslnegotiation",
        "sslcertmode",
        "sslsni",
        "client_encoding",
        "fallback_application_name",
        "service",
        "passfile",
    }
)
# With these modes of TLS nobody asks for the name of a server.
_UNNAMED = (None, "disable", "allow", "prefer")
# -c name=value, -cname=value or --name=value; a backslash stands before a space of the value.
_SETTING = re.compile(r"(?:-c\s*|--)[\w.-]+=(?:\\.|[^\s\\])*")
# What code that calls a driver itself may still say: how it wants its connection, not where.
_KEPT = {
    "psycopg2": ("connection_factory", "cursor_factory"),
    "psycopg": ("autocommit", "prepare_threshold", "row_factory", "cursor_factory", "context"),
    "asyncpg": (
        *("connection_class", "record_class", "statement_cache_size", "loop", "timeout", "command_timeout"),
        "server_settings",
    ),
}


@contextlib.contextmanager
def redirected(
    url: str, verify: Callable[[Any], None], *, application_name: str | None = None, raw: bool = False
) -> Iterator[None]:
    """Redirect and verify while the block runs.

    `url` is a libpq URL (`postgresql://`); `verify` gets each new DBAPI connection once, may run
    statements on it, and raises to refuse it. With `raw`, the drivers' own connect functions are redirected
    too; that patches the driver modules, so it is for child processes only.
    """

    def do_connect(dialect: Dialect, _record: Any, cargs: list[Any], cparams: dict[str, Any]) -> Any:
        if dialect.name != "postgresql":
            raise WrongTarget(
                f"env.py connects to {dialect.name}; airlock runs PostgreSQL only.",
                then="--env NAME=postgresql://… with the variable that the project's settings read a URL from, or such a URL in"
                " their file, or by `configure`; airlock leads any to the database that it works on",
            )
        arguments, parameters = connect_arguments(dialect, url, application_name)
        # Factories and session settings are how a project adapts its driver, not where it connects to.
        kept: dict[str, Any] = {name: cparams[name] for name in _KEPT["psycopg2"] if name in cparams}
        kept |= _settings(parameters, cparams)
        cargs[:] = arguments
        cparams.clear()
        cparams.update(parameters, **kept)

    def verify_once(dbapi_connection: Any, record: Any, *_: Any) -> None:
        if record.info.get("airlock_verified") is not dbapi_connection:
            verify(dbapi_connection)
            record.info["airlock_verified"] = dbapi_connection

    event.listen(Engine, "do_connect", do_connect)
    # First of all listeners: a project's own "connect" listener already runs statements.
    event.listen(Pool, "connect", verify_once, insert=True)
    event.listen(Pool, "checkout", verify_once, insert=True)
    try:
        with _raw_doors(url) if raw else contextlib.nullcontext():
            yield
    finally:
        event.remove(Engine, "do_connect", do_connect)
        event.remove(Pool, "connect", verify_once)
        event.remove(Pool, "checkout", verify_once)


def connect_arguments(
    dialect: Dialect, url: str, application_name: str | None = None
) -> tuple[list[Any], dict[str, Any]]:
    """Spell a libpq URL as the arguments of one driver's `connect`.

    asyncpg takes no libpq parameters: `sslmode` becomes `ssl`, which it understands by the same words, and
    the application's name becomes a server setting. None waits for ever: a connect timeout where the URL has none.
    """
    parsed = make_url(url)
    patience = {"connect_timeout": str(CONNECT_SECONDS), **KEEPALIVE}
    if dialect.driver == "asyncpg":
        query = {key: value for key, value in parsed.query.items() if key not in _LIBPQ_ONLY}
        if "hostaddr" in parsed.query and parsed.query.get("sslmode") in _UNNAMED:
            # libpq connects there, whatever the host's name resolves to.
            query["host"] = parsed.query["hostaddr"]
        if "sslmode" in parsed.query:
            query["ssl"] = parsed.query["sslmode"]
        arguments, parameters = dialect.create_connect_args(
            parsed.set(drivername="postgresql+asyncpg", query=query)
        )
        # Behind a transaction pooler a prepared statement is another session's, or nobody's; a migration needs none.
        parameters["statement_cache_size"] = parameters["prepared_statement_cache_size"] = 0
        parameters["prepared_statement_name_func"] = _unique_name
        parameters.setdefault("timeout", float(patience["connect_timeout"]))
        if application_name:
            parameters["server_settings"] = {"application_name": application_name}
        return list(arguments), dict(parameters)
    query = {**patience, **parsed.query}
    if application_name:
        query["application_name"] = application_name
    drivername = f"postgresql+{dialect.driver}"
    arguments, parameters = dialect.create_connect_args(parsed.set(drivername=drivername, query=query))
    return list(arguments), dict(parameters)


def _settings(parameters: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the settings with which env.py wants its sessions to begin (search_path, say), behind those of the URL.

    Words of `options` that are no settings (Neon's endpoint) say where, not how.
    """
    kept: dict[str, Any] = {}
    if given.get("options"):
        words = _SETTING.findall(str(given["options"]))
        own = str(parameters.get("options", ""))
        kept["options"] = " ".join([own, *(word for word in words if word not in own)]).strip()
    if given.get("server_settings"):
        kept["server_settings"] = {**given["server_settings"], **parameters.get("server_settings", {})}
    return {name: value for name, value in kept.items() if value}


def _unique_name() -> str:
    return f"__airlock_{uuid.uuid4().hex}__"


def ask(dbapi_connection: Any, statement: str) -> tuple[Any, ...] | None:
    """Run one statement on a fresh DBAPI connection of any driver and end its transaction.

    `statement` holds no parameters, so that it is the same for every paramstyle.
    """
    cursor = dbapi_connection.cursor()
    try:
        cursor.execute(statement)
        row = cursor.fetchone()
    finally:
        cursor.close()
        dbapi_connection.rollback()
    return tuple(row) if row is not None else None


@contextlib.contextmanager
def _raw_doors(url: str) -> Iterator[None]:
    """Redirect the connect functions of the installed drivers, also where SQLAlchemy calls them.

    Airlock's own connections are made past them: `client` has kept the driver's function before.
    """
    libpq = spelled(make_url(url).set(drivername="postgresql"))
    places = {"psycopg2": libpq, "psycopg": libpq, "asyncpg": asyncpg_dsn(libpq)}

    def to_scratch(driver: str, connect: Callable[..., Any], method: bool) -> Callable[..., Any]:
        return _keyword_only(connect, places[driver], _KEPT[driver], method=method)

    with replaced(to_scratch):
        yield


def spelled(url: URL) -> str:
    """Spell a URL for libpq, password and all: to it a + in a query is a +, while SQLAlchemy means a space."""
    place, mark, query = url.render_as_string(hide_password=False).partition("?")
    return place.replace(" ", "%20") + mark + query.replace("+", "%20")


def asyncpg_dsn(url: str) -> str:
    """Drop from a libpq URL what asyncpg would send to the server as a setting."""
    parsed = make_url(url)
    query = {key: value for key, value in parsed.query.items() if key not in _LIBPQ_ONLY - {"sslmode"}}
    return spelled(parsed.set(query=query))


def _keyword_only(
    connect: Callable[..., Any], dsn: str, kept: tuple[str, ...], *, method: bool = False
) -> Callable[..., Any]:
    @functools.wraps(connect)
    def to_scratch(*arguments: Any, **parameters: Any) -> Any:
        owner = arguments[:1] if method else ()
        how = {key: parameters[key] for key in kept if key in parameters}
        if parameters.get("options"):
            how["options"] = " ".join(_SETTING.findall(str(parameters["options"])))
        return connect(*owner, dsn, **how)

    return to_scratch
