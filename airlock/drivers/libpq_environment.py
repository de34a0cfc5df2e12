"""What libpq, asyncpg and PostgreSQL's own programs read of the environment, and how scratch is kept from it.

libpq fills in from `PG...` variables, from a service file and from a password file whatever a URL leaves out, and
PGHOSTADDR wins over the host that a URL names (PostgreSQL manual, 32.15). The server reads PGPORT, PGDATESTYLE and
PGCLIENTENCODING too. They are known by their prefix, not by a list: the next libpq adds some.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "PG"
# No file can be there, so that none in the home directory is read. /dev/null itself would be warned of.
ABSENT_FILE = f"{os.devnull}/none"
_FILES = {"PGPASSFILE": ABSENT_FILE, "PGSERVICEFILE": ABSENT_FILE}
# The environment is one for all threads: two that hide it must not put it back over each other. No connection to a
# target is opened while one to scratch is: both are the main thread's.
_HIDING = threading.RLock()


def hiding() -> contextlib.AbstractContextManager[object]:
    """Keep other threads from hiding variables, and from reading the environment, until the block ends."""
    return _HIDING


def environment() -> dict[str, str]:
    """Copy this process's environment, as it is while no thread hides anything of it."""
    with _HIDING:
        return dict(os.environ)


def without_libpq_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Copy an environment without libpq's variables, and with password and service files that are not there."""
    environ = environment() if environ is os.environ else environ
    return {**{name: value for name, value in environ.items() if not name.startswith(PREFIX)}, **_FILES}


@contextlib.contextmanager
def no_libpq_environment() -> Iterator[None]:
    """Hide libpq's variables and files from this process while a connection to scratch is made.

    What a URL leaves out has libpq's compiled-in default then. Everything is as before when the block ends.
    """
    with _HIDING:
        hidden = {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
        for name in hidden:
            del os.environ[name]
        os.environ.update(_FILES)
        try:
            yield
        finally:
            for name in _FILES:
                os.environ.pop(name, None)
            os.environ.update(hidden)
