"""What a server's message says is missing on it: a role, a tablespace, an extension, a schema, a type, a function."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airlock.records.shared import Shared

# Texts, not compiled: a run that misses nothing wants none of them.
_ROLE = r'role "([^"]+)" does not exist'
# Where PL/pgSQL tells which of its statements failed; names that are not quoted are in small letters.
_ROLE_OF_BLOCK = r'(?i)SQL statement "CREATE (?:ROLE|USER|GROUP)\s+(?:"([^"]+)"|([a-z_][a-z0-9_$]*))'
# The second form is PostgreSQL 14's.
_EXTENSION = (
    r'extension "([^"]+)" is not available|could not open extension control file ".*/([^/"]+)\.control"'
)
# What extensions that hook into the server say where their library was not loaded at its start, or for another database.
_PRELOADED = (
    r"must be preloaded|(?:(?:must|only) be loaded via.*|is not in) shared_preload_libraries"
    r"|can only create extension in database"
)
# Of those that one database of a server may hold.
_OF_ONE_DATABASE = r'can only create extension in database|"\w+\.database_name"'
# pg_cron reads one of its settings before it says so.
_SETTING = r'unrecognized configuration parameter "\w+\.\w+"'
_CREATED = r'(?i)CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:"([^"]+)"|(\w+))'
# The second form is that of the collations that come with ICU.
_ICU = r'ICU is not supported in this build|collation "[^"]*-x-icu" for encoding'
# What scratch says of what connects to other servers (`scratch/extensions.py`), and who may have it all the same.
OUTWARD = "it leads out of the scratch server"
ADVICE_ON_OUTWARD = (
    "--scratch with the URL of a server whose template1 has it, and which lets its users use it (GRANT USAGE)"
)
_SCHEMA = r'schema "((?:[^"]|"")+)" does not exist'
_TABLESPACE = r'tablespace "((?:[^"]|"")+)" does not exist'
# Names stand there as SQL spells them.
_FUNCTION = (
    r'function ((?:(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)\.)?(?:"(?:[^"]|"")+"|[^\W\d][\w$]*))\(.*\) does not exist'
)
_TYPE = r'type "((?:[^"]|"")+)" does not exist'


def shared(text: str) -> Shared | None:
    """Name the role or the tablespace that a server lacks."""
    from airlock.records.shared import ROLE, TABLESPACE, Shared

    found = re.search(_TABLESPACE, text)
    if found is not None:
        return Shared(TABLESPACE, found[1])
    name = _role(text)
    return Shared(ROLE, name) if name is not None else None


def _role(text: str) -> str | None:
    """Name the role that a server lacks; also one that PL/pgSQL would have made, had it been allowed to.

    Such a block looks first whether the role is there: where it is, there is nothing to be made. A plain CREATE ROLE would
    fail of it.
    """
    found = re.search(_ROLE, text)
    if found is None and "permission denied to create role" in text:
        found = re.search(_ROLE_OF_BLOCK, text)
    return next((one for one in found.groups() if one), None) if found else None


def extension(text: str) -> str | None:
    """Name the extension whose files a server lacks."""
    found = re.search(_EXTENSION, text)
    return found[1] or found[2] if found else None


def created(statement: str) -> str | None:
    """Name the extension that a statement creates."""
    found = re.search(_CREATED, statement)
    return found[1] or found[2] if found else None


def preloaded(text: str, statement: str) -> str | None:
    """Name the extension that a statement creates, and that a server has to load at its start; empty where none is named."""
    name = created(statement) or ""
    if re.search(_PRELOADED, text) or (name and re.search(_SETTING, text)):
        return name
    return None


def advice_on_preloading(text: str) -> str:
    """Say what brings an extension that a server loads at its start, or that nothing brings it into a scratch database."""
    if re.search(_OF_ONE_DATABASE, text):
        return "one database of a server may hold it, which a scratch database never is"
    return "try --scratch with the URL of a server that loads it"


def icu(text: str) -> bool:
    """Tell whether a server was built without ICU."""
    return re.search(_ICU, text) is not None


def schema(text: str) -> str | None:
    """Name the schema that a database lacks."""
    found = re.search(_SCHEMA, text)
    return found[1] if found else None


def type_name(text: str) -> tuple[str | None, str] | None:
    """Name the type that a database lacks: its schema, None where it is not said, and its name."""
    found = re.search(_TYPE, text)
    if found is None:
        return None
    where, _, name = found[1].rpartition(".")
    # An array of it is missing with it.
    return where or None, name.removesuffix("[]")


def function_name(text: str) -> str | None:
    """Name the function that a database lacks, as SQL spells it."""
    found = re.search(_FUNCTION, text)
    return found[1] if found else None
