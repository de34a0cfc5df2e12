"""A data statement that met no row proves nothing; one that met some is judged by what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.drill import drill
from airlock.operations.drill.json_shapes import Shapes
from airlock.operations.drill.reach.rows_not_taken import cuts, one_of_rounds
from airlock.operations.drill.reach.unreached_writes import ELSEWHERE, NO_ROW, conditional_writes
from airlock.operations.drill.rows.python_paths import nested
from airlock.recorder import plpgsql, plpgsql_probes, probes
from airlock.recorder.row_changes import data_statements
from airlock.recorder.tokens import ends_within, statements
from airlock.records.drill import FAILS, GOES_DOWN, NOT_EXAMINED, PROVED, REFUSED
from airlock.samples.model import Column, Table
from tests.airlock.drill import (
    reached_far,
    reached_inside,
    reached_json,
    reached_kept,
    reached_values,
    reached_wide,
)
from tests.airlock.drill.conftest import Examine
from tests.airlock.drill.reached import FAULTY, SOUND, Case, write
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Revision(
    "r1",
    'op.execute("CREATE TABLE item (id serial PRIMARY KEY, state text NOT NULL, n integer NOT NULL)")',
    'op.execute("DROP TABLE item")',
)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("up", "down", "verdict"),
    [
        # Rows are made that the statement names: what it does to them is not put back.
        ("op.execute(\"UPDATE item SET n = 0 WHERE state = 'archived'\")", "pass", REFUSED),
        ("pass", "op.execute(\"DELETE FROM item WHERE state LIKE 'old-%'\")", REFUSED),
        (
            'import sqlalchemy as sa; op.get_bind().execute(sa.text("UPDATE item SET n = 0 WHERE state = :s"), {"s": "gone"})',
            "pass",
            REFUSED,
        ),
        # No row can be made that it meets.
        ("op.execute(\"UPDATE item SET n = 0 WHERE md5(state) = 'd41d'\")", "pass", NOT_EXAMINED),
        # A value that only the upgrade writes: were it there before, it would not come back.
        (
            "op.execute(\"UPDATE item SET state = 'archived' WHERE state = 'old'\")",
            "op.execute(\"UPDATE item SET state = 'old' WHERE state = 'archived'\")",
            NOT_EXAMINED,
        ),
        # Met, and put back.
        (
            'op.execute("UPDATE item SET n = ~n WHERE id > 0")',
            'op.execute("UPDATE item SET n = ~n WHERE id > 0")',
            PROVED,
        ),
        # In batches until nothing is left: the last round finds none, the statement did.
        (
            (
                'op.execute("ALTER TABLE item ADD done boolean")\n'
                'while op.get_bind().exec_driver_sql("UPDATE item SET done = true WHERE id IN '
                '(SELECT id FROM item WHERE done IS NULL LIMIT 20)").rowcount: pass'
            ),
            'op.execute("ALTER TABLE item DROP done")',
            PROVED,
        ),
    ],
)
def test_a_statement_is_judged_by_rows_that_it_names(
    up: str, down: str, verdict: str, examine: Examine, tmp_path: Path
) -> None:
    """Rows are made of its constants; where none can be, it is named by file and line, and nothing green is said."""
    proof = examine(write_project(tmp_path, [TABLE, Revision("r2", up, down)]))
    assert proof.verdict == verdict, proof
    if "md5" in up:
        assert "r2.py:" in proof.reason
        assert "met no row: nothing is proved of it" in proof.reason


# A look at the catalogue costs what is in it: a history of all of them takes longer than one for each part.
HALVES = [0, 1]


@pytest.mark.proof
@pytest.mark.parametrize("half", HALVES)
def test_sound_changes_are_proved_on_rows_that_they_name(half: int, tmp_path: Path) -> None:
    """Branches, arms, lists, patterns, JSON keys, dates, arrays, partners, groups; texts and documents that casts can read."""
    report = drill(write(tmp_path, SOUND[half::2]))
    assert [(one.revision, one.reason) for one in report.revisions[1:] if one.verdict != PROVED] == []


@pytest.mark.proof
@pytest.mark.parametrize(
    "faulty",
    [reached_inside.FAULTY, (*reached_wide.FAULTY, *reached_json.FAULTY)],
    ids=["inside", "wide and json"],
)
def test_no_change_is_proved_that_a_body_makes_behind_a_branch_no_row_took(
    faulty: tuple[Case, ...], tmp_path: Path
) -> None:
    """In triggers of the history and of the step, behind keys that cascade, rules, DEFAULTs, and in functions that convert."""
    report = drill(write(tmp_path, faulty))
    assert [one.revision for one in report.revisions[1:] if one.verdict == PROVED] == []


@pytest.mark.proof
@pytest.mark.parametrize(
    "sound",
    [reached_inside.SOUND, reached_wide.SOUND, reached_json.SOUND, reached_kept.SOUND],
    ids=["inside", "wide", "json", "kept"],
)
def test_sound_bodies_are_proved_on_rows_that_take_their_branches(
    sound: tuple[Case, ...], tmp_path: Path
) -> None:
    """Branches that the catalogue, the operation or constants decide hold no verdict back; nor do guards, copies put aside."""
    report = drill(write(tmp_path, sound))
    assert [(one.revision, one.reason) for one in report.revisions[1:] if one.verdict != PROVED] == []


@pytest.mark.proof
def test_rows_that_a_condition_chooses_have_every_value_that_is_computed_with(tmp_path: Path) -> None:
    """A condition about one column, arithmetic about another; and whatever stands first in a text of several statements."""
    report = drill(write(tmp_path, (*reached_values.FAULTY, *reached_values.SOUND)))
    proofs = {one.revision: one for one in report.revisions}
    assert [one.name for one in reached_values.FAULTY if proofs[one.name].verdict == PROVED] == []
    sound = [proofs[one.name] for one in reached_values.SOUND]
    assert [(one.revision, one.reason) for one in sound if one.verdict != PROVED] == []


@pytest.mark.proof
def test_no_change_is_proved_whose_telling_rows_are_rare(tmp_path: Path) -> None:
    """Far keys, rows past a LIMIT, near misses of patterns, texts alike in part, pairs of rows; their sound twins are proved."""
    report = drill(write(tmp_path, (*reached_far.FAULTY, *reached_far.SOUND)))
    proofs = {one.revision: one for one in report.revisions[1:]}
    assert [one.name for one in reached_far.FAULTY if proofs[one.name].verdict == PROVED] == []
    sound = [proofs[one.name] for one in reached_far.SOUND]
    assert [(one.revision, one.reason) for one in sound if one.verdict != PROVED] == []
    (dimensions,) = proofs["one_by_one"].conditions
    assert 'array_ndims("cells") > 1' in dimensions.sql
    for name, said in (("parts_make_a_total", "units * 100 + cents"), ("partner_has_it", "p.t_id = t.id")):
        (lacking,) = proofs[name].conditions
        assert said in lacking.sql
        assert lacking.tried is not None
        assert (lacking.tried.with_none, lacking.tried.with_one) == (GOES_DOWN, FAILS)
    (again,) = proofs["codes_again"].conditions
    assert again.sql.endswith(
        'WHERE EXISTS (SELECT FROM "public"."k_t_codes_again" AS k WHERE k."code" = t."code")'
    )
    assert again.tried is not None
    assert (again.tried.with_one, again.tried.said.startswith("duplicate key value")) == (FAILS, True)


@pytest.mark.proof
@pytest.mark.parametrize("half", HALVES)
def test_no_change_is_proved_that_met_no_row_on_some_way(half: int, tmp_path: Path) -> None:
    """In texts of several statements, DO blocks, functions, CTEs, raw cursors, loops, branches, arms and lists."""
    report = drill(write(tmp_path, FAULTY[half::2]))
    assert [one.revision for one in report.revisions[1:] if one.verdict == PROVED] == []


@pytest.mark.parametrize(
    ("revisions", "shape"),
    [
        (["item SET x = 1 WHERE data ? 'k'"], "object"),
        (["item SET x = data::jsonb ->> 'k'"], "object"),
        (["item SET data = jsonb_set(coalesce(data, '{}'), '{k}', '1')"], "object"),
        (["item FROM jsonb_array_length(data -> 'items')"], "object"),
        (["item; payload = row.data; payload.get('k')"], "object"),
        (["for a, b in all('SELECT id, data FROM item'): b['k']"], "object"),
        (["item WHERE data @> '[1]'"], "array"),
        (["item; for one in json.loads(row.data): one['k']"], "array of objects"),
        (
            ["item SET data = (SELECT jsonb_agg(e - 'k') FROM jsonb_array_elements(data) e)"],
            "array of objects",
        ),
        (["item WHERE data ? 'k'", "item SET x = data -> 0"], "array"),
        # Arrays at first, which the second revision has made objects of; a guard; another table; nothing.
        (["item SET x = data -> 0", "item SET x = data -> 'k'"], ""),
        (["item SET x = data ->> 'k' WHERE jsonb_typeof(data) = 'object'", "item SET x = data ->> 'k'"], ""),
        (["items SET x = data -> 'k'"], ""),
        # What another table's CHECK says.
        (
            [
                "CREATE TABLE item (data jsonb); CREATE TABLE s.other (data jsonb CHECK (jsonb_typeof(data) = 'array'))",
                "item SET x = data ->> 'k'",
            ],
            "object",
        ),
        (["op.create_table('other', sa.CheckConstraint(\"(data ->> 'k') > ''\")); item; data"], ""),
        (["item; metadata['k']; sa.Column('data', JSONB)"], ""),
    ],
)
def test_a_document_is_what_the_history_takes_it_for(revisions: list[str], shape: str) -> None:
    """Operators, functions and methods beside a column's name say it; what revisions disagree about stays open."""
    column = Column("data", 1, "jsonb", "b", "U", False, True, None, None, None, None, "")
    table = Table(1, "public", "item", (column,))
    assert Shapes(tuple(revisions)).alike(table).columns[0].shape == shape


def test_acts_are_read_from_statements_not_from_their_literals() -> None:
    """Comments, literals, quoted names, bodies and clauses that contain the words of a write are none."""
    assert data_statements("SELECT 'x; UPDATE t SET a = 1' -- DELETE FROM t") == ()
    assert data_statements("ALTER TABLE t ADD CHECK (a <> 'DELETE FROM t')") == ()
    (using,) = data_statements(
        "ALTER TABLE a.t ALTER n TYPE int USING CASE k WHEN 'x' THEN 0 ELSE n END, DROP z"
    )
    assert (using.scope and using.scope.source) == "a.t"
    assert [one.label for one in using.branches] == ["CASE k WHEN 'x'", "ELSE n"]
    assert data_statements("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM t $$") == ()
    assert [one.kind for one in data_statements('SELECT "UPDATE" FROM t FOR UPDATE')] == ["SELECT"]
    both = data_statements("WITH a AS (DELETE FROM t WHERE x RETURNING *) INSERT INTO u SELECT * FROM a")
    assert [(one.kind, one.table) for one in both] == [("DELETE", "t"), ("INSERT", "u")]
    (update,) = data_statements(
        "UPDATE t SET a = CASE b WHEN 1 THEN 2 ELSE 3 END WHERE a IS DISTINCT FROM 1 AND (c = 2 OR d)"
    )
    assert [one.label for one in update.branches] == ["OR c = 2", "OR d", "CASE b WHEN 1", "ELSE 3"]
    assert update.scope is not None
    assert update.scope.condition == "a IS DISTINCT FROM 1 AND (c = 2 OR d)"


def test_a_text_is_split_where_a_semicolon_ends_a_statement() -> None:
    """Not in literals, dollar quotes, comments, and bodies of SQL functions."""
    text = "SELECT ';' ; DO $x$ BEGIN; END $x$; /* ; /* ; */ */ -- ;\nSELECT E'\\';', \"a;b\""
    assert len(statements(text)) == 3
    atomic = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3"
    assert len(statements(atomic)) == 2


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("BEGIN; UPDATE t SET a = 1; COMMIT", "COMMIT"),
        ("UPDATE t SET a = 1; END", "END"),
        # Nothing stands before it; it goes back to a savepoint; it is another text's own.
        ("COMMIT; BEGIN; UPDATE t SET a = 1", ""),
        ("UPDATE t SET a = 1; ROLLBACK TO SAVEPOINT s", ""),
        ("DO $$ BEGIN COMMIT; END $$; SELECT 1", ""),
    ],
)
def test_a_text_that_ends_its_transaction_is_told(sql: str, word: str) -> None:
    """What was locked before it is gone when anybody looks."""
    assert ends_within(sql) == word


def test_probes_stand_where_branches_begin_and_after_writes() -> None:
    """What the catalogue, the operation or a constant argument decides need not be met; idle arms and handlers need not."""
    body = """
    DECLARE k integer; there boolean;
    BEGIN
      IF TG_OP = 'INSERT' THEN RETURN NEW; END IF;
      SELECT count(*) > 0 INTO there FROM pg_class;
      IF there THEN k := 1; END IF;
      IF NEW.n = CASE WHEN NEW.m THEN 1 ELSE 2 END THEN UPDATE t SET a = 1; ELSE RAISE NOTICE 'no'; END IF;
      BEGIN k := NEW.s::integer; EXCEPTION WHEN undefined_table THEN k := 0; WHEN others THEN k := NULL; END;
      FOR k IN 1..3 LOOP NEW.s := CASE NEW.s WHEN 'a' THEN 'b' ELSE 'c' END; END LOOP;
      RETURN NEW;
    END"""
    probed = plpgsql_probes.in_plpgsql(body, "airlock.x", trigger=True)
    told = {one.label: one.needed for one in probed.probes if one.kind == probes.WAY}
    assert told == {
        "IF TG_OP = 'INSERT'": False,
        "IF there": False,
        "IF NEW.n = CASE WHEN NEW.m THEN 1 ELSE 2 END": True,
        "ELSE of IF NEW.n = CASE WHEN NEW.m THEN 1 ELSE 2 END": False,
        "EXCEPTION WHEN undefined_table": False,
        "EXCEPTION WHEN others": True,
        "FOR k IN 1..3": True,
        "CASE NEW.s WHEN 'a'": True,
        "ELSE 'c'": True,
    }
    assert [one.label for one in probed.probes if one.kind == probes.ROWS] == ["UPDATE t SET a = 1"]
    with pytest.raises(plpgsql.Unreadable):
        plpgsql.read("BEGIN IF a THEN b := 1; END")


def test_arms_of_an_or_are_counted_where_their_truth_decides() -> None:
    """In the condition of an IF, a loop's query and a statement; not under NOT, nor those that the call decides."""
    body = """
    BEGIN
      IF NEW.a OR (NEW.b = 2 AND (NEW.c OR NEW.d)) OR TG_OP = 'INSERT' THEN
        UPDATE t SET n = 1 WHERE x OR id IN (SELECT q FROM z WHERE k OR l) OR NOT (e OR f);
      END IF;
      FOR r IN SELECT * FROM t WHERE g OR h ORDER BY 1 LOOP DELETE FROM t WHERE id = r.id; END LOOP;
      RETURN NEW;
    END"""
    probed = plpgsql_probes.in_plpgsql(body, "airlock.x", trigger=True)
    arms = [one.label.removeprefix("OR ") for one in probed.probes if one.label.startswith("OR ")]
    assert arms == [
        "NEW.a", "(NEW.b = 2 AND (NEW.c OR NEW.d))", "NEW.c", "NEW.d",
        "x", "id IN (SELECT q FROM z WHERE k OR l)", "NOT (e OR f)", "k", "l", "g", "h",
    ]  # fmt: skip
    assert [one.label for one in probes.in_sql("DELETE FROM t WHERE a OR b", "airlock.x").probes] == [
        "OR a", "OR b", "DELETE FROM t WHERE a OR b",
    ]  # fmt: skip


def test_a_loop_up_to_a_fixed_key_leaves_rows() -> None:
    """Windows of a key under FOR, WHILE and EXECUTE, also up to a variable that holds one number; not numbers by themselves."""

    def beyond(loop: str, last: str = "1000000") -> list[str]:
        body = f"DECLARE low integer := 0; most CONSTANT integer := {last}; BEGIN {loop} END"
        found = plpgsql_probes.in_plpgsql(body, "airlock.x", trigger=False).probes
        return [one.label for one in found if one.label.startswith("rows beyond")]

    windows = "UPDATE t SET m = n WHERE id > low AND id <= low + 1000; low := low + 1000;"
    assert beyond(f"WHILE low < most LOOP {windows} END LOOP;") == ["rows beyond WHILE low < most"]
    assert (
        beyond("FOR i IN 0..99 LOOP DELETE FROM t WHERE id BETWEEN i * 1000 AND i * 1000 + 999; END LOOP;")
        != []
    )
    spelled = "EXECUTE format('DELETE FROM t WHERE id > %s AND id <= %s', i, i + 1000)"
    assert beyond(f"FOR i IN 1..500000 BY 1000 LOOP {spelled}; END LOOP;") != []
    series = "FOR r IN SELECT g FROM generate_series(0, 400000, 1000) AS g LOOP"
    assert beyond(f"{series} UPDATE t SET m = n WHERE id >= r.g AND id < r.g + 1000; END LOOP;") != []
    for whole in (
        f"WHILE low < (SELECT max(id) FROM t) LOOP {windows} END LOOP;",
        f"WHILE low < most LOOP {windows} EXIT WHEN NOT FOUND; END LOOP;",
        f"most := (SELECT max(id) FROM t); WHILE low < most LOOP {windows} END LOOP;",
        "FOR i IN 2000..2030 LOOP UPDATE t SET m = n WHERE year = i; END LOOP;",
        "FOR i IN 1..100 LOOP INSERT INTO levels VALUES (i, i * 10); END LOOP;",
    ):
        assert beyond(whole) == [], whole


def test_a_limit_tells_rows_that_it_leaves_out() -> None:
    """LIMIT and FETCH FIRST of more than one row, also in an inner query; a number that is bound later is none."""

    def limits(statement: str) -> list[str]:
        return [
            branch.label
            for one in data_statements(statement)
            for branch in one.branches
            if branch.label.startswith("more")
        ]

    assert limits("CREATE TABLE k AS SELECT * FROM t WHERE a ORDER BY b LIMIT 100") == ["more than LIMIT 100"]
    inner = "DELETE FROM t WHERE id IN (SELECT id FROM t FETCH FIRST 20 ROWS ONLY)"
    assert limits(inner) == ["more than LIMIT 20"]
    # A table made for its columns alone takes no row, and none is asked for.
    for none in ("WHERE false", "WHERE (1 = 0)", "LIMIT 0", "FETCH FIRST 0 ROWS ONLY"):
        assert data_statements(f"CREATE TABLE k AS SELECT * FROM t {none}") == ()
    assert data_statements("CREATE TABLE k AS SELECT * FROM t WHERE 1 = 1") != ()
    assert limits("SELECT id FROM t LIMIT 1") == limits("SELECT id FROM t LIMIT $1") == []


def test_python_that_takes_so_many_rows_is_found(tmp_path: Path) -> None:
    """Fetchmany, slices of answers and windows up to a fixed end; not in loops that come back, nor of one row's text."""
    file = tmp_path / "r.py"
    file.write_text("""
MOST = 1000
def upgrade():
    rows = connection.execute(query).all()
    for row in rows[:MOST]:
        name = row.name[:200]
    some = connection.execute(query).fetchmany(500)
    while more := cursor.fetchmany(500):
        pass
    for part in iter(lambda: cursor.fetchmany(500), []):
        pass
    for row in rows[:20]:
        pass
    for low in range(0, 100000, MOST):
        connection.execute(sa.text("UPDATE t SET a = b WHERE id BETWEEN :low AND :high"), {"low": low, "high": low + MOST})
    for low in range(0, last, MOST):
        connection.execute(sa.text("DELETE FROM t WHERE id > :low"), {"low": low})
    for n in range(0, 1000, 100):
        connection.execute(sa.text("INSERT INTO levels VALUES (:n)"), {"n": n})
    for low in range(0, 100000, MOST):
        if not connection.execute(sa.text("UPDATE t SET a = b WHERE id > :low"), {"low": low}).rowcount:
            break
    first = rows[:300]
    title = connection.scalar(query)[:300]
    for row in itertools.islice(first, 0, 200):
        connection.execute(query, {"title": title})
""")
    found = [(one.line, one.rows) for one in cuts(str(file))]
    assert found == [(5, 1000), (7, 500), (14, 100000), (23, 300), (25, 200)]


def test_writes_that_an_answer_decides_are_those_that_touch_rows(tmp_path: Path) -> None:
    """No row is lost where an INVALID index is not come to that is dropped or built again; a loop over words asks nobody."""
    file = tmp_path / "r.py"
    file.write_text("""
def upgrade():
    invalid = op.get_bind().exec_driver_sql("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid").scalar()
    if invalid:
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS i")
        op.execute(sa.text(f"REINDEX INDEX CONCURRENTLY {invalid}"))
        op.execute("CREATE UNIQUE INDEX i ON t (n); ")
        op.execute("DROP INDEX i; DELETE FROM t")
        op.execute(f"{invalid}")
        op.execute(made)
        op.execute("DROP TABLE t")
    for name in "a b".split():
        op.execute(made)
""")
    assert [one.start for one in conditional_writes(str(file))] == [8, 9, 10, 11]


def test_functions_that_write_are_writes_where_rows_or_the_environment_lead_to_them(tmp_path: Path) -> None:
    """Called, handed on, behind a return; given rows, they decide by them. Offline or not decides no rows, nor the catalogue."""
    file = tmp_path / "r.py"
    file.write_text("""
def fix(connection, row):
    connection.execute(change, {"id": row.id})

def bad(connection):
    return [row for row in connection.execute(query) if row.odd]

def there(column):
    query = text("SELECT count(*) FROM information_schema.columns WHERE column_name = :name")
    found = connection.execute(query, {"name": column}).scalar()
    return found > 0 or connection.scalar(text("SELECT to_regclass('legacy')")) is not None

def each(connection, rows):
    for row in rows:
        connection.execute(change)
    if offline:
        connection.execute(change)

def upgrade():
    rows = bad(connection)
    each(connection, rows)
    for row in rows:
        fix(connection, row)
    [row.odd and fix(connection, row) for row in rows]
    handlers = {"a": fix}
    later = partial(fix, connection)
    if os.environ.get("CLEAN"):
        op.execute(change)
    if offline:
        offline and fix(connection, None)
    if not rows:
        return
    op.execute(change)

def downgrade():
    if there("old"):
        op.execute(change)
    if connection.scalar(query): op.execute("ALTER TABLE t DROP COLUMN old")
""")
    found = {(one.start, one.why, one.inside) for one in conditional_writes(str(file))}
    assert found == {
        (15, NO_ROW, None), (23, NO_ROW, None), (24, NO_ROW, "fix"), (25, NO_ROW, "fix"), (26, NO_ROW, "fix"),
        (28, ELSEWHERE, None), (33, NO_ROW, None), (38, NO_ROW, None),
    }  # fmt: skip


def test_rounds_over_rows_are_one_statement(tmp_path: Path) -> None:
    """Not each row that a query finds need have others that go with it; each value that a loop itself names must."""
    file = tmp_path / "r.py"
    file.write_text("""
def upgrade():
    for row in connection.execute(query).all():
        connection.execute(move, {"id": row.id})
        for state in ("new", "old"):
            connection.execute(change, {"state": state})
        for part in row.parts:
            connection.execute(move, {"id": part})
""")
    for line in (4, 8):
        assert len({one_of_rounds(str(file), line, f"DELETE FROM t WHERE id = {n}") for n in (1, 22)}) == 1
    assert one_of_rounds(str(file), 6, "UPDATE t SET a = 'old'") == "UPDATE t SET a = 'old'"


def test_paths_into_documents_are_read_of_python() -> None:
    """Through variables, defaults, loops and membership; what is no key says nothing."""
    source = """
def upgrade():
    for key, doc in rows:
        remind = doc.get("remind") or {}
        if "days" not in remind:
            continue
        for item in doc["items"]:
            if item["price"] > 3 or doc.get("a", {}).get("b") or doc[key][0]:
                pass
"""
    assert set(nested(source)) == {("remind", "days"), ("items", "*", "price"), ("a", "b")}
    assert nested("def upgrade(:") == ()
