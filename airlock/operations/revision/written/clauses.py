"""Pieces of statements that airlock itself has spelt: names, lists, what stands in parentheses."""

from __future__ import annotations

import re

NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
QUALIFIED = rf"(?:{NAME}\.)?{NAME}"
# A colon before a word would be taken for a bound value.
_BIND = re.compile(r"(?<![:\w\\]):(?=[\w$]+(?![:\w$]))|(?<=\\):(?=[\w$]*(?![:\w$]))")


def bound(text: str) -> str:
    """Spell a text for SQLAlchemy's text(): a colon that binds nothing is said to be one."""
    return _BIND.sub(r"\\:", text)


def plain(name: str) -> str:
    """Take the quotes off a name."""
    name = name.strip()
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def names_in(qualified: str) -> list[str]:
    """Take a qualified name apart."""
    return [plain(one) for one in re.findall(NAME, qualified)]


def split(text: str, separator: str) -> list[str]:
    """Split at separators that stand in no quotes and no parentheses."""
    parts, depth, quote, start = [], 0, "", 0
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif not depth and text.startswith(separator, place):
            parts.append(text[start:place])
            start = place + len(separator)
    return [*parts, text[start:]]


def within(text: str) -> str | None:
    """Give what stands within the parentheses that a text begins and ends with; None where those are not a pair."""
    if not (text.startswith("(") and text.endswith(")")):
        return None
    depth, quote = 0, ""
    for place, sign in enumerate(text):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign == "(":
            depth += 1
        elif sign == ")":
            depth -= 1
            if not depth and place < len(text) - 1:
                return None
    return text[1:-1] if not depth and not quote else None


def inside(text: str) -> str:
    """Give what stands within parentheses that are known to be a pair."""
    return within(text) or ""
