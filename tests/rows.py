"""Rows for whatever tables of the history are there at a revision, written and read back as plain SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2

if TYPE_CHECKING:
    from tests.servers import Database

Rows = dict[str, dict[str, dict[str, Any]]]

USERS = 3


def write_rows(database: Database, mark: str) -> None:
    """Write rows as code of that moment would, `mark` telling one writing from another. Commits."""
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        tables = _tables(cursor)
        for number in range(USERS):
            if "user" not in tables:
                continue
            cursor.execute(
                'INSERT INTO phase2."user" (email, name) VALUES (%s, %s) RETURNING id',
                (f"{mark}{number}@example.org", None if number == 0 else f"{mark} ü {number}"),
            )
            (user,) = _one(cursor)
            for task in range(4):
                cursor.execute(
                    "INSERT INTO phase2.task (user_id, title, description, completed) VALUES (%s, %s, %s, %s)",
                    (user, f"{mark} {task} " + "x" * 150, "100 %" if task else None, task % 2 == 0),
                )
            if "idempotency_key" in tables:
                cursor.execute(
                    "INSERT INTO phase2.idempotency_key (user_id, endpoint, key, request, status, headers, body)"
                    " VALUES (%s, 'tasks', %s, sha256('{}'), 201, '{}', '{\"title\": \"ü\"}')",
                    (user, f"{mark} {number}"),
                )
            if "conversation" not in tables:
                continue
            cursor.execute(
                "INSERT INTO phase2.conversation (user_id, title) VALUES (%s, %s) RETURNING id", (user, None)
            )
            (conversation,) = _one(cursor)
            for role in ("system", "user", "assistant", "tool"):
                cursor.execute(
                    "INSERT INTO phase2.message (user_id, conversation_id, role, content)"
                    " VALUES (%s, %s, %s, %s)",
                    (user, conversation, role, f"{mark} says {role}"),
                )


def read_rows(database: Database) -> Rows:
    """Read every row of every table of phase2, by table and id."""
    with psycopg2.connect(database.url) as connection, connection.cursor() as cursor:
        rows: Rows = {}
        for table in _tables(cursor) - {"alembic_version"}:
            # What has no id of its own has a key.
            cursor.execute(
                f"SELECT coalesce(r->>'id', r->>'key'), r FROM phase2.\"{table}\" t, to_jsonb(t) r"
            )
            rows[table] = dict(cursor.fetchall())
        return rows


def _tables(cursor: Any) -> set[str]:
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('phase2') AND relkind = 'r'"
    )
    return {name for (name,) in cursor.fetchall()}


def _one(cursor: Any) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None
    return tuple(row)
