"""Whether the text of a statement ends the transaction that it runs in, past SQLAlchemy's commit()."""

from __future__ import annotations

import re

# Nearly every statement stops here.
_MAYBE = re.compile(r"\b(?:COMMIT|END|ROLLBACK|ABORT|PREPARE)\b", re.IGNORECASE)
# What is said in literals, names, comments and bodies of functions is not executed here and now.
_QUOTED = (
    r"(?is)(\$(?:[A-Za-z_]\w*)?\$).*?\1"
    r"|\bE'(?:[^'\\]|\\.|'')*'"
    r"|'(?:[^']|'')*'"
    r'|"(?:[^"]|"")*"'
    r"|--[^\n]*|/\*.*?\*/"
    r"|\bBEGIN\s+ATOMIC\b.*?;\s*END\b"
)
_ENDS = (
    r"(?i)(?:^|;)\s*(?:COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b"
    r"(?!\s+PREPARED)"
)


def ends_transaction(sql: str) -> bool:
    """Tell whether one of the statements of `sql` commits, or rolls back, by its own words."""
    return _MAYBE.search(sql) is not None and re.search(_ENDS, re.sub(_QUOTED, " ", sql)) is not None
