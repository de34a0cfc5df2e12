"""Loops of PL/pgSQL that go through rows in windows of their key, up to an end that is written down: rows beyond are left.

Reads text, asks no server.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.recorder.tokens import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airlock.recorder.plpgsql import Body, Simple

# Of fewer rows than these the samples hold more.
_LEAST = 60
_COUNTED = re.compile(r"(?is)(\w+)\s+IN\s+(?!REVERSE\b)[\w]+\s*\.\.\s*(\w+)(?:\s+BY\s+\w+)?")
_UNDER = re.compile(r"(?is)\(?\s*(\w+)\s*<=?\s*(\w+)\s*\)?")
_SERIES = re.compile(r"(?is)(\w+)\s+IN\s+SELECT\b.*\bgenerate_series\s*\(\s*\w+\s*,\s*(\w+)\s*,\s*\w+\s*\).*")
_OF_ROWS = re.compile(r"(?i)(?:WITH|UPDATE|DELETE|INSERT|PERFORM|EXECUTE|MERGE)\b")
_ENDS = frozenset({"EXIT", "RETURN"})


def leaves_rows(loop: Body, numbers: Mapping[str, int]) -> bool:
    """Tell whether a loop ends at a key that is written down; not one that goes to the end of rows, or through numbers.

    `FOR i IN 0..99` with `BETWEEN i * 1000 AND …` in it is one, `WHILE low < 1000000` with `id > low AND id <= low + 1000`
    another, `FOR r IN SELECT g FROM generate_series(0, 400000, 1000) g` a third; `FOR year IN 2000..2030` with `year = i` in it
    is none. `numbers` are the variables that hold one number.
    """
    forms = (_COUNTED, _SERIES) if loop.label.startswith("FOR ") else (_UNDER,)
    found = next((it for form in forms if (it := form.fullmatch(loop.condition.strip()))), None)
    if found is None or any(one.word in _ENDS for one in _inside(loop)):
        return False
    name, written = rf"{found[1]}\b(?: \. \w+)?", found[2].lower()
    last = int(written) if written.isdigit() else numbers.get(written)
    sizes, asked = list[int](), False
    for one in _inside(loop):
        text = " ".join(token.text for token in one.some)
        if _OF_ROWS.match(text):
            within = re.search(rf"(?i)(?:[<>]=?|\bBETWEEN|\bAND) (?:\( )*{name}", text) is not None
            asked |= within or (
                one.word == "EXECUTE" and re.search(r"(?i)[<>]|\bBETWEEN\b", text) is not None
            )
        computed = re.findall(rf"(?i)\b{name}(?: \))* ([*+]) (?:\( )*(\w+)", text)
        sizes += [
            int(size)
            if size.isdigit() and sign == "*"
            else numbers.get(size.lower(), 1)
            if sign == "*"
            else 1
            for sign, size in computed
        ]
    return last is not None and asked and bool(sizes) and last * max(sizes) >= _LEAST


def numbers_of(body: Body) -> dict[str, int]:
    """Give the variables of a body, and of the blocks in it, that are declared with a whole number and never set."""
    found = {}
    for some in body.declared:
        if len(some) > 2 and some[-1].kind == NUMBER and some[-1].text.isdigit():
            found[some[0].text.lower()] = int(some[-1].text)
    for inner in body.inner:
        found |= numbers_of(inner)
    for one in _inside(body):
        words = [token.text.lower() for token in one.some]
        if len(words) > 1 and words[1] in (":=", ":", "="):
            found.pop(words[0], None)
        if "into" in words:
            for word in words[words.index("into") :]:
                found.pop(word, None)
    return found


def _inside(body: Body) -> Iterator[Simple]:
    yield from body.simple
    for inner in body.inner:
        yield from _inside(inner)
