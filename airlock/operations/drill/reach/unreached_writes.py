"""Writes of a revision's Python that it never came to: in a loop over rows, or where a query's answer decides.

What they would have done is not known to any server. Lines are watched only in revisions that have such writes.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airlock.operations.drill.reach.modules_called import files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_WRITING = frozenset({
    "execute", "exec_driver_sql", "executemany", "bulk_insert", "execute_if", "add", "add_all", "delete", "merge",
    "bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings", "update", "copy_expert", "copy_from",
})  # fmt: skip
_SENDING = frozenset({"execute", "exec_driver_sql", "scalar", "scalars", "query"})

# SQL that touches no row, as what makes up for an index left INVALID does; in Alembic's words (`op.drop_index`) it is no write.
_OF_NO_ROW = re.compile(
    r"\s*(?:(?:CREATE(?:\s+UNIQUE)?|DROP|ALTER)\s+INDEX|REINDEX|ANALYZE|COMMENT)\b[^;]*;?\s*", re.IGNORECASE
)

# Without these words nothing is passed by: most revisions have none, and need not be walked through.
_DECIDING = re.compile(r"\b(?:for|while|if|elif|match)\b")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that may be passed by: its lines, the lines of its function, and what is written there."""

    start: int
    end: int
    function: tuple[int, int]
    text: str


@contextlib.contextmanager
def lines_of(path: Path) -> Iterator[dict[str, set[int]]]:
    """Note which lines of a revision's file, and of modules that it calls, run while the block does, by file.

    Nothing of a file that has no write to be passed by.
    """
    seen: dict[str, set[int]] = {one: set() for one in files(str(path)) if conditional_writes(one)}
    if not seen:
        yield seen
        return
    before = sys.gettrace()

    def inside(frame: FrameType, event: str, _argument: Any) -> Any:
        if event == "line":
            seen[frame.f_code.co_filename].add(frame.f_lineno)
        return inside

    def called(frame: FrameType, _event: str, _argument: Any) -> Any:
        return inside if frame.f_code.co_filename in seen else None

    sys.settrace(called)
    try:
        yield seen
    finally:
        sys.settrace(before)


def passed_by(path: str, seen: set[int]) -> tuple[Write, ...]:
    """List the writes of a file that were not come to, in functions that ran."""
    return tuple(
        one
        for one in conditional_writes(path)
        if not any(one.start <= line <= one.end for line in seen)
        and any(one.function[0] < line <= one.function[1] for line in seen)
    )


@functools.cache
def parsed(path: str) -> tuple[str, ast.Module]:
    """Read a revision's file and its syntax tree; both empty where it cannot be."""
    try:
        source = Path(path).read_text()
        return source, ast.parse(source)
    except (OSError, SyntaxError, ValueError):
        return "", ast.Module([], [])


@functools.cache
def conditional_writes(path: str) -> tuple[Write, ...]:
    """List the writes inside loops, and those under an `if` whose condition rests on a query's answer."""
    source, tree = parsed(path)
    found: list[Write] = []
    if not _DECIDING.search(source):
        return ()
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (function.lineno, function.end_lineno or function.lineno)
            answers = answers_of(function)
            for one in _under(function.body, decided=False, answers=answers):
                text = " ".join((ast.get_source_segment(source, one) or "").split())
                found.append(Write(one.lineno, one.end_lineno or one.lineno, lines, text))
    return tuple(found)


def answers_of(function: ast.AST) -> set[str]:
    """Name the variables that hold what queries answered, and what is made of those."""
    names: set[str] = set()
    assigned = [
        (node.value, node.targets if isinstance(node, ast.Assign) else [node.target])
        for node in ast.walk(function)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None
    ]
    for _ in range(3):
        for value, targets in assigned:
            if asks(value, names):
                names |= {it.id for target in targets for it in ast.walk(target) if isinstance(it, ast.Name)}
    return names


def asks(expression: ast.AST, answers: set[str]) -> bool:
    """Tell whether an expression holds what a query answered, or sends one."""
    return any(
        (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _SENDING)
        or (isinstance(node, ast.Name) and node.id in answers)
        for node in ast.walk(expression)
    )


def _under(body: list[ast.stmt], *, decided: bool, answers: set[str]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, (ast.For, ast.AsyncFor)):
            more = {it.id for it in ast.walk(statement.target) if isinstance(it, ast.Name)}
            rows = asks(statement.iter, answers)
            yield from _under(
                statement.body, decided=decided or rows, answers=answers | more if rows else answers
            )
        elif isinstance(statement, (ast.If, ast.While)):
            rests = decided or asks(statement.test, answers)
            yield from _under(statement.body, decided=rests, answers=answers)
            yield from _under(statement.orelse, decided=rests, answers=answers)
        elif isinstance(statement, ast.Match):
            rests = decided or asks(statement.subject, answers)
            for one in statement.cases:
                yield from _under(one.body, decided=rests, answers=answers)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            yield from _under(statement.body, decided=decided, answers=answers)
        elif isinstance(statement, ast.Try):
            handled = (handler.body for handler in statement.handlers)
            for body in (statement.body, *handled, statement.orelse, statement.finalbody):
                yield from _under(body, decided=decided, answers=answers)
        elif decided and writes(statement):
            yield statement


def writes(statement: ast.stmt) -> bool:
    """Tell whether a statement of Python may write: it sends something, or sets what a session keeps track of."""
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets):
            return True
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITING
        and not (node.args and _OF_NO_ROW.fullmatch(_spelt(node.args[0])))
        for node in ast.walk(statement)
    )  # fmt: skip


def _spelt(sql: ast.expr) -> str:
    """Give the text of a statement that is spelt where it is sent, one letter for what is filled in; "" where it is not."""
    if (
        isinstance(sql, ast.Call)
        and len(sql.args) == 1
        and ast.unparse(sql.func).rpartition(".")[2] == "text"
    ):
        return _spelt(sql.args[0])
    if isinstance(sql, ast.JoinedStr):
        return "".join(str(one.value) if isinstance(one, ast.Constant) else "x" for one in sql.values)
    return sql.value if isinstance(sql, ast.Constant) and isinstance(sql.value, str) else ""
