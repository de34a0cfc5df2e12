"""Values of every type, as SQL over a row's number.

A generator is an expression in which `$i` stands for a number from 0 up. It gives another value for every number,
or, where it says so, one of so many (`cardinality`). No randomness: the same row number gives the
same value on every server.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airlock.samples import extension_types

if TYPE_CHECKING:
    from airlock.samples.tables import Column

_TEXT_TYPES = frozenset({"text", "character varying", "character", "name", "citext", '"char"'})
# What no fixed list of values can be for: other types take their turn with them.
_SHORT_TEXT = 14


@dataclass(frozen=True, slots=True)
class Generator:
    """An expression over `$i`; `cardinality` None where it never repeats."""

    sql: str
    cardinality: int | None = None

    def at(self, number: str) -> str:
        """Spell the value for a row number given as SQL."""
        return self.sql.replace("$i", number)


@dataclass(frozen=True, slots=True)
class Values:
    """What one column may get: generators, the first the usual one, and values at the edges of its type."""

    generators: tuple[Generator, ...]
    edges: tuple[str, ...] = ()


def values_for(column: Column, salt: str = "") -> Values | None:
    """Give the values of a column's type, None where nothing is known of it.

    `salt` (the table's name) keeps the keys of two tables apart, so that one never fits where the other belongs.
    """
    found = _values(column)
    if found is None:
        return None
    cast = _cast(column)
    return Values(
        tuple(replace(one, sql=f"({one.sql.replace('$salt', salt)})::{cast}") for one in found.generators),
        tuple(f"({edge})::{cast}" for edge in found.edges),
    )


def _cast(column: Column) -> str:
    # `::character` would be character(1), `::bit` bit(1).
    return {"character": "bpchar", "character[]": "bpchar[]", "bit": "varbit", "bit[]": "varbit[]"}.get(
        column.type, column.type
    )


def null_of(column: Column) -> str:
    """Spell a NULL of the column's type."""
    return f"NULL::{_cast(column)}"


def pool(literals: tuple[str, ...], column: Column) -> Generator:
    """Take turns with given SQL literals."""
    listed = ", ".join(f"({literal})::{_cast(column)}" for literal in literals)
    return Generator(f"(ARRAY[{listed}])[1 + ($i) % {len(literals)}]", len(literals))


def _fitting(column: Column, then: Column) -> Values | None:
    """Give texts that can be read as another type."""
    found = values_for(then)
    if found is None:
        return None
    length = "" if column.length is None else f"({column.length})"
    texts = [Generator(f"(({one.sql})::text)::varchar{length}", one.cardinality) for one in found.generators]
    return Values(tuple(texts), tuple(f"(({edge})::text)::varchar{length}" for edge in found.edges))


_SHAPES = {
    "object": Values(
        (Generator("jsonb_build_object('n', $i, 'name', 'sample ' || ($i), 'text', 'sample')"),), ("'{}'",)
    ),
    "array": Values((Generator("jsonb_build_array('sample ' || ($i), 'other')"),), ("'[]'",)),
}


def _values(column: Column) -> Values | None:
    kind, type_ = column.kind, column.type
    if column.fits is not None:
        return _fitting(column, column.fits)
    if column.shape:
        return _SHAPES[column.shape]
    if kind == "e":
        labels = tuple(_literal(label) for label in column.labels)
        return Values((pool(labels, column),)) if labels else None
    if column.is_array:
        return _array(column)
    if kind == "r":
        return _range(column)
    if kind == "m":
        return _multirange(column)
    if kind == "c":
        return _composite(column)
    brought = extension_types.values_of(column.full or type_) or column.forms
    if type_ in _TEXT_TYPES or (column.category == "S" and not brought):
        return _text(column)
    if type_ in {"bit", "bit varying"}:
        return _bits(column)
    if type_ == "numeric":
        return _numeric(column)
    if type_ in _SIMPLE:
        return _SIMPLE[type_]
    return Values(tuple(Generator(sql) for sql in brought)) if brought else None


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    # In an E'' literal only where needed: standard_conforming_strings is the default since 9.1.
    return f"'{doubled}'"


def _text(column: Column) -> Values:
    length = column.length if column.type != '"char"' else 1
    if column.type == "character" and length is None:
        length = 1
    generators = [Generator(sql) for sql in _TEXTS if length is None or length >= _SHORT_TEXT]
    if "mail" in column.name and generators:
        generators.insert(0, generators.pop(1))
    if length is not None and length < _SHORT_TEXT:
        size = 16 ** min(length, 14)
        generators = [
            Generator(f"to_hex(($i) % {size})", size),
            Generator(f"lpad(($i)::text, {length}, '0')", None if length > 9 else 10**length),
            Generator(
                f"lpad(translate(to_hex(($i) % {size}), '0123456789', 'ghijklmnop'), {length}, 'q')", size
            ),
            Generator(
                f"upper(lpad(translate(to_hex(($i) % {size}), '0123456789', 'ghijklmnop'), {length}, 'q'))",
                size,
            ),
        ]
    edges = [
        "'x'",
        "''",
        "' '",
        "'''quoted\" \\ % :colon'",
        "'Ünïcødé ☃ 𝄞'",
        r"E' two\n  lines,\tindented '",
        f"repeat('longest ', {1 + min(length or 2000, 2000) // 8})",
    ]
    limit = 2000 if length is None else length
    return Values(
        tuple(generators), tuple(f"left({edge}, {limit})" for edge in edges if column.type != '"char"')
    )


_TEXTS = (
    "'sample ' || ($i)",
    "'sample' || ($i) || '@example.com'",
    "'sample-' || ($i)",
    "'sample_' || ($i)",
    "($i)::text",
    "'SAMPLE' || ($i)",
    "'Sample ' || ($i)",
    "md5(($i)::text)",
    "'https://example.com/' || ($i)",
    "'/sample/' || ($i)",
    "md5(($i)::text)::uuid::text",
    "'+1555' || lpad(($i)::text, 8, '0')",
    "'#' || lpad(to_hex(($i) % 16777216), 6, '0')",
    "'1.' || ($i) || '.0'",
    "'192.0.2.' || (($i) % 254 + 1)",
    "encode(sha256(($i)::text::bytea), 'hex')",
    "to_jsonb($i)::text",
    "(timestamp '2020-01-01' + ($i) * interval '1 day')::date::text",
)


def _numeric(column: Column) -> Values:
    if column.length is None:
        return Values(
            (
                Generator("($i) + 0.5"),
                Generator("($i) + 1"),
                Generator("-1 - ($i)"),
                Generator("(($i) % 100) / 100.0", 100),
            ),
            ("0", "-1.5", "0.000000000000000001", "123456789012345678901234567890.123456789"),
        )
    precision, scale = column.length, column.scale or 0
    whole = max(precision - scale, 0)
    size = 10 ** min(precision, 18)
    unit = "1" if scale <= 0 else f"1{'0' * scale}.0"
    largest = "9" * whole + ("." + "9" * scale if scale > 0 else "")
    largest = largest if whole else f"0{largest}"
    generators = [Generator(f"(($i) % {size}) / {unit}", size if precision < 18 else None)]
    if whole:
        generators.insert(
            0, Generator(f"1 + ($i) % {10 ** min(whole, 18) - 1 or 1}", 10**whole - 1 if whole < 18 else None)
        )
    return Values(tuple(generators), ("0", largest, f"-{largest}"))


def _array(column: Column) -> Values | None:
    if column.subtype is None:
        return None
    inner = replace(
        column, type=column.subtype, is_array=False, kind="e" if column.labels else "b",
        category="E" if column.labels else "", subtype=None, full=column.full.removesuffix("[]"),
    )  # fmt: skip
    found = values_for(inner)
    if found is None:
        return Values((Generator("'{}'", 1),))
    element = found.generators[0]
    return Values(
        (
            Generator(f"ARRAY[{element.at('($i)')}, {element.at('($i) + 1')}]", element.cardinality),
            Generator("'{}'", 1),
        ),
        (
            "'{}'",
            f"ARRAY[{element.at('0')}, NULL]",
            # In no order, and one value twice.
            f"ARRAY[{element.at('1')}, {element.at('0')}, {element.at('1')}]",
        ),
    )


def _range(column: Column) -> Values | None:
    low = _RANGE_BOUNDS.get(column.subtype or "")
    if low is None:
        # In which order the values of another type stand is not known: each range holds one.
        bound = _bound(column)
        if bound is None:
            return None
        one = f"{column.type}({bound.sql}, {bound.sql}, '[]')"
        return Values((Generator(one, bound.cardinality),), ("'empty'",))
    first, second = low.replace("$n", "(2 * ($i))"), low.replace("$n", "(2 * ($i) + 1)")
    # Disjoint, so that an EXCLUDE with && lets them all in.
    return Values(
        (Generator(f"{column.type}({first}, {second})"),), ("'empty'", f"{column.type}(NULL, NULL)")
    )


def _bound(column: Column) -> Generator | None:
    """Give values of a range's subtype."""
    if column.subtype is None:
        return None
    inner = replace(
        column, type=column.subtype, kind="b", category="", is_array=False, length=None, scale=None, subtype=None,
        full=column.subtype,
    )  # fmt: skip
    found = values_for(inner)
    return found.generators[0] if found is not None else None


def _multirange(column: Column) -> Values | None:
    low = _RANGE_BOUNDS.get(column.subtype or "")
    if low is None:
        bound = _bound(column)
        if bound is None:
            return Values((Generator("'{}'", 1),))
        return Values((Generator(f"format('{{[%1$I,%1$I]}}', {bound.sql})", bound.cardinality),), ("'{}'",))
    first, second = (low.replace("$n", f"(2 * ($i) + {more})") for more in (0, 1))
    return Values((Generator(f"format('{{[%s,%s)}}', {first}, {second})"),), ("'{}'",))


_RANGE_BOUNDS = {
    "integer": "($n)::integer",
    "bigint": "($n)::bigint",
    "numeric": "($n)::numeric",
    "double precision": "($n)::float8",
    "real": "($n)::real",
    "date": "date '2000-01-01' + ($n)::integer",
    "timestamp without time zone": "timestamp '2000-01-01' + ($n) * interval '1 hour'",
    "timestamp with time zone": "timestamptz '2000-01-01 00:00:00+00' + ($n) * interval '1 hour'",
}


def _composite(column: Column) -> Values | None:
    parts = []
    for part in column.parts:
        name = part.split("(")[0]
        known = _SIMPLE.get(name) or (Values((Generator("'s' || ($i)"),)) if name in _TEXT_TYPES else None)
        if name == "numeric":
            known = Values((Generator("($i) % 10", 10),))
        if known is None and (brought := extension_types.values_of(part)):
            known = Values((Generator(brought[0]),))
        parts.append(f"({known.generators[0].sql})::{part}" if known else "NULL")
    return Values((Generator(f"ROW({', '.join(parts)})", None if parts else 1),))


def _bits(column: Column) -> Values:
    length = column.length or (1 if column.type == "bit" else 16)
    size = 2 ** min(length, 31)
    digits = f"lpad(right((($i) % {size})::integer::bit(32)::text, {min(length, 32)}), {length}, '0')"
    return Values((Generator(digits, size),), (f"repeat('1', {length})", f"repeat('0', {length})"))


_LEAP = "2024-02-29 23:59:59.999999"
_SIMPLE: dict[str, Values] = {
    "smallint": Values(
        (
            Generator("($i) % 32767 + 1", 32767),
            Generator("($i) % 100", 100),
            Generator("-1 - ($i) % 32767", 32767),
        ),
        ("0", "-1", "32767", "-32768"),
    ),
    "integer": Values(
        (Generator("($i) + 1"), Generator("($i) % 100", 100), Generator("-1 - ($i)"), Generator("($i) * 10")),
        ("0", "-1", "2147483647", "-2147483648"),
    ),
    "bigint": Values(
        (Generator("($i) + 1"), Generator("($i) % 100", 100), Generator("-1 - ($i)"), Generator("($i) * 10")),
        ("0", "-1", "9223372036854775807", "-9223372036854775808"),
    ),
    "oid": Values((Generator("($i) + 1"),)),
    "real": Values(
        (Generator("($i) % 16000000 + 0.5"), Generator("(($i) % 100) / 100.0", 100)),
        ("0", "-1.5", "3.4e38", "1e-37"),
    ),
    "double precision": Values(
        (Generator("($i) + 0.5"), Generator("(($i) % 100) / 100.0", 100)),
        ("0", "-1.5", "1.7e308", "1e-307", "0.1", "'-0'"),
    ),
    "money": Values((Generator("($i)"),), ("0", "-1.5")),
    "boolean": Values((Generator("($i) % 2 = 0", 2), Generator("true", 1), Generator("false", 1))),
    "uuid": Values(
        (Generator("md5('$salt' || ($i))"),),
        ("'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"),
    ),
    "date": Values(
        (
            Generator("date '2020-01-01' + (($i) % 2000000)::integer", 2000000),
            Generator("date '2020-01-02' + (($i) % 2000000)::integer", 2000000),
        ),
        (f"'{_LEAP[:10]}'", "'1900-01-01'", "'9999-12-31'"),
    ),
    "timestamp without time zone": Values(
        (
            Generator("timestamp '2020-01-01 12:00' + ($i) * interval '1 minute'"),
            Generator("timestamp '2020-01-02 12:00' + ($i) * interval '1 minute'"),
        ),
        (f"'{_LEAP}'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'"),
    ),
    "timestamp with time zone": Values(
        (
            Generator("timestamptz '2020-01-01 12:00:00+00' + ($i) * interval '1 minute'"),
            Generator("timestamptz '2020-01-02 12:00:00+00' + ($i) * interval '1 minute'"),
        ),
        (
            f"'{_LEAP}+00'",
            "'1969-12-31 23:59:59.999999+00'",
            "'2026-03-29 01:30:00+01'",
            "'9999-12-31 23:59:59+00'",
        ),
    ),
    "time without time zone": Values(
        (Generator("time '00:00' + ($i) * interval '1 second'", 86400),), ("'23:59:59.999999'",)
    ),
    "time with time zone": Values(
        (Generator("timetz '00:00+00' + ($i) * interval '1 second'", 86400),), ("'23:59:59+14'",)
    ),
    "interval": Values(
        (Generator("($i) * interval '1 minute'"), Generator("(1 + ($i)) * interval '1 minute'")),
        ("'-1 day'", "'1 mon 1 day'", "'400 days 49:59:59.999999'"),
    ),
    "bytea": Values(
        (Generator("convert_to(($i)::text, 'UTF8')"), Generator("sha256(($i)::text::bytea)")),
        ("''", r"'\x00ff'"),
    ),
    "json": Values(
        (Generator("json_build_object('n', $i, 'text', 'sample')"), Generator("json_build_array($i)")),
        ("'{}'", "'[]'", "'null'", '\'{"deep": {"er": [1, null, "ü"]}, "none": null}\''),
    ),
    "jsonb": Values(
        (Generator("jsonb_build_object('n', $i, 'text', 'sample')"), Generator("jsonb_build_array($i)")),
        ("'{}'", "'[]'", "'null'", '\'{"deep": {"er": [1, null, "ü"]}, "none": null}\''),
    ),
    "inet": Values((Generator("inet '10.0.0.0' + ($i)"),), ("'::1'", "'10.0.0.0/8'", "'192.168.1.5/24'")),
    "cidr": Values((Generator("set_masklen(inet '10.0.0.0' + ($i), 32)::cidr"),), ("'0.0.0.0/0'",)),
    "macaddr": Values((Generator("lpad(to_hex($i), 12, '0')"),)),
    "macaddr8": Values((Generator("lpad(to_hex($i), 16, '0')"),)),
    "xml": Values((Generator("xmlparse(content '<n>' || ($i) || '</n>')"),)),
    "point": Values((Generator("point(($i), 1)"),)),
    "box": Values((Generator("box(point(($i) * 3, 0), point(($i) * 3 + 1, 1))"),)),
    "circle": Values((Generator("circle(point(($i) * 3, 0), 1)"),)),
    "line": Values((Generator("'{1, 1, ' || ($i) || '}'"),)),
    "lseg": Values((Generator("lseg(point($i, 0), point($i, 1))"),)),
    "path": Values((Generator("'[(0,0),(1,' || ($i) || ')]'"),)),
    "polygon": Values((Generator("'((0,0),(1,1),(2,' || ($i) || '))'"),)),
    "tsvector": Values((Generator("to_tsvector('simple', 'sample ' || ($i))"),)),
    "tsquery": Values((Generator("to_tsquery('simple', 's' || ($i))"),)),
    "pg_snapshot": Values((Generator("'1:' || (1 + $i) || ':'"),)),
    "pg_lsn": Values((Generator("pg_lsn '0/0' + ($i)::numeric"),)),
}
