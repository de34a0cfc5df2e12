"""The catalogue is read again behind every step, and between steps wherever rows can set off code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock.catalogue.fingerprint import Fingerprint
from airlock.operations.drill.state import Ledger
from airlock.project import environment
from airlock.project.project import Project
from airlock.scratch.servers import ScratchDatabase, ScratchServer
from tests.airlock.histories import Revision, write_project

PARTITIONS = """
CREATE FUNCTION partition() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN EXECUTE 'CREATE TABLE IF NOT EXISTS made_by_rows (id int)'; RETURN NEW; END$$;
CREATE TRIGGER partition BEFORE INSERT ON task FOR EACH ROW EXECUTE FUNCTION partition()
"""


@pytest.fixture
def database(scratch: ScratchServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScratchDatabase]:
    with scratch.database() as database:
        monkeypatch.setenv("DATABASE_URL", database.url)
        yield database


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the reads of the whole catalogue."""
    from airlock.catalogue import fingerprint

    found: list[int] = []
    read = fingerprint.Reader.read

    def counted(self: fingerprint.Reader, *, afresh: bool = False) -> Fingerprint:
        found.append(1)
        return read(self, afresh=afresh)

    monkeypatch.setattr(fingerprint.Reader, "read", counted)
    return found


def project(directory: Path, code: str = "") -> Project:
    """Write a project with a table, more of it in a second revision, and `code` beside it."""
    made = (
        f'op.execute("CREATE TABLE task (id serial PRIMARY KEY, t text)")\nop.execute({code or "SELECT 1"!r})'
    )
    more = Revision("r2", 'op.execute("ALTER TABLE task ADD u text")')
    return Project.open(write_project(directory, [Revision("r1", made), more]))


def test_between_two_steps_it_is_read_once(
    tmp_path: Path, database: ScratchDatabase, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows alone change no catalogue; a step is read behind, catalogue and tables."""
    monkeypatch.chdir(tmp_path)
    history = project(tmp_path)
    environment.run(history, "r1", "up")
    with contextlib.closing(Ledger.open(database, "public.alembic_version", 5)) as ledger:
        first = ledger.read()
        ledger.fill(first.tables())
        second = ledger.read()
        assert second.digests["public.task"].count == 5
        assert len(reads) == 1
        environment.run(history, "r2", "up")
        (table,) = ledger.tables(["public.task"])
        assert [column.name for column in table.columns] == ["id", "t", "u"]
        assert "public.task.u" in ledger.read().catalogue.objects
        assert len(reads) == 2
        ledger.alone = False
        ledger.read()
        assert len(reads) == 3


def test_what_rows_set_off_is_seen(
    tmp_path: Path, database: ScratchDatabase, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trigger that makes tables: each look behind what was written is a look, and no other."""
    monkeypatch.chdir(tmp_path)
    environment.run(project(tmp_path, PARTITIONS), "r1", "up")
    with contextlib.closing(Ledger.open(database, "public.alembic_version", 5)) as ledger:
        first = ledger.read()
        ledger.fill(["public.task"])
        assert ledger.read().tables() - first.tables() == {"public.made_by_rows"}
        assert [table.label for table in ledger.tables(["public.made_by_rows"])] == ["public.made_by_rows"]
        looks = len(reads)
        assert ledger.read().tables() > first.tables()
        assert len(reads) == looks


def test_a_sequence_is_seen_to_move_where_nobody_touched_its_table(
    tmp_path: Path, database: ScratchDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that is as it was the furthest value is known, not the next one; what is set back is as it was before."""
    monkeypatch.chdir(tmp_path)
    environment.run(project(tmp_path), "r1", "up")
    with contextlib.closing(Ledger.open(database, "public.alembic_version", 5)) as ledger:
        ledger.fill(["public.task"])
        then = ledger.read()
        with ledger.transaction() as cursor:
            cursor.execute("SELECT nextval('task_id_seq')")
        now = ledger.read(then, frozenset()).sequences["sequence public.task_id_seq"]
        before = then.sequences["sequence public.task_id_seq"]
        assert (now.value, now.furthest) == (before.value + 1, before.furthest)
        ledger.set_sequences(then.sequences)
        assert ledger.read().sequences == then.sequences
        with ledger.transaction() as cursor:
            cursor.execute("SELECT last_value, is_called FROM task_id_seq")
            assert cursor.fetchone() == (before.value - 1, True)


def test_a_look_while_a_step_is_at_work_is_not_kept(
    tmp_path: Path, database: ScratchDatabase, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read in the middle is true of the middle only."""
    monkeypatch.chdir(tmp_path)
    history = project(tmp_path)
    environment.run(history, "r1", "up")

    class Looking(environment.Hooks):
        seen: list[bool] = []  # noqa: RUF012  one run

        def before(self, step: object, _context: object) -> None:
            self.seen.append("public.task.u" in ledger.read().catalogue.objects)

    with contextlib.closing(Ledger.open(database, "public.alembic_version", 5)) as ledger:
        ledger.read()
        environment.run(history, "r2", "up", Looking())
        assert Looking.seen == [False]
        assert "public.task.u" in ledger.read().catalogue.objects
