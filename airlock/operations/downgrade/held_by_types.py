"""Values that a type does not hold, told by a condition where a cast would end the query that counts: texts, numbers."""

from __future__ import annotations

import re

from airlock.drivers.spelling import literal

# The server tells it itself (PostgreSQL 16's release notes, pg_input_is_valid).
_TELLS = 16
_BOUNDS = {
    "smallint": "-32768 AND 32767",
    "integer": "-2147483648 AND 2147483647",
    "bigint": "-9223372036854775808 AND 9223372036854775807",
}
# The largest and the smallest of each: between, another value is rounded; beyond, a cast is an error.
_ROUNDED = {
    "real": ("3.4028234663852886e38", "1.401298464324817e-45"),
    "double precision": ("1.7976931348623157e308", "4.9406564584124654e-324"),
}
_COINS = "-92233720368547758.08 AND 92233720368547758.07"
_SIZED = re.compile(r"numeric\((\d+),(\d+)\)")
_WHOLE = r"^\s*[-+]?[0-9]+\s*$"
_DAY = r"^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
_NUMBER = r"^\s*([-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?|[nN][aA][nN])\s*$"
# What a type reads and is not among these it spells otherwise, so that it is counted all the same.
_READ = {
    "uuid": r"^\{?[0-9a-fA-F]{4}(-?[0-9a-fA-F]{4}){7}\}?$",
    "boolean": r"(?i)^\s*(t(r(ue?)?)?|f(a(l(se?)?)?)?|y(es?)?|no?|on|off?|0|1)\s*$",
    "ltree": r"^([A-Za-z0-9_]{1,255}(\.[A-Za-z0-9_]{1,255})*)?$",
}


def out_of_range(number: str, type_: str) -> str | None:
    """Spell the condition of a number that a type of numbers has no room for; None for all other types. Pure."""
    if type_ in _BOUNDS:
        return f"{number} NOT BETWEEN {_BOUNDS[type_]}"
    if type_ == "money":
        return f"round({number}::numeric, 2) NOT BETWEEN {_COINS}"
    sized = _SIZED.fullmatch(type_)
    if sized is None:
        return None
    digits, scale = int(sized[1]), int(sized[2])
    # NaN is above everything, and held by each numeric.
    return f"abs(round({number}::numeric, {scale})) BETWEEN 1e{digits - scale} AND 'Infinity'"


def beyond_rounding(number: str, above: str, below: str) -> str | None:
    """Spell the condition of a finite number that a type which rounds has no room for; None where it has room for all. Pure."""
    if below not in _ROUNDED or not above.startswith(("numeric", "double precision")) or above == below:
        return None
    most, least = _ROUNDED[below]
    large = f"abs({number}) > '{most}' AND abs({number}) < 'Infinity'"
    return f"{large} OR {number} <> 0 AND abs({number}) < '{least}'"


def unreadable(text: str, type_: str, major: int) -> str | None:
    """Spell the condition of a text that a type does not read; None where this major's server has no way to tell.

    Of NULL it is not true. Older servers than 16 tell it of numbers, flags, dates, UUIDs and ltrees alone. Pure.
    """
    if major >= _TELLS:
        return f"NOT pg_input_is_valid({text}, {literal(type_)})"
    if type_ == "date":
        # Errors of a JSON path are silent: the one way to ask for a day that no month has. A zero it takes for one.
        day = f"""jsonb_path_exists(to_jsonb({text}), '$.datetime("YYYY-MM-DD")', silent => true)"""
        return f"CASE WHEN {text} ~ {literal(_DAY)} THEN {day} IS NOT TRUE ELSE {text} !~ '^-?infinity$' END"
    beyond = "false" if type_ == "numeric" else out_of_range(f"({text})::numeric", type_)
    if beyond is not None:
        number = literal(_WHOLE if type_ in _BOUNDS else _NUMBER)
        return f"CASE WHEN {text} ~ {number} THEN {beyond} ELSE {text} IS NOT NULL END"
    read = _READ.get(type_)
    return f"{text} !~ {literal(read)}" if read is not None else None


def guarded(condition: str, *unreadable_ones: str | None) -> str:
    """Put what cannot be read in front of a condition that would fail on it. Pure."""
    arms = " ".join(f"WHEN {one} THEN true" for one in dict.fromkeys(unreadable_ones) if one is not None)
    return f"CASE {arms} ELSE {condition} END" if arms else condition
