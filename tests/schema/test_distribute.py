"""Distributing by user: on a real cluster where CITUS_URL names one; elsewhere what needs none of Citus' own work.

There the statements are sent to a recorder: functions of Citus' names, in a schema of the test's database, which write
down what they are asked and refuse what Citus was seen to refuse. It shows order, resumption and what is asked; that a
table's rows then lie on shards only the tests marked `citus` show.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from sqlalchemy.schema import CreateTable

from app import distribute
from app.models import metadata
from tests.catalogue import catalogue, differences
from tests.history import ROOT, History
from tests.rows import write_rows
from tests.servers import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECORDER = """
CREATE SCHEMA recorder;
ALTER DATABASE {name} SET search_path = recorder, public;
CREATE TABLE recorder.pg_dist_partition (logicalrelid regclass, partmethod "char", repmodel "char");
CREATE FUNCTION recorder.create_reference_table(table_name regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM recorder.pg_dist_partition WHERE logicalrelid = table_name;
    INSERT INTO recorder.pg_dist_partition VALUES (table_name, 'n', 't');
    EXECUTE format('COMMENT ON TABLE %s IS NULL', table_name);
END $$;
CREATE FUNCTION recorder.create_distributed_table_concurrently(
    table_name regclass, distribution_column text, colocate_with text DEFAULT 'default'
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_index i WHERE i.indrelid = table_name AND i.indisunique AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = table_name AND a.attname = distribution_column
            AND a.attnum = ANY (i.indkey))) THEN
        RAISE 'cannot create constraint on %: keys must hold the distribution column', table_name;
    END IF;
    IF EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND table_name IN (k.conrelid, k.confrelid)
        AND NOT EXISTS (SELECT FROM recorder.pg_dist_partition d
            WHERE d.logicalrelid = k.confrelid AND (d.partmethod, d.repmodel) = ('n', 't'))) THEN
        RAISE 'cannot create foreign key constraint: % is not colocated', table_name;
    END IF;
    IF colocate_with <> 'default' AND NOT EXISTS (SELECT FROM recorder.pg_dist_partition
        WHERE logicalrelid = colocate_with::regclass AND partmethod = 'h') THEN
        RAISE '% is not distributed', colocate_with;
    END IF;
    DELETE FROM recorder.pg_dist_partition WHERE logicalrelid = table_name;
    INSERT INTO recorder.pg_dist_partition VALUES (table_name, 'h', 's');
    EXECUTE format('COMMENT ON TABLE %s IS NULL', table_name);
END $$;
"""
# What revisions after it do: each was seen to run on distributed tables of Citus 13.2.
LATER = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "1a7e50000001", "e5d08f41b9a2"
branch_labels = depends_on = None
resumable = True


def upgrade():
    op.add_column("task", sa.Column("note", sa.String(200)), schema="phase2")
    op.execute("ALTER TABLE phase2.task ADD CONSTRAINT ck_task_note CHECK (note <> '') NOT VALID")
    op.execute("ALTER TABLE phase2.task VALIDATE CONSTRAINT ck_task_note")
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_task_note ON phase2.task (user_id, note)")


def downgrade():
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS phase2.ix_task_note")
    op.drop_column("task", "note", schema="phase2")
"""
ORDER = [
    """SELECT create_reference_table('phase2."user"')""",
    "ALTER TABLE phase2.message DROP CONSTRAINT fk_message_user_id_conversation_id",
    "SELECT create_distributed_table_concurrently('phase2.task', 'user_id')",
    "SELECT create_distributed_table_concurrently('phase2.conversation', 'user_id', colocate_with => 'phase2.task')",
    "SELECT create_distributed_table_concurrently('phase2.idempotency_key', 'user_id', colocate_with => 'phase2.task')",
    "SELECT create_distributed_table_concurrently('phase2.message', 'user_id', colocate_with => 'phase2.task')",
    (
        "ALTER TABLE phase2.message ADD CONSTRAINT fk_message_user_id_conversation_id FOREIGN KEY(user_id, conversation_id)"
        " REFERENCES phase2.conversation (user_id, id) ON DELETE CASCADE NOT VALID"
    ),
    "ALTER TABLE phase2.message VALIDATE CONSTRAINT fk_message_user_id_conversation_id",
    *(f"COMMENT ON TABLE phase2.{name} IS" for name in ('"user"', "conversation", "idempotency_key", "task", "message")),
]  # fmt: skip


def recorder(database: Database) -> None:
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        cursor.execute(RECORDER.format(name=database.name))


@contextlib.contextmanager
def opened(url: str) -> Iterator[Any]:
    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        yield connection.cursor()


def ours(database: Database) -> Any:
    return catalogue(database, ["phase2"])


def shortened(statements: list[str]) -> list[str]:
    """Take the comments' texts away."""
    return [one.partition(" IS ")[0] + " IS" if one.startswith("COMMENT") else one for one in statements]


def command(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.distribute"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
    )  # fmt: skip


@pytest.mark.server
def test_what_is_sent_comes_in_the_order_that_citus_takes(database: Database) -> None:
    """Every statement once; the schema afterwards is what it was before, comments and foreign key too; then nothing."""
    write_rows(database, "row")
    before = ours(database)
    recorder(database)
    sent: list[str] = []
    with opened(database.url) as cursor:
        distribute.distribute(cursor, sent.append)
        assert shortened(sent) == ORDER
        assert distribute.distribute(cursor, sent.append) == 0
    assert differences(before, ours(database)) == []
    # The models are used by others of the process: to spell a statement must not take the constraint from CREATE TABLE.
    message: Any = CreateTable(metadata.tables["phase2.message"])
    assert "REFERENCES phase2.conversation" in str(message)


def killed_after_one(url: str, sent: Path) -> None:
    """Distribute, write what is sent, and kill this process where a second statement would follow."""

    def say(statement: str) -> None:
        if len(said) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        said.append(statement)
        with sent.open("a") as written:
            written.write(json.dumps(statement) + "\n")

    said: list[str] = []
    with opened(url) as cursor:
        distribute.distribute(cursor, say)


def airlock(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "airlock", *arguments, "--url", url], cwd=ROOT, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip


def take_later_revisions(url: str, directory: Path) -> None:
    """Upgrade to a revision that follows this history, and go back."""
    (directory / "later.py").write_text(LATER)
    ini = directory / "alembic.ini"
    ini.write_text(
        f"[alembic]\nscript_location = {ROOT}/alembic\nprepend_sys_path = {ROOT}\npath_separator = newline\n"
        f"version_locations =\n    {ROOT}/alembic/versions\n    {directory}\n"
    )
    for arguments in (("upgrade",), ("downgrade", "-1", "--accept-unknown-loss")):
        done = airlock(url, "-c", str(ini), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_later_revisions_run_behind_it(database: Database, tmp_path: Path) -> None:
    """Up and down again, with rows, where everything is as it was distributed; and then nothing has drifted."""
    write_rows(database, "row")
    recorder(database)
    with opened(database.url) as cursor:
        distribute.distribute(cursor, lambda _: None)
        before = ours(database)
        take_later_revisions(database.url, tmp_path)
        assert differences(before, ours(database)) == []
        assert distribute.distribute(cursor, lambda _: None) == 0
    assert airlock(database.url, "status").returncode == 0


@pytest.mark.server
def test_a_run_that_is_killed_anywhere_goes_on_with_what_is_left(database: Database, tmp_path: Path) -> None:
    """Every run sends one statement and is killed before the next: together they send each once, and end as one run does."""
    before = ours(database)
    recorder(database)
    sent = tmp_path / "sent"
    codes = []
    for _ in ORDER:
        run = multiprocessing.get_context("fork").Process(target=killed_after_one, args=(database.url, sent))
        run.start()
        run.join(60)
        codes.append(run.exitcode)
    assert codes == [-signal.SIGKILL] * (len(ORDER) - 1) + [0]
    assert shortened([json.loads(line) for line in sent.read_text().splitlines()]) == ORDER
    assert differences(before, ours(database)) == []


@pytest.mark.server
def test_a_table_that_is_only_known_to_the_metadata_is_distributed(database: Database) -> None:
    """`citus_add_node` adds tables with a foreign key to a reference table as local ones; that is not distributed."""
    recorder(database)
    with opened(database.url) as cursor:
        cursor.execute(
            "INSERT INTO pg_dist_partition VALUES ('phase2.task', 'n', 's'), ('phase2.\"user\"', 'n', 's')"
        )
        sent: list[str] = []
        distribute.distribute(cursor, sent.append)
    assert shortened(sent) == ORDER


@pytest.mark.server
def test_what_changes_nothing_ends_the_run(database: Database) -> None:
    """No statement is sent for ever."""
    recorder(database)
    with opened(database.url) as cursor:
        cursor.execute(
            "CREATE OR REPLACE FUNCTION recorder.create_reference_table(table_name regclass) RETURNS void"
            " LANGUAGE sql AS 'SELECT'"
        )
        with pytest.raises(distribute.Refusal, match="changed nothing: SELECT create_reference_table"):
            distribute.distribute(cursor, lambda _: None)


@pytest.mark.server
def test_the_keys_of_an_older_revision_are_refused(empty_database: Database) -> None:
    """Why the keys were changed: with (id) alone as key, task cannot be distributed."""
    History(empty_database).upgrade("6d0b7c1f2e94")
    recorder(empty_database)
    with (
        opened(empty_database.url) as cursor,
        pytest.raises(psycopg2.Error, match="must hold the distribution column"),
    ):
        distribute.distribute(cursor, lambda _: None)


@pytest.mark.server
def test_without_citus_one_sentence_says_so(database: Database) -> None:
    """Exit 3, nothing sent; also where nothing was migrated; without a URL it is 2."""
    done = command(database.url)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "distribute: This server has no Citus: nothing was distributed.\n"


@pytest.fixture
def cluster() -> Iterator[str]:
    """Make a database of the cluster's own, on every node, at head with rows; drop it afterwards."""
    coordinator = os.environ["CITUS_URL"]
    with opened(coordinator) as cursor:
        cursor.execute("SELECT current_database()")
        cursor.execute("DROP SCHEMA IF EXISTS phase2 CASCADE")
        yield coordinator
        cursor.execute("DROP SCHEMA IF EXISTS phase2 CASCADE")


@pytest.mark.citus
def test_on_a_cluster_the_tables_lie_on_shards_and_nothing_has_drifted(cluster: str, tmp_path: Path) -> None:
    """Distributed, again, and then: no drift, later revisions, rows of one user on one shard, cascades through both levels."""
    done = airlock(cluster, "upgrade")
    assert done.returncode == 0, done.stdout + done.stderr
    write_rows(Database("citus", cluster), "row")
    done = command(cluster)
    assert done.returncode == 0, done.stderr
    assert command(cluster).stdout.endswith("nothing to do.\n")
    for _ in range(2):
        status = airlock(cluster, "status")
        assert status.returncode == 0, status.stdout
        take_later_revisions(cluster, tmp_path)
    with opened(cluster) as cursor:
        cursor.execute("SELECT count(*) FROM citus_tables WHERE citus_table_type = 'distributed'")
        assert cursor.fetchone() == (len(distribute.OWNED),)
        cursor.execute(
            "SELECT count(DISTINCT colocation_id) FROM citus_tables WHERE citus_table_type = 'distributed'"
        )
        assert cursor.fetchone() == (1,)
        cursor.execute('DELETE FROM phase2."user" WHERE id = (SELECT user_id FROM phase2.message LIMIT 1)')
        cursor.execute("SELECT count(DISTINCT user_id) FROM phase2.message")
        assert cursor.fetchone() == (2,)
