"""`--out`: a directory that cannot be written costs no work, and no verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

TABLE = [Revision("m1", 'op.execute("CREATE TABLE a (id int)")', 'op.execute("DROP TABLE a")')]


@pytest.mark.parametrize("command", ["drill", "review"])
def test_a_directory_that_cannot_be_is_said_before_the_work(command: str, tmp_path: Path) -> None:
    """Exit 2 and one line; no revision was looked at."""
    ini = write_project(tmp_path, TABLE)
    (tmp_path / "file").write_text("")
    ended = forked.airlock(ini, command, "--out", str(tmp_path / "file" / "reports"), url=None)
    assert ended.code == 2
    assert ended.error.startswith("airlock: --out cannot be written: Not a directory. Try: ")
    assert "m1" not in ended.out + ended.err


def test_verdicts_are_printed_where_the_report_cannot_be_written(tmp_path: Path) -> None:
    """The report's own place is taken by a directory: exit 2, behind the verdicts."""
    ini = write_project(tmp_path, TABLE)
    (tmp_path / "reports" / "drill.html").mkdir(parents=True)
    ended = forked.airlock(ini, "drill", "--out", str(tmp_path / "reports"), url=None)
    assert ended.code == 2
    assert "--out cannot be written: Is a directory." in ended.error
    assert "= m1  proved" in ended.out
