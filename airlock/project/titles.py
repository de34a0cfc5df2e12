"""What a revision is called: by its docstring, else by the name of its file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alembic.script import Script

# Alembic's template writes these lines below the docstring's own text.
_TEMPLATE_LINES = re.compile(r"^(Revision ID|Revises|Create Date|Branch Labels|Depends On):.*$", re.MULTILINE)

# Alembic's own word where nobody gave a message.
_UNTITLED = ("", "empty message")


def own_text(script: Script) -> str:
    """Read a revision's docstring without the lines of Alembic's template."""
    module: Any = script.module
    return _TEMPLATE_LINES.sub("", module.__doc__ or "").strip()


def title(script: Script) -> str:
    """Name a revision by its docstring's first line, else by its file, else by its id.

    A text below the imports is no docstring: whole projects have it there, and only the file's name says what is done.
    """
    text = own_text(script)
    first = text.splitlines()[0].strip() if text else ""
    if first not in _UNTITLED:
        return first
    name = Path(script.path).stem
    _, found, slug = name.partition(str(script.revision))
    return " ".join((slug if found else name).replace("_", " ").split()) or str(script.revision)
