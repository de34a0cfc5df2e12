"""The constants that statements and Python sources name: what rows are made of."""

from __future__ import annotations

import contextlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airlock.operations.drill.rows import python_conditions, python_paths
from airlock.recorder.tokens import NUMBER, STRING, WORD, Token, tokens, value
from airlock.samples.constants import CASTS, Constants

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What SQL calls that which Python does to a text.
_IN_PYTHON = {
    "lower": r"\.(?:lower|casefold|upper|title|capitalize|swapcase)\(",
    "trim": r"\.[lr]?strip\(",
    "~": r"\bre\.\w+\(",
    "jsonb_typeof": r"\bisinstance\(",
}
# What JSON calls the types that Python asks for.
_TYPES = {"object": "dict", "array": "list", "string": "str", "number": "(?:int|float)", "boolean": "bool"}
# No value of a row: a statement that is sent, and what its parameters are called.
_STATEMENT = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|ALTER|CREATE|DROP|TRUNCATE|COPY)\s", re.IGNORECASE
)
# What Python reads a text as where it does not raise ValueError: texts that it takes.
_READ_AS = (
    (r"\bfromisoformat\(", ("2024-02-29",)),
    (r"\bUUID\(", ("0d9f1b1e-6c1a-4b7e-9b55-3f3c2f0a7a11",)),
    (r"\bip_address\(|\bIPv4Address\(", ("192.0.2.7",)),
    (r"\bip_network\(|\bIPv4Network\(", ("192.0.2.0/24",)),
    (r"\burl(?:split|parse)\(", ("https://user@example.org:8443/a/b?c=d#e", "example.org")),
    (r"\bparseaddr\(", ("Ann <ann@example.org>",)),
    # What is left where all but digits goes: a phone number, a code.
    (
        r"""\bre\.(?:sub|findall|compile)\(\s*r?["'](?:\[\^(?:0-9|\\d)|\\D|\\d|\[0-9)""",
        ("0170 1234567", "+4930123456", "12-34"),
    ),
    (r"\.is(?:digit|decimal|numeric)\(", ("0042", "7")),
    # Four digits that base64 reads as well.
    (r"\bfromhex\(|\bunhexlify\(|\bb(?:16|32|64)decode\(", ("BEEF", "ORSXG5A=")),
)
_STRPTIME = re.compile(r"""strptime\s*\([^\n]*?["']([^"'\n]*%[^"'\n]*)["']""")
_FORM = re.compile(r"""["']([^"'\n]*%[YymdHB][^"'\n]*)["']""")
_MOMENT = datetime(2024, 2, 29, 13, 5, 7)  # noqa: DTZ001  spelled in the revision's own format, with a zone or without
_ARRAY = re.compile(r"\{[^{}\\]*\}")
_BEFORE_SIGN = frozenset({"BETWEEN", "AND", "THEN", "ELSE", "WHEN"})


def names_any(text: str) -> bool:
    """Tell whether a statement names any constant."""
    found = constants(text)
    return bool(found.strings or found.numbers)


def constants(text: str) -> Constants:
    """Read the constants of a statement."""
    some = tokens(text)
    strings = [value(token) for token in some if token.kind == STRING and not token.text.startswith("$")]
    numbers = [
        ("-" if at and some[at - 1].text == "-" and _is_sign(some, at - 1) else "") + token.text
        for at, token in enumerate(some)
        if token.kind == NUMBER
    ]
    listed = list(_members(some))
    strings += listed
    numbers += [one for one in listed if re.fullmatch(r"-?\d+(?:\.\d+)?", one)]
    inside = [one for one in strings if one.startswith(("$", "strict $", "lax $"))]
    strings += [one for path in inside for one in re.findall(r'"([^"]*)"', path)]
    numbers += [one for path in inside for one in re.findall(r"[<>=]\s*(-?\d+(?:\.\d+)?)", path)]
    words = {token.text.lower() for token in some if token.kind == WORD}
    if any(token.text in ("~", "~*", "!~", "!~*") for token in some):
        words.add("~")
    return Constants(
        tuple(dict.fromkeys(strings)),
        tuple(dict.fromkeys(numbers)),
        tuple(dict.fromkeys(_paths(some))),
        frozenset(words),
        frozenset(_counted(some)),
    )


def _members(some: Sequence[Token]) -> Iterator[str]:
    """Find the members of arrays that are spelled as one text: `= ANY ('{a,b}'::text[])`."""
    for at, token in enumerate(some):
        behind = [one.text for one in some[at + 1 : at + 4]]
        of_any = at > 1 and some[at - 1].text == "(" and some[at - 2].word in ("ANY", "ALL", "SOME")
        is_cast = len(behind) == 3 and (behind[0], behind[2]) == ("::", "[")
        if token.kind == STRING and (of_any or is_cast) and _ARRAY.fullmatch(value(token)):
            yield from (one.strip(' "') for one in value(token)[1:-1].split(",") if one.strip())


def _counted(some: Sequence[Token]) -> Iterator[str]:
    """Find the keys whose values are cast to a number: `(doc ->> 'n')::integer`."""
    for at, token in enumerate(some[:-3]):
        behind = [one.text.lower() for one in some[at + 1 : at + 4]]
        if token.kind == STRING and behind[:2] == [")", "::"] and behind[2] in CASTS:
            yield value(token)


def _is_sign(some: Sequence[Token], place: int) -> bool:
    before = some[place - 1] if place else None
    return (
        before is None
        or before.text in ("(", "=", "<", ">", ",", "<=", ">=", "<>")
        or before.word in _BEFORE_SIGN
    )


def _paths(some: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    """Find the keys that JSON operators ask for, as paths."""
    path: list[str] = []
    for at, token in enumerate(some):
        if (
            token.text in ("->", "->>", "?", "#>", "#>>", "#-", "-")
            and at + 1 < len(some)
            and some[at + 1].kind == STRING
        ):
            text = value(some[at + 1])
            if token.text.startswith("#"):
                yield tuple(part.strip('"') for part in text.strip("{}").split(","))
                continue
            if token.text == "-":
                if re.fullmatch(r"[A-Za-z_][\w-]*", text):
                    yield (text,)
                continue
            path.append(text)
            following = some[at + 2].text if at + 2 < len(some) else ""
            if following not in ("->", "->>"):
                yield tuple(path)
                path = []
        elif token.kind == STRING and re.fullmatch(r"\{\w+(,\s*\w+)*\}", value(token)):
            yield tuple(part.strip() for part in value(token).strip("{}").split(","))
        elif token.kind == STRING and value(token).startswith(("$", "strict $", "lax $")):
            # A path of SQL/JSON: its members in their order, an asterisk for every element of an array.
            parts = re.findall(r"\.([A-Za-z_]\w*)|(\[)", re.sub(r'"[^"]*"', "", value(token)))
            yield tuple(name or "*" for name, _ in parts)
        elif token.kind == WORD and token.text.lower().startswith(
            ("jsonb_extract_path", "json_extract_path")
        ):
            yield tuple(value(one) for one in some[at : at + 12] if one.kind == STRING)


def python_constants(source: str) -> Constants:
    """Read what a revision's Python compares with: strings, numbers, keys it asks of a value; and as what it reads texts."""
    strings = re.findall(
        r"""(?:==|!=|\bin\b|\bcase\b|[\[({,:|]|^[ \t]*[A-Z][A-Z0-9_]*\s*=)\s*[rRuU]?['"]([^'"\n]{1,60})['"]""",
        source,
        re.MULTILINE,
    )
    strings = [one for one in strings if not (_STATEMENT.match(one) or _is_parameter(one, source))]
    strings += [one for one in _TYPES if re.search(rf"\bisinstance\([^\n]*\b{_TYPES[one]}\b", source)]
    numbers = re.findall(r"(?:==|!=|<|>|<=|>=)\s*(-?\d+(?:\.\d+)?)", source)
    cut = re.findall(r"\[\s*:\s*(\d{1,2})\s*\]", source)
    keys = re.findall(r"""(?:\.get\(|\[)\s*['"]([\w-]{1,60})['"]""", source)
    # Of patterns that a document is matched with.
    keys += [
        key
        for pattern in re.findall(r"\bcase\s*(\{[^\n]*)", source)
        for key in re.findall(r"""[{,]\s*['"]([\w-]{1,60})['"]\s*:""", pattern)
    ]
    words = {it.lower() for it in re.findall(r"\b(int|loads|float|Decimal)\(", source)}
    words |= {sql for sql, python in _IN_PYTHON.items() if re.search(python, source)}
    return Constants(
        (*_read(source), *tuple(dict.fromkeys(strings))[:16]),
        tuple(dict.fromkeys([*numbers, *cut]))[:8],
        (*python_paths.nested(source), *((key,) for key in dict.fromkeys(keys))),
        frozenset([*words, *(["cardinality"] if cut else [])]),
        together=python_conditions.held(source),
    )


def _is_parameter(name: str, source: str) -> bool:
    return name.isidentifier() and re.search(rf"(?<![:\w]):{name}\b", source) is not None


def _read(source: str) -> Iterator[str]:
    """Give texts that a revision's Python reads as something else: behind a caught ValueError only such rows are written."""
    for pattern, texts in _READ_AS:
        if re.search(pattern, source):
            yield from texts
    # Also formats that it tries one by one, of a list.
    forms = _FORM.findall(source) if "strptime" in source else ()
    for form in dict.fromkeys((*_STRPTIME.findall(source), *forms)):
        # A directive of another platform's own.
        with contextlib.suppress(ValueError):
            yield _MOMENT.strftime(form)
