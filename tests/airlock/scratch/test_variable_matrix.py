"""Every variable of libpq, asyncpg and the server, under every driver and command: nothing is heard elsewhere.

The variables stand in a square, and each is set with those of its row, and with those of its column: what leads away in
company is taken apart until single variables are named. Every driver has the whole square under the cheapest command; under
the others the drivers take turns.
"""

from __future__ import annotations

import math
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.airlock import forked
from tests.airlock.scratch.elsewhere import VARIABLES, Elsewhere, project, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.airlock.running import Ran

COMMANDS = {
    "trace": (("trace", "--json"), 0),
    "drill": (("drill", "--json"), 0),
    "check": (("check", "--json"), 1),
    "revision": (("revision", "-m", "Take nothing", "--json"), 0),
}
SIDE = math.isqrt(len(VARIABLES) - 1) + 1
ROWS = [tuple(VARIABLES[start : start + SIDE]) for start in range(0, len(VARIABLES), SIDE)]
COLUMNS = [tuple(VARIABLES[start::SIDE]) for start in range(SIDE)]
# What stands beside each group: the pairs that lead a libpq URL away that names a socket, or a host without an address.
BY_HOST, BY_ADDRESS = ("PGHOST", "PGPORT"), ("PGHOSTADDR", "PGPORT")
TRIALS: dict[str, list[tuple[str, ...]]] = {
    "trace": [*ROWS, *COLUMNS],
    "drill": [*((*row, *BY_HOST) for row in ROWS), *((*column, *BY_ADDRESS) for column in COLUMNS)],
    "check": [(*row, *BY_ADDRESS) for row in ROWS],
    "revision": [(*column, *BY_HOST) for column in COLUMNS],
}
DRIVERS = ("psycopg2", "psycopg", "asyncpg")
# The groups above hold the pairs already.
PAIRS = [BY_HOST, BY_ADDRESS, ("PGSERVICE", "PGSERVICEFILE"), ("PGSERVICE", "PGSYSCONFDIR")]
TOGETHER = {command: [*(PAIRS if command == "trace" else ()), tuple(VARIABLES)] for command in TRIALS}


def trials_of(command: str, driver: str) -> list[tuple[str, ...]]:
    """List what is set together: all of it under `trace`, else the driver's turns and everything at once."""
    turn = slice(None) if command == "trace" else slice(DRIVERS.index(driver), None, len(DRIVERS))
    return [*TRIALS[command][turn], *TOGETHER[command]]


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    with serving() as started:
        yield started


def culprits(names: Sequence[str], leads_away: Callable[[Sequence[str]], bool]) -> list[tuple[str, ...]]:
    """Take apart what leads away, down to the fewest variables that still do."""
    if not leads_away(names):
        return []
    if len(names) == 1:
        return [tuple(names)]
    half = len(names) // 2
    return [*culprits(names[:half], leads_away), *culprits(names[half:], leads_away)] or [tuple(names)]


def test_a_group_is_taken_apart_to_single_variables() -> None:
    assert culprits("abcdefg", lambda names: "c" in names or "g" in names) == [("c",), ("g",)]
    assert culprits("abcd", lambda names: {"a", "d"} <= set(names)) == [tuple("abcd")]
    assert culprits("abcd", lambda _: False) == []


def test_each_variable_is_tried_under_each_command() -> None:
    """A hole in the square would look like a proof."""
    for command in TRIALS:
        # All at once would hide one that is masked by another.
        alone = [
            trial for driver in DRIVERS for trial in trials_of(command, driver) if len(trial) < len(VARIABLES)
        ]
        assert {name for trial in alone for name in trial} == set(VARIABLES), command
    for driver in DRIVERS:
        assert trials_of("trace", driver)[: len(ROWS) + len(COLUMNS)] == [*ROWS, *COLUMNS]
    assert len(VARIABLES) > 45


@pytest.mark.proof
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("driver", DRIVERS)
def test_whatever_variable_is_set_nothing_is_heard_elsewhere(
    driver: str, command: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    """No line in the other server's log, and the command says what it says without the variables."""
    words, expected = COMMANDS[command]
    home = tmp_path / "home"
    home.mkdir()
    values = elsewhere.values(home)
    (home / ".pgpass").write_text("*:*:*:*:elsewhere\n")
    (home / ".pgpass").chmod(0o600)
    shutil.copy(home / "services", home / ".pg_service.conf")

    def run(names: Sequence[str]) -> Ran:
        trial = {name: values[name] for name in names}
        return forked.airlock(
            project(tmp_path, driver), *words, url=None, timeout=120, HOME=str(home), **trial
        )

    plain = run(())
    assert plain.code == expected, plain.err
    wrong: dict[str, str] = {}

    def leads_away(names: Sequence[str]) -> bool:
        ran = run(names)
        heard = elsewhere.lines()
        if (ran.code, said(ran), heard) == (plain.code, said(plain), []):
            return False
        wrong[" ".join(names)] = f"{ran.code} {heard} {ran.err} {ran.out}"
        return True

    elsewhere.lines()
    found = [names for trial in trials_of(command, driver) for names in culprits(trial, leads_away)]
    assert found == [], {names: wrong[" ".join(names)] for names in found}


def said(ran: Ran) -> str:
    """Leave out what differs between two runs of the same: times, ids, dates."""
    return re.sub(r"(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f])|\d+(\.\d+)?", "N", ran.out)
