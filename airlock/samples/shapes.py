"""Values of PostGIS' geometry and geography, as EWKT of the kind, dimensions and SRID that a modifier demands."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# By kind: the usual value, over a longitude and a latitude; then what a change of the kind may lose of a value: fractions,
# vertices, holes, members.
# One number of each has all the digits that float8 has: GeoJSON keeps nine decimals, WKT fifteen.
_POINT, _LINE = "(0.1234567890123456 -45.5)", "(0 0, 0.5 1.2345678901234567, 2 0, 3 0.75)"
_RING = "((0 0, 1 0, %1$s %2$s, 0 0))"
_WITH_HOLE = "((0 0, 9 0, 9 9.123456789012345, 0 9, 0 0), (2 2, 2 4, 4 4, 4 2, 2 2))"
_SQUARES = "(((0 0, 1 0, 1 1, 0 1, 0 0)), ((5 5, 6 5, 6 6.123456789012345, 5 6, 5 5)))"
_SHAPES = {
    "point": ("(%1$s %2$s)", _POINT),
    "linestring": ("(%1$s %2$s, 1 1)", _LINE),
    "polygon": (_RING, _WITH_HOLE, "((0 0, 4 0, 4 4, 2 1, 0 4, 0 0))"),
    "multipoint": ("((%1$s %2$s))", "((7 7), (0.1234567890123456 1.5))"),
    "multilinestring": ("((%1$s %2$s, 1 1))", f"((5 5, 6 6), {_LINE})"),
    "multipolygon": ("(((0 0, 1 0, %1$s %2$s, 0 0)))", _SQUARES, f"({_WITH_HOLE})"),
    "geometrycollection": ("(POINT(%1$s %2$s))", f"(POINT{_POINT}, LINESTRING{_LINE})"),
    "triangle": (_RING,),
    "circularstring": ("(0 0, %1$s %2$s, 2 0)", "(0 0, 1 1.5, 2 0, 3 -1, 4 0)"),
    "compoundcurve": ("((%1$s %2$s, 1 1))", "(CIRCULARSTRING(0 0, 1 1, 2 0), (2 0, 3 0.5))"),
    "curvepolygon": (_RING, "(CIRCULARSTRING(0 0, 4 0, 4 4, 0 4, 0 0))"),
    "tin": ("(((0 0, 1 0, %1$s %2$s, 0 0)))", "(((0 0, 1 0, 0 1, 0 0)), ((1 0, 1 1, 0 1, 1 0)))"),
    "polyhedralsurface": ("(((0 0, 1 0, %1$s %2$s, 0 0)))", "(((0 0, 1 0, 0 1, 0 0)), ((1 0, 1 1, 0 1, 1 0)))"),
    "multicurve": ("((%1$s %2$s, 1 1))", "((0 0, 5 5), CIRCULARSTRING(4 0, 4 4, 8 4))"),
    "multisurface": ("(((0 0, 1 0, %1$s %2$s, 0 0)))", _SQUARES),
}  # fmt: skip
# Where no modifier says what a column holds.
_LONGITUDES, _LATITUDES = 180, 90
_OF_ANY_KIND = ("linestring", "polygon", "multipolygon", "geometrycollection")


def shape(modifier: str) -> str:
    """Spell the usual value of a modifier (`PolygonZ,4326`), as an expression over `$i`."""
    prefix, kind, more = _read(modifier)
    # A longitude and a latitude: geography takes no others, any geometry does.
    numbers = "(($i) % 178 + 1), (1 + (($i) / 178) % 88)"
    return f"format('{prefix}{_spelled(kind, more, _SHAPES[kind][0])}', {numbers})"


def rarer_shapes(modifier: str) -> tuple[str, ...]:
    """Spell literals of what else a column with this modifier may hold."""
    prefix, kind, more = _read(modifier)
    found = [f"{prefix}{_spelled(kind, more, form)}" for form in _SHAPES[kind][1:]]
    if not modifier:
        found.append(f"SRID=4326;POINT{_POINT}")
    if _is_any_kind(modifier):
        found += [f"{prefix}{_spelled(other, more, _SHAPES[other][1])}" for other in _OF_ANY_KIND]
    if not modifier:
        found.append("POINT Z (1 2 3.5)")
    return tuple(f"'{one}'" for one in found)


def shapes_named(
    modifier: str, strings: Iterable[str], numbers: Iterable[str], words: frozenset[str]
) -> Iterator[str]:
    """Spell literals of what a statement asks shapes for: a kind, none at all, an SRID, a place or size beside a number."""
    prefix, kind, more = _read(modifier)
    # Of degrees: no statement that projects them reads others.
    geographic = re.match(r"SRID=4\d{3};", prefix) is not None
    if "st_isempty" in words:
        yield f"'{prefix}{kind.upper()}{f' {more.upper()}' if more else ''} EMPTY'"
    for text in strings:
        other = text.lower().removeprefix("st_")
        if other in _SHAPES:
            yield f"'{prefix}{_spelled(other, more, _SHAPES[other][-1].replace('%1$s', '2').replace('%2$s', '3'))}'"
    for text in numbers:
        if text.isdecimal() and not modifier and "st_srid" in words:
            yield f"'SRID={text};POINT{_POINT}'"
        number = float(text)
        for x, y in (
            (number + 1, 1),
            (1, number + 1),
            (number - 1, 1),
            (1, number - 1),
            (3 * number, 3 * number),
        ):
            if geographic and (abs(x) > _LONGITUDES or abs(y) > _LATITUDES):
                continue
            form = _SHAPES[kind][0].replace("%1$s", f"{x:g}").replace("%2$s", f"{y:g}")
            yield f"'{prefix}{_spelled(kind, more, form)}'"


def _is_any_kind(modifier: str) -> bool:
    """Tell whether a modifier leaves the kind open: there is none, or it says GEOMETRY."""
    return not modifier or re.match(r"geometry(zm|z|m)?\s*(,|$)", modifier, re.IGNORECASE) is not None


def _read(modifier: str) -> tuple[str, str, str]:
    kind, _, srid = (part.strip() for part in modifier.partition(","))
    kind = kind.lower() or "point"
    plain = re.sub(r"(zm|z|m)$", "", kind)
    more = kind.removeprefix(plain) if plain in _SHAPES or _is_any_kind(modifier) else ""
    return f"SRID={srid};" if srid else "", plain if plain in _SHAPES else "point", more


def _spelled(kind: str, more: str, form: str) -> str:
    """Give each point of a form as many coordinates more, another one at each place."""
    form = re.sub(
        r"(%\d\$s|-?[\d.]+) (%\d\$s|-?[\d.]+)", lambda it: f"{it[0]}{f' {it[1]}' * len(more)}", form
    )
    tag = f" {more.upper()} " if more else ""
    # So are the members of a collection.
    form = re.sub(r"[A-Z]{5,}", lambda it: f"{it[0]}{tag}", form)
    return f"{kind.upper()}{tag}{form}"
