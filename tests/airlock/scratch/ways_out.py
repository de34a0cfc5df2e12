"""Ways in which an env.py or a revision may come to a database of the user's, each making a table named for itself.

Written into a project as text. `HOST`, `PORT`, `URL` and `PSQL` lead to the server that must hear nothing; `sql(way)` is
the statement. What a way writes into the environment is put back by nobody, as in life.
"""

from __future__ import annotations

PRELUDE = """\
import asyncio, os, subprocess, sys
import asyncpg, psycopg, psycopg2, psycopg2.pool, sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

HOST, PORT, URL, PSQL, HERE = {host!r}, {port!r}, {url!r}, {psql!r}, {here!r}
PLACE = dict(host=HOST, port=PORT, user="postgres")


def sql(way):
    return f'CREATE TABLE "{{way}}" (id int)'


def by_psycopg2(connection, way):
    connection.autocommit = True
    connection.cursor().execute(sql(way))
    connection.close()


def by_engine(engine, way):
    with engine.begin() as connection:
        connection.execute(sa.text(sql(way)))


async def by_async_engine(engine, way):
    async with engine.begin() as connection:
        await connection.execute(sa.text(sql(way)))
    await engine.dispose()


async def by_asyncpg(connecting, way):
    connection = await connecting
    await connection.execute(sql(way))
    await connection.close()


def set_variables():
    os.environ.update(PGHOST=HOST, PGHOSTADDR=HOST, PGPORT=str(PORT), PGUSER="postgres", PGDATABASE="postgres")
    os.environ.update(DATABASE_URL=URL, DATABASE_URL_UNPOOLED=URL, PGPASSWORD="x")


def set_service():
    os.environ.update(PGSERVICE="elsewhere", PGSERVICEFILE=HERE + "/services", PGSYSCONFDIR=HERE)
"""

# Each is run by itself in a new process, by a revision; `WAY` is its name.
WAYS = {
    "keywords of psycopg2": "by_psycopg2(psycopg2.connect(dbname='postgres', **PLACE), WAY)",
    "a dsn of psycopg2": "by_psycopg2(psycopg2.connect(f'host={HOST} hostaddr={HOST} port={PORT} user=postgres'), WAY)",
    "a pool of psycopg2": "by_psycopg2(psycopg2.pool.SimpleConnectionPool(1, 1, **PLACE).getconn(), WAY)",
    "keywords of psycopg": "psycopg.connect(autocommit=True, **PLACE).execute(sql(WAY))",
    "a class of psycopg": (
        "class Own(psycopg.Connection): pass\nOwn.connect(URL, autocommit=True).execute(sql(WAY))"
    ),
    "psycopg, asynchronous": (
        "async def go():\n"
        "    connection = await psycopg.AsyncConnection.connect(URL, autocommit=True)\n"
        "    await connection.execute(sql(WAY))\n"
        "asyncio.run(go())"
    ),
    "a dsn of asyncpg": "asyncio.run(by_asyncpg(asyncpg.connect(dsn=URL), WAY))",
    "hosts of asyncpg": (
        "asyncio.run(by_asyncpg(asyncpg.connect(host=[HOST, HOST], port=[PORT, PORT], user='postgres'), WAY))"
    ),
    "a pool of asyncpg": (
        "async def go():\n"
        "    async with asyncpg.create_pool(URL, min_size=1, max_size=1) as pool:\n"
        "        await pool.execute(sql(WAY))\n"
        "asyncio.run(go())"
    ),
    "an engine's connect_args": (
        "by_engine(sa.create_engine('postgresql+psycopg2://', connect_args=dict(hostaddr=HOST, **PLACE)), WAY)"
    ),
    "a creator": "by_engine(sa.create_engine('postgresql+psycopg2://', creator=lambda: psycopg2.connect(URL)), WAY)",
    "an asynchronous creator": (
        "engine = create_async_engine('postgresql+asyncpg://', async_creator=lambda: asyncpg.connect(URL))\n"
        "asyncio.run(by_async_engine(engine, WAY))"
    ),
    "an asynchronous engine": (
        "asyncio.run(by_async_engine(create_async_engine(URL.replace('://', '+psycopg://')), WAY))"
    ),
    "settings of a .env file": (
        "from pydantic_settings import BaseSettings\n"
        "class Settings(BaseSettings):\n"
        "    model_config = {'env_file': HERE + '/.env', 'extra': 'ignore'}\n"
        "    app_database_url: str\n"
        "by_engine(sa.create_engine(Settings().app_database_url), WAY)"
    ),
    "a .env file put over the environment": (
        "from dotenv import load_dotenv\n"
        "load_dotenv(HERE + '/.env', override=True)\n"
        "assert os.environ['DATABASE_URL'] == URL\n"
        "by_engine(sa.create_engine(os.environ['DATABASE_URL']), WAY)"
    ),
    "the ini's own URL": (
        "from alembic import context\n"
        "from sqlalchemy import engine_from_config\n"
        "section = context.config.get_section('elsewhere')\n"
        "assert section['sqlalchemy.url'].startswith(URL), section\n"
        "by_engine(engine_from_config(section), WAY)"
    ),
    "an engine of an imported module": "import models_of_the_project\nby_engine(models_of_the_project.engine, WAY)",
    "variables set by env.py, psycopg2": "set_variables()\nby_psycopg2(psycopg2.connect(''), WAY)",
    "variables set by env.py, psycopg": "set_variables()\npsycopg.connect(autocommit=True).execute(sql(WAY))",
    "variables set by env.py, asyncpg": "set_variables()\nasyncio.run(by_asyncpg(asyncpg.connect(), WAY))",
    "variables set by env.py, an engine": (
        "set_variables()\nby_engine(sa.create_engine('postgresql+psycopg2://'), WAY)"
    ),
    "a service set by env.py": "set_service()\nby_psycopg2(psycopg2.connect('service=elsewhere'), WAY)",
    "a service of the home directory": (
        "os.environ['PGSERVICE'] = 'elsewhere'\ndel os.environ['PGSERVICEFILE']\nby_psycopg2(psycopg2.connect(''), WAY)"
    ),
    "psql": "set_variables()\nsubprocess.run([PSQL, '-X', '-w', '-c', sql(WAY)], check=True)",
    "psql with a service": "set_service()\nsubprocess.run([PSQL, '-X', '-w', '-c', sql(WAY)], check=True)",
    "psql with a copied environment": (
        "set_variables()\n"
        "subprocess.run([PSQL, '-X', '-w', '-c', sql(WAY)], check=True, env={**os.environ, 'PGHOST': HOST})"
    ),
    "psql with an empty environment": "subprocess.run([PSQL, '-X', '-w', '-c', sql(WAY)], check=True, env={})",
    "psql with variables taken away": (
        "for name in [name for name in os.environ if name.startswith('PG')]: del os.environ[name]\n"
        "os.environ['HOME'] = HERE\n"
        "subprocess.run([PSQL, '-X', '-w', '-c', sql(WAY)], check=True)"
    ),
    "psql by the shell": (
        "set_variables()\ncommand = f\"'{PSQL}' -X -w -c '{sql(WAY)}'\"\nassert os.system(command) == 0"
    ),
    "psql by an asynchronous program": (
        "set_variables()\n"
        "async def go():\n"
        "    ran = await asyncio.create_subprocess_exec(PSQL, '-X', '-w', '-c', sql(WAY))\n"
        "    assert await ran.wait() == 0\n"
        "asyncio.run(go())"
    ),
    "psql by posix_spawn": (
        "set_variables()\n"
        "pid = os.posix_spawn(PSQL, [PSQL, '-X', '-w', '-c', sql(WAY)], {**os.environ, 'PGHOSTADDR': HOST})\n"
        "assert os.waitpid(pid, 0)[1] == 0"
    ),
    "psql by spawn": (
        "set_variables()\n"
        "assert os.spawnve(os.P_WAIT, PSQL, [PSQL, '-X', '-w', '-c', sql(WAY)], dict(os.environ)) == 0"
    ),
    "Python by another Python": (
        "set_variables()\n"
        "code = 'import os, psycopg2; c = psycopg2.connect(os.environ[\"DATABASE_URL\"]); c.autocommit = True; '\n"
        "code += f'c.cursor().execute({sql(WAY)!r})'\n"
        "subprocess.run([sys.executable, '-c', code], check=True)"
    ),
}

# Below every function that is replaced: these are stopped before a statement.
BELOW = {
    "a creator below psycopg2.connect": (
        "from psycopg2._psycopg import _connect\n"
        "by_engine(sa.create_engine('postgresql+psycopg2://', creator=lambda: _connect(URL)), WAY)"
    ),
    "a creator that makes the class": (
        "from psycopg2.extensions import connection\n"
        "by_engine(sa.create_engine('postgresql+psycopg2://', creator=lambda: connection(URL)), WAY)"
    ),
}

# Lines of a revision outside its functions: they run when it is imported.
AT_IMPORT = {
    "psycopg2": "import psycopg2\npsycopg2.connect(URL).cursor().execute('SELECT 1')",
    "psycopg": "import psycopg\npsycopg.connect(URL).execute('SELECT 1')",
    "psycopg, asynchronous": "import asyncio, psycopg\nasyncio.run(psycopg.AsyncConnection.connect(URL))",
    "asyncpg": "import asyncio, asyncpg\nasyncio.run(asyncpg.connect(URL))",
    "an engine": "import sqlalchemy\nsqlalchemy.create_engine(URL).connect()",
    "an engine of psycopg": "import sqlalchemy\nsqlalchemy.create_engine(URL.replace(':', '+psycopg:', 1)).connect()",
    "a creator": "import psycopg2, sqlalchemy\n"
    "sqlalchemy.create_engine('postgresql://', creator=lambda: psycopg2.connect(URL)).connect()",
    "an imported module": "import connects_at_once",
}
