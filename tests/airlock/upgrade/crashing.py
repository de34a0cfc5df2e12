"""A history of every kind of revision, in a project whose sessions can be stopped at any statement.

env.py gives its driver a connection class that counts what goes over the wire to CRASH_DATABASE (statements, commits,
also those that airlock adds) and does what CRASH says when the count reaches CRASH_AT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.airlock.histories import Revision, write_project

if TYPE_CHECKING:
    from pathlib import Path

ENV = '''\
import contextlib
import os
import signal
import struct

import psycopg2
import psycopg2.extensions
from alembic import context
from sqlalchemy import create_engine, pool


def point(connection, what, query):
    """Count one thing that is about to go over the wire to the target, over all runs of env.py in this process."""
    if connection.info.dbname != os.environ.get("CRASH_DATABASE"):
        return
    count = int(os.environ.get("CRASH_COUNT", "0")) + 1
    os.environ["CRASH_COUNT"] = str(count)
    if os.environ.get("CRASH_LOG"):
        with open(os.environ["CRASH_LOG"], "a") as log:
            log.write(" ".join(what.split()) + "\\n")
    if count == int(os.environ.get("CRASH_AT", "0")):
        CRASHES[os.environ["CRASH"]](connection, query)


def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)


def send(connection, query):
    """Put the statement on the wire, as libpq does, and die before the answer."""
    begin = not connection.autocommit and connection.status == psycopg2.extensions.STATUS_READY
    message = (b"BEGIN; " if begin else b"") + query + b"\\0"
    os.write(connection.fileno(), b"Q" + struct.pack("!i", len(message) + 4) + message)
    kill()


def terminate(*_):
    with contextlib.closing(psycopg2.connect(os.environ["DATABASE_URL"])) as other:
        other.autocommit = True
        other.cursor().execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE application_name LIKE 'airlock-worker:%' AND datname = current_database()"
        )


def restart(*_):
    from pathlib import Path
    from airlock.scratch.embedded import Cluster

    cluster = Cluster(Path(os.environ["CRASH_DATA"]), Path(os.environ["CRASH_BIN"]))
    cluster.stop("immediate")
    cluster.start()


def stop(*_):
    os.kill(os.getpid(), signal.SIGTERM)


CRASHES = {"kill": kill, "send": send, "stop": stop, "terminate": terminate, "restart": restart}


class Cursor(psycopg2.extensions.cursor):
    def execute(self, query, vars=None):
        point(self.connection, query, self.mogrify(query, vars))
        return super().execute(query, vars)


class Connection(psycopg2.extensions.connection):
    def cursor(self, *arguments, **options):
        options.setdefault("cursor_factory", Cursor)
        return super().cursor(*arguments, **options)

    def commit(self):
        point(self, "COMMIT", b"COMMIT")
        return super().commit()


engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"),
    poolclass=pool.NullPool, connect_args={"connection_factory": Connection},
)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
'''

NOT_RESUMABLE = "k6"

HISTORY = [
    Revision(
        "k1",
        """
        op.create_table("account", sa.Column("id", sa.Integer, primary_key=True), sa.Column("balance", sa.Integer))
        op.execute("INSERT INTO account SELECT g, 100 FROM generate_series(1, 20) AS g")
        """,
        """
        op.execute("CREATE TABLE closed AS SELECT * FROM account")
        op.drop_table("account")
        """,
        title="Create account; going down, keep what it held",
    ),
    Revision(
        "k2",
        'op.execute("UPDATE account SET balance = balance + 10")',
        'op.execute("UPDATE account SET balance = balance - 10")',
        title="Add 10 to every balance",
    ),
    Revision(
        "k3",
        """
        with op.get_context().autocommit_block():
            drop_if_invalid("ix_account_balance")
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_account_balance ON account (balance)")
        """,
        """
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_account_balance")
        """,
        title="Index account.balance",
        extra="""
        resumable = True

        def drop_if_invalid(name):
            found = op.get_bind().execute(sa.text(
                "SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = :name AND NOT i.indisvalid"
            ), {"name": name}).first()
            if found:
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        """,
    ),
    Revision(
        "k4", 'op.add_column("account", sa.Column("level", sa.Integer))', 'op.drop_column("account", "level")',
        title="Add level",
    ),
    Revision(
        "k5",
        """
        with op.get_context().autocommit_block():
            for low in (0, 10):
                op.execute(
                    "UPDATE account SET level = 1, balance = balance + 5 "
                    f"WHERE level IS NULL AND id > {low} AND id <= {low + 10}"
                )
        """,
        """
        with op.get_context().autocommit_block():
            for low in (0, 10):
                op.execute(
                    "UPDATE account SET level = NULL, balance = balance - 5 "
                    f"WHERE level = 1 AND id > {low} AND id <= {low + 10}"
                )
        """,
        title="Backfill level",
        extra="resumable = True",
    ),
    Revision(
        "k6",
        """
        op.create_table("audit", sa.Column("said", sa.Text))
        with op.get_context().autocommit_block():
            op.execute("INSERT INTO audit VALUES ('once')")
        op.add_column("account", sa.Column("audited", sa.Boolean))
        """,
        """
        op.drop_column("account", "audited")
        with op.get_context().autocommit_block():
            op.execute("INSERT INTO audit VALUES ('undone')")
        op.drop_table("audit")
        """,
        title="Mix DDL and an insert outside a transaction",
    ),
    Revision(
        "k7",
        """
        op.create_check_constraint("ck_level", "account", "level > 0")
        op.execute("UPDATE account SET level = level + 1")
        """,
        """
        op.execute("UPDATE account SET level = level - 1")
        op.drop_constraint("ck_level", "account")
        """,
        title="Constrain level",
    ),
]  # fmt: skip


def write(directory: Path) -> Path:
    """Write the project and return its ini."""
    return write_project(directory, HISTORY, env=ENV)
