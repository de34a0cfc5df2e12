"""Errors of drivers, SQLAlchemy, Alembic and the operating system, put into the tree of airlock's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.database.missing_settings import missing_setting
from airlock.records.errors import (
    MISSING_MODULE,
    AirlockError,
    ConnectionLost,
    Denied,
    LockBudgetSpent,
    RevisionFailed,
    StatementBudgetSpent,
    Unreachable,
    Usage,
    WrongTarget,
)
from airlock.records.secrets import scrub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _used_up(message: str) -> Unreachable:
    error = Unreachable(message)
    error.used_up = True
    return error


# libpq's connect errors carry no SQLSTATE: their text is all there is.
_CONNECT_ERRORS: tuple[tuple[str, Callable[[str], AirlockError], str], ...] = (
    (
        r'invalid (?:[a-z_]+ value|(?:connection )?option|integer value|port|URI)|missing "="',
        Usage,
        "An option of the URL has a value that does not fit.",
    ),
    (r"SSL SYSCALL|EOF detected", Unreachable, "The connection was closed."),
    (
        r"no password supplied|password is required",
        Denied,
        "The server wants a password, and none was given.",
    ),
    (r"password authentication failed", Denied, "The password was refused."),
    (
        r"no such user|role .* (?:does not exist|is not permitted to log in)",
        Denied,
        "The role does not exist or may not log in.",
    ),
    (r"pg_hba\.conf", Denied, "The server's pg_hba.conf does not let this login in."),
    (r"channel.binding", Denied, "The server cannot bind the login to its TLS channel (channel_binding)."),
    (r"invalid response to SSL negotiation", WrongTarget, "What answers there is not PostgreSQL."),
    (
        r"does not support SSL|SSL|certificate|tlsv1",
        Denied,
        "TLS as the URL demands it (sslmode) is not to be had.",
    ),
    (r"authentication|permission denied for database|SASL|SCRAM", Denied, "The login was refused."),
    (
        r"endpoint ID is not specified",
        Denied,
        "The server needs its endpoint in the URL (options=endpoint%3Dep-...).",
    ),
    (r"database .* does not exist|no such database", WrongTarget, "The database does not exist."),
    (r"not currently accepting connections", WrongTarget, "The database does not accept connections."),
    (
        r"session is (?:not )?read-only|in hot standby|server is (?:not )?in",
        WrongTarget,
        "No server of the wanted kind (target_session_attrs).",
    ),
    (r"unsupported startup parameter", Usage, "A pooler refuses the URL's options; use the direct host."),
    (
        r"too many connections for",
        _used_up,
        "The CONNECTION LIMIT of the role or the database is reached; a run needs three connections.",
    ),
    (
        r"too many (?:connections|clients)|remaining connection slots",
        _used_up,
        "The server has no connection left.",
    ),
    (
        r"could not translate host|name or service not known|nodename nor|getaddrinfo",
        Unreachable,
        "The host name is unknown.",
    ),
    (r"connection refused", Unreachable, "Nobody listens there."),
    (r"timeout expired|timed out|TimeoutError", Unreachable, "The server did not answer in time."),
    (r"No such file or directory", Unreachable, "There is no server's socket there."),
    (
        r"starting up|shutting down|recovery mode|compute node|not yet accepting",
        Unreachable,
        "The server is starting or stopping.",
    ),
    (
        r"server closed the connection|reset by peer|no route|unreachable",
        Unreachable,
        "The connection was closed.",
    ),
)
_LOST = (
    r"(?i)server closed the connection|connection already closed|terminating connection|connection (?:was |is )?(?:closed|lost)"
    r"|SSL SYSCALL|could not receive data|could not send data|reset by peer|broken pipe|no connection to the server"
    r"|ConnectionDoesNotExist|the connection is closed|client_idle|query_wait_timeout|lost synchronization"
)


def connect_error(error: BaseException, label: str = "The server") -> AirlockError:
    """Put an error raised while connecting into the tree, in words of our own."""
    text = _text(error)
    by_state = {"28": Denied, "3D": WrongTarget, "53": Unreachable, "57": Unreachable, "08": Unreachable}
    state = sqlstate(error)
    for pattern, kind, sentence in _CONNECT_ERRORS:
        if re.search(pattern, text, re.IGNORECASE):
            return kind(f"{label}: {_lowered(sentence)}")
    return by_state.get((state or "")[:2], Unreachable)(f"{label}: {first_line(error)}")


def _lowered(sentence: str) -> str:
    """Begin in lower case, behind a colon; an abbreviation keeps its letters."""
    return sentence if sentence[1:2].isupper() else sentence[0].lower() + sentence[1:]


def classify(error: BaseException) -> AirlockError:
    """Put any error of a driver, SQLAlchemy, Alembic or the operating system into the tree.

    One line, the server's primary message only: its DETAIL quotes rows. An AirlockError is returned as it is.
    """
    for cause in _chain(error):
        if isinstance(cause, AirlockError):
            return cause
    for cause in _chain(error):
        state = sqlstate(cause)
        if state is not None:
            return _by_state(state, cause)
    for cause in _chain(error):
        name = type(cause).__name__
        if isinstance(cause, OSError) or (name in _DRIVER_ERRORS and not isinstance(cause, ImportError)):
            return (
                ConnectionLost(first_line(cause)) if re.search(_LOST, _text(cause)) else connect_error(cause)
            )
    return _configuration(error)


def is_drivers(error: BaseException) -> bool:
    """Tell whether the driver raised this, past SQLAlchemy: on a connection of airlock's own."""
    return type(error).__module__.partition(".")[0] in {"psycopg2", "psycopg", "asyncpg"}


_DRIVER_ERRORS = {
    "OperationalError",
    "InterfaceError",
    "ConnectionTimeout",
    "ConnectionDoesNotExistError",
    "DatabaseError",
}


# What the server ran out of, and what helps (PostgreSQL manual, appendix "Error Codes", class 53).
_ROOM = {
    "53100": "free space on the server's disk or tablespace, and run again",
    "53200": "a larger max_locks_per_transaction, or a revision that touches fewer tables",
}


def _by_state(state: str, error: BaseException) -> AirlockError:
    message = first_line(error)
    if state in {"55P03", "40P01"}:
        return LockBudgetSpent(message)
    if state == "57014":
        return StatementBudgetSpent(message) if "timeout" in message else RevisionFailed(message)
    if state[:2] == "08" or state in {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}:
        return ConnectionLost(message)
    if state[:2] == "28" or state == "42501":
        return Denied(message)
    if state == "3D000":
        return WrongTarget(message)
    if state == "25006":
        return WrongTarget(f"{message}: the database is read-only.")
    if state == "53300":
        return _used_up(message)
    if state in _ROOM:
        return RevisionFailed(f"{message} ({state}).", then=_ROOM[state])
    return RevisionFailed(f"{message} ({state}).")


def _configuration(error: BaseException) -> AirlockError:
    """Name what is wrong with an env.py, a URL or an installation; a class name at least."""
    unset = next((found for cause in _chain(error) if (found := missing_setting(cause))), None)
    if unset is not None:
        return unset
    name, text = type(error).__name__, first_line(error)
    if isinstance(error, KeyError):
        return Usage(f"env.py misses {text}, an environment variable or setting.", then=f"set {text}")
    if isinstance(error, ModuleNotFoundError):
        return Usage(f"The module {error.name!r} is not installed.", then=MISSING_MODULE)
    if name == "MissingGreenlet":
        return Usage("env.py uses an asynchronous driver as if it were synchronous (MissingGreenlet).")
    if name == "NoSuchModuleError":
        return Usage(
            "env.py's URL names a dialect that SQLAlchemy does not know.",
            then="postgresql:// in sqlalchemy.url of the ini, or where env.py has it from; --url replaces the rest",
        )
    # The same class is raised of whatever SQLAlchemy is called with, in a revision too; its texts of URLs repeat them.
    if name == "ArgumentError" and "URL" in text:
        return Usage("SQLAlchemy could not read the URL that env.py gave it.")
    return RevisionFailed(f"{name}: {text}" if text else f"{name}.")


def sqlstate(error: BaseException) -> str | None:
    """Read the SQLSTATE an error carries, whichever driver raised it."""
    for source in (error, getattr(error, "orig", None), getattr(error, "driver_exception", None)):
        for name in ("sqlstate", "pgcode"):
            state = getattr(source, name, None)
            if isinstance(state, str) and re.fullmatch(r"[0-9A-Z]{5}", state):
                return state
    return None


def first_line(error: BaseException) -> str:
    """Quote the server's primary message, or the first line of the error, without any secret."""
    source = getattr(error, "orig", None) or error
    diagnostics = getattr(source, "diag", None)
    text = getattr(diagnostics, "message_primary", None) or _text(source)
    text = re.sub(r"^<class '[^']*'>: ", "", text.strip())
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = re.sub(r"^(?:ERROR|FATAL):\s+", "", lines[0]) if lines else type(source).__name__
    return scrub(line)


def _text(error: BaseException) -> str:
    return str(error)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk an error and what caused it; behind a PendingRollbackError stands the real one."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        if type(current).__name__ != "PendingRollbackError":
            yield current
        queue += [getattr(current, "orig", None), current.__cause__, current.__context__]
