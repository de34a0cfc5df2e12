"""The three drivers are used in one way: same values in, same values out, same transactions, same errors."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airlock.drivers.asyncpg import own as own_asyncpg
from airlock.drivers.psycopg import own as own_psycopg
from airlock.drivers.psycopg2 import own as own_psycopg2
from airlock.drivers.spelling import bound, literal, quoted, statements
from airlock.recorder.interception import installed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers import Database

MODULES = (own_psycopg2, own_psycopg, own_asyncpg)


@pytest.fixture(params=MODULES, ids=lambda module: module.__name__.split(".")[2])
def driver(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def connection(driver: Any, empty_database: Database) -> Iterator[Any]:
    with contextlib.closing(driver.connect(empty_database.url, {"application_name": "own"}, None)) as opened:
        yield opened


def ask(connection: Any, query: str, values: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [tuple(row) for row in cursor.fetchall()]


def test_values_come_back_alike(connection: Any) -> None:
    """Of the types that PostgreSQL's catalogue is made of."""
    connection.autocommit = True
    query = (
        """SELECT 1::oid, 'a'::"char", ''::"char", ARRAY['r']::"char"[], ARRAY['a','b']::name[], '{1,2}'::int2[], """
        "ARRAY[16]::oid[], '7'::xid, 1.5::float8, 'pg_class'::regclass, '{\"a\": [1]}'::jsonb, true, NULL, 'x\\y'::text"
    )
    assert ask(connection, query) == [
        (1, "a", "", ["r"], ["a", "b"], [1, 2], [16], "7", 1.5, "pg_class", {"a": [1]}, True, None, "x\\y")
    ]


@pytest.mark.parametrize(
    "value", ["it's", "50 %", "back\\slash", "", "ü", 3, -3, 2.5, True, None, ["a", "b'"], [1, 2]]
)
def test_values_are_handed_over(connection: Any, value: Any) -> None:
    """Whatever stands in them; `%%` is a percent sign beside them."""
    ((found, sign),) = ask(connection, "SELECT to_json(%s::text), '%%'", (str(value),))
    assert (found, sign) == (str(value), "%")
    kind = {
        str: "text",
        int: "int",
        float: "float8",
        bool: "bool",
        list: f"{'int' if value == [1, 2] else 'text'}[]",
    }
    assert ask(connection, f"SELECT (%(it)s)::{kind.get(type(value), 'text')}", {"it": value}) == [(value,)]


def test_utility_statements_take_values(connection: Any) -> None:
    """EXECUTE and ALTER ROLE know no parameters of the protocol's."""
    with connection.cursor() as cursor:
        cursor.execute("PREPARE twice (int) AS SELECT $1 * 2")
        cursor.execute("EXECUTE twice (%s)", (21,))
        assert cursor.fetchone()[0] == 42
        cursor.execute("SELECT relname FROM pg_class ORDER BY relname LIMIT 5")
        assert (len(cursor.fetchmany(2)), len(list(cursor))) == (2, 3)
        assert [column.name for column in cursor.description] == ["relname"]


def test_of_several_statements_the_last_ones_rows_are_fetched(connection: Any) -> None:
    """They are one transaction of their own, and leave none open."""
    connection.autocommit = True
    assert ask(connection, "SET LOCAL work_mem = '7MB'; SELECT current_setting('work_mem')") == [("7MB",)]
    assert connection.info.transaction_status == 0
    assert ask(connection, "SELECT current_setting('work_mem')") != [("7MB",)]


def test_a_transaction_begins_by_itself(driver: Any, connection: Any, empty_database: Database) -> None:
    """With the first statement, unless told otherwise; rolled back it has never been."""
    assert connection.info.transaction_status == 0
    ask(connection, "CREATE TABLE one (id int); SELECT 1")
    assert connection.info.transaction_status == 2
    connection.rollback()
    assert ask(connection, "SELECT to_regclass('one')::text") == [(None,)]
    connection.commit()
    connection.autocommit = True
    ask(connection, "CREATE TABLE two AS SELECT 1 AS id; SELECT 1")
    with contextlib.closing(driver.connect(empty_database.url, {}, None)) as other:
        assert ask(other, "SELECT count(*) FROM two") == [(1,)]
        assert ask(other, "SELECT pg_backend_pid()") == [(other.info.backend_pid,)]
        other.rollback()
        other.set_session(readonly=True)
        with pytest.raises(driver.Error):
            ask(other, "CREATE TABLE three (id int)")
    assert other.closed


def test_errors_have_their_class_and_their_sqlstate(driver: Any, connection: Any) -> None:
    """One server's words through whichever driver; the connection goes on after a rollback."""
    for query, kind, state in (
        ("SELECT 1 / 0", driver.DataError, "22012"),
        ("SELECT nothing", driver.Error, "42703"),
        (
            "CREATE TEMP TABLE t (a int CHECK (a > 0)); INSERT INTO t VALUES (0)",
            driver.CheckViolation,
            "23514",
        ),
    ):
        with pytest.raises(kind) as raised:
            ask(connection, query)
        assert (getattr(raised.value, "sqlstate", None) or raised.value.pgcode) == state
        connection.rollback()
    assert ask(connection, "SELECT 1") == [(1,)]


def test_where_to_connect_is_said_by_keywords(driver: Any, empty_database: Database) -> None:
    """As libpq's, options among them; nobody there is an error of the driver's."""
    from airlock.database.target import parse

    given = dict(parse(empty_database.url).parameters)
    options = "-c work_mem=9MB -c search_path=pg_catalog"
    with contextlib.closing(driver.connect("", {**given, "options": options}, None)) as opened:
        assert ask(opened, "SELECT current_setting('work_mem'), current_setting('search_path')") == [
            ("9MB", "pg_catalog")
        ]
    with pytest.raises(driver.OperationalError):
        driver.connect(
            "", {"host": "127.0.0.1", "port": "1", "user": "x", "dbname": "x", "connect_timeout": "2"}, None
        )


def test_every_call_is_surrounded(driver: Any, empty_database: Database) -> None:
    """By what the caller gives: statements, commit, rollback, COPY."""
    entered = 0

    @contextlib.contextmanager
    def around(_connection: Any) -> Iterator[None]:
        nonlocal entered
        entered += 1
        yield

    with contextlib.closing(driver.connect(empty_database.url, {}, around)) as opened:
        with opened.cursor() as cursor:
            cursor.execute("SELECT 1")
            file = io.StringIO()
            cursor.copy_expert("COPY (SELECT 1 AS a, 'ü' AS b) TO STDOUT WITH (FORMAT csv, HEADER)", file)
        opened.commit()
        opened.rollback()
    assert file.getvalue() == "a,b\n1,ü\n"
    # A rollback of nothing need not be sent.
    assert entered >= 3


def test_two_threads_may_share_a_connection(connection: Any) -> None:
    """The one waits while the other's statement runs, as a watcher's heartbeat does."""
    connection.autocommit = True
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, connection, f"SELECT {number}, pg_sleep(0.02)") for number in range(20)]
        assert [one.result()[0][0] for one in asked] == list(range(20))


def test_no_tap_sees_what_airlock_asks(driver: Any, connection: Any) -> None:
    """A recorder that asked through a tapped connection would wait for itself."""
    seen: list[str] = []

    class Recorder:
        active = True

        def line_now(self) -> int:
            return 1

        def before(self, *arguments: Any, **_: Any) -> None:
            seen.append(arguments[2])

    listener: Any = Recorder()
    with installed(listener):
        assert ask(connection, "SELECT 41 + 1") == [(42,)]
    assert seen == []


def test_values_are_spelt() -> None:
    """Quotes doubled, backslashes kept, whatever standard_conforming_strings says; an empty list takes its type."""
    assert literal("a'b") == "'a''b'"
    assert literal("a\\'b") == "E'a\\\\''b'"
    assert literal([]) == "'{}'"
    assert literal(["a", None, True]) == "ARRAY['a', NULL, true]"
    assert quoted('a"b') == '"a""b"'
    assert bound("a %% %s", None) == "a %% %s"
    assert bound("%(a)s %% %(a)s", {"a": "x%s"}) == "'x%s' % 'x%s'"


def test_a_text_is_taken_apart_at_its_semicolons() -> None:
    """Not at those of quotes, of a function's body or of a comment."""
    assert statements("a; b") == ["a", " b"]
    whole = "DO $x$ BEGIN; END $x$ /* ; */ -- ;\n'; ''' \";\" E'\\';' $1;"
    assert statements(whole) == [whole[:-1]]


def test_no_driver_is_one_line() -> None:
    """What is missing, and the line that brings it."""
    code = (
        "import importlib.util, runpy, sys\n"
        "find = importlib.util.find_spec\n"
        "drivers = 'psycopg2', 'psycopg', 'asyncpg'\n"
        "importlib.util.find_spec = lambda name, *rest: None if name in drivers else find(name, *rest)\n"
        "from airlock.cli import main\n"
        "sys.exit(main(['status', '--url', 'postgresql://x@localhost/x']))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 2, ran.stderr
    assert ran.stderr.count("\n") == 1
    assert "pip install 'airlock[psycopg]'" in ran.stderr


def test_a_driver_may_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By AIRLOCK_DRIVER, where a machine has several."""
    client = importlib.import_module("airlock.drivers.client")
    monkeypatch.setenv("AIRLOCK_DRIVER", "asyncpg")
    assert client.installed() == "asyncpg"
