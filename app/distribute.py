"""Spread what users own over the nodes of a Citus cluster, by user: `make distribute`, on the coordinator, at head.

Each statement commits by itself and is chosen from what the catalogue says then: run again, whether after an end or
after a kill, it goes on with what is left. Reads and writes go on meanwhile. While the foreign key from message to
conversation is away (it must be, while one of the two is distributed) nothing refuses a message without its
conversation; it is made anew and validated at the end.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import psycopg2
from sqlalchemy import ForeignKeyConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import AddConstraint, DropConstraint, SetTableComment

from app.access import CONVERSATION, MESSAGE, TASK, USER
from app.database_url import ConfigurationError, migration_url
from app.models import metadata
from app.naming import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import URL, Table
    from sqlalchemy.sql.ddl import DDLElement

# As Citus has them in pg_dist_partition; a table may stand there as neither, "added to metadata".
REFERENCE, DISTRIBUTED = ("n", "t"), ("h", "s")
# Task first: the others join its group of shards.
OWNED = sorted(
    (table for table in metadata.sorted_tables if "user_id" in table.primary_key.columns),
    key=lambda table: table is not TASK,
)
(REFERRING,) = (
    one
    for one in MESSAGE.constraints
    if isinstance(one, ForeignKeyConstraint) and one.referred_table is CONVERSATION
)
_PLACED = f"""
SELECT c.relname, (d.partmethod::text, d.repmodel::text)::text
FROM pg_dist_partition d JOIN pg_class c ON c.oid = d.logicalrelid
WHERE c.relnamespace = '{SCHEMA}'::regnamespace
"""  # noqa: S608 - a constant of ours
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Refusal(Exception):
    """Nothing was distributed; the message is one line."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def require(cursor: Any) -> None:
    """Raise Refusal where this is no coordinator of a cluster, or not at the revision that the models are."""
    if not _one(cursor, "SELECT count(*) FROM pg_extension WHERE extname = 'citus'"):
        raise Refusal("This server has no Citus: nothing was distributed.", 3)
    tables = ", ".join(f"('{table.name}')" for table in metadata.sorted_tables)
    missing = _one(
        cursor,
        f"SELECT string_agg(name, ', ' ORDER BY name) FROM (VALUES {tables}) t (name)"  # noqa: S608 - names of ours
        f" WHERE to_regclass('{SCHEMA}.' || quote_ident(name)) IS NULL",
    )
    if missing:
        raise Refusal(f"Not migrated, nothing was distributed: {missing} missing. Try: make migrate", 1)


def needed(cursor: Any) -> str | None:
    """Read the catalogue; return the next statement that is needed, None where all is as it should be."""
    return next(_all_needed(cursor), None)


def _all_needed(cursor: Any) -> Iterator[str]:
    cursor.execute(_PLACED)
    placed = {name: tuple(kind.strip("()").split(",")) for name, kind in cursor.fetchall()}
    if placed.get(USER.name) != REFERENCE:
        yield f"SELECT create_reference_table('{_name(USER)}')"
    missing = [table for table in OWNED if placed.get(table.name) != DISTRIBUTED]
    if {CONVERSATION, MESSAGE} & set(missing) and _referring(cursor) is not None:
        yield _spelled(DropConstraint(REFERRING))
    for table in missing:
        beside = "" if table is TASK else f", colocate_with => '{_name(TASK)}'"
        yield f"SELECT create_distributed_table_concurrently('{_name(table)}', 'user_id'{beside})"
    if _referring(cursor) is None:
        # Isolated from its table, as SQLAlchemy does unless told not to, the model's would be gone from CREATE TABLE.
        yield f"{_spelled(AddConstraint(REFERRING, isolate_from_table=False))} NOT VALID"
    if _referring(cursor) is False:
        yield f"ALTER TABLE {_name(MESSAGE)} VALIDATE CONSTRAINT {_DIALECT.identifier_preparer.format_constraint(REFERRING)}"
    for table in metadata.sorted_tables:
        if _one(cursor, f"SELECT obj_description('{_name(table)}'::regclass)") != table.comment:
            yield _spelled(SetTableComment(table))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def distribute(cursor: Any, say: Callable[[str], None] = _say) -> int:
    """Send one needed statement after the other, each in a transaction of its own; return how many there were."""
    sent: list[str] = []
    while (statement := needed(cursor)) is not None:
        if statement in sent:
            raise Refusal(f"This was sent and changed nothing: {statement}", 1)
        say(statement)
        cursor.execute(statement)
        sent.append(statement)
    return len(sent)


def main() -> int:
    """Connect to the database that migrations use, distribute, and say how it ended."""
    try:
        with contextlib.closing(psycopg2.connect(_libpq(migration_url()))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                require(cursor)
                # Of this session: it ends with it.
                if not _one(cursor, "SELECT pg_try_advisory_lock(hashtext('app.distribute'))"):
                    raise Refusal("Another run is distributing this database.", 20)
                many = distribute(cursor)
    except (Refusal, ConfigurationError) as error:
        sys.stderr.write(f"distribute: {error}\n")
        return error.exit_code
    except psycopg2.Error as error:
        sys.stderr.write(
            f"distribute: {str(error).strip().splitlines()[0]}. Run it again: it goes on where it stopped.\n"
        )
        return 1
    _say(f"Distributed by user_id: {many} statements." if many else "Distributed already; nothing to do.")
    return 0


def _libpq(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _referring(cursor: Any) -> bool | None:
    """Tell whether the foreign key from message to conversation is validated; None where it is not there."""
    name = _DIALECT.identifier_preparer.format_constraint(REFERRING)
    found = _one(
        cursor,
        "SELECT bool_and(convalidated) FROM pg_constraint"  # noqa: S608 - names of ours
        f" WHERE conname = '{name}' AND conrelid = '{_name(MESSAGE)}'::regclass",
    )
    return None if found is None else bool(found)


def _name(table: Table) -> str:
    return _DIALECT.identifier_preparer.format_table(table)


def _spelled(statement: DDLElement) -> str:
    return str(statement.compile(dialect=_DIALECT)).strip()


def _one(cursor: Any, statement: str) -> Any:
    cursor.execute(statement)
    (value,) = cursor.fetchone()
    return value


if __name__ == "__main__":
    sys.exit(main())
