"""Values of types that extensions bring: a table of known ones, and forms to try on a type nobody has named.

As in `samples.values`, `$i` stands for a row's number; `$schema` for the schema that the type is in, `$full` for the type
with its modifier. Each entry but h3index, whose extension was not at hand, was taken by the type's own input function on the
version named in docs/extensions.md.
"""

from __future__ import annotations

import re

# By the type's bare name. The first is the usual one.
KNOWN: dict[str, tuple[str, ...]] = {
    # contrib
    "hstore": ("'n=>' || ($i)",),
    "ltree": ("'sample.n' || ($i)",),
    "lquery": ("'sample.n' || ($i) || '.*'",),
    "ltxtquery": ("'sample' || ($i)",),
    "cube": ("'(' || ($i) || ', 1)'",),
    "seg": ("($i) || ' .. ' || (($i) + 1)",),
    # A question mark has the input function compute the check digit.
    "isbn": ("lpad(($i)::text, 9, '0') || '?'",),
    "isbn13": ("'978' || lpad(($i)::text, 9, '0') || '?'",),
    "issn": ("lpad(($i)::text, 7, '0') || '?'",),
    "issn13": ("'977' || lpad(($i)::text, 7, '0') || '00?'",),
    "ismn": ("'M' || lpad(($i)::text, 8, '0') || '?'",),
    "ismn13": ("'9790' || lpad(($i)::text, 8, '0') || '?'",),
    "upc": ("lpad(($i)::text, 11, '0') || '?'",),
    "ean13": ("'200' || lpad(($i)::text, 9, '0') || '?'",),
    # PostGIS
    "box2d": ("'BOX(0 0,' || (1 + $i) || ' 1)'",),
    "box3d": ("'BOX3D(0 0 0,' || (1 + $i) || ' 1 1)'",),
    "raster": ("$schema.st_makeemptyraster(1, 1, $i, 1, 1)",),
    # addresses and prefixes
    "ip4": ("host(inet '10.0.0.0' + ($i))",),
    "ip4r": ("host(inet '10.0.0.0' + ($i)) || '/32'",),
    "ip6": ("'2001:db8::' || to_hex(($i) % 65536)",),
    "ip6r": ("'2001:db8::' || to_hex(($i) % 65536) || '/128'",),
    "ipaddress": ("host(inet '10.0.0.0' + ($i))",),
    "iprange": ("host(inet '10.0.0.0' + ($i)) || '/32'",),
    "prefix_range": ("'1' || ($i)",),
    # versions and numbers
    "semver": ("'1.' || ($i) || '.0'",),
    "debversion": ("'1:' || ($i) || '.0-1'",),
    "mpz": ("($i)::text",),
    "mpq": ("($i) || '/7'",),
    "rational": ("($i) || '/7'",),
    "unit": ("($i) || ' m'",),
    "asn1oid": ("'1.2.' || ($i)",),
    "numeral": ("(ARRAY['one', 'two', 'three', 'five', 'eight', 'thirteen'])[1 + ($i) % 6]",),
    "zahl": ("(ARRAY['eins', 'zwei', 'drei', 'acht'])[1 + ($i) % 4]",),
    "roman": ("(ARRAY['I', 'II', 'III', 'V', 'VIII', 'XIII'])[1 + ($i) % 6]",),
    # sketches
    "hll": ("$schema.hll_add($schema.hll_empty(), $schema.hll_hash_integer(($i)::integer))",),
    "tdigest": ("'flags 1 count 1 compression 10 centroids 1 (' || ($i) || '.0, 1)'",),
    # pg_sphere
    "spoint": ("'(' || (($i) % 360) || 'd, ' || (($i) % 90) || 'd)'",),
    "scircle": ("'<(' || (($i) % 360) || 'd, 1d), 1d>'",),
    "sbox": ("'((0d, 0d), (' || (1 + ($i) % 300) || 'd, 1d))'",),
    "spoly": ("'{(0d, 0d), (10d, 0d), (0d, ' || (1 + ($i) % 80) || 'd)}'",),
    "spath": ("'{(0d, 0d), (10d, ' || (1 + ($i) % 80) || 'd)}'",),
    "sellipse": ("'<{10d, 5d}, (' || (($i) % 360) || 'd, 1d), 0d>'",),
    # pgvector's have as many dimensions as the modifier says.
    "vector": ("'[' || ($i)$ones || ']'",),
    "halfvec": ("'[' || (($i) % 2048)$ones || ']'",),
    "sparsevec": ("'{1:' || (1 + $i) || '}/$dimensions'",),
    # The H3 index of one cell of each of seven resolutions-15 children.
    "h3index": ("'8f28308280f18' || (ARRAY['0', '1', '2', '3', '4', '5', '6'])[1 + ($i) % 7] || '0'",),
}
# What a type may read that is not in the table: the first forms that its input function takes are its values.
FORMS = (
    "($i)::text",
    "($i) || '.5'",
    "'sample' || ($i)",
    "'1.' || ($i) || '.0'",
    "($i) || '/7'",
    "'(' || ($i) || ', 1)'",
    "'[' || ($i) || ', 1]'",
    "'{' || ($i) || ', 1}'",
    "'[' || ($i) || ', ' || (($i) + 1) || ')'",
    "'(' || ($i) || ', 1, 1)'",
    "'10.0.0.' || (($i) % 250)",
    "md5(($i)::text)",
    "'k=>' || ($i)",
    "'{\"n\": ' || ($i) || '}'",
    "(timestamp '2020-01-01' + ($i) * interval '1 day')::text",
    "'$.k' || ($i)",
    "($i) || ' ' || ($i)",
    "($i) || ':' || (($i) + 2) || ':'",
)
_POINTS = {
    "point": "(%1$s %2$s)", "linestring": "(%1$s %2$s, 1 1)", "polygon": "((0 0, 1 0, %1$s %2$s, 0 0))",
    "multipoint": "((%1$s %2$s))", "multilinestring": "((%1$s %2$s, 1 1))",
    "multipolygon": "(((0 0, 1 0, %1$s %2$s, 0 0)))", "geometrycollection": "(POINT(%1$s %2$s))",
    "triangle": "((0 0, 1 0, %1$s %2$s, 0 0))", "circularstring": "(0 0, %1$s %2$s, 2 0)",
    "compoundcurve": "((%1$s %2$s, 1 1))", "curvepolygon": "((0 0, 1 0, %1$s %2$s, 0 0))",
    "tin": "(((0 0, 1 0, %1$s %2$s, 0 0)))", "polyhedralsurface": "(((0 0, 1 0, %1$s %2$s, 0 0)))",
    "multicurve": "((%1$s %2$s, 1 1))", "multisurface": "(((0 0, 1 0, %1$s %2$s, 0 0)))",
}  # fmt: skip


def values_of(full: str) -> tuple[str, ...]:
    """Give expressions over `$i` for a type by its full spelling (`public.geometry(Point,4326)`); () where none is known."""
    schema, name, modifier = _parts(full)
    if name in {"geometry", "geography"}:
        return (_shape(modifier),)
    dimensions = int(modifier) if modifier.isdecimal() else 3
    meant = {"$schema": schema, "$ones": f" || '{', 1' * (dimensions - 1)}'", "$dimensions": str(dimensions)}
    found = []
    for spelled in KNOWN.get(name, ()):
        for word, instead in meant.items():
            spelled = spelled.replace(word, instead)
        found.append(spelled)
    return tuple(found)


def _parts(full: str) -> tuple[str, str, str]:
    found = re.fullmatch(
        r'(?:("(?:[^"]|"")*"|[^".(]+)\.)?("(?:[^"]|"")*"|[^".(]+)(?:\((.*)\))?(?:\[\])*', full
    )
    if found is None:
        return "pg_catalog", full, ""
    return found[1] or "pg_catalog", found[2].strip('"'), found[3] or ""


def _shape(modifier: str) -> str:
    """Spell a shape of the kind, dimensions and SRID that a PostGIS modifier demands, as EWKT."""
    kind, _, srid = (part.strip() for part in modifier.partition(","))
    kind = kind.lower() or "point"
    plain = re.sub(r"(zm|z|m)$", "", kind)
    more = kind.removeprefix(plain) if plain in _POINTS else ""
    plain = plain if plain in _POINTS else "point"
    form = re.sub(r"(%\d\$s|\d) (%\d\$s|\d)", lambda it: f"{it[1]} {it[2]}{' 0' * len(more)}", _POINTS[plain])
    spelled = f"{plain.upper()}{f' {more.upper()} ' if more else ''}{form}"
    # A longitude and a latitude: geography takes no others, any geometry does.
    numbers = "(($i) % 178 + 1), (1 + (($i) / 178) % 88)"
    prefix = f"SRID={srid};" if srid else ""
    return f"format('{prefix}{spelled}', {numbers})"
