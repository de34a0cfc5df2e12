"""Values of every type, as SQL over a row's number.

A generator is an expression in which `$i` stands for a number from 0 up. It gives another value for every number,
or, where it says so, one of so many (`cardinality`). No randomness: the same row number gives the
same value on every server.
"""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from airlock.samples import extension_types
from airlock.samples.builtin_types import BY_TYPE, RANGE_BOUNDS, TEXTS, Generator, Values

if TYPE_CHECKING:
    from airlock.samples.model import Column, Table

_TEXT_TYPES = frozenset({"text", "character varying", "character", "name", "citext", '"char"'})
_LONG_TYPES = frozenset({"text", "character varying"})
# What no fixed list of values can be for: other types take their turn with them.
_SHORT_TEXT = 14
# Past what texts are often cut to: 255, 1000, 4000, 5000, 10000.
_LONG, _LONGEST = 10_400, 100_000
_MOST_EDGES_OF_A_PART = 2
_MOST_OTHER_FORMS = 4
_MOST_EDGES_OF_AN_ELEMENT = 5
# Numbers that no row has.
_BEYOND, _FURTHER = "900001", "900002"
_TURNS = re.compile(r"\[1 \+ \(\$i\) % (\d+)\]$")
_COARSE_FIELDS = frozenset({"year", "month", "day", "hour"})
_FRACTIONS = frozenset({"real", "double precision"})
# Of elements that are no plain types: enums, composites, ranges, multiranges.
_KINDS = frozenset({"e", "c", "r", "m"})
# Ranges over them are spelt with [) whatever they were made of.
_DISCRETE = frozenset({"integer", "bigint", "date"})


def values_for(column: Column, salt: str = "") -> Values | None:
    """Give the values of a column's type, None where nothing is known of it.

    `salt` (the table's name) keeps the keys of two tables apart, so that one never fits where the other belongs.
    """
    if column.chosen is not None:
        return column.chosen
    found = _values(column)
    if found is None:
        return None
    cast = _cast(column)
    return Values(
        tuple(replace(one, sql=f"({one.sql.replace('$salt', salt)})::{cast}") for one in found.generators),
        tuple(f"({edge})::{cast}" for edge in found.edges),
    )


def hard_to_fill(table: Table) -> list[Column]:
    """List the columns of whose type the server may take no value that is known.

    Those of no known type, those made of other types, and xml, where the server is built without libxml.
    """
    keys = {name for key in table.foreign_keys for name in key.columns}
    return [
        column
        for column in table.columns
        if column.name not in keys
        and (
            values_for(column) is None
            or is_hollow(column)
            or "c" in (column.kind, column.element)
            or column.full.startswith("xml")
        )
    ]


def is_hollow(column: Column) -> bool:
    """Tell whether no value is known of what an array or a composite is made of, at whatever depth: it is empty there."""
    if column.is_array and "c" not in (column.kind, column.element):
        return column.subtype is not None and _element(column)[1] is None
    return any(values_for(part) is None or is_hollow(part) for part in column.parts)


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
        (Generator("jsonb_build_object('n', $i, 'name', 'sample ' || ($i), 'text', 'sample')"),),
        ("'{}'", '\'{"deep": {"er": [1, null, "ü"]}, "none": null}\''),
    ),
    "array": Values((Generator("jsonb_build_array('sample ' || ($i), 'other')"),), ("'[]'",)),
    "array of objects": Values(
        (
            Generator(
                "jsonb_build_array(jsonb_build_object('n', $i, 'name', 'sample ' || ($i)), '{}'::jsonb)"
            ),
        ),
        ("'[]'",),
    ),
}


def _shaped(shape: str) -> Values:
    """Give documents of a shape; objects that keys are demanded of, parted by commas, have them in every row."""
    found, _, keys = shape.partition(" with ")
    if not keys:
        return _SHAPES[found]
    more = ", ".join(f"{_literal(key)}, 'sample ' || ($i)" for key in keys.split(","))
    one = f"jsonb_build_object({more})"
    if found.startswith("array"):
        return Values(
            (Generator(f"jsonb_build_array({one} || jsonb_build_object('n', $i), {one})"),), ("'[]'",)
        )
    return Values(tuple(Generator(f"{it.sql} || {one}") for it in _SHAPES[found].generators))


def _values(column: Column) -> Values | None:
    kind, type_ = column.kind, column.type
    if column.fits is not None:
        return _fitting(column, column.fits)
    if column.shape:
        return _shaped(column.shape)
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
    if type_ in {"json", "jsonb"}:
        return _document(column)
    if type_ == "interval":
        return _interval(column)
    if type_ in BY_TYPE:
        return BY_TYPE[type_]
    if not brought:
        return None
    rarer = extension_types.rarer_values_of(column.full or type_)
    # Of a type that nobody has named, the other forms that it takes.
    others = tuple(Generator(form).at("2") for form in column.forms[1:] if not rarer)
    return Values(tuple(map(turning, brought)), (*rarer, *others[:_MOST_OTHER_FORMS]))


def turning(sql: str) -> Generator:
    """Tell how many values there are where a list of them takes turns: `(ARRAY['I', 'II'])[1 + ($i) % 2]`."""
    found = _TURNS.search(sql)
    return Generator(sql, int(found[1]) if found else None)


def document(column: Column) -> str:
    """Tell what a JSON column's values are taken for, else what its default is; empty where neither tells."""
    if column.shape or column.type not in {"json", "jsonb"}:
        return column.shape
    return {"'{": "object", "'[": "array"}.get((column.default or "")[:2], "")


def _document(column: Column) -> Values:
    """Give documents; all objects, or all lists, where the column's default says which."""
    known, shapes = BY_TYPE[column.type], ("object", "array")
    if (shape := document(column)) not in shapes:
        return known
    place = shapes.index(shape)
    alike = tuple(edge for edge in known.edges if edge.startswith(f"'{'{['[place]}"))
    return Values((known.generators[place],), alike)


def _literal(text: str) -> str:
    doubled = text.replace("'", "''")
    # In an E'' literal only where needed: standard_conforming_strings is the default since 9.1.
    return f"'{doubled}'"


def _text(column: Column) -> Values:
    length = column.length if column.type != '"char"' else 1
    if column.type == "character" and length is None:
        length = 1
    generators = [Generator(sql) for sql in TEXTS if length is None or length >= _SHORT_TEXT]
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
        # With what separates parts of a text, and what stands for other characters.
        "'''q\" \\ % :c; a,b|c/d&lt;%20={{ e }}'",
        # At the end what Unicode spells in two ways: a ligature, a letter and its accent.
        r"E'Ünïcødé ☃ 𝄞 \uFB01e\u0301'",
        r"E' two\n  lines,\tindented '",
        "'Sample.Word@Example.COM'",
        f"repeat('longest ', {1 + min(length or _LONG, _LONGEST) // 8})",
    ]
    if "mail" in column.name:
        edges.insert(1, "'First.Last@Example.COM'")
    limit = _LONG if length is None else length
    return Values(
        tuple(generators), tuple(f"left({edge}, {limit})" for edge in edges if column.type != '"char"')
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
            ("0", "-1.5", "1.50", "0.29", "0.000000000000000001", "123456789012345678901234567890.123456789"),
        )
    precision, scale = column.length, column.scale or 0
    whole = max(precision - scale, 0)
    size = 10 ** min(precision, 18)
    unit = "1" if scale <= 0 else f"1{'0' * scale}.0"
    # As many digits as it has, wherever its point stands: numeric(3, -2) holds hundreds, numeric(2, 4) nothing above 0.0099.
    digits = ("9" * precision + "0" * -scale).rjust(scale + 1, "0")
    largest = f"{digits[:-scale]}.{digits[-scale:]}" if scale > 0 else digits
    generators = [Generator(f"(($i) % {size}) / {unit}", size if precision < 18 else None)]
    if scale < 0:
        generators = [Generator(f"(1 + ($i) % {size - 1}) * {10**-scale}::numeric", size - 1)]
    elif whole:
        generators.insert(
            0, Generator(f"1 + ($i) % {10 ** min(whole, 18) - 1 or 1}", 10**whole - 1 if whole < 18 else None)
        )
    # A small one with all its digits behind the point: where the largest have no room, it shows what is cut there.
    small = (f"1.{('23456789' * scale)[:scale]}",) if whole and scale > 0 else ()
    return Values(
        tuple(generators), ("0", largest, f"-{largest}", *small, *_cut_as_a_double(precision, scale))
    )


def _interval(column: Column) -> Values:
    """Count in the finest field that is kept: `interval year to month` makes every number of minutes the same value."""
    known = BY_TYPE["interval"]
    finest = column.full.rpartition(" ")[2]
    if finest not in _COARSE_FIELDS:
        return known
    counted = tuple(replace(one, sql=one.sql.replace("1 minute", f"1 {finest}")) for one in known.generators)
    return replace(known, generators=counted)


@functools.cache
def _cut_as_a_double(precision: int, scale: int) -> tuple[str, ...]:
    """Give a number whose double is a little less: `int(float(price) * 100)` makes 28 of 0.29."""
    unit = 10 ** max(scale, 0)
    cut = (
        next((one for one in range(10 ** min(precision, scale + 1)) if int(one / unit * unit) < one), 0)
        if 1 < scale < precision < 16
        else 0
    )
    return (f"{cut / unit:.{scale}f}",) if cut else ()


def _element(column: Column) -> tuple[Column, Values | None]:
    """Describe what an array is made of as a column of its own, with its values."""
    # Of a domain without conditions its base type's values, of a range its own.
    domain = column.element == "d"
    full = column.over if domain and column.over else column.full.removesuffix("[]")
    inner = replace(
        column, type=full.partition("(")[0] if domain else column.subtype or "", is_array=False, element="", full=full,
        kind=column.element if column.element in _KINDS else "b", category="E" if column.labels else "",
        subtype=None if domain else column.over,
    )  # fmt: skip
    return inner, column.within if domain and column.within is not None else values_for(inner)


def _array(column: Column) -> Values | None:
    if column.subtype is None:
        return None
    inner, found = _element(column)
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
            # In no order, and one value again, beside itself and farther off.
            f"ARRAY[{element.at('1')}, {element.at('1')}, {element.at('0')}, {element.at('1')}]",
            # Beginning elsewhere than at 1.
            f"'[0:1]=' || (ARRAY[{element.at('0')}, {element.at('1')}])::text",
            *(f"ARRAY[{edge}]" for edge in _telling(inner, found.edges)),
        ),
    )


def _telling(inner: Column, edges: tuple[str, ...]) -> tuple[str, ...]:
    """Choose the edges that arrays hold as well: of texts the longest, of fractions the finest, of other types the first."""
    if inner.type in _LONG_TYPES or inner.type in _FRACTIONS:
        return edges[-1:]
    plain = inner.type in RANGE_BOUNDS or inner.type in _TEXT_TYPES
    return () if plain else edges[:_MOST_EDGES_OF_AN_ELEMENT]


def _range(column: Column) -> Values | None:
    low = RANGE_BOUNDS.get(column.subtype or "")
    if low is None:
        # In which order the values of another type stand is not known: each range holds one.
        bound = _bound(column)
        if bound is None:
            return None
        one = f"{column.type}({bound.sql}, {bound.sql}, '[]')"
        # Where its order is not the type's own, this one is refused, and left out.
        ends = ", ".join(f"{of}({bound.at(_BEYOND)}, {bound.at(_FURTHER)})" for of in ("least", "greatest"))
        return Values((Generator(one, bound.cardinality),), ("'empty'", f"{column.type}({ends}, '[]')"))
    first, second = low.replace("$n", "(2 * ($i))"), low.replace("$n", "(2 * ($i) + 1)")
    # Disjoint, so that an EXCLUDE with && lets them all in.
    edges = ["'empty'", f"{column.type}(NULL, NULL)"]
    if column.subtype not in _DISCRETE:
        # Another range where the bounds themselves belong to it, or do not.
        edges += [
            f"{column.type}({first}, {second}, '{bounds}')".replace("$i", "1") for bounds in ("[]", "()")
        ]
    edges.append(f"{column.type}({first}, NULL)".replace("$i", "2"))
    return Values((Generator(f"{column.type}({first}, {second})"),), tuple(edges))


def _bound(column: Column) -> Generator | None:
    """Give values of a range's subtype."""
    if column.within is not None or column.subtype is None:
        return column.within.generators[0] if column.within is not None else None
    inner = replace(
        column, type=column.subtype, kind="b", category="", is_array=False, length=None, scale=None, subtype=None,
        full=column.subtype,
    )  # fmt: skip
    found = values_for(inner)
    return found.generators[0] if found is not None else None


def _multirange(column: Column) -> Values | None:
    low = RANGE_BOUNDS.get(column.subtype or "")
    if low is None:
        bound = _bound(column)
        if bound is None:
            return Values((Generator("'{}'", 1),))
        # In quotes a backslash stands for what follows it.
        text = replace(bound, sql=f"replace(({bound.sql})::text, '\\', '\\\\')")
        two = f"format('{{[%1$I,%1$I],[%2$I,%2$I]}}', {text.at(_BEYOND)}, {text.at(_FURTHER)})"
        return Values(
            (Generator(f"format('{{[%1$I,%1$I]}}', {text.sql})", bound.cardinality),), ("'{}'", two)
        )
    first, second = (low.replace("$n", f"(2 * ($i) + {more})") for more in (0, 1))
    usual = Generator(f"format('{{[%s,%s)}}', {first}, {second})")
    # A gap between two members; as far below the others as no row is above.
    ends = ", ".join(end.replace("$i", number) for number in ("-7", "-3") for end in (first, second))
    return Values((usual,), ("'{}'", f"format('{{[%s,%s),[%s,%s)}}', {ends})"))


def _composite(column: Column) -> Values | None:
    """Give each part the usual value of its type, and now and then an edge of one of them, or no value in one."""
    found = [values_for(part) for part in column.parts]
    usual = [
        one.generators[0].sql if one else null_of(part) for one, part in zip(found, column.parts, strict=True)
    ]
    # A row of NULLs alone IS NULL, as no row is: one that nobody tells from the other.
    none = [(null_of(part),) if len(usual) > 1 else () for part in column.parts]
    edges = tuple(
        Generator(f"ROW({', '.join([*usual[:place], edge, *usual[place + 1 :]])})").at("0")
        for place, one in enumerate(found)
        for edge in (*none[place], *(one.edges[:_MOST_EDGES_OF_A_PART] if one else ()))
    )
    return Values((Generator(f"ROW({', '.join(usual)})", None if usual else 1),), edges)


def _bits(column: Column) -> Values:
    length = column.length or (1 if column.type == "bit" else 16)
    size = 2 ** min(length, 31)
    digits = f"lpad(right((($i) % {size})::integer::bit(32)::text, {min(length, 32)}), {length}, '0')"
    edges = [f"repeat('1', {length})", f"repeat('0', {length})"]
    if column.type == "bit varying" and length > 1:
        edges += ["'1'", "'0'"]
    return Values((Generator(digits, size),), tuple(edges))
