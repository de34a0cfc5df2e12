"""A long range is drilled in parts at once, and what is told does not show it."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from airlock.operations.drill import drill, side_by_side
from airlock.records.drill import NOT_EXAMINED, DrillProgress, DrillReport, Timings
from airlock.records.errors import Refused
from airlock.scratch.isolation import Children, isolated
from airlock.scratch.servers import ScratchDatabase
from tests.airlock.drill.foreign import foreign
from tests.airlock.histories import Revision, write_project
from tests.airlock.running import command, environment

SLEEP = "tests.airlock.scratch.functions_for_isolation:sleep"


@pytest.mark.parametrize("count", [0, 1, 7, 39, 40, 59, 60, 300, 1_000])
@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_parts_are_the_whole_in_order(count: int, most: int) -> None:
    """No revision twice, none left out; a short range is one part, and who begins higher up has less to examine."""
    found = side_by_side.parts(count, most)
    assert [place for one in found for place in one] == list(range(count))
    assert len(found) == max(min(most, count // 20), 1)
    assert sorted(map(len, found), reverse=True) == list(map(len, found))


def test_progress_is_told_in_the_order_of_the_range() -> None:
    """What a part above tells waits for those below."""
    heard: list[int] = []
    telling = side_by_side.InOrder(lambda now: heard.append(now.number), 3)
    for part, number in ((1, 3), (0, 1), (2, 5), (0, 2)):
        telling.told(part, DrillProgress(number, 6, "r", "up"))
    assert heard == [1, 2]
    telling.ended(1)
    telling.told(2, DrillProgress(6, 6, "r", "up"))
    telling.ended(2)
    assert heard == [1, 2]
    telling.ended(0)
    assert heard == [1, 2, 3, 5, 6]


def test_where_one_part_raises_the_children_of_the_others_end() -> None:
    """Nobody waits for a part whose report nobody gets."""
    children = Children()
    pids: list[int] = []
    nowhere = ScratchDatabase("there", "postgresql://me:pw@127.0.0.1:1/there", "postgresql:///", "marker")

    def part(number: int, _: range) -> None:
        if number == 1:
            pids.extend(isolated(SLEEP, {}, scratch=nowhere))
        while not pids and number == 0:
            if children._children:
                raise Refused("No.")
            time.sleep(0.01)

    began = time.monotonic()
    with pytest.raises(Refused):
        side_by_side.run(part, [range(1), range(1, 2)], children)
    assert time.monotonic() - began < 60  # it sleeps for ten minutes
    assert children._children == []


def told(report: DrillReport) -> list[object]:
    """Give all that a report says, but for what was timed and how many rows were made: that is work, done more than once."""
    proofs = [dataclasses.replace(one, ms=Timings()) for one in report.revisions]
    fills = [dataclasses.replace(one, ms=0.0) for one in report.fills]
    return [report.server_version, proofs, fills, report.roles, report.exit_code]


def made(name: str) -> Revision:
    return Revision(name, f"op.execute('CREATE TABLE {name} (id int)')", f"op.execute('DROP TABLE {name}')")


def runs(pid: int) -> bool:
    """Tell whether a process is there and not only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.proof
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_drill_that_is_stopped_says_what_it_proved(tmp_path: Path, number: signal.Signals) -> None:
    """By a signal while a revision sleeps: verdicts below it, what was not reached, in each form; nothing is left running."""
    sleeps = Revision(
        "sleeps",
        "import os, pathlib, time\n"
        "server = op.get_bind().exec_driver_sql('SELECT pg_backend_pid()').scalar()\n"
        "pathlib.Path('half').write_text(f'{os.getpid()} {server}')\n"
        "os.rename('half', 'asleep')\n"
        "time.sleep(600)",
    )
    ini = write_project(tmp_path, [made("first"), made("second"), sleeps, made("third")])
    words = ("drill", "--rows", "1", "--out", "told", *(["--json"] if number == signal.SIGINT else []))
    with subprocess.Popen(
        command(ini, *words), env=environment(None), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:  # fmt: skip
        while not (tmp_path / "asleep").exists() and running.poll() is None:
            time.sleep(0.05)
        pids = [int(one) for one in (tmp_path / "asleep").read_text().split()]
        assert all(runs(one) for one in pids)
        # The server's first process is the parent of those that serve connections.
        pids.append(int(Path(f"/proc/{pids[1]}/stat").read_text().rpartition(")")[2].split()[1]))
        running.send_signal(number)
        out, err = running.communicate(timeout=100)
    assert running.returncode == 128 + number, err
    assert err.splitlines()[-1] == f"airlock: Stopped by {number.name}."
    assert [one for one in pids if runs(one)] == []
    written = json.loads((tmp_path / "told" / "drill.json").read_text())
    assert [one["verdict"] for one in written["revisions"]] == [
        "proved",
        "proved",
        "not examined",
        "not examined",
    ]
    assert [one["reason"] for one in written["revisions"][2:]] == [
        f"the drill was stopped while it examined this: {number.name}",
        f"the drill was stopped before it got to it: {number.name}",
    ]
    assert written["cut_short"] == {"by": number.name, "left": ["sleeps", "third"], "whole_way": False}
    line = f"stopped: {number.name}; 2 of 4 revisions not examined (sleeps and third); the whole way up in one run not taken"
    assert line in (tmp_path / "told" / "drill.html").read_text()
    if number == signal.SIGINT:
        assert json.loads(out) == written
    else:
        assert "= first  proved" in out and "= second  proved" in out and f"  {line}\n" in out, out
        assert out.splitlines()[-1].startswith("not examined: 4 revisions, 2 proved and 2 not examined (")


@pytest.mark.proof
def test_a_drill_in_two_parts_says_what_one_in_one_part_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Roles made on the way, a revision that kills its process, faulty ones of every kind: the same records, in order."""
    revisions, _ = foreign(44)
    revisions.insert(12, Revision("kills", "import os\nos.kill(os.getpid(), 9)"))
    for place, role in ((6, "reader_below"), (36, "reader_above")):
        grant = f'op.execute("GRANT USAGE ON SCHEMA public TO {role}")'
        revisions.insert(
            place, Revision(role, grant, grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "))
        )
    ini = write_project(tmp_path, revisions)
    monkeypatch.chdir(tmp_path)
    found: list[tuple[list[object], list[int]]] = []
    for number in (1, 2):
        heard: list[int] = []
        monkeypatch.setattr(side_by_side, "workers", lambda number=number: number)
        report = drill(ini, progress=lambda now, heard=heard: heard.append(now.number))  # type: ignore[misc]
        found.append((told(report), list(dict.fromkeys(heard))))
        assert len(report.revisions) == 47
        killed = next(one for one in report.revisions if one.revision == "kills")
        assert (killed.verdict, "ended with -9" in killed.reason) == (NOT_EXAMINED, True)
        assert {"reader_below", "reader_above"} <= {*report.roles}
    assert found[0] == found[1]
    assert len(list(Path(f"/proc/{os.getpid()}/task").iterdir())) < 10
