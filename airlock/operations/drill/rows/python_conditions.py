"""What a row must hold for the branches of a revision's Python: `if row.kind == "fee" and row.cents < -65536`.

Only conditions that say it of one column each are read, all that stand around a branch together.
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING

from airlock.drivers.spelling import literal
from airlock.samples.values import null_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airlock.samples.model import Column, Table

    Held = tuple[tuple[str, object], ...]

# Of a value that only has to be false, or true: NULL, where the column takes one, and what else is.
_FALSE, _TRUE = (), (True,)
_LEAVING = (ast.Continue, ast.Break, ast.Return, ast.Raise)
_MOST = 8
_BESIDE: dict[type[ast.cmpop], int] = {ast.Eq: 0, ast.LtE: 0, ast.GtE: 0, ast.Lt: -1, ast.Gt: 1}


def held(source: str) -> tuple[Held, ...]:
    """List what rows must hold together to come into a branch, by the names of columns; of a document alone as well."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found = dict.fromkeys(tuple(dict(one).items()) for one in _branches(tree, ()))
    return tuple(one for one in found if len(one) > 1 or _is_document(one))[:_MOST]


def _is_document(values: Held) -> bool:
    return any(isinstance(value, str) and value.startswith("{") for _, value in values)


def _branches(node: ast.AST, around: Held) -> Iterator[Held]:
    if isinstance(node, ast.If):
        inside = (*around, *_said(node.test))
        yield inside
        for statement in node.body:
            yield from _branches(statement, inside)
        for statement in node.orelse:
            yield from _branches(statement, around)
        return
    if isinstance(node, ast.Match):
        name = _name(node.subject)
        for one in node.cases:
            value = _matched(one.pattern)
            said = (json.dumps(value) if isinstance(value, (dict, list)) else value,)
            inside = (*around, *((name, it) for it in said if name and it is not None))
            yield inside
            for statement in one.body:
                yield from _branches(statement, inside)
        return
    if isinstance(node, (ast.BoolOp, ast.IfExp)):
        yield from ((*around, *it) for it in _in_expression(node))
    if isinstance(node, (ast.Return, ast.Lambda)):
        # What a function answers of a row: `return row.kind.startswith("old-") and row.n > 40_000`.
        answer = node.body if isinstance(node, ast.Lambda) else node.value
        yield (*around, *(_said(answer) if isinstance(answer, ast.BoolOp) else ()))
    if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
        yield (*around, *(it for one in node.generators for test in one.ifs for it in _said(test)))
    for inner in ast.iter_child_nodes(node):
        yield from _branches(inner, around)
        if isinstance(inner, ast.If) and isinstance(inner.body[-1], _LEAVING):
            # What stands behind it runs for the others.
            around = (*around, *_denied(inner.test))
            yield around


def _in_expression(node: ast.BoolOp | ast.IfExp) -> Iterator[Held]:
    """Give what a value must be for the last of `a or b`, and for the first of `a if test else b`."""
    if isinstance(node, ast.IfExp):
        yield tuple(_said(node.test))
    elif isinstance(node.op, ast.Or):
        yield tuple((name, _FALSE) for it in node.values[:-1] if (name := _name(it)))


def _denied(test: ast.expr) -> Iterator[tuple[str, object]]:
    """Give what a row must hold for a test to fail, of tests that fail by one value."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        for one in test.values:
            yield from _denied(one)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _said(test.operand)
    elif name := _name(test):
        yield name, _FALSE


def _said(test: ast.expr) -> Iterator[tuple[str, object]]:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for one in test.values:
            yield from _said(one)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        if name := _name(test.operand):
            yield name, _FALSE
    elif isinstance(test, ast.Compare) and len(test.ops) == 1:
        name, there = _name(test.left), test.comparators[0]
        if not name:
            return
        if isinstance(test.ops[0], ast.Is) and isinstance(there, ast.Constant) and there.value is None:
            yield name, None
        elif isinstance(test.ops[0], ast.In) and isinstance(there, (ast.Tuple, ast.List, ast.Set)):
            yield from ((name, it.value) for it in there.elts[:1] if isinstance(it, ast.Constant))
        elif type(test.ops[0]) in _BESIDE:
            yield from ((name, value) for value in _beside(test.ops[0], there))
    elif isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and len(test.args) == 1:
        name, part = _name(test.func.value), test.args[0]
        if name and isinstance(part, ast.Constant) and isinstance(part.value, str):
            ends = {"startswith": f"{part.value}x", "endswith": f"x{part.value}"}
            yield from ((name, ends[it]) for it in ends if it == test.func.attr)
    elif name := _name(test):
        yield name, _TRUE


def _matched(pattern: ast.pattern) -> object:
    """Give a value that a pattern matches: its constants, the keys of its documents; None where it takes anything."""
    if isinstance(pattern, ast.MatchValue):
        return pattern.value.value if isinstance(pattern.value, ast.Constant) else None
    if isinstance(pattern, ast.MatchOr):
        return _matched(pattern.patterns[0])
    if isinstance(pattern, ast.MatchSequence):
        return [_matched(one) or 1 for one in pattern.patterns]
    if isinstance(pattern, ast.MatchMapping):
        pairs = zip(pattern.keys, pattern.patterns, strict=True)
        return {str(key.value): _matched(one) or 1 for key, one in pairs if isinstance(key, ast.Constant)}
    return None


def _beside(operator: ast.cmpop, there: ast.expr) -> Iterator[object]:
    try:
        value = ast.literal_eval(there)
    except (ValueError, TypeError):
        return
    step = _BESIDE[type(operator)]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value + step
    elif isinstance(value, (str, bool)) and not step:
        yield value


def _name(node: ast.expr) -> str:
    """Name the column that an expression may be of: an attribute, a key, a variable; lower() and strip() change little."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value if isinstance(node.slice.value, str) else ""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return _name(node.func.value)
    return node.id if isinstance(node, ast.Name) else ""


def spelled(table: Table, values: Held) -> Iterator[dict[str, str]]:
    """Spell what such a row holds in the columns of a table, in each way; none where too few of them are its own."""
    by_name = {column.name: column for column in table.columns}
    found = {
        name: given for name, value in values if name in by_name and (given := _spelled(by_name[name], value))
    }
    if len(found) > 1 or (found and _is_document(values)):
        yield {name: given[0] for name, given in found.items()}
        yield from (
            {name: given[0] for name, given in found.items()} | {other: value}
            for other, given in found.items() for value in given[1:]
        )  # fmt: skip


def _spelled(column: Column, value: object) -> tuple[str, ...]:
    if value is None:
        return (null_of(column),)
    if value == _TRUE:
        return ("true",) if column.category == "B" else ()
    if value == _FALSE:
        empty = {"N": "0", "B": "false"}.get(column.category, "''")
        nothing = (null_of(column),) if column.nullable else ()
        return (*nothing, f"{empty}::{column.type}")
    return (f"{literal(value)}::{column.type}" if isinstance(value, str) else f"({value})::{column.type}",)
