"""A history that does not build in scratch is told with what helps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airlock.operations.built import built
from airlock.records.errors import NotExamined
from airlock.scratch.isolation import _forkers
from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers import Server


def test_where_there_is_no_server_no_process_is_started_that_would_work_on_it(tmp_path: Path) -> None:
    """A downgrade that goes on without its count needs none, and it would import half of airlock beside it."""
    _forkers.drop()
    ini = write_project(tmp_path, [Revision("one", "pass")])
    with pytest.raises(NotExamined), built(ini, (), ("one",), scratch="embedded:9", like_major=None):
        pass
    assert _forkers._now is None


@pytest.mark.proof
@pytest.mark.parametrize(
    ("up", "helps"),
    [
        ("raise LookupError('no instance is set')", "airlock trace, which names the revision"),
        ("env.py", "the same with --debug"),
        ("import no_such_module", "prepend_sys_path in the ini"),
        ("op.execute('SELECT no_such_function()')", "--scratch with the URL of a server like the target"),
    ],
)
def test_another_server_is_advised_only_where_it_was_the_server(
    up: str, helps: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """What the project's own code raises, it raises everywhere."""
    ini = write_project(tmp_path, [Revision("one", up if up != "env.py" else "pass")])
    if up == "env.py":
        env = next(tmp_path.rglob("env.py"))
        env.write_text(f"raise RuntimeError('no settings')\n{env.read_text()}")
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(NotExamined) as raised,
        built(ini, (), ("one",), scratch=server.admin_url, like_major=None),
    ):
        pass
    assert helps in str(raised.value)
    # env.py is no revision.
    assert (": one: " in str(raised.value)) is (up != "env.py")
