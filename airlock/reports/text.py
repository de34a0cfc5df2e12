"""Numbers, times and tables as text: one spelling of each, for every command."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PROVED, REFUSED, NOT_EXAMINED = "proved", "refused", "not examined"


def duration(ms: float) -> str:
    """Spell milliseconds the way a person reads them: 0.4 ms, 42 ms, 3.2 s, 4 min 10 s, 2 h 5 min."""
    if ms < 9.95:
        return f"{ms:.1f} ms"
    if ms < 999.5:
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def number(value: int) -> str:
    """Group an integer's digits by thousands: 48,210,113."""
    return f"{value:,}"


def count(value: int, noun: str, plural: str | None = None) -> str:
    """Count things: `1 row`, `2 rows`, `no rows`."""
    word = noun if value == 1 else plural or f"{noun}s"
    return f"no {word}" if value == 0 else f"{number(value)} {word}"


def size(value: int) -> str:
    """Spell bytes in the units of `pg_size_pretty` (1 kB is 1,024 bytes): 512 bytes, 16 kB, 9.1 GB."""
    amount = float(value)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"


def enumeration(words: Sequence[str]) -> str:
    """Join words as a sentence does: a; a and b; a, b and c."""
    return " and ".join(part for part in (", ".join(words[:-1]), "".join(words[-1:])) if part)


def some(words: Sequence[str], shown: int = 5) -> str:
    """Join words as a sentence does, and count those that are more than a sentence can hold."""
    return enumeration([*words[:shown], *([f"{number(len(words) - shown)} more"] if words[shown:] else [])])


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Align rows under their headers with spaces; the columns numbered in `right` end flush."""
    lines = [list(headers), *[[" ".join(cell.split()) for cell in row] for row in rows]]
    widths = [max(width(line[column]) for line in lines) for column in range(len(headers))]
    return "\n".join(
        "  ".join(
            " " * (widths[i] - width(cell)) + cell if i in right else cell + " " * (widths[i] - width(cell))
            for i, cell in enumerate(line)
        ).rstrip()
        for line in lines
    )


def width(text: str) -> int:
    """Count the terminal cells of a text: wide East Asian letters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def near(path: str | Path) -> str:
    """Name a path from the directory we stand in, where it lies below; an empty one stays empty."""
    there, here = Path(path), Path.cwd()
    return str(there.relative_to(here)) if there.is_relative_to(here) else str(path)


def shorten(text: str, limit: int) -> str:
    """Put a text on one line and cut it to `limit` letters, with an ellipsis where something is gone."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
