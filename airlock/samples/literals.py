"""What a condition spells out that a column may hold: its strings, its numbers and those beside them, texts of its patterns."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.samples.patterns import samples, shortest

if TYPE_CHECKING:
    from airlock.samples.model import Column

_STRING = re.compile(r"'((?:[^']|'')*)'")
NUMBER = re.compile(r"(?<![\w.'])\d+(?:\.\d+)?(?![\w'])")
_PATTERN = re.compile(r"~\*?\s*'((?:[^']|'')*)'")
_LISTED = re.compile(r"\{[^{}\"\\]+\}")


def literals(column: Column, expression: str) -> tuple[str, ...]:
    """Take the literals of an expression that could be values of this column, and its default where that is one.

    Texts that are too long for the column are none: one of them would end the INSERT of all rows.
    """
    if column.category == "N":
        numbers = sorted(
            {
                float(text) if "." in text else int(text)
                for text in NUMBER.findall(f"{expression} {column.default or ''}")
            }
        )
        around = sorted({number + step for number in numbers for step in (-1, 0, 1)})
        return tuple(str(number) for number in around[:60])
    found: dict[str, None] = {}
    most = column.length if column.category == "S" else None
    for pattern in _PATTERN.findall(expression):
        plain = pattern.replace("''", "'")
        for sample in (*samples(plain), *(shortest(plain) if most is not None else ())):
            doubled = sample.replace("'", "''")
            found[f"'{doubled}'"] = None
    if column.category in {"S", "E", "D", "T", "U"}:
        texts = [*_STRING.findall(column.default or ""), *_STRING.findall(expression)]
        # Of an array that is spelled as one text, its members.
        texts += [one for text in texts if _LISTED.fullmatch(text) for one in text[1:-1].split(",")]
        for text in texts:
            if column.category != "E" or text.replace("''", "'") in column.labels:
                found[f"'{text}'"] = None
    fitting = [one for one in found if most is None or len(one[1:-1].replace("''", "'")) <= most]
    return tuple(fitting)[:60]
