"""Code of a project that means to reach a server of the user's: it comes to scratch, or it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airlock.records.errors import WrongTarget
from airlock.scratch import embedded
from airlock.scratch.isolation import isolated
from airlock.scratch.servers import scratch_server
from tests.airlock import forked
from tests.airlock.histories import INI, Revision, write_project
from tests.airlock.running import rows
from tests.airlock.scratch.elsewhere import Elsewhere, project, serving
from tests.airlock.scratch.ways_out import AT_IMPORT, BELOW, PRELUDE, WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = "tests.airlock.scratch.functions_for_isolation"
# The commands whose own process lists the revisions.
LISTING = (("check",), ("revision", "-m", "Nothing"), ("review",))
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


def prelude(elsewhere: Elsewhere, home: Path) -> str:
    port = elsewhere.cluster.port
    return PRELUDE.format(
        host="127.0.0.1", port=port, url=url_of(elsewhere), here=str(home),
        psql=str(embedded.binaries(max(embedded.available())) / "psql"),
    )  # fmt: skip


def url_of(elsewhere: Elsewhere) -> str:
    return f"postgresql://postgres@127.0.0.1:{elsewhere.cluster.port}/postgres"


def furnish(home: Path, elsewhere: Elsewhere) -> None:
    """Put the files of a user there that lead elsewhere."""
    elsewhere.values(home)
    url = url_of(elsewhere)
    (home / ".env").write_text(f"APP_DATABASE_URL={url}\nDATABASE_URL={url}\nPGHOST=127.0.0.1\n")
    (home / ".pg_service.conf").write_text((home / "services").read_text())
    (home / ".pgpass").write_text("*:*:*:*:elsewhere\n")
    (home / ".pgpass").chmod(0o600)
    (home / "models_of_the_project.py").write_text(
        f"import sqlalchemy\nengine = sqlalchemy.create_engine({url!r})\n"
    )


# Each way in a process of its own, and in none of the others' environment.
EACH = """\
import json, traceback
for way, code in {ways!r}.items():
    pid = os.fork()
    if pid == 0:
        try:
            exec(code, dict(globals(), WAY=way))
        except BaseException:
            open(HERE + "/failed-" + way, "w").write(traceback.format_exc())
        os._exit(0)
    os.waitpid(pid, 0)
"""


def test_every_way_leads_to_scratch(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """The table that each way makes is in scratch; the other server hears nothing."""
    furnish(tmp_path, elsewhere)
    ini = write_project(
        tmp_path, [Revision("r1", EACH.format(ways=WAYS), extra=prelude(elsewhere, tmp_path))]
    )
    section = f"[elsewhere]\nsqlalchemy.url = {url_of(elsewhere)}?application_name=a%%20b\n"
    ini.write_text(f"{INI.format(url='')}\n{section}")
    environ = {**os.environ, **elsewhere.values(tmp_path), "HOME": str(tmp_path)}
    environ["DATABASE_URL"] = url_of(elsewhere)
    elsewhere.lines()
    with scratch_server("embedded") as server, server.database() as scratch:
        arguments = {"ini": str(ini)}
        list(isolated(f"{HERE}:upgrade", arguments, scratch=scratch, environ=environ))
        made = {name for (name,) in rows(scratch.url, TABLES)}
    assert [path.read_text() for path in tmp_path.glob("failed-*")] == []
    assert made >= WAYS.keys()
    assert elsewhere.lines() == []


@pytest.mark.proof
def test_without_airlock_each_way_would_be_heard(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """The trap works: psql and psycopg2 with the same environment do come there."""
    furnish(tmp_path, elsewhere)
    code = prelude(elsewhere, tmp_path) + (
        "set_variables()\nby_psycopg2(psycopg2.connect(''), 'a')\n"
        "subprocess.run([PSQL, '-X', '-w', '-c', sql('b')], check=True)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    heard = [line for line in elsewhere.lines() if "CREATE TABLE" in line]
    assert len(heard) == 2


@pytest.mark.proof
@pytest.mark.parametrize("way", BELOW)
def test_what_slips_past_is_stopped_before_a_statement(
    way: str, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The session is asked for the scratch database's marker, which it has not."""
    furnish(tmp_path, elsewhere)
    code = prelude(elsewhere, tmp_path) + f"\nWAY = {way!r}\n{BELOW[way]}"
    ini = write_project(tmp_path, [Revision("r1", code)])
    with scratch_server("embedded") as server, server.database() as scratch:
        with pytest.raises(WrongTarget):
            list(isolated(f"{HERE}:upgrade", {"ini": str(ini)}, scratch=scratch))
    assert [line for line in elsewhere.lines() if "CREATE" in line] == []


@pytest.mark.parametrize(
    ("way", "command"),
    [
        ("psycopg2", ("drill",)),
        *(pytest.param(way, ("drill",), marks=pytest.mark.proof) for way in AT_IMPORT if way != "psycopg2"),
        *(pytest.param("psycopg2", command, marks=pytest.mark.proof) for command in LISTING),
    ],
)
def test_a_revision_that_connects_while_it_is_imported_is_stopped(
    way: str, command: tuple[str, ...], elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Airlock's own process imports revisions to list them: exit code 12, and the other server hears nothing."""
    line = f"URL = {url_of(elsewhere)!r}\n{AT_IMPORT[way]}"
    (tmp_path / "connects_at_once.py").write_text(
        f"import psycopg2\npsycopg2.connect({url_of(elsewhere)!r})\n"
    )
    ini = project(tmp_path, "psycopg2", [Revision("r1", "pass", extra=line)])
    elsewhere.lines()
    ran = forked.airlock(ini, *command, url=None)
    assert ran.code == 12, ran.err
    assert "connects to a database while it is imported" in ran.error
    assert elsewhere.lines() == []


@pytest.mark.proof
def test_a_program_that_a_revision_starts_while_it_is_imported_finds_nothing(
    elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Its variables lead nowhere; those of airlock's process are what they were when the import is over."""
    furnish(tmp_path, elsewhere)
    line = prelude(elsewhere, tmp_path) + (
        "ran = subprocess.run([PSQL, '-X', '-w', '-c', 'SELECT 1'], capture_output=True, text=True)\n"
        "open(HERE + '/said', 'a').write(str(ran.returncode) + ran.stderr)\n"
    )
    ini = project(tmp_path, "psycopg2", [Revision("r1", "pass", "pass", extra=line)])
    ran = forked.airlock(ini, "drill", url=None, timeout=60, **elsewhere.values(tmp_path))
    assert ran.code in {0, 1, 3}, ran.err
    assert (tmp_path / "said").read_text().startswith("2")
    assert elsewhere.lines() == []
