"""Every statement of the data access is answered by an index, whatever PostgreSQL plans for."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg2.extensions
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import asyncpg
from sqlmodel import Session

from app import conversations, tasks, users
from app.models import Role
from app.tasks import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.server

FILL = """
INSERT INTO phase2."user" (email) SELECT 'user' || n || '@example.org' FROM generate_series(1, 800) n;
INSERT INTO phase2.task (user_id, title, completed, created_at)
    SELECT u.id, 'task', n %% 3 = 0, now() - n * interval '1 minute' FROM phase2."user" u, generate_series(1, 20) n;
INSERT INTO phase2.conversation (user_id, updated_at)
    SELECT u.id, now() - n * interval '1 minute' FROM phase2."user" u, generate_series(1, 4) n;
INSERT INTO phase2.message (user_id, conversation_id, role, content)
    SELECT c.user_id, c.id, 'user', 'Hello' FROM phase2.conversation c, generate_series(1, 4) n;
INSERT INTO phase2."user" (email) VALUES ('busy@example.org');
INSERT INTO phase2.task (user_id, title, completed, created_at)
    SELECT u.id, 'task', n %% 3 = 0, now() - n * interval '1 minute'
    FROM phase2."user" u, generate_series(1, 3000) n WHERE email = 'busy@example.org';
INSERT INTO phase2.conversation (user_id, updated_at)
    SELECT u.id, now() - n * interval '1 minute'
    FROM phase2."user" u, generate_series(1, 1000) n WHERE email = 'busy@example.org';
INSERT INTO phase2.message (user_id, conversation_id, role, content)
    SELECT c.user_id, c.id, 'user', 'Hello'
    FROM (SELECT c.* FROM phase2.conversation c JOIN phase2."user" u ON u.id = user_id AND email = 'busy@example.org' LIMIT 1) c,
         generate_series(1, 1000) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled(server: Any, template: str) -> Iterator[sa.Engine]:
    """Fill a database with 19,000 tasks and 14,000 messages of 801 users."""
    with server.database(template) as database:
        engine = sa.create_engine(database.sqlalchemy_url, poolclass=sa.StaticPool)
        with engine.begin() as connection:
            connection.exec_driver_sql(FILL)
        yield engine
        engine.dispose()


class Planner:
    """Ask for the plan of every statement that a session sends, for its values and for any values."""

    def __init__(self) -> None:
        self.nodes: list[tuple[str, dict[str, Any]]] = []
        self._asking = False

    def before(self, connection: sa.Connection, clause: Any, multi: Any, params: Any, options: Any) -> None:
        if self._asking:
            return
        self._asking = True
        try:
            self._explain(connection, clause, params or (multi[0] if multi else {}))
        finally:
            self._asking = False

    def _explain(self, connection: sa.Connection, clause: Any, params: dict[str, Any]) -> None:
        compiled = clause.compile(dialect=asyncpg.dialect(), column_keys=sorted(params))  # type: ignore[no-untyped-call]
        values = compiled.construct_params(params)
        cursor = connection.connection.cursor()
        arguments = []
        for name in compiled.positiontup:
            processor = compiled._bind_processors.get(name)
            value = processor(values[name]) if processor else values[name]
            adapted = psycopg2.extensions.adapt(str(value) if isinstance(value, UUID) else value)
            if hasattr(adapted, "prepare"):
                adapted.prepare(cursor.connection)
            arguments.append(adapted.getquoted().decode())
        cursor.execute(f"PREPARE asked AS {compiled.string}")
        for mode in ("force_custom_plan", "force_generic_plan"):
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            cursor.execute(
                f"EXPLAIN (FORMAT JSON) EXECUTE asked({', '.join(arguments)})" if arguments else "SELECT 1"
            )
            [(answer,)] = cursor.fetchall()
            self._walk(mode, answer[0]["Plan"])
        cursor.execute("DEALLOCATE asked")

    def _walk(self, mode: str, node: dict[str, Any]) -> None:
        self.nodes.append((mode, node))
        for below in node.get("Plans", ()):
            self._walk(mode, below)


def calls(session: Session) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give every function of the data access, lists in each of their forms."""
    email = "busy@example.org"
    me = users.get_by_email(session, email).id
    task = tasks.list_page(session, me).items[0].id
    longest = "SELECT conversation_id FROM phase2.message GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    talk = session.execute(sa.text(longest)).scalar_one()
    yield "users.create", partial(users.create, session, f"{uuid4()}@example.org", name="New")
    yield "users.get", partial(users.get, session, me)
    yield "users.get_by_email", partial(users.get_by_email, session, email)
    yield "tasks.create", partial(tasks.create, session, me, "one", description="two", priority=2)
    yield "tasks.get", partial(tasks.get, session, me, task)
    for status in Status:
        for after in (None, tasks.list_page(session, me, status=status, limit=2).next):
            yield (
                "tasks.list_page",
                partial(tasks.list_page, session, me, status=status, limit=20, after=after),
            )
    yield "tasks.update", partial(tasks.update, session, me, task, title="x", priority=2, description=None)
    yield "tasks.complete", partial(tasks.complete, session, me, task)
    yield "tasks.reopen", partial(tasks.reopen, session, me, task)
    yield "tasks.toggle", partial(tasks.toggle, session, me, task)
    yield "tasks.delete", partial(tasks.delete, session, me, task)
    yield "conversations.start", partial(conversations.start, session, me, title="x")
    yield "conversations.get", partial(conversations.get, session, me, talk)
    for after in (None, conversations.list_page(session, me, limit=2).next):
        yield "conversations.list_page", partial(conversations.list_page, session, me, limit=20, after=after)
    yield "conversations.append", partial(conversations.append, session, me, talk, Role.USER, "Hello")
    yield "conversations.rename", partial(conversations.rename, session, me, talk, title="y")
    for backwards in (False, True):
        history: Callable[..., Any] = partial(
            conversations.history_page, session, me, talk, backwards=backwards
        )
        for after in (None, history(limit=2).next):
            yield "conversations.history_page", partial(history, limit=20, after=after)
    yield "conversations.delete", partial(conversations.delete, session, me, talk)
    yield "users.delete", partial(users.delete, session, me)


def test_no_statement_scans_a_table(filled: sa.Engine) -> None:
    """No Seq Scan on any table in any plan, and long lists are read in their index's order, not sorted."""
    covered = set()
    with Session(filled) as session:
        for name, call in calls(session):
            planner = Planner()
            sa.event.listen(filled, "before_execute", planner.before)
            try:
                call()
            finally:
                sa.event.remove(filled, "before_execute", planner.before)
            assert planner.nodes, name
            covered.add(name)
            for mode, node in planner.nodes:
                assert node["Node Type"] != "Seq Scan", f"{name}, {mode}: {json.dumps(node)}"
            if name.endswith("list_page"):
                kinds = {node["Node Type"] for mode, node in planner.nodes if mode == "force_custom_plan"}
                assert kinds == {"Limit", "Index Scan"}, f"{name}: {kinds}"
        session.rollback()
    public = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (users, tasks, conversations)
        for name, function in vars(module).items()
        if hasattr(function, "__wrapped__")
        and function.__module__ == module.__name__
        and not name.startswith("_")
    }
    assert covered == public, "every function is asked"
