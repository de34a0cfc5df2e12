"""What revisions do to values of extensions' types: each faulty one loses something that only some values have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

import airlock
from tests.airlock.histories import HEADER, SYNC, Revision, write_project
from tests.airlock.system.test_extension_types import MISSING, ON_THE_SYSTEM, SYSTEM, refused

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.proof

# Type of the column `v`: what an upgrade makes of it, and what the downgrade makes of that.
# The column, in an expression.
V = re.compile(r"\bv\b")
Ways = dict[str, tuple[str, str, str]]

LOSING: Ways = {
    "z": (
        "geometry(PointZ,4326)",
        "geometry(Point,4326) USING ST_Force2D(v)",
        "geometry(PointZ,4326) USING ST_Force3D(v)",
    ),
    "m": (
        "geometry(PointM,4326)",
        "geometry(Point,4326) USING ST_Force2D(v)",
        "geometry(PointM,4326) USING ST_Force3DM(v)",
    ),
    "fine": (
        "geometry(Point,4326)",
        "geometry(Point,4326) USING ST_SnapToGrid(v, 0.001)",
        "geometry(Point,4326)",
    ),
    "srid": (
        "geometry(Point,4326)",
        "geometry(Point,3857) USING ST_SetSRID(v, 3857)",
        "geometry(Point,4326) USING ST_Transform(v, 4326)",
    ),
    "one": (
        "geometry(MultiPolygon,4326)",
        "geometry(Polygon,4326) USING ST_GeometryN(v, 1)",
        "geometry(MultiPolygon,4326) USING ST_Multi(v)",
    ),
    "hole": (
        "geometry(Polygon,3857)",
        "geometry(Polygon,3857) USING ST_MakePolygon(ST_ExteriorRing(v))",
        "geometry(Polygon,3857)",
    ),
    "line": (
        "geometry(LineString,3857)",
        "geometry(LineString,3857) USING ST_MakeLine(ST_StartPoint(v), ST_EndPoint(v))",
        "geometry(LineString,3857)",
    ),
    "geojson": (
        "geometry(Polygon,3857)",
        "jsonb USING ST_AsGeoJSON(v)::jsonb",
        "geometry(Polygon,3857) USING ST_SetSRID(ST_GeomFromGeoJSON(v), 3857)",
    ),
    "wkt": (
        "geometry(LineString,3857)",
        "text USING ST_AsText(v, 9)",
        "geometry(LineString,3857) USING ST_GeomFromText(v, 3857)",
    ),
    "center": ("geometry", "geometry USING ST_Centroid(v)", "geometry"),
    "srids": ("geometry", "geometry USING ST_SetSRID(v, 4326)", "geometry USING ST_SetSRID(v, 0)"),
    "geog": (
        "geography(PointZ,4326)",
        "geography(Point,4326) USING ST_Force2D(v::geometry)::geography",
        "geography(PointZ,4326) USING ST_Force3D(v::geometry)::geography",
    ),
    "hstore_one": ("hstore", "text USING v -> 'n'", "hstore USING hstore('n', v)"),
    "hstore_null": (
        "hstore",
        "jsonb USING hstore_to_jsonb(v)",
        "hstore USING hstore(akeys_of(v), values_of(v))",
    ),
    "ltree_cut": ("ltree", "ltree USING subpath(v, 0, least(nlevel(v), 2))", "ltree"),
    "ltree_leaf": (
        "ltree",
        "text USING ltree2text(subpath(v, least(1, nlevel(v) - 1)))",
        "ltree USING text2ltree('sample.' || v)",
    ),
    "ltree_folded": (
        "ltree",
        "text USING translate(v::text, '._', '//')",
        "ltree USING text2ltree(replace(v, '/', '.'))",
    ),
    "case": ("citext", "text USING lower(v::text)", "citext"),
    "isbn": ("isbn13", "text USING replace(v::text, '-', '')", "isbn13 USING ('9780306406157')::isbn13"),
    "cube": (
        "cube",
        "float8[] USING ARRAY[coalesce(cube_ll_coord(v, 1), 0), coalesce(cube_ll_coord(v, 2), 0)]",
        "cube USING cube(v)",
    ),
    "cube_dim": (
        "cube",
        "cube USING cube(cube_ll_coord(v, 1), cube_ur_coord(v, 1))",
        "cube USING cube(v, 1)",
    ),
    "seg": (
        "seg",
        "real[] USING ARRAY[seg_lower(v), seg_upper(v)]",
        "seg USING (v[1] || ' .. ' || least(v[2], 1e6))::seg",
    ),
    "semver": (
        "semver",
        "text USING get_semver_major(v) || '.' || get_semver_minor(v) || '.' || get_semver_patch(v)",
        "semver USING v::semver",
    ),
    "semver_minor": ("semver", "int USING get_semver_minor(v)", "semver USING ('1.' || v || '.0')::semver"),
    "ip4r": ("ip4r", "ip4 USING lower(v)", "ip4r USING ip4r(v)"),
    "iprange": ("iprange", "ipaddress USING lower(v)", "iprange USING iprange(v, v)"),
    "ip6r": ("ip6r", "ip6 USING lower(v)", "ip6r USING ip6r(v)"),
    "prefix": (
        "prefix_range",
        "text USING split_part(v::text, '[', 1)",
        "prefix_range USING v::prefix_range",
    ),
    "unit": ("unit", "float8 USING value(v)", "unit USING v * '1 m'::unit"),
    "debversion": (
        "debversion",
        "text USING regexp_replace(v::text, '-[^-]*$', '')",
        "debversion USING (v || '-1')::debversion",
    ),
    "rational": ("rational", "int USING (numerator_of(v))", "rational USING (v || '/7')::rational"),
    "mpq": ("mpq", "mpz USING num(v)", "mpq USING v::mpq / 7::mpq"),
    "mpz": ("mpz", "float8 USING v::float8", "mpz USING v::mpz"),
    "scircle": ("scircle", "spoint USING center(v)", "scircle USING scircle(v, radians(1))"),
    "spoly": ("spoly", "spoint USING spoint(0, 0)", "spoly USING '{(0d, 0d), (10d, 0d), (0d, 1d)}'::spoly"),
    "oid": (
        "asn1oid",
        "text USING regexp_replace(v::text, '^1.2.', '')",
        "asn1oid USING ('1.2.' || v)::asn1oid",
    ),
    "box2d": ("box2d", "float8 USING ST_XMax(v)", "box2d USING ST_MakeBox2D(ST_Point(0, 0), ST_Point(v, 1))"),
    "hll": ("hll", "hll USING CASE WHEN hll_cardinality(v) <= 1 THEN v ELSE hll_empty() END", "hll"),
    "tdigest": ("tdigest", "tdigest USING CASE WHEN v::text LIKE '%% count 1 %%' THEN v END", "tdigest"),
    "raster": ("raster", "raster USING ST_MakeEmptyRaster(1, 1, ST_UpperLeftX(v), 1, 1)", "raster"),
    "circle": ("circle", "point USING center(v)", "circle USING circle(v, 1)"),
    "box": ("box", "point USING v[1]", "box USING box(v, v - point '(1,1)')"),
    "lseg": ("lseg", "point USING v[0]", "lseg USING lseg(v, v + point '(0,1)')"),
    "path": ("path", "text USING replace(replace(v::text, '[', '('), ']', ')')", "path USING v::path"),
    "xml": ("xml", "text USING (xpath('/n/text()', v))[1]::text", "xml USING ('<n>' || v || '</n>')::xml"),
    "float8s": ("float8[]", "real[]", "float8[]"),
    "numrange": (
        "numrange",
        "int8range USING int8range(lower(v)::int8, upper(v)::int8)",
        "numrange USING numrange(lower(v), upper(v))",
    ),
    "cidr": ("cidr", "inet USING set_masklen(v::inet, 32)", "cidr USING v::cidr"),
    "macaddr8": ("macaddr8", "macaddr8 USING trunc(v)", "macaddr8"),
}
KEEPING: Ways = {
    "jsonb": ("jsonb", "json", "jsonb"),
    "hstore_json": ("hstore", "text USING v::text", "hstore USING v::hstore"),
    "ltree_text": ("ltree", "text USING ltree2text(v)", "ltree USING text2ltree(v)"),
    "citext_text": ("citext", "text", "citext"),
    "srid_back": (
        "geometry(Point,4326)",
        "geometry(Point,3857) USING ST_SetSRID(v, 3857)",
        "geometry(Point,4326) USING ST_SetSRID(v, 4326)",
    ),
    "wkb": ("geometry", "bytea USING ST_AsEWKB(v)", "geometry USING ST_GeomFromEWKB(v)"),
    "untyped": ("geometry(PolygonZ,3857)", "geometry", "geometry(PolygonZ,3857)"),
    "geog_geom": (
        "geography(Point,4326)",
        "geometry(Point,4326) USING v::geometry",
        "geography(Point,4326) USING v::geography",
    ),
    "isbn_ean": ("isbn13", "ean13 USING v::ean13", "isbn13 USING isbn13(v)"),
    "ean_number": (
        "ean13",
        "bigint USING replace(v::text, '-', '')::bigint",
        "ean13 USING lpad(v::text, 13, '0')::ean13",
    ),
    "ip4_range": ("ip4", "ip4r USING ip4r(v)", "ip4 USING lower(v)"),
    "semver_text": ("semver", "text USING v::text", "semver USING v::semver"),
    "debversion_text": ("debversion", "text", "debversion USING v::debversion"),
    "cube_text": ("cube", "text USING v::text", "cube USING v::cube"),
    "mpz_numeric": ("mpz", "numeric USING v::numeric", "mpz USING v::mpz"),
}
VECTORS_LOSING: Ways = {
    "half": ("vector(3)", "halfvec(3)", "vector(3)"),
    "whole": ("vector(3)", "int[] USING v::real[]::int[]", "vector(3) USING v::vector"),
    "sign": ("vector(3)", "vector(3) USING abs_of(v)", "vector(3)"),
    "last": (
        "vector(4)",
        "vector(3) USING subvector(v, 1, 3)",
        "vector(4) USING v || '[1]'::vector",
    ),
    "fourth": (
        "vector",
        "vector USING subvector(v, 1, least(vector_dims(v), 3))",
        "vector",
    ),
    "halves": ("halfvec(4)", "int[] USING v::vector::real[]::int[]", "halfvec(4) USING v::vector::halfvec"),
    "second": (
        "sparsevec(5)",
        "real USING (v::vector::real[])[1]",
        "sparsevec(5) USING ('{1:' || v || '}/5')::sparsevec",
    ),
    "sparse": (
        "sparsevec",
        "sparsevec(5) USING ('{1:' || (v::vector::real[])[1] || '}/5')::sparsevec",
        "sparsevec",
    ),
    "bits": ("bit(8)", "bit(4) USING substring(v FROM 5)", "bit(8) USING B'0000' || v"),
}
VECTORS_KEEPING: Ways = {
    "array": ("vector(3)", "real[]", "vector(3) USING v::vector"),
    "untyped": ("vector(3)", "vector", "vector(3)"),
    "any": ("vector", "text USING v::text", "vector USING v::vector"),
    "half": ("halfvec(4)", "vector(4)", "halfvec(4)"),
    "sparse": ("sparsevec(5)", "vector(5)", "sparsevec(5)"),
    "longer": ("vector(3)", "vector(4) USING v || '[0]'::vector", "vector(3) USING subvector(v, 1, 3)"),
    "bits": ("bit(8)", "int USING v::int", "bit(8) USING v::bit(8)"),
}
# Of types that the catalogue has, and hardly a table.
RARE_LOSING: Ways = {
    "vec_first": ("int2vector", "int2 USING v[0]", "int2vector USING v::text::int2vector"),
    "vec_order": (
        "oidvector",
        "text USING split_part(v::text, ' ', 1)",
        "oidvector USING (v || ' 1')::oidvector",
    ),
    "tid": ("tid", "text USING split_part(v::text, ',', 1)", "tid USING (v || ',1)')::tid"),
    "tid_block": (
        "tid",
        "int4 USING least((v::text::point)[1], 1)::int4",
        "tid USING ('(0,' || v || ')')::tid",
    ),
    "snap": (
        "pg_snapshot",
        "xid8 USING pg_snapshot_xmax(v)",
        "pg_snapshot USING ('1:' || v || ':')::pg_snapshot",
    ),
    "snap_under": (
        "txid_snapshot",
        "text USING split_part(v::text, ':', 1) || ':' || split_part(v::text, ':', 2)",
        "txid_snapshot USING (v || ':')::txid_snapshot",
    ),
    "xid8": ("xid8", "xid USING v::xid", "xid8 USING v::text::xid8"),
    "lsn": ("pg_lsn", "text USING split_part(v::text, '/', 2)", "pg_lsn USING ('0/' || v)::pg_lsn"),
    "acl": ("aclitem", "text USING replace(v::text, '*', '')", "aclitem USING v::aclitem"),
    "acl_who": ("aclitem", "text USING regexp_replace(v::text, '^[^=]*', '')", "aclitem USING v::aclitem"),
    "mac": ("macaddr", "text USING substr(v::text, 7)", "macaddr USING ('00:00:' || v)::macaddr"),
    "name": ("name", "name USING left(v::text, 20)::name", "name"),
    "money": ("money", "int USING v::numeric::int", "money USING v::numeric::money"),
    "path": ("jsonpath", "text USING replace(v::text, 'strict ', '')", "jsonpath USING v::jsonpath"),
    "query": ("tsquery", "text USING querytree(v)", "tsquery USING v::tsquery"),
    "lexemes": ("tsvector", "tsvector USING strip(v)", "tsvector"),
    "cursor": ("refcursor", "text USING initcap(v::text)", "refcursor USING v::refcursor"),
    "regs": (
        "regtype[]",
        "text USING array_to_string(v, ',')",
        "regtype[] USING string_to_array(v, ',')::regtype[]",
    ),
    "acls": ("aclitem[]", "aclitem[] USING v[1:1]", "aclitem[]"),
}
RARE_KEEPING: Ways = {
    "vec": ("int2vector", "text USING v::text", "int2vector USING v::int2vector"),
    "vec_array": (
        "int2vector",
        "int2[] USING v::int2[]",
        "int2vector USING array_to_string(v, ' ')::int2vector",
    ),
    "lsn": ("pg_lsn", "numeric USING v - '0/0'::pg_lsn", "pg_lsn USING '0/0'::pg_lsn + v"),
    "mac": ("macaddr", "macaddr8", "macaddr USING v::macaddr"),
    "name": ("name", "text", "name USING v::name"),
    "char": ('"char"', "int USING v::int", '"char" USING v::"char"'),
    "money": ("money", "numeric USING v::numeric", "money USING v::money"),
    "class": ("regclass", "oid USING v::oid", "regclass USING v::regclass"),
    "proc": ("regprocedure", "text", "regprocedure USING v::regprocedure"),
    "snap": (
        "txid_snapshot",
        "pg_snapshot USING v::text::pg_snapshot",
        "txid_snapshot USING v::text::txid_snapshot",
    ),
    "acl": ("aclitem", "text USING v::text", "aclitem USING v::aclitem"),
    "acls": ("aclitem[]", "text USING v::text", "aclitem[] USING v::aclitem[]"),
    "xid8": ("xid8", "numeric USING v::text::numeric", "xid8 USING v::text::xid8"),
    "vectors": ("oidvector[]", "text[] USING v::text[]", "oidvector[] USING v::oidvector[]"),
}
EXTENSIONS = (
    "postgis", "postgis_raster", "hstore", "ltree", "citext", "isn", "cube", "seg", "semver", "ip4r", "prefix", "unit",
    "debversion", "pg_rational", "pgmp", "pg_sphere", "asn1oid", "hll", "tdigest",
)  # fmt: skip
FUNCTIONS = (
    "CREATE FUNCTION {} RETURNS {} LANGUAGE sql IMMUTABLE AS $$ SELECT {} $$".format(*one)
    for one in (
        ("akeys_of(j jsonb)", "text[]", "array_agg(key ORDER BY key) FROM jsonb_each_text(j)"),
        ("values_of(j jsonb)", "text[]", "array_agg(value ORDER BY key) FROM jsonb_each_text(j)"),
        ("numerator_of(r rational)", "int", "split_part(r::text, '/', 1)::int"),
    )
)


def execute(statements: list[str]) -> str:
    return "\n".join(f"op.execute({one!r})" for one in statements)


def altered(group: str, ways: Ways, place: int) -> str:
    changes = [f"ALTER c_{name} TYPE {re.sub(V, f'c_{name}', way[place])}" for name, way in ways.items()]
    return execute([f"ALTER TABLE {group} {', '.join(changes)}"])


def history(groups: dict[str, Ways], prepared: list[str]) -> list[Revision]:
    """Write one table per group of ways with a column for each, and a revision that goes them."""
    made = list(prepared)
    for group, ways in groups.items():
        listed = ", ".join(f"c_{name} {type_}" for name, (type_, _, _) in ways.items())
        made.append(f"CREATE TABLE {group} (id serial PRIMARY KEY, {listed})")
    turns = (
        Revision(f"{one}_ways", altered(one, ways, 1), altered(one, ways, 2)) for one, ways in groups.items()
    )
    return [Revision("made", execute(made)), *turns]


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
def test_what_only_some_values_have_is_seen_to_be_lost(tmp_path: Path) -> None:
    """A third coordinate, a hole, a second member, a network: each loss is refused, nothing else is."""
    unmade = {type_ for name in refused() for type_ in ON_THE_SYSTEM[name]}
    some, others = (
        {name: ways for name, ways in group.items() if ways[0] not in unmade} for group in (LOSING, KEEPING)
    )
    revisions = history(
        {"losing": some, "keeping": others},
        [*(f"CREATE EXTENSION {one}" for one in EXTENSIONS if one not in refused()), *FUNCTIONS],
    )
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.drill(ini, scratch=f"embedded:{max(SYSTEM)}")
    assert [fill for fill in report.fills if fill.reason] == []
    _, losing, keeping = report.revisions
    assert (losing.verdict, keeping.verdict) == ("refused", "proved"), (
        losing.reason,
        keeping.reason,
        keeping.differences,
    )
    assert losing.notes == keeping.notes == ()
    lost = {one.object.removeprefix("public.losing.c_") for one in losing.differences}
    assert set(some) - lost == set()


def test_what_only_some_vectors_have_is_seen_to_be_lost(tmp_path: Path) -> None:
    """A fraction, a sign, a fourth dimension, a second place of a sparse one: each loss is refused, on the wheel's pgvector."""
    absolute = (
        "(SELECT array_agg(abs(x) ORDER BY n)::vector FROM unnest(v::real[]) WITH ORDINALITY AS t (x, n))"
    )
    revisions = history(
        {"losing": VECTORS_LOSING, "keeping": VECTORS_KEEPING},
        [
            "CREATE EXTENSION vector",
            f"CREATE FUNCTION abs_of(v vector) RETURNS vector LANGUAGE sql IMMUTABLE AS $$ SELECT {absolute} $$",
        ],
    )
    sized = "CREATE TABLE sized (id serial PRIMARY KEY, v vector NOT NULL CHECK (vector_dims(v) = 5))"
    revisions += [
        Revision("sizes", execute([sized]), execute(["DROP TABLE sized"])),
        Revision(
            "halves", execute(["ALTER TABLE sized ALTER v TYPE halfvec(5), DROP CONSTRAINT sized_v_check"]),
            execute(["ALTER TABLE sized ALTER v TYPE vector, ADD CONSTRAINT sized_v_check CHECK (vector_dims(v) = 5)"]),
        ),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.drill(ini, scratch="embedded:18")
    assert [fill for fill in report.fills if fill.reason] == []
    _, losing, keeping, _, halves = report.revisions
    assert (losing.verdict, keeping.verdict) == ("refused", "proved"), (losing, keeping)
    assert [one.object for one in halves.differences] == ["public.sized.v"], halves
    lost = {one.object.removeprefix("public.losing.c_") for one in losing.differences}
    assert set(VECTORS_LOSING) - lost == set()


def test_what_only_some_values_of_rare_types_have_is_seen_to_be_lost(tmp_path: Path) -> None:
    """An offset, what was under way, an option to grant, a strict path: each loss is refused; each way back is proved."""
    unread = {"proc": ("regproc", "text", "regproc USING v::regproc")}
    revisions = history({"losing": RARE_LOSING, "keeping": RARE_KEEPING, "unread": unread}, [])
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.drill(ini, scratch="embedded:18")
    assert [fill for fill in report.fills if fill.reason] == []
    _, losing, keeping, read = report.revisions
    assert (losing.verdict, keeping.verdict) == ("refused", "proved"), (losing.reason, keeping)
    assert (read.verdict, 'more than one function named "pg_catalog.sum"' in read.reason) == (
        "refused",
        True,
    ), read
    lost = {one.object.removeprefix("public.losing.c_") for one in losing.differences}
    assert set(RARE_LOSING) - lost == set()


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
def test_values_that_an_upgrade_does_not_go_through_with(tmp_path: Path) -> None:
    """A function of an extension refuses one value: the rest still show what is lost, and the note names the column.

    What a statement asks of an hstore or a path is in some rows, a key with nothing under it too.
    """
    ways = {
        "parent": {
            "path": ("ltree", "ltree USING subpath(v, 0, -1) || 'leaf'::ltree || subpath(v, 1, 1)", "ltree")
        },
        "sound": {
            "path": (
                "ltree",
                "text USING ltree2text(subpath(v, 1) || subpath(v, 0, 1))",
                "ltree USING back_to(v)",
            )
        },
        "shape": {
            "g": (
                "geometry",
                "geometry USING ST_Transform(ST_SetSRID(v, 4326), 3857)",
                "geometry USING ST_SetSRID(v, 0)",
            )
        },
    }
    back = "SELECT subpath(v::ltree, -1) || subpath(v::ltree, 0, -1)"
    prepared = [
        "CREATE EXTENSION ltree",
        "CREATE EXTENSION postgis",
        f"CREATE FUNCTION back_to(v text) RETURNS ltree LANGUAGE sql IMMUTABLE AS $$ {back} $$",
    ]
    held = (
        "CREATE TABLE held (id serial PRIMARY KEY, props hstore NOT NULL DEFAULT '', path ltree NOT NULL, "
        "place geometry(Point,4326))"
    )
    moved = "UPDATE held SET color = props -> 'color', props = props - 'color'::text WHERE props ? 'color'"
    back_again = "UPDATE held SET props = props || hstore('color', color) WHERE color IS NOT NULL"
    asked = [
        Revision("holds", execute(["CREATE EXTENSION hstore", held]), execute(["DROP TABLE held", "DROP EXTENSION hstore"])),
        Revision(
            "moves", execute(["ALTER TABLE held ADD color text", moved]),
            execute([back_again, "ALTER TABLE held DROP color"]),
        ),
        # A row without the new root, written above, is none that the downgrade reads; 3857 is no place in degrees.
        Revision(
            "roots", execute(["UPDATE held SET path = 'root'::ltree || path"]),
            execute(["UPDATE held SET path = subpath(path, 1)"]),
        ),
        Revision(
            "projects",
            execute(["ALTER TABLE held ADD flat geometry(Point,3857)", "UPDATE held SET flat = ST_Transform(place, 3857)"]),
            execute(["ALTER TABLE held DROP flat"]),
        ),
        Revision("deletes", execute(["DELETE FROM held WHERE path ~ '*.trash.*'"]), "pass"),
    ]  # fmt: skip
    ini = write_project(
        tmp_path, [*history(ways, prepared), *asked], env=HEADER + SYNC.format(driver="psycopg2", options="")
    )
    _, parent, sound, shape, _, moves, roots, projects, deletes = airlock.drill(
        ini, scratch=f"embedded:{max(SYSTEM)}"
    ).revisions
    note = "the upgrade fails on some values of public.{}.c_path (invalid positions): usual ones took their place"
    assert (parent.verdict, parent.notes[0]) == ("refused", note.format("parent"))
    assert (sound.verdict, sound.notes) == ("proved", (note.format("sound"),)), sound
    assert shape.verdict == "refused", shape
    assert (roots.verdict, projects.verdict) == ("proved", "proved"), (roots, projects)
    assert (moves.verdict, deletes.verdict) == ("refused", "refused"), (moves, deletes)
    assert [one.before.partition(" (")[0] for one in moves.differences if one.before] == ["'\"color\"=>NULL'"]
