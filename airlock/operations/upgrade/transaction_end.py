"""Whether the text of a statement ends the transaction that it runs in, past SQLAlchemy's commit()."""

from __future__ import annotations

import re

# Nearly every statement stops here.
_MAYBE = re.compile(r"\b(?:COMMIT|END|ROLLBACK|ABORT|PREPARE)\b", re.IGNORECASE)
# What is said in literals, names, comments and bodies of functions is not executed here and now.
_QUOTED = re.compile(
    r"(\$(?:[A-Za-z_]\w*)?\$).*?\1"
    r"|\bE'(?:[^'\\]|\\.|'')*'"
    r"|'(?:[^']|'')*'"
    r'|"(?:[^"]|"")*"'
    r"|--[^\n]*|/\*.*?\*/"
    r"|\bBEGIN\s+ATOMIC\b.*?;\s*END\b",
    re.IGNORECASE | re.DOTALL,
)
_ENDS = re.compile(
    r"(?:^|;)\s*(?:COMMIT|END|ABORT|PREPARE\s+TRANSACTION|ROLLBACK(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b(?!\s+PREPARED)",
    re.IGNORECASE,
)


def ends_transaction(sql: str) -> bool:
    """Tell whether one of the statements of `sql` commits, or rolls back, by its own words."""
    return _MAYBE.search(sql) is not None and _ENDS.search(_QUOTED.sub(" ", sql)) is not None
