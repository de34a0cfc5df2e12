"""What a written revision leaves to its author: lines that say so, in the file itself."""

from __future__ import annotations

FILL_IN = "FILL IN"
# What `--rename` says where nothing was renamed.
NO_RENAME = "none"


def open_questions(text: str) -> list[str]:
    """List the lines of a revision that a person has to fill in."""
    return [line.strip(" #") for line in text.splitlines() if FILL_IN in line]
