"""Every variable of libpq, asyncpg and the server, under every driver and command: nothing is heard elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.scratch.elsewhere import VARIABLES, Elsewhere, project, serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


COMMANDS = {
    "trace": (("trace", "--json"), 0),
    "drill": (("drill", "--json"), 0),
    "check": (("check", "--json"), 1),
    "revision": (("revision", "-m", "Take nothing", "--json"), 0),
}


@pytest.mark.proof
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("driver", ["psycopg2", "psycopg", "asyncpg"])
def test_with_every_variable_set_nothing_is_heard_elsewhere(
    driver: str, command: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """Each variable alone and all together: no line in the other server's log, and the result as without them."""
    words, expected = COMMANDS[command]
    home = tmp_path / "home"
    home.mkdir()
    values = elsewhere.values(home)
    (home / ".pgpass").write_text("*:*:*:*:elsewhere\n")
    (home / ".pgpass").chmod(0o600)
    shutil.copy(home / "services", home / ".pg_service.conf")
    plain = forked.airlock(project(tmp_path, driver), *words, url=None)
    assert expected is None or plain.code == expected, plain.err
    # Every variable by itself where a run is shortest; those that lead away for every driver and command.
    leading = ["PGHOST", "PGHOSTADDR", "PGPORT", "PGSERVICE", "PGPASSFILE"]
    single = (
        VARIABLES if (driver, command) == ("psycopg2", "trace") else leading if command == "trace" else []
    )
    trials = [{name: values[name]} for name in single]
    trials += [
        {name: values[name] for name in pair} for pair in (("PGHOST", "PGPORT"), ("PGHOSTADDR", "PGPORT"))
    ]
    for trial in (*trials, values):
        ran = forked.airlock(project(tmp_path, driver), *words, url=None, timeout=60, HOME=str(home), **trial)
        assert ran.code == plain.code, f"{sorted(trial)}: {ran.err}{ran.out}"
        assert elsewhere.lines() == [], sorted(trial)
