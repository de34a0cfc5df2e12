"""Which documents a history takes the values of JSON columns for: objects, arrays, or either.

Read from the text of the revisions, SQL and Python alike: an operator, a function or a method that stands beside the
column's name. What a step fails on is learnt from its error, in `cast_demands`.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airlock.drivers.spelling import bare, mentions
from airlock.samples.values import document

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airlock.samples import Table
    from airlock.samples.model import Column

# What a column is called where its text is read, and what where that of its elements is.
_MARK, _OTHER = "the_column_that_is_read", "the_column_with_elements"
_JSON = frozenset({"json", "jsonb"})
_OBJECT, _ARRAY, _ARRAY_OF_OBJECTS = "object", "array", "array of objects"
_CLOSED = r"""["'`]?(?:\s+AS\s+jsonb?\b)?\)*(?:\\?:\\?:jsonb?\b)?\)*"""
_KEY = r"""['"][A-Za-z_$]"""
_PATH = r"""(?:ARRAY\s*\[\s*'|'\{\s*"?)"""
_TYPED = r"jsonb?_"
# Behind a value that is not asked for a part of it.
_WHOLE = r"""(?!["']?\]?\s*(?:->|\#[>-]|\[|=|\\?:\\?:jsonb?\s*(?:->|\#[>-])|\.(?!copy\()))"""
# `@` stands for the column and what may close behind its name.
_OF_OBJECTS = (
    rf"@\s*->>?\s*{_KEY}",
    rf"@\s*#(?:>>?|-)\s*{_PATH}[A-Za-z_]",
    r"@\s*(?:\|\||@>)\s*(?:CAST\s*\(\s*)?'\s*\{",
    rf"@\s*\|\|\s*{_TYPED}(?:build_)?object\b",
    rf"{_TYPED}(?:object_keys|each|each_text|to_record)\s*\(\s*@<",
    rf"{_TYPED}populate_record\s*\([^()]*(?:\([^()]*\))?[^()]*,\s*@<",
    rf"{_TYPED}(?:set|set_lax|insert)\s*\(\s*@<\s*,\s*{_PATH}[A-Za-z_]",
    rf"{_TYPED}extract_path(?:_text)?\s*\(\s*@<\s*,\s*'[A-Za-z_]",
    r"coalesce\s*\(\s*@<\s*,\s*'\{",
    # Python; a subscript also in SQL.
    rf"@\s*\[\s*{_KEY}",
    rf"@\s*\.(?:get|pop|setdefault)\(\s*(?:{_KEY}|[a-zA-Z_])",
    r"@\s*\.(?:(?:items|keys|values)\(\s*\)|update\(\s*[\w{*])",
    rf"""@\s*\.op\(\s*['"]->>?['"]\s*\)\(\s*{_KEY}""",
    r"\bdict\(\s*@<",
    r"\*\*\s*@<",
    r"@\s*or\s*(?:\{\}|dict\(\))",
)
_OF_ARRAYS = (
    r"@\s*->>?\s*\(?-?\d",
    rf"@\s*#(?:>>?|-)\s*{_PATH}-?\d",
    r"@\s*(?:\|\||@>)\s*(?:CAST\s*\(\s*)?'\s*\[",
    rf"@\s*\|\|\s*{_TYPED}build_array\b",
    rf"{_TYPED}(?:array_elements|array_elements_text|array_length|to_recordset)\s*\(\s*@<",
    rf"{_TYPED}(?:set|set_lax|insert)\s*\(\s*@<\s*,\s*{_PATH}-?\d",
    r"coalesce\s*\(\s*@<\s*,\s*'\[",
    r"@\s*\[\s*-?\d+\s*\]",
    r"@\s*\.(?:append|extend|remove|insert(?=\(\s*\d)|sort)\(",
    r"\bfor\s+\w+\s+in\s+@<\s*(?:or\s*\[\]\s*)?\)?\s*[:\])}]",
    r"\blist\(\s*@<",
    r"@\s*or\s*(?:\[\]|list\(\))",
)
# Of an object's keys, and as well of an array's strings.
_OF_EITHER = (
    rf"@\s*\\*\?[|&]?\s*(?:{_KEY}|array\b)",
    r"@\s*-\s*'[A-Za-z_]",
    rf"{_KEY}[\w-]*['\"]\s+(?:not\s+)?in\s+@<",
    r"""@\s*\.(?:has_key\(|op\(\s*['"]\?)""",
)
_GUARDS = (rf"{_TYPED}typeof\s*\(\s*@<", r"isinstance\(\s*@<\s*,")
_ELEMENTS = (
    rf"{_TYPED}array_elements\s*\(\s*@<\s*\)\s*(?:WITH\s+ORDINALITY\s+)?(?:AS\s+)?(\w+)",
    r"\bfor\s+(\w+)\s+in\s+@<",
)
# Of no element that is a scalar.
_OF_ELEMENTS = (rf"@\.value\s*->>?\s*{_KEY}", r"@(?:\.value)?\s*-\s*'[A-Za-z_]")
_PATTERNS = (*_OF_OBJECTS, *_OF_ARRAYS, *_OF_EITHER, *_GUARDS, *_ELEMENTS, *_OF_ELEMENTS)
_WORDS = frozenset(
    word.lower()
    for word in re.findall(r"\w+", " ".join((*_PATTERNS, _CLOSED, _WHOLE, "CAST coalesce json loads")))
)

_MADE = re.compile(
    r"""\bCREATE\s+(?:\w+\s+)?TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?([\w"$.]+)\s*\(|\bcreate_table\(\s*["']([^"']+)["']""",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Shapes:
    """The sources of a history's revisions, the lowest first, and what was found in them."""

    sources: tuple[str, ...] = ()
    found: dict[tuple[str, str], tuple[str, bool]] = field(default_factory=dict)

    def alike(self, table: Table) -> Table:
        """Describe the table with JSON columns whose values are what every revision takes them for."""
        return self._shaped(table, at_first=False)

    def at_first(self, table: Table) -> Table:
        """Describe it as the first revision that tells takes its values: another may make arrays into objects."""
        return self._shaped(table, at_first=True)

    def _shaped(self, table: Table, *, at_first: bool) -> Table:
        if not self.sources or not any(one.type in _JSON for one in table.columns):
            return table
        columns = tuple(
            replace(one, shape=self._of(table, one, at_first=at_first))
            if one.type in _JSON and not one.shape
            else one
            for one in table.columns
        )
        return replace(table, columns=columns)

    def _of(self, table: Table, column: Column, *, at_first: bool) -> str:
        place = (table.name, column.name)
        if place not in self.found:
            told = list(self._told(*place))
            weak = _OBJECT if any(not one for one in told) and not document(column) else ""
            strong = [one for one in told if one]
            self.found[place] = strong[0] if strong else weak, len({one.split()[0] for one in strong}) <= 1
        shape, agreed = self.found[place]
        return shape if agreed or at_first else ""

    def _told(self, table: str, column: str) -> Iterator[str]:
        """Give what each revision that names both takes values for, empty for what may be either; nothing where one asks."""
        naming = [one for one in self.sources if mentions(one, table) and mentions(one, column)]
        about = [_without_others(one, table) for one in naming]
        read = [_marked(source, _spelled(source, column)) for source in about]
        if any(_finds(_GUARDS, source, names) for source, names in read):
            return
        for source, names in read:
            for part in _ways(source):
                objects, arrays = _finds(_OF_OBJECTS, part, names), _finds(_OF_ARRAYS, part, names)
                if objects != arrays:
                    yield _OBJECT if objects else _array(part, names)
                    break
            else:
                if _finds(_OF_EITHER, source, names):
                    yield ""


def _without_others(source: str, table: str) -> str:
    """Leave out what makes other tables: their CHECKs and defaults may say something of a column of the same name."""
    kept, place = [], 0
    for made in _MADE.finditer(source):
        if made.start() >= place and bare(made[1] or made[2]).strip('"') != table:
            end = _closed(source, made.end())
            kept.append(source[place : made.start()])
            place = end
    return "".join([*kept, source[place:]])


def _closed(source: str, place: int) -> int:
    """Find the end of what was opened just before a place; that place itself where it is not closed."""
    depth = 1
    for found in re.finditer(r"[()]", source[place:]):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return place + found.end()
    return place


def _spelled(source: str, column: str) -> tuple[str, ...]:
    """Name the column, and the variables that hold its value."""
    held = rf"\b(\w+)\s*=\s*(?:\w+(?:\.\w+)?\(\s*)*(?:\w+\.|\w+\[['\"]){re.escape(column)}\b{_WHOLE}"
    names = [column, *(it for it in re.findall(held, source) if not it.isdigit()), *_unpacked(source, column)]
    return tuple(dict.fromkeys(names))


def _unpacked(source: str, column: str) -> Iterator[str]:
    """Name the variables that rows are unpacked into, where a SELECT of as many columns has this one in their place."""
    loops = [
        re.split(r"\s*,\s*", one) for one in re.findall(r"\bfor\s+\(?(\w+(?:\s*,\s*\w+)+)\)?\s+in\b", source)
    ]
    lists = re.findall(
        r"\bSELECT\s+(?:DISTINCT\s+)?([\w\s,.\"]+?)\s+FROM\b|\bselect\(([\w\s,.]+)\)", source, re.IGNORECASE
    )
    for listed in (re.split(r"\s*,\s*", (one or other).strip()) for one, other in lists):
        places = [place for place, one in enumerate(listed) if bare(one) == column]
        for names in loops:
            yield from (names[place] for place in places if len(names) == len(listed))


def _marked(source: str, names: Iterable[str]) -> tuple[str, str]:
    """Give what is called so one name everywhere, so that patterns are made once and not for every column; and that name.

    Where one is a word of the patterns themselves (`items`) the text stays, and the patterns are made of the names.
    """
    spelled = "(?:" + "|".join(re.escape(name) for name in names) + ")"
    if any(name.lower() in _WORDS for name in names):
        return source, spelled
    return re.sub(rf"\b{spelled}\b", _MARK, source, flags=re.IGNORECASE), _MARK


def _finds(patterns: Iterable[str], source: str, names: str) -> bool:
    if names is _MARK and _MARK not in source:
        return False
    return any(_about(one, names).search(source) for one in patterns)


@functools.lru_cache(maxsize=256)
def _about(pattern: str, names: str) -> re.Pattern[str]:
    """Put the column into a pattern: `@<` inside parentheses, behind what may be opened before its name."""
    opened = r"""(?:(?:CAST|coalesce|json\.loads)\s*\(\s*|\(\s*)*(?:["'\w]+\.|\w+\[)?["']?"""
    inside = rf"{opened}\b{names}\b{_CLOSED}\]?{_WHOLE}"
    at = re.sub(r"@<", lambda _: inside, pattern)
    alone = rf"(?<![\w@]){names}\b{_CLOSED}\]?(?:\s*,\s*'[{{\[][^']*'(?:\\?:\\?:jsonb?)?\s*\))?"
    return re.compile(re.sub(r"@(?!>)", lambda _: alone, at), re.IGNORECASE)


def _ways(source: str) -> tuple[str, str]:
    """Split a revision at its downgrade: what the upgrade takes values for is how they are below."""
    above, _, below = source.partition("def downgrade")
    return above, below


def _array(source: str, names: str) -> str:
    for pattern in _ELEMENTS:
        for name in _about(pattern, names).findall(source):
            element = _marked(source.replace(_MARK, _OTHER) if name != _MARK else source, (name,))
            if _finds((*_OF_OBJECTS, *_OF_ELEMENTS), *element):
                return _ARRAY_OF_OBJECTS
    return _ARRAY
