"""Values of types that extensions bring: a table of known ones, and forms to try on a type nobody has named.

As in `samples.values`, `$i` stands for a row's number; `$schema` for the schema that the type is in, `$full` for the type
with its modifier. Each entry but h3index, whose extension was not at hand, was taken by the type's own input function on the
version named in docs/extensions.md.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal
from airlock.samples.shapes import rarer_shapes, shape, shapes_named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

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
    "spheroid": ("'SPHEROID[\"s' || ($i) || '\",6378137,298.257223563]'",),
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
    # Cells of resolution 15: the digits of the four finest resolutions, three bits each, are those of the number to base 7.
    "h3index": (
        "to_hex(x'8f2830828000000'::bigint + ($i) % 7 + (($i) / 7 % 7 << 3) + (($i) / 49 % 7 << 6) + (($i) / 343 % 7 << 9))",
    ),
}
# What the usual values lack: a second key, a fraction, a unit, a network that is no single address.
RARER: dict[str, tuple[str, ...]] = {
    "hstore": ("'a=>1, b=>\"two words\", n=>NULL'", "''"),
    "ltree": ("'Top.Science.Deep.Er'", "'top'", "'Top.sub_one.x_2'"),
    "lquery": ("'Top.*{1,2}.a|b'",),
    "ltxtquery": ("'Europe & !(Asia* | Africa)'",),
    "cube": ("'(0.25, -1), (2, 3.5)'", "'(1, 2, 3)'", "'(7)'"),
    "seg": ("'1.50 .. 2.5'", "'~3.25'", "'<4.0'", "'5 ..'"),
    # The second half of the numbers has no form of ten digits.
    "isbn13": ("'9791000000015'",),
    "isbn": ("'080442957X'",),
    "issn": ("'2434561X'",),
    # With a zero before it (a UPC), and each of the families that other types hold.
    "ean13": ("'0036000291452'", "'9780306406157'", "'9771436452008'", "'9790060115615'"),
    "upc": ("'036000291452'",),
    "box2d": ("'BOX(-1.5 2.25,8 9)'",),
    "box3d": ("'BOX3D(-1.5 2.25 3,8 9 10.5)'",),
    "raster": (
        "$schema.st_addband($schema.st_makeemptyraster(2, 3, 0.5, 1, 2, -2, 0.25, 0, 4326), '8BUI'::text, 7, 0)",
    ),
    "spheroid": ("'SPHEROID[\"two words\",6377397.155,299.1528128]'",),
    "ip4r": ("'10.0.0.0/24'", "'10.1.0.1-10.1.0.5'"),
    "ip6r": ("'2001:db8::/64'", "'2001:db8::1-2001:db8::5'"),
    "ip6": ("'2001:db8:1:2:3:4:5:6'",),
    "ipaddress": ("'2001:db8::1'",),
    "iprange": ("'10.0.0.0/24'", "'10.1.0.1-10.1.0.5'", "'2001:db8::/64'"),
    "prefix_range": ("'12[3-5]'", "'0049'"),
    "semver": ("'2.3.4-alpha.1+build.5'", "'0.0.9'"),
    "debversion": ("'2.0~rc1'", "'1.0-1+deb12u1'"),
    "mpz": ("'123456789012345678901234567890'", "'-1'"),
    "mpq": ("'-3/5'", "'123456789012345678901234567890/7'"),
    "rational": ("'2/4'", "'-3/5'"),
    "unit": ("'1.5 kg'", "'20 m/s'", "'3'"),
    "asn1oid": ("'2.5.29.15.3'", "'1.3'"),
    "hll": (
        "$schema.hll_add($schema.hll_add($schema.hll_empty(), $schema.hll_hash_integer(1)), $schema.hll_hash_integer(2))",
        "$schema.hll_empty()",
    ),
    "tdigest": ("'flags 1 count 3 compression 100 centroids 2 (1.5, 1) (9.0, 2)'",),
    "spoint": ("'(0.5, -0.25)'",),
    "scircle": ("'<(0.5, -0.25), 0.1>'",),
    "sbox": ("'((0.1, -0.2), (0.3, 0.4))'",),
    "spoly": ("'{(0d, 0d), (10d, 0d), (10d, 10d), (0d, 10d)}'",),
    "spath": ("'{(0d, 0d), (10d, 0d), (20d, 15d)}'",),
    "sellipse": ("'<{20d, 5d}, (1d, 2d), 30d>'",),
    "vector": ("'[$thirds]'",),
    "halfvec": ("'[$thirds]'",),
    "sparsevec": ("'{1:-0.333333,$dimensions:2}/$dimensions'",),
    # A cell of the coarsest resolution.
    "h3index": ("'8001fffffffffff'",),
}
# What a type holds besides where no modifier says how many dimensions its values have.
_OF_ANY_DIMENSIONS: dict[str, tuple[str, ...]] = {
    "vector": ("'[0.5]'", "'[1.5, 2, -3, 4.25]'"),
    "halfvec": ("'[0.5]'", "'[1.5, 2, -3, 4.25]'"),
    "sparsevec": ("'{1:0.5}/1'", "'{2:-1.5,7:4.25}/9'"),
}
_MOST_DIMENSIONS = 16_000
_SHAPED = frozenset({"geometry", "geography"})
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
    "(($i) + 1) || ':' || (($i) + 3) || ':'",
    "(($i) + 1)::text",
)


def values_of(full: str) -> tuple[str, ...]:
    """Give expressions over `$i` for a type by its full spelling (`public.geometry(Point,4326)`); () where none is known."""
    _, name, modifier = _parts(full)
    return (shape(modifier),) if name in _SHAPED else _meant(full, KNOWN.get(name, ()))


def rarer_values_of(full: str) -> tuple[str, ...]:
    """Give literals of values that have what the usual ones lack, which a change of the type may lose."""
    _, name, modifier = _parts(full)
    more = () if modifier else _OF_ANY_DIMENSIONS.get(name, ())
    return rarer_shapes(modifier) if name in _SHAPED else (*_meant(full, RARER.get(name, ())), *more)


def named_values(
    full: str, strings: Sequence[str], numbers: Sequence[str], words: frozenset[str]
) -> Iterator[str]:
    """Give expressions of values that a statement may ask for: as it names them, by its numbers, and the rarer ones."""
    _, name, modifier = _parts(full)
    yield from map(literal, strings)
    if name in _SHAPED:
        yield from shapes_named(modifier, strings, numbers, words)
    else:
        around = [int(one) + more for one in numbers if one.isdecimal() for more in (0, 1, -1)]
        yield from (form.replace("$i", str(one)) for one in around for form in values_of(full) if one >= 0)
    yield from rarer_values_of(full)


def with_dimensions(full: str, numbers: Iterable[str]) -> list[str]:
    """Spell a type of any dimensions with those that are named (`vector` of a CHECK (vector_dims(v) = 4)); [] of all else."""
    _, name, modifier = _parts(full)
    if modifier or full.endswith("]") or name not in _OF_ANY_DIMENSIONS:
        return []
    return [f"{full}({one})" for one in numbers if one.isdecimal() and 0 < int(one) <= _MOST_DIMENSIONS]


def _meant(full: str, forms: tuple[str, ...]) -> tuple[str, ...]:
    schema, _, modifier = _parts(full)
    dimensions = int(modifier) if modifier.isdecimal() else 3
    meant = {
        "$schema": schema,
        "$ones": f" || '{', 1' * (dimensions - 1)}'",
        "$thirds": ", ".join(f"{(number + 1 / 3) * (-1) ** number:.6f}" for number in range(dimensions)),
        "$dimensions": str(dimensions),
    }
    found = []
    for spelled in forms:
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
