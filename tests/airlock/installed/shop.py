"""A project as others have it: models, an env.py from Alembic's template, a history that nobody wrote for airlock."""

from __future__ import annotations

import os
from pathlib import Path

# The driver that the installation under test has; env.py asks for it.
DRIVER = os.environ.get("AIRLOCK_TEST_DRIVER", "psycopg2")

INI = """\
[alembic]
script_location = {location}
prepend_sys_path = .
sqlalchemy.url = postgresql+{driver}://nobody:nothing@localhost:1/nowhere

[loggers]
keys = root

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain

[formatter_plain]
format = %(levelname)-5.5s [%(name)s] %(message)s
"""

MODELS = """\
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id = sa.Column(sa.Integer, primary_key=True)
    name = sa.Column(sa.String(50), nullable=False)
    mail = sa.Column(sa.Text, nullable=False)


class Order(Base):
    __tablename__ = "orders"
    id = sa.Column(sa.Integer, primary_key=True)
    customer_id = sa.Column(sa.ForeignKey("customer.id"), nullable=False)
    status = sa.Column(sa.Enum("open", "paid", name="order_status"), nullable=False)
    total = sa.Column(sa.Numeric(10, 2), nullable=False)
    __table_args__ = (sa.CheckConstraint("total >= 0", name="total_positive"),)
"""

ENV = """\
import os
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool

from {models} import Base

config = context.config
# The commonest env.py there is: closes whatever handlers were there, and hands the URL to the ini.
if config.config_file_name is not None:
    fileConfig(config.config_file_name)
if "DATABASE_URL" in os.environ:
    config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+{driver}:"))


def run_migrations_offline():
    context.configure(url=config.get_main_option("sqlalchemy.url"), target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def do_run_migrations(connection):
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


"""
SYNC = """\
def run_migrations_online():
    engine = engine_from_config(config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        do_run_migrations(connection)


"""
ASYNC = """\
def run_migrations_online():
    import asyncio

    from sqlalchemy.ext.asyncio import async_engine_from_config

    async def go():
        engine = async_engine_from_config(
            config.get_section(config.config_ini_section), prefix="sqlalchemy.", poolclass=pool.NullPool
        )
        async with engine.connect() as connection:
            await connection.run_sync(do_run_migrations)
        await engine.dispose()

    asyncio.run(go())


"""
RUN = """\
if context.is_offline_mode():
    run_migrations_offline()
else:
    run_migrations_online()
"""

MAKO = '''\
"""${message}"""
from alembic import op
import sqlalchemy as sa
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

REVISIONS = {
    "a1": '''\
"""Add customer"""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "a1", None


def upgrade():
    op.create_table(
        "customer", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50), nullable=False)
    )


def downgrade():
    op.drop_table("customer")
''',
    "b2": '''\
"""Add orders"""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "b2", "a1"


def upgrade():
    op.create_table(
        "orders",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("customer_id", sa.Integer, sa.ForeignKey("customer.id"), nullable=False),
        sa.Column("status", sa.Enum("open", "paid", name="order_status"), nullable=False),
        sa.Column("total", sa.Numeric(10, 2), nullable=False),
        sa.CheckConstraint("total >= 0", name="total_positive"),
    )


def downgrade():
    op.drop_table("orders")
    op.execute("DROP TYPE order_status")
''',
    "c3": '''\
"""Add customer.mail"""
from alembic import op
import sqlalchemy as sa

revision, down_revision = "c3", "b2"


def upgrade():
    op.add_column("customer", sa.Column("mail", sa.Text))
    op.execute("UPDATE customer SET mail = name || '@example.com'")
    op.alter_column("customer", "mail", nullable=False)


def downgrade():
    op.drop_column("customer", "mail")
''',
}


def env_py(driver: str = DRIVER, models: str = "models") -> str:
    """Spell the commonest env.py, synchronous or not as the driver wants it."""
    return (
        (ENV + (ASYNC if driver == "asyncpg" else SYNC) + RUN)
        .replace("{models}", models)
        .replace("{driver}", driver)
    )


def write_shop(directory: Path, *, driver: str = DRIVER, location: str = "migrations") -> Path:
    """Write the project; return its ini."""
    scripts = directory / location
    (scripts / "versions").mkdir(parents=True)
    ini = directory / "alembic.ini"
    ini.write_text(INI.replace("{location}", location).replace("{driver}", driver))
    (directory / "models.py").write_text(MODELS)
    (scripts / "env.py").write_text(env_py(driver))
    (scripts / "script.py.mako").write_text(MAKO)
    for name, text in REVISIONS.items():
        (scripts / "versions" / f"{name}.py").write_text(text)
    return ini
