"""Measure how long readers and writers wait while one change of the models reaches a table of 1,000,000 rows.

Each change runs twice on a copy of the same database: as `alembic revision --autogenerate` alone writes it, and as
airlock writes it. Meanwhile two processes read and two write single rows by key; what is told is the longest that any
one statement took. Run: .venv/bin/python bench/stall.py [rows] [major]; prints the README's table.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from airlock.operations.revision import process_revision_directives
from airlock.scratch.servers import ScratchDatabase, scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator

ENV = """\
import logging
from alembic import context

logging.disable(logging.INFO)
given = context.config.attributes
with given["engine"].connect() as connection:
    context.configure(
        connection=connection, target_metadata=given["models"], include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == "bench",
        autogenerate_plugins=["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        transaction_per_migration=True, process_revision_directives=given["directives"],
    )
    with context.begin_transaction():
        context.run_migrations()
"""
MAKO = '''\
"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''
CHANGES = {
    "index": "an index",
    "unique": "a unique constraint",
    "foreign key": "a foreign key",
    "check": "a CHECK",
    "not null": "NULL to NOT NULL",
    "bigint": "integer to bigint",
    "token": "a NOT NULL column with a volatile default",
}


def models(change: str | None = None) -> sa.MetaData:
    """Build the models, with one change or none."""
    metadata = sa.MetaData(schema="bench")
    sa.Table("owner", metadata, sa.Column("id", sa.BigInteger, primary_key=True))
    key = [sa.ForeignKey("bench.owner.id", name="fk_item_owner")] if change == "foreign key" else []
    sa.Table(
        "item",
        metadata,
        sa.Column("id", sa.BigInteger, primary_key=True),
        sa.Column("owner_id", sa.BigInteger, *key, nullable=False),
        sa.Column("amount", sa.BigInteger if change == "bigint" else sa.Integer, nullable=False),
        sa.Column("code", sa.Text, nullable=change != "not null"),
        sa.Column("touched", sa.Integer, nullable=False),
        *([sa.Index("ix_item_code", "code")] if change == "index" else []),
        *([sa.UniqueConstraint("code", name="uq_item_code")] if change == "unique" else []),
        *([sa.CheckConstraint("amount >= 0", name="ck_item_amount")] if change == "check" else []),
        *(
            [sa.Column("token", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()"))]
            if change == "token"
            else []
        ),
    )
    return metadata


@dataclass(frozen=True)
class Measured:
    """The longest wait of a read and of a write, and how long the whole change took, in milliseconds."""

    read: float
    write: float
    took: float
    statements: int


def main(rows: int, major: int) -> None:
    """Measure every change both ways and print the table."""
    with scratch_server(f"embedded:{major}") as server, server.database() as original:
        _fill(original, rows)
        print(
            f"Longest wait of one statement while the change is applied, {rows:,} rows, PostgreSQL {server.version}:\n"
        )
        print("| change | read, Alembic alone | write, Alembic alone | read, airlock | write, airlock |")
        print("|---|--:|--:|--:|--:|")
        for change, told in CHANGES.items():
            both = []
            for directives in (None, process_revision_directives):
                with server.clone(original) as copy:
                    both.append(_measure(copy, change, rows, directives))
            cells = [f"{value:,.0f} ms" for one in both for value in (one.read, one.write)]
            print(f"| {told} | {' | '.join(cells)} |", flush=True)
            seconds = " and ".join(f"{one.took / 1000:.1f} s, {one.statements:,} statements" for one in both)
            print(f"{change}: {seconds}", file=sys.stderr, flush=True)


def _fill(database: ScratchDatabase, rows: int) -> None:
    engine = _engine(database)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA bench")
        models().create_all(connection)
        connection.exec_driver_sql("INSERT INTO bench.owner SELECT generate_series(1, 10000)")
        connection.execute(
            sa.text(
                "INSERT INTO bench.item SELECT n, 1 + n % 10000, n % 1000, 'code ' || n, 0"
                " FROM generate_series(1, :rows) AS n"
            ),
            {"rows": rows},
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE) bench.item")


def _measure(database: ScratchDatabase, change: str, rows: int, directives: Any) -> Measured:
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        config = _project(Path(name))
        config.attributes |= {"engine": _engine(database), "models": models(change), "directives": directives}
        command.revision(config, "Change", autogenerate=True)
        with _clients(database.url, rows) as clients:
            time.sleep(1)
            clients.start_over()
            began = time.perf_counter()
            command.upgrade(config, "head")
            took = (time.perf_counter() - began) * 1000
            read, write, statements = clients.longest()
        return Measured(read, write, took, statements)


def _project(directory: Path) -> Config:
    (directory / "scripts" / "versions").mkdir(parents=True)
    (directory / "scripts" / "env.py").write_text(ENV)
    (directory / "scripts" / "script.py.mako").write_text(MAKO)
    config = Config()
    config.set_main_option("script_location", str(directory / "scripts"))
    return config


def _engine(database: ScratchDatabase) -> sa.Engine:
    return sa.create_engine(
        database.url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool
    )


class _Clients:
    """Two readers and two writers, each in its own process."""

    def __init__(self, url: str, rows: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipes: list[tuple[bool, Any]] = []
        self.processes = []
        for number in range(4):
            ours, theirs = context.Pipe()
            process = context.Process(target=_client, args=(theirs, url, rows, number % 2 == 1), daemon=True)
            process.start()
            self.pipes.append((number % 2 == 1, ours))
            self.processes.append(process)
        for _, pipe in self.pipes:
            pipe.recv()

    def start_over(self) -> None:
        """Forget what was measured so far."""
        for _, pipe in self.pipes:
            pipe.send("again")
            pipe.recv()

    def longest(self) -> tuple[float, float, int]:
        """Stop; return the longest read and write and how many statements there were."""
        worst, count = {False: 0.0, True: 0.0}, 0
        for writes, pipe in self.pipes:
            pipe.send("stop")
            longest, statements = pipe.recv()
            worst[writes] = max(worst[writes], longest)
            count += statements
        for process in self.processes:
            process.join()
        return worst[False], worst[True], count


@contextlib.contextmanager
def _clients(url: str, rows: int) -> Iterator[_Clients]:
    clients = _Clients(url, rows)
    try:
        yield clients
    finally:
        for process in clients.processes:
            process.terminate()


def _client(pipe: Any, url: str, rows: int, writes: bool) -> None:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    cursor = connection.cursor()
    statement = (
        "UPDATE bench.item SET touched = touched + 1 WHERE id = %s"
        if writes
        else "SELECT amount, code FROM bench.item WHERE id = %s"
    )
    pipe.send("ready")
    longest, count = 0.0, 0
    while True:
        if pipe.poll():
            word = pipe.recv()
            pipe.send((longest, count))
            if word == "stop":
                return
            longest, count = 0.0, 0
        began = time.perf_counter()
        cursor.execute(statement, (random.randint(1, rows),))  # noqa: S311
        longest, count = max(longest, (time.perf_counter() - began) * 1000), count + 1
        time.sleep(0.002)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 18)
