"""What a step demands of texts and documents, learned from its error: a date in a text, an object in a JSON column.

PostgreSQL and Python say which type a value was to be read as, and which value it was. Rows get values that fit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.drivers import client
from airlock.drivers.spelling import bare, literal, mentions, quoted
from airlock.operations.downgrade.held_by_types import unreadable
from airlock.operations.drill import failures
from airlock.operations.drill.rows import date_formats, python_paths
from airlock.samples.builtin_types import Generator, Values
from airlock.samples.digests import key_sql
from airlock.samples.values import document, values_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any

    from airlock.operations.drill.state import Ledger
    from airlock.samples import Table
    from airlock.samples.model import Column

_JSON = frozenset({"json", "jsonb"})
_OBJECT, _ARRAY, _ARRAY_OF_OBJECTS = "json object", "json array", "json array of objects"
# Texts that are bytes in another form, and bytes that are a text: eight characters have room in most columns.
_HEX, _BASE64, _UTF8, _BYTES = "hex", "base64", "utf8", "bytes"
_ENCODED = {
    _HEX: "lpad(to_hex(48879 + ($i)), 8, '0')",
    _BASE64: "encode(decode(lpad(to_hex(48879 + ($i)), 8, '0'), 'hex'), 'base64')",
    # Without a backslash, which begins an escape.
    _BYTES: "'sample ' || ($i)",
    _UTF8: "convert_to('sample ' || ($i), 'UTF8')",
}
# As the way back writes them: an address without its mask, a UUID where its dashes have no room.
_HOST = re.compile(r"(?i)\bhost\s*\(")
_DIGITS_OF_A_UUID = 32
_SPELLED = {"inet": "host(inet '10.0.0.0' + ($i))", "uuid": "md5(($i)::text)"}
# What PostgreSQL calls types in messages, where pg_type has another name.
_TYPES = {"timestamp": "timestamp without time zone", "time": "time without time zone", "json": "jsonb"}
_SAID = (
    (r'invalid input syntax for type ([a-z ]+?): "(.*)"', None),
    (r"invalid input syntax for type (json)()", None),
    (r'invalid input value for (enum [^:]+): "(.*)"', None),
    (r'(?:malformed array literal|malformed range literal): "(.*)"', "text[]"),
    (r'date/time field value out of range: "(.*)"', "date"),
    (r"invalid literal for int\(\) with base 10: '(.*)'", "integer"),
    (r"could not convert string to float: '(.*)'", "integer"),
    (r"Invalid isoformat string: '(.*)'", "date"),
    (r"time data '(.*)' does not match format", "date"),
    (r'()invalid value ".*" for "', "date"),
    (r'()source string too short for "', "date"),
    (r"()badly formed hexadecimal UUID string", "uuid"),
    (r"()Expecting (?:value|property name)", _OBJECT),
    (r"()ConversionSyntax", "integer"),
    (r"()'list' object has no attribute '(?:get|items|keys|values|pop|setdefault|update|copy)'", _OBJECT),
    (r"()'(?:int|str|float|bool)' object has no attribute '(?:get|items|keys|values|pop|setdefault|update)'", _OBJECT),
    # `doc if isinstance(doc, list) else json.loads(doc)`, and the same with dict.
    (r"()the JSON object must be str, bytes or bytearray, not list", _OBJECT),
    (r"()the JSON object must be str, bytes or bytearray, not dict", _ARRAY),
    (r"()list indices must be integers or slices, not str", _OBJECT),
    (r"()string indices must be integers", _OBJECT),
    (r"()cannot (?:call jsonb?_object_keys|call jsonb?_each|deconstruct).* on an? (?:array|scalar|non-object)", _OBJECT),
    (r"()cannot (?:call|deconstruct) .*(?:an array|array) as an object", _OBJECT),
    (r"()cannot delete from (?:scalar|array)", _OBJECT),
    (r"()path element at position \d+ is not an integer", _OBJECT),
    (r"()cannot delete from object using integer index", _ARRAY),
    (r"()'(?:list|NoneType)' object is not a mapping", _OBJECT),
    (r"()'dict' object has no attribute '(?:append|extend|remove|insert|sort)'", _ARRAY),
    (r"()cannot (?:set|replace) (?:a |an )?(?:path|existing).* in (?:a )?scalar", _OBJECT),
    (r"()cannot (?:extract elements from|get array length of) an? (?:object|scalar|non-array)", _ARRAY),
    (r"()cannot call jsonb?_array_elements(?:_text)? on a (?:non-array|scalar)", _ARRAY),
    # Of PostgreSQL, and of Python: bytes.fromhex, binascii, bytes.decode.
    (r"()invalid hexadecimal d(?:igit|ata)|non-hexadecimal number found|(?:Non-hexadecimal digit|Odd-length string)", _HEX),
    (r"()(?:base64 (?:end )?sequence|Incorrect padding|base64-encoded string)", _BASE64),
    (r"()invalid input syntax for type bytea", _BYTES),
    (r"()invalid byte sequence for encoding|'utf-8' codec can't decode", _UTF8),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Demand:
    """A type that a value was to be read as, and the value, empty where the message does not say it."""

    type: str
    value: str


def said(error: BaseException) -> Demand | None:
    """Read a demand from an error's message; None where it tells of none."""
    message = failures.message(error)
    if isinstance(error, KeyError) and re.fullmatch(r"'[\w.-]+'", message):
        return Demand(f"{_OBJECT} with {error.args[0]}", "")
    for pattern, type_ in _SAID:
        found = re.search(pattern, message)
        if found is not None:
            given = found.groups()
            name = type_ or _TYPES.get(given[0], given[0])
            return Demand(name, given[-1] if given else "")
    return None


def meet(
    ledger: Ledger,
    demand: Demand,
    names: Collection[str],
    source: str,
    only: Mapping[str, Collection[str]] | None = None,
) -> tuple[str, ...]:
    """Give values that fit to the columns that hold the refused value, else to those that `source` names. Commits.

    `only` keeps to some rows by their keys. Returns the columns that were changed: none where nothing could be.
    """
    changed: list[str] = []
    suspects = [
        (table, column)
        for table in ledger.tables(names)
        for column in _suspects(ledger, table, demand, source)
    ]
    named = [one for one in suspects if mentions(source, one[0].name) and mentions(source, one[1].name)]
    decoded = [one for one in named if demand.type in _ENCODED and _is_decoded(one[1].name, source)]
    read = [one for one in named if _is_read(one[1].name, source)]
    found = decoded or read or named or suspects
    # A key tells which rows those are: it has another value where nothing else takes one.
    beside_keys = [
        (table, column) for table, column in found if only is not None and column.name not in table.key
    ]
    for chosen in (beside_keys, found):
        for table, column in chosen:
            fitting = as_demanded(
                column, _of_elements(demand, column, source), source, _labels(ledger, demand)
            )
            if fitting is not None and _rewrite(
                ledger, table, fitting, None if only is None else only.get(table.label, ())
            ):
                changed.append(f"{table.label}.{column.name}")
        if changed:
            break
    return tuple(changed)


def _is_read(name: str, source: str) -> bool:
    """Tell whether a column stands before a cast or in a call: what it is compared with stays what a condition chooses."""
    spelled = rf'(?:\b\w+\.)?"?\b{re.escape(name)}\b"?'
    return (
        re.search(rf"{spelled}\)?\s*::|\w\(\s*{spelled}\s*(?:[,)]|\bAS\b)", source, re.IGNORECASE) is not None
    )


def copy_documents(ledger: Ledger, demand: Demand, written: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Give all rows that were written the document of one that was not, where one holds the refused value in a document.

    Commits. `written` are keys by table. Returns the columns that were changed: none where nothing could be.
    """
    if not demand.value:
        return ()
    changed = []
    for table in ledger.tables([name for name, keys in written.items() if keys]):
        for column in table.columns:
            if column.type not in _JSON or not table.key:
                continue
            name, key = quoted(column.name), key_sql(table.key)
            statement = (
                f"UPDATE {table.sql} SET {name} = (SELECT {name} FROM {table.sql} WHERE NOT {key} = ANY (%s) "
                f"AND {name} IS NOT NULL AND position(%s IN {name}::text) = 0 LIMIT 1) "
                f"WHERE {key} = ANY (%s) AND EXISTS (SELECT FROM {table.sql} WHERE {key} = ANY (%s) "
                f"AND position(%s IN {name}::text) > 0)"
            )
            keys = list(written[table.label])
            try:
                with ledger.writing.cursor() as cursor:
                    cursor.execute(statement, (keys, demand.value, keys, keys, demand.value))
                    if cursor.rowcount:
                        changed.append(f"{table.label}.{column.name}")
            except client.Error:
                continue
    return tuple(changed)


def _of_elements(demand: Demand, column: Column, source: str) -> Demand:
    """Demand an object of each element where the revision takes the column's array apart, with all keys that it asks of it."""
    wanted, _, key = demand.type.partition(" with ")
    if wanted != _OBJECT:
        return demand
    keys = f" with {','.join(python_paths.asked_beside(key, source))}" if key else ""
    apart = rf'(?i)jsonb?_array_elements\s*\(\s*(?:[\w"]+\.)*"?{re.escape(column.name)}\b'
    is_array = (key and document(column).startswith("array")) or re.search(apart, source) is not None
    return Demand(f"{_ARRAY_OF_OBJECTS if is_array else _OBJECT}{keys}", demand.value)


def copy_upgraded(
    ledger: Ledger, columns: Collection[str], written: Mapping[str, Collection[str]]
) -> tuple[str, ...]:
    """Give all rows that were written what some row that was not holds in these columns (`public.t.c`): the upgrade's values.

    Commits. `written` are keys by table. Returns the columns that were changed: none where nothing could be.
    """
    changed = []
    for table in ledger.tables([name for name, keys in written.items() if keys]):
        for column in table.columns:
            label = f"{table.label}.{column.name}"
            if label not in columns or not table.key or column.name in table.key:
                continue
            name, key = quoted(column.name), key_sql(table.key)
            there = f"SELECT {name} FROM {table.sql} WHERE NOT {key} = ANY (%s) AND {name} IS NOT NULL"
            statement = (
                f"UPDATE {table.sql} SET {name} = ({there} LIMIT 1) "
                f"WHERE {key} = ANY (%s) AND {name} IS NOT NULL AND EXISTS ({there})"
            )
            keys = list(written[table.label])
            # A column that is UNIQUE, or computed, stays.
            with contextlib.suppress(client.Error), ledger.writing.cursor() as cursor:
                cursor.execute(statement, (keys, keys, keys))
                if cursor.rowcount:
                    changed.append(label)
    return tuple(changed)


def _suspects(ledger: Ledger, table: Table, demand: Demand, source: str) -> Iterator[Column]:
    wants_json = demand.type.startswith((_OBJECT, _ARRAY))
    key = demand.type.partition(" with ")[2] if wants_json else ""
    if key and re.search(rf"""\[\s*['"]{re.escape(key)}['"]""", source) is None:
        return  # of a mapping of its own, asked for a value
    for column in table.columns:
        if column.handed_out:
            continue
        if demand.type == _UTF8:
            if column.type == "bytea" and mentions(source, column.name) and mentions(source, table.name):
                yield column
            continue
        is_text = column.category == "S" and not (key and "loads(" not in source)
        if not (is_text or (wants_json and column.type in _JSON)):
            continue
        if demand.value:
            if _holds(ledger, table, column, demand.value):
                yield column
        elif mentions(source, column.name) and mentions(source, table.name):
            yield column


def _is_decoded(name: str, source: str) -> bool:
    again = rf"""(?i)(?:decode|convert_from|fromhex|unhexlify|b\d\ddecode)\(\s*(?:\w+\.)*["']?{re.escape(name)}\b"""
    return re.search(again, source) is not None


def _holds(ledger: Ledger, table: Table, column: Column, value: str) -> bool:
    if column.type == "character":
        # The message has the blanks that fill it up, which a text has no more.
        value = value.rstrip(" ")
    with ledger.writing.cursor() as cursor:
        cursor.execute(
            f"SELECT EXISTS (SELECT FROM {table.sql} WHERE {quoted(column.name)}::text = %s)",
            (value,),
        )
        return bool(cursor.fetchone()[0])


def _labels(ledger: Ledger, demand: Demand) -> tuple[str, ...]:
    if not demand.type.startswith("enum "):
        return ()
    with ledger.writing.cursor() as cursor:
        cursor.execute(
            "SELECT enumlabel FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid WHERE t.typname = %s ORDER BY enumsortorder",
            (bare(demand.type.removeprefix("enum ")),),
        )
        return tuple(str(row[0]) for row in cursor.fetchall())


def as_demanded(column: Column, demand: Demand, source: str, labels: tuple[str, ...] = ()) -> Column | None:
    """Describe the column as one whose values fit, in the format that `source` reads them in; `labels` are an enum's."""
    if demand.type.startswith((_OBJECT, _ARRAY)):
        return dataclasses.replace(column, shape=demand.type.removeprefix("json "))
    if demand.type in _ENCODED:
        return dataclasses.replace(column, chosen=Values((Generator(_ENCODED[demand.type]),)))
    if demand.type.startswith("enum "):
        then = (
            dataclasses.replace(column, type="text", kind="e", category="E", labels=labels, length=None)
            if labels
            else None
        )
    else:
        is_array = demand.type.endswith("[]")
        then = dataclasses.replace(
            column, type=demand.type, kind="b", category="A" if is_array else "U", length=None, scale=None, is_array=is_array,
            subtype=demand.type[:-2] if is_array else None,
        )  # fmt: skip
    if then is None or values_for(then) is None:
        return None
    spelled = _SPELLED.get(demand.type)
    if spelled is not None and (_holds_no_dashes(column) if demand.type == "uuid" else _HOST.search(source)):
        return dataclasses.replace(column, chosen=Values((Generator(spelled),)))
    return _in_its_format(dataclasses.replace(column, fits=then), then, source)


def _holds_no_dashes(column: Column) -> bool:
    return column.length is not None and _DIGITS_OF_A_UUID <= column.length < _DIGITS_OF_A_UUID + 4


def _in_its_format(column: Column, then: Column, source: str) -> Column:
    """Spell dates and times in the format that the revision reads the column's texts in, where it names one."""
    form = date_formats.of(column.name, source) if then.type in date_formats.MOMENTS else None
    found = values_for(dataclasses.replace(then, type="timestamp without time zone"))
    if form is None or found is None:
        return column
    spelled = [Generator(f"to_char({one.sql}, {literal(form)})", one.cardinality) for one in found.generators]
    return dataclasses.replace(column, chosen=Values(tuple(spelled)))


def _but_for_such(ledger: Ledger, column: Column) -> str:
    """Leave out texts that are spelled as the type spells them already: a constant that a condition is about, say."""
    if column.fits is None or column.chosen is not None or column.fits.kind != "b" or column.fits.is_array:
        return ""
    text, type_ = f"{quoted(column.name)}::text", column.fits.type
    with ledger.writing.cursor() as cursor:
        major = int(client.rows(cursor, "SHOW server_version_num")[0][0]) // 10_000
    unread = unreadable(text, type_, major)
    if unread is None:
        return ""
    return f" AND CASE WHEN {unread} THEN true ELSE ({text}::{type_})::text IS DISTINCT FROM {text} END"


def _rewrite(ledger: Ledger, table: Table, column: Column, keys: Collection[str] | None) -> bool:
    found = values_for(column, table.label)
    if found is None or (keys is not None and (not keys or not table.key)):
        return False
    name = quoted(column.name)
    value = found.generators[0].at("(x.airlock_n)")
    within: tuple[Any, ...] = ()
    where = f"{name} IS NOT NULL"
    if keys is not None:
        where += f" AND {key_sql(table.key)} = ANY (%s){_but_for_such(ledger, column)}"
        within = (list(keys),)
    statement = (
        f"UPDATE {table.sql} AS t SET {name} = {value.replace('%', '%%') if within else value} FROM (SELECT ctid AS airlock_c, "
        f"row_number() OVER () + {9_000_000 if within else 0} AS airlock_n FROM {table.sql} WHERE {where}) AS x "
        "WHERE t.ctid = x.airlock_c"
    )
    try:
        with ledger.writing.cursor() as cursor:
            cursor.execute(statement, within or None)
            return bool(cursor.rowcount)
    except client.Error:
        return False
