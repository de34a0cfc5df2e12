"""Values of PostgreSQL's own types: a table, read by `values`.

`$i` stands for a row's number, `$salt` for the table's name, `$n` for a number made of the row's.
"""

from __future__ import annotations

from dataclasses import dataclass


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


TEXTS = (
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

RANGE_BOUNDS = {
    "integer": "($n)::integer",
    "bigint": "($n)::bigint",
    "numeric": "($n)::numeric",
    "double precision": "($n)::float8",
    "real": "($n)::real",
    "date": "date '2000-01-01' + ($n)::integer",
    "timestamp without time zone": "timestamp '2000-01-01' + ($n) * interval '1 hour'",
    "timestamp with time zone": "timestamptz '2000-01-01 00:00:00+00' + ($n) * interval '1 hour'",
}

_SNAPSHOTS = ("'10:20:12,15'", "'4294967310:4294967320:4294967312'")
# Which of them are another number when multiplied and divided, or added to and taken from again, is a matter of their bits:
# by each of thirty usual factors (1.1, 10, 60, 1.609344) and summands one of these is.
NOT_AS_BEFORE = {
    "real": ("1.9851", "31.2498", "0.241"),
    "double precision": ("62.2951", "0.123", "1.727"),
}

_LEAP = "2024-02-29 23:59:59.999999"
BY_TYPE: dict[str, Values] = {
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
    "oid": Values((Generator("($i) + 1"),), ("4294967295",)),
    "real": Values(
        (Generator("($i) % 16000000 + 0.5"), Generator("(($i) % 100) / 100.0", 100)),
        ("0", "-1.5", "3.4e38", "1e-37", "1234567.9", "0.1", *NOT_AS_BEFORE["real"]),
    ),
    "double precision": Values(
        (Generator("($i) + 0.5"), Generator("(($i) % 100) / 100.0", 100)),
        (
            "0",
            "-1.5",
            "1.7e308",
            "1e-307",
            "0.1",
            "'-0'",
            "0.29",
            "0.30000000000000004",
            *NOT_AS_BEFORE["double precision"],
        ),
    ),
    "money": Values((Generator("($i)"),), ("0", "-1.5", "12.34")),
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
        # The longest is as long as the longest text.
        ("''", r"'\x00ff'", "decode(repeat('00ff416c', 2600), 'hex')"),
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
    "cidr": Values(
        (Generator("set_masklen(inet '10.0.0.0' + ($i), 32)::cidr"),),
        ("'0.0.0.0/0'", "'192.168.1.0/24'", "'2001:db8::/32'"),
    ),
    "macaddr": Values((Generator("lpad(to_hex($i), 12, '0')"),), ("'08:00:2b:01:02:03'",)),
    "macaddr8": Values((Generator("lpad(to_hex($i), 16, '0')"),), ("'08:00:2b:ff:fe:01:02:03'",)),
    "xml": Values(
        (Generator("xmlparse(content '<n>' || ($i) || '</n>')"),), ("'<n a=\"1\">two<b>three</b></n>'",)
    ),
    "point": Values((Generator("point(($i), 1)"),), ("point(0.1, -1e10)",)),
    "box": Values(
        (Generator("box(point(($i) * 3, 0), point(($i) * 3 + 1, 1))"),), ("'(-1.5,0.25),(8,9.5)'",)
    ),
    "circle": Values((Generator("circle(point(($i) * 3, 0), 1)"),), ("'<(0.5,-1.25),2.5>'",)),
    "line": Values((Generator("'{1, 1, ' || ($i) || '}'"),), ("'{2.5, -1, 0.25}'",)),
    "lseg": Values((Generator("lseg(point($i, 0), point($i, 1))"),), ("'[(0.5,-1),(7,8.25)]'",)),
    "path": Values((Generator("'[(0,0),(1,' || ($i) || ')]'"),), ("'((0,0),(1,1),(2,0))'",)),
    "polygon": Values((Generator("'((0,0),(1,1),(2,' || ($i) || '))'"),), ("'((0,0),(4,0.5),(4,4),(0,4))'",)),
    "tsvector": Values(
        (Generator("to_tsvector('simple', 'sample ' || ($i))"),), ("''", "'a:2A b:1B,5C'", "'bare word'")
    ),
    "tsquery": Values((Generator("to_tsquery('simple', 's' || ($i))"),), ("'a & !b | c <-> d:*A'",)),
    # What was under way, and numbers past four bytes.
    "pg_snapshot": Values((Generator("'1:' || (1 + $i) || ':'"),), _SNAPSHOTS),
    "txid_snapshot": Values((Generator("'1:' || (1 + $i) || ':'"),), _SNAPSHOTS),
    # A text that is no name of a relation is refused.
    "regclass": Values(
        (
            Generator(
                "(ARRAY['pg_class', 'pg_type', 'pg_proc', 'pg_index', 'pg_am', 'pg_settings'])[1 + ($i) % 6]",
                6,
            ),
        ),
        ("'information_schema.tables'",),
    ),
    "pg_lsn": Values((Generator("pg_lsn '0/0' + ($i)::numeric"),), ("'16/B374D848'",)),
    "xid": Values((Generator("($i)::text"),), ("'4294967295'",)),
    "xid8": Values((Generator("($i)::text"),), ("'4294967299'", "'18446744073709551615'")),
    "cid": Values((Generator("($i)::text"),), ("'4294967295'",)),
    "tid": Values((Generator("'(' || ($i) || ',1)'"),), ("'(7,65535)'", "'(4294967294,3)'")),
    "refcursor": Values((Generator("'sample' || ($i)"),), ("''", "'Ünï \"x\"'")),
    "jsonpath": Values((Generator("'$.k' || ($i)"),), ("'strict $.\"a b\"[*] ? (@.n > 1)'", "'$'")),
    "int2vector": Values((Generator("(($i) % 32767) || ' 1'"),), ("''", "'7'", "'-3 32767 0'")),
    "oidvector": Values((Generator("($i) || ' 1'"),), ("''", "'7'", "'4294967295 2 0'")),
    # One of several of that name: written, it is not read again.
    "regproc": Values((Generator("($i)::text"),), ("'sum(integer)'::regprocedure::oid::regproc",)),
    "regoper": Values((Generator("($i)::text"),), ("'+(integer,integer)'::regoperator::oid::regoper",)),
    # To everybody, then to a role, by the role that writes it.
    "aclitem": Values(
        (
            Generator(
                "'=' || (ARRAY['r', 'w', 'rw', 'a*', 'd', 'arwd*'])[1 + ($i) % 6] || '/' || quote_ident(current_user)",
                6,
            ),
        ),
        ("format('%1$I=r*w/%1$I', current_user)",),
    ),
}
