"""Strings that a regular expression lets through, made from Python's own parse of it."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from typing import Any

_CLASS, _MOST_MARKS = re.compile(r"\[\^?([^\]]+)\]"), 4
_LETTERS = "abcdefghij"
# Texts as real columns hold them: what a pattern and a second condition ask for together, letters of a pattern rarely give.
_USUAL = (
    "2031-01-28", "2031-01-28 12:30:00", "28.01.2031", "12:30", "12.50", "name@host.example", "+4930123456", "192.0.2.7",
    "https://host.example/path", "6f3ec5a0-0000-4000-8000-00000000000a",
)  # fmt: skip
# A seed that no place in a pattern makes a number of turns of.
_SHORTEST = -1_000_000
# From this seed on a class gives one of each of its ranges in turns: behind letters its marks would never come.
_IN_TURNS = 1_000_000
# Called otherwise up to Python 3.10.
_PARSER = "re._parser" if sys.version_info >= (3, 11) else "sre_parse"


def samples(pattern: str, count: int = 12) -> tuple[str, ...]:
    """Make up to `count` different strings meant to match a POSIX pattern; the server has the last word."""
    if (parsed := _parsed(pattern)) is None:
        return ()
    found: dict[str, None] = {}
    for seed in range(count * 2):
        try:
            found[_sequence(parsed, _IN_TURNS + seed if seed % 3 == 2 else seed - seed // 3)] = None
        except (NotImplementedError, IndexError, RecursionError):
            return tuple(found)
        if len(found) == count:
            break
    return tuple(found)


def marked(pattern: str) -> tuple[str, ...]:
    """Give texts that hold a mark each which a class of the pattern names: another pattern may take it otherwise."""
    listed = "".join(_CLASS.findall(pattern)).replace("\\", "")
    marks = [one for one in dict.fromkeys(listed) if not one.isalnum() and one not in "-^[:"]
    return tuple(f"a{one}b" for one in marks[:_MOST_MARKS])


def usual(pattern: str) -> tuple[str, ...]:
    """Give the usual texts that a pattern is written for; none where it takes many kinds of them."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = tuple(one for one in _USUAL if re.search(_pythonic(pattern), one))
    except (re.error, RecursionError):
        return ()
    return found if len(found) <= 2 else ()


def shortest(pattern: str) -> tuple[str, ...]:
    """Make the shortest string meant to match a POSIX pattern, of the first of each class: digits are zeros.

    None where it cannot be read.
    """
    if (parsed := _parsed(pattern)) is None:
        return ()
    try:
        return (_sequence(parsed, _SHORTEST),)
    except (NotImplementedError, IndexError, RecursionError):
        return ()


def _parsed(pattern: str) -> Any:
    """Read a pattern; None where that is not possible."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Not a public module, and its type stubs differ: Any, by import_module.
            return importlib.import_module(_PARSER).parse(_pythonic(pattern))
    except (re.error, ValueError, RecursionError):
        return None


def from_similar(pattern: str) -> str:
    """Spell a pattern of SIMILAR TO as a regular expression."""
    return re.sub(r"[%_]", lambda it: ".*" if it.group() == "%" else ".", pattern)


def _pythonic(pattern: str) -> str:
    classes = {"alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "lower": "a-z", "upper": "A-Z",
               "space": r"\s", "xdigit": "0-9a-fA-F", "punct": "!-/"}  # fmt: skip
    for name, spelled in classes.items():
        pattern = pattern.replace(f"[:{name}:]", spelled)
    return pattern


def _sequence(parsed: Any, seed: int) -> str:
    return "".join(_one(str(kind), value, seed + place * 7) for place, (kind, value) in enumerate(parsed))


def _one(kind: str, value: Any, seed: int) -> str:
    if kind == "LITERAL":
        return chr(value)
    if kind == "NOT_LITERAL":
        return next(letter for letter in _LETTERS if ord(letter) != value)
    if kind == "ANY":
        return _LETTERS[seed % 10]
    if kind == "IN":
        return _member(value, seed)
    if kind in {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}:
        low, high, body = value
        times = low if seed < 0 else max(low, min(int(high), low + 1 + seed % 4, 40))
        return "".join(_sequence(body, seed + turn * 3) for turn in range(times))
    if kind == "SUBPATTERN":
        return _sequence(value[-1], seed)
    if kind == "BRANCH":
        branches = value[1]
        return _sequence(branches[seed % len(branches)], seed)
    if kind == "AT":
        return ""
    raise NotImplementedError(kind)


def _member(items: Any, seed: int) -> str:
    some: list[list[str]] = []
    negated = False
    for kind, value in items:
        name = str(kind)
        if name == "NEGATE":
            negated = True
        elif name == "LITERAL":
            some.append([chr(value)])
        elif name == "RANGE":
            some.append([chr(code) for code in range(value[0], min(value[1], value[0] + 25) + 1)])
        elif name == "CATEGORY":
            some.append({"CATEGORY_DIGIT": list("0123456789"), "CATEGORY_WORD": list("abc123_"),
                         "CATEGORY_SPACE": [" "]}.get(str(value), list(_LETTERS)))  # fmt: skip
    choices = [one for each in some for one in each]
    if seed >= _IN_TURNS:
        choices = [one[turn % len(one)] for turn in range(max(map(len, some), default=0)) for one in some]
    if negated:
        choices = [letter for letter in "abcXYZ019-_" if letter not in choices]
    return choices[max(seed, 0) % len(choices)]
