"""Values and names as SQL spells them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COMMENTS = re.compile(r"\s+|--[^\n]*(?:\n|$)|/\*.*?\*/", re.DOTALL)
_PLACE = re.compile(r"%(?:%|s|\((\w+)\)s)")
_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$).*?\1|[^-/'"$;eE]+|[eE]+(?!')|;|.""",
    re.DOTALL,
)


def quoted(*names: str) -> str:
    """Quote a name, or the parts of one (schema, table) with a dot between them."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def bare(name: str) -> str:
    """Take the schema from a name of one part or two, and its quotes."""
    return name.rpartition(".")[2].strip('"')


def unquoted(identifier: str) -> str:
    """Take one identifier's quotes away, and the doubling of those inside it."""
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier


def mentions(text: str, name: str) -> bool:
    """Tell whether a text (SQL, or a revision's source) holds a name as a word of its own."""
    return name in text and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def literal(value: Any) -> str:
    """Spell a value of Python: None, booleans, numbers, texts, and lists of them."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        # An empty ARRAY[] has no type; a text of that form takes the one that is wanted.
        return f"ARRAY[{', '.join(literal(one) for one in value)}]" if value else "'{}'"
    if isinstance(value, (bytes, memoryview)):
        return f"'\\x{bytes(value).hex()}'::bytea"
    if isinstance(value, (int, float)) and value == value and abs(value) != float("inf"):
        return f" {value!r}"
    text = str(value).replace("'", "''")
    return "E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def bound(query: str, values: Sequence[Any] | Mapping[str, Any] | None) -> str:
    """Fill values in where a query says `%s` or `%(name)s`; `%%` is a percent sign. Without values it stays as it is."""
    if values is None:
        return query
    by_name: Any = values if hasattr(values, "keys") else None
    in_order = iter(values if by_name is None else ())

    def spelt(found: re.Match[str]) -> str:
        if found.group() == "%%":
            return "%"
        return literal(by_name[found[1]] if by_name is not None else next(in_order))

    return _PLACE.sub(spelt, query)


def statements(text: str) -> list[str]:
    """Take a text of SQL apart at its semicolons, but for those inside quotes and comments."""
    if ";" not in text:
        return [text] if text.strip() else []
    pieces = [""]
    for token in _TOKEN.finditer(text):
        if token.group() == ";":
            pieces.append("")
        else:
            pieces[-1] += token.group()
    return [piece for piece in pieces if piece.strip()]


def command(sql: str) -> str:
    """Tell the first word of a statement in capitals, past comments and white space."""
    word = re.compile(r"\w+").match(sql, start(sql))
    return word.group().upper() if word else ""


def start(sql: str) -> int:
    """Tell where a statement begins, past comments and white space."""
    place = 0
    while (skipped := _COMMENTS.match(sql, place)) is not None and skipped.end() > place:
        place = skipped.end()
    return place


def identifiers(sql: str) -> frozenset[str]:
    """List every word of the text that could be a relation's name, as written and in lower case."""
    words = set(re.findall(r"\w+", sql)) | set(re.findall(r'"((?:[^"]|"")+)"', sql))
    return frozenset(words | {word.lower() for word in words})
