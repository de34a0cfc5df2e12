"""Values for a column from the constants of a statement: what they say, what lies beside them, and what is none of them."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal
from airlock.samples.extension_types import named_values
from airlock.samples.patterns import from_similar, marked, samples, shortest, usual
from airlock.samples.values import document, null_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.samples.model import Column

_MOST = 40
_MOST_STRINGS, _MOST_NUMBERS = 24, 16
_TEXT = frozenset({"text", "character varying", "character", "name", "citext"})
_NUMBERS = frozenset({"smallint", "integer", "bigint", "real", "double precision", "numeric", "money", "oid"})
_WHOLE = frozenset({"smallint", "integer", "bigint", "oid"})
_TIMES = frozenset({"date", "timestamp without time zone", "timestamp with time zone"})
_JSON = frozenset({"json", "jsonb"})
_LONGEST_TIME, _MOST_TRIMMED = 40, 3
_MOST_LABELS = 20
_TEXT_DEFAULT = re.compile(r"'(?:[^']|'')*'(?=::|$)")
# What takes a part of a text by its place.
_CUTTING = frozenset({"left", "right", "substr", "substring", "overlay"})
_MATCHING = frozenset({"~", "regexp_replace", "regexp_match", "regexp_matches", "regexp_like"})
# The list is in no order, and holds one value twice.
_OTHERS: tuple[object, ...] = ("other", None, "", True, False, 1, [], ["b", "a", "b"])
_YEARS = range(1900, 2101)
_NO_NUMBERS = frozenset({"nan", "infinity", "-infinity", "inf", "-inf"})
# Of a text that a statement reads as a number.
CASTS = frozenset({"int", "integer", "bigint", "smallint", "int4", "int8", "numeric", "decimal"})
_TYPES_ASKED = frozenset({"jsonb_typeof", "json_typeof"})
_OF_TYPE: dict[str, object] = {
    "array": ["x", "y"], "object": {"x": "y"}, "string": "x", "number": 7, "boolean": True, "null": None,
}  # fmt: skip
# As Python calls what reads a text as one.
_FRACTIONS = frozenset({"float", "decimal"})
_BLANKS = frozenset({"trim", "btrim", "ltrim", "rtrim"})
_APART = frozenset({
    "split_part", "strpos", "position", "left", "right", "substr", "substring", "starts_with", "replace",
})  # fmt: skip
_CLOCK = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?")
_SIZES = frozenset({"cardinality", "array_length", "jsonb_array_length", "json_array_length", "array_upper"})


@dataclass(frozen=True, slots=True)
class Constants:
    """What a statement names: strings and numbers in their order, keys and paths of JSON, and its words in lower case."""

    strings: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    paths: tuple[tuple[str, ...], ...] = ()
    words: frozenset[str] = field(default_factory=frozenset)
    # Those of the keys whose values are read as numbers: no row could go a way with another value there.
    counted: frozenset[str] = field(default_factory=frozenset)
    # What one row holds in several columns, by their names, for a branch of Python.
    together: tuple[tuple[tuple[str, object], ...], ...] = ()
    # What a document may hold under a key, where the code takes no other kind of value: a text, say. Any, where it is None.
    under_keys: str | int | None = None


def candidates(column: Column, named: Constants) -> tuple[str, ...]:
    """Give SQL literals that a row may hold in a column, the likeliest first; the server may refuse any of them."""
    cast = {"character": "bpchar"}.get(column.type, column.type)
    found = list(_spelled(column, named))
    if column.category == "S" and (text := _TEXT_DEFAULT.match(column.default or "")):
        # What most rows hold, mostly: behind the likeliest of what is named.
        found.insert(min(len(found), 3), text[0])
    spelled = [f"{one}::{cast}" for one in dict.fromkeys(found)][:_MOST]
    return (*spelled, *([null_of(column)] if column.nullable else []))


def _spelled(column: Column, named: Constants) -> Iterator[str]:
    strings = named.strings[:_MOST_STRINGS]
    if column.kind == "e":
        first = [label for label in column.labels if label in strings]
        yield from (literal(label) for label in dict.fromkeys([*first, *column.labels]))
    elif column.is_array:
        yield "'{}'"
        inner = strings if column.subtype not in _NUMBERS else named.numbers[:_MOST_NUMBERS]
        for one in inner:
            yield f"ARRAY[{literal(one)}]"
            yield f"ARRAY[{literal(one)}, {literal(inner[0])}]"
            yield f"ARRAY[{literal('0' if column.subtype in _NUMBERS else 'other')}, {literal(one)}]"
        if len(inner) > 1:
            yield f"ARRAY[{', '.join(literal(one) for one in inner)}]"
        yield from (literal(one) for one in strings if one.startswith("{"))
        for size in _sizes(named):
            yield literal(f"{{{','.join(['1' if column.subtype in _NUMBERS else 'x'] * size)}}}")
    elif column.type in _TEXT or column.category == "S":
        yield from (literal(one) for one in _texts(strings, named))
    elif column.type in _NUMBERS:
        yield from _numbers(column, named)
    elif column.type == "boolean":
        yield from ("true", "false")
    elif column.type in _TIMES:
        yield from _times(strings, named)
    elif column.type in _JSON:
        yield from _documents(document(column), strings, named)
    elif column.type.endswith("hstore"):
        yield from _pairs(strings, named)
    elif column.type.endswith("ltree"):
        yield from _labels(strings, named)
    elif column.kind == "r":
        yield from _ranges(column, strings, named)
    elif column.type == "interval":
        yield from (literal(one) for one in strings)
        yield "'0'"
    elif column.type == "bytea":
        yield from (literal(one) for one in strings)
        if named.words & {"length", "octet_length"}:
            sizes = [int(one) for one in named.numbers if one.isdigit() and 0 < int(one) <= 500][:4]
            yield from (
                f"decode(repeat('2a', {size}), 'hex')" for one in sizes for size in (one, one + 1, one - 1)
            )
    else:
        yield from named_values(
            column.full or column.type, strings, named.numbers[:_MOST_NUMBERS], named.words
        )


def _day(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if date(2, 1, 1) < found < date(9999, 1, 1) else None


def _texts(strings: Sequence[str], named: Constants) -> Iterator[str]:
    plain = [one for one in strings if len(one) <= 200]
    likes = named.words & {"like", "ilike", "similar"}
    if named.words & CASTS:
        yield from ("007", "7")
    if named.words & _FRACTIONS:
        yield from ("1.50", "1e3")
    if "loads" in named.words:
        yield '{"n":1}'
    patterned: list[str] = []
    for one in plain:
        found: list[str] = []
        if named.words & _MATCHING:
            found += (*samples(one, 3), *shortest(one), *usual(one), *marked(one))
        if "similar" in named.words:
            found += samples(from_similar(one), 3)
        if likes and ("%" in one or "_" in one):
            found += [one.replace("%", "x").replace("_", "a"), one.replace("%", "").replace("_", "b")]
        yield from (*found, one)
        if len(one) == 10 and (day := _day(one)) is not None:
            # Of a text that is a date above, or is read as one.
            yield from ((day + timedelta(days=more)).isoformat() for more in (-1, 1))
        patterned += found
    if named.words & _APART:
        # The separator more than once, and what is asked for behind it or before it.
        yield from (
            f"a{two}b{two}{one}" for one in plain[:3] for two in plain[:3] if one != two and len(two) == 1
        )
    if named.words & _BLANKS or any("space:]" in one or "\\s" in one for one in plain):
        yield "\t"
    if "octet_length" in named.words:
        yield from (
            "\u00e4" * (int(one) - 1) for one in named.numbers if one.isdigit() and 1 < int(one) <= 500
        )
    # What a pattern a little wider would take as well; and a number that begins with a zero.
    yield from (zero for one in patterned[:4] if (zero := re.sub(r"\d", r"0\g<0>", one, count=1)) != one)
    for one in patterned[:4]:
        yield from (one.swapcase(), one[:-1], f"{one}x", f"x{one}y")
    if named.words & {"lower", "upper", "initcap", "ilike", "citext", "casefold"}:
        for one in (*plain, *patterned[:6], "sample word"):
            yield from (one.upper(), one.lower(), one.title())
        # Alike with none, where a unique key folds them.
        yield "Of Its Own"
    if named.words & _BLANKS:
        yield from (f" {one} " for one in (*plain, *patterned[:4]) if one.strip())
        # What is trimmed may be named: `rtrim(path, '/')`.
        short = [one for one in plain if len(one) <= _MOST_TRIMMED]
        yield from (text for one in short for text in (f"a{one}", f"{one}b", f"{one}c{one}"))
    if named.words & _APART:
        for one in plain:
            yield from (f"{one}x", f"x{one}", f"x{one}y")
        yield from (f"a{two}{one}" for one, two in itertools.permutations(plain[:4], 2))
    yield from ("", " ")
    if named.words & _CUTTING:
        # Alike in the part that is taken, whichever it is, and nowhere else.
        for size in [int(one) for one in named.numbers if one.isdigit() and 0 < int(one) <= 500][:4]:
            yield from (f"{'z' * size}{one}" for one in ("a", "b"))
            yield from (f"{one}{'z' * size}" for one in ("a", "b"))
    for number in named.numbers[:_MOST_NUMBERS]:
        yield number
        if (
            number.isdigit()
            and 0 < int(number) <= 500
            and named.words & {"length", "char_length", "character_length"}
        ):
            yield from ("y" * size for size in (int(number) - 1, int(number), int(number) + 1))


def _numbers(column: Column, named: Constants) -> Iterator[str]:
    found = [
        *named.numbers[:_MOST_NUMBERS],
        *(one for one in named.strings if re.fullmatch(r"-?\d+(\.\d+)?", one)),
    ]
    fractions = ("0.5", "-0.5") if column.type not in _WHOLE and column.type != "money" else ()
    # Early, as of many values only the first are combined with those of other columns.
    yield from (*found[:1], *fractions, *found[1:])
    for text in found:
        if re.fullmatch(r"-?\d+", text):
            number = int(text)
            yield from (str(number + 1), str(number - 1), str(-number), str(-number - 1))
            # Between what is named and the next: with digits that a shorter number has no room for.
            yield from (f"{text}.29",) if fractions else ()
        elif column.type not in _WHOLE:
            yield from (f"{text}1", f"-{text}")
    yield from ("0", "-1", "1")
    if column.type not in _WHOLE and column.type != "money":
        yield from (literal(one) for one in named.strings if one.lower() in _NO_NUMBERS)
    yield from ("999999", "-999999") if column.type != "smallint" else ("9999", "-9999")


def _times(strings: Sequence[str], named: Constants) -> Iterator[str]:
    dates = [one for one in strings if re.match(r"\d{4}-\d\d-\d\d", one)]
    # However it is spelled: 'epoch', '01/02/2024', '20240201'.
    yield from (literal(one) for one in strings if one not in dates and len(one) <= _LONGEST_TIME)
    for one in dates:
        yield literal(one)
        for step in ("1 day", "-1 day", "1 second", "-1 second"):
            yield f"({literal(one)}::timestamp + interval '{step}')"
    spans = [one for one in strings if re.match(r"-?\d+(?:\.\d+)?\s*(?:y|mon|w|d|h|m|s)", one, re.IGNORECASE)]
    spans += [f"{number} days" for number in named.numbers[:4] if number.isdigit() and int(number) < 10_000]
    for one in spans:
        yield f"(now() - 2 * interval {literal(one)})"
        yield f"(now() - interval {literal(one)} / 2)"
        yield f"(now() + interval {literal(one)} / 2)"
        yield from (f"(now() - interval {literal(one)} {sign} interval '1 hour')" for sign in "-+")
    for one in [it for it in strings if _CLOCK.fullmatch(it)][:3]:
        yield from (
            f"('2024-03-05 {one}'::timestamp + interval '{more}')" for more in ("0", "1 second", "-1 second")
        )
    if named.words & {"hour", "date_part"}:
        hours = [int(one) for one in named.numbers if one.isdigit() and int(one) < 24][:3]
        yield from (f"'2024-03-05 {one:02d}:30:15'" for one in hours)
    yield from ("now()", "(now() - interval '1 day')", "(now() + interval '1 day')")
    for text in named.numbers:
        if text.isdigit() and int(text) in _YEARS:
            yield from (
                f"'{text}-01-01'",
                f"'{text}-12-31'",
                f"'{int(text) - 1}-12-31'",
                f"'{int(text) + 1}-01-01'",
            )
            if named.words & {"dow", "isodow", "doy", "week", "date_part", "extract"}:
                yield from (f"'{text}-01-{day:02d}'" for day in range(2, 9))
        elif text.isdigit() and 1 <= int(text) <= 12:
            yield f"'2024-{int(text):02d}-15'"
    yield from ("'1900-01-01'", "'infinity'") if "infinity" in strings else ("'1900-01-01'", "'2099-12-31'")


def _ranges(column: Column, strings: Sequence[str], named: Constants) -> Iterator[str]:
    """Give ranges around what is named, open on either side, and none."""
    inner = replace(column, type=column.subtype or "", kind="b", category="", subtype=None)
    ends = list(dict.fromkeys(_spelled(inner, named)))[:6] if inner.type in (_TIMES | _NUMBERS) else []
    cast = column.subtype
    for one in ends:
        yield f"{column.type}(NULL, {one}::{cast})"
        yield f"{column.type}({one}::{cast}, NULL)"
    yield from (literal(one) for one in strings if one[:1] in "[(")
    yield "'empty'"


def _pairs(strings: Sequence[str], named: Constants) -> Iterator[str]:
    """Give hstores with the keys that are named: with nothing under one, a text that is named, or another; beside another key."""
    keys = list(dict.fromkeys(path[0] for path in named.paths if path)) or [
        one for one in strings if re.fullmatch(r"[\w-]+", one)
    ]
    values = ["x", *(one for one in strings if one not in keys)][:6]
    for key in keys[:6]:
        spelled = [json.dumps(one, ensure_ascii=False) for one in values]
        for one in (spelled[0], "NULL", *spelled[1:], '""'):
            yield literal(f"{json.dumps(key, ensure_ascii=False)}=>{one}")
        yield literal(f'{json.dumps(key, ensure_ascii=False)}=>{spelled[-1]}, "other"=>"x"')
    yield from (literal(one) for one in strings if "=>" in one)
    yield "''"


def _labels(strings: Sequence[str], named: Constants) -> Iterator[str]:
    """Give paths that patterns and paths of a statement take, longer and shorter ones, and such of the levels that it names."""
    for one in strings:
        path = re.sub(r"\*(?:\{[\d,]*\})?", "x", one).strip(".")
        if not re.fullmatch(r"[\w-]+(?:\.[\w-]+)*", path):
            continue
        yield from map(literal, (path, f"{path}.y", f"y.{path}"))
        if "." in path:
            yield literal(path.rpartition(".")[0])
    for number in named.numbers:
        if number.isdigit() and int(number) < _MOST_LABELS:
            yield from (literal(".".join("abc"[i % 3] for i in range(int(number) + more))) for more in (1, 0))


def _documents(shape: str, strings: Sequence[str], named: Constants) -> Iterator[str]:
    """Give documents of a shape, of any where it is empty."""
    found = list(_objects(strings, named))
    if shape.startswith("array"):
        members = strings[:8] if shape == "array" else ()
        found = [*([one] for one in members), *(one if isinstance(one, list) else [one] for one in found), []]
    elif shape:
        found = [one for one in found if isinstance(one, dict)]
    begins = "[" if shape.startswith("array") else "{" if shape else "{["
    yield from (literal(json.dumps(one)) for one in found)
    yield from (literal(one) for one in strings if one[:1] and one[:1] in begins)


def _objects(strings: Sequence[str], named: Constants) -> Iterator[object]:
    keys: list[tuple[str, ...]] = [path for path in named.paths if path]
    if named.under_keys is not None:
        yield from _alike(keys, named.under_keys)
        return
    yield from _holding_already(strings, keys)
    asked = [_OF_TYPE[one] for one in strings if one in _OF_TYPE] if named.words & _TYPES_ASKED else []
    yield from asked
    yield from (_nested(path, one) for path in keys[:8] for one in asked)
    if not keys:
        keys += [(one,) for one in strings if re.fullmatch(r"[A-Za-z_][\w-]*", one)][:6]
    used = {part for path in named.paths for part in path}
    texts: list[object] = [one for one in strings if one not in used and not (asked and one in _OF_TYPE)]
    numbers: list[object] = []
    for one in named.numbers[:_MOST_NUMBERS]:
        number = int(one) if re.fullmatch(r"-?\d+", one) else float(one)
        numbers += [number, number + 1, number - 1]
    values = [one for pair in itertools.zip_longest(texts, numbers) for one in pair if one is not None]
    if named.words & _SIZES or any(word.endswith("array_elements") for word in named.words):
        yield from ([1] * size for size in _sizes(named))
        yield [{path[-1]: one} for path in keys[:2] for one in values[:2]]
    yield from (_nested(path, [1] * size) for path in keys[:4] for size in _sizes(named))
    members = [one for one in strings[:6] if named.words]
    each: list[list[object]] = []
    for path in keys[:8]:
        counted = path[-1] in named.counted
        inside = [
            more for one in members if not counted and one not in path for more in ([one], {one: 1})
        ]  # fmt: skip
        held = [one for one in values if not counted or re.fullmatch(r"-?\d+(\.\d+)?", str(one))]
        others = (7, "7", None) if counted else _OTHERS
        # What keys are asked of is an object, mostly: the likeliest of every path first.
        of_path = [*held[:3], *others[:1], *inside[:2], 1, *others[1:], *held[3:8], *inside[2:]]
        each.append([_nested(path, one) for one in of_path])
    yield from (one for some in itertools.zip_longest(*each) for one in some if one is not None)
    if len(keys) > 1 and not any(path[-1] in named.counted for path in keys):
        for filled in values[:4] or ["x"]:
            yield {path[0]: _nested(path[1:], filled) for path in keys if path[0] != "*"}
            yield {path[0]: _nested(path[1:], [filled]) for path in keys if path[0] != "*"}
    yield {}


def _alike(keys: Sequence[tuple[str, ...]], value: str | int) -> Iterator[object]:
    """Give documents that hold one kind of value, or none, wherever they are asked, also beside a key that nobody asks for."""
    ends = [
        path for path in keys if not any(len(one) > len(path) and one[: len(path)] == path for one in keys)
    ]
    for path in ends[:8]:
        for inside in ({path[-1]: value}, {path[-1]: None}, {path[-1]: value, "other": "x"}, {"other": "x"}):
            yield _nested(path[:-1], inside)
    yield {path[0]: _nested(path[1:], value) for path in ends if path[0] != "*"}
    yield {}


def _holding_already(strings: Sequence[str], keys: Sequence[tuple[str, ...]]) -> Iterator[object]:
    """Give documents that hold other values under the keys of documents that a statement names."""
    for one in strings:
        if not one.startswith("{"):
            continue
        try:
            named = json.loads(one)
        except ValueError:  # a literal of an array, or a template
            continue
        if isinstance(named, dict) and named:
            held = dict.fromkeys(named, "other")
            values = [other for other in strings[:4] if not other.startswith("{")]
            for path in keys[:3]:
                nested = [_nested(path, other) for other in values if other not in path]
                yield from ({**document, **held} for document in nested if isinstance(document, dict))
            yield held


def _sizes(named: Constants) -> tuple[int, ...]:
    """List the lengths around the numbers that are named, where lengths are asked for."""
    if not named.words & _SIZES:
        return ()
    small = [int(one) for one in named.numbers if one.isdigit() and int(one) <= 50]
    return tuple(dict.fromkeys(size for one in small for size in (one + 1, one, max(one - 1, 0))))


def _nested(path: Sequence[str], value: object) -> object:
    for part in reversed(path):
        value = [value] if part == "*" else {part: value}
    return value
