"""The format in which a revision reads a column's texts as dates: `to_date(day, 'DD.MM.YYYY')`, `strptime(day, "%d.%m.%Y")`.

Each is given as PostgreSQL's to_char spells it (manual, "Data Type Formatting Functions").
"""

from __future__ import annotations

import re

MOMENTS = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_IN_PYTHON = re.compile(r"""strptime\s*\([^\n]*?(?P<quote>["'])(?P<format>[^"'\n]*%[^"'\n]*)(?P=quote)""")
_PARTS = {
    "d": "DD", "m": "MM", "Y": "YYYY", "y": "YY", "H": "HH24", "I": "HH12", "M": "MI", "S": "SS", "f": "US", "p": "AM",
    "j": "DDD", "b": "Mon", "B": "FMMonth", "a": "Dy", "A": "FMDay", "%": '"%"',
}  # fmt: skip


def of(column: str, source: str) -> str | None:
    """Tell the format, in PostgreSQL's words; None where the source names none, or one that to_char cannot spell."""
    name = re.escape(column)
    read = rf"""(?i)\bto_(?:date|timestamp)\s*\([^,;]*?(?<!\w){name}(?!\w)[^,;]*,\s*'(?P<format>[^']+)'"""
    if (found := re.search(read, source)) is not None:
        return found["format"]
    found = _IN_PYTHON.search(source)
    return None if found is None else _of_python(found["format"])


def _of_python(form: str) -> str | None:
    """Translate what `strptime` reads."""
    spelled = ""
    for part, letter, other in re.findall(r"(%(.))|([^%]+)", form):
        if part and letter not in _PARTS:
            return None
        # Letters between the parts are quoted: to_char would read them.
        spelled += _PARTS[letter] if part else re.sub(r"[A-Za-z]+", r'"\g<0>"', other)
    return spelled
