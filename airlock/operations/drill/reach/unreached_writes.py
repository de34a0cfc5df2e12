"""Writes of a revision's Python that it never came to: in a loop over rows, where a query's answer or the environment decides.

So are functions that write and are only called, or handed on, where that is so. What they would have done is not known to any
server. Lines are watched only in revisions that have such writes.
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

from airlock.operations.drill.reach import python_functions
from airlock.operations.drill.reach.modules_called import files
from airlock.operations.drill.reach.python_functions import (
    Function,
    Functions,
    answers_of,
    asks,
    name_of,
    parsed,
    spelt,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from types import FrameType

_WRITING = frozenset({
    "execute", "exec_driver_sql", "executemany", "bulk_insert", "execute_if", "add", "add_all", "delete", "merge",
    "bulk_save_objects", "bulk_insert_mappings", "bulk_update_mappings", "update", "copy_expert", "copy_from",
})  # fmt: skip
# What is seen where it is sent, whatever stands in its line.
_SENT = frozenset({"execute", "exec_driver_sql", "executemany", "bulk_insert"})
NO_ROW, ELSEWHERE = "no row led there", "the environment decides"

# SQL that touches no row, as what makes up for an index left INVALID does; in Alembic's words (`op.drop_index`) it is no write.
_OF_NO_ROW = re.compile(
    r"\s*(?:(?:CREATE(?:\s+UNIQUE)?|DROP|ALTER)\s+INDEX|REINDEX|ANALYZE|COMMENT)\b[^;]*;?\s*", re.IGNORECASE
)

_DEFINITION = re.compile(
    r"(?i)\s*(?:CREATE|ALTER|GRANT|REVOKE|SET|COMMENT)\b(?!.*\b(?:INSERT|UPDATE|DELETE|TRUNCATE|MERGE|DROP)\b)"
)

_ANY_DEFINITION = re.compile(
    r"(?i)\s*(?:CREATE|ALTER|DROP|GRANT|REVOKE|SET|COMMENT|LOCK|ANALYZE|REINDEX|REFRESH)\b"
)
_CHANGE = re.compile(r"(?i)\s*(?:WITH|INSERT|UPDATE|DELETE|MERGE|TRUNCATE|DO|CALL)\b")
# No function's name: what the environment leaves out in one place is not come to by any line.
_NOBODY = "?"

# Without these words nothing is passed by: most revisions have none, and need not be walked through.
_DECIDING = re.compile(r"\b(?:for|while|if|elif|match|and|or|map|filter)\b|\{")


@dataclass(frozen=True, slots=True)
class Write:
    """One write that may be passed by: its lines, the lines of its function, what is written there, and what decides.

    Of one inside an expression that runs anyway, `inside` tells what must have been seen: a function, by its name, or,
    where it is "", a statement sent from its lines.
    """

    start: int
    end: int
    function: tuple[int, int]
    text: str
    why: str = NO_ROW
    inside: str | None = None


@contextlib.contextmanager
def lines_of(path: Path) -> Iterator[dict[str, set[int]]]:
    """Note which lines of a revision's file, and of modules that it calls, run while the block does, by file.

    Nothing of a file that has no write to be passed by.
    """
    every = files(str(path))
    passed = [one for one in every if conditional_writes(one, str(path))]
    known = python_functions.functions(str(path)) if passed else Functions()
    # Which function was entered, its own file tells.
    own = {file for name, file, *_ in known.places if name in known.writing}
    seen: dict[str, set[int]] = {one: set() for one in every if one in passed or one in own}
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


def passed_by(
    path: str, revision: str, lines: Mapping[str, Collection[int]], sent: Collection[tuple[str, int]]
) -> tuple[Write, ...]:
    """List the writes of a file that were not come to, in functions that ran; `sent` are files and lines of what wrote."""
    seen = lines[path]
    known = python_functions.functions(revision)
    entered = {
        name
        for name, file, start, end in known.places
        if any(start < line <= end or line == start == end for line in lines.get(file, ()))
    }
    name = Path(path).name

    def is_reached(one: Write) -> bool:
        if not any(one.start <= line <= one.end for line in seen):
            return one.inside is not None
        if one.inside is None:
            return True
        there = any(file == name and one.start <= line <= one.end for file, line in sent)
        return one.inside in entered if one.inside else there

    return tuple(
        one
        for one in conditional_writes(path, revision)
        if any(one.function[0] < line <= one.function[1] for line in seen) and not is_reached(one)
    )


@functools.cache
def conditional_writes(path: str, revision: str = "") -> tuple[Write, ...]:
    """List the writes inside loops, and those under an `if` whose condition rests on a query's answer, or the environment.

    `revision` is the file that names this one.
    """
    source, tree = parsed(path)
    found: list[Write] = []
    if not _DECIDING.search(source):
        return ()
    known = python_functions.functions(revision or path)
    for function in ast.walk(tree):
        if isinstance(function, Function):
            lines = (function.lineno, function.end_lineno or function.lineno)
            answers = answers_of(function, known)
            beside = {
                node.body[0].lineno for node in ast.walk(function)
                if isinstance(node, (ast.If, ast.For, ast.While)) and node.body[0].lineno == node.lineno
            }  # fmt: skip
            for one, why in _Under(known).of(function.body, "", answers):
                text = " ".join((ast.get_source_segment(source, one) or "").split())
                inside = _what_shows(one, known) if one.lineno in beside else None
                found.append(Write(one.lineno, one.end_lineno or one.lineno, lines, text, why, inside))
            for node, name in _inside(function, answers, known):
                text = " ".join((ast.get_source_segment(source, node) or "").split())
                found.append(Write(node.lineno, node.end_lineno or node.lineno, lines, text, inside=name))
            for chosen in _chosen_elsewhere(function, known):
                text = " ".join((ast.get_source_segment(source, chosen) or "").split())
                end = chosen.end_lineno or chosen.lineno
                found.append(Write(chosen.lineno, end, lines, text, ELSEWHERE, inside=_NOBODY))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Under:
    """The writes of a block, and what decides whether they are come to."""

    known: Functions

    def of(self, body: list[ast.stmt], decided: str, answers: set[str]) -> Iterator[tuple[ast.stmt, str]]:
        """List them in their order."""
        for statement in body:
            yield from self._of_one(statement, decided, answers)
            decided = decided or self._returns(statement, answers)

    def _of_one(self, statement: ast.stmt, decided: str, answers: set[str]) -> Iterator[tuple[ast.stmt, str]]:
        if isinstance(statement, (ast.For, ast.AsyncFor)):
            more = {it.id for it in ast.walk(statement.target) if isinstance(it, ast.Name)}
            rows = asks(statement.iter, answers, self.known)
            inner = answers | more if rows else answers
            yield from self.of(statement.body, decided or (NO_ROW if rows else ""), inner)
        elif isinstance(statement, (ast.If, ast.While)):
            rests = decided or self._rests(statement.test, answers)
            yield from self.of(statement.body, rests, answers)
            yield from self.of(statement.orelse, rests, answers)
        elif isinstance(statement, ast.Match):
            rests = decided or self._rests(statement.subject, answers)
            for one in statement.cases:
                yield from self.of(one.body, rests, answers)
        elif isinstance(statement, (ast.With, ast.AsyncWith)):
            yield from self.of(statement.body, decided, answers)
        elif isinstance(statement, ast.Try):
            handled = (handler.body for handler in statement.handlers)
            for body in (statement.body, *handled, statement.orelse, statement.finalbody):
                yield from self.of(body, decided, answers)
        elif decided and (
            _calls(statement, self.known) or (writes(statement) and not _defines(statement, decided))
        ):
            yield statement, decided

    def _rests(self, test: ast.AST, answers: set[str]) -> str:
        if asks(test, answers, self.known):
            return NO_ROW
        return ELSEWHERE if python_functions.rests_on_the_environment(test, self.known) else ""

    def _returns(self, statement: ast.stmt, answers: set[str]) -> str:
        """Tell what decides whether a function goes on behind a statement; "" where it does."""
        for node in ast.walk(statement):
            if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return):
                why = self._rests(node.test, answers)
                if why:
                    return why
        return ""


def _defines(statement: ast.stmt, decided: str) -> bool:
    """Tell whether a statement that the environment leads to only defines something: a schema, an extension, a grant."""
    return decided == ELSEWHERE and any(
        isinstance(node, ast.Call) and node.args and _DEFINITION.match(spelt(node.args[0]))
        for node in ast.walk(statement)
    )


def _what_shows(statement: ast.stmt, known: Functions) -> str | None:
    """Tell what shows that a statement ran which stands in the line of what decides: a function, "" for what is sent."""
    calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
    called = [name_of(node.func) for node in calls]
    if any(node.args and _ANY_DEFINITION.match(spelt(node.args[0])) for node in calls):
        # Of what changes no rows nothing is seen where it is sent: its line has to do.
        return None
    own = [name for name in called if name in known.writing]
    return own[0] if own else "" if _SENT.intersection(called) else None


def _calls(statement: ast.stmt, known: Functions) -> bool:
    return not isinstance(statement, (*_DEFINING, ast.Return)) and any(
        isinstance(node, ast.Call) and name_of(node.func) in known.writing for node in ast.walk(statement)
    )


_DEFINING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _inside(function: ast.AST, answers: set[str], known: Functions) -> Iterator[tuple[ast.expr, str]]:
    """Find writes that an expression may pass by (`bad and fix(row)`, `[fix(row) for row in bad]`), and functions handed on."""
    for node in ast.walk(function):
        parts: list[ast.expr] = []
        if isinstance(node, ast.BoolOp):
            decided = [asks(one, answers, known) for one in node.values]
            parts += [one for at, one in enumerate(node.values) if any(decided[:at])]
        elif isinstance(node, ast.IfExp):
            parts += [node.body, node.orelse] if asks(node.test, answers, known) else []
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            rows = any(asks(it, answers, known) for one in node.generators for it in (one.iter, *one.ifs))
            parts += [node.elt] if rows else []
        elif isinstance(node, ast.Call) and name_of(node.func) in ("map", "filter", "reduce"):
            parts += node.args[:1] if any(asks(one, answers, known) for one in node.args[1:]) else []
        elif isinstance(node, ast.Call):
            parts += [one for one in node.args if isinstance(one, ast.Name)]
        elif isinstance(node, ast.Dict):
            parts += [one for one in node.values if isinstance(one, ast.Name)]
        for inner in (it for one in parts for it in ast.walk(one)):
            if isinstance(inner, (ast.Name, ast.Attribute)) and name_of(inner) in known.writing:
                yield inner, name_of(inner)
            elif isinstance(inner, ast.Call) and name_of(inner.func) in _SENT:
                yield inner, ""


def _chosen_elsewhere(function: ast.AST, known: Functions) -> Iterator[ast.expr]:
    """Find texts of which the environment chooses one, where one of them changes rows: the other is sent in another place."""
    for node in ast.walk(function):
        if isinstance(node, ast.IfExp) and python_functions.rests_on_the_environment(node.test, known):
            texts = (it.value for it in ast.walk(node) if isinstance(it, ast.Constant))
            if any(isinstance(one, str) and _CHANGE.match(one) for one in texts):
                yield node


def writes(statement: ast.stmt) -> bool:
    """Tell whether a statement of Python may write: it sends something, or sets what a session keeps track of."""
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if any(isinstance(target, (ast.Attribute, ast.Subscript)) for target in targets):
            return True
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITING
        and not (node.args and _OF_NO_ROW.fullmatch(spelt(node.args[0])))
        for node in ast.walk(statement)
    )  # fmt: skip
