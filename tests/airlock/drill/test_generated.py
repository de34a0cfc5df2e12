"""The drill against bare PostgreSQL, on data migrations made at random: where a row is lost, nothing is proved.

Or it is proved while a query counts no row, and without the rows that it counts none is lost.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from airlock.operations.drill import drill
from airlock.records.drill import PROVED
from tests.airlock.drill.generated import LOST, Migration, judged, migrations
from tests.airlock.drill.reached import write

if TYPE_CHECKING:
    from tests.servers import Database

# `make fuzz` asks for more, and for others every time.
ROUNDS = int(os.environ.get("AIRLOCK_FUZZ", "0"))
TOGETHER = 12


@pytest.mark.proof
def test_what_bare_postgresql_loses_the_drill_never_calls_proved(empty_database: Database) -> None:
    """Predicates by types by ways to change and to turn back; both are told the same statements and nothing else."""

    @settings(
        max_examples=max(ROUNDS, 1), derandomize=not ROUNDS, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.lists(migrations(), min_size=TOGETHER, max_size=TOGETHER))
    def holds(some: list[Migration]) -> None:
        named = {f"g{number}": one for number, one in enumerate(some)}
        with psycopg2.connect(empty_database.url) as connection:
            lost = {name for name, one in named.items() if judged(connection, one, name) == LOST}
            connection.rollback()
        with tempfile.TemporaryDirectory() as directory:
            report = drill(write(Path(directory), [one.case(name) for name, one in named.items()]))
        proved = {
            one.revision: [it.sql for it in one.conditions if it.before_upgrade]
            for one in report.revisions
            if one.verdict == PROVED and one.revision in lost
        }
        with psycopg2.connect(empty_database.url) as connection:
            still = {
                name for name, told in proved.items() if judged(connection, named[name], name, told) == LOST
            }
            connection.rollback()
        wrong = [
            (
                one.revision,
                named[one.revision].columns,
                named[one.revision].up,
                named[one.revision].down,
                one.notes,
            )
            for one in report.revisions
            if one.revision in still
        ]
        assert not wrong, "\n".join(map(str, wrong))

    holds()
