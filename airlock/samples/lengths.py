"""Values that are longer than any length that a project's sources name: cut to it, they lose their end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# A length of five or six digits behind what cuts, or a type that does; values of every type are long enough for shorter ones.
_CUT = re.compile(
    r"\b(?:left|substr|substring|for|char|varchar|varying|string|unicode|length)\b[^\d;\n]{0,60}"
    r"(?:[01]\s*(?:,|for)\s*)?(\d{1,3}_?\d{3})\b",
    re.IGNORECASE,
)
_LEAST, _MOST = 10_000, 200_000


def longer_than(sources: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Give a text and bytes longer than the greatest length in sources, as SQL by type; nothing where all are short."""
    named = {int(one) for text in sources for one in _CUT.findall(text)}
    lengths = [one for one in named if _LEAST <= one <= _MOST]
    if not lengths:
        return {}
    times = max(lengths) // 8 + 2
    return {
        "text": (f"repeat('longer, ', {times})",),
        "bytea": (f"decode(repeat('00ff416c00ff416d', {times}), 'hex')",),
    }
