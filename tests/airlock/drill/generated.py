"""Data migrations made at random, and what bare PostgreSQL says of each: predicates by types by ways to change and to turn back.

The oracle knows no more than its rows: values around the constants of the migration, and the edges of the type. Where it
sees one of them come back as another, there is a row that a drill must not have overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
from hypothesis import strategies as st

from tests.airlock.drill.reached import Case, sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOST, KEPT, UNDECIDED = "lost", "kept", "undecided"


@dataclass(frozen=True)
class Kind:
    """One type: constants that predicates may name, predicates on a column, changes with their inverses, values of rows."""

    type: str
    constants: tuple[str, ...]
    predicates: tuple[str, ...]
    changes: tuple[tuple[str, str], ...]
    values: Callable[[str, str], Iterator[str]]


def _texts(one: str, two: str) -> Iterator[str]:
    for plain in (one.strip("'"), two.strip("'")):
        yield from (
            f"'{it}'"
            for it in (
                plain,
                plain.upper(),
                plain.title(),
                f" {plain} ",
                f"{plain}-1",
                f"x{plain}",
                f"{plain}  y",
            )
        )
    yield from ("''", "' '", "'other'", "'OTHER'", "repeat('long', 30)")


def _numbers(one: str, two: str) -> Iterator[str]:
    for text in (one, two):
        yield from (text, f"({text}) + 1", f"({text}) - 1", f"-({text})")
    yield from ("0", "1", "-1", "7", "999983")


def _exact(one: str, two: str) -> Iterator[str]:
    yield from _numbers(one, two)
    yield from (f"({one}) + 0.01", f"({two}) - 0.01", "0.5", "-0.49")


def _dates(one: str, two: str) -> Iterator[str]:
    for text in (one, two):
        yield from (f"date {text}", f"date {text} + 1", f"date {text} - 1", f"date {text} + 30")
    yield from ("date '1901-01-01'", "date '2099-12-31'")


def _booleans(_one: str, _two: str) -> Iterator[str]:
    yield from ("true", "false")


def _arrays(one: str, two: str) -> Iterator[str]:
    yield from (
        "'{}'",
        f"ARRAY[{one}]",
        f"ARRAY[{two}]",
        f"ARRAY[{one}, {two}]",
        f"ARRAY[{one}, {one}, 'z']",
        "ARRAY['z']",
    )


def _documents(one: str, two: str) -> Iterator[str]:
    for text in (one, two, "'z'"):
        yield from (
            f"jsonb_build_object('kind', {text})", f"jsonb_build_object('tags', jsonb_build_array({text}))",
            f"jsonb_build_object('kind', {text}, 'more', 1)",
        )  # fmt: skip
    yield from ("'{}'", "'[]'")


KINDS = (
    Kind("text", ("'draft'", "'done'", "'eu-west'", "'Mixed'"),
         ("a = {1}", "a <> {1}", "a IN ({1}, {2})", "a LIKE 'dr%'", "a ~ '^[a-z]+-[0-9]$'", "lower(a) = lower({1})",
          "a <> btrim(a)", "length(a) > 40", "a IS NULL", "a = ''", "starts_with(a, {1})", "position('-' in a) > 0"),
         (("lower(a)", "a"), ("btrim(a)", "a"), ("reverse(a)", "reverse(a)"), ("'p:' || a", "substr(a, 3)"),
          ("upper(a)", "lower(a)"), ("replace(a, '-', '_')", "replace(a, '_', '-')"), ("left(a, 6)", "a"),
          ("coalesce(a, 'none')", "nullif(a, 'none')")),
         _texts),
    Kind("integer", ("42", "-7", "1000", "77777"),
         ("a = {1}", "a < {1}", "a BETWEEN {1} AND {2}", "a NOT IN ({1}, {2})", "a % 10 = 3", "a IS NULL", "a > 900000",
          "a = -a"),
         (("a + 1", "a - 1"), ("-a", "-a"), ("abs(a)", "a"), ("a # 5", "a # 5"), ("a / 2", "a * 2"), ("greatest(a, 0)", "a"),
          ("coalesce(a, 0)", "nullif(a, 0)"), ("a % 100", "a")),
         _numbers),
    Kind("numeric(12,2)", ("9.99", "-1.5", "1000"),
         ("a = {1}", "a >= {1}", "a BETWEEN {1} AND {2}", "a = round(a)", "a < 0 AND a > -1", "a IS NULL"),
         (("round(a)", "a"), ("-a", "-a"), ("a * 2", "a / 2"), ("trunc(a, 1)", "a"), ("coalesce(a, 0)", "nullif(a, 0)")),
         _exact),
    Kind("date", ("'2021-03-04'", "'1999-12-31'", "'2031-07-08'"),
         ("a = {1}", "a < {1}", "a BETWEEN {1} AND {2}", "extract(year FROM a) = 1999", "extract(day FROM a) = 1", "a IS NULL"),
         (("a + 1", "a - 1"), ("date_trunc('month', a)::date", "a"), ("least(a, '2030-01-01')", "a"), ("a", "a")),
         _dates),
    Kind("boolean", ("true", "false"), ("a", "NOT a", "a IS NULL", "a IS NOT TRUE"),
         (("NOT a", "NOT a"), ("coalesce(a, false)", "a"), ("a", "a")), _booleans),
    Kind("text[]", ("'red'", "'blue'"),
         ("{1} = ANY (a)", "a @> ARRAY[{1}, {2}]", "a = '{{}}'", "cardinality(a) > 2", "a IS NULL", "a && ARRAY[{2}]"),
         (("array_remove(a, 'red')", "a"), ("array_append(a, 'end')", "a[1:cardinality(a) - 1]"), ("a", "a")), _arrays),
    Kind("jsonb", ("'hot'", "'cold'"),
         ("a ->> 'kind' = {1}", "a ? 'tags'", "a -> 'tags' ? {1}", "a @> jsonb_build_object('kind', {2})", "a = '{{}}'",
          "a IS NULL", "jsonb_typeof(a) = 'array'"),
         (("a - 'kind'", "a"), ("a || '{{\"more\": 1}}'", "a - 'more'"), ("a", "a")), _documents),
)  # fmt: skip


@dataclass(frozen=True)
class Migration:
    """One random data migration: its statements both ways on `$t`, and the values that its rows are to hold."""

    kind: Kind
    up: tuple[str, ...]
    down: tuple[str, ...]
    one: str
    two: str
    nullable: bool

    @property
    def columns(self) -> str:
        """Give the definition of its columns."""
        return f"a {self.kind.type}{'' if self.nullable else ' NOT NULL'}, b integer NOT NULL"

    def case(self, name: str) -> Case:
        """Give it as a revision."""
        return Case(name, self.columns, sql(*self.up), sql(*self.down) if self.down else "pass")


@st.composite
def migrations(draw: Any) -> Migration:
    """Draw one."""
    kind = draw(st.sampled_from(KINDS))
    one, two = draw(st.permutations(kind.constants))[:2]

    def spelled(text: str) -> str:
        return text.format(None, one, two)

    def predicate() -> str:
        found = spelled(draw(st.sampled_from(kind.predicates)))
        how = draw(
            st.sampled_from(
                ("{0}", "{0}", "NOT ({0})", "{0} AND b > 10", "{0} OR b = 31", "({0}) IS NOT FALSE")
            )
        )
        return str(how.format(found))

    where = predicate()
    forth, back = (spelled(it) for it in draw(st.sampled_from(kind.changes)))
    shape = draw(st.integers(0, 7))
    whole: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
        0: ((f"UPDATE $t SET a = {forth} WHERE {where}",), (f"UPDATE $t SET a = {back} WHERE {where}",)),
        1: ((f"UPDATE $t SET a = {forth}",), (f"UPDATE $t SET a = {back}",)),
        2: ((f"DELETE FROM $t WHERE {where}",), ()),
        3: ((f"CREATE TABLE k_$t AS SELECT * FROM $t WHERE {where}", f"DELETE FROM $t WHERE {where}"),
            ("INSERT INTO $t SELECT * FROM k_$t", "DROP TABLE k_$t")),
        4: ((f"CREATE TABLE k_$t AS SELECT * FROM $t WHERE {where}", f"DELETE FROM $t WHERE {where}"),
            (f"INSERT INTO $t SELECT * FROM k_$t WHERE {predicate()}", "DROP TABLE k_$t")),
        5: (("ALTER TABLE $t ADD c boolean", f"UPDATE $t SET c = true WHERE {where}"), ("ALTER TABLE $t DROP c",)),
        6: ((f"ALTER TABLE $t ADD c {kind.type}", f"UPDATE $t SET c = CASE WHEN {where} THEN {forth} ELSE a END",
             "ALTER TABLE $t DROP a", "ALTER TABLE $t RENAME c TO a"), ()),
        7: (("ALTER TABLE $t RENAME a TO c", f"ALTER TABLE $t ADD a {kind.type}", "UPDATE $t SET a = c"),
            ("ALTER TABLE $t DROP a", "ALTER TABLE $t RENAME c TO a")),
    }  # fmt: skip
    nullable = draw(st.booleans()) or shape in {6, 7}
    return Migration(kind, *whole[shape], one, two, nullable)


def judged(connection: Any, one: Migration, name: str, conditions: Sequence[str] = ()) -> str:
    """Run a migration both ways on rows in bare PostgreSQL; say whether a row is lost, or another one. Leaves nothing.

    Rows that one of the `conditions` counts, queries of a proof that holds while they count none, are left out.
    """
    table = f"o_{name}"
    values = [*one.kind.values(one.one, one.two), *(["NULL"] if one.nullable else [])]
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT oracle")
        try:
            cursor.execute(f"CREATE TABLE {table} (id serial PRIMARY KEY, {one.columns})")
            for value in values:
                for b in (3, 31, 500):
                    cursor.execute(f"INSERT INTO {table} (a, b) VALUES (({value})::{one.kind.type}, {b})")
            for query in conditions:
                counted = query.replace(f'"t_{name}"', f'"{table}"')
                cursor.execute(counted.replace("SELECT count(*) FROM", "DELETE FROM", 1))
            question = f"SELECT id, a::text, b FROM {table} ORDER BY id"
            cursor.execute(question)
            before = cursor.fetchall()
            for statement in (*one.up, *one.down):
                cursor.execute(statement.replace("$t", table))
            cursor.execute(question)
            return KEPT if cursor.fetchall() == before else LOST
        except psycopg2.Error:
            return UNDECIDED
        finally:
            cursor.execute("ROLLBACK TO oracle")
