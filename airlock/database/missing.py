"""What a server's message says is missing on it: a role, a tablespace, an extension, a schema, a type, a function."""

from __future__ import annotations

import re

from airlock.records.shared import ROLE, TABLESPACE, Shared

# What helps where env.py or a revision imports what is not there.
MODULE = "pip install it beside airlock; for a module of the project's own, prepend_sys_path in the ini"
_ROLE = re.compile(r'role "([^"]+)" does not exist')
# Where PL/pgSQL tells which of its statements failed; names that are not quoted are in small letters.
_ROLE_OF_BLOCK = re.compile(
    r'SQL statement "CREATE (?:ROLE|USER|GROUP)\s+(?:"([^"]+)"|([a-z_][a-z0-9_$]*))', re.IGNORECASE
)
# The second form is PostgreSQL 14's.
_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available|could not open extension control file ".*/([^/"]+)\.control"'
)
# What extensions that hook into the server say where their library was not loaded at its start, or for another database.
_PRELOADED = re.compile(
    r"must be preloaded|(?:must|only) be loaded via.* shared_preload_libraries|can only create extension in database"
)
# pg_cron reads one of its settings before it says so.
_SETTING = re.compile(r'unrecognized configuration parameter "\w+\.\w+"')
_CREATED = re.compile(r'CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"([^"]+)"|(\w+))', re.IGNORECASE)
_SCHEMA = re.compile(r'schema "((?:[^"]|"")+)" does not exist')
_TABLESPACE = re.compile(r'tablespace "((?:[^"]|"")+)" does not exist')
# Names stand there as SQL spells them.
_FUNCTION = re.compile(
    r'function ((?:(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)\.)?(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))\(.*\) does not exist'
)
_TYPE = re.compile(r'type "((?:[^"]|"")+)" does not exist')


def shared(text: str) -> Shared | None:
    """Name the role or the tablespace that a server lacks."""
    found = _TABLESPACE.search(text)
    if found is not None:
        return Shared(TABLESPACE, found[1])
    name = _role(text)
    return Shared(ROLE, name) if name is not None else None


def _role(text: str) -> str | None:
    """Name the role that a server lacks; also one that PL/pgSQL would have made, had it been allowed to.

    Such a block looks first whether the role is there: where it is, there is nothing to be made. A plain CREATE ROLE would
    fail of it.
    """
    found = _ROLE.search(text)
    if found is None and "permission denied to create role" in text:
        found = _ROLE_OF_BLOCK.search(text)
    return next((one for one in found.groups() if one), None) if found else None


def extension(text: str) -> str | None:
    """Name the extension whose files a server lacks."""
    found = _EXTENSION.search(text)
    return found[1] or found[2] if found else None


def preloaded(text: str, statement: str) -> str | None:
    """Name the extension that a statement creates, and that a server has to load at its start; empty where none is named."""
    created = _CREATED.search(statement)
    name = (created[1] or created[2]) if created else ""
    if _PRELOADED.search(text) or (name and _SETTING.search(text)):
        return name
    return None


def schema(text: str) -> str | None:
    """Name the schema that a database lacks."""
    found = _SCHEMA.search(text)
    return found[1] if found else None


def type_name(text: str) -> tuple[str | None, str] | None:
    """Name the type that a database lacks: its schema, None where it is not said, and its name."""
    found = _TYPE.search(text)
    if found is None:
        return None
    where, _, name = found[1].rpartition(".")
    # An array of it is missing with it.
    return where or None, name.removesuffix("[]")


def function_name(text: str) -> str | None:
    """Name the function that a database lacks, as SQL spells it."""
    found = _FUNCTION.search(text)
    return found[1] if found else None
