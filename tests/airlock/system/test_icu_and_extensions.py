"""ICU collations and contrib's extensions, on a system's own PostgreSQL: the wheel's servers have neither."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from airlock.operations.drill import drill
from airlock.operations.trace import trace
from airlock.records.drill import PROVED, REFUSED, DrillReport
from airlock.scratch import embedded
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import airlock
from tests.catalogue import catalogue, differences
from tests.history import History
from tests.rows import read_rows, write_rows
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

SYSTEM = sorted(
    major for major, path in embedded.available().items() if str(path).startswith("/usr/lib/postgresql")
)
pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(not SYSTEM, reason="needs Debian's PostgreSQL (apt-get install postgresql)"),
]

EXTENSIONS = Revision(
    "extensions",
    """
    for name in ("citext", "pg_trgm", "btree_gist"):
        op.execute(f"CREATE EXTENSION {name}")
    """,
    """
    for name in ("btree_gist", "pg_trgm", "citext"):
        op.execute(f"DROP EXTENSION {name}")
    """,
    title="Take extensions",
)
MEMBERS = Revision(
    "members",
    """
    op.execute("CREATE TABLE member (id serial PRIMARY KEY, email citext NOT NULL UNIQUE, town varchar(100))")
    op.execute(
        "CREATE TABLE booking (id serial PRIMARY KEY, room int NOT NULL, during tstzrange NOT NULL, "
        "EXCLUDE USING gist (room WITH =, during WITH &&))"
    )
    op.execute("CREATE INDEX ix_member_email ON member USING gin ((email::text) gin_trgm_ops)")
    """,
    """
    op.execute("DROP TABLE booking")
    op.execute("DROP TABLE member")
    """,
    title="Keep members",
)
TOWNS = Revision(
    "towns",
    """
    op.execute("ALTER TABLE member ALTER COLUMN town TYPE citext, ADD COLUMN nickname citext")
    """,
    """
    op.execute("ALTER TABLE member DROP COLUMN nickname, ALTER COLUMN town TYPE varchar(100)")
    """,
    title="Compare towns without case",
)

COLLATIONS = Revision(
    "collations",
    """
    op.execute("CREATE COLLATION by_number (provider = icu, locale = 'und-u-kn-true')")
    op.execute("CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    """,
    """
    op.execute("DROP COLLATION caseless")
    op.execute("DROP COLLATION by_number")
    """,
    title="Make collations",
)
VOLUMES = Revision(
    "volumes",
    """
    op.execute("CREATE TABLE volume (name text COLLATE caseless PRIMARY KEY, shelf text COLLATE by_number NOT NULL)")
    op.execute('CREATE INDEX ix_volume_shelf ON volume (shelf COLLATE "de-x-icu" DESC)')
    """,
    'op.execute("DROP TABLE volume")',
    title="Keep volumes",
)
SORTED = Revision(
    "sorted_otherwise",
    """op.execute('ALTER TABLE volume ALTER COLUMN shelf TYPE text COLLATE "sv-x-icu"')""",
    "op.execute('ALTER TABLE volume ALTER COLUMN shelf TYPE text COLLATE by_number')",
    title="Sort shelves as in Swedish",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[embedded.Cluster]:
    """One server of the system's newest major."""
    with embedded.scratch_cluster(max(SYSTEM)) as served:
        yield served


@contextlib.contextmanager
def made(cluster: embedded.Cluster, name: str, options: str = "") -> Iterator[Database]:
    """Lend a database."""
    with contextlib.closing(psycopg2.connect(cluster.url())) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        try:
            yield Database(name, cluster.url(name))
        finally:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def verdicts(report: DrillReport) -> dict[str, str]:
    """Map each revision to its verdict."""
    return {proof.revision: proof.verdict for proof in report.revisions}


HISTORIES = pytest.mark.parametrize(
    "history", [(EXTENSIONS, MEMBERS, TOWNS), (COLLATIONS, VOLUMES, SORTED)], ids=["extensions", "icu"]
)


@HISTORIES
def test_a_history_goes_up_and_down(
    cluster: embedded.Cluster, history: tuple[Revision, ...], tmp_path: Path
) -> None:
    """The runner, its status and its count of losses build the same history in scratch; nothing is left."""
    ini = write_project(tmp_path, list(history))
    with made(cluster, "there_and_back") as database:
        before = catalogue(database, ["public"])
        assert airlock(ini, "upgrade", url=database.url).code == 0
        status = airlock(ini, "status", "--scratch", database.url, url=database.url)
        assert "none: the catalogue is what the history makes" in status.out, status.out + status.err
        down = airlock(ini, "downgrade", "base", "--scratch", database.url, url=database.url)
        assert down.code == 0, down.out + down.err
        left = differences(before, catalogue(database, ["public"]))
        assert [line for line in left if "alembic_version" not in line] == []


@HISTORIES
def test_its_rollbacks_are_proved_with_rows(
    cluster: embedded.Cluster, history: tuple[Revision, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sample rows fit citext keys, exclusion constraints and collations under which different texts are equal."""
    ini = write_project(tmp_path, list(history))
    monkeypatch.chdir(tmp_path)
    report = drill(ini, scratch=cluster.url(), rows=40)
    assert verdicts(report) == {one.revision: PROVED for one in history}
    assert [fill for fill in report.fills if fill.reason] == []


@pytest.mark.parametrize(
    ("history", "line", "gone", "said"),
    [
        (
            (EXTENSIONS,),
            '("btree_gist", "pg_trgm", "citext")',
            '("btree_gist", "pg_trgm")',
            "extension citext",
        ),
        ((COLLATIONS,), '    op.execute("DROP COLLATION caseless")', "    pass", "collation public.caseless"),
        (
            (EXTENSIONS, MEMBERS, TOWNS),
            "ALTER COLUMN town TYPE varchar(100)",
            "ALTER COLUMN town TYPE text",
            "public.member.town",
        ),
        ((COLLATIONS, VOLUMES, SORTED), "text COLLATE by_number", "text", "public.volume.shelf"),
    ],
    ids=["an extension stays", "a collation stays", "another type", "no collation"],
)
def test_what_a_rollback_forgets_is_refused(
    cluster: embedded.Cluster,
    history: tuple[Revision, ...],
    line: str,
    gone: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line of the last downgrade is another one; the report names what is left or lost."""
    *sound, last = history
    assert line in last.down
    ini = write_project(tmp_path, [*sound, dataclasses.replace(last, down=last.down.replace(line, gone))])
    monkeypatch.chdir(tmp_path)
    report = drill(ini, scratch=cluster.url(), rows=40)
    assert report.revisions[-1].verdict == REFUSED
    assert [one.object for one in report.revisions[-1].differences][:1] == [said]


def test_a_trigram_index_locks_and_reads_its_table(
    cluster: embedded.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extension's access method is observed like any other."""
    index = Revision(
        "search", 'op.execute("CREATE INDEX ON member USING gin ((town::text) gin_trgm_ops)")', "pass"
    )
    ini = write_project(tmp_path, [EXTENSIONS, MEMBERS, index])
    monkeypatch.chdir(tmp_path)
    traced = trace(ini, scratch=cluster.url(), rows=2000)
    (statement,) = next(
        one.statements for one in traced.revisions if (one.revision, one.direction) == ("search", "up")
    )
    assert [(lock.object, str(lock.mode)) for lock in statement.locks] == [("public.member", "SHARE")]
    assert statement.scans == ("public.member",)
    assert statement.dangerous


@pytest.mark.parametrize("locale", ["und", "de-u-ks-level1", "sv-u-kn-true"])
def test_this_projects_history_runs_where_icu_is_the_default(cluster: embedded.Cluster, locale: str) -> None:
    """Up, no difference from the models, down by the runner, and the rows of the first half are back."""
    with made(
        cluster, "by_icu", f"LOCALE_PROVIDER icu ICU_LOCALE '{locale}' LOCALE 'C.UTF-8' ENCODING 'UTF8'"
    ) as database:
        history = History(database)
        history.upgrade("0d1d61926a55")
        write_rows(database, "first")
        before, rows_before = catalogue(database), read_rows(database)
        history.upgrade()
        history.check()
        history.downgrade("0d1d61926a55")
        assert differences(before, catalogue(database)) == []
        assert read_rows(database) == rows_before


@pytest.mark.parametrize("extension", ["dblink", "postgres_fdw"])
def test_what_leads_to_other_servers_may_not_be_made_by_an_ordinary_owner(
    extension: str, tmp_path: Path
) -> None:
    """The history runs as no superuser, behind an extension too whose script says ALTER EXTENSION: the report says why."""
    steps = [
        Revision(name, f'op.execute("CREATE EXTENSION {one}")', f'op.execute("DROP EXTENSION {one}")')
        for name, one in (("r1", "cube"), ("r2", extension))
    ]
    first, proof = drill(write_project(tmp_path, steps), scratch=f"embedded:{max(SYSTEM)}").revisions
    assert (first.verdict, proof.verdict) == ("proved", "not examined")
    assert (
        f'permission denied to create extension "{extension}": the drill runs as an ordinary owner'
        in proof.reason
    )


# A second database of the same server, behind postgres_fdw. What is made, altered, written, and the way back.
MAPPED = "USER MAPPING FOR CURRENT_USER SERVER far OPTIONS"
FAR_MADE = f"""
CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{{host}}', port '{{port}}', dbname 'postgres');
CREATE {MAPPED} (user 'bob', password 'hidden, once');
CREATE FOREIGN TABLE there (id int, note text) SERVER far;
CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id);
CREATE TABLE near PARTITION OF parted FOR VALUES FROM (0) TO (1000);
CREATE FOREIGN TABLE beyond PARTITION OF parted FOR VALUES FROM (-9) TO (0) SERVER far OPTIONS (table_name 'there')
"""
FAR_GONE = """
DROP TABLE IF EXISTS parted; DROP FOREIGN TABLE there; DROP USER MAPPING FOR CURRENT_USER SERVER far; DROP SERVER far
"""
FAR = {
    "made": (FAR_MADE, FAR_GONE),
    "alters": (
        "ALTER FOREIGN TABLE there ALTER id OPTIONS (column_name 'n')",
        "ALTER FOREIGN TABLE there ALTER id OPTIONS (DROP column_name)",
    ),
    "writes": ("INSERT INTO there SELECT id, note FROM near", "DELETE FROM there"),
    "parted": ("UPDATE parted SET note = reverse(note)",) * 2,
    "adds": ("ALTER TABLE parted ADD n int", "ALTER TABLE parted DROP n"),
    # Whoever reads the whole of `parted` reads the other server too, which is not there for the next ones.
    "forgets": (f"ALTER {MAPPED} (SET password 'hidden, twice')", "SELECT 1"),
    "leaves": ("ALTER SERVER far OPTIONS (SET port '1')", "ALTER SERVER far OPTIONS (SET port '{port}')"),
    "beyond": ("INSERT INTO there VALUES (1, 'a')", "DELETE FROM there"),
    "unread": ("ALTER TABLE parted DROP n", "ALTER TABLE parted ADD n int"),
    "beside": ("CREATE TABLE plain (id int)", "DROP TABLE plain"),
}
FAR_THERE = """
CREATE ROLE bob LOGIN SUPERUSER PASSWORD 'hidden, once'; CREATE TABLE there (id int, n int, note text);
SELECT pg_reload_conf()
"""


def test_rows_of_a_foreign_table_are_another_servers(tmp_path: Path) -> None:
    """What writes into one, straight or into a partition, is not examined; its definition is compared, without passwords."""
    with embedded.scratch_cluster(max(SYSTEM)) as cluster:
        for database, wanted in (
            (
                "template1",
                "CREATE EXTENSION postgres_fdw; GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO PUBLIC",
            ),
            ("postgres", FAR_THERE),
        ):
            connection = psycopg2.connect(cluster.url(database))
            with connection, connection.cursor() as cursor:
                cursor.execute("SHOW hba_file")
                hba = Path((cursor.fetchone() or ("",))[0])
                # Who is no superuser has to be asked for a password.
                hba.write_text(f"local all bob scram-sha-256\n{hba.read_text()}")
                cursor.execute(wanted)
            connection.close()
        at = {"host": cluster.socket_directory, "port": cluster.port}
        revisions = [
            Revision(name, *(f"op.execute({one.format(**at)!r})" for one in both))
            for name, both in FAR.items()
        ]
        report = drill(write_project(tmp_path, revisions), scratch=cluster.url())
    said = {one.revision: (one.verdict, one.reason) for one in report.revisions}
    assert {name: verdict for name, (verdict, _) in said.items()} == {
        "made": "proved", "alters": "proved", "writes": "not examined", "parted": "not examined", "adds": "proved",
        "forgets": "refused", "leaves": "proved", "beyond": "not examined", "unread": "not examined", "beside": "proved",
    }, said  # fmt: skip
    assert said["writes"][1].startswith("public.there is a foreign table, and is written into")
    assert said["parted"][1].startswith("public.beyond is a foreign table, and is written into")
    assert 'could not connect to server "far"' in said["beyond"][1]
    assert said["unread"][1].startswith(
        "the rows of public.parted cannot be read: a partition of it is a foreign table"
    )
    (forgotten,) = next(one.differences for one in report.revisions if one.revision == "forgets")
    assert forgotten.kind == "user mapping options"
    assert "hidden" not in repr(report) and "twice" not in repr(report)
