"""What the recorder observes of each kind of DDL is what PostgreSQL's manual says of it, on every major."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from airlock.recorder import Recorder, tap
from airlock.scratch import embedded
from tests.airlock.trace.kinds import KINDS, SETUP, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.records.trace import StatementRecord

MAJORS = sorted(embedded.available())
# The fast suite looks at one of each sort, on the newest version.
QUICK = {
    "add column, volatile default", "set not null", "set not null, proved by a check", "add foreign key, not valid",
    "validate check", "create index", "create index concurrently", "reindex index", "attach partition", "vacuum full",
    "refresh materialized view", "truncate", "update every row", "copy from",
}  # fmt: skip


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[int, str]]:
    """One server for each version, started when a case first asks for it."""
    with contextlib.ExitStack() as stack:
        yield _Lazy(stack)


class _Lazy(dict[int, str]):
    def __init__(self, stack: contextlib.ExitStack) -> None:
        super().__init__()
        self.stack = stack

    def __missing__(self, major: int) -> str:
        quiet = {
            "max_parallel_workers_per_gather": "0",
            "max_parallel_maintenance_workers": "0",
            "autovacuum": "off",
        }
        cluster = self.stack.enter_context(embedded.scratch_cluster(major, quiet))
        connection = _connect(cluster.url())
        connection.cursor().execute(SETUP)
        connection.cursor().execute("UPDATE pg_database SET datistemplate = true WHERE datname = 'postgres'")
        connection.close()
        self[major] = cluster.url("template1")
        return self[major]


def _connect(url: str) -> Any:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


@contextlib.contextmanager
def _copy(url: str) -> Iterator[str]:
    """Lend a copy of the database for a statement that cannot be rolled back."""
    administrator = _connect(url)
    cursor = administrator.cursor()
    cursor.execute("DROP DATABASE IF EXISTS copy WITH (FORCE)")
    strategy = "STRATEGY file_copy" if administrator.server_version >= 150000 else ""
    cursor.execute(f"CREATE DATABASE copy TEMPLATE postgres {strategy}")
    try:
        yield url.replace("/template1", "/copy")
    finally:
        cursor.execute("DROP DATABASE copy WITH (FORCE)")
        administrator.close()


def _observe(kind: Kind, url: str) -> StatementRecord:
    recorder = Recorder(lambda: _connect(url))
    connection = psycopg2.connect(url)
    connection.autocommit = kind.outside
    tap(connection, recorder)
    try:
        with connection.cursor() as cursor:
            if kind.before:
                # Committed, as an earlier revision would have it.
                cursor.execute(kind.before)
                if not kind.outside:
                    connection.commit()
            recorder.begin(__file__, "kinds.py")
            if kind.sql.startswith("COPY"):
                cursor.copy_expert(kind.sql, io.StringIO("1\t1\n" if "FROM" in kind.sql else ""))
            else:
                cursor.execute(kind.sql)
            (record,) = recorder.end()
            return record
    finally:
        connection.close()
        recorder.close()


def _cases() -> list[Any]:
    return [
        pytest.param(
            kind, major, id=f"{kind.name}-{major}",
            marks=() if kind.name in QUICK and major == MAJORS[-1] else (pytest.mark.proof,),
        )
        for major in MAJORS for kind in KINDS if major >= kind.since
    ]  # fmt: skip


@pytest.mark.parametrize(("kind", "major"), _cases())
def test_the_server_does_what_the_manual_says(kind: Kind, major: int, urls: dict[int, str]) -> None:
    """Exactly these locks on objects that existed before, these rewrites and these scans."""
    url = urls[major]
    if kind.outside or kind.before:
        with _copy(url) as copy:
            record = _observe(kind, copy)
    else:
        record = _observe(kind, url.replace("/template1", "/postgres"))
    seen = {lock.object: str(lock.mode) for lock in record.locks}
    assert (seen, record.rewrites, record.scans) == (kind.locks_on(major), kind.rewrites, kind.scans)


def test_there_are_at_least_sixty_kinds_each_named_once() -> None:
    """The matrix does not shrink unnoticed."""
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 60
