"""A downgrade of many: what all of them lose is counted and accepted before the first is touched."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.airlock.fleet.harness import databases, fleet, journal, query
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server

HISTORY = [
    Revision(
        "d1",
        'op.create_table("note", sa.Column("id", sa.Integer, primary_key=True))',
        'op.drop_table("note")',
    ),
    Revision("d2", 'op.add_column("note", sa.Column("said", sa.Text))', 'op.drop_column("note", "said")'),
]
AT = "SELECT version_num FROM alembic_version"


def test_what_all_targets_lose_is_accepted_as_one_sum(tmp_path: Path, server: Server) -> None:
    """Refused untouched with the sum and the table; accepted, each goes back; one behind loses nothing."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 5) as names:
        assert fleet(ini, "upgrade", f"{query(names)} LIMIT 1", "d1", url=server.admin_url).code == 0
        assert fleet(ini, "upgrade", f"{query(names)} OFFSET 1", url=server.admin_url).code == 0
        for number, name in enumerate(names[1:3], 2):
            rows(server.url(name), f"INSERT INTO note SELECT n, 'x' FROM generate_series(1, {number}) AS n")
        refused = fleet(ini, "downgrade", query(names), "d1", "--accept-loss", "4", url=server.admin_url)
        assert refused.code == 1
        assert "loses 5 rows and values in 2 of 5 targets; 4 were accepted. Nothing changed." in refused.error
        assert "airlock fleet downgrade d1 --accept-loss 5, with --export DIR" in refused.error
        assert refused.out.splitlines()[2].split()[:3] == ["public.note.said", "5", "2"]
        assert not [line for line in journal(ini) if "begun" in line]
        assert (
            fleet(ini, "downgrade", query(names), "d1", "--accept-loss", "4", url=server.admin_url).code == 1
        )
        kept = tmp_path / "kept"
        words = ("d1", "--accept-loss", "5", "--export", str(kept), "--json")
        done = fleet(ini, "downgrade", query(names), *words, url=server.admin_url)
        assert done.code == 0, done.err
        assert (done.verdict["changed"], done.verdict["unchanged"]) == (4, 1)
        assert [rows(server.url(name), AT) for name in names] == [[("d1",)]] * 5
        exported = sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*.csv"))
        assert exported == [f"{name}/public.note.said.csv" for name in names[1:3]]


def test_a_target_that_cannot_be_read_is_not_examined(tmp_path: Path, server: Server) -> None:
    """Exit 3 before anything is touched: what it would lose nobody knows."""
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 2) as names:
        assert fleet(ini, "upgrade", query(names), url=server.admin_url).code == 0
        listed = tmp_path / "targets"
        listed.write_text("\n".join([*names, "fleet_nowhere"]))
        ended = fleet(ini, "downgrade", str(listed), "base", url=server.admin_url)
        assert ended.code == 3
        assert "could not be counted in full. Nothing changed." in ended.error
        assert "not examined: fleet_nowhere: " in ended.out
        assert [rows(server.url(name), AT) for name in names] == [[("d2",)]] * 2


@pytest.mark.proof
def test_what_is_written_after_the_count_is_not_lost(tmp_path: Path, server: Server) -> None:
    """While the first target is undone a row comes into the second: its own run counts again and refuses."""
    writing = """
    import os
    import psycopg2
    if os.environ["DATABASE_URL"].partition("?")[0].endswith("_0000"):
        with psycopg2.connect(os.environ["DATABASE_URL"].replace("_0000", "_0001")) as other:
            other.cursor().execute("INSERT INTO note VALUES (1, 'late')")
    op.drop_column("note", "said")
    """
    ini = write_project(tmp_path, HISTORY)
    with databases(server, 2) as names:
        assert fleet(ini, "upgrade", query(names), url=server.admin_url).code == 0
        write_project(tmp_path, [HISTORY[0], dataclasses.replace(HISTORY[1], down=writing)])
        words = ("d1", "--accept-unknown-loss", "--json")
        ended = fleet(ini, "downgrade", query(names), *words, url=server.admin_url)
        codes = {one["target"]: one["exit_code"] for one in ended.events if one["event"] == "target"}
        assert codes == {names[0]: 0, names[1]: 1}, ended.err
        assert rows(server.url(names[1]), "SELECT said FROM note") == [("late",)]


def test_a_fleet_goes_to_a_named_revision(tmp_path: Path) -> None:
    """-1 would count twice when it is begun again: exit 2, nothing is connected to."""
    ini = write_project(tmp_path, HISTORY)
    listed = tmp_path / "targets"
    listed.write_text("postgresql://127.0.0.1:1/nobody\n")
    ended = fleet(ini, "upgrade", str(listed), "+1", url=None)
    assert ended.code == 2
    assert "+1 counts from where each target stands" in ended.error
