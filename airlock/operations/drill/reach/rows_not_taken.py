"""Where a revision's Python takes only so many of the rows that a query found: those beyond are left as they are.

Sample rows are fewer: none of them is beyond, and what becomes of one there no run shows.
"""

from __future__ import annotations

import ast
import functools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airlock.operations.drill.reach.python_functions import answers_of, asks, parsed
from airlock.recorder.tokens import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of fewer than these the samples hold more.
_LEAST = 60
_OF_ROWS = re.compile(r"(?i)\b(?:SELECT|UPDATE|DELETE)\b")

# Without these words no row is left out: most revisions have none, and need not be walked through.
_TAKING = re.compile(r"\bfor\b|\bfetchmany\b")


@dataclass(frozen=True, slots=True)
class Cut:
    """One such place: its function, its line, as it is written, how many rows it takes."""

    function: str
    line: int
    text: str
    rows: int


@functools.cache
def cuts(path: str) -> tuple[Cut, ...]:
    """List them for a revision's file; a loop that comes back for the rest is none."""
    source, tree = parsed(path)
    if not _TAKING.search(source):
        return ()
    constants = {
        target.id: int(node.value.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and type(node.value.value) is int
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            answers = answers_of(function)
            for node, most in _cut(function, answers, _gone_through(function)):
                rows = constants.get(most.id, 0) if isinstance(most, ast.Name) else _whole(most)
                comes_back = any(start <= node.lineno <= end for start, end in batches(path))
                if rows >= _LEAST and not comes_back:
                    text = " ".join((ast.get_source_segment(source, node) or "").split())
                    found.append(Cut(function.name, node.lineno, text, rows))
    return tuple(found)


def _whole(node: ast.expr) -> int:
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else 0


def _cut(node: ast.AST, answers: set[str], gone_through: set[str]) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Find `fetchmany(n)`, `range(0, n, size)` over batches, and `answer[:n]` and `islice(answer, n)` that are gone through."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Lambda):  # `iter(lambda: cursor.fetchmany(100), [])` comes back as well
            continue
        if (
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr == "fetchmany"
            and inner.args
        ):
            yield inner, inner.args[0]
        if isinstance(inner, (ast.For, ast.AsyncFor, ast.comprehension)):
            through = inner.iter
            if isinstance(inner, ast.For) and (windows := _windows(inner)) is not None:
                yield through, windows
            if isinstance(through, ast.Call) and through.args:  # enumerate, list, reversed
                if ast.unparse(through.func).endswith("islice") and asks(through.args[0], answers):
                    yield through, through.args[min(len(through.args), 3) - 1]
                through = through.args[0]
            yield from _sliced(through, answers)
        if isinstance(inner, ast.Assign) and any(
            isinstance(one, ast.Name) and one.id in gone_through for one in inner.targets
        ):
            yield from _sliced(inner.value, answers)
        yield from _cut(inner, answers, gone_through)


def _sliced(node: ast.expr, answers: set[str]) -> Iterator[tuple[ast.expr, ast.expr]]:
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Slice)
        and node.slice.upper is not None
        and asks(node.value, answers)
    ):
        yield node, node.slice.upper


def _gone_through(function: ast.AST) -> set[str]:
    """Name the variables that loops go through: of a text that a query answered a part is no part of its rows."""
    loops_in = (
        one for one in ast.walk(function) if isinstance(one, (ast.For, ast.AsyncFor, ast.comprehension))
    )
    return {name.id for one in loops_in for name in ast.walk(one.iter) if isinstance(name, ast.Name)}


def _windows(loop: ast.For) -> ast.expr | None:
    """Tell where a loop over `range(from, to, size)` ends that sends a statement for each window of rows."""
    through = loop.iter
    if not (
        isinstance(through, ast.Call) and isinstance(through.func, ast.Name) and through.func.id == "range"
    ):
        return None
    inside = [node for statement in loop.body for node in ast.walk(statement)]
    of_rows = any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and _OF_ROWS.search(node.value)
        for node in inside
    )
    # Each number by itself is no window: such a loop counts.
    if len(through.args) != 3 or not of_rows or not any(asks(statement, set()) for statement in loop.body):
        return None
    return through.args[1]


@functools.cache
def batches(path: str) -> tuple[tuple[int, int], ...]:
    """List the lines of loops that end when nothing is left: `while`, and `for` with a `break` in it."""
    _, tree = parsed(path)
    return tuple(
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.While)
        or (isinstance(node, ast.For) and any(isinstance(it, ast.Break) for it in ast.walk(node)))
    )


@functools.cache
def loops(path: str) -> tuple[tuple[int, int, bool], ...]:
    """List the lines of `for` loops, and whether they go over what a query answered."""
    _, tree = parsed(path)
    found = []
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names = _of_rows(function)
            found += [
                (node.lineno, node.end_lineno or node.lineno, asks(node.iter, names))
                for node in ast.walk(function)
                if isinstance(node, ast.For)
            ]
    return tuple(found)


def _of_rows(function: ast.AST) -> set[str]:
    """Name the variables that hold what queries answered, one of its rows, or a part of one."""
    names = answers_of(function)
    for _ in range(3):
        for node in ast.walk(function):
            if isinstance(node, ast.For) and asks(node.iter, names):
                targets = [node.target]
            elif isinstance(node, ast.Assign) and asks(node.value, names):
                targets = node.targets
            else:
                continue
            names |= {it.id for target in targets for it in ast.walk(target) if isinstance(it, ast.Name)}
    return names


def one_of_rounds(path: str, line: int, text: str) -> str:
    """Give a statement the text that is the same in each round of the loop that sends it; others keep their own.

    Not each row that a query found need have others that go with it; each value that a loop names itself must.
    """
    around = [one for one in loops(path) if one[0] <= line <= one[1]]
    if around and max(around)[2]:
        return masked(text, numbers=True)
    return masked(text) if any(start <= line <= end for start, end in batches(path)) else text
