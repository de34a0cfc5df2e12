"""What a server's message says is missing on it: a role, an extension."""

from __future__ import annotations

import re

_ROLE = re.compile(r'role "([^"]+)" does not exist')
# The second form is PostgreSQL 14's.
_EXTENSION = re.compile(
    r'extension "([^"]+)" is not available|could not open extension control file ".*/([^/"]+)\.control"'
)


def role(text: str) -> str | None:
    """Name the role that a server lacks."""
    found = _ROLE.search(text)
    return found[1] if found else None


def extension(text: str) -> str | None:
    """Name the extension whose files a server lacks."""
    found = _EXTENSION.search(text)
    return found[1] or found[2] if found else None
