"""Build a history in a scratch database, and look at what it made."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.database import missing
from airlock.database.missing_settings import MissingSetting
from airlock.drivers import client
from airlock.drivers.spelling import quoted
from airlock.project.settings import BEFORE
from airlock.records.errors import MISSING_MODULE, AirlockError, NotExamined
from airlock.scratch import installations
from airlock.scratch.isolation import ChildFailed, isolated, prepare
from airlock.scratch.servers import look_for, scratch_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airlock.database.server import type_connection
    from airlock.records.shared import Shared
    from airlock.scratch.servers import ScratchDatabase, ScratchServer

_MOST_SHARED = 50
_IN_REVISION = re.compile(r", in (?:up|down)grade$", re.MULTILINE)
_UNMADE = re.compile(r'(?:relation|schema) "[^"]*" does not exist')


@dataclass(frozen=True)
class Built:
    """What a child reports when the history stands: where env.py keeps its version rows."""

    version_table: str
    version_table_schema: str | None
    heads: tuple[str, ...]


@contextlib.contextmanager
def built(
    config: Path,
    x_arguments: Sequence[str],
    heads: Sequence[str],
    *,
    scratch: str,
    like_major: int | None,
    schemas: Sequence[str] = (),
) -> Iterator[tuple[ScratchServer, ScratchDatabase, Built]]:
    """Bring a scratch database to `heads` by the history and lend it until the block ends.

    `schemas` are those that names are looked up in, where the target's login has others than the history begins with.
    Roles and tablespaces that the history names and the scratch server lacks are made there. Raises NotExamined where there is
    no scratch server, or the history does not build on it.
    """
    look_for(scratch, like_major)
    prepare("airlock.operations.built")
    with scratch_server(scratch, like_major, in_memory=True) as server, server.database() as database:
        arguments = {"config": str(config), "x_arguments": tuple(x_arguments), "heads": tuple(heads)}
        if schemas:
            _look_up_in(database, schemas)
        yield server, database, _build(server, database, arguments)


def schemas_of(connection: type_connection, version_table: str) -> tuple[str, ...]:
    """Tell where names are looked up on a target whose version table stands in the first schema of its login's own path.

    () where that is public: there a scratch database looks too. Reads the catalogue.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_schemas(false)::text[] FROM pg_class WHERE oid = to_regclass(%s) "
            "AND relnamespace = to_regnamespace(quote_ident((current_schemas(false))[1])) "
            "AND (current_schemas(false))[1] <> 'public'",
            (quoted(version_table),),
        )
        row = cursor.fetchone()
    return tuple(row[0]) if row else ()


def _look_up_in(database: ScratchDatabase, schemas: Sequence[str]) -> None:
    """Make the schemas, and have every session look names up in them."""
    # The process that waits for its children does without SQLAlchemy otherwise.
    from sqlalchemy.engine import make_url

    owner = quoted(str(make_url(database.url).username))
    path = ", ".join(quoted(schema) for schema in schemas)
    with (
        contextlib.closing(client.connect(database.admin_url, autocommit=True)) as connection,
        connection.cursor() as cursor,
    ):
        for schema in schemas:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)} AUTHORIZATION {owner}")
        cursor.execute(f"ALTER DATABASE {quoted(database.name)} SET search_path = {path}")


def _build(server: ScratchServer, database: ScratchDatabase, arguments: dict[str, Any]) -> Built:
    try:
        (report,) = answers(server, database, "airlock.operations.built:build", arguments)
    except MissingSetting:
        raise
    except (AirlockError, ChildFailed) as error:
        said = str(error.line if isinstance(error, ChildFailed) else error)
        told = error.told if isinstance(error, ChildFailed) else said
        extension = missing.extension(str(error))
        raise NotExamined(
            f"The history does not build in scratch (PostgreSQL {server.version}): {told}",
            then=installations.line(extension) if extension is not None else _advice(said, str(error)),
        ) from error
    else:
        built_: Built = report
        return built_


def answers(
    server: ScratchServer, database: ScratchDatabase, function: str, arguments: dict[str, Any]
) -> list[Any]:
    """Ask an isolated child, and again where it wants a role or a tablespace that the server lacks and that can be made."""
    made: set[Shared] = set()
    while True:
        try:
            return list(isolated(function, arguments, scratch=database))
        except MissingSetting:
            raise
        except (AirlockError, ChildFailed) as error:
            lacks = missing.shared(str(error))
            if lacks is None or lacks in made or len(made) >= _MOST_SHARED:
                raise
            made.add(lacks)
            server.ensure(lacks)


def _advice(said: str, traceback: str) -> str:
    """Say what helps: what the project's own code raises (`Class: words`) it raises on every server.

    Outside a revision (env.py, the models) it does so in every command.
    """
    if said.startswith("env.py "):
        return ""
    if missing.icu(said):
        return installations.line(installations.ICU)
    if said.startswith("ModuleNotFoundError"):
        return MISSING_MODULE
    if said.partition(": ")[0].isidentifier():
        if not _IN_REVISION.search(traceback):
            return "the same with --debug"
        return "airlock trace, which names the revision and takes the others"
    if _UNMADE.match(said) and not os.environ.get(BEFORE):
        return "--before FILE, SQL that makes what something else than the history makes"
    return "--scratch container, or --scratch with the URL of a server like the target"


def build(config: str, x_arguments: Sequence[str], heads: Sequence[str]) -> Iterator[Built]:
    """Upgrade the database of this process's environment to `heads`. Runs in an isolated child."""
    from airlock.project import environment
    from airlock.project.project import Project

    # "Running upgrade ..." of a scratch database reads like the target's.
    logging.disable(logging.INFO)
    project = Project.open(Path(config), x_arguments, begun=False)
    table, schema = "alembic_version", None
    for head in heads or ("base",):
        direction = "up" if head != "base" else "down"
        ran = environment.run(project, head, direction)
        for turn in range(1, ran.turns):
            environment.run(dataclasses.replace(project, turn=turn), head, direction)
        table, schema = ran.version_table, ran.version_table_schema
    yield Built(table, schema, tuple(heads))
