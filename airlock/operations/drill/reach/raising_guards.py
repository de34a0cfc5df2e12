"""Queries of a revision's Python whose answers decide nothing but whether it raises: no row need be there for them.

`missing = connection.execute(…).all()` and `if missing: raise RuntimeError(…)`, or `assert not missing`: where there is a row,
nothing is written.
"""

from __future__ import annotations

import ast
import functools

from airlock.operations.drill.reach.python_functions import asks, parsed
from airlock.operations.drill.reach.unreached_writes import writes


@functools.cache
def lines(path: str) -> frozenset[int]:
    """List the lines of such queries in a revision's file; none in functions that catch what is raised."""
    found: set[int] = set()
    for function in ast.walk(parsed(path)[1]):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            nodes = list(ast.walk(function))
            if not any(
                isinstance(node, ast.Try) or getattr(node, "attr", getattr(node, "id", "")) == "suppress"
                for node in nodes
            ):
                found.update(_of(nodes))
    return frozenset(found)


def _of(nodes: list[ast.AST]) -> set[int]:
    raising = [
        node
        for node in nodes
        if isinstance(node, ast.Assert) or (isinstance(node, ast.If) and _only_raises(node))
    ]
    inside = {id(it) for node in raising for it in ast.walk(node)}
    found = {line for node in raising if asks(node.test, set()) for line in _lines(node.test)}
    assigned: dict[str, list[ast.Assign]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = target.id if isinstance(target, ast.Name) else ""
                assigned.setdefault(name, []).append(node)
    guards = {name: them[0] for name, them in assigned.items() if name and len(them) == 1}
    while True:
        # What another variable is made of that only raises does as well.
        there = inside | {id(it) for node in guards.values() for it in ast.walk(node.value)}
        read = {
            it.id
            for it in nodes
            if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Load) and id(it) not in there
        }
        stored = [it.id for it in nodes if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Store)]
        left = {name: one for name, one in guards.items() if name not in read and stored.count(name) == 1}
        if left == guards:
            break
        guards = left
    return found | {line for one in guards.values() if asks(one.value, set()) for line in _lines(one)}


def _only_raises(node: ast.If) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Raise) and not node.orelse and not any(writes(one) for one in node.body)


def _lines(node: ast.expr | ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)
