"""One scratch server and one database at head per major version; every mutation works on copies of it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg2
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from airlock.catalogue import fingerprint
from airlock.catalogue.fingerprint import Fingerprint
from airlock.operations.drill.child import prove
from airlock.operations.drill.messages import Finished, Options
from airlock.operations.revision import process_revision_directives
from airlock.operations.revision.shadow import create
from airlock.operations.trace.child import observe
from airlock.records.drill import RevisionProof
from airlock.records.trace import TracedRevision, Unfilled
from airlock.scratch.servers import ScratchDatabase, ScratchServer
from tests.airlock.revision.shop import SOURCE, built, models

ENV = """\
import logging
import os

import sqlalchemy as sa
from alembic import context

logging.disable(logging.INFO)
given = context.config.attributes
models = given.get("models")
if models is None and os.path.exists("models.py"):
    names = {}
    exec(open("models.py").read(), names)
    models = names["metadata"]
engine = given.get("engine")
if engine is None:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
with engine.connect() as connection:
    connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS shop"))
    connection.commit()
    context.configure(
        connection=connection, target_metadata=models, include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == "shop", version_table="versions",
        transaction_per_migration=True, process_revision_directives=given.get("directives"), **given.get("options", {}),
    )
    with context.begin_transaction():
        context.run_migrations()
"""
MAKO = '''\
"""${message}

Revision ID: ${up_revision}
"""

import sqlalchemy as sa
from alembic import op
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


@dataclasses.dataclass(frozen=True)
class Shop:
    """A project in a directory, and the database of one test."""

    directory: Path
    database: ScratchDatabase
    # More for context.configure.
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ini(self) -> Path:
        return self.directory / "alembic.ini"

    @contextlib.contextmanager
    def config(self, metadata: sa.MetaData) -> Iterator[Config]:
        url = self.database.url.replace("postgresql://", "postgresql+psycopg2://")
        config = Config(self.ini, stdout=io.StringIO())
        config.attributes |= {
            "engine": sa.create_engine(url, poolclass=sa.NullPool),
            "models": metadata,
            "directives": process_revision_directives,
            "options": self.options,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            yield config

    def revise(self, metadata: sa.MetaData, message: str = "Change the shop", **more: str) -> list[str]:
        """Write revisions by plain Alembic with the directives in place; return their ids."""
        with self.config(metadata) as config:
            from argparse import Namespace

            config.cmd_opts = Namespace(
                autogenerate=True, x=[f"{key}={value}" for key, value in more.items()]
            )
            made = command.revision(config, message, autogenerate=True)
        scripts = made if isinstance(made, list) else [made]
        return [script.revision for script in scripts if script is not None]

    def upgrade(self, metadata: sa.MetaData, target: str = "head") -> None:
        with self.config(metadata) as config:
            command.upgrade(config, target)

    def downgrade(self, metadata: sa.MetaData, target: str) -> None:
        with self.config(metadata) as config:
            command.downgrade(config, target)

    def head(self) -> str:
        """Name the newest revision."""
        return ScriptDirectory.from_config(Config(self.ini)).get_heads()[0]

    def dangerous(self, traced: list[TracedRevision | Unfilled]) -> list[str]:
        """List the dangerous statements that their revision does not excuse; tables without rows count."""
        return [
            f"{step.direction} {finding}: {statement.sql}"
            for step in traced if isinstance(step, TracedRevision)
            for statement in step.statements
            for finding in statement.findings
            if finding not in step.accepted
        ] + [f"{one.table} was not filled: {one.reason}" for one in traced if isinstance(one, Unfilled)]  # fmt: skip

    def trace(self, from_to: str, rows: int = 1_000) -> list[TracedRevision | Unfilled]:
        """Trace in this process; the database ends at the range's end."""
        with reached(self.database):
            seen = observe(
                config=self.ini,
                x_arguments=(),
                from_to=from_to,
                start=None,
                rows=rows,
                database=self.database,
                bundle=False,
            )
            return list(seen)

    def drill(self, from_to: str, server: ScratchServer) -> list[RevisionProof]:
        """Drill in this process, on an empty database, and on another one where the examination wants that."""
        proofs: list[RevisionProof] = []
        position: int | None = 0
        while position is not None:
            with server.database() as empty, reached(empty):
                messages = list(prove(str(self.ini), (), from_to, None, None, position, empty, Options(), {}))
            proofs += [one for one in messages if isinstance(one, RevisionProof)]
            ended = messages[-1].position if isinstance(messages[-1], Finished) else None
            position = ended if ended is not None and ended > position else None
        return proofs

    def check(self, metadata: sa.MetaData) -> None:
        """Run `alembic check`."""
        with self.config(metadata) as config:
            command.check(config)

    def renamed(self, *pairs: str) -> sa.MetaData:
        """Build the models with texts replaced: old, new, old, new."""
        source = SOURCE
        for old, new in zip(pairs[::2], pairs[1::2], strict=True):
            assert source.count(old) == 1, old
            source = source.replace(old, new)
        return built(source)

    def text(self, revision: str) -> str:
        """Read one revision's file."""
        return Path(ScriptDirectory.from_config(Config(self.ini)).get_revision(revision).path).read_text()

    def newest_first(self) -> list[str]:
        """List the ids of the files, sorted by name, newest first."""
        files = sorted((self.directory / "alembic" / "versions").glob("*.py"), reverse=True)
        return [path.stem.partition("_")[2] for path in files]

    def written(self) -> str:
        """Give the text of everything that was written after the base, in upgrade order."""
        walked = list(ScriptDirectory.from_config(Config(self.ini)).walk_revisions())[::-1]
        return "\n".join(Path(script.path).read_text() for script in walked[1:])

    def ask(self, query: str) -> list[tuple[object, ...]]:
        with (
            contextlib.closing(psycopg2.connect(self.database.url)) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(query)
            return list(cursor.fetchall())

    def invalid_indexes(self) -> list[object]:
        return [
            row[0]
            for row in self.ask(
                "SELECT relname FROM pg_class JOIN pg_index ON oid = indexrelid AND NOT indisvalid"
            )
        ]

    def run(self, statement: str, *, autocommit: bool = False) -> None:
        with contextlib.closing(psycopg2.connect(self.database.url)) as connection:
            connection.autocommit = autocommit
            with connection.cursor() as cursor:
                cursor.execute(statement)
            if not autocommit:
                connection.commit()

    def fingerprint(self) -> Fingerprint:
        return fingerprint_of(self.database)


@contextlib.contextmanager
def reached(database: ScratchDatabase) -> Iterator[None]:
    """Let env.py find the database where a project's env.py looks."""
    with mock.patch.dict(os.environ, {"DATABASE_URL": database.url}):
        yield


def fingerprint_of(database: ScratchDatabase) -> Fingerprint:
    with contextlib.closing(psycopg2.connect(database.url)) as connection:
        return fingerprint.read(connection, schemas=["shop"])


def seen(database: ScratchDatabase) -> Fingerprint:
    """Read the default schema, and what belongs to none."""
    with contextlib.closing(psycopg2.connect(database.url)) as connection:
        return fingerprint.read(connection, schemas=["public"])


def differing(one: Fingerprint, other: Fingerprint) -> list[str]:
    """Say how two readings differ, but for the version table."""
    found = fingerprint.differences(one, other)
    return [str(it) for it in found if not it.is_note and "alembic_version" not in it.object]


def created(metadata: sa.MetaData, database: ScratchDatabase) -> None:
    """Create models alone."""
    engine = sa.create_engine(
        database.url.replace("postgresql://", "postgresql+psycopg2://"), poolclass=sa.NullPool
    )
    from alembic.runtime.migration import MigrationContext

    with engine.connect() as connection:
        create(MigrationContext.configure(connection, opts={"target_metadata": metadata}))


def made_by(metadata: sa.MetaData, database: ScratchDatabase) -> Fingerprint:
    """Create models alone and read what they make."""
    created(metadata, database)
    return fingerprint_of(database)


def start(directory: Path) -> Path:
    """Write the project without a revision."""
    scripts = directory / "alembic"
    (scripts / "versions").mkdir(parents=True)
    (directory / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/alembic\nfile_template = %%(epoch)s_%%(rev)s\n"
    )
    (scripts / "env.py").write_text(ENV)
    (scripts / "script.py.mako").write_text(MAKO)
    return directory


@contextlib.contextmanager
def base(server: ScratchServer, directory: Path) -> Iterator[Shop]:
    """Lend a project with one revision, and a database at it, holding the unmutated shop."""
    with server.database() as database:
        shop = Shop(start(directory), database)
        shop.revise(models(), "Create the shop")
        shop.upgrade(models())
        yield shop
