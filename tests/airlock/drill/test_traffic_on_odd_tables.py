"""Tables that refuse some statements by themselves: nothing that a step breaks, and nothing it may hide behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from airlock.operations.drill.child import prove
from airlock.operations.drill.messages import Options
from airlock.records.drill import PROVED, REFUSED, RevisionProof
from airlock.scratch.servers import ScratchServer
from tests.airlock.histories import Revision, write_project

pytestmark = pytest.mark.proof
TABLES = """
op.execute("CREATE TABLE log (id int PRIMARY KEY, v text)")
op.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''append only''; END'")
op.execute("CREATE TRIGGER t BEFORE UPDATE OR DELETE ON log FOR EACH ROW EXECUTE FUNCTION f()")
op.execute("CREATE TABLE ruled (id int PRIMARY KEY, v text)")
op.execute("CREATE RULE r AS ON INSERT TO ruled WHERE NEW.id < 0 DO INSTEAD NOTHING")
op.execute("CREATE TABLE parent (id int PRIMARY KEY, v text)")
op.execute("CREATE TABLE child (w text) INHERITS (parent)")
"""
ADD, DROP = (
    "\n".join(f'op.execute("ALTER TABLE {table} {what}")' for table in ("log", "ruled", "parent"))
    for what in ("ADD x text", "DROP x")
)


def examine(scratch: ScratchServer, ini: Path, monkeypatch: pytest.MonkeyPatch) -> RevisionProof:
    """Drill the last revision of a project under traffic, in this process."""
    monkeypatch.chdir(ini.parent)
    with scratch.database() as database:
        monkeypatch.setenv("DATABASE_URL", database.url)
        records = list(prove(str(ini), (), None, 1, None, 0, database, Options(rows=30, traffic=3), {}))
    return [record for record in records if isinstance(record, RevisionProof)][-1]


def test_what_the_older_schema_refuses_itself_is_not_held_against_the_step(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Append-only tables, conditional rules and inheritance: the old statements fare as before, and that is said."""
    ini = write_project(tmp_path, [Revision("first", TABLES), Revision("second", ADD, DROP)])
    proof = examine(scratch, ini, monkeypatch)
    assert (proof.verdict, proof.broken) == (PROVED, ())
    assert any("update public.log: append only" in note for note in proof.notes)


def test_what_breaks_beside_it_is_named(
    scratch: ScratchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that becomes append-only breaks the old release's updates: the older schema let them through."""
    begins = """
op.execute("CREATE TRIGGER t BEFORE UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION f()")
"""
    ends = 'op.execute("DROP TRIGGER t ON parent")'
    ini = write_project(tmp_path, [Revision("first", TABLES), Revision("second", begins, ends)])
    proof = examine(scratch, ini, monkeypatch)
    assert proof.verdict == REFUSED
    assert {(one.statement, one.error) for one in proof.broken} == {("update public.parent", "append only")}
