"""Rows of types that extensions bring, and their losses: on Debian's PostgreSQL with its packages, and on the wheel's."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import psycopg2
import pytest

import airlock
from airlock.samples.extension_types import KNOWN
from airlock.samples.values import turning
from airlock.scratch import embedded
from tests.airlock.histories import HEADER, SYNC, Revision, write_project

pytestmark = pytest.mark.proof

# Extension: the types of its columns. Extensions that bring no type are here for being created and dropped.
ON_THE_SYSTEM = {
    "citext": ["citext"],
    "hstore": ["hstore"],
    "ltree": ["ltree", "lquery", "ltxtquery"],
    "cube": ["cube"],
    "seg": ["seg"],
    "isn": ["isbn", "isbn13", "issn", "issn13", "ismn", "ismn13", "upc", "ean13"],
    "intarray": ["int[]"],
    "lo": ["lo"],
    "postgis": [
        "geometry", "geometry(Point,4326)", "geometry(PolygonZ,3857)", "geometry(MultiLineString,3857)",
        "geography", "geography(Polygon,4326)", "box2d", "box3d", "spheroid",
    ],
    "postgis_raster": ["raster"],
    "ip4r": ["ip4", "ip4r", "ip6", "ip6r", "ipaddress", "iprange"],
    "semver": ["semver"],
    "hll": ["hll"],
    "unit": ["unit"],
    "debversion": ["debversion"],
    "prefix": ["prefix_range"],
    "pg_sphere": ["spoint", "scircle", "sbox", "spoly", "spath", "sellipse"],
    "tdigest": ["tdigest"],
    "pgmp": ["mpz", "mpq"],
    "pg_rational": ["rational"],
    "asn1oid": ["asn1oid"],
    "numeral": ["numeral", "roman", "zahl"],
    "orafce": ["oracle.varchar2(20)", "oracle.nvarchar2(20)"],
    "rum": [],
    "pg_trgm": [],
    "btree_gist": [],
    "periods": [],
    "pg_partman": [],
}  # fmt: skip
ON_THE_WHEEL = {"vector": ["vector(3)", "halfvec(4)", "sparsevec(5)", "vector", "bit(3)"]}


def columns(extension: str, types: list[str]) -> dict[str, str]:
    """Name the columns of an extension's table: each type by itself, an array, a domain and a composite of each."""
    found = {}
    for number, type_ in enumerate(types):
        found[f"v{number}"] = type_
        found[f"d{number}"] = f"dom_{extension}_{number}"
        found[f"c{number}"] = f"com_{extension}_{number}"
        if not type_.endswith("[]"):
            found[f"a{number}"] = f"{type_}[]"
    return found


def history(extensions: dict[str, list[str]]) -> list[Revision]:
    """Write per extension: create it; a table of its types; a sound revision on it; one that loses its values."""
    found = []
    for extension, types in extensions.items():
        found.append(
            Revision(
                f"{extension}_create", f'op.execute("CREATE EXTENSION {extension} CASCADE")',
                f'op.execute("DROP EXTENSION {extension}")',
            )
        )  # fmt: skip
        if not types:
            continue
        table = f"of_{extension}"
        made = [f"CREATE DOMAIN dom_{extension}_{number} AS {type_}" for number, type_ in enumerate(types)]
        made += [
            f"CREATE TYPE com_{extension}_{number} AS (n int, v {type_})"
            for number, type_ in enumerate(types)
        ]
        listed = ", ".join(f"{name} {type_}" for name, type_ in columns(extension, types).items())
        made.append(f"CREATE TABLE {table} (id serial PRIMARY KEY, must {types[0]} NOT NULL, {listed})")
        gone = [f"DROP TABLE {table}"]
        gone += [f"DROP TYPE com_{extension}_{number}" for number in range(len(types))]
        gone += [f"DROP DOMAIN dom_{extension}_{number}" for number in range(len(types))]
        drops = ", ".join(f"DROP {name}" for name in columns(extension, types))
        adds = ", ".join(f"ADD {name} {type_}" for name, type_ in columns(extension, types).items())
        found += [
            Revision(f"{extension}_table", *("\n".join(f'op.execute("{one}")' for one in all_) for all_ in (made, gone))),
            Revision(
                f"{extension}_sound", f'op.execute("ALTER TABLE {table} ADD note text")',
                f'op.execute("ALTER TABLE {table} DROP note")',
            ),
            Revision(
                f"{extension}_loses", f'op.execute("ALTER TABLE {table} {drops}")', f'op.execute("ALTER TABLE {table} {adds}")'
            ),
        ]  # fmt: skip
    return found


def hold(report: airlock.DrillReport, extensions: dict[str, list[str]]) -> None:
    """Every table has rows, every sound revision is proved, every column's loss is named."""
    assert [fill for fill in report.fills if fill.reason] == []
    proofs = {proof.revision: proof for proof in report.revisions}
    for extension, types in extensions.items():
        for kind in ("create", *(("table", "sound") if types else ())):
            proof = proofs[f"{extension}_{kind}"]
            assert proof.verdict == "proved", (proof.revision, proof.reason, proof.differences)
        if types:
            lost = proofs[f"{extension}_loses"]
            assert lost.verdict == "refused", (lost.revision, lost.reason)
            named = {
                match[1]
                for one in lost.differences
                if (match := re.search(rf"of_{extension}\.(\w+)", one.object))
            }
            assert named >= set(columns(extension, types)), extension


SYSTEM = sorted(
    major for major, path in embedded.available().items() if str(path).startswith("/usr/lib/postgresql")
)


MISSING = [
    name
    for name in ON_THE_SYSTEM
    if not SYSTEM or not Path(f"/usr/share/postgresql/{SYSTEM[-1]}/extension/{name}.control").exists()
]


# Both say of two operators that a third one is their negator or commutator. PostgreSQL 15.20 takes that no longer, so that
# nobody can create them there.
OF_TWO_OPERATORS = frozenset({"debversion", "pg_sphere"})


@functools.cache
def refused() -> frozenset[str]:
    """Try which of those extensions the system's server refuses for what their scripts say of operators."""
    found = set()
    with embedded.scratch_cluster(max(SYSTEM)) as cluster:
        for name in OF_TWO_OPERATORS:
            with psycopg2.connect(cluster.url()) as connection, connection.cursor() as cursor:
                try:
                    cursor.execute(f"CREATE EXTENSION {name}")
                except psycopg2.Error as error:
                    assert re.search("is already the (negator|commutator) of operator", str(error)), error
                    found.add(name)
                connection.rollback()
    return frozenset(found)


# Each part stands in the order of the whole: what one extension needs has been created before.
_OTHERS = [name for name in ON_THE_SYSTEM if not name.startswith("postgis")]
_HALF = len(_OTHERS) // 2
PARTS = [["postgis", "postgis_raster"], _OTHERS[:_HALF], _OTHERS[_HALF:]]


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[0])
def test_types_of_debians_extensions(part: list[str], tmp_path: Path) -> None:
    """All that it creates, most of which only a superuser may create: their types have rows, and losses are seen."""
    created = {name: ON_THE_SYSTEM[name] for name in part if name not in refused()}
    ini = write_project(tmp_path, history(created), env=HEADER + SYNC.format(driver="psycopg2", options=""))
    hold(airlock.drill(ini, scratch=f"embedded:{max(SYSTEM)}"), created)


def test_types_of_the_wheels_extensions(tmp_path: Path) -> None:
    """pgvector's, with their dimensions."""
    ini = write_project(
        tmp_path, history(ON_THE_WHEEL), env=HEADER + SYNC.format(driver="psycopg2", options="")
    )
    hold(airlock.drill(ini, scratch="embedded:18"), ON_THE_WHEEL)


def test_types_of_no_table_are_tried(tmp_path: Path) -> None:
    """What a type's own input function takes becomes its values; a type that takes none of it is named, and not examined."""
    types = [
        "jsonpath", "xid8", "tid", "txid_snapshot", "refcursor", "int2vector", "oidvector", "aclitem", "regtype", "regrole",
        "aclitem[]", "int2vector[]", "of_regtype", "of_xid8", "of_others[]",
    ]  # fmt: skip
    parts = {
        "of_regtype": "v regtype",
        "of_xid8": "v xid8",
        "of_others": "v int2vector, w regproc",
        "of_keys": "v gtsvector[]",
    }
    listed = ", ".join(f"v{number} {type_}" for number, type_ in enumerate(types))
    many = {"a": "gtsvector[]", "b": "of_keys", "c": "of_keys[]"}
    arrays = ", ".join(map(" ".join, many.items()))
    revisions = [
        *history({"vector": []}),
        Revision(
            "of", "\n".join(f'op.execute("CREATE TYPE {name} AS (n int, {its})")' for name, its in parts.items()),
            "\n".join(f'op.execute("DROP TYPE {name}")' for name in parts),
        ),
        Revision("made", f'op.execute("CREATE TABLE odd (id serial PRIMARY KEY, {listed})")', 'op.execute("DROP TABLE odd")'),
        Revision("same", 'op.execute("CREATE TABLE same (LIKE odd)")', 'op.execute("DROP TABLE same")'),
        Revision(
            "keeps", "\n".join(f'op.execute("ALTER TABLE same ALTER v{n} TYPE text")' for n in range(8)),
            "\n".join(f'op.execute("ALTER TABLE same ALTER v{n} TYPE {types[n]} USING v{n}::{types[n]}")' for n in range(8)),
        ),
        Revision(
            "loses", "\n".join(f'op.execute("ALTER TABLE odd DROP v{number}")' for number in range(len(types))),
            "\n".join(f'op.execute("ALTER TABLE odd ADD v{number} {type_}")' for number, type_ in enumerate(types)),
        ),
        Revision("beyond", 'op.execute("CREATE TABLE acl (id int, a gtsvector NOT NULL)")', 'op.execute("DROP TABLE acl")'),
        Revision("after", 'op.execute("ALTER TABLE acl ADD n int")', 'op.execute("ALTER TABLE acl DROP n")'),
        Revision(
            "nulls", 'op.execute("CREATE TABLE acls (id serial PRIMARY KEY, given gtsvector)")', 'op.execute("DROP TABLE acls")'
        ),
        Revision("beside", 'op.execute("ALTER TABLE acls ADD n int")', 'op.execute("ALTER TABLE acls DROP n")'),
        Revision(
            "unseen", 'op.execute("ALTER TABLE acls DROP given")', 'op.execute("ALTER TABLE acls ADD given gtsvector")'
        ),
        # Empty arrays are all that they hold.
        Revision("many", f'op.execute("CREATE TABLE many (id serial PRIMARY KEY, {arrays})")', 'op.execute("DROP TABLE many")'),
        *(
            Revision(
                f"hollow_{name}", f'op.execute("ALTER TABLE many ALTER {name} TYPE text")',
                f'op.execute("ALTER TABLE many ALTER {name} TYPE {of} USING {name}::{of}")',
            ) for name, of in many.items()
        ),
        # The wheel is built without libxml.
        Revision("markup", 'op.execute("CREATE TABLE page (id int, x xml)")', 'op.execute("DROP TABLE page")'),
        Revision("marked", 'op.execute("ALTER TABLE page ADD n int")', 'op.execute("ALTER TABLE page DROP n")'),
        Revision("unmarked", 'op.execute("ALTER TABLE page DROP x")', 'op.execute("ALTER TABLE page ADD x xml")'),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    proofs = {proof.revision: proof for proof in airlock.drill(ini, scratch="embedded:18").revisions}
    assert {name: proofs[name].verdict for name in ("made", "keeps", "loses", "after")} == {
        "made": "proved", "keeps": "proved", "loses": "refused", "after": "not examined",
    }  # fmt: skip
    assert len(proofs["loses"].differences) == len(types)
    assert "a gtsvector" in proofs["after"].reason
    assert [proofs[name].verdict for name in ("nulls", "beside", "unseen")] == [
        "proved",
        "proved",
        "not examined",
    ]
    assert (
        proofs["unseen"].reason
        == "public.acls.given holds no value in any row: the server takes none that is known of its type, gtsvector"
    )
    for name, of in many.items():
        assert proofs[f"hollow_{name}"].verdict == "not examined"
        assert f"public.many.{name} holds no value in any row" in proofs[f"hollow_{name}"].reason, of
    assert proofs["marked"].verdict == "proved"
    assert (proofs["unmarked"].verdict, proofs["unmarked"].reason) == (
        "not examined",
        "public.page.x holds no value in any row: the server takes none that is known of its type, xml",
    )


# A base type of no extension, which reads none of the forms that are tried: what PostgreSQL's own `macaddr` reads.
BASE_TYPE = """
CREATE TYPE odd;
CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS 'macaddr_in';
CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'macaddr_out';
CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, INTERNALLENGTH = 6, ALIGNMENT = int4)
"""


def test_values_of_an_unknown_type_are_those_that_are_named(tmp_path: Path) -> None:
    """A CHECK of one table names values, which other tables of the type get as well; before that it is not examined."""
    named = "CHECK (v::text IN ('08:00:2b:01:02:03', '08:00:2b:01:02:04'))"
    revisions = [
        Revision("made", 'op.execute("CREATE TABLE held (id serial PRIMARY KEY, v odd)")', 'op.execute("DROP TABLE held")'),
        Revision("early", 'op.execute("ALTER TABLE held DROP v")', 'op.execute("ALTER TABLE held ADD v odd")'),
        Revision("back", 'op.execute("ALTER TABLE held ADD v odd")', 'op.execute("ALTER TABLE held DROP v")'),
        Revision(
            "named", f'op.execute("CREATE TABLE named (id serial PRIMARY KEY, v odd NOT NULL {named}, w odd)")',
            'op.execute("DROP TABLE named")',
        ),
        Revision("loses", 'op.execute("ALTER TABLE named DROP w")', 'op.execute("ALTER TABLE named ADD w odd")'),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    with embedded.scratch_cluster(18) as cluster:
        connection = psycopg2.connect(cluster.url("template1"))
        with connection, connection.cursor() as cursor:
            cursor.execute(BASE_TYPE)
        connection.close()
        report = airlock.drill(ini, scratch=cluster.url())
    verdicts = {one.revision: one.verdict for one in report.revisions}
    assert verdicts == {
        "made": "proved", "early": "not examined", "back": "proved", "named": "proved", "loses": "refused",
    }, report.revisions  # fmt: skip


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
def test_ranges_over_types_of_their_own(tmp_path: Path) -> None:
    """Ranges and multiranges over an extension's type, a text, an address, a time: filled, and their loss seen."""
    subtypes = ["semver", "text", "inet", "timetz", "uuid"]
    names = [f"r{number}" for number in range(len(subtypes))] + [
        f"m{number}" for number in range(len(subtypes))
    ]
    made = ["CREATE EXTENSION semver"]
    made += [
        f"CREATE TYPE of_{one} AS RANGE (subtype = {one}, multirange_type_name = many_{one})" for one in subtypes
    ]  # fmt: skip
    types = [*(f"of_{one}" for one in subtypes), *(f"many_{one}" for one in subtypes)]
    made.append(
        f"CREATE TABLE held (id serial PRIMARY KEY, {', '.join(map(' '.join, zip(names, types, strict=True)))})"
    )
    gone = ["DROP TABLE held", *(f"DROP TYPE of_{one}" for one in subtypes), "DROP EXTENSION semver"]
    revisions = [
        Revision("made", *("\n".join(f'op.execute("{one}")' for one in all_) for all_ in (made, gone))),
        Revision(
            "loses", "\n".join(f'op.execute("ALTER TABLE held DROP {name}")' for name in names),
            "\n".join(f'op.execute("ALTER TABLE held ADD {name} {type_}")' for name, type_ in zip(names, types, strict=True)),
        ),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.drill(ini, scratch=f"embedded:{max(SYSTEM)}")
    assert [fill for fill in report.fills if fill.reason] == []
    sound, loses = report.revisions
    assert (sound.verdict, loses.verdict) == ("proved", "refused"), report.revisions
    assert len(loses.differences) == len(names)


def test_index_builds_of_other_access_methods_are_seen(tmp_path: Path) -> None:
    """Each reads the whole table while writers wait, whatever its access method: hnsw, ivfflat, and the built-in ones."""
    columns_ = "v vector(3), h halfvec(3), p point, n int, t tsvector"
    methods = [
        "hnsw (v vector_l2_ops)", "ivfflat (v vector_l2_ops) WITH (lists = 10)", "hnsw (h halfvec_l2_ops)", "gist (p)",
        "spgist (p)", "brin (n)", "hash (n)", "gin (t)", "hnsw ((v::halfvec(3)) halfvec_ip_ops) WHERE n > 5",
        "ivfflat ((subvector(v, 1, 2)::vector(2)) vector_l2_ops) WITH (lists = 5)", "spgist (p) WHERE n < 3",
    ]  # fmt: skip
    made = [
        "CREATE EXTENSION vector", f"CREATE TABLE t (id serial PRIMARY KEY, {columns_})",
        "CREATE TABLE parted (id int NOT NULL, v vector(3), p point) PARTITION BY RANGE (id)",
        "CREATE TABLE first PARTITION OF parted FOR VALUES FROM (0) TO (1000000)",
    ]  # fmt: skip
    on_parted = ["hnsw (v vector_l2_ops)", "spgist (p)"]
    revisions = [
        Revision(
            "made", "\n".join(f'op.execute("{one}")' for one in made),
            'op.execute("DROP TABLE t, parted")\nop.execute("DROP EXTENSION vector")',
        ),
        Revision(
            "indexed", "\n".join(f'op.execute("CREATE INDEX x{n} ON t USING {one}")' for n, one in enumerate(methods)),
            "\n".join(f'op.execute("DROP INDEX x{n}")' for n in range(len(methods))),
        ),
        Revision("parted", "\n".join(f'op.execute("CREATE INDEX ON parted USING {one}")' for one in on_parted)),
        Revision(
            "beside", "with op.get_context().autocommit_block():\n"
            + "\n".join(f'    op.execute("CREATE INDEX CONCURRENTLY ON t USING {one}")' for one in methods[:2]),
        ),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.trace(ini, scratch="embedded:18")
    seen = {
        one.revision: [tuple(statement.findings) for statement in one.statements]
        for one in report.revisions
        if one.direction == "up"
    }
    assert seen["indexed"] == [("scan public.t",)] * len(methods)
    assert seen["parted"] == [("scan public.first",)] * len(on_parted)
    assert seen["beside"] == [(), ()]
    assert not report.unexamined


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
def test_index_builds_and_event_triggers_of_debians_extensions_are_seen(tmp_path: Path) -> None:
    """rum, bloom, and the operator classes of others scan; what periods' event triggers lock and read is the statement's own."""
    methods = [
        "rum (v rum_tsvector_ops)", "bloom (n)", "gin (s gin_trgm_ops)", "gist (n)", "gist (g)", "spgist (g)",
        "gin (a gin__int_ops)", "rum (to_tsvector('simple', s) rum_tsvector_ops) WHERE n > 5",
        "rum (v rum_tsvector_addon_ops, n) WITH (attach='n', to='v')", "bloom (n, s) WHERE n > 3", "spgist (st_centroid(g))",
    ]  # fmt: skip
    extensions = ["periods CASCADE", "rum", "bloom", "pg_trgm", "intarray", "postgis"]
    made = [
        *(f"CREATE EXTENSION {one}" for one in extensions),
        "CREATE TABLE t (id serial PRIMARY KEY, v tsvector, n int, s text, a int[], g geometry(Point,4326))",
        "CREATE TABLE p (id int, valid_from date NOT NULL, valid_to date NOT NULL)",
        "SELECT periods.add_period('p', 'validity', 'valid_from', 'valid_to')",
    ]
    indexed = [f"CREATE INDEX x{number} ON t USING {one}" for number, one in enumerate(methods)]
    revisions = [
        Revision("made", "\n".join(f'op.execute("{one}")' for one in made)),
        Revision("indexed", "\n".join(f'op.execute("{one}")' for one in indexed)),
        Revision("renames", 'op.execute("ALTER TABLE p RENAME COLUMN valid_from TO starts")'),
    ]
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    traced = {
        (one.revision, one.direction): one
        for one in airlock.trace(ini, scratch=f"embedded:{max(SYSTEM)}").revisions
    }
    found = [tuple(one.findings) for one in traced["indexed", "up"].statements]
    assert found == [("scan public.t",)] * len(methods)
    (renames,) = traced["renames", "up"].statements
    assert ("periods.periods", "ROW EXCLUSIVE") in {(one.object, str(one.mode)) for one in renames.locks}
    assert "periods.periods" in {one.object for one in renames.reads}
    # What an extension keeps its books in is small: nothing is left open for its few rows.
    assert renames.few == ()


def test_values_that_take_turns_are_counted() -> None:
    """A unique key of a type with few known values has room for those: no INSERT breaks off at the next one."""
    few = {name for name, forms in KNOWN.items() for one in forms if turning(one).cardinality is not None}
    assert few == {name for name, forms in KNOWN.items() if "ARRAY[" in forms[0]} != set()


def test_every_known_type_is_tried() -> None:
    """The table of literals holds no type that no test has filled, but those whose package nobody here has."""
    tried = {
        re.sub(r"[(\[].*", "", type_).rpartition(".")[2]
        for extensions in (ON_THE_SYSTEM, ON_THE_WHEEL)
        for types in extensions.values()
        for type_ in types
    }
    assert set(KNOWN) - tried == {"h3index"}


ADDS = "INSERT INTO spatial_ref_sys (srid, auth_name, auth_srid) VALUES (990001, 'own', 990001)"
CONFIGURED_TWICE = """
op.execute("INSERT INTO custom_time_partitions VALUES ('public.log', 'public.log_1', '[2020-01-01, 2020-02-01)')")
"""
CONFIGURES = """
op.execute(
    "INSERT INTO part_config (parent_table, control, partition_type, partition_interval) "
    "VALUES ('public.log', 'at', 'native', '1 day')"
)
"""


@pytest.mark.skipif(
    bool(MISSING), reason=f"needs Debian's PostgreSQL with its packages: {', '.join(MISSING)}"
)
def test_rows_in_an_extensions_own_tables_are_seen(tmp_path: Path) -> None:
    """A row of pg_partman's that stays is a difference; PostGIS' own reference systems are none, but where a step edits one."""
    revisions = [
        Revision(
            "create",
            'op.execute("CREATE EXTENSION pg_partman")\nop.execute("CREATE EXTENSION postgis")',
            'op.execute("DROP EXTENSION postgis")\nop.execute("DROP EXTENSION pg_partman")',
        ),
        # Nobody has put rows there yet.
        Revision(
            "again",
            'op.execute("DROP EXTENSION pg_partman")',
            'op.execute("CREATE EXTENSION pg_partman")',
        ),
        Revision(
            "back", 'op.execute("CREATE EXTENSION pg_partman")', 'op.execute("DROP EXTENSION pg_partman")'
        ),
        Revision(
            "sound",
            CONFIGURES,
            "op.execute(\"DELETE FROM part_config WHERE parent_table = 'public.log'\")",
        ),
        Revision("forgets", CONFIGURES.replace("public.log", "public.audit"), "pass"),
        # Of what others have put there: all of it, and what is like the revision's own.
        Revision("empties", CONFIGURED_TWICE, 'op.execute("DELETE FROM custom_time_partitions")'),
        Revision(
            "near",
            f'op.execute("{ADDS.replace("990001", "980001")}")',
            'op.execute("DELETE FROM spatial_ref_sys WHERE srid > 950000")',
        ),
        # The first row there.
        Revision("finds", f'op.execute("{ADDS.replace("990001", "990002")} ON CONFLICT DO NOTHING")', "pass"),
        Revision(
            "adds", f'op.execute("{ADDS}")', 'op.execute("DELETE FROM spatial_ref_sys WHERE srid = 990001")'
        ),
        Revision(
            "edits",
            "op.execute(\"UPDATE spatial_ref_sys SET proj4text = '+proj=longlat' WHERE srid = 4326\")",
            "pass",
        ),
        # Made again it has none of its rows.
        Revision(
            "drops", 'op.execute("DROP EXTENSION pg_partman")', 'op.execute("CREATE EXTENSION pg_partman")'
        ),
    ]
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    report = airlock.drill(ini, scratch=f"embedded:{max(SYSTEM)}")
    create, again, _, sound, forgets, empties, near, finds, adds, edits, drops = report.revisions
    assert again.verdict == "proved", again
    configured = next(one for one in again.conditions if one.object.startswith("part_config "))
    assert configured.sql == 'SELECT count(*) FROM "public"."part_config" AS t'
    assert configured.tried is not None and configured.tried.with_one == "loses it"
    table = "custom_time_partitions (of the extension pg_partman)"
    assert [(one.object, one.kind) for one in empties.differences] == [(table, "rows of others")], empties
    assert near.verdict == "not examined", near
    assert (
        "proved only while spatial_ref_sys (of the extension postgis) has no row of others like the revision's own"
        in near.reason
    )
    assert (create.verdict, sound.verdict, forgets.verdict) == ("proved", "proved", "refused"), (
        create,
        sound,
        forgets,
    )
    assert any("part_config" in one.object for one in forgets.differences) or "part_config" in forgets.reason
    assert (finds.verdict, adds.verdict, edits.verdict) == ("not examined", "proved", "refused"), (
        finds,
        adds,
        edits,
    )
    assert (
        "(of the extension postgis) holds 1 row more, which the upgrade brought and would find again"
        in finds.reason
    )
    assert [one.object for one in edits.differences] == [
        "spatial_ref_sys (brought by the extension postgis).row"
    ]
    assert drops.verdict == "refused"
    assert [one.object for one in drops.differences] == [
        table,
        "part_config (of the extension pg_partman)",
    ]


CRON = SYSTEM and Path(f"/usr/share/postgresql/{SYSTEM[-1]}/extension/pg_cron.control").exists()


@pytest.mark.skipif(not CRON, reason="needs Debian's PostgreSQL with pg_cron")
def test_an_extension_that_the_server_does_not_take(tmp_path: Path) -> None:
    """What wants to be loaded at its start, or has a script that it refuses: not examined, by name; beside them is proved."""
    revisions = [
        Revision("create", 'op.execute("CREATE EXTENSION pg_cron")', 'op.execute("DROP EXTENSION pg_cron")'),
        Revision(
            "schedules", "op.execute(\"SELECT cron.schedule('nightly', '0 3 * * *', 'VACUUM')\")",
            "op.execute(\"SELECT cron.unschedule('nightly')\")",
        ),
        Revision("beside", 'op.execute("CREATE TABLE t (id int)")', 'op.execute("DROP TABLE t")'),
        Revision("logical", 'op.execute("CREATE EXTENSION pglogical")', 'op.execute("DROP EXTENSION pglogical")'),
        *(Revision(f"{name}_create", f'op.execute("CREATE EXTENSION {name}")', "pass") for name in sorted(refused())),
    ]  # fmt: skip
    ini = write_project(tmp_path, revisions, env=HEADER + SYNC.format(driver="psycopg2", options=""))
    create, schedules, beside, logical, *others = airlock.drill(
        ini, scratch=f"embedded:{max(SYSTEM)}"
    ).revisions
    assert (create.verdict, schedules.verdict, beside.verdict) == ("not examined", "not examined", "proved")
    said = "the extension pg_cron wants a server that loads it at its start (shared_preload_libraries)"
    assert said in create.reason and said in schedules.reason
    assert logical.verdict == "not examined" and said.replace("pg_cron", "pglogical") in logical.reason, (
        logical
    )
    assert "one database of a server may hold it, which a scratch database never is" in create.reason
    for name, other in zip(sorted(refused()), others, strict=True):
        assert other.verdict == "not examined"
        assert (
            f"the extension {name} has a script or library that the scratch server does not take"
            in other.reason
        )
