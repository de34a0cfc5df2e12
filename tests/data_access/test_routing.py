"""Every statement says whose rows it is about: on a cluster that is sharded by user it goes to one shard."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pglast
import pytest
import sqlalchemy as sa
from pglast import ast
from pglast.enums.parsenodes import A_Expr_Kind
from pglast.enums.primnodes import BoolExprType

from app import conversations, idempotency, tasks
from app.models import Role
from tests.data_access.test_isolation import functions_of_one_row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.data_access.conftest import Do

pytestmark = pytest.mark.server

OWNED = {"task", "conversation", "message", "idempotency_key"}
KEY = "user_id"


@pytest.fixture
def sent(do: Do) -> Iterator[list[str]]:
    """Collect the text of each statement that is sent from here on."""
    texts: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        texts.append(statement)

    def listen_to_the_driver(_connection: Any, record: Any, _proxy: Any) -> None:
        if hasattr(record.driver_connection, "add_query_logger"):
            record.driver_connection.add_query_logger(hear)

    def hear(query: Any) -> None:
        texts.append(query.query)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    sa.event.listen(sa.pool.Pool, "checkout", listen_to_the_driver)
    yield texts
    sa.event.remove(sa.pool.Pool, "checkout", listen_to_the_driver)
    sa.event.remove(sa.Engine, "before_cursor_execute", note)


def conjuncts(where: Any) -> Iterator[Any]:
    """Yield what must all hold: the parts of ANDs, at any depth, and of nothing else."""
    if isinstance(where, ast.BoolExpr) and where.boolop == BoolExprType.AND_EXPR:
        for part in where.args or ():
            yield from conjuncts(part)
    elif where is not None:
        yield where


def is_key(condition: Any) -> bool:
    """Tell whether a condition sets the key equal to something that is no column."""
    if not isinstance(condition, ast.A_Expr) or condition.kind != A_Expr_Kind.AEXPR_OP:
        return False
    (operator,) = condition.name or ()
    columns = [
        (side.fields or ())[-1]
        for side in (condition.lexpr, condition.rexpr)
        if isinstance(side, ast.ColumnRef)
    ]
    return operator.sval == "=" and [column.sval for column in columns] == [KEY]


def tables(statement: Any) -> set[str]:
    """Name the tables that a statement reads or writes itself."""
    relations = [getattr(statement, "relation", None), *(getattr(statement, "fromClause", None) or ())]
    relations += getattr(statement, "usingClause", None) or ()
    return {str(one.relname) for one in relations if isinstance(one, ast.RangeVar)}


def routed(sql: str) -> bool:
    """Tell whether each table of a user's rows is met with the key: in WHERE, or among the columns of an INSERT."""
    for raw in pglast.parse_sql(sql):
        statement: Any = raw.stmt
        if not tables(statement) & OWNED:
            continue
        if isinstance(statement, ast.InsertStmt):
            if KEY not in {column.name for column in statement.cols or ()}:
                return False
        elif not any(is_key(one) for one in conjuncts(statement.whereClause)):
            return False
    return True


def plain(sql: str) -> str:
    """Put numbers in the place of psycopg2's parameters, so that PostgreSQL's parser reads the statement."""
    return re.sub(r"%\(\w+\)s", "$1", sql).replace("%%", "%")


def test_every_statement_that_is_sent_names_the_user(do: Do, sent: list[str], alice: UUID) -> None:
    """All functions, first and further pages too: each statement on a user's rows has user_id in WHERE or INSERT."""
    task = do(tasks.create, alice, "mine")
    do(tasks.create, alice, "another")
    talks = [do(conversations.start, alice) for _ in range(2)]
    for talk in talks:
        for _ in range(2):
            do(conversations.append, alice, talk.id, Role.USER, "mine")
    for listing in (tasks.list_page, conversations.list_page):
        do(listing, alice, limit=1, after=do(listing, alice, limit=1).next)
    for status in tasks.Status:
        do(tasks.list_page, alice, status=status)
    for backwards in (False, True):
        page = do(conversations.history_page, alice, talks[0].id, limit=1, backwards=backwards)
        do(conversations.history_page, alice, talks[0].id, limit=1, after=page.next, backwards=backwards)
    for function in functions_of_one_row(task.id, talks[0].id).values():
        do(function, alice)
    request = idempotency.Repeatable(alice, "tasks", "key", b"\0" * 32)
    do(idempotency.claim, request)
    do(idempotency.keep, request, idempotency.Answer(201, {}, "{}"))
    do.rollback()  # asyncpg tells of a statement in the loop's next turn
    seen = dict.fromkeys(map(plain, sent))
    assert (
        sum(bool(OWNED & set().union(*(tables(one.stmt) for one in pglast.parse_sql(sql)))) for sql in seen)
        >= 20
    )
    assert [sql for sql in seen if not routed(sql)] == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1 FROM phase2.task WHERE id = $1",
        "SELECT 1 FROM phase2.task WHERE user_id = $1 OR id = $2",
        "SELECT 1 FROM phase2.task WHERE NOT (user_id = $1)",
        "SELECT 1 FROM phase2.message WHERE user_id = conversation_id",
        "UPDATE phase2.task SET completed = true WHERE id = $1",
        "DELETE FROM phase2.conversation WHERE user_id > $1",
        "INSERT INTO phase2.message (content) VALUES ($1)",
    ],
)
def test_a_statement_without_the_user_is_seen(sql: str) -> None:
    """What would be sent to every shard is told from what goes to one."""
    assert not routed(sql)
