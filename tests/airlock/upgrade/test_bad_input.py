"""Every way of asking wrongly: one line, the right exit code, no traceback, no password, never a hang."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import HEADER, SYNC, Revision, write_project
from tests.airlock.running import Ran, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.servers import Database, Server

SECRET = "S3cr3tZZ@x/y%z"
ENCODED = "S3cr3tZZ%40x%2Fy%25z"
FIRST = Revision("b1", 'op.execute("CREATE TABLE t (id integer PRIMARY KEY)")', 'op.execute("DROP TABLE t")')
SECOND = Revision("b2", 'op.execute("CREATE TABLE u ()")', 'op.execute("DROP TABLE u")')


def check(ran: Ran, code: int, *words: str) -> None:
    """Hold a refusal to the contract."""
    assert ran.code == code, (ran.code, ran.out, ran.err)
    assert "Traceback" not in ran.err + ran.out
    for piece in ("S3cr3t", "hunter2"):
        assert piece not in ran.err + ran.out
    for word in words:
        assert word in ran.error, ran.error
    # Other lines are progress; the error is one, and the last.
    assert ran.err.splitlines()[-1] == ran.error


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return write_project(tmp_path, [FIRST, SECOND])


@pytest.fixture(scope="module")
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        (None, 2, ["No database is named"]),
        ("", 2, ["No database is named"]),
        ("   ", 2, ["No database is named"]),
        ("garbage", 2, ["DATABASE_URL is not a PostgreSQL URL"]),
        ("://", 2, ["DATABASE_URL is not a PostgreSQL URL"]),
        (f"postgresql://u:{ENCODED}@h:port/db", 2, ["not a PostgreSQL URL"]),
        (f"postgresql://u:{ENCODED}@h:99999/db", 2, ["port"]),
        (f"mysql://u:{ENCODED}@h/db", 2, ["mysql"]),
        (f"postgresql://u:{SECRET}@h/db", 2, ["%40"]),
        (f"postgresql://u:{ENCODED}@h/db?nosuchoption=1", 2, ["nosuchoption"]),
        (f"postgresql://u:{ENCODED}@no host/db", 2, []),
        (f"postgresql://u:{ENCODED}@nowhere.invalid/db", 10, ["host name is unknown"]),
        (f"postgres://u:{ENCODED}@127.0.0.1:{{port}}/db", 10, ["nobody listens"]),
        (f"postgresql+asyncpg://u:{ENCODED}@127.0.0.1:{{port}}/db?ssl=require", 10, ["nobody listens"]),
        (f"postgresql://u:{ENCODED}@127.0.0.1:{{port}}/db\n", 10, ["nobody listens"]),
        (f"postgresql://u@127.0.0.1:{{port}}/db?password={ENCODED}", 10, ["nobody listens"]),
        ("postgresql:///db?host=/nowhere", 10, ["no server's socket"]),
        (f"postgresql://u:{ENCODED}@127.0.0.1:{{port}}/db?sslmode=sideways", 2, ["option"]),
    ],
)
def test_a_url_that_leads_nowhere(
    url: str | None, code: int, words: list[str], ini: Path, free_port: int
) -> None:
    """Named by where it came from, never quoted."""
    spelled = url.replace("{port}", str(free_port)) if url is not None else None
    check(forked.airlock(ini, "upgrade", url=spelled), code, *words)


@pytest.mark.proof
def test_a_host_that_accepts_and_never_answers(ini: Path) -> None:
    """Bare Alembic hangs for ever; here the deadline of connecting ends it."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"postgresql://u:{ENCODED}@127.0.0.1:{silent.getsockname()[1]}/db?connect_timeout=2"
        check(forked.airlock(ini, "upgrade", url=url, timeout=30), 10, "did not answer in time")


def test_a_server_that_hangs_up(ini: Path) -> None:
    """Accepted and closed: unreachable."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as rude:
        threading.Thread(target=lambda: rude.accept()[0].close(), daemon=True).start()
        url = f"postgresql://u:{ENCODED}@127.0.0.1:{rude.getsockname()[1]}/db"
        check(forked.airlock(ini, "upgrade", url=url), 10, "closed")


def test_a_server_that_is_another_kind_of_server(ini: Path) -> None:
    """A web server behind the port: not called a matter of TLS, and not worth trying again."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as web:

        def answer() -> None:
            connection, _ = web.accept()
            connection.recv(100)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        url = f"postgresql://u:{ENCODED}@127.0.0.1:{web.getsockname()[1]}/db"
        check(forked.airlock(ini, "upgrade", url=url), 12, "is not PostgreSQL")


@pytest.fixture
def ordinary(server: Server) -> Iterator[str]:
    """Make a role that may log in and own nothing."""
    name = f"ordinary_{os.getpid()}"
    server.run(f"CREATE ROLE {name} LOGIN PASSWORD 'hunter2'")
    try:
        yield name
    finally:
        server.run(f"DROP ROLE {name}")


@pytest.mark.proof
def test_what_the_server_refuses(ini: Path, server: Server, empty_database: Database, ordinary: str) -> None:
    """A missing database, role or right, a role with too many connections, TLS that is not there."""
    url = empty_database.url
    check(
        forked.airlock(ini, "upgrade", url=url.replace(empty_database.name, "nosuch")), 12, "does not exist"
    )
    check(forked.airlock(ini, "upgrade", url=url.replace("//postgres@", "//nobody_here:hunter2@")), 11)
    as_ordinary = server.url(empty_database.name, ordinary)
    check(forked.airlock(ini, "upgrade", url=as_ordinary), 11, "permission denied for schema public")
    for fewer_than_a_run_needs in (0, 2):
        server.run(f"ALTER ROLE {ordinary} CONNECTION LIMIT {fewer_than_a_run_needs}")
        check(forked.airlock(ini, "upgrade", url=as_ordinary), 10, "a run needs three connections")


HISTORIES: list[tuple[str, list[Revision], int, str]] = [
    ("a missing parent", [FIRST, Revision("b2", "pass", revises="gone")], 30, "gone"),
    ("an id too long", [Revision("x" * 40, "pass")], 30, "32"),
    ("a reserved id", [Revision("base", "pass")], 30, "keeps for itself"),
    ("a syntax error", [Revision("b1", "this is wrong!")], 30, "does not parse"),
    (
        "an import that fails",
        [Revision("b1", "pass", extra="import nothing_of_the_kind")],
        30,
        "nothing_of_the_kind",
    ),
]


@pytest.mark.parametrize(("name", "revisions", "code", "word"), HISTORIES, ids=[row[0] for row in HISTORIES])
def test_a_broken_history(
    name: str, revisions: list[Revision], code: int, word: str, tmp_path: Path, empty_database: Database
) -> None:
    """Said before a connection is made."""
    ini = write_project(tmp_path, revisions)
    check(forked.airlock(ini, "upgrade", url=empty_database.url), code, word)


NULL_ROW = (
    "ALTER TABLE alembic_version DROP CONSTRAINT alembic_version_pkc; "
    "ALTER TABLE alembic_version ALTER version_num DROP NOT NULL; INSERT INTO alembic_version VALUES (NULL)"
)
VERSION_ROWS: list[tuple[str, str, str]] = [
    ("newer than the code", "UPDATE alembic_version SET version_num = 'deadbeef'", "'deadbeef'"),
    ("overlapping", "INSERT INTO alembic_version VALUES ('b1')", "overlap"),
    (
        "a NULL row",
        NULL_ROW,
        "NULL",
    ),
    ("other columns", "ALTER TABLE alembic_version RENAME version_num TO other", "columns"),
    ("tables without version rows", "DELETE FROM alembic_version", "made without it"),
    ("tables without a version table", "DROP TABLE alembic_version", "made without it"),
]


@pytest.mark.proof
@pytest.mark.parametrize(("name", "statement", "word"), VERSION_ROWS, ids=[row[0] for row in VERSION_ROWS])
def test_version_rows_that_do_not_fit(
    name: str, statement: str, word: str, ini: Path, empty_database: Database
) -> None:
    """Exit 30; nothing was changed."""
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0
    rows(empty_database.url, statement)
    check(forked.airlock(ini, "upgrade", url=empty_database.url), 30, word)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["upgrade", "nosuch"], 2),
        (["upgrade", "+99"], 2),
        (["upgrade", "-1"], 2),
        (["upgrade", ""], 2),
        (["downgrade"], 2),
        (["downgrade", "-99"], 2),
        (["downgrade", "+1"], 2),
        (["downgrade", "nosuch"], 2),
        (["downgrade", "head"], 0),
        (["upgrade", "b1"], 2),
        (["upgrade", "--lock-timeout", "soon"], 2),
        (["upgrade", "--nosuch"], 2),
        (["upgrade", "--dry-run", "--sql"], 2),
        (["status", "more"], 2),
        (["nosuch"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_a_target_or_an_option_that_makes_no_sense(
    words: list[str], code: int, ini: Path, empty_database: Database
) -> None:
    """Exit 2 at head; also where bare Alembic silently does nothing."""
    assert forked.airlock(ini, "upgrade", url=empty_database.url).code == 0
    ran = forked.airlock(ini, *words, url=empty_database.url)
    if code == 0:
        assert ran.code == 0, ran.err
    else:
        check(ran, code)


def test_downgrading_to_a_newer_revision(ini: Path, empty_database: Database) -> None:
    """Bare Alembic does nothing, with exit code 0."""
    assert forked.airlock(ini, "upgrade", "b1", url=empty_database.url).code == 0
    ran = forked.airlock(ini, "downgrade", "b2", url=empty_database.url)
    check(ran, 2)
    assert "has not reached b2" in ran.error or "b2" in ran.error


ENVS: list[tuple[str, Callable[[str], str], int, str]] = [
    ("a missing variable", lambda _: "import os\nos.environ['NOT_SET_ANYWHERE']", 2, "NOT_SET_ANYWHERE"),
    ("a missing driver", lambda _: "from sqlalchemy import create_engine\ncreate_engine('postgresql+pg8000://h/d')", 2, "pg8000"),
    ("an unknown dialect", lambda _: "from sqlalchemy import create_engine\ncreate_engine('postgres://h/d')", 2, "postgresql://"),
    ("alembic init's own URL", lambda _: "import sqlalchemy\nsqlalchemy.create_engine('driver://h/d')", 2, "sqlalchemy.url"),
    (
        "a URL it cannot read",
        lambda _: f"from sqlalchemy import create_engine\ncreate_engine('nonsense {SECRET}')",
        2,
        "URL",
    ),
    ("an asynchronous driver", lambda _: HEADER + SYNC.format(driver="asyncpg", options=""), 2, "asynchronous"),
    ("nothing run", lambda _: "pass", 2, "did not run the migrations"),
    (
        "logging by an ini without it",
        lambda _: "from logging.config import fileConfig as f\nfrom alembic import context\nf(context.config.config_file_name)",
        2,
        "env.py:3 sets up logging by fileConfig, and alembic.ini has no section [formatters]. Nothing changed. Try: there what",
    ),
    ("an exit of its own", lambda _: "raise SystemExit('no S3cr3tZZ')", 2, "stopped by itself"),
    (
        "the ini's URL with a percent sign",
        lambda _: f"from alembic import context\ncontext.config.set_main_option('sqlalchemy.url', 'postgresql://u:{ENCODED}@h/d')",
        2,
        "",
    ),
]  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize(("name", "env", "code", "word"), ENVS, ids=[row[0] for row in ENVS])
def test_an_env_that_fails(
    name: str, env: Callable[[str], str], code: int, word: str, tmp_path: Path, empty_database: Database
) -> None:
    """What env.py raises is named in one line; what it quotes of a URL is not repeated."""
    ini = write_project(tmp_path, [FIRST], env=env(empty_database.url))
    ran = forked.airlock(ini, "upgrade", url=empty_database.url, SOME_URL=f"postgresql://u:{ENCODED}@h/d")
    check(ran, code, word)


def test_a_revision_that_fails(tmp_path: Path, empty_database: Database) -> None:
    """Exit 40: the server's words, the file and line, what stands; DETAIL, which quotes rows, is left out."""
    duplicates = 'op.execute("INSERT INTO t VALUES (1)")\nop.execute("INSERT INTO t VALUES (1)")'
    ini = write_project(tmp_path, [FIRST, Revision("b2", duplicates)])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    check(
        ran,
        40,
        'b2: duplicate key value violates unique constraint "t_pkey" (23505). (b2.py:13). Now at b1 (1 done).',
    )
    assert "already exists" not in ran.error
    assert rows(empty_database.url, "SELECT * FROM t") == []


def test_what_an_earlier_revision_has_made_is_not_taken_for_an_unstamped_database(
    tmp_path: Path, empty_database: Database
) -> None:
    """The version table has a row by then: the first one's, which this run has written."""
    ini = write_project(tmp_path, [FIRST, Revision("b2", 'op.execute("CREATE TABLE t ()")')])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    check(ran, 40, 'b2: relation "t" already exists (42P07). (b2.py:12). Now at b1 (1 done).')


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sa.select(object())", "got <object object>. (b1.py:12)"),
        ("sa.MetaData().tables['nowhere']", "b1: KeyError: 'nowhere'. (b1.py:12)"),
    ],
)
def test_what_a_revision_raises_is_told_as_its_own(
    code: str, said: str, tmp_path: Path, empty_database: Database
) -> None:
    """Not as env.py's or its URL's fault; and without the address of an object, which is another one at each run."""
    ini = write_project(tmp_path, [Revision("b1", code)])
    ran = forked.airlock(ini, "upgrade", url=empty_database.url)
    check(ran, 40, said)


def test_the_log_keeps_no_secret(ini: Path, tmp_path: Path, free_port: int, empty_database: Database) -> None:
    """--log and --json are scrubbed like everything else; a log of a good run tells who did what, and when."""
    log = tmp_path / "events.log"
    url = f"postgresql://u:{ENCODED}@127.0.0.1:{free_port}/db"
    ran = forked.airlock(ini, "upgrade", "--log", str(log), "--json", url=url)
    check(ran, 10)
    assert ran.verdict["exit_code"] == 10
    forked.airlock(ini, "upgrade", "--log", str(log), url=empty_database.url)
    text = log.read_text()
    assert "S3cr3t" not in text
    assert (
        '"event": "step", "revision": "b2"' in text and '"at": "20' in text and '"user": "postgres"' in text
    )
