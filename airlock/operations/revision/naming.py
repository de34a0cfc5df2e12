"""Names that a revision makes up, within the 63 bytes that PostgreSQL keeps of one."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

# NAMEDATALEN - 1, in bytes of the database's encoding: UTF-8.
LONGEST = 63


def made_name(*words: str, taken: Container[str] = ()) -> str:
    """Join words by underscores; what is too long, or taken, is cut and told apart by a digest of the whole."""
    whole = "_".join(words)
    if len(whole.encode()) <= LONGEST and whole not in taken:
        return whole
    last = words[-1]
    for number in range(100):
        mark = hashlib.sha256(f"{whole}{number or ''}".encode()).hexdigest()[:6]
        tail = f"_{mark}_{last}"
        name = clipped("_".join(words[:-1]), LONGEST - len(tail.encode())) + tail
        if name not in taken:
            return name
    raise ValueError(f"no free name like {whole}")


def beside_name(name: str, taken: Container[str] = ()) -> str:
    """Name what stands beside the thing that it will take the place of."""
    return made_name(name, "new", taken=taken)


def postgresql_name(table: str, column: str, label: str) -> str:
    """Name an object as PostgreSQL itself does: `table_column_label`, the longer of the two words shortened first."""
    first, second = len(table.encode()), len(column.encode())
    while first + second > LONGEST - len(label.encode()) - 2:
        if first > second:
            first -= 1
        else:
            second -= 1
    return f"{clipped(table, first)}_{clipped(column, second)}_{label}"


def clipped(text: str, size: int) -> str:
    """Cut a text to a number of bytes, between characters."""
    return text.encode()[: max(size, 0)].decode(errors="ignore")
