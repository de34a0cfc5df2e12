"""Values of one type as another's: how one becomes the other, whether any does, and which ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import sqlalchemy as sa

from airlock.operations.revision import ddl
from airlock.operations.revision.probe import rolled_back, run
from airlock.operations.revision.written.sqltypes import sqlalchemy_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airlock.catalogue.structure import Column
    from airlock.operations.revision.shadow import Sides

_WHOLE, _FRACTION = re.compile("smallint|integer|bigint"), re.compile(r"numeric\b|real\Z|double precision\Z")
_BOUNDS = {"smallint": (-(2**15), 2**15 - 1), "integer": (-(2**31), 2**31 - 1)}
_WIDER = {
    "smallint": frozenset({"integer", "bigint", "numeric"}), "integer": frozenset({"bigint", "numeric"}),
}  # fmt: skip
_ZONED = re.compile(r"timestamp(\(\d\))? with time zone")
_UNZONED = re.compile(r"timestamp(\(\d\))? without time zone|date")
# A geometry of a place on Earth: its schema, where it is spelled, and its reference system.
_PLACED = re.compile(r"((?:\w+\.)?)geometry\(\w+,(\d+)\)")
# What the author has to say otherwise where it is not so: nothing in a database tells in which zone its times are meant.
ZONE = "UTC"
_JSON = re.compile(r"jsonb?")
_TEXT = re.compile(r"text|character varying(\(\d+\))?")
_SAMPLES = {
    "boolean": "true", "uuid": "gen_random_uuid()", "date": "CURRENT_DATE", "json": "'{}'::json", "jsonb": "'{}'::jsonb",
    "interval": "'1 day'::interval", "time without time zone": "'12:00'::time", "inet": "'127.0.0.1'::inet",
    "bytea": "'x'::bytea",
}  # fmt: skip
# Types that SQLAlchemy knows and PostgreSQL has from extensions.
_OF_EXTENSIONS = frozenset({"postgresql.CITEXT()", "postgresql.HSTORE()"})
# Texts that are surely a value of the type; a text of another form may be one too, and is left where it is.
_SPELLINGS = {
    "smallint": "^-?[0-9]{1,4}$", "integer": "^-?[0-9]{1,9}$", "bigint": "^-?[0-9]{1,18}$",
    "numeric": r"^-?[0-9]+(\.[0-9]+)?$", "boolean": "^(true|false)$", "date": "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}  # fmt: skip


def gets_zone(was: str, becomes: str) -> bool:
    """Tell whether times get a zone, or lose it: PostgreSQL reads them in the zone of whatever session asks."""
    return any(
        _ZONED.fullmatch(one) and _UNZONED.fullmatch(other) for one, other in ((was, becomes), (becomes, was))
    )


def cast(value: str, was: str, column: Column, labels: Mapping[str, str] | None = None) -> str:
    """Spell a value of the type `was` as one of the column's, as an assignment would convert it; `labels` become others."""
    if labels and column.type.endswith("[]"):
        value = f"{value}::text[]"
        for old, new in labels.items():
            value = f"array_replace({value}, {ddl.literal(old)}, {ddl.literal(new)})"
        return f"{value}::{column.type}"
    if labels:
        cases = " ".join(f"WHEN {ddl.literal(old)} THEN {ddl.literal(new)}" for old, new in labels.items())
        return f"(CASE {value}::text {cases} ELSE {value}::text END)::{column.type}"
    if was.endswith("[]") and _JSON.fullmatch(column.type):
        return f"to_jsonb({value})" + ("::json" if column.type == "json" else "")
    if _JSON.fullmatch(was) and column.type.endswith("[]"):
        items = f"ARRAY(SELECT jsonb_array_elements_text({value}::jsonb))::{column.type}"
        told = _items_fit(column.type).replace("{0}", value)
        return (
            f"(CASE WHEN {told} THEN CASE WHEN jsonb_typeof({value}::jsonb) = 'array' THEN {items} END END)"
        )
    if gets_zone(was, column.type):
        time = value if was != "date" else f"{value}::timestamp"
        return f"({time} AT TIME ZONE '{ZONE}')" + ("" if _bare(column.type) else f"::{column.type}")
    if (here := _PLACED.fullmatch(was)) and (there := _PLACED.fullmatch(column.type)) and here[2] != there[2]:
        return f"{there[1]}ST_Transform({value}, {there[2]})::{column.type}"
    # Into a shorter varchar a plain assignment refuses what is too long, an explicit cast cuts it off.
    if column.type.startswith("character"):
        return f"{value}::text" + ("::text[]" if column.type.endswith("[]") else "")
    if _WHOLE.fullmatch(column.type) and _FRACTION.match(was):
        return f"{value}::{column.type}"
    # Of the numbers, integer alone knows how a boolean becomes one.
    if was == "boolean" and (_WHOLE.fullmatch(column.type) or _FRACTION.match(column.type)):
        return f"{value}::integer" + ("" if column.type == "integer" else f"::{column.type}")
    if column.type == "boolean" and (_WHOLE.fullmatch(was) or _FRACTION.match(was)):
        return f"({value} <> 0)"
    return f"{value}::text::{column.type}"


def _bare(kind: str) -> bool:
    return kind.startswith("timestamp w")


def assigned(value: str, was: str, column: Column, labels: Mapping[str, str] | None = None) -> str:
    """Spell a value of the type `was` as PL/pgSQL assigns it to the column, in whosever search_path a trigger runs.

    A type that is none of PostgreSQL's own is not named: the assignment converts a text to it, wherever it lies.
    """
    spelt = cast(value, was, column, labels)
    item = sqlalchemy_type(column.type.removesuffix("[]"), {})
    return (
        spelt if item is not None and item not in _OF_EXTENSIONS else spelt.removesuffix(f"::{column.type}")
    )


def never(sides: Sides, before: Column, after: Column) -> str | None:
    """Say why no value becomes one of the other type, or which labels do not; None where all may. Tried on a value."""
    labels, others = sides.live.enums.get(before.type), sides.wanted.enums.get(after.type)
    if labels is not None and others is not None:
        lacking = [one for one in labels if one not in others]
        return f"{after.type} lacks the values {', '.join(lacking)} of {before.type}" if lacking else None
    for one, other in ((before.type, after.type), (after.type, before.type)):
        if _JSON.fullmatch(one) and other.endswith("[]") and not _items_fit(other):
            return f"of a {one} nothing tells whether it is a {other}"
    sample = _SAMPLES.get(before.type)
    if _WHOLE.fullmatch(before.type) or (_FRACTION.match(before.type) and "[" not in before.type):
        sample = f"1::{before.type}"
    elif before.type.startswith("timestamp") and "[" not in before.type:
        sample = f"now()::{before.type}"
    if sample is None:
        return None
    try:
        with rolled_back(sides.connection):
            for text in sides.coming:
                run(sides.connection, text)
            run(sides.connection, f"SELECT {cast(f'({sample})', before.type, after)}")
    except sa.exc.DBAPIError:
        return f"no {before.type} is a {after.type}"
    return None


def fits(sides: Sides, was: Column, becomes: Column) -> str:
    """Spell a condition on `{}`, of the first type, that it is a value of the other one; "" where nothing is to be asked."""
    labels = {**sides.live.enums, **sides.wanted.enums}
    if _JSON.fullmatch(was.type) and becomes.type.endswith("[]"):
        return _items_fit(becomes.type)
    if _TEXT.fullmatch(was.type) and becomes.type.endswith("[]"):
        return f"{{}} ~ '{_doubled('^{.*}$')}'"
    if becomes.type.endswith("[]"):
        return ""
    if becomes.type in labels and (was.type in labels or _TEXT.fullmatch(was.type)):
        if was.type in labels and set(labels[was.type]) <= set(labels[becomes.type]):
            return ""
        return f"{{}}::text IN ({_doubled(', '.join(map(ddl.literal, labels[becomes.type])))})"
    if becomes.type in _BOUNDS and was.type in _WIDER[becomes.type]:
        low, high = _BOUNDS[becomes.type]
        return f"{{}} BETWEEN {low} AND {high}"
    if (lost := _digits_lost(was.type, becomes.type)) is not None:
        return lost
    if _TEXT.fullmatch(was.type) and (longest := _longest(becomes.type)) is not None:
        mine = _longest(was.type)
        return f"char_length({{}}) <= {longest}" if mine is None or mine > longest else ""
    if _TEXT.fullmatch(was.type) and becomes.type in _SPELLINGS:
        return f"{{}} ~ '{_doubled(_SPELLINGS[becomes.type])}'"
    return ""


def _items_fit(array: str) -> str:
    """Spell a condition on `{0}`, a document, that it is an array of items of the type; "" where there is none to ask."""
    item = array.removesuffix("[]")
    if item == "text":
        return "jsonb_typeof({0}::jsonb) IN ('array', 'null')"
    if item not in {*_BOUNDS, "numeric"}:
        return ""
    low, high = _BOUNDS.get(item, (None, None))
    odd = '@.type() != "number" && @.type() != "null"' + (
        f' || @.type() == "number" && (@.floor() != @ || @ < {low} || @ > {high})' if item in _BOUNDS else ""
    )
    return f"jsonb_typeof({{0}}::jsonb) IN ('array', 'null') AND NOT jsonb_path_exists({{0}}::jsonb, '$[*] ? ({odd})')"


def _longest(kind: str) -> int | None:
    found = re.fullmatch(r"character varying\((\d+)\)", kind)
    return int(found[1]) if found else None


def _digits_lost(was: str, becomes: str) -> str | None:
    """Ask for room before the point, where a number may have more digits there than the other type."""
    found, mine = (re.fullmatch(r"numeric\((\d+),(\d+)\)", one) for one in (becomes, was))
    if found is None or not (_WHOLE.fullmatch(was) or _FRACTION.match(was)):
        return None
    room = int(found[1]) - int(found[2])
    if mine is not None and int(mine[1]) - int(mine[2]) <= room and int(mine[2]) <= int(found[2]):
        return None
    value = "{}" if was.startswith("numeric") else "{}::numeric"
    return f"abs(round({value}, {found[2]})) < {10**room}"


def _doubled(text: str) -> str:
    """Keep braces from `str.format`."""
    return text.replace("{", "{{").replace("}", "}}")
