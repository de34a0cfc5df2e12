"""What programs that env.py or a revision starts (psql, pg_dump, another Alembic) find in their environment: scratch.

The first environment of the child is made here. env.py may then write into it (a .env file, PGHOST, PGSERVICEFILE):
Python code reads back what was written, programs and libpq find scratch all the same.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from airlock.drivers.libpq_environment import PREFIX, environment, without_libpq_variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Variables of libpq that shape a session and lead nowhere: where env.py itself sets one, it means it.
_SHAPING = frozenset(
    {"PGOPTIONS", "PGAPPNAME", "PGTZ", "PGDATESTYLE", "PGGEQO", "PGCLIENTENCODING", "PGCONNECT_TIMEOUT"}
)
# self, args, bufsize, executable, stdin, stdout, stderr, preexec_fn, close_fds, shell, cwd, env
_POPEN_ENV = 11
URLS = ("DATABASE_URL", "DATABASE_URL_UNPOOLED")
# Leads to no database: no resolver may know the name (RFC 2606).
NOWHERE = "postgresql://nobody:nothing@airlock.invalid:1/nowhere"


def database_environment(environ: Mapping[str, str], url: str) -> dict[str, str]:
    """Copy an environment with every database variable pointing at `url`.

    Replaced: `DATABASE_URL` and `DATABASE_URL_UNPOOLED`, set or not; every variable whose value is a PostgreSQL URL
    (its scheme is kept: a project that wants `+asyncpg` still gets it); libpq's own `PG…` variables, so that psql or
    pg_dump in a revision reach scratch too. No password or service file is read.
    """
    parsed = make_url(url)
    environ = environment() if environ is os.environ else environ
    changed = without_libpq_variables(environ)
    for name, value in environ.items():
        if not name.startswith(PREFIX) and is_url(value):
            changed[name] = url.replace("postgresql", value.partition("://")[0], 1)
    for name in URLS:
        if not is_url(environ.get(name, "")):
            changed[name] = url.replace("postgresql", _scheme(), 1)
    host = parsed.query.get("host") or parsed.host or ""
    changed["PGHOST"] = host if isinstance(host, str) else host[0]
    changed["PGDATABASE"] = parsed.database or ""
    changed["PGUSER"] = parsed.username or ""
    port = parsed.port or parsed.query.get("port")
    if port:
        changed["PGPORT"] = str(port)
    if parsed.password:
        changed["PGPASSWORD"] = str(parsed.password)
    sslmode = parsed.query.get("sslmode")
    if isinstance(sslmode, str):
        changed["PGSSLMODE"] = sslmode
    return changed


@functools.cache
def _scheme() -> str:
    """Spell the scheme of a URL that nobody has set: plain, unless SQLAlchemy would take it for a driver that is missing.

    From 2.1 on a plain one means psycopg; a project that has psycopg2 alone names it.
    """
    usual = make_url("postgresql://").get_dialect().driver
    return "postgresql+psycopg2" if not find_spec(usual) and find_spec("psycopg2") else "postgresql"


def is_url(value: str) -> bool:
    """Tell whether a value is the URL of a PostgreSQL database."""
    scheme, mark, _ = value.partition("://")
    return bool(mark) and scheme.partition("+")[0] in {"postgres", "postgresql"}


@contextlib.contextmanager
def programs_find(url: str) -> Iterator[None]:
    """Keep programs and libpq on `url` until the block ends, whatever is written to `os.environ`.

    Patches `os` and `subprocess` of this process: for child processes only. A program whose arguments name a server
    reaches that server.
    """

    def onward(environ: Mapping[Any, Any]) -> dict[str, str]:
        given = {os.fsdecode(name): os.fsdecode(value) for name, value in environ.items()}
        shaping = {name: given[name] for name in _SHAPING & given.keys()}
        return {**database_environment(given, url), **shaping}

    def putenv(name: bytes, value: bytes) -> None:
        key = os.fsdecode(name)
        if _leads(key):
            return
        os_putenv(name, os.fsencode(url) if is_url(os.fsdecode(value)) else value)

    def unsetenv(name: bytes) -> None:
        if not _leads(os.fsdecode(name)):
            os_unsetenv(name)

    os_putenv, os_unsetenv = os.putenv, os.unsetenv
    with contextlib.ExitStack() as undo:

        def patch(owner: Any, name: str, value: Any) -> None:
            undo.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)

        patch(os, "putenv", putenv)
        patch(os, "unsetenv", unsetenv)
        patch(subprocess.Popen, "__init__", _with_environment(subprocess.Popen.__init__, _POPEN_ENV, onward))
        for name in ("execve", "posix_spawn", "posix_spawnp"):
            patch(os, name, _with_environment(getattr(os, name), 2, onward))
        yield


def _leads(name: str) -> bool:
    return (name.startswith(PREFIX) and name not in _SHAPING) or name in URLS


def _with_environment(
    start: Callable[..., Any], place: int, onward: Callable[[Mapping[Any, Any]], dict[str, str]]
) -> Callable[..., Any]:
    """Wrap a function that starts a program, so that its argument `env`, at this place, leads to scratch."""

    @functools.wraps(start)
    def starts(*arguments: Any, **parameters: Any) -> Any:
        given = arguments[place] if len(arguments) > place else parameters.get("env")
        found = onward(os.environ if given is None else given)
        if len(arguments) > place:
            return start(*arguments[:place], found, *arguments[place + 1 :], **parameters)
        return start(*arguments, **{**parameters, "env": found})

    return starts
