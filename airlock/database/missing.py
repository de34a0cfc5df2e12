"""What a server's message says is missing on it: a role, an extension, a schema, a type."""

from __future__ import annotations

import re

_ROLE = re.compile(r'role "([^"]+)" does not exist')
# The second form is PostgreSQL 14's.
_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available|could not open extension control file ".*/([^/"]+)\.control"'
)
_SCHEMA = re.compile(r'schema "((?:[^"]|"")+)" does not exist')
_TYPE = re.compile(r'type "((?:[^"]|"")+)" does not exist')


def role(text: str) -> str | None:
    """Name the role that a server lacks."""
    found = _ROLE.search(text)
    return found[1] if found else None


def extension(text: str) -> str | None:
    """Name the extension whose files a server lacks."""
    found = _EXTENSION.search(text)
    return found[1] or found[2] if found else None


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
